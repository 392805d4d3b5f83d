"""YAML files into plain values, with an answer to what YAML reads differently from what was meant."""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from rfe.config.traps import EXPONENT, NUMBER_LIKE, find_tags, find_traps, read_number
from rfe.errors import ConfigError, gather

MAX_BYTES = 2**20
"""Largest file that is read: a space of thousands of first trials has some hundred kilobytes."""
MOST_VALUES, DEEPEST = 200_000, 50
"""So many values may a file hold, those that an alias repeats counted each time, and so deep may they be nested."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds; an empty file is an empty mapping.

    Raises:
        ConfigError: no such file, not UTF-8, not plain YAML, not a mapping at its top, a field given twice, or a value
            that YAML reads as something else than it looks (`1e-3`, `010`, `1:30`, `off`; see `rfe.config.traps`); all
            of them at once. A file that is large, or whose aliases would make it so.
    """
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "there is no such file"
            raise ConfigError(f"{path}: {what}; give a YAML file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ConfigError(f"{path}: {size / 2**20:.1f} MiB is too large for a YAML file of settings; is it one?")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, heading: str) -> dict[str, Any]:
    """As `read_yaml`, of a text; `heading` names it in messages."""
    with _explain(heading):
        node = _compose(text)
        problems = [] if node is None else [*find_tags(text), *find_traps(node)]
        gather([str(problem) for problem in problems], ConfigError, heading)
        value = {} if node is None else _construct(node)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{heading}: holds {describe_value(value)}, but must be a map of `field: value` lines")
    return value


def write_yaml(value: Any, *, plain: bool = False) -> str:
    """`value` as YAML that `parse_yaml` reads back; text that looks like a number is quoted.

    Args:
        value: numbers, texts, lists and maps.
        plain: it is a map, and its texts are ASCII on one line. libyaml, which writes emoji and a lone value otherwise
            than PyYAML, writes the same then, in a sixth of the time.
    """
    return yaml.dump(value, Dumper=_QuotingFast if plain else _Quoting, sort_keys=False, allow_unicode=True)


_NOT_A_VALUE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What PyYAML lets through of a text that is no number, date or truth value, though it looks or is tagged like one."""


_REMEDIES = {
    "\\t": "indent with spaces, not with tabs",
    "another document": "a file of settings is one document: remove what follows the second line of ---",
    "mapping values are not allowed": "write `field: value`, and quote a value that holds a colon and a blank",
    "could not find expected ':'": "write each line as `field: value`, with a blank after the colon",
    "unknown escape": "in double quotes a backslash begins a character's code; use single quotes",
    "cannot start any token": "quote a value that begins with this sign",
    "alias": "quote a value that begins with *",
}
"""Part of PyYAML's message -> what to do."""


@contextmanager
def _explain(heading: str) -> Iterator[None]:
    """Turn what PyYAML raises into a `ConfigError`."""
    try:
        yield
    except yaml.YAMLError as error:
        told = _describe(error)
        remedy = next((f"; {remedy}" for part, remedy in _REMEDIES.items() if part in told), "")
        raise ConfigError(f"{heading}: not plain YAML: {told}{remedy}") from None
    except _NOT_A_VALUE as error:
        raise ConfigError(f"{heading}: not plain YAML: a value cannot be read ({error}); quote it") from None
    except RecursionError:
        raise ConfigError(f"{heading}: nested too deeply for a file of settings; is it one?") from None


def _describe(error: yaml.YAMLError) -> str:
    """PyYAML's reason and its place, without the lines that it quotes."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    return reason if mark is None else f"{reason} (line {mark.line + 1}, column {mark.column + 1})"


def _compose(text: str) -> yaml.Node | None:
    """What a text holds, not yet turned into values; None if it is empty.

    Raises:
        yaml.YAMLError: also of one that would be too large or endless once its aliases are written out.
        RecursionError: it is nested too deeply.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    if node is not None:
        _check_size(node)
    return node


def _construct(node: yaml.Node) -> Any:
    return yaml.SafeLoader("").construct_document(node)


def _check_size(node: yaml.Node) -> None:
    """Refuse what would be too large, too deep or endless once its aliases are written out."""
    sizes: dict[int, int | None] = {}  # None: being measured; meeting it again means that it contains itself

    def measure(one: yaml.Node, depth: int) -> int:
        if depth > DEEPEST:
            raise RecursionError
        if isinstance(one, yaml.ScalarNode):
            return 1
        if id(one) in sizes:
            known = sizes[id(one)]
            if known is None:
                raise yaml.YAMLError("an alias that holds itself")
            return known
        sizes[id(one)] = None
        inner = [part for pair in one.value for part in pair] if isinstance(one, yaml.MappingNode) else one.value
        size = 1 + sum(measure(part, depth + 1) for part in inner)
        sizes[id(one)] = size
        return size

    if (size := measure(node, 0)) > MOST_VALUES:
        raise yaml.YAMLError(f"holds {size:.3g} values once its aliases are written out; use fewer of them")


class _Quoting(yaml.SafeDumper):
    pass


class _QuotingFast(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # one of two bases
    pass


for _dumper in (_Quoting, _QuotingFast):
    _dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"{NUMBER_LIKE.pattern}$"), [*"-+.0123456789"])


def with_overrides(heading: str, overrides: Sequence[str]) -> str:
    """What was read, for messages: a file, and the fields that were set over it (values may be secret)."""
    fields = ", ".join(one.partition("=")[0] for one in overrides)
    return f"{heading} (with --set {fields})" if fields else heading


def parse_overrides(overrides: list[str]) -> dict[str, Any]:
    """`["train.lr=1e-3", "pool=[mfcc, logmel]"]` -> name to value; the value is read as YAML, `1e-3` as a number.

    Raises:
        ConfigError: no `=`, no name, the same name twice, or a value that is not YAML; all of them at once.
    """
    values: dict[str, Any] = {}
    problems = []
    for override in overrides:
        name, equals, text = override.partition("=")
        name = name.strip()
        if not equals or not name:
            problems.append(f"{override!r}: write it as name=value, e.g. train.lr=0.001")
        elif name in values:
            problems.append(f"{name} is set twice; leave one of the two out")
        else:
            try:
                values[name] = _parse_value(name, text.strip())
            except ConfigError as error:
                problems.append(str(error))
    gather(problems, ConfigError, "--set")
    return values


def describe_value(value: Any) -> str:
    """`value` for a message: as Python writes it, shortened."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _parse_value(name: str, text: str) -> Any:
    """The value of one override.

    Raises:
        ConfigError: what `parse_yaml` refuses; YAML would take a part of it for a comment.
    """
    if EXPONENT.fullmatch(text) and math.isfinite(number := read_number(text)):
        return number
    line = f"value: {text}"
    with _explain(name):
        node = _compose(line)
        assert isinstance(node, yaml.MappingNode)
        value = node.value[0][1]
        problems = [one.sentence for one in (*find_tags(text), *find_traps(value, name))]
        if problems:
            # the shell takes away the quotes that a sentence asks for
            whole = f"'{text}'" if isinstance(value, yaml.ScalarNode) else "..."
            raise ConfigError(f'{name}: {"; ".join(problems)} (in a shell: --set "{name}={whole}")')
        if unread := line[value.end_mark.index :].strip():
            what = "reads {} as a comment" if unread.startswith("#") else "does not read {} as part of the value"
            raise ConfigError(f"{name}: YAML {what.format(repr(unread))}; put quotes around the whole value")
        return _construct(value)
