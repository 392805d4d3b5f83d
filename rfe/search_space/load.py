"""Search-space files and `--set` values into a checked `SearchSpace`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rfe.config.fields import FIELDS, SECTIONS, locate, problems_of
from rfe.config.load import flatten_names, set_field
from rfe.config.reading import parse_overrides, read_yaml, with_overrides, write_yaml
from rfe.errors import ConfigError, gather
from rfe.search_space.check import space_problems
from rfe.search_space.schema import SearchSpace
from rfe.suggestions import unknown


def load_space(source: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> SearchSpace:
    """Load a search space from a YAML file or a mapping, and check all of it before trials run.

    Args:
        source: a file's path, or what such a file holds.
        overrides: `name=value`, as given with `--set`. A configuration's field is fixed at the value (and no longer
            searched); a field of the space (`budget.trials`, `cohort`) is set; `space.NAME={...}` searches a field.

    Raises:
        ConfigError: every unknown name, wrong type, wrong bound, and combination of values that no configuration
            allows. Names of encoders are checked by `resolve`, which knows the data.

    Examples:
        >>> space = load_space({"study": "first", "space": {"model.n_kept": {"int": [1, 3]}}}, ["budget.trials=20"])
        >>> space.budget.trials, list(space.space)
        (20, ['model.n_kept'])
    """
    if isinstance(source, Mapping):
        given, heading, text = dict(source), "search space", write_yaml(dict(source))
    else:
        given, heading = read_yaml(Path(source)), with_overrides(str(source), overrides)
        text = Path(source).read_text(encoding="utf-8")
    base = given.get("base") or {}
    problems = [] if isinstance(base, Mapping) else ["base: must be a map of fixed fields, e.g. {train.epochs: 30}"]
    fields, found = flatten_names(base) if isinstance(base, Mapping) else ({}, [])
    problems += [f"base: {problem}" for problem in found]
    given = {**given, "base": fields, "space": _join_names(given.get("space") or {})}
    problems += _apply(given, parse_overrides(list(overrides)))
    shape = problems_of(SearchSpace, given)
    gather([*problems, *shape], ConfigError, heading)
    space = SearchSpace.model_validate(given).with_source(text)
    gather(space_problems(space), ConfigError, heading)
    return space


def _apply(given: dict[str, Any], overrides: Mapping[str, Any]) -> list[str]:
    """Put the overrides into a file's fields; returns sentences on those that name nothing."""
    problems = []
    for name, value in overrides.items():
        top, _, rest = name.partition(".")
        if locate(name) is not None or (top == "base" and rest):
            field = rest if top == "base" else name
            problems += [f"--set {problem}" for problem in set_field(given["base"], field, value)]
            given["space"] = _without(given["space"], field)
            if isinstance(given.get("first_trials"), list):
                given["first_trials"] = [_without(trial, field) for trial in given["first_trials"]]
        elif top == "space" and rest:
            given["base"].pop(rest, None)
            if isinstance(given["space"], dict):
                given["space"][rest] = value
        elif top in SearchSpace.model_fields and top not in ("base", "space"):
            given[top] = value if not rest else {**(given.get(top) or {}), rest: value}
        else:
            known = [*FIELDS, *SECTIONS, *_space_names()]
            problems.append(f"--set {unknown('field', name, known)}")
    return problems


def _join_names(lines: Any, prefix: str = "") -> Any:
    """Searched fields by dotted name, also where sections were nested; what is no map is left for the schema to say."""
    if not isinstance(lines, Mapping):
        return lines
    joined: dict[str, Any] = {}
    for key, line in lines.items():
        name = f"{prefix}{key}"
        joined |= _join_names(line, f"{name}.") if name in SECTIONS and isinstance(line, Mapping) else {name: line}
    return joined


def _without(value: Any, name: str) -> Any:
    return {key: one for key, one in value.items() if key != name} if isinstance(value, dict) else value


def _space_names() -> list[str]:
    names = []
    for name, field in SearchSpace.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        names += [f"{name}.{one}" for one in inner] if inner else [name]
    return names
