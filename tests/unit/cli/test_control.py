"""`rfe studies add, prune, change, narrow, retry` on a study that nothing works on, as typed."""

import json
import re
from pathlib import Path

import pytest

import rfe
from rfe.errors import ConfigError
from rfe.journal.journal import Journal
from rfe.journal.records import read_records
from rfe.search.changes import StudyChanges
from rfe.search.requests import ChangeStudy, find_answer, waiting_requests, write_request
from rfe.workspace import StudyFolder, Workspace
from tests.unit.cli.invoke import invoke


@pytest.fixture
def study(tiny: Workspace) -> StudyFolder:
    return tiny.study("tiny")


def changes(study: StudyFolder) -> StudyChanges:
    return StudyChanges.read(read_records(study.journal))


def test_each_command_says_what_happens_and_how_to_go_on(study: StudyFolder) -> None:
    for words, said in (
        (["add", "tiny", "--set", "train.lr=0.001"], "queued as the next trial"),
        (["add", "tiny", "-s", "train.lr=0.002"], "queued behind 1 other"),
        (["prune", "tiny", "5"], "trial 5 was pruned"),
        (["prune", "tiny", "--where", "number > 5"], "none of its 0 open trials matches"),
        (
            ["change", "tiny", "--trials", 20, "--workers", 2],
            "the study now has 20 trials in all and 2 workers (if there is room)",
        ),
        (["narrow", "tiny", "--set", "space.train.lr={float: [0.001, 0.002], log: true}"], "narrowed: "),
    ):
        ended = invoke("studies", *words)
        assert said in ended.output, ended.output
        assert "it is not running; resume it with: rfe studies resume tiny" in ended.stdout
    found = changes(study)
    assert [one.params for one in found.queue] == [{"train.lr": 0.001}, {"train.lr": 0.002}]
    assert found.pruned == {5: "pruned by the user"}
    assert found.changed == {"trials": 20, "workers": 2}
    assert found.ranges["train.lr"]["high"] == 0.002
    assert not waiting_requests(study)


def test_what_was_changed_is_shown_and_the_study_has_ended_as_before(study: StudyFolder) -> None:
    """Before, `show` and the page had the budget and the space that the study was started with, and no queue."""
    for words in (
        ["change", "tiny", "--trials", 20, "--workers", 2],
        ["prune", "tiny", "5"],
        ["retry", "tiny", "3"],
        ["narrow", "tiny", "--set", "space.train.lr={float: [0.0001, 0.009], log: true}"],
        ["add", "tiny", "--set", "train.lr=0.0012345"],
    ):
        assert invoke("studies", *words).exit_code == 0
    shown = invoke("studies", "show", "tiny").stdout
    assert "study tiny: stopped" in shown
    for part in (
        r"budget\.trials +20\n",
        r"workers +2\n",
        r"train\.lr +0\.0001 to 0\.009 \(log\)",
        r"narrowed from trial 6 on; before:\n(.*\n)+?.*train\.lr +0\.0001 to 0\.01 \(log\)",
        r"queued by the user, tried next\n(.*\n)+?.* 3 *\n(.*\n)*?.*lr 0\.0012",
        r"trial 5 will be pruned when the study resumes \(pruned by the user\)",
    ):
        assert re.search(part, shown), (part, shown)
    detail = json.loads(invoke("studies", "show", "tiny", "--json").stdout)
    assert detail["settings"]["budget.trials"] == 20
    assert [one["params"].get("train.lr") for one in detail["queued"]][-1] == 0.0012345
    assert detail["queued"][0]["retry_of"] == 3
    assert detail["pruned"] == {"5": "pruned by the user"}
    assert detail["narrowed"] == {"train.lr": "0.0001 to 0.01 (log)"}
    assert [one.state for one in rfe.api.list_studies()] == ["stopped"]
    page = json.loads(invoke("watch", "tiny", "--json").stdout)
    assert (page["state"], page["budget"], page["queued"]) == ("stopped", 20, 2)
    [lr] = page["parameters"]
    assert lr == {"name": "train.lr", "log": True, "low": 1e-4, "high": 1e-2, "narrowed": "0.0001 to 0.009 (log)"}


def test_the_answer_can_be_had_as_json(study: StudyFolder) -> None:
    answer = json.loads(invoke("studies", "retry", "tiny", "3", "--json").stdout)
    assert answer == {
        "study": "tiny",
        "said": "trial 3 is queued to be tried again, under a new number",
        "running": False,
        "taken_up": True,
        "left": "",
    }
    assert [one.retry_of for one in changes(study).queue] == [3]


def test_a_configuration_comes_from_a_file_too(study: StudyFolder, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("train: {lr: 0.0042}\n")
    invoke("studies", "add", "tiny", "--config", file)
    assert [one.params for one in changes(study).queue] == [{"train.lr": 0.0042}]


def test_a_notebook_has_the_same(study: StudyFolder) -> None:
    opened = rfe.open_study("tiny")
    assert opened.add({"train.lr": 0.001}, first=True).said == "queued as the next trial"
    assert opened.prune(5).said == "trial 5 was pruned"
    assert "3 hours in all" in opened.change(hours=3).said
    assert opened.retry(failed=True).said == "trial 3 is queued to be tried again, under a new number"
    assert opened.narrow(overrides=["train.lr=0.001"]).said.startswith("narrowed: ")


def test_a_notebook_annotates_lists_tabulates_and_writes_the_page_too(study: StudyFolder, tmp_path: Path) -> None:
    """Before, a study of a notebook had none of these, and `rfe` no list."""
    opened = rfe.open_study("tiny")
    assert opened.note("baseline").note == "baseline"
    assert opened.tag("paper", "gpu").tags == ("paper", "gpu")
    assert opened.tag("gpu", remove=True).tags == ("paper",)
    listed = rfe.list_studies(tags="paper", state="stopped")
    assert listed.index.tolist() == ["tiny"]
    assert listed.loc["tiny", ["state", "complete", "failed", "note", "tags"]].tolist() == [
        *("stopped", 4, 1, "baseline", ("paper",))
    ]
    assert listed.loc["tiny", "changed"].year > 2000
    assert len(rfe.list_studies(tags=["paper", "gpu"])) == len(rfe.list_studies(state="running")) == 0
    assert opened.archive().archived
    assert len(rfe.list_studies()) == 0
    assert rfe.list_studies(archived=True).index.tolist() == ["tiny"]
    assert not opened.archive(undo=True).archived
    file = tmp_path / "trials.csv"
    table = opened.table(file, parameters="all")
    assert table["trial"].tolist() == list(range(5))
    assert "train.epochs" in table
    assert len(file.read_text().splitlines()) == 6
    page = opened.page(tmp_path / "p.html")
    assert '"every_s":0' in page.read_text()
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        opened.page(tmp_path)
    with pytest.raises(ConfigError, match="state"):
        rfe.list_studies(state="runing")


def test_a_request_that_was_journaled_before_a_crash_is_taken_up_once(study: StudyFolder) -> None:
    """The process ended between the journal's record and the removal of the file."""
    path = write_request(study, ChangeStudy(trials=50))
    with Journal(study) as journal:
        journal.record("request", id=path.stem, command="change", said="", refused=False, effects={})
    invoke("studies", "change", "tiny", "--hours", 4)
    assert changes(study).changed == {"hours": 4}
    assert not waiting_requests(study)


def test_a_request_is_answered_though_a_crash_left_half_a_line_in_the_journal(study: StudyFolder) -> None:
    with study.journal.open("ab") as file:
        file.write(b'{"time": 1.0, "study": "tiny", "number": 6, "kind": "trial", ' + b" " * 5000)
    ended = invoke("studies", "change", "tiny", "--hours", 4, "--json")
    assert json.loads(ended.stdout)["taken_up"]
    assert changes(study).changed == {"hours": 4}


def test_requests_that_were_left_are_taken_up_in_their_order(study: StudyFolder) -> None:
    paths = [write_request(study, ChangeStudy(trials=n)) for n in (50, 60)]
    invoke("studies", "change", "tiny", "--hours", 4)
    assert changes(study).changed == {"trials": 60, "hours": 4}
    assert all(find_answer(study.journal, path.stem) is not None for path in paths)


def test_a_command_that_is_not_answered_in_time_says_who_takes_it_up(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rfe.search.control.ANSWER_S", 0.0)
    with Journal(study):  # a process that does something else with the study
        ended = invoke("studies", "change", "tiny", "--hours", 4, "--json")
    answer = json.loads(ended.stdout)
    assert (answer["running"], answer["taken_up"]) == (True, False)
    assert "takes it up when it gets there" in answer["said"]
    assert len(waiting_requests(study)) == 1
