"""Evolutionary samplers of Optuna's that keep nothing but the number of each trial's generation.

What they have learnt is a function of the study's complete trials, so that a study read from its journal draws what the
study in memory would.
"""

from collections import Counter
from typing import Any

import optuna
from optuna.samplers import CmaEsSampler, NSGAIISampler
from optuna.trial import FrozenTrial

CMAES_GENERATION, NSGA2_GENERATION = "cma:generation", "NSGAIISampler:generation"
"""System attributes of a trial."""


class ReplayedCmaEsSampler(CmaEsSampler):  # type: ignore[misc]  # Optuna is untyped here
    """CMA-ES whose distribution is replayed from the generations of the study's complete trials, at each proposal.

    Optuna's own keeps the distribution pickled in the trials. Unpickling a study of another user could run any code.

    The methods are private ones of Optuna's. Where a later version calls others, no pickle is read either, as
    `sampler_state` lets none through; only that a restart changes nothing would no longer hold, which a test shows.
    """

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> None:
        # by their ends: one that ends late does not change what its generation has taught
        self._complete = sorted(completed_trials, key=lambda trial: (trial.datetime_complete, trial.number))

    def _init_optimizer(self, trans: Any, direction: Any) -> Any:
        optimizer = super()._init_optimizer(trans, direction)
        if (begun := self._smallest_generation()) < optimizer.population_size:
            self._popsize = begun
            optimizer = super()._init_optimizer(trans, direction)
        while True:
            solutions = self._get_solution_trials(self._complete, optimizer.generation)[: optimizer.population_size]
            if len(solutions) < optimizer.population_size:
                return optimizer
            optimizer.tell([(trans.transform(one.params), -one.value) for one in solutions])  # studies maximise

    def _smallest_generation(self) -> float:
        """Trials of the smallest generation that is over: a larger population, set later, would never fill it."""
        generations = [one.system_attrs.get(CMAES_GENERATION) for one in self._complete]
        sizes = Counter(generation for generation in generations if generation is not None)
        last = max(sizes, default=0)
        return min((size for generation, size in sizes.items() if generation < last), default=float("inf"))


class RecomputedNSGAIISampler(NSGAIISampler):  # type: ignore[misc]
    """NSGA-II that selects each generation's parents again.

    Optuna's own keeps them with the study, as they were when the generation began, and hands them out in another order
    the first time: a study read from its journal has other parents where a trial of an earlier generation ended late.
    """

    @classmethod
    def _get_generation_key(cls) -> str:
        return NSGA2_GENERATION  # Optuna's own is of the class's name, and journals have this one

    def __init__(self, *, seed: int, population_size: int) -> None:
        super().__init__(seed=seed, population_size=population_size)
        self._parents: dict[int, list[FrozenTrial]] = {0: []}
        """Generation -> its parents. No trial ends while a sampler, built for one cohort, is in use."""

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        # ascending: selecting asks for the parents of the generation before
        for one in range(len(self._parents), generation + 1):
            self._parents[one] = sorted(self.select_parent(study, one), key=lambda trial: trial.number)
        return self._parents[generation]
