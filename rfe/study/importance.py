"""Parameter importance by two of Optuna's evaluators, which answer different questions."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)

from rfe.errors import StudyError
from rfe.search_space.dimensions import ARM, Value
from rfe.search_space.effective import counted_values
from rfe.study.definition import StudyDefinition
from rfe.study.samplers import build_distributions
from rfe.study.trials import TrialRow

FEWEST_TRIALS = 10
TOP_SHARE = 0.1
MOST_FOR_FANOVA = 250
"""Its time grows with the square of the trials: minutes for 2,000."""
TOP_TRIALS = 5
"""PED-ANOVA is unstable with fewer trials in the top."""


@dataclass(frozen=True)
class Importance:
    """Importances by one evaluator."""

    evaluator: str
    """`PED-ANOVA` or `fANOVA`."""
    question: str
    """What it answers, in a sentence."""
    shares: Mapping[str, float]
    """Parameter -> share of the whole, the largest first; they sum to 1."""
    n_trials: int


@dataclass(frozen=True)
class Point:
    """A scored trial with its place in the space."""

    number: int
    score: float
    counted: Mapping[str, Value]
    """Parameter -> its effective value; those that had no effect in the trial are left out."""
    drawn: Mapping[str, Value]
    """Parameter -> what the sampler drew, of every parameter."""


def scored_points(
    definition: StudyDefinition, trials: Sequence[TrialRow], scores: Mapping[int, float]
) -> tuple[Point, ...]:
    """The trials that have a score, by number.

    Args:
        definition: of the study.
        trials: of the study.
        scores: trial number -> Score; leave copies of other trials out.
    """
    known = {dimension.name for dimension in definition.resolved.dimensions}
    return tuple(
        Point(row.number, scores[row.number], counted_values(definition.resolved, row.params), row.params)
        for row in trials
        if row.number in scores and math.isfinite(scores[row.number]) and row.params.keys() == known
    )


def measure_importance(definition: StudyDefinition, points: Sequence[Point]) -> tuple[Importance, ...]:
    """PED-ANOVA and fANOVA of Score over the parameters of a study.

    PED-ANOVA sees effective values, each parameter in the trials in which it counts. fANOVA needs a value for each
    parameter in every trial, and so sees what was drawn; of many trials, `MOST_FOR_FANOVA` spread evenly.

    Raises:
        StudyError: there is too little to tell by, with the reason.
    """
    dimensions = definition.resolved.dimensions
    if not dimensions or any(dimension.name == ARM for dimension in dimensions):
        raise StudyError("importance: the study searches no parameters, so there is nothing to weigh")
    if len(points) < FEWEST_TRIALS:
        raise StudyError(
            f"importance: the study has {len(points)} different scored trials; it takes at least {FEWEST_TRIALS}"
        )
    if len({point.score for point in points}) == 1:
        raise StudyError("importance: all trials have the same score, so no parameter made a difference")
    some = _spread_evenly(points, MOST_FOR_FANOVA)
    return (
        measure_top_importance(definition, points),
        Importance(
            "fANOVA",
            "how much of the variance of Score over the whole space goes with the parameter, the bad regions included?",
            _evaluate(FanovaImportanceEvaluator(seed=0), definition, some, [p.drawn for p in some]),
            len(some),
        ),
    )


def measure_top_importance(definition: StudyDefinition, points: Sequence[Point]) -> Importance:
    """PED-ANOVA alone, which takes effective values and a fraction of fANOVA's time; as `measure_importance`, which
    says when there is too little to tell by."""
    share = max(TOP_SHARE, min(0.5, TOP_TRIALS / len(points)))
    top = f"best {math.ceil(share * len(points))} of {len(points)} trials"
    return Importance(
        "PED-ANOVA",
        f"which parameters did it take to be among the {top}? Parameters that count only at times are in it.",
        _evaluate(PedAnovaImportanceEvaluator(target_quantile=share), definition, points, [p.counted for p in points]),
        len(points),
    )


def _spread_evenly(points: Sequence[Point], most: int) -> Sequence[Point]:
    """At most so many points, from all parts of the search alike."""
    if len(points) <= most:
        return points
    return [points[index * (len(points) - 1) // (most - 1)] for index in range(most)]


def _evaluate(
    evaluator: BaseImportanceEvaluator,
    definition: StudyDefinition,
    points: Sequence[Point],
    values: Sequence[Mapping[str, Value]],
) -> dict[str, float]:
    distributions = build_distributions(definition.resolved)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            optuna.trial.create_trial(
                params=dict(params), distributions={name: distributions[name] for name in params}, value=point.score
            )
            for point, params in zip(points, values, strict=True)
        )
        shares = get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in sorted(shares.items(), key=lambda item: -item[1])}
