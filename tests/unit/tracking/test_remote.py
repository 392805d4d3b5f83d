"""What can be had of a study through MLflow alone."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from rfe.data.dataset import Dataset, load_dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.selection import Selection
from rfe.ensemble.stored import read_ensemble, write_ensemble
from rfe.errors import StudyError
from rfe.journal.journal import Journal
from rfe.progress import SearchStatus, SilentProgress
from rfe.study import StudyStore, read_definition, read_study
from rfe.tracking.live import keep_live, stop_requested
from rfe.tracking.mlflow_server import MlflowServer, open_server
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.tracking.remote import ask_to_stop, find_remote, list_remote, pull_study
from rfe.tracking.ui import free_port
from rfe.workspace import StudyFolder, Workspace, open_workspace
from rfe.writing import write_json
from tests.integration.fakes import write_data
from tests.unit.search.tiny_study import ENDED, run_study
from tests.unit.tracking.logs import study_log, trial_log


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("remote") / "data"))


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    (tmp_path / "w").mkdir()
    shutil.copy(empty_database, tmp_path / "w" / "mlflow.db")
    return open_workspace(tmp_path / "w")


@pytest.fixture
def study(workspace: Workspace, dataset: Dataset) -> StudyFolder:
    tracker = MlflowTracker(workspace, workspace.study("tiny"))
    write_json(workspace.study("tiny").arms, {"arms": []})  # as an ablation has it
    folder = run_study(workspace, dataset, tracker)
    assert tracker.close(120) == ""
    return folder


@pytest.fixture
def server(workspace: Workspace) -> Iterator[MlflowServer]:
    with open_server(workspace) as server:
        yield server


@pytest.fixture
def elsewhere(tmp_path: Path, workspace: Workspace) -> Workspace:
    """Another machine, which reaches the first one's MLflow only."""
    return open_workspace(tmp_path / "elsewhere").tracked_at(workspace.mlflow_uri)


def files_of(folder: StudyFolder) -> dict[str, bytes]:
    own = {"mlflow.json", "study.lock"}
    paths = (path for path in folder.path.rglob("*") if path.is_file() and path.name not in own)
    return {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in paths}


def test_a_pulled_folder_holds_what_the_search_left(
    study: StudyFolder, server: MlflowServer, elsewhere: Workspace
) -> None:
    pulled, missing = pull_study(server, "tiny", elsewhere, SilentProgress())
    assert missing == 0
    files = files_of(pulled)
    assert files == files_of(study)
    assert {
        "definition.json",
        "ablation.json",
        "trials/00000/confirmed/weights.safetensors",
        "trials/00004/outputs.npz",
    } <= files.keys()
    assert elsewhere.study_names() == ("tiny",)
    assert not [path for path in elsewhere.studies.iterdir() if path.name.startswith(".")]
    # whoever goes on adopts the open trial
    with StudyStore.open(pulled.path, read_definition(pulled.path)) as store:
        assert [one.number for one in store.running()] == [ENDED]


def test_an_ensemble_is_chosen_alike_from_a_pulled_study(
    study: StudyFolder, server: MlflowServer, elsewhere: Workspace, dataset: Dataset
) -> None:
    pulled, _ = pull_study(server, "tiny", elsewhere, SilentProgress())
    shutil.rmtree(study.path / "trials")  # what is read comes of MLflow
    found = build_ensemble([pulled], dataset, Selection(members=3, bags=2), SilentProgress())
    assert found.n_candidates == 4
    outputs = [one.candidate.outputs for one in found.ensemble.members]
    assert all(path is not None and path.is_relative_to(pulled.path) for path in outputs)
    stored = write_ensemble(elsewhere, "both", found, {"path": str(dataset.path), "encoders": None})
    assert read_ensemble(elsewhere, "both").folder == stored


def test_pulling_again_replaces_an_older_copy_and_nothing_else(
    study: StudyFolder, server: MlflowServer, elsewhere: Workspace
) -> None:
    pulled, _ = pull_study(server, "tiny", elsewhere, SilentProgress())
    whole = pulled.journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    pulled.journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:9])  # an older copy, torn
    shutil.rmtree(pulled.trial(0))
    pull_study(server, "tiny", elsewhere, SilentProgress())
    assert pulled.journal.read_bytes() == whole
    assert pulled.trial(0).is_dir()
    with Journal(pulled) as journal:
        journal.record("session", host="here", pid=1)
    before = files_of(pulled)
    with pytest.raises(StudyError, match="entries that the pulled one does not have"):
        pull_study(server, "tiny", elsewhere, SilentProgress())
    assert files_of(pulled) == before


def test_a_copy_with_fewer_files_does_not_replace_a_whole_one(
    study: StudyFolder, server: MlflowServer, workspace: Workspace, elsewhere: Workspace
) -> None:
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id], "tags.`rfe.trial` = '1'")
    server.delete(run.info.run_id, "outputs.npz")
    before = files_of(study)
    with pytest.raises(StudyError, match="MLflow lacks 1 of its trials' files"):
        pull_study(server, "tiny", workspace, SilentProgress())
    assert files_of(study) == before
    pulled, missing = pull_study(server, "tiny", elsewhere, SilentProgress())
    assert missing == 1
    assert before.keys() - files_of(pulled).keys() == {"trials/00001/outputs.npz"}


@pytest.mark.slow
def test_a_server_that_keeps_the_files_itself_gives_them_back(tmp_path: Path, dataset: Dataset) -> None:
    port = free_port(5600)
    served = [*("--backend-store-uri", f"sqlite:///{tmp_path}/m.db"), *("--artifacts-destination", str(tmp_path / "m"))]
    command = [*(sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"), *served]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(command, cwd=tmp_path, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        workspace = open_workspace(tmp_path / "w").tracked_at(f"http://127.0.0.1:{port}")
        tracker = MlflowTracker(workspace, workspace.study("tiny"))  # tries again until the server is up
        folder = run_study(workspace, dataset, tracker)
        assert tracker.close(250) == ""
        elsewhere = open_workspace(tmp_path / "elsewhere").tracked_at(workspace.mlflow_uri)
        with open_server(elsewhere) as server:
            pulled, missing = pull_study(server, "tiny", elsewhere, SilentProgress())
        assert missing == 0
        assert files_of(pulled) == files_of(folder)
    finally:
        process.terminate()
        process.wait(30)
    with pytest.raises(StudyError, match="is it running"), open_server(elsewhere) as server:
        find_remote(server, "tiny")


def test_a_trial_that_the_servers_journal_has_not_ended_is_open_again(
    study: StudyFolder, server: MlflowServer, elsewhere: Workspace, tmp_path: Path
) -> None:
    """A pull may get the journal of a moment before."""
    lines = study.journal.read_text().splitlines(keepends=True)
    older = tmp_path / study.journal.name
    older.write_text("".join(line for line in lines if '"number": 4,' not in line))
    remote = find_remote(server, "tiny")
    server.upload(remote.run_id, [older])
    pulled, _ = pull_study(server, "tiny", elsewhere, SilentProgress())
    states = {row.number: row.state for row in read_study(pulled.path).trials}
    assert states == {0: "complete", 1: "complete", 2: "complete", 3: "failed", 4: "running", 5: "running"}
    assert {row.number: row.state for row in read_study(study.path).trials}[4] == "complete"


def test_names_and_addresses_are_answered(
    study: StudyFolder, server: MlflowServer, elsewhere: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="did you mean tiny"):
        pull_study(server, "tinny", elsewhere, SilentProgress())
    assert not elsewhere.studies.exists()
    nowhere = open_workspace(tmp_path / "n").tracked_at(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(StudyError, match="there is no such database"), open_server(nowhere):
        pass
    assert not (tmp_path / "none.db").exists()


def test_a_study_that_has_just_begun_cannot_be_pulled_yet(
    workspace: Workspace, server: MlflowServer, elsewhere: Workspace
) -> None:
    tracker = MlflowTracker(workspace, workspace.study("s"))
    with Journal(workspace.study("s")) as journal:
        tracker.start_study(journal.record_study(study_log(session="now")))
        assert tracker.flush(60)
        with pytest.raises(StudyError, match="no journal"):
            pull_study(server, "s", elsewhere, SilentProgress())
    tracker.close(60)


def test_how_it_goes_and_a_wish_to_stop_pass_through_mlflow(workspace: Workspace, server: MlflowServer) -> None:
    folder = workspace.study("s")
    tracker = MlflowTracker(workspace, folder, beat_s=0.1)
    status = SearchStatus(20, 3, 2, best_score=0.3, best_config={"train.lr": 0.1}, epochs=(4, 7))
    with Journal(folder) as journal, keep_live(folder, "now", SilentProgress()) as progress:
        tracker.start_study(journal.record_study(study_log(session="now")))
        tracker.log_trial(journal.record_trial(trial_log(0)))
        progress.start("search s", 20)
        progress.update(status)
        progress.start("confirm s", 2)
        assert tracker.flush(60)
        deadline = time.monotonic() + 60
        while (live := find_remote(server, "s").live) is None or live.stage != "confirm s":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (live.session, live.search, live.total) == ("now", status, 2)
        assert [(one.name, one.state) for one in list_remote(server)] == [("s", "running")]
        assert not stop_requested(folder, "now")
        ask_to_stop(server, find_remote(server, "s"))
        while not stop_requested(folder, "now"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    tracker.close(60)
    ended = find_remote(server, "s")
    assert (ended.running, ended.state, ended.live) == (False, "interrupted", None)

    # the wish was for that session: the next one does not heed it
    tracker = MlflowTracker(workspace, folder, beat_s=0.05)
    with Journal(folder) as journal, keep_live(folder, "later", SilentProgress()):
        tracker.start_study(journal.record_study(study_log(session="later")))
        assert tracker.flush(60)
        while (heard := find_remote(server, "s").live) is None or heard.session != "later":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.2)
        assert not folder.stop_request.exists()
    tracker.close(60)
