"""A small study with all its books: trials that ended, one that fails, one left open, a confirmation."""

from typing import Any

from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import ItemResult
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.tracking.base import Tracker
from rfe.workspace import StudyFolder, Workspace
from tests.integration.fakes import fake_result

SPACE: dict[str, Any] = {"train.lr": {"float": [1.0e-4, 1.0e-2], "log": True}}
ENDED, ASKED = 5, 6


def run_study(
    workspace: Workspace, dataset: Dataset, tracker: Tracker, name: str = "tiny", seed: int = 1
) -> StudyFolder:
    """Trials 0 to 4 end (3 fails), 5 stays open, 0 is confirmed; the study is stopped. The tracker is left open."""
    folder = workspace.study(name)
    space = load_space({"study": name, "space": SPACE, "sampler": {"kind": "random"}, "budget": {"trials": 12}})
    space = space.model_copy(update={"data": space.data.model_copy(update={"path": str(dataset.path)})})
    definition = define_study(space, tuple(dataset.encoders), seed=seed, fingerprint=dataset.fingerprint)
    settings = {"data.path": str(dataset.path), "data.encoders": list(dataset.encoders), "budget.trials": 9}
    log = StudyLog(name, dataset.name, dataset.fingerprint, session="first", settings=settings)
    with StudyStore.open(folder.path, definition) as store:
        journal = store.journal
        tracker.start_study(journal.record_study(log))
        trial_tracker = TrialTracker(folder, store, tracker, dataset)
        for item in trial_tracker.next_items(ASKED)[:ENDED]:
            result = fake_result(Config.model_validate(item.config), dataset)
            if item.key.endswith("/3"):
                trial_tracker.settle(ItemResult(item.key, "failed", "the loss is no longer finite"))
            else:
                trial_tracker.settle(ItemResult(item.key, "complete", "", result))
        best = trial_tracker.logs[0]
        files = {name: path for name, path in best.artifacts.items() if name in ("config.yaml", "outputs.npz")}
        confirmation = ConfirmationLog(name, 0, (0.3, 0.32), (1000, 1001), artifacts=files, weights=best.weights)
        tracker.log_confirmation(journal.record_confirmation(confirmation))
        tracker.finish_study(journal.record_outcome(OutcomeLog(name, "stopped", "stopped", {"score_best": 0.4})))
    return folder
