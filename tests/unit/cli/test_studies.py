"""`rfe studies` on a study that is there, runs, or is nowhere."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from rfe.cli.program import app
from rfe.journal.study import read_journal
from rfe.progress import SearchStatus
from rfe.search.options import RunOptions
from rfe.search_space import SearchSpace
from rfe.tracking.live import LiveStatus, stop_requested
from rfe.workspace import StudyFolder, Workspace
from rfe.writing import write_json
from tests.unit.cli.invoke import invoke

HERE = "elsewhere"  # a driver there is believed while it speaks; one of this machine must hold the lock
LIVE = LiveStatus(
    "s1",
    HERE,
    os.getpid(),
    0.0,
    "search tiny",
    SearchStatus(20, 4, 2, failed=1, best_score=0.4, best_number=1, best_config={"train.lr": 0.1}, epochs=(3, 9)),
)


@pytest.fixture
def study(tiny: Workspace) -> StudyFolder:
    return tiny.study("tiny")


def say(folder: StudyFolder, live: LiveStatus = LIVE) -> None:
    write_json(folder.live, replace(live, time=time.time()).to_dict())


@contextmanager
def in_the_background(action: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=action)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "words", [["stop"], ["resume"], ["repair"], ["show"], ["diff", "0", "1"], ["delete", "--yes"]], ids=lambda w: w[0]
)
def test_a_mistyped_name_is_answered_with_the_nearest(study: StudyFolder, words: list[str]) -> None:
    ended = invoke("studies", words[0], "tinny", *words[1:])
    assert ended.exit_code == 2
    assert "did you mean tiny" in ended.stderr
    assert study.exists()


def test_stop_says_when_nothing_runs(study: StudyFolder) -> None:
    ended = invoke("studies", "stop", "tiny")
    assert ended.exit_code == 2
    assert "study 'tiny' is not running" in ended.stderr
    assert not study.stop_request.exists()


def test_stop_asks_the_session_that_runs(study: StudyFolder) -> None:
    say(study)
    ended = invoke("studies", "stop", "tiny", "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout) == {"study": "tiny", "host": HERE, "pid": os.getpid(), "ended": False}
    assert stop_requested(study, "s1")
    assert not stop_requested(study, "s2")


def test_stop_can_wait(study: StudyFolder) -> None:
    say(study)

    def obey() -> None:
        while not stop_requested(study, "s1"):
            time.sleep(0.01)
        study.live.unlink()

    with in_the_background(obey):
        ended = invoke("studies", "stop", "tiny", "--wait")
    assert ended.exit_code == 0
    assert "has stopped" in ended.stdout
    assert "rfe studies resume tiny" in ended.stdout


def test_resume_goes_on_with_what_the_folder_keeps(
    study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[SearchSpace, RunOptions]] = []

    def run(space: SearchSpace, workspace: object, progress: object, options: RunOptions) -> None:
        given.append((space, options))
        raise KeyboardInterrupt

    monkeypatch.setattr("rfe.api.searching.run_study", run)
    assert invoke("studies", "resume", "tiny", "--workers", 3).exit_code == 130
    space, options = given[0]
    assert (space.study, space.data.path, list(space.space)) == (
        "tiny",
        str(read_journal(study).study.settings["data.path"]),
        ["train.lr"],
    )
    # 9 trials were asked for when it was last started, whatever the space's own budget
    assert options == RunOptions(trials=9, workers=3)
    invoke("studies", "resume", "tiny", "--trials", 50, "--hours", 2, "--data", tmp_path)
    space, options = given[1]
    assert (space.data.path, options.trials, options.hours) == (str(tmp_path), 50, 2.0)
    ended = invoke("studies", "resume", "tiny", "--data", tmp_path / "nowhere")
    assert (ended.exit_code, len(given)) == (2, 2)
    assert "is not a folder" in ended.stderr


def test_show_tells_how_a_running_study_goes(study: StudyFolder) -> None:
    say(study)
    said = invoke("studies", "show", "tiny").stdout
    for part in (
        f"process {os.getpid()} on {HERE}",
        "5 of 20",
        "4 done",
        "2 running (epochs 3 to 9)",
        "0.400 (trial 1)",
    ):
        assert part in said
    shown = json.loads(invoke("studies", "show", "tiny", "--json").stdout)
    assert (shown["summary"]["state"], shown["live"]["search"]["done"]) == ("running", 4)
    assert "running" in invoke("studies", "list").stdout
    study.live.unlink()
    assert json.loads(invoke("studies", "show", "tiny", "--json").stdout)["live"] is None


def test_watch_follows_until_the_end(study: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    say(study)
    later = iter([lambda: say(study, replace(LIVE, stage="confirm tiny", done=1, total=2)), study.live.unlink])
    monkeypatch.setattr("rfe.api.running.time", SimpleNamespace(sleep=lambda _: next(later)()))
    ended = invoke("studies", "show", "tiny", "--watch")
    assert ended.exit_code == 0
    for part in ("search tiny on", "5 of 20 trials", "confirm tiny on", "1 of 2"):
        assert part in ended.stderr
    assert "study tiny: stopped" in ended.stdout


def test_diff_prints_both_and_the_difference(study: StudyFolder) -> None:
    ended = invoke("studies", "diff", "tiny", "0", "0:confirmed")
    assert ended.exit_code == 0
    assert "B = trial 0:confirmed" in ended.stdout
    found = json.loads(invoke("studies", "diff", "tiny", "0", "1", "--json").stdout)
    assert found["scores"]["score"]["low"] < found["scores"]["score"]["difference"] < found["scores"]["score"]["high"]
    assert list(found["parameters"]) == ["train.lr"]


def test_diff_leaves_out_a_p_value_that_one_seed_has_not(study: StudyFolder) -> None:
    said = invoke("studies", "diff", "tiny", "0", "1").stdout
    (head,) = (line for line in said.splitlines() if "95% interval" in line)
    assert head.split()[-1] == "interval"
    assert "no p-value" in said


def test_a_study_is_written_for_optunas_dashboard(study: StudyFolder, tmp_path: Path) -> None:
    said = invoke("studies", "optuna", "tiny", "-o", tmp_path / "tiny.db")
    assert (said.exit_code, said.stderr) == (0, "")
    assert f"6 trials of study tiny are in {tmp_path / 'tiny.db'}" in said.stdout.replace("\n", " ")
    again = invoke("studies", "optuna", "tiny", "-o", tmp_path / "tiny.db")
    assert again.exit_code == 2
    assert "already exists; delete it, or name another file" in " ".join(again.stderr.split())
    written = json.loads(invoke("studies", "optuna", "tiny", "-o", tmp_path / "tiny.log", "--json").stdout)
    assert written == {"study": "tiny", "file": str(tmp_path / "tiny.log"), "trials": 6}


def test_delete_asks_and_refuses_where_it_cannot(study: StudyFolder) -> None:
    ended = invoke("studies", "delete", "tiny")
    assert ended.exit_code == 2
    assert "add --yes" in ended.stderr
    say(study)
    ended = invoke("studies", "delete", "tiny", "--yes")
    assert ended.exit_code == 2
    assert "rfe studies stop tiny --wait" in ended.stderr
    assert study.journal.is_file()


def test_delete_says_which_ensembles_go_with_it(study: StudyFolder, tiny: Workspace) -> None:
    members = {"members": [{"study": "tiny"}, {"study": "other"}], "studies": ["tiny", "other"]}
    write_json(tiny.ensembles / "final" / "ensemble.json", members)
    write_json(tiny.ensembles / "else" / "ensemble.json", {"members": [{"study": "other"}]})
    refused = invoke("studies", "delete", "tiny")
    assert "without which ensemble final cannot be exported" in refused.stderr
    deleted = invoke("studies", "delete", "tiny", "--yes")
    assert "ensemble final had trials of it and cannot be exported, unless" in deleted.stdout
    left = invoke("export", "final")
    assert left.exit_code == 2
    assert "has members of study" in left.stderr
    assert "is an ensemble, not a study" in invoke("studies", "show", "final").stderr


@pytest.mark.parametrize("answer", ["n\n", ""], ids=["no", "end of input"])
def test_delete_that_is_declined_leaves_all(study: StudyFolder, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfe.cli.manage.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    ended = CliRunner().invoke(app, ["studies", "delete", "tiny", "--json"], input=answer)
    assert ended.exit_code == 130
    assert "Delete study tiny" in ended.stderr
    assert ended.stdout.strip() in ("", answer.strip())  # the runner shows what is typed
    assert study.journal.is_file()


@pytest.mark.parametrize("keep", [True, False])
def test_delete_removes_the_folder_and_marks_the_experiment(
    study: StudyFolder, tiny: Workspace, empty_database: Path, keep: bool
) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_database, tiny.root / "mlflow.db")
    client = MlflowClient(tiny.mlflow_uri)
    experiment = client.create_experiment("tiny")
    ended = invoke("studies", "delete", "tiny", "--yes", "--json", *(["--keep-runs"] if keep else []))
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["runs"] is not keep
    assert list(tiny.studies.iterdir()) == []
    assert client.get_experiment(experiment).lifecycle_stage == ("active" if keep else "deleted")
    assert "no studies" in invoke("studies", "list").stdout


def test_an_address_without_mlflow_is_answered(study: StudyFolder, tmp_path: Path) -> None:
    for words in (["stop", "tiny"], ["pull", "tiny"], ["show", "tiny"], ["list"]):
        ended = invoke("studies", *words, "--tracking-uri", f"sqlite:///{tmp_path}/none.db")
        assert ended.exit_code == 2
        assert "there is no such database" in ended.stderr
        ended = invoke("studies", *words, "--tracking-uri", tmp_path)
        assert ended.exit_code == 2
        assert "use http://HOST:PORT" in ended.stderr
