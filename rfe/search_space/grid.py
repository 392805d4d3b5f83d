"""The effective configurations of a space without a continuous parameter, one after another."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from rfe.config.identity import config_id
from rfe.config.load import set_field
from rfe.errors import ConfigError
from rfe.search_space.dimensions import ARM, POOL_PREFIX, Dimension, ResolvedSpace, Value
from rfe.search_space.effective import active, base_values, effective_config


def grid_points(resolved: ResolvedSpace) -> Iterator[tuple[dict[str, Value], str]]:
    """(a value for every dimension, configuration id) of each effective configuration once, in a fixed order.

    The last dimension changes fastest, values ascend or are in the order of the choice. A dimension that does not count
    where it stands is not varied; points that no configuration allows are left out.
    Float ranges must have a `step`.

    Examples:
        >>> from rfe.search_space.load import load_space
        >>> from rfe.search_space.resolve import resolve
        >>> space = load_space({"study": "first", "space": {"model.n_kept": {"int": [1, 3]}}})
        >>> [params for params, _ in grid_points(resolve(space, ["face", "text"]))]  # keeping 3 of 2 is keeping 2
        [{'model.n_kept': 1}, {'model.n_kept': 2}]
    """
    values = {dimension.name: grid_values(dimension) for dimension in resolved.dimensions}
    seen: set[str] = set()
    for params in _points(resolved, values, {}, base_values(resolved)):
        try:
            identity = config_id(effective_config(resolved, params))
        except ConfigError:
            continue
        if identity not in seen:
            seen.add(identity)
            yield params, identity


def grid_values(dimension: Dimension) -> tuple[Value, ...]:
    """Every value of a dimension that has so many: a choice, an int range, a float range with a step.

    Examples:
        >>> grid_values(Dimension("model.dropout", "float", 0.0, 0.5, step=0.25))
        (0.0, 0.25, 0.5)
    """
    if dimension.kind == "choice":
        return dimension.choices
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.kind == "int":
        return tuple(range(int(dimension.low), int(dimension.high) + 1, int(dimension.step or 1)))
    assert dimension.step is not None
    low, step = Decimal(str(dimension.low)), Decimal(str(dimension.step))  # the writer of 0.1 + 2 x 0.1 means 0.3
    return tuple(float(low + i * step) for i in range(round((dimension.high - dimension.low) / dimension.step) + 1))


def _points(
    resolved: ResolvedSpace, values: Mapping[str, tuple[Value, ...]], params: dict[str, Value], fields: dict[str, Any]
) -> Iterator[dict[str, Value]]:
    """The points that go on from `params`, values of the first dimensions, which make these `fields`."""
    if len(params) == len(resolved.dimensions):
        yield params
        return
    dimension = resolved.dimensions[len(params)]
    name = dimension.name
    if name.startswith(POOL_PREFIX) or name == ARM:  # no `when` names the pool, nor an arm
        for value in values[name]:
            yield from _points(resolved, values, {**params, name: value}, fields)
    elif active(dimension, fields):
        for value in values[name]:
            changed = dict(fields)
            set_field(changed, name, value)
            yield from _points(resolved, values, {**params, name: value}, changed)
    else:
        yield from _points(resolved, values, {**params, name: values[name][0]}, fields)
