"""What the api decides itself: names, places, and what is refused before anything heavy starts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rfe
from rfe import api
from rfe.config.load import load_config
from rfe.errors import ConfigError, StudyError, SubmissionError
from rfe.journal.events import StudyLog
from rfe.journal.journal import Journal
from rfe.search.options import RunOptions
from rfe.search_space import SearchSpace, effective_config, normalize, resolve
from rfe.search_space.ready_made import ready_made
from rfe.workspace import open_workspace
from tests.unit.data.folders import make_folder
from tests.unit.reporting.journals import make_trial


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[SearchSpace]:
    """The spaces that would have been searched."""
    given: list[SearchSpace] = []
    monkeypatch.setattr("rfe.api.searching.run_study", lambda space, *_, **options: given.append(space))
    return given


def test_the_api_is_loaded_when_asked_for() -> None:
    code = "import sys, rfe; assert 'rfe.api' not in sys.modules; assert callable(rfe.api.search)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nothing"):
        _ = rfe.nothing


def test_search_places_name_and_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: list[SearchSpace]) -> None:
    make_folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    api.search("everything", "data", study="mine", overrides=["train.epochs=3"])
    assert (run[0].study, run[0].data.path, run[0].base["train.epochs"]) == ("mine", str(tmp_path / "data"), 3)
    for data, said in ((None, "--data"), ("nowhere", "is not a folder")):
        with pytest.raises(ConfigError, match=said):
            api.search("everything", data)


def test_options_by_name_and_as_one_object_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object reaches the driver, whichever way they were given; a wrong one is refused before that."""
    data, workspace, given = make_folder(tmp_path / "data"), open_workspace(tmp_path), []
    monkeypatch.setattr("rfe.search.driver.run_search", lambda *arguments, **_: given.append(arguments[3]))
    api.search("everything", data, trials=9, workers=2, address="auto", workspace=workspace)
    api.search("everything", data, RunOptions(trials=9, workers=2, address="auto"), workspace=workspace)
    api.search("everything", data, RunOptions(trials=5, workers=2, address="auto"), trials=9, workspace=workspace)
    api.train("baselines/concat_mlp", data, workers=2, address="auto", workspace=workspace)
    assert given[:3] == [RunOptions(trials=9, workers=2, address="auto")] * 3
    assert given[3:] == [RunOptions(workers=2, address="auto")]
    with pytest.raises(TypeError, match="trails"):
        api.search("everything", data, trails=9, workspace=workspace)  # type: ignore[call-arg]
    for search in (api.search, api.plan_search):
        with pytest.raises(StudyError, match="no study 'old'"):
            search("everything", data, warm_start="old", workspace=workspace)
    assert len(given) == 4


@pytest.mark.parametrize("name", [name for name in ready_made() if name.startswith("baselines/")])
def test_train_searches_exactly_the_configuration(name: str, tmp_path: Path, run: list[SearchSpace]) -> None:
    make_folder(tmp_path / "data")
    changes = ["pool=[voice]"] if name.endswith("single_encoder") else []
    api.train(name, tmp_path / "data", overrides=changes, workspace=open_workspace(tmp_path))
    space, encoders = run[0], ("face", "voice")
    assert (space.study, space.budget.trials, space.confirm.top) == (name.split("/")[1], 1, 0)
    wanted = load_config(ready_made()[name], changes)
    assert effective_config(resolve(space, encoders), {}) == normalize(wanted, encoders)


def test_train_from_a_trial_takes_its_data_too(tmp_path: Path, run: list[SearchSpace]) -> None:
    make_folder(tmp_path / "data")
    workspace = open_workspace(tmp_path)
    with Journal(workspace.study("first")) as journal:
        journal.record_study(StudyLog("first", settings={"data.path": str(tmp_path / "data")}))
        journal.record_trial(make_trial(4, 0.3))
    api.train(from_study="first", trial=4, overrides=["train.seeds=3"], workspace=workspace)
    assert (run[0].study, run[0].data.path) == ("first-trial-4", str(tmp_path / "data"))
    assert effective_config(resolve(run[0], ("face", "voice")), {}).train.seeds == 3
    with pytest.raises(StudyError, match="trial 5"):
        api.train(from_study="first", trial=5, workspace=workspace)


def test_train_names_a_bundles_configuration_by_its_folder(tmp_path: Path, run: list[SearchSpace]) -> None:
    make_folder(tmp_path / "data")
    for place, is_bundle in (("first-bundle", True), ("second-bundle", True), ("mine", False), ("a bundle", True)):
        path = tmp_path / place / "config.yaml"
        path.parent.mkdir()
        path.write_text("train.epochs: 2\n")
        if is_bundle:
            (path.parent / "MANIFEST.json").write_text("{}")
        api.train(str(path), tmp_path / "data", workspace=open_workspace(tmp_path))
    assert [space.study for space in run] == ["first-bundle", "second-bundle", "config", "config"]


@pytest.mark.parametrize("given", [{}, {"source": "x.yaml", "from_study": "s", "trial": 1}, {"from_study": "s"}])
def test_train_wants_one_source(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of the two"):
        api.train(**given, workspace=open_workspace(tmp_path))


def test_verify_tells_bundle_and_submission_apart(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="no bundle"):
        api.verify(tmp_path)
    path = tmp_path / "submission.json"
    path.write_text('{"predictions": {"T0_clip0.mov": [{"emotion": "ang", "salience": 100}]}}')
    assert api.verify(path) == {"clips": 1}
    make_folder(tmp_path / "data")
    with pytest.raises(SubmissionError, match="11 of 12 target clips"):
        api.verify(path, tmp_path / "data")
