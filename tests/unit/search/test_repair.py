"""A study with damaged files, or whose MLflow disagrees: the journal is the truth."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mlflow import MlflowClient

from rfe import api
from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import StudyError
from rfe.journal.events import TrialLog
from rfe.journal.journal import LOCK_FILE
from rfe.journal.records import read_events
from rfe.progress import SilentProgress
from rfe.search.repair import RepairReport, repair_study
from rfe.study import read_study
from rfe.study.opening import name_trials
from rfe.tracking.base import NullTracker
from rfe.tracking.mlflow_server import MlflowServer
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import StudyFolder, Workspace, open_workspace
from tests.integration.fakes import write_data
from tests.unit.cli.invoke import invoke
from tests.unit.search.tiny_study import ASKED, ENDED, run_study


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("repair") / "data"))


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return open_workspace(tmp_path)


@pytest.fixture
def study(workspace: Workspace, dataset: Dataset) -> StudyFolder:
    tracker = MlflowTracker(workspace, workspace.study("tiny"))
    folder = run_study(workspace, dataset, tracker)
    assert tracker.close(120) == ""
    return folder


def repair(workspace: Workspace) -> RepairReport:
    return repair_study(workspace, workspace.study("tiny"), SilentProgress())


def states(folder: StudyFolder) -> dict[int, str]:
    return {row.number: row.state for row in read_study(folder.path).trials}


def journal_states(folder: StudyFolder) -> dict[int, str]:
    return {event.number: event.state for event in read_events(folder) if isinstance(event, TrialLog)}


def drop_lines(path: Path, *words: str) -> int:
    """Delete the lines that hold all `words`; returns how many."""
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not all(word in line for word in words)]
    path.write_text("".join(kept))
    return len(lines) - len(kept)


def test_a_healthy_study_is_left_as_it_is(workspace: Workspace, study: StudyFolder) -> None:
    before = study.journal.read_bytes(), states(study)
    report = repair(workspace)
    assert (report.repairs, report.adoptable, report.left) == ((), (ENDED,), "")
    assert (study.journal.read_bytes(), states(study)) == before


def study_tags(workspace: Workspace, folder: StudyFolder) -> dict[str, str]:
    client = MlflowClient(workspace.mlflow_uri)
    return dict(client.get_run(json.loads(folder.mlflow_runs.read_text())["study_run_id"]).data.tags)


def test_mlflow_shows_what_was_changed_at_once_or_after_a_repair(workspace: Workspace, study: StudyFolder) -> None:
    """Before, nothing of a change reached MLflow before the next start, and nothing of a narrowed space ever."""
    assert api.change_study("tiny", trials=30, workspace=workspace).left == ""
    tags = study_tags(workspace, study)
    assert tags["rfe.budget.trials"] == "30"
    assert "| `budget.trials` | 30 |" in tags["mlflow.note.content"]
    assert tags["rfe.state"] == "stopped"
    assert repair(workspace).repairs == ()
    database = workspace.root / "mlflow.db"
    database.rename(workspace.root / "away.db")
    narrowed = api.narrow_study(
        "tiny", None, ["space.train.lr={float: [0.001, 0.002], log: true}"], workspace=workspace
    )
    assert "`rfe studies repair tiny` shows them in MLflow later" in narrowed.left
    (workspace.root / "away.db").rename(database)
    assert [(one.where, one.found) for one in repair(workspace).repairs] == [
        ("MLflow", "the study's run: another budget or space than the journal's")
    ]
    assert study_tags(workspace, study)["rfe.narrowed"] == "train.lr: 0.001 to 0.002 (log)"
    assert repair(workspace).repairs == ()


def test_half_a_line_is_cut(workspace: Workspace, study: StudyFolder) -> None:
    whole = study.journal.read_bytes()
    with study.journal.open("ab") as journal:
        journal.write(b'{"time": 1')
    assert [(one.where, one.done) for one in repair(workspace).repairs] == [("journal", "cut off")]
    assert study.journal.read_bytes() == whole
    assert repair(workspace).repairs == ()


def test_a_result_that_the_journal_lost_is_open_again(workspace: Workspace, study: StudyFolder) -> None:
    assert drop_lines(study.journal, '"number": 2,', '"kind": "trial"') == 1
    report = repair(workspace)
    assert report.adoptable == (2, ENDED)
    assert [one.found for one in report.repairs] == [
        "no result of trial 2, of which trials/ has files or MLflow has runs",
        "trial 2: complete, in the journal without a result",
    ]
    assert "`rfe studies resume tiny` trains them again" in report.repairs[0].done
    assert report.repairs[1].done == "not written"
    assert {n: state for n, state in states(study).items() if state != "running"} == journal_states(study)
    assert len(states(study)) == ASKED


def test_what_the_journal_lost_is_brought_back_from_mlflow_after_a_repair(
    workspace: Workspace, study: StudyFolder, tmp_path: Path
) -> None:
    """Before, `repair` said that all agreed and MLflow's journal was replaced by the one that was cut."""
    whole = study.journal.read_bytes()
    study.journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:-3]))
    assert len(journal_states(study)) == ENDED - 1
    assert any("no result of trial" in one.found for one in repair(workspace).repairs)
    elsewhere = open_workspace(tmp_path / "elsewhere")
    api.pull_study("tiny", elsewhere, tracking_uri=workspace.mlflow_uri)
    assert elsewhere.study("tiny").journal.read_bytes() == whole


def test_a_trial_that_only_an_earlier_version_knew_is_recorded_as_failed(
    workspace: Workspace, study: StudyFolder
) -> None:
    assert drop_lines(study.journal, '"kind": "ask"') == 1
    assert drop_lines(study.journal, '"number": 2,', '"kind": "trial"') == 1
    [one] = [one for one in repair(workspace).repairs if one.where == "journal"]
    assert (one.found, one.done) == (
        "trial 2: asked for by an earlier version, without their parameters",
        "recorded as failed",
    )
    assert states(study)[2] == journal_states(study)[2] == "failed"
    assert repair(workspace).repairs == ()


def test_mlflow_is_written_anew_from_the_journal(workspace: Workspace, dataset: Dataset) -> None:
    folder = run_study(workspace, dataset, NullTracker())  # as if MLflow had been away all the time
    report = repair(workspace)
    assert [one.found for one in report.repairs] == [
        "the study's run: missing",
        *(f"trial {number}: no run" for number in range(ENDED)),
    ]
    assert {one.done for one in report.repairs} == {"written from the journal"}
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    shown = {
        int(run.data.tags["rfe.trial"]): run.data.tags["rfe.state"] for run in runs if "rfe.trial" in run.data.tags
    }
    assert shown == journal_states(folder)
    assert not [run for run in runs if run.info.status == "RUNNING"]
    assert repair(workspace).repairs == ()
    # a run that a killed process left open, and one that tells it otherwise
    by_trial = {run.data.tags.get("rfe.trial"): run.info.run_id for run in runs}
    client.update_run(by_trial[None], "RUNNING")
    client.set_tag(by_trial["1"], "rfe.state", "failed")
    assert {one.found for one in repair(workspace).repairs} == {
        "the study's run: still running",
        "trial 1: failed, in the journal complete",
    }
    assert repair(workspace).repairs == ()


@pytest.mark.parametrize("lost", ["missing", "empty"])
def test_of_a_lost_journal_it_is_said_where_the_results_may_be(
    lost: str, workspace: Workspace, study: StudyFolder
) -> None:
    """All trials were opened again, without a word on where their results are still to be had."""
    if lost == "missing":
        study.journal.unlink()
    else:
        study.journal.write_bytes(b"")
    with pytest.raises(StudyError, match=r"bring it back with `rfe studies pull tiny`"):
        api.repair_study("tiny", workspace)


def test_outputs_that_are_lost_are_said(workspace: Workspace, study: StudyFolder) -> None:
    """Nothing looked at them, and `rfe ensemble` ended in the first one."""
    (study.trial(1) / "outputs.npz").unlink()
    content = (study.trial(2) / "outputs.npz").read_bytes()
    (study.trial(2) / "outputs.npz").write_bytes(content[: len(content) // 2])
    flipped = bytearray((study.trial(4) / "outputs.npz").read_bytes())
    flipped[len(flipped) // 3] ^= 0xFF
    (study.trial(4) / "outputs.npz").write_bytes(flipped)
    found = [one for one in repair(workspace).repairs if one.where == "files"]
    assert [one.found.split(" is ")[0] for one in found] == [
        f"trial {number}: trials/{number:05d}/outputs.npz" for number in (1, 2, 4)
    ]
    assert [one.found.split(" is ")[1].split()[0] for one in found] == ["missing", "damaged", "damaged"]
    assert "`rfe studies pull tiny`" in found[0].done


def test_a_study_that_is_worked_on_is_refused(workspace: Workspace, study: StudyFolder) -> None:
    with FileLock(study.path / LOCK_FILE), pytest.raises(StudyError, match="being worked on"):
        repair(workspace)


def test_damage_in_the_middle_is_for_a_person(workspace: Workspace, study: StudyFolder) -> None:
    lines = study.journal.read_text().splitlines(keepends=True)
    study.journal.write_text("".join([lines[0], lines[1][:20] + "\n", *lines[2:]]))
    before = study.journal.read_bytes()
    with pytest.raises(StudyError, match="line 2: not a journal record"):
        repair(workspace)
    assert study.journal.read_bytes() == before
    assert json.loads(lines[0])["kind"] == "study"


def test_many_trials_are_named_shortly() -> None:
    assert name_trials([3]) == "trial 3"
    assert name_trials([2, 1]) == "trials 1, 2"
    assert name_trials(range(20), most=3) == "trials 0, 1, 2 and 17 more"


def test_a_database_that_cannot_be_opened_is_kept_aside_and_filled_again(
    workspace: Workspace, study: StudyFolder, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: `repair` ended in an internal error."""
    monkeypatch.setattr("rfe.tracking.database._make", lambda file: shutil.copy(empty_database, file))
    database = workspace.root / "mlflow.db"
    database.write_bytes(database.read_bytes()[:300_000])
    [one] = repair(workspace).repairs
    assert (one.where, one.done) == ("MLflow", "written from the journal")
    assert "malformed" in one.found
    assert (workspace.root / "mlflow.db.damaged-1").stat().st_size == 300_000
    assert repair(workspace).repairs == ()


def test_all_studies_are_filled_again_and_one_that_is_refused_stops_no_other(
    workspace: Workspace, study: StudyFolder, dataset: Dataset, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, only the study at hand came back after the database was moved aside."""
    monkeypatch.setattr("rfe.tracking.database._make", lambda file: shutil.copy(empty_database, file))
    for name in ("busy", "other"):
        run_study(workspace, dataset, NullTracker(), name)
    (workspace.root / "mlflow.db").write_bytes(b"not a database " * 99)
    with FileLock(workspace.study("busy").path / LOCK_FILE):
        ended = invoke("studies", "repair", "--all", "--json", "--workspace", workspace.root)
    assert ended.exit_code == 2
    told = json.loads(ended.stdout)
    assert [one["study"] for one in told["reports"]] == ["other", "tiny"]
    assert list(told["refused"]) == ["busy"]
    assert "not repaired: study 'busy' is being worked on" in ended.stderr
    assert repair(workspace).repairs == ()
    ended = invoke("studies", "repair", "--all", "--workspace", workspace.root)
    assert ended.exit_code == 0
    assert "study busy:" in ended.stdout
    assert ended.stdout.count("nothing to repair") == 2


@pytest.mark.parametrize("words", [[], ["tiny", "--all"]])
def test_repair_takes_one_study_or_all(words: list[str], workspace: Workspace) -> None:
    ended = invoke("studies", "repair", *words, "--workspace", workspace.root)
    assert ended.exit_code == 2
    assert "name one study, or give --all" in ended.stderr


def test_what_mlflow_refuses_is_not_called_written(
    workspace: Workspace, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: `written from the journal`, of a trial that was not."""
    run_study(workspace, dataset, NullTracker())
    log = MlflowServer.log

    def refuse(self: MlflowServer, run_id: str, *what: Any, **more: Any) -> None:
        if self.tags(run_id).get("rfe.trial") == "1":
            raise ValueError("illegal name")
        log(self, run_id, *what, **more)

    monkeypatch.setattr(MlflowServer, "log", refuse)
    report = repair(workspace)
    done = {one.found: one.done for one in report.repairs}
    assert done["trial 0: no run"] == "written from the journal"
    assert [found for found, how in done.items() if how == "not written"] == [
        "trial 1: RUNNING, in the journal complete"
    ]
    assert "refused trial 1 (illegal name)" in report.left
