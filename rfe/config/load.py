"""Files, mappings and `--set` values into a checked configuration, and back."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rfe.config.fields import FIELDS, MAP_FIELDS, locate, nest_names, problems_of, unknown_field
from rfe.config.reading import describe_value, parse_overrides, read_yaml, with_overrides, write_yaml
from rfe.config.schema import Config
from rfe.errors import ConfigError, gather


def load_config(source: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """The configuration of a YAML file or a mapping; names may be nested, dotted, or both.

    Args:
        source: a file's path, or what such a file holds.
        overrides: `name=value`, as given with `--set`; they win.

    Raises:
        ConfigError: every unknown name, wrong type and wrong bound, with the field, the value and what would be right.
    """
    heading = "configuration" if isinstance(source, Mapping) else with_overrides(str(source), overrides)
    given = source if isinstance(source, Mapping) else read_yaml(Path(source))
    if "study" in given or "space" in given:
        raise ConfigError(
            f"{heading}: has study or space, so it is a search space and no configuration; search it with `rfe search`"
        )
    fields, problems = flatten_names(given)
    for name, value in parse_overrides(list(overrides)).items():
        problems += [f"--set {problem}" for problem in set_field(fields, name, value)]
    return build_config(fields, heading, problems)


def build_config(fields: Mapping[str, Any], heading: str, problems: Sequence[str] = ()) -> Config:
    """The configuration of values by field name (maps by encoder whole); `problems` found before are reported too."""
    nested = nest_names(fields)
    if not problems:
        with suppress(ValidationError):  # said below, in sentences
            return Config.model_validate(nested)
    gather([*problems, *problems_of(Config, nested)], ConfigError, heading)
    return Config.model_validate(nested)


def change_config(config: Config, changes: Mapping[str, Any], heading: str = "configuration") -> Config:
    """`config` with the fields of `changes` (dotted name -> value) replaced, checked again as a whole.

    Raises:
        ConfigError: as `load_config`.
    """
    fields = field_values(config)
    problems = [problem for name, value in changes.items() for problem in set_field(fields, name, value)]
    return build_config(fields, heading, problems)


def flatten_names(given: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """(value by field name, problems) of a mapping with nested and dotted names.

    A map by encoder stays whole (`{"data.standardize": {"mfcc": "fold"}}`), also where its entries came one by one.
    """
    fields: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in given.items():
        name = f"{prefix}{key}"
        located = locate(name)
        if located is not None:
            found: dict[str, Any] = {located[0]: value if located[1] is None else {located[1]: value}}
        elif any(field.startswith(name + ".") for field in FIELDS):
            if not isinstance(value, Mapping):
                inside = [field for field in FIELDS if field.startswith(name + ".")]
                problems.append(f"{name}: {describe_value(value)} is not a map; its fields are {', '.join(inside)}")
                continue
            found, inner = flatten_names(value, name + ".")
            problems += inner
        else:
            problems.append(unknown_field(name))
            continue
        for field, one in found.items():
            old = fields.get(field)
            if field not in fields:
                fields[field] = one
            elif isinstance(old, Mapping) and isinstance(one, Mapping) and not set(old) & set(one):
                fields[field] = {**old, **one}
            else:
                problems.append(f"{field}: is given twice, nested and dotted; leave one of the two out")
    return fields, problems


def set_field(fields: dict[str, Any], name: str, value: Any) -> list[str]:
    """Put `value` under `name` in values by field name; returns sentences on why it cannot be."""
    located = locate(name)
    if located is None:
        return [unknown_field(name)]
    field, entry = located
    if entry is None:
        fields[field] = value
        return []
    old = fields.get(field, {})
    if not isinstance(old, Mapping):
        if old is not None:
            return [f"{name}: {field} is {describe_value(old)} for every encoder; set {field} to a whole map instead"]
        old = {}
    fields[field] = {**old, entry: value} if value is not None else {k: v for k, v in old.items() if k != entry}
    return []


def field_values(config: Config) -> dict[str, Any]:
    """Field name -> value, maps by encoder whole."""
    return dict(zip(FIELDS, _VALUES_OF(config), strict=True))


_VALUES_OF = attrgetter(*FIELDS)


def flatten(config: Config) -> dict[str, Any]:
    """Dotted name -> plain value (a map by encoder gives one entry each); `load_config` reads it back."""
    flat: dict[str, Any] = {}
    for name, value in field_values(config).items():
        if name in MAP_FIELDS and isinstance(value, dict) and value:
            flat |= {f"{name}.{encoder}": value[encoder] for encoder in sorted(value)}
        else:
            flat[name] = value
    return flat


def dump_config(config: Config) -> str:
    """The configuration as YAML that `load_config` reads back to an equal one."""
    values = config.model_dump()
    text = repr(values)  # which escapes line ends and characters that cannot be printed
    return write_yaml(values, plain=text.isascii() and "\\" not in text)
