"""What is doubtful and no mistake: one encoder, features that tell nothing. The answer is a result with a caveat."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.caveats import ONE_ENCODER
from rfe.data.check import check_folder
from rfe.data.dataset import Dataset, load_dataset
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.search.outcome import StudyOutcome, build_outcome, constant_score, recorded_totals, study_scores
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import ItemResult
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.task import BLEMORE
from rfe.tracking.base import NullTracker
from rfe.training.configurations import train_configurations
from rfe.workspace import Workspace
from tests.integration.fakes import write_data
from tests.unit.data.folders import make_folder, make_rows, names, write_features
from tests.unit.search.tiny_study import run_study

SMALL = {"model.latent_dim": 8, "train.epochs": 30, "train.batch_size": 16, "train.lr": 0.02, "protocol": "crossfit"}


def search_one(folder: Path, dataset: Dataset) -> StudyOutcome:
    """The outcome of a study of one trial, really trained."""
    workspace = Workspace(folder / "w", "sqlite:///none.db", folder / "cache")
    space = load_space({"study": "s", "base": SMALL, "budget": {"trials": 1}, "confirm": {"top": 0}})
    definition = define_study(space, tuple(dataset.encoders), seed=0, fingerprint=dataset.fingerprint)
    place = workspace.study("s")
    with StudyStore.open(place.path, definition) as store:
        trial_tracker = TrialTracker(place, store, NullTracker(), dataset)
        (item,) = trial_tracker.next_items(1)
        config = Config.model_validate(item.config)
        (result,) = train_configurations([config], dataset, FeatureCache(dataset, workspace.cache))
        trial_tracker.settle(ItemResult(item.key, "complete", "", result))
        known = {"state": "finished", "reason": "", "trials": trial_tracker.counts(), "elapsed_s": 1.0}
        return build_outcome(place, trial_tracker.logs, [], dataset, ("score",), **known)


def show_labels(folder: Path) -> Path:
    """A data folder whose two encoders show what the labels are."""
    make_folder(folder)
    dataset = load_dataset(folder)
    truth = np.zeros((len(dataset.clips), 6), np.float32)
    truth[dataset.clips.source] = BLEMORE.state_salience[dataset.clips.state[dataset.clips.source]]
    for encoder in ("face", "voice"):
        write_features(folder / f"{encoder}_static_features.npz", 5 * truth, names(make_rows()))
    return folder


@pytest.mark.parametrize(("make", "doubtful"), [(make_folder, True), (show_labels, False)])
def test_a_result_that_one_answer_to_all_would_have_too(
    make: Callable[[Path], Path], doubtful: bool, tmp_path: Path
) -> None:
    dataset = load_dataset(make(tmp_path / "data"))
    outcome = search_one(tmp_path, dataset)
    assert outcome.state == "finished"
    assert outcome.score_best is not None
    assert any("may tell nothing of the classes" in caveat for caveat in outcome.caveats) == doubtful


def test_the_one_answer_is_the_best_there_is(tmp_path: Path) -> None:
    """Six labels alike: each set is a sixth of the clips, each of three blends a third of the blends."""
    score, error = constant_score(load_dataset(make_folder(tmp_path / "data")))
    assert score == pytest.approx((1 / 6 + 1 / 3) / 2)
    blend, single = (1 / 6) / 36 + (1 / 3) / 18, (1 / 6) / 36  # half of what a wrong answer takes away
    right = (5 / 6) / 36 + (2 / 3) / 18
    assert error == pytest.approx(0.5 * np.sqrt(6 * right**2 + 12 * blend**2 + 18 * single**2))


def test_one_encoder_is_searched_and_said(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", encoders=("face",))
    dataset = load_dataset(folder)
    assert ONE_ENCODER in dataset.caveats
    assert ONE_ENCODER in check_folder(folder).caveats
    outcome = search_one(tmp_path, dataset)
    assert outcome.state == "finished"
    assert ONE_ENCODER in outcome.caveats
    two = make_folder(tmp_path / "two")
    assert ONE_ENCODER not in load_dataset(two).caveats
    assert ONE_ENCODER in load_dataset(two, ["face"]).caveats


def test_a_journal_of_before_sums_were_recorded_gives_the_same_scores(tmp_path: Path) -> None:
    """Their accuracies by fold are sums over known sizes; a fold without blends has none of salience."""
    dataset = load_dataset(write_data(tmp_path / "data"))
    folder = run_study(Workspace(tmp_path, "", tmp_path), dataset, NullTracker())
    logs = [event for event in read_events(folder) if isinstance(event, TrialLog) and event.score is not None]
    older = [replace(log, totals={}) for log in logs]
    for then, now in zip(study_scores(older, dataset), study_scores(logs, dataset), strict=True):
        assert then is not None
        assert now is not None
        assert then.trials == now.trials
        assert [then.score, then.acc_presence, then.acc_salience] == pytest.approx(
            [now.score, now.acc_presence, now.acc_salience]
        )
    one = replace(older[0], per_fold={"acc_presence": {0: 0.5, 1: 1.0, 2: 0.25}, "acc_salience": {0: 0.5, 2: 0.25}})
    found = recorded_totals(one, dataset)
    assert found.by_fold("acc_presence").tolist() == [0.5, 1.0, 0.25]
    assert found.by_fold("acc_salience").tolist() == [0.5, 0.0, 0.25]
    assert found.totals["score"].tolist() == [[36, 30, 72, 60], [72, 0, 72, 60], [18, 15, 72, 60]]
