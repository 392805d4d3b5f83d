"""`rfe studies note, tag, archive`, and the lists that show what they did."""

import json
from pathlib import Path

import pytest

from rfe import api
from rfe.journal.journal import Journal
from rfe.workspace import Workspace, open_workspace
from tests.unit.cli.invoke import invoke
from tests.unit.reporting.journals import STUDY, make_trial


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RFE_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = open_workspace()
    for name in ("first", "second"):
        with Journal(workspace.study(name)) as journal:
            journal.record_study(STUDY)
            journal.record_trial(make_trial(0, 0.4))
    return workspace


def listed(*options: str) -> list[str]:
    ended = invoke("studies", "list", "--json", *options)
    assert ended.exit_code == 0
    return sorted(one["name"] for one in json.loads(ended.stdout))


def test_lists_are_filtered_by_what_is_said_of_studies(workspace: Workspace) -> None:
    with Journal(workspace.study("first")):  # a search has it open
        assert invoke("studies", "note", "first", "baseline of the paper").exit_code == 0
        ended = invoke("studies", "tag", "first", "paper", "gpu")
        assert "study first: paper, gpu" in ended.stdout
    assert listed("--tag", "paper") == ["first"]
    assert listed("--tag", "paper", "--tag", "cpu") == []
    assert listed("--state", "interrupted") == ["first", "second"]
    assert listed("--state", "finished") == []
    shown = invoke("studies", "list").stdout
    assert "paper, gpu" in shown
    assert "baseline of the paper" in shown
    shown = invoke("studies", "show", "first").stdout
    assert "paper, gpu\nbaseline of the paper\n" in shown
    assert invoke("studies", "tag", "first", "gpu", "--remove").exit_code == 0
    ended = invoke("studies", "archive", "first", "--json")
    assert json.loads(ended.stdout)["archived"] is True
    assert listed() == ["second"]
    assert listed("--archived") == ["first"]
    assert workspace.study("first").journal.is_file()
    assert invoke("studies", "archive", "first", "--undo").exit_code == 0
    assert listed() == ["first", "second"]
    assert api.note_study("first", "", workspace).note == ""


def test_without_annotations_the_list_is_as_it_was(workspace: Workspace) -> None:
    assert "tags" not in invoke("studies", "list").stdout
    assert "no such study" in invoke("studies", "list", "--tag", "x").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("note", "frst", "x"), "did you mean first"),
        (("tag", "frst", "x"), "did you mean first"),
        (("archive", "frst"), "did you mean first"),
        (("note", "first"), "Missing argument 'TEXT'"),
        (("tag", "first"), "Missing argument 'TAG...'"),
        (("tag", "first", "two words"), "tag 'two words': use at most 50 letters"),
        (("tag", "first", "x", "--remove"), "it has no tags, so not 'x'"),
        (("note", "first", "x" * 6000), "6,000 characters"),
        (("list", "--state", "runing"), "did you mean running"),
    ],
)
def test_wrong_inputs(words: tuple[str, ...], said: str, workspace: Workspace) -> None:
    ended = invoke("studies", *words)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not workspace.study("first").annotations.exists()
