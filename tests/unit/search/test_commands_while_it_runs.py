"""The commands that change a study, as typed while its search runs; and what MLflow and `notify:` say of it."""

import re
from pathlib import Path
from typing import Any

import pytest

from rfe import api
from rfe.errors import DataError, TrialError
from rfe.search import notifying
from rfe.search.driver import run_search
from rfe.search_space import load_space
from rfe.tracking import mlflow_tracker
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import Workspace, open_workspace
from tests.integration.fakes import write_data
from tests.unit.cli.invoke import invoke
from tests.unit.search.loop import PACE, running
from tests.unit.search.test_while_it_runs import hold, logs, space
from tests.unit.tracking.test_mlflow_tracker import Server


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("typed") / "data")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = open_workspace(tmp_path / "w")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("RFE_WORKSPACE", str(workspace.root))
    return workspace


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Stands in for MLflow."""
    one = Server()
    monkeypatch.setattr(mlflow_tracker, "MlflowServer", lambda uri, artifacts: one)
    monkeypatch.setattr(mlflow_tracker, "prepare_database", lambda uri, own: "")
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    return one


def told_by(path: Path) -> dict[str, Any]:
    """A `notify:` whose command adds each event to a file."""
    return {"command": ["sh", "-c", 'echo "$RFE_EVENT" >> "$0"', str(path)], "best_minutes": 0.0}


def events(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def typed(*words: object) -> str:
    """What a command says to a search that runs."""
    ended = invoke("studies", *words)
    assert ended.exit_code == 0, ended.output
    assert "it is not running" not in ended.output
    return " ".join(ended.output.split())


def test_each_command_changes_a_search_that_runs_and_mlflow_shows_it(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path, tmp_path: Path, server: Server
) -> None:
    fails = [True]
    PACE.fails = lambda config: config.train.lr == 0.009 and fails[0]
    PACE.epoch = 3
    config, messages = tmp_path / "mine.yaml", tmp_path / "messages"
    config.write_text("train: {lr: 0.003}\nmodel: {n_kept: 2}\n")
    given = space(12, first_trials=[{"train.lr": 0.009}, {"train.lr": 0.0001}], notify=told_by(messages))
    tracker = MlflowTracker(workspace, workspace.study("s"))
    with running(monkeypatch, workspace, data, given, tracker) as loop:
        hold(loop, 3)
        assert "queued as the next trial" in typed("add", "s", "--config", config)
        assert "queued as the next trial; the sampler draws model.n_kept" in typed(
            "add", "s", "--set", "train.lr=0.0022", "--first"
        )
        assert "trial 2 was pruned" in typed("prune", "s", "--where", "number == 2 and epoch >= 3")
        said = typed("change", "s", "--trials", 14, "--workers", 2)
        assert "the study now has 14 trials in all and 2 workers (if there is room)" in said
        assert "narrowed: " in typed("narrow", "s", "--set", "space.train.lr={float: [0.001, 0.0095], log: true}")
        shown = invoke("studies", "show", "s").stdout
        assert "study s: running" in shown
        assert re.search(r"budget\.trials +14\n", shown)
        assert api.page_data("s", workspace)["budget"] == 14
        loop.wait(lambda: loop.fleet.queue.status().workers == 2)
        PACE.epoch, PACE.pause_s = None, 0.05
        loop.wait(lambda: 0 in logs(loop.folder))
        PACE.epoch, fails[0] = 3, False  # somewhere in the next cohort
        assert "trial 0 is queued to be tried again, under a new number" in typed("retry", "s", "--failed")
        refused = invoke("studies", "narrow", "s", "--set", "space.train.lr={float: [0.0001, 0.001], log: true}")
        assert refused.exit_code == 2
        assert "does not lie in the study's 0.001 to 0.0095" in " ".join(refused.stderr.split())
        PACE.pause_s = 0.0
        loop.end()
    assert tracker.close(60) == ""
    ended = logs(workspace.study("s"))
    assert sorted(ended) == list(range(len(ended)))
    assert len(ended) in (14, 15)  # the trial that is tried again is one more where all 14 were asked for before
    assert (ended[0].state, ended[2].state) == ("failed", "pruned")
    added = {ended[number].config["train.lr"]: ended[number].config["model.n_kept"] for number in (4, 5)}
    assert added.keys() == {0.0022, 0.003}  # which first hangs on whether the one was asked for before the other came
    assert added[0.003] == 2
    assert all(0.001 <= ended[number].config["train.lr"] <= 0.0095 for number in range(6, len(ended)))
    [again] = [number for number, log in ended.items() if log.tags.get("retry_of") == "0"]
    assert (ended[again].state, ended[again].config) == ("complete", ended[0].config)
    runs = {name: run["tags"] for name, run in server.story().items()}
    assert [runs[f"trial {number:04d}"].get("rfe.queued") for number in (3, 4, 5)] == [None, "user", "user"]
    assert runs[f"trial {again:04d}"]["rfe.retry_of"] == "0"
    assert runs["trial 0002"]["rfe.reason"] == "pruned by the user: number == 2 and epoch >= 3"
    own = runs["study s"]
    assert (own["rfe.budget.trials"], own["rfe.workers"]) == ("14", "2")
    assert own["rfe.narrowed"] == "train.lr: 0.001 to 0.0095 (log)"
    # 0.0022 is the best, as the stand-in wants it; it is a better one unless it was the first to end
    scores = [log.score for log in sorted(ended.values(), key=lambda log: log.time) if log.score is not None]
    assert set(events(messages)) == {"end"} | ({"best"} if scores[0] < max(scores) else set())


def test_a_search_that_stalls_and_then_fails_says_both(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(notifying, "POLL_S", 0.05)
    monkeypatch.setattr(notifying, "UNKNOWN_STALL_S", 0.2)
    messages = tmp_path / "messages"
    given = space(8, limits={"failed_in_a_row": 4}, notify=told_by(messages))
    PACE.fails = lambda config: True
    PACE.epoch = 3

    def search() -> None:
        with running(monkeypatch, workspace, data, given) as loop:
            hold(loop, 3)
            loop.wait(lambda: "stall" in events(messages))

    with pytest.raises(TrialError, match="4 trials failed in a row"):
        search()
    assert set(events(messages)) == {"stall", "failure"}
    assert events(messages)[-1] == "failure"


def test_a_failure_before_the_search_begins_is_told(workspace: Workspace, tmp_path: Path) -> None:
    """Before, it was told only of a search that had begun."""
    messages = tmp_path / "messages"
    with pytest.raises(DataError):
        run_search(
            load_space(space(notify=told_by(messages))),
            tmp_path / "none",
            workspace,
            fleet=object(),  # type: ignore[arg-type]
        )
    assert events(messages) == ["failure"]
    assert not workspace.study("s").path.exists()
