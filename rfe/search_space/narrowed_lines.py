"""A space as it was narrowed, as a file would have it: to be narrowed further by changing a line."""

from typing import Any

from rfe.search_space.dimensions import POOL_PREFIX, Dimension, ResolvedSpace
from rfe.search_space.narrowing import kept_encoders
from rfe.search_space.schema import DimensionSpec, SearchSpace


def narrowed_lines(space: SearchSpace, now: ResolvedSpace) -> dict[str, Any]:
    """`study`, `base` and `space` of the study's space with the ranges of now; what has one value left stands in the
    base, what can no longer count nowhere.

    Args:
        space: as the study was started.
        now: the same, resolved and perhaps narrowed.
    """
    dimensions = {one.name: one for one in now.dimensions if not one.name.startswith(POOL_PREFIX)}
    base: dict[str, Any] = dict(space.base)
    lines: dict[str, Any] = {}
    for name, spec in space.space.items():
        if name == "pool":
            pool = [one for one in now.dimensions if one.name.startswith(POOL_PREFIX)]
            kept = list(kept_encoders(now))
            if all(len(one.choices) == 1 for one in pool):
                base["pool"] = kept
            else:
                lines["pool"] = {"subset": kept, "min_size": now.min_size}
            continue
        dimension = dimensions[name]
        if (value := _only_value(dimension)) is not None:
            base[name] = value[0]
        elif (when := _when(spec, dimensions)) is not None:
            lines[name] = _line(dimension) | ({"when": when} if when else {})
    return {"study": space.study, "base": base, "space": lines}


def _only_value(dimension: Dimension) -> tuple[Any] | None:
    corners = dimension.corners()
    return (corners[0],) if all(one == corners[0] for one in corners) else None


def _line(dimension: Dimension) -> dict[str, Any]:
    if dimension.kind == "choice":
        return {"choice": list(dimension.choices)}
    step = {} if dimension.step is None else {"step": dimension.step}
    return {dimension.kind: list(dimension.corners()), "log": dimension.log, **step}


def _when(spec: DimensionSpec, dimensions: dict[str, Dimension]) -> dict[str, Any] | None:
    """The condition, as far as it can still hold; None where it cannot."""
    found: dict[str, Any] = {}
    for field, allowed in spec.when.items():
        values = allowed if isinstance(allowed, list) else [allowed]
        parent = dimensions.get(field)
        held = [one for one in values if parent is None or parent.holds(one)]
        if not held:
            return None
        found[field] = held
    return found
