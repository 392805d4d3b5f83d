"""One function for each command: the command line parses and prints, a notebook calls these.

Heavy libraries are imported by the functions that need them, so that asking for help costs nothing.
"""

from rfe.api.ablations import ablate, plan_ablation
from rfe.api.authoring import init, schema
from rfe.api.data import (
    aggregate_data,
    check_data,
    fetch_data,
    import_data,
    load_data,
    read_task,
    simulate_data,
    write_data,
)
from rfe.api.doctor import doctor
from rfe.api.ensembles import BuiltEnsemble, ensemble
from rfe.api.jobs import follow_job, job_logs, list_jobs, plan_job, show_job, stop_job, submit
from rfe.api.reports import report
from rfe.api.results import DEFAULT_MODELS, export, predict, register, score, show_ui, verify, write_predictions
from rfe.api.running import StopRequest, stop_study, watch_study
from rfe.api.searching import DataSource, Source, baselines, plan_search, resume_study, search, train
from rfe.api.studies import (
    DeletedStudy,
    PulledStudy,
    delete_study,
    diff_trials,
    list_studies,
    pull_study,
    repair_study,
    show_study,
)
from rfe.api.tour import DemoResult, demo

__all__ = [
    "DEFAULT_MODELS",
    "BuiltEnsemble",
    "DataSource",
    "DeletedStudy",
    "DemoResult",
    "PulledStudy",
    "Source",
    "StopRequest",
    "ablate",
    "aggregate_data",
    "baselines",
    "check_data",
    "delete_study",
    "demo",
    "diff_trials",
    "doctor",
    "ensemble",
    "export",
    "fetch_data",
    "follow_job",
    "import_data",
    "init",
    "job_logs",
    "list_jobs",
    "list_studies",
    "load_data",
    "plan_ablation",
    "plan_job",
    "plan_search",
    "predict",
    "pull_study",
    "read_task",
    "register",
    "repair_study",
    "report",
    "resume_study",
    "schema",
    "score",
    "search",
    "show_job",
    "show_study",
    "show_ui",
    "simulate_data",
    "stop_job",
    "stop_study",
    "submit",
    "train",
    "verify",
    "watch_study",
    "write_data",
    "write_predictions",
]
