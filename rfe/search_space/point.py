"""A configuration that a user asks for, as a point of the study's space: a value for each parameter."""

from collections.abc import Mapping
from typing import Any

from rfe.config.fields import check_value, locate, unknown_field
from rfe.config.load import build_config, field_values, set_field
from rfe.config.reading import describe_value
from rfe.config.schema import Config
from rfe.errors import ConfigError, gather
from rfe.search_space.dimensions import POOL_PREFIX, Dimension, ResolvedSpace, Value
from rfe.search_space.effective import base_values, effective_config, find_point, look_up, normalize
from rfe.suggestions import unknown


def point_of_values(resolved: ResolvedSpace, values: Mapping[str, Any], heading: str = "--set") -> dict[str, Value]:
    """Some values of searched fields by dotted name, `pool` as a list of encoders, as part of a point.

    Args:
        resolved: the space.
        values: what is asked for; parameters that are not named are left to the sampler.
        heading: names the source in messages.

    Raises:
        ConfigError: a name that is no field, a field that the space fixes at another value, a value outside its range,
            or values that do not go together; all of them at once.

    Examples:
        >>> from rfe.search_space import load_space, resolve
        >>> lines = {"pool": {"subset": "all"}, "model.n_kept": {"int": [1, 2]}}
        >>> resolved = resolve(load_space({"study": "first", "space": lines}), ["voice", "face"])
        >>> point_of_values(resolved, {"pool": ["voice"], "model.n_kept": 1})
        {'pool.face': False, 'pool.voice': True, 'model.n_kept': 1}
    """
    dimensions = {one.name: one for one in resolved.dimensions}
    problems: list[str] = []
    point: dict[str, Value] = {}
    for name, value in values.items():
        if name == "pool" and resolved.pool_encoders:
            found, chosen = _pool_of(resolved, value)
            problems += found
            point |= chosen
        elif name in dimensions and not name.startswith(POOL_PREFIX):
            problems += _outside(dimensions[name], value)
            point[name] = value
        else:
            problems += _fixed_elsewhere(resolved, name, value)
    gather(problems, ConfigError, heading)
    if point.keys() == dimensions.keys():
        effective_config(resolved, point)  # values that do not go together
    return point


def point_of_config(resolved: ResolvedSpace, fields: Mapping[str, Any], heading: str) -> dict[str, Value]:
    """A whole configuration as a point: what `fields` leaves out is as in the space's base, or at its default.

    Args:
        resolved: the space.
        fields: field name -> value, maps by encoder whole.
        heading: names the source in messages.

    Raises:
        ConfigError: it is no configuration, or none of the space: lists the conflicting fields.
    """
    values = base_values(resolved)
    for name, value in fields.items():
        values[name] = value
    config = normalize(build_config(values, heading), resolved.encoders)
    point = find_point(resolved, config)
    if point is not None:
        return point
    gather([*_outside_config(resolved, config), *_differences(resolved, config)][:8], ConfigError, heading)
    raise ConfigError(f"{heading}: no point of the study's space trains this configuration; change what it searches")


def _pool_of(resolved: ResolvedSpace, value: Any) -> tuple[list[str], dict[str, Value]]:
    known = resolved.pool_encoders
    chosen = known if value == "all" else value
    if not isinstance(chosen, list | tuple) or not all(isinstance(one, str) for one in chosen):
        return [f"pool: {describe_value(value)} is no list of encoders; write pool=[{known[0]}]"], {}
    dimensions = {one.name: one for one in resolved.dimensions}
    problems = [f"pool: {unknown('encoder', one, known)}" for one in chosen if one not in known]
    for encoder in known:
        dimension = dimensions[POOL_PREFIX + encoder]
        if not dimension.holds(encoder in chosen):
            fixed = "always in" if True in dimension.choices else "no longer in"
            problems.append(f"pool: {encoder} is {fixed} the pool of this study; write the list accordingly")
    if len(chosen) < resolved.min_size:
        problems.append(f"pool: has {len(chosen)} encoders, and the study's pools have at least {resolved.min_size}")
    return problems, {POOL_PREFIX + encoder: encoder in chosen for encoder in known}


def _outside(dimension: Dimension, value: Any) -> list[str]:
    if dimension.holds(value):
        return []
    said = f"{dimension.name}: {describe_value(value)} is not among what is searched ({dimension.describe()})"
    return [f"{said}; choose one that is"]


def _fixed_elsewhere(resolved: ResolvedSpace, name: str, value: Any) -> list[str]:
    if locate(name) is None:
        return [unknown_field(name)]
    if (reason := check_value(name, value)) is not None:
        return [f"{name}: {reason}"]
    values = base_values(resolved)
    changed = dict(values)
    if (problems := set_field(changed, name, value)) or changed == values:
        return problems
    before = values[(locate(name) or (name, None))[0]]
    return [
        f"{name}: is not searched in this study, where it is {describe_value(before)}; leave it out, or search it in a "
        "new study"
    ]


def _outside_config(resolved: ResolvedSpace, config: Config) -> list[str]:
    """Fields whose value the space does not hold."""
    values = field_values(config)
    problems = []
    for dimension in resolved.dimensions:
        if dimension.name.startswith(POOL_PREFIX):
            continue
        value = look_up(values, dimension.name)
        if not dimension.holds(value) and not (dimension.name == "model.n_kept" and value == "all"):
            problems += _outside(dimension, value)
    return problems


def _differences(resolved: ResolvedSpace, config: Config) -> list[str]:
    """Fields that are fixed at another value."""
    searched = {(locate(one.name) or (one.name, None))[0] for one in resolved.dimensions}
    searched |= {"pool"} if resolved.pool_encoders else set()
    mine, base = field_values(config), field_values(normalize(resolved.base, resolved.encoders))
    return [
        f"{name}: is {describe_value(mine[name])} here and {describe_value(base[name])} in every trial of the study; "
        "leave it out"
        for name in mine
        if name not in searched and mine[name] != base[name]
    ]
