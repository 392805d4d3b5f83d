"""A smaller space for a study that has begun: which ranges are narrower, and which points lie inside.

A narrowed space has the study's own parameters, in the study's order and with the study's conditions; only their ranges
are smaller. So a point of it is a point of the study, trains the same configuration, and keeps its identity.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rfe.config.fields import locate
from rfe.config.load import field_values
from rfe.config.reading import describe_value
from rfe.errors import ConfigError, gather
from rfe.search_space.dimensions import POOL_PREFIX, Dimension, ResolvedSpace, Value
from rfe.search_space.effective import base_values, look_up, repair_pool
from rfe.search_space.resolve import resolve
from rfe.search_space.schema import SearchSpace


def narrowed_dimensions(before: ResolvedSpace, after: ResolvedSpace) -> list[Dimension]:
    """The dimensions of `before` whose ranges `after` has smaller."""
    return [old for old, new in zip(before.dimensions, after.dimensions, strict=True) if old != new]


def narrow_space(now: ResolvedSpace, smaller: SearchSpace) -> ResolvedSpace:
    """The study's space `now` with the ranges of `smaller`, of which `space` and `base` count.

    A parameter becomes narrower when its new choices are some of the old ones, its new range lies in the old one (of
    the same kind, on the same scale, on the old steps), or `smaller` names it in its base with a value it had. A
    parameter that can no longer count in any configuration need not be named.

    Args:
        now: the study's space, perhaps narrowed before.
        smaller: as its file has it.

    Raises:
        ConfigError: it is not narrower, with every reason; nothing becomes narrower; or as `resolve`.
    """
    wanted = resolve(smaller, now.encoders)
    fixed = base_values(wanted)
    searched = {one.name: one for one in wanted.dimensions}
    problems = [*_base_problems(now, wanted), *_new_dimensions(now, wanted), *_pool_problems(now, wanted)]
    narrowed: dict[str, Dimension] = {}
    possible: dict[str, tuple[Value, ...]] = {}
    """Field -> the values it can have, where these are few; parents come before what depends on them."""
    for old in now.dimensions:
        new = searched.get(old.name)
        if new is None:
            value = _fixed_value(old, fixed, wanted)
            if not old.name.startswith(POOL_PREFIX) and _never_counts(old, possible):
                narrowed[old.name] = old
                continue
            problems += _fixed_problems(old, value, smaller)
            new = _fixed_at(old, value)
        else:
            problems += [f"space.{old.name}: {one}" for one in _range_problems(old, new)]
            problems += _when_problems(old, new, possible, fixed)
        kept = tuple(one for one in old.choices if new.holds(one))  # in the study's order
        narrowed[old.name] = replace(old, low=new.low, high=new.high, step=new.step, choices=kept)
        if old.kind == "choice":
            possible[old.name] = kept
        elif old.kind == "int" and new.low is not None and new.high is not None:
            possible[old.name] = tuple(range(int(new.low), int(new.high) + 1, int(new.step or 1)))
    gather(problems, ConfigError, "not narrower")
    result = replace(now, dimensions=tuple(narrowed[one.name] for one in now.dimensions))
    if result.dimensions == now.dimensions:
        raise ConfigError("not narrower: every parameter keeps its range; make at least one of them smaller")
    return result


def lies_inside(narrowed: ResolvedSpace, params: Mapping[str, Value]) -> bool:
    """Whether a point of the study is one of the narrowed space too: it has a value in each range, and its pool (also
    what `min_size` filled it up with) no encoder that was taken out."""
    if not all(one.name in params and one.holds(params[one.name]) for one in narrowed.dimensions):
        return False
    return set(repair_pool(narrowed, params)) <= set(kept_encoders(narrowed)) if narrowed.pool_encoders else True


def fill_pool(narrowed: ResolvedSpace, params: Mapping[str, Value]) -> dict[str, Value]:
    """The point with at least `min_size` encoders chosen among those that are left, so that the study's own rule, which
    fills up with any encoder, has nothing to add."""
    filled = dict(params)
    missing = [encoder for encoder in kept_encoders(narrowed) if not filled[POOL_PREFIX + encoder]]
    n_chosen = sum(bool(filled[POOL_PREFIX + encoder]) for encoder in narrowed.pool_encoders)
    for encoder in missing[: max(0, narrowed.min_size - n_chosen)]:
        filled[POOL_PREFIX + encoder] = True
    return filled


def kept_encoders(narrowed: ResolvedSpace) -> tuple[str, ...]:
    """Encoders that the pool may still hold, in order."""
    dimensions = {one.name: one for one in narrowed.dimensions}
    return tuple(one for one in narrowed.pool_encoders if True in dimensions[POOL_PREFIX + one].choices)


def range_dict(dimension: Dimension) -> dict[str, Any]:
    """A parameter's range as plain values, for the journal."""
    return {"low": dimension.low, "high": dimension.high, "step": dimension.step, "choices": list(dimension.choices)}


def with_ranges(resolved: ResolvedSpace, ranges: Mapping[str, Mapping[str, Any]]) -> ResolvedSpace:
    """The space with ranges that `range_dict` wrote down; names it does not have are passed over."""

    def changed(one: Dimension) -> Dimension:
        kept = ranges.get(one.name)
        if kept is None:
            return one
        return replace(one, low=kept["low"], high=kept["high"], step=kept["step"], choices=tuple(kept["choices"]))

    return replace(resolved, dimensions=tuple(changed(one) for one in resolved.dimensions))


# ---- what makes a space not narrower


def _base_problems(now: ResolvedSpace, wanted: ResolvedSpace) -> Iterator[str]:
    """Fixed fields that differ; what the study searches may be fixed there."""
    searched = {(locate(one.name) or (one.name, None))[0] for one in now.dimensions}
    searched |= {"pool"} if now.pool_encoders else set()
    before, after = field_values(now.base), field_values(wanted.base)
    for name in before:
        if name not in searched and before[name] != after[name]:
            yield (
                f"base.{name}: is {describe_value(before[name])} in the study and {describe_value(after[name])} here; "
                "only what is searched can be narrowed: leave it as it was"
            )


def _new_dimensions(now: ResolvedSpace, wanted: ResolvedSpace) -> Iterator[str]:
    known = {one.name for one in now.dimensions}
    for one in wanted.dimensions:
        if one.name.startswith(POOL_PREFIX):
            if one.name not in known:
                yield (
                    f"space.pool: has encoder {one.name.removeprefix(POOL_PREFIX)}, which the study does not search; "
                    "take it out"
                )
        elif one.name not in known:
            yield f"space.{one.name}: is not searched in the study; take it out (a new study can search it)"


def _pool_problems(now: ResolvedSpace, wanted: ResolvedSpace) -> Iterator[str]:
    if now.pool_encoders and wanted.pool_encoders and now.min_size != wanted.min_size:
        yield (
            f"space.pool: min_size is {now.min_size} in the study and {wanted.min_size} here, which would change what "
            "its trials trained; leave it as it was"
        )


def _range_problems(old: Dimension, new: Dimension) -> Iterator[str]:
    if old.kind != new.kind:
        yield f"was {old.kind} and is {new.kind} here; narrow it as {old.kind}, or fix it at a value under base"
        return
    if old.kind == "choice":
        if outside := [one for one in new.choices if not old.holds(one)]:
            yield f"{_listed(outside)} is not among the study's {old.describe()}; take it out"
        return
    if old.log != new.log:
        yield f"was {'' if old.log else 'not '}sampled in the logarithm; leave log as it was"
    if old.low is None or old.high is None or new.low is None or new.high is None:
        return
    if new.low < old.low or new.high > old.high:
        yield f"{new.describe()} does not lie in the study's {old.describe()}; keep within it"
        return
    step = old.step or (1.0 if old.kind == "int" else None)
    mine = new.step or (1.0 if new.kind == "int" else None)
    if step is not None:
        strides = [(new.low - old.low) / step, *([] if mine is None else [mine / step])]
        if mine is None or any(abs(one - round(one)) > 1e-9 for one in strides):
            yield f"{new.describe()} is not on the steps of the study's {old.describe()}; keep to them"


def _when_problems(
    old: Dimension, new: Dimension, possible: Mapping[str, tuple[Value, ...]], fixed: Mapping[str, Any]
) -> Iterator[str]:
    """A condition may drop values that its field no longer has, and nothing else."""
    before, after = dict(old.when), dict(new.when)
    for field in sorted(before | after):
        values = possible.get(field, (fixed.get(field),))
        allowed = [{one for one in values if field not in when or one in when[field]} for when in (before, after)]
        if allowed[0] != allowed[1]:
            yield (
                f"space.{old.name}: when.{field} is not as in the study "
                f"({_listed(before.get(field, ())) or 'none'}); leave it as it was"
            )


def _never_counts(old: Dimension, possible: Mapping[str, tuple[Value, ...]]) -> bool:
    """Whether the condition of a parameter that is not named can no longer hold."""
    return any(field in possible and not set(possible[field]) & set(values) for field, values in old.when)


def _fixed_value(old: Dimension, fixed: Mapping[str, Any], wanted: ResolvedSpace) -> Value:
    if old.name.startswith(POOL_PREFIX):
        encoder = old.name.removeprefix(POOL_PREFIX)
        if wanted.pool_encoders:
            return False  # the new subset does not name it
        pool = wanted.base.pool
        return pool == "all" or encoder in pool
    value: Value = look_up(fixed, old.name)
    return value


def _fixed_problems(old: Dimension, value: Value, smaller: SearchSpace) -> Iterator[str]:
    if old.name.startswith(POOL_PREFIX):
        if not {"pool"} & (smaller.space.keys() | smaller.base.keys()):
            yield "space.pool: is not named; give it a subset under space, or a list of encoders under base"
        elif not old.holds(value):
            yield f"space.pool: encoder {old.name.removeprefix(POOL_PREFIX)} was fixed already; leave it as it was"
    elif (locate(old.name) or (old.name, None))[0] not in smaller.base:
        yield f"space.{old.name}: is not named; give it a range under space, or a value under base"
    elif not old.holds(value):
        yield (
            f"base.{old.name}: {describe_value(value)} is not among the study's {old.describe()}; fix it at one of them"
        )


def _fixed_at(old: Dimension, value: Value) -> Dimension:
    if old.kind == "choice":
        return replace(old, choices=(value,))
    if not isinstance(value, int | float) or not old.holds(value):
        return old  # refused already
    return replace(old, low=value, high=value, step=None if old.kind == "float" else old.step)


def _listed(values: Any) -> str:
    return ", ".join("null" if one is None else str(one) for one in values)
