"""Optuna's study of a narrowed space: made of the study's trials that lie inside, for the sampler alone.

The study itself keeps all its trials and its wide ranges; a sampler sees these ones, in the ranges of now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from rfe.journal.asking import LearntTrial
from rfe.search_space import ResolvedSpace
from rfe.search_space.dimensions import Value
from rfe.search_space.narrowing import fill_pool, lies_inside
from rfe.study.definition import StudyDefinition
from rfe.study.distinct import FIXED
from rfe.study.rebuild import create_study, freeze_learnt, freeze_trial
from rfe.study.samplers import build_distributions, sampler_state
from rfe.study.trials import TrialRow


class Teaching:
    """The trials that a sampler learns from in a narrowed space.

    Args:
        narrowed: the space.
        definition: of the study.
        first: number of the first trial that was asked for in it. What an evolutionary sampler kept with earlier ones
            is of the wide space, so that it begins a new population.
    """

    def __init__(self, narrowed: ResolvedSpace, definition: StudyDefinition, first: int) -> None:
        self.narrowed, self._definition, self._first = narrowed, definition, first
        self.distributions: dict[str, BaseDistribution] = build_distributions(narrowed)

    def open(self, rows: Iterable[TrialRow], learnt: Iterable[LearntTrial], sampler: BaseSampler) -> "TaughtSampler":
        """The sampler, taught by those trials that lie inside.

        Args:
            rows: the study's trials.
            learnt: those of another study that it learnt from.
            sampler: proposes points with `distributions`.
        """
        study = create_study(self._definition, sampler=sampler)
        known = (one for one in learnt if one.values is not None and lies_inside(self.narrowed, one.params))
        study.add_trials(freeze_learnt(one, self.distributions) for one in known)
        study.add_trials(
            self._freeze(row) for row in rows if row.state != "failed" and lies_inside(self.narrowed, row.params)
        )
        return TaughtSampler(study, self.narrowed, self.distributions)

    def _freeze(self, row: TrialRow) -> FrozenTrial:
        kept = row.sampler if row.number >= self._first else {}
        return freeze_trial(replace(row, sampler=kept), self._definition, self.distributions)


class TaughtSampler:
    """One cohort's proposals; see `Teaching.open`."""

    def __init__(
        self, study: optuna.Study, narrowed: ResolvedSpace, distributions: Mapping[str, BaseDistribution]
    ) -> None:
        self._study, self._narrowed, self._distributions = study, narrowed, dict(distributions)

    def propose(self, fixed: Mapping[str, Value]) -> dict[str, Value]:
        """The next point, a value for every parameter; `fixed` are values that it must have."""
        if fixed:
            self._study.enqueue_trial(dict(fixed), user_attrs={FIXED: dict(fixed)})
        return fill_pool(self._narrowed, self._study.ask(self._distributions).params)

    def last_state(self) -> dict[str, Any]:
        """What the sampler keeps with its last proposal."""
        last = self._study.get_trials(deepcopy=False)[-1]
        return sampler_state(last.system_attrs, last.number)
