"""Makes the golden files of this version: `python -m tests.golden.make`, which replaces `tests/golden/VERSION`.

Small data of random numbers, really trained, in one process.
"""

import json
import shutil
import tempfile
from pathlib import Path

from rfe import __version__, api
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import load_dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.selection import Selection
from rfe.ensemble.stored import read_ensemble, write_ensemble
from rfe.journal.events import OutcomeLog, StudyLog
from rfe.progress import SilentProgress
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import ItemResult, Report
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.submission.export import export_ensemble
from rfe.tracking.base import NullTracker
from rfe.training.configurations import train_configurations
from rfe.workspace import Workspace
from tests.unit.data.folders import make_folder, make_rows

FOLDER = Path(__file__).parent
SPACE = {
    "study": "golden",
    "data": {"path": "data"},
    "base": {"model": {"latent_dim": 4}, "train": {"epochs": 2, "batch_size": 16}},
    "space": {
        "pool": {"subset": "all"},
        "train.lr": {"float": [1.0e-3, 1.0e-1], "log": True},
        "model.dropout": {"float": [0.0, 0.4]},
    },
    "sampler": {"kind": "cmaes", "startup_trials": 2, "population": 4},
    "pruner": {"kind": "median", "startup_trials": 1, "warmup_epochs": 0},
    "budget": {"trials": 10},
}


def make(root: Path) -> None:
    """Write `data`, a workspace and what its bundle predicts into the empty folder `root`."""
    make_folder(root / "data", make_rows(n_actors=3, n_target_actors=1))
    dataset = load_dataset(root / "data")
    workspace = Workspace(root, "http://mlflow.invalid", root / "cache")
    folder, features = workspace.study("golden"), FeatureCache(dataset, workspace.cache)
    definition = define_study(load_space(SPACE), tuple(dataset.encoders), seed=1, fingerprint=dataset.fingerprint)
    with StudyStore.open(folder.path, definition) as store:
        settings = {"data.path": "data", "data.encoders": list(dataset.encoders), "budget.trials": 10}
        store.journal.record_study(StudyLog("golden", dataset.name, dataset.fingerprint, settings=settings))
        trials = TrialTracker(folder, store, NullTracker(), dataset, source="data")
        for item in [item for _ in range(5) for item in trials.next_items(2)]:
            (result,) = train_configurations([Config.model_validate(item.config)], dataset, features)
            trials.compare([Report(item.key, 1, result.score)])
            number = int(item.key.rpartition("/")[2])
            if number == 3:
                trials.settle(ItemResult(item.key, "pruned", "pruned (median) at epoch 1 with score 0.100"))
            elif number == 4:
                trials.settle(ItemResult(item.key, "failed", "the loss is no longer finite at epoch 1"))
            else:
                trials.settle(ItemResult(item.key, "complete", "", result))
        trials.next_items(1)
        store.journal.record_outcome(OutcomeLog("golden", "stopped", "stopped"))
    about = {"path": "data", "encoders": None, "name": dataset.name, "fingerprint": dataset.fingerprint}
    about |= {"simulated": False, "caveats": []}
    result = build_ensemble([folder], dataset, Selection(), SilentProgress())
    write_ensemble(workspace, "golden-ensemble", result, about)
    export_ensemble(workspace, read_ensemble(workspace, "golden-ensemble"), dataset, output=root / "bundle")
    prediction = api.predict(root / "bundle", root / "data").prediction
    shutil.rmtree(workspace.cache)
    table = api.study_table("golden", workspace)
    expected = {
        "trials": {str(row.trial): [row.state, row.score] for row in table.fillna({"score": -1.0}).itertuples()},
        "ensemble": result.to_dict()["scores"],
        "clips": list(prediction.filename),
        "states": prediction.state.tolist(),
        "probabilities": prediction.probabilities.tolist(),
    }
    (root / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "golden"
        root.mkdir()
        make(root)
        place = FOLDER / __version__
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(root, place, ignore=shutil.ignore_patterns("*.lock", ".*"))


if __name__ == "__main__":
    main()
