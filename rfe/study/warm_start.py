"""What a new study may learn from an old one: the complete trials whose configurations the new space holds too."""

from collections.abc import Iterable, Mapping

from rfe.config.fields import locate
from rfe.config.load import field_values
from rfe.errors import ConfigError, StudyError
from rfe.journal.asking import LearntTrial
from rfe.search_space import effective_config
from rfe.search_space.dimensions import POOL_PREFIX, Value
from rfe.study.definition import StudyDefinition
from rfe.study.trials import TrialRow

LEARNERS = ("tpe", "gp")
"""Samplers that learn from any finished trial; the generations of `nsga2` and `cmaes` are of their own trials."""


def earlier_trials(old: StudyDefinition, trials: Iterable[TrialRow], new: StudyDefinition) -> tuple[LearntTrial, ...]:
    """The old study's complete trials as points of the new one's space.

    A trial fits if the new space holds its parameters (what the old study did not search it had from its base), and if
    what either study searches comes to the same there; the rest of the two bases may differ.

    Args:
        old: the study learnt from.
        trials: of the old study.
        new: the study that learns.

    Raises:
        StudyError: it is the same study, the new one's sampler learns nothing from them, or none fits.
    """
    name, was = new.space.study, old.space.study
    if name == was:
        raise StudyError(f"--warm-start {was}: is the study itself; give the new one another name (--study NAME)")
    if new.space.sampler.kind not in LEARNERS:
        raise StudyError(
            f"--warm-start {was}: sampler.kind {new.space.sampler.kind} learns nothing from another study's trials; "
            f"use {' or '.join(LEARNERS)}"
        )
    found = []
    for trial in trials:
        if trial.state == "complete":
            params, values = _fitting(old, trial.params, new), _values(old, trial, new)
            if params is not None and values is not None:
                found.append(LearntTrial(f"{was}/{trial.number}", params, values))
    if not found:
        raise StudyError(
            f"--warm-start {was}: none of its trials fits study {name}; it must have complete trials whose parameters "
            "lie in the new space, of the same objectives"
        )
    return tuple(found)


def _fitting(old: StudyDefinition, trained: Mapping[str, Value], new: StudyDefinition) -> dict[str, Value] | None:
    """The old trial's point in the new space; None if it is outside."""
    try:
        then = field_values(effective_config(old.resolved, trained))
        base = field_values(old.resolved.base)
        params: dict[str, Value] = {}
        for dimension in new.resolved.dimensions:
            if dimension.name.startswith(POOL_PREFIX):
                params[dimension.name] = dimension.name.removeprefix(POOL_PREFIX) in then["pool"]
            elif dimension.name in trained or dimension.name in base:
                params[dimension.name] = trained.get(dimension.name, base.get(dimension.name))
        if not all(one.name in params and one.holds(params[one.name]) for one in new.resolved.dimensions):
            return None
        now = field_values(effective_config(new.resolved, params))
    except (ConfigError, KeyError):  # KeyError: an earlier version did not record the trial's parameters
        return None
    fields = {_field(one.name) for one in (*old.resolved.dimensions, *new.resolved.dimensions)}
    return params if all(then[field] == now[field] for field in fields) else None


def _values(old: StudyDefinition, trial: TrialRow, new: StudyDefinition) -> tuple[float, ...] | None:
    if trial.values is None or not set(new.space.objectives) <= set(old.space.objectives):
        return None
    known = dict(zip(old.space.objectives, trial.values, strict=False))
    return tuple(known[name] for name in new.space.objectives)


def _field(name: str) -> str:
    located = locate(name)
    return "pool" if located is None else located[0]
