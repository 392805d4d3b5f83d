"""YAML files into plain values, with an answer to what YAML reads differently from what was meant."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rfe.errors import ConfigError, gather

MAX_BYTES = 2**20
"""Largest file that is read: a space of thousands of first trials has some hundred kilobytes."""
MOST_VALUES, DEEPEST = 200_000, 50
"""So many values may a file hold, those that an alias repeats counted each time, and so deep may they be nested."""
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds; an empty file is an empty mapping.

    Raises:
        ConfigError: no such file, not UTF-8, not plain YAML, not a mapping at its top, a field given twice, a number
            that YAML reads as text (`1e-3`), or a word that it reads as a boolean (`off`); all of them at once. A file
            that is large, or whose aliases would make it so.
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
    try:
        value, problems = _read(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{heading}: not plain YAML: {' '.join(str(error).split())}{_remedy(error)}") from None
    except _NOT_A_VALUE as error:
        reason = str(error) or type(error).__name__
        raise ConfigError(f"{heading}: not plain YAML: a value does not fit its tag ({reason}); quote it") from None
    except RecursionError:
        raise ConfigError(f"{heading}: nested too deeply for a file of settings; is it one?") from None
    gather(problems, ConfigError, heading)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{heading}: holds {describe_value(value)}, but must be a map of `field: value` lines")
    return value


def write_yaml(value: Any) -> str:
    """`value` as YAML that `parse_yaml` reads back; text that looks like a number is quoted."""
    return yaml.dump(value, Dumper=_Quoting, sort_keys=False, allow_unicode=True)


_NOT_A_VALUE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What PyYAML lets through of a text that is no number, date or truth value, though it looks or is tagged like one."""


def _read(text: str) -> tuple[Any, list[str]]:
    """The value, and what is wrong with it."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        problems = [problem] if (problem := _size_problem(node)) else _find_traps(node, "", set())
        return None if problems else loader.construct_document(node), problems
    finally:
        loader.dispose()


def _remedy(error: yaml.YAMLError) -> str:
    if "\\t" in str(error):
        return "; indent with spaces, not with tabs"
    if "tag:yaml.org,2002:python" in str(error):
        return "; a file of settings makes no Python objects: leave the tag out"
    return ""


def _size_problem(node: yaml.Node) -> str | None:
    """Why a value would be too large, too deep or endless once its aliases are written out."""
    sizes: dict[int, int | None] = {}  # None: being measured, so that whoever meets it again lies within it

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

    size = measure(node, 0)
    return (
        None if size <= MOST_VALUES else f"holds {size:.3g} values once its aliases are written out; use fewer of them"
    )


class _Quoting(yaml.SafeDumper):
    pass


_Quoting.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


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
    if _EXPONENT.fullmatch(text):
        return float(text)
    return parse_yaml(f"value: {text}", name)["value"]


def _find_traps(node: yaml.Node, field: str, seen: set[int]) -> list[str]:
    """Sentences on every duplicate field and misread scalar below `node`, whose dotted name is `field`."""
    if id(node) in seen:  # an alias; also ends the recursion of one that contains itself
        return []
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        trap = _scalar_trap(node)
        return [f"{field + ': ' if field else ''}{trap} (line {node.start_mark.line + 1})"] if trap else []
    problems = []
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            problems += _find_traps(item, field, seen)
    elif isinstance(node, yaml.MappingNode):
        names: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            inner = f"{field}.{name}" if field else name
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                problems.append(f"line {line}: a field's name must be plain text")
            elif name in names:
                problems.append(f"{inner} is given twice, in lines {names[name]} and {line}; leave one of the two out")
            elif trap := _scalar_trap(key):
                problems.append(f"{inner}: {trap} (line {line})")
            elif key.tag != "tag:yaml.org,2002:str":
                problems.append(f"line {line}: the field name {name} is not text; write '{name}'")
            names.setdefault(name, line)
            problems += _find_traps(value, inner, seen)
    return problems


def _scalar_trap(node: yaml.ScalarNode) -> str | None:
    if node.style is not None:  # quoted, so meant as it stands
        return None
    text = str(node.value)
    if node.tag == "tag:yaml.org,2002:bool" and text.lower() not in ("true", "false"):
        return f"YAML reads the bare word {text} as a boolean; write '{text}' for the word, or true or false"
    if node.tag == "tag:yaml.org,2002:str" and _EXPONENT.fullmatch(text):
        return f"YAML reads {text} as text, not as a number; write {_write_float(float(text))}"
    return None


def _write_float(number: float) -> str:
    """A number as YAML reads it back: the mantissa has a dot, the exponent a sign."""
    text = repr(number)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"
