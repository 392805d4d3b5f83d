"""What can be found wrong in a search space before the data are known."""

from collections.abc import Mapping
from typing import Any

from rfe.config.fields import FIELDS, check_value, locate, nest_names, problems_of, unknown_field
from rfe.config.reading import describe_value
from rfe.config.schema import Config
from rfe.search_space.dimensions import Dimension, Value
from rfe.search_space.schema import DimensionSpec, SearchSpace
from rfe.suggestions import unknown


def space_problems(space: SearchSpace) -> list[str]:
    """Sentences on unknown names, bounds outside the schema's, `when` that cannot hold, and wrong first trials."""
    problems = [f"base.{problem}" for problem in problems_of(Config, nest_names(space.base), cross_checks=False)]
    for name, spec in space.space.items():
        problems += [f"space.{name}: {problem}" for problem in _dimension_problems(name, spec, space)]
    for name, changes in space.arms.items():
        problems += [
            f"arms.{name}.{field}: {reason}"
            for field, value in changes.items()
            if (reason := check_value(field, value) if locate(field) else unknown_field(field))
        ]
    if problems:
        return problems
    for index, trial in enumerate(space.first_trials):
        for name, value in trial.items():
            problems += [f"first_trials[{index}].{name}: {problem}" for problem in _first_problems(name, value, space)]
    return problems + _cycles(space) + _sampler_problems(space)


def dimension_of(name: str, spec: DimensionSpec) -> Dimension:
    """The parameter that a line with `int`, `float` or `choice` describes.

    Examples:
        >>> dimension_of("model.n_kept", DimensionSpec(int=[1, 3])).corners()
        (1, 3)
    """
    when = tuple((field, tuple(v) if isinstance(v, list) else (v,)) for field, v in spec.when.items())
    if spec.choice is not None:
        return Dimension(name, "choice", choices=tuple(spec.choice), when=when)
    if spec.int_ is not None:
        low, high = spec.int_
        return Dimension(name, "int", low, high, log=spec.log, step=spec.step, when=when)
    assert spec.float_ is not None
    lowest, highest = spec.float_
    return Dimension(name, "float", float(lowest), float(highest), log=spec.log, step=spec.step, when=when)


def order_by_condition(dimensions: Mapping[str, Dimension]) -> tuple[list[Dimension], list[str]]:
    """(dimensions, each after those its `when` names; names of those that wait for one another in a circle)."""
    ordered: dict[str, Dimension] = {}
    waiting = dict(dimensions)
    while waiting:
        ready = [n for n, d in waiting.items() if all(field not in waiting for field, _ in d.when)]
        if not ready:
            return list(ordered.values()), sorted(waiting)
        for name in ready:
            ordered[name] = waiting.pop(name)
    return list(ordered.values()), []


def _dimension_problems(name: str, spec: DimensionSpec, space: SearchSpace) -> list[str]:
    if name == "pool" and spec.subset is None:
        return ["is searched with subset, e.g. {subset: all, min_size: 2}"]
    if locate(name) is None:
        return [unknown_field(name)]
    if name in space.base:
        return ["stands under base and under space; leave one out"]
    if spec.subset is not None:
        if name != "pool":
            return ["subset goes with pool only"]
        if isinstance(spec.subset, list) and (spec.min_size or 1) > len(spec.subset):
            return [f"min_size {spec.min_size} is more than the {len(spec.subset)} encoders of the subset"]
        return []
    parent = locate(name)
    if parent is not None and parent[1] is not None and parent[0] in space.space:
        return [f"is searched for one encoder while {parent[0]} is searched for all; leave one out"]
    problems = []
    for value in dimension_of(name, spec).corners():
        reason = check_value(name, value)
        if reason is not None:
            problems.append(reason)
    return problems + [
        problem for field, allowed in spec.when.items() for problem in _when(name, field, allowed, space)
    ]


def _when(name: str, field: str, allowed: Value | list[Value], space: SearchSpace) -> list[str]:
    values = allowed if isinstance(allowed, list) else [allowed]
    if field == name:
        return ["when names the dimension itself"]
    if locate(field) is None or field == "pool":
        return [f"when: {unknown('field', field, [n for n in FIELDS if n != 'pool'])}"]
    if not values:
        return [f"when.{field}: the list is empty, so the dimension never counts; leave it out"]
    problems = [f"when.{field}: {reason}" for value in values if (reason := check_value(field, value)) is not None]
    parent = space.space.get(field)
    if parent is not None and not problems:
        dimension = dimension_of(field, parent)
        if dimension.kind == "float":
            return [f"when.{field}: is searched as a float range, which hits no value exactly; use a choice"]
        problems += [
            f"when.{field}: {describe_value(value)} is not among what is searched ({dimension.describe()})"
            for value in values
            if not dimension.holds(value)
        ]
    return problems


def _first_problems(name: str, value: Any, space: SearchSpace) -> list[str]:
    spec = space.space.get(name)
    if spec is None:
        return [f"{unknown('searched field', name, space.space)} (what is fixed goes under base)"]
    if name == "pool":
        return [] if value == "all" or isinstance(value, list) else [f"{describe_value(value)} is no list of encoders"]
    dimension = dimension_of(name, spec)
    if dimension.holds(value):
        return []
    return [f"{describe_value(value)} is not among what is searched ({dimension.describe()})"]


def _sampler_problems(space: SearchSpace) -> list[str]:
    dimensions = [dimension_of(name, spec) for name, spec in space.space.items() if spec.subset is None]
    if space.sampler.kind == "grid":
        return [
            f"space.{one.name}: a float range ({one.describe()}) has infinitely many values, and sampler.kind is grid; "
            "give it a step, or a choice instead"
            for one in dimensions
            if one.kind == "float" and one.step is None
        ]
    if space.sampler.kind == "cmaes" and sum(one.kind != "choice" for one in dimensions) < 2:
        return ["sampler.kind: cmaes learns of int and float dimensions only and needs two of them; use tpe"]
    return []


def _cycles(space: SearchSpace) -> list[str]:
    dimensions = {name: dimension_of(name, spec) for name, spec in space.space.items() if spec.subset is None}
    circle = order_by_condition(dimensions)[1]
    return [f"space: when goes round in a circle among {', '.join(circle)}"] if circle else []
