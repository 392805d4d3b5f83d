"""What a page shows of each trial's parameters, from the effective configuration that the journal has."""

from collections.abc import Mapping, Sequence
from typing import Any

from rfe.formatting import format_value
from rfe.search_space.dimensions import POOL_PREFIX, Dimension, Value

POOL = "pool"


def shown_parameters(space: Sequence[str]) -> tuple[str, ...]:
    """The parameters of a space as columns: the pool's one dimension for each encoder make one."""
    names = [name for name in space if not name.startswith(POOL_PREFIX)]
    return tuple([POOL, *names] if len(names) < len(space) else names)


def find_value(config: Mapping[str, Any], name: str) -> Any:
    """The configuration's value of a parameter, also of one encoder's (`data.standardize.voice`).

    Raises:
        KeyError: it does not count in this configuration.
    """
    if name in config:
        return config[name]
    field, _, encoder = name.rpartition(".")
    values = config[field]
    if not isinstance(values, Mapping):
        raise KeyError(name)
    return values[encoder]


def counted_in(config: Mapping[str, Any], dimensions: Sequence[Dimension]) -> dict[str, Value]:
    """The dimensions that count in a configuration, with their values; those of the pool as yes or no."""
    counted: dict[str, Value] = {}
    for dimension in dimensions:
        name = dimension.name
        if name.startswith(POOL_PREFIX):
            pool = config.get(POOL, ())
            counted[name] = pool == "all" or name.removeprefix(POOL_PREFIX) in pool
            continue
        try:
            value = find_value(config, name)
        except KeyError:
            continue
        if not isinstance(value, list | dict) and dimension.holds(value):
            counted[name] = value
    return counted


def plain_value(value: Any) -> float | int | str:
    """A number as it is, else text: a list with plus signs, `yes`, `no`, `none`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return format_value(value, joint="+") or "none"
