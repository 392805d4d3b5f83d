"""Studies: their definition, trials and result; the only home of Optuna."""

from rfe.study.definition import StudyDefinition, define_study, read_definition
from rfe.study.opening import check_opening, describe_opening
from rfe.study.pareto import covers, pareto_front
from rfe.study.pruning import rungs
from rfe.study.result import StudyScore, TrialTotals, score_best, score_selected
from rfe.study.store import StudyStore
from rfe.study.trials import AskedTrial, StudyView, TrialRow, read_study

__all__ = [
    "AskedTrial",
    "StudyDefinition",
    "StudyScore",
    "StudyStore",
    "StudyView",
    "TrialRow",
    "TrialTotals",
    "check_opening",
    "covers",
    "define_study",
    "describe_opening",
    "pareto_front",
    "read_definition",
    "read_study",
    "rungs",
    "score_best",
    "score_selected",
]
