"""One function for each command: the command line parses and prints, a notebook calls these.

Heavy libraries are imported by the functions that need them, so that asking for help costs nothing.
"""

from rfe.api.data import aggregate_data, check_data, import_data, simulate_data
from rfe.api.results import export, score, show_ui, verify
from rfe.api.searching import Source, baselines, plan_search, search, train
from rfe.api.studies import list_studies, show_study
from rfe.api.tour import DemoResult, demo

__all__ = [
    "DemoResult",
    "Source",
    "aggregate_data",
    "baselines",
    "check_data",
    "demo",
    "export",
    "import_data",
    "list_studies",
    "plan_search",
    "score",
    "search",
    "show_study",
    "show_ui",
    "simulate_data",
    "train",
    "verify",
]
