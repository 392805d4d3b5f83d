"""Studies: their definition, trials and result; the only home of Optuna."""

from rfe.study.definition import StudyDefinition, define_study, read_definition
from rfe.study.pruning import rungs
from rfe.study.result import StudyScore, TrialHits, score_best, score_selected
from rfe.study.store import Asked, StudyStore, StudyView, TrialRow, read_study

__all__ = [
    "Asked",
    "StudyDefinition",
    "StudyScore",
    "StudyStore",
    "StudyView",
    "TrialHits",
    "TrialRow",
    "define_study",
    "read_definition",
    "read_study",
    "rungs",
    "score_best",
    "score_selected",
]
