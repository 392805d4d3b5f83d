"""A stopped study on which the guides' blocks run: `first` in `rfe-workspace`, with what the blocks name beside it."""

from pathlib import Path
from typing import Any

import yaml

from rfe.config.schema import Config
from rfe.data.dataset import load_dataset
from rfe.journal.events import OutcomeLog, StudyLog
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import ItemResult, trial_of
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.tracking.base import NullTracker
from rfe.workspace import open_workspace
from tests.integration.fakes import fake_result, write_data

NOTE = "run on a stopped study"
"""Comment before a block that runs here."""
SPACE: dict[str, Any] = {
    "pool": {"subset": "all", "min_size": 1},
    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
    "model.n_kept": {"int": [1, 3]},
}
FAILED, OPEN, ASKED = (5, 6), (3, 7), 8


def write_stopped_study(folder: Path) -> None:
    """Trials 0, 1, 2 and 4 are complete, 5 and 6 failed, 3 and 7 are open."""
    workspace = open_workspace(folder / "rfe-workspace")
    dataset = load_dataset(write_data(folder / "data"))
    space = load_space(
        {"study": "first", "space": SPACE, "sampler": {"kind": "random"}, "budget": {"trials": 20}, "cohort": ASKED}
    )
    definition = define_study(space, tuple(dataset.encoders), seed=2, fingerprint=dataset.fingerprint)
    ranges = {one.name: one.describe() for one in definition.resolved.dimensions}
    settings = {"budget.trials": 20, "data.path": str(dataset.path), "data.encoders": list(dataset.encoders)}
    with StudyStore.open(workspace.study("first").path, definition) as store:
        store.journal.record_study(StudyLog("first", dataset.name, settings=settings, space=ranges, session="first"))
        trial_tracker = TrialTracker(workspace.study("first"), store, NullTracker(), dataset)
        for item in trial_tracker.next_items(ASKED):
            number = trial_of(item.key)
            if number in FAILED:
                trial_tracker.settle(ItemResult(item.key, "failed", "the loss is no longer finite"))
            elif number not in OPEN:
                result = fake_result(Config.model_validate(item.config), dataset)
                trial_tracker.settle(ItemResult(item.key, "complete", "", result))
        store.journal.record_outcome(OutcomeLog("first", "stopped", "stopped", {}))
    smaller = {"study": "first", "space": {**SPACE, "train.lr": {"float": [2.0e-4, 9.0e-3], "log": True}}}
    (folder / "smaller.yaml").write_text(yaml.safe_dump(smaller))
    other = folder / "rfe-workspace" / "studies" / "other" / "trials" / "00012"
    other.mkdir(parents=True)
    (other / "config.yaml").write_text("pool: [good, weak]\ntrain: {lr: 0.0042}\nmodel: {n_kept: 2}\n")
