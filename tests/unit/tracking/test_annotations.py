"""Notes, tags and the archive: kept beside a journal that another process has open, and shown by MLflow."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from rfe.data.dataset import load_dataset
from rfe.errors import ConfigError, StudyError
from rfe.journal.events import OutcomeLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.locking import acquire_lock
from rfe.progress import SilentProgress
from rfe.tracking import annotations as module
from rfe.tracking.annotated_run import update_run
from rfe.tracking.annotations import (
    Annotations,
    add_tags,
    annotations_shown,
    lock_path,
    read_annotations,
    remove_tags,
    set_archived,
    set_note,
)
from rfe.tracking.gaps import find_gaps
from rfe.tracking.mlflow_server import open_server
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.tracking.remote import pull_study
from rfe.tracking.run_writer import RunWriter
from rfe.workspace import Workspace, open_workspace
from tests.integration.fakes import write_data
from tests.unit.search.tiny_study import run_study
from tests.unit.tracking.logs import study_folder, study_log, trial_log
from tests.unit.tracking.test_run_writer import MemoryServer

TOKEN = "ghp_" + "a1B2" * 9


def test_what_is_said_is_kept_beside_an_open_journal(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        journal.record_study(study_log())
        before = folder.journal.read_bytes()
        set_note(folder, " baseline\nof the paper ")
        add_tags(folder, ["paper", "gpu=a100"])
        add_tags(folder, ["paper"])
        set_archived(folder, True)
        assert folder.journal.read_bytes() == before
        journal.record_trial(trial_log(0))
    known = read_annotations(folder)
    assert (known.note, known.tags, known.archived) == ("baseline\nof the paper", ("paper", "gpu=a100"), True)
    remove_tags(folder, ["paper"])
    set_note(folder, "")
    set_archived(folder, False)
    known = read_annotations(folder)
    assert (known.note, known.tags, known.archived) == ("", ("gpu=a100",), False)


def test_what_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    set_archived(folder, False)
    assert not folder.annotations.exists()
    add_tags(folder, ["a"])
    before = folder.annotations.read_bytes()
    add_tags(folder, ["a"])
    assert folder.annotations.read_bytes() == before


def test_tags_given_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """Without the lock, of two that read the file at once the later writer wins."""
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    threads = [threading.Thread(target=add_tags, args=(folder, [f"t{n}"])) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_annotations(folder).tags) == sorted(f"t{n}" for n in range(12))


def test_a_lock_that_stays_held_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    monkeypatch.setattr(module, "LOCK_S", 0.05)
    lock = acquire_lock(lock_path(folder.annotations))
    with pytest.raises(StudyError, match="another process has been changing it"):
        set_note(folder, "x")
    lock.release()
    assert not folder.annotations.exists()


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("x" * 5001, "5,001 characters"),
        ("a\x1b[31mred", "control characters"),
        (f"see {TOKEN}", "a token"),
        ("mlflow at https://me:hunter22@host", "an address with a password"),
    ],
)
def test_a_note_that_cannot_be_shown_is_refused(note: str, said: str, tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    with pytest.raises(ConfigError, match=said) as error:
        set_note(folder, note)
    assert TOKEN not in str(error.value)
    assert "hunter22" not in str(error.value)
    assert not folder.annotations.exists()


@pytest.mark.parametrize("tag", ["", "two words", "-x", "ümlaut", "a" * 51, "a,b", TOKEN])
def test_a_tag_that_cannot_be_one_is_refused(tag: str, tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    with pytest.raises(ConfigError, match="tag"):
        add_tags(folder, ["good", tag])
    assert not folder.annotations.exists()


def test_too_many_tags_and_tags_that_are_not_there(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    with pytest.raises(StudyError, match="it has no tags"):
        remove_tags(folder, ["paper"])
    with pytest.raises(ConfigError, match="51 tags"):
        add_tags(folder, [f"t{n}" for n in range(51)])
    add_tags(folder, ["paper"])
    with pytest.raises(StudyError, match="did you mean paper"):
        remove_tags(folder, ["papr"])


@pytest.mark.parametrize("text", ["", "[]", '{"note": 1, "tags": [], "archived": false, "changed": 1}', "{"])
def test_a_damaged_file_is_said_where_it_is_changed_and_passed_over_where_it_is_shown(
    text: str, tmp_path: Path
) -> None:
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    folder.annotations.write_text(text)
    with pytest.raises(StudyError, match="delete the file and annotate"):
        add_tags(folder, ["a"])
    assert annotations_shown(folder) == Annotations()


# ---- MLflow


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    workspace = open_workspace(tmp_path)
    tracker = MlflowTracker(workspace, workspace.study("s"))
    with Journal(workspace.study("s")) as journal:
        tracker.start_study(journal.record_study(study_log()))
        tracker.log_trial(journal.record_trial(trial_log(0, artifacts={})))
        tracker.finish_study(journal.record_outcome(OutcomeLog("s", "finished", "Done.")))
    assert tracker.close(120) == ""
    return workspace


def study_tags(workspace: Workspace) -> dict[str, str]:
    client = MlflowClient(workspace.mlflow_uri)
    run = json.loads(workspace.study("s").mlflow_runs.read_text())["study_run_id"]
    return dict(client.get_run(run).data.tags)


def test_mlflow_shows_them_at_once_and_repair_finds_what_it_lacks(workspace: Workspace) -> None:
    folder = workspace.study("s")
    assert find_gaps(workspace, folder) == []
    set_note(folder, "baseline of the paper")
    add_tags(folder, ["paper", "gpu"])
    assert find_gaps(workspace, folder) == ["the study's run: another note or other tags than the study's folder"]
    assert update_run(workspace, folder) == ""
    tags = study_tags(workspace)
    assert (tags["rfe.tags"], tags["rfe.note"], tags["rfe.archived"]) == (
        "paper, gpu",
        "baseline of the paper",
        "false",
    )
    assert tags["mlflow.note.content"].startswith("baseline of the paper\n\n**Finished.** Done.")
    assert find_gaps(workspace, folder) == []
    remove_tags(folder, ["paper", "gpu"])
    tracker = MlflowTracker(workspace, folder)  # what repair does
    tracker.replay(read_events(folder))
    assert tracker.close(120) == ""
    assert study_tags(workspace)["rfe.tags"] == ""
    assert find_gaps(workspace, folder) == []


def test_a_pulled_study_has_them_and_later_ones_here_stay(workspace: Workspace, tmp_path: Path) -> None:
    tracker = MlflowTracker(workspace, workspace.study("tiny"))
    folder = run_study(workspace, load_dataset(write_data(tmp_path / "data")), tracker)
    add_tags(folder, ["paper"])
    assert tracker.close(120) == ""
    there = Workspace(tmp_path / "there", workspace.mlflow_uri, tmp_path / "cache")
    for tags in (("paper",), ("paper", "mine")):
        with open_server(workspace) as server:
            pulled, _ = pull_study(server, "tiny", there, SilentProgress())
        assert read_annotations(pulled).tags == tags
        add_tags(pulled, ["mine"])


def test_an_mlflow_that_is_away_is_a_sentence(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.study("s")
    add_tags(folder, ["paper"])
    (tmp_path / "mlflow.db").unlink()
    assert "rfe studies repair s" in update_run(workspace, folder)
    folder.mlflow_runs.unlink()
    assert "no run in MLflow" in update_run(workspace, folder)


def test_a_running_search_shows_what_was_changed_of_it(tmp_path: Path) -> None:
    folder, server = study_folder(tmp_path), MemoryServer()
    with Journal(folder) as journal:
        writer = RunWriter(server, folder, 20, "memory")
        writer.open(journal.record_study(study_log(settings={"budget.trials": 10})))
        assert server.tags(writer.study_run_id)["rfe.budget.trials"] == "10"
        narrowed = {"train.lr": "0.001 to 0.002"}
        writer.change(study_log(settings={"budget.trials": 20, "workers": 2}, space=narrowed, narrowed=narrowed))
        tags = server.tags(writer.study_run_id)
        assert (tags["rfe.budget.trials"], tags["rfe.workers"]) == ("20", "2")
        assert tags["rfe.narrowed"] == "train.lr: 0.001 to 0.002"
        assert "| `train.lr` | 0.001 to 0.002 |" in tags["mlflow.note.content"]
        assert tags["rfe.state"] == "running"


def test_a_running_search_shows_them_with_its_next_sign_of_life(tmp_path: Path) -> None:
    folder, server = study_folder(tmp_path), MemoryServer()
    with Journal(folder) as journal:
        writer = RunWriter(server, folder, 20, "memory")
        writer.open(journal.record_study(study_log()))
        writer.refresh()
        assert "rfe.tags" not in server.tags(writer.study_run_id)
        add_tags(folder, ["paper"])
        writer.beat()
        assert server.tags(writer.study_run_id)["rfe.tags"] == "paper"
