"""Samplers that look at the effective configuration of what they propose, so that no trial is a copy of another."""

from itertools import islice
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from rfe.config.identity import config_id
from rfe.errors import ConfigError
from rfe.search_space import ResolvedSpace, effective_config, grid_points
from rfe.search_space.dimensions import Value

FIXED = "fixed"
"""User attribute of a trial with parameters that were chosen beforehand: these."""
PROPOSALS = 2
"""How often a sampler is asked for one trial before a random point takes the place of what it proposes."""
DRAWS = 10
"""How many random points are tried before a duplicate is accepted: few new points are then left in the space."""
MOST_COUNTED = 2000
"""A grid of more configurations is not counted before it is searched."""

Params = dict[str, Any]


class Known:
    """The effective configurations of a study's trials, however these ended."""

    def __init__(self, resolved: ResolvedSpace) -> None:
        self._resolved = resolved
        self.ids: set[str | None] = set()
        self._last: tuple[str, str | None] = ("", None)
        """The point identified last, as text, and its id: what is proposed is added next."""

    def add(self, params: Params) -> None:
        """Add a trial that was asked for."""
        self.ids.add(self.identify(params))

    def identify(self, params: Params) -> str | None:
        """The configuration id of a point, which has a value for every dimension; None if they do not go together."""
        text = repr(sorted(params.items()))
        if text != self._last[0]:
            try:
                self._last = text, config_id(effective_config(self._resolved, params))
            except ConfigError:
                self._last = text, None
        return self._last[1]


class DistinctSampler(BaseSampler):  # type: ignore[misc]  # Optuna is untyped here
    """Proposes what another sampler does, but asks it again for what the study has, and then draws at random.

    Which trials ended, and how, is not looked at, so that random search draws the same,
    whichever trial ends first.

    Args:
        sampler: proposes.
        seed: of the random draws; not the sampler's own, whose random draws would come again.
        distributions: of all parameters.
        known: what the study has.
    """

    def __init__(
        self, sampler: BaseSampler, seed: int, distributions: dict[str, BaseDistribution], known: Known
    ) -> None:
        self._sampler, self._random = sampler, RandomSampler(seed=seed)
        self._distributions, self._known = distributions, known
        self.drew_at_random = False
        """Whether the last point was drawn evenly from the whole space, as nothing is learnt yet or no longer new."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        fixed = trial.user_attrs.get(FIXED, {})
        first: Params = {}
        for sampler in (self._sampler,) * PROPOSALS + (self._random,) * DRAWS:
            params, at_random = self._propose(sampler, study, trial)
            if not first:
                first, self.drew_at_random = params, at_random
            identity = self._known.identify({**params, **fixed})
            if identity is None or identity not in self._known.ids:
                self.drew_at_random = at_random
                return params
        return first

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def _propose(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> tuple[Params, bool]:
        """A point, and whether all of it was drawn independently."""
        space = sampler.infer_relative_search_space(study, trial)
        params = sampler.sample_relative(study, trial, space)
        at_random = not params
        for name, distribution in self._distributions.items():
            if distribution.single():
                params[name] = _only_value(distribution)
            elif name not in params:
                params[name] = sampler.sample_independent(study, trial, name, distribution)
        return dict(params), at_random


class GridSampler(BaseSampler):  # type: ignore[misc]
    """Proposes each effective configuration of the space that the study does not have, in the grid's order."""

    def __init__(self, resolved: ResolvedSpace, distributions: dict[str, BaseDistribution], known: Known) -> None:
        n = sum(1 for _ in islice(grid_points(resolved), MOST_COUNTED + 1))
        self.size = n if n <= MOST_COUNTED else None
        """How many configurations the grid has; None: more than are worth counting."""
        self._points = grid_points(resolved)
        self._distributions, self._known = distributions, known
        self._next: tuple[dict[str, Value], str] | None = next(self._points, None)

    def next_point(self) -> dict[str, Value] | None:
        """The next proposal; None when the study has all points."""
        while self._next is not None and self._next[1] in self._known.ids:
            self._next = next(self._points, None)
        return None if self._next is None else self._next[0]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        # a first trial that names every field is asked for also when the grid is exhausted
        return self.next_point() or {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return RandomSampler(seed=trial.number).sample_independent(study, trial, param_name, param_distribution)


def _only_value(distribution: BaseDistribution) -> Any:
    return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low
