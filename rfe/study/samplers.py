"""Optuna's samplers, each built for one cohort so that a resumed study draws what an uninterrupted one would."""

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rfe.search_space import Dimension, ResolvedSpace
from rfe.search_space.schema import Sampler
from rfe.study.evolutionary import (
    CMAES_GENERATION,
    NSGA2_GENERATION,
    RecomputedNSGAIISampler,
    ReplayedCmaEsSampler,
)

NSGA2_POPULATION = 20
"""Optuna's 50 would be a quarter of a usual study before anything is learnt."""


def cohort_seed(study_seed: int, first_number: int) -> int:
    """The sampler's seed for the cohort whose first trial is `first_number`: a hash of both, 32 bits.

    A sampler that keeps one seed would repeat its first points after every restart.

    Examples:
        >>> cohort_seed(0, 8), cohort_seed(0, 16)
        (2446201407, 3313817674)
    """
    digest = hashlib.sha256(f"{study_seed}:{first_number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def build_sampler(settings: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler for these settings, other than `grid`. What it has learnt it reads from the study's trials.

    `tpe`: multivariate, and unfinished trials count as bad, so that a cohort's points keep apart. `gp` conditions on
    unfinished trials. `nsga2` and `cmaes` draw a cohort from one distribution; their generations stand in the trials.

    Examples:
        >>> type(build_sampler(Sampler(kind="random"), seed=0)).__name__
        'RandomSampler'
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if settings.kind == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if settings.kind == "gp":
            return optuna.samplers.GPSampler(
                seed=seed, n_startup_trials=settings.startup_trials, warn_independent_sampling=False
            )
        if settings.kind == "nsga2":
            return RecomputedNSGAIISampler(seed=seed, population_size=settings.population or NSGA2_POPULATION)
        if settings.kind == "cmaes":
            return ReplayedCmaEsSampler(
                seed=seed,
                n_startup_trials=settings.startup_trials,
                popsize=settings.population,
                warn_independent_sampling=False,
            )
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=settings.startup_trials, multivariate=True, constant_liar=True
        )


def sampler_state(attributes: Mapping[str, Any], number: int) -> dict[str, int]:
    """Return the system attributes of a trial that a sampler needs after a restart: its generation.

    All else is left out, on writing and on reading: Optuna's CMA-ES keeps a pickle there, and unpickles what it finds.

    Args:
        attributes: may come from a study that another user wrote.
        number: of the trial; no generation can be larger.
    """
    kept = {name: attributes.get(name) for name in (CMAES_GENERATION, NSGA2_GENERATION)}
    return {name: value for name, value in kept.items() if isinstance(value, int) and 0 <= value <= number}


def build_distributions(resolved: ResolvedSpace) -> dict[str, BaseDistribution]:
    """Parameter name -> its fixed range; conditional parameters are drawn like all others.

    Examples:
        >>> from rfe.search_space import load_space, resolve
        >>> space = load_space({"study": "first", "space": {"model.n_kept": {"int": [1, 3]}}})
        >>> build_distributions(resolve(space, ["face", "text", "voice"]))
        {'model.n_kept': IntDistribution(high=3, log=False, low=1, step=1)}
    """
    return {dimension.name: _distribution(dimension) for dimension in resolved.dimensions}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.choices)
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.kind == "float":
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1))
