"""Optuna's pruners, over the scores that trials report at some of their epochs."""

import copy
import warnings
from collections.abc import Container, Mapping

import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from rfe.search_space.schema import Pruner

_REPORTS = "reports"
_PRUNED_AT = "pruned_at"


def build_pruner(settings: Pruner) -> BasePruner:
    """Optuna's pruner for these settings; one that never prunes for `none`."""
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


def report_score(study: optuna.Study, pruner: BasePruner, trial: FrozenTrial, epoch: int, score: float) -> bool:
    """Keep a running trial's score after `epoch` in the study's storage; whether `pruner` ends the trial.

    Args:
        study: with one objective or several.
        pruner: compares it with other trials'.
        trial: of the study, running; also one of a process that died.
        epoch: at least 0.
        score: finite; what is compared, also where there are several objectives.

    Returns:
        Whether the trial should end. An epoch that was reported before is answered as it was then, and not compared
        again: the trial's own former value would stand among its competitors.
    """
    several = len(study.directions) > 1
    reports = dict(trial.user_attrs.get(_REPORTS, [])) if several else trial.intermediate_values
    if epoch not in reports:
        # Optuna offers all this by the trial's object only, which is gone after a restart.
        storage, trial_id = study._storage, trial._trial_id
        if several:
            storage.set_trial_user_attr(trial_id, _REPORTS, [*reports.items(), (epoch, score)])
        else:
            storage.set_trial_intermediate_value(trial_id, epoch, score)
        compared = _ScoreStudy(study) if several else study
        if pruner.prune(compared, _with_reports(storage.get_trial(trial_id))):
            storage.set_trial_user_attr(trial_id, _PRUNED_AT, epoch)
            return True
    return bool(trial.user_attrs.get(_PRUNED_AT, epoch + 1) <= epoch)


def keep_reports(trial: FrozenTrial, reports: Mapping[int, float], *, several: bool) -> None:
    """Put former reports, epoch -> score, into a trial that is no study's yet; `several` objectives keep them apart."""
    if several and reports:
        trial.set_user_attr(_REPORTS, [[epoch, score] for epoch, score in reports.items()])
    elif reports:
        trial.intermediate_values = dict(reports)


class _ScoreStudy:
    """A study with several objectives as pruners see one with the score alone.

    Optuna refuses intermediate values there, and its TPE fails on pruned trials that have some, so they are kept as
    attributes of the trials.
    """

    direction = StudyDirection.MAXIMIZE

    def __init__(self, study: optuna.Study) -> None:
        self._study, self._storage = study, study._storage

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return [_with_reports(trial) for trial in self._study.get_trials(deepcopy=deepcopy, states=states)]


def _with_reports(trial: FrozenTrial) -> FrozenTrial:
    if _REPORTS not in trial.user_attrs:
        return trial
    trial = copy.copy(trial)
    trial.intermediate_values = {int(epoch): float(score) for epoch, score in trial.user_attrs[_REPORTS]}
    return trial
