"""What a study's journal says, as lists and tables show it."""

from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from rfe import api
from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.errors import ConfigError, StudyError
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog
from rfe.journal.journal import LOCK_FILE, Journal
from rfe.journal.study import read_trial, study_source
from rfe.reporting.studies import changed_settings, describe_study
from rfe.reporting.summaries import summarize_study
from rfe.workspace import StudyFolder, Workspace, find_study, open_workspace
from tests.unit.cli.invoke import invoke
from tests.unit.reporting.journals import STUDY, make_trial


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path)


@pytest.fixture
def folder(workspace: Workspace) -> StudyFolder:
    folder = workspace.study("first")
    with Journal(folder) as journal:
        journal.record_study(STUDY)
        journal.record_trial(make_trial(0, 0.30))
        journal.record_trial(make_trial(1, 0.40))
        journal.record_trial(make_trial(2, None, state="failed", reason="out of memory"))
        journal.record_trial(make_trial(3, 0.40, tags={"duplicate_of": "1"}))
        journal.record_confirmation(ConfirmationLog("first", 0, (0.31, 0.33), (7, 8)))
    return folder


def test_an_unended_study_is_interrupted_and_its_best_is_known(folder: StudyFolder) -> None:
    summary = summarize_study(folder)
    assert (summary.state, summary.data, summary.simulated) == ("interrupted", "sim", True)
    assert summary.trials == {"complete": 3, "pruned": 0, "failed": 1}
    assert (summary.score_best, summary.score_selected) == (0.4, None)


def test_one_trial_has_no_optimistic_best_and_no_setting_is_empty(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RFE_WORKSPACE", str(workspace.root))
    with Journal(workspace.study("first")) as journal:
        journal.record_study(replace(STUDY, settings={"budget.trials": 1, "budget.hours": None}))
        journal.record_trial(make_trial(0, 0.30))
    listed = invoke("studies", "list").stdout
    assert listed.count("0.300") == 1
    assert "nothing was chosen by its score, so it stands under selected" in listed
    shown = invoke("studies", "show", "first").stdout
    assert "budget.trials" in shown
    assert "budget.hours" not in shown
    assert "nothing was chosen by its score" in shown
    with Journal(workspace.study("first")) as journal:
        journal.record_trial(make_trial(1, 0.40))
    assert "nothing was chosen" not in invoke("studies", "list").stdout
    assert "the best of many trials is optimistic" in invoke("studies", "show", "first").stdout


def test_an_ended_study_says_how(folder: StudyFolder) -> None:
    with Journal(folder) as journal:
        journal.record_outcome(
            OutcomeLog("first", "finished", scores={"score_selected": 0.35, "score_confirmed": 0.32})
        )
    summary = summarize_study(folder)
    assert (summary.state, summary.score_selected, summary.score_confirmed) == ("finished", 0.35, 0.32)
    with Journal(folder) as journal:
        journal.record_trial(make_trial(4, 0.2))
    assert summarize_study(folder).state == "interrupted"  # it went on and did not end


def test_a_study_whose_lock_is_held_is_running(folder: StudyFolder) -> None:
    with FileLock(folder.path / LOCK_FILE):
        assert summarize_study(folder).state == "running"
    assert summarize_study(folder).state == "interrupted"


def test_trials_come_in_the_order_asked_for(folder: StudyFolder) -> None:
    def numbers(sort: str, top: int = 20) -> list[int]:
        return [line.number for line in describe_study(folder, sort=sort, top=top).trials]

    assert numbers("score") == [1, 3, 0, 2]
    assert numbers("score", top=2) == [1, 3]
    assert numbers("number") == [0, 1, 2, 3]
    assert numbers("seconds") == [3, 2, 1, 0]
    assert numbers("confirmed") == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="did you mean acc_salience"):
        numbers("salience")


def test_a_line_holds_what_was_searched_and_why_it_failed(folder: StudyFolder) -> None:
    lines = {line.number: line for line in describe_study(folder).trials}
    assert list(lines[0].searched) == ["pool", "train.lr"]
    assert lines[0].confirmed == pytest.approx(0.32)
    assert (lines[2].score, lines[2].reason) == (None, "out of memory")
    assert lines[3].reason == "same as 1"


def test_an_unknown_study_is_answered_with_the_nearest(workspace: Workspace, folder: StudyFolder) -> None:
    assert find_study(workspace, "first") == folder
    with pytest.raises(StudyError, match="did you mean first"):
        find_study(workspace, "fist")
    with pytest.raises(StudyError, match="holds no studies"):
        find_study(open_workspace(workspace.root / "empty"), "first")


def test_a_damaged_study_hides_no_other(workspace: Workspace, folder: StudyFolder) -> None:
    """The list of all studies ended in the one's error."""
    other = workspace.study("other")
    with Journal(other) as journal:
        journal.record_study(StudyLog("other"))
    other.journal.write_bytes(other.journal.read_bytes() + b"\x00\x00\n" + other.journal.read_bytes())
    listed = {one.name: one for one in api.list_studies(workspace)}
    assert listed["first"] == summarize_study(folder)
    assert listed["other"].state == "damaged"
    assert "journal.jsonl, line 2: not a journal record" in listed["other"].problem
    said = invoke("studies", "list", "--workspace", workspace.root)
    assert said.exit_code == 0
    assert "line 2: not a journal record" in " ".join(said.stdout.split())


def test_a_missing_journal_is_said(workspace: Workspace, folder: StudyFolder) -> None:
    """The study was called unknown, and its own name the nearest."""
    folder.definition.write_text("{}")
    folder.journal.unlink()
    with pytest.raises(StudyError, match=r"journal.jsonl is missing.*studies pull first`.*studies delete first`"):
        find_study(workspace, "first")
    with pytest.raises(StudyError, match="did you mean first"):
        find_study(workspace, "fist")
    assert api.delete_study("first", workspace, keep_runs=True).study == "first"
    assert not folder.exists()


def test_the_summary_is_that_of_the_whole_journal(folder: StudyFolder) -> None:
    """Lists read states and scores alone; they must be those of the trials as last recorded."""
    with Journal(folder) as journal:
        journal.record_trial(make_trial(1, 0.9))
        journal.record("trial", 8, state=3, scores="none")
    summary = summarize_study(folder)
    assert summary.score_best == 0.9
    assert sum(summary.trials.values()) == 4


def test_a_trial_and_the_data_are_found_again(folder: StudyFolder, workspace: Workspace) -> None:
    assert read_trial(folder, 1) == flatten(Config())
    with pytest.raises(StudyError, match="no finished trial 9; its trials go from 0 to 3"):
        read_trial(folder, 9)
    assert study_source(folder) == ("/data/sim", ("a", "b"))
    other = workspace.study("other")
    with Journal(other) as journal:
        journal.record_study(StudyLog("other"))
    with pytest.raises(StudyError, match="--data"):
        study_source(other)


def test_only_what_differs_from_the_defaults_is_shown() -> None:
    config = flatten(Config()) | {"train.lr": 0.5, "data.standardize.a": "fold"}
    assert changed_settings(config) == {"pool": "all", "train.lr": 0.5, "data.standardize.a": "fold"}


def test_a_study_with_several_objectives_has_its_front(tmp_path: Path) -> None:
    folder = open_workspace(tmp_path).study("first")
    points = {0: (0.5, 0.2), 1: (0.4, 0.3), 2: (0.4, 0.2), 3: (0.4, 0.3)}
    with Journal(folder) as journal:
        journal.record_study(replace(STUDY, settings={"objective": ["acc_presence", "acc_salience"]}))
        for number, (presence, salience) in points.items():
            scores = {"score": (presence + salience) / 2, "acc_presence": presence, "acc_salience": salience}
            tags = {"duplicate_of": "1"} if number == 3 else {}
            journal.record_trial(make_trial(number, None, scores=scores, tags=tags))
    assert [line.number for line in describe_study(folder).front] == [0, 1]
    assert describe_study(folder, top=1).front[1].acc_salience == 0.3
    said = invoke("studies", "show", "first", "--workspace", tmp_path).stdout
    assert "Pareto front of acc_presence and acc_salience" in said
