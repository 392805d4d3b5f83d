"""What each published version wrote is opened by this one, and says the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe import __version__, api
from rfe.ensemble.stored import read_ensemble, read_nested
from rfe.study import StudyStore, read_definition, read_study
from rfe.workspace import Workspace
from tests.golden.make import FOLDER

VERSIONS = sorted(path.name for path in FOLDER.iterdir() if (path / "expected.json").is_file())


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, as opening a study writes to it."""
    return Path(shutil.copytree(FOLDER / request.param, tmp_path / "golden"))


@pytest.fixture
def workspace(golden: Path) -> Workspace:
    return Workspace(golden, "http://mlflow.invalid", golden / "cache")


def expected(golden: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((golden / "expected.json").read_text())
    return found


def test_this_version_has_golden_files() -> None:
    """A release begins with `python -m tests.golden.make`."""
    assert __version__ in VERSIONS


def test_a_study_shows_its_trials(golden: Path, workspace: Workspace) -> None:
    table = api.study_table("golden", workspace).fillna({"score": -1.0})
    assert {str(row.trial): [row.state, row.score] for row in table.itertuples()} == expected(golden)["trials"]


def test_a_study_goes_on(golden: Path, workspace: Workspace) -> None:
    folder = workspace.study("golden").path
    trials = read_study(folder).trials
    with StudyStore.open(folder, read_definition(folder)) as store:
        assert store.trials() == list(trials)
        assert (
            [row.number for row in trials if row.state == "running"] == [one.number for one in store.running()] == [10]
        )
        assert [one.number for one in store.ask(2)] == [11, 12]


def test_an_ensemble_has_its_members_and_scores(golden: Path, workspace: Workspace) -> None:
    stored = read_ensemble(workspace, "golden-ensemble")
    former = {"lower_95": "low", "upper_95": "high"}
    scores = {
        name: {former.get(key, key): value for key, value in score.items()} if isinstance(score, dict) else score
        for name, score in expected(golden)["ensemble"].items()
    }
    assert stored.about["scores"] == scores
    assert len(stored.ensemble.members) >= 2
    assert len(read_nested(stored).answers) == 18


def test_a_bundle_is_whole_and_answers_as_it_did(golden: Path) -> None:
    said = expected(golden)
    assert api.verify(golden / "bundle", golden / "data")["format"] == "rfe-bundle"
    prediction = api.predict(golden / "bundle", golden / "data").prediction
    assert list(prediction.filename) == said["clips"]
    np.testing.assert_allclose(prediction.probabilities, said["probabilities"], rtol=1e-4, atol=1e-6)
    assert prediction.state.tolist() == said["states"]
