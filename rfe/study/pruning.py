"""Optuna's pruners, over the scores that trials report at some of their epochs."""

import warnings

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from rfe.search_space.schema import Pruner

_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def build_pruner(settings: Pruner) -> BasePruner:
    """Optuna's pruner for these settings; one that never prunes for `none`.

    Examples:
        >>> type(build_pruner(Pruner(kind="asha"))).__name__
        'SuccessiveHalvingPruner'
    """
    if settings.kind == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=settings.min_epochs, reduction_factor=settings.reduction_factor
        )
    if settings.kind in ("median", "percentile"):
        return optuna.pruners.PercentilePruner(
            50.0 if settings.kind == "median" else settings.percentile,
            n_startup_trials=settings.startup_trials,
            n_warmup_steps=settings.warmup_epochs,
        )
    if settings.kind == "patient":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.pruners.PatientPruner(None, patience=settings.patience, min_delta=settings.min_delta)
    return optuna.pruners.NopPruner()


def rungs(settings: Pruner, epochs: int) -> tuple[int, ...]:
    """The epochs below `epochs` at which `asha` compares, ascending: a trial of so many epochs is to be scored there.

    Empty for the other kinds, which compare at whatever epochs are scored anyway.
    """
    found = []
    rung = settings.min_epochs
    while settings.kind == "asha" and rung < epochs:
        found.append(rung)
        rung *= settings.reduction_factor
    return tuple(found)


class ScoreComparison:
    """Compares the scores that running trials report by one of Optuna's pruners.

    It has a study of Optuna's for itself, in memory, of the score alone: Optuna takes no reports in a study with
    several objectives.

    Examples:
        >>> comparison = ScoreComparison(Pruner(kind="asha", min_epochs=1))
        >>> comparison.report(0, 1, 0.5), comparison.report(1, 1, 0.4)
        (False, True)
    """

    def __init__(self, settings: Pruner) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            direction="maximize", pruner=build_pruner(settings), sampler=RandomSampler(seed=0)
        )
        # the only one that decides by what it answered before
        self._has_memory = settings.kind == "asha"
        self._trials: dict[int, optuna.Trial] = {}
        """Those that run."""
        self._ended: set[int] = set()

    def report(self, number: int, epoch: int, score: float) -> bool:
        """Whether trial `number` should end with this score after `epoch`, which is new and the score finite."""
        trial = self._trial(number)
        trial.report(score, epoch)
        return bool(trial.should_prune())

    def replay(self, number: int, epoch: int, score: float) -> None:
        """A report that an earlier process had answered."""
        trial = self._trial(number)
        trial.report(score, epoch)
        if self._has_memory:
            trial.should_prune()

    def end(self, number: int, state: str, score: float | None) -> None:
        """Trial `number` ended. One that ends again without new reports counts once.

        Args:
            number: of the trial.
            state: `complete`, `pruned` or `failed`.
            score: of a complete trial.
        """
        if number in self._ended and number not in self._trials:
            return
        self._study.tell(self._trial(number), score if state == "complete" else None, state=_STATES[state])
        self._ended.add(number)
        del self._trials[number]

    def _trial(self, number: int) -> optuna.Trial:
        if number not in self._trials:
            self._trials[number] = self._study.ask()
        return self._trials[number]
