"""One function for each command: the command line parses and prints, a notebook calls these.

Heavy libraries are imported by the functions that need them, so that asking for help costs nothing.
"""

from rfe.api.ablations import ablate, plan_ablation
from rfe.api.annotating import AnnotatedStudy, archive_study, note_study, tag_study
from rfe.api.authoring import init, schema
from rfe.api.control import add_trial, change_study, narrow_study, prune_trials, retry_trials
from rfe.api.data import (
    aggregate_data,
    check_data,
    corrupt_data,
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
    OptunaFile,
    PulledStudy,
    delete_study,
    diff_trials,
    export_optuna,
    list_studies,
    pull_study,
    repair_studies,
    repair_study,
    show_study,
)
from rfe.api.tour import DemoResult, demo
from rfe.api.watching import WrittenTable, page_data, show_page, study_table, write_page, write_study_table

__all__ = [
    "DEFAULT_MODELS",
    "AnnotatedStudy",
    "BuiltEnsemble",
    "DataSource",
    "DeletedStudy",
    "DemoResult",
    "OptunaFile",
    "PulledStudy",
    "Source",
    "StopRequest",
    "WrittenTable",
    "ablate",
    "add_trial",
    "aggregate_data",
    "archive_study",
    "baselines",
    "change_study",
    "check_data",
    "corrupt_data",
    "delete_study",
    "demo",
    "diff_trials",
    "doctor",
    "ensemble",
    "export",
    "export_optuna",
    "fetch_data",
    "follow_job",
    "import_data",
    "init",
    "job_logs",
    "list_jobs",
    "list_studies",
    "load_data",
    "narrow_study",
    "note_study",
    "page_data",
    "plan_ablation",
    "plan_job",
    "plan_search",
    "predict",
    "prune_trials",
    "pull_study",
    "read_task",
    "register",
    "repair_studies",
    "repair_study",
    "report",
    "resume_study",
    "retry_trials",
    "schema",
    "score",
    "search",
    "show_job",
    "show_page",
    "show_study",
    "show_ui",
    "simulate_data",
    "stop_job",
    "stop_study",
    "study_table",
    "submit",
    "tag_study",
    "train",
    "verify",
    "watch_study",
    "write_data",
    "write_page",
    "write_predictions",
    "write_study_table",
]
