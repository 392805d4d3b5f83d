import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rfe.errors import StudyError
from rfe.journal.events import OutcomeLog, TrialLog
from rfe.journal.journal import Journal
from rfe.tracking.best_files import DRAWN_ON_THE_WAY
from rfe.tracking.live import START_TAG, is_left_behind, process_tags
from rfe.tracking.retrying_server import RetryingServer
from rfe.tracking.run_server import KnownRun, RunServer
from rfe.tracking.run_writer import RunWriter
from tests.unit.tracking.logs import confirmation_log, failed_log, study_folder, study_log, trial_log

T = TypeVar("T")


class AwayError(Exception):
    """The server does not answer."""


class MemoryServer:
    """A tracking server that may fail once: before or after it did what it was asked at call `fail_at`."""

    def __init__(self, fail_at: int | None = None, after: bool = False) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.calls, self.fail_at, self.after = 0, fail_at, after

    def _call(self, late: bool) -> None:
        if late == self.after and self.calls == self.fail_at:
            self.calls += 1
            raise AwayError
        if late:
            self.calls += 1

    def find_experiment(self, name: str) -> str:
        return f"experiment of {name}"

    def tag_experiment(self, experiment_id: str, name: str, value: str) -> None:
        pass

    def search(self, experiment_id: str, study: str, trial: str | None = None) -> Iterator[KnownRun]:
        for run_id, run in self.runs.items():
            if run["tags"]["rfe.study"] == study and trial in (None, run["tags"].get("rfe.trial")):
                known = frozenset(run["params"])
                yield KnownRun(run_id, run["status"], dict(run["tags"]), known, 0, dict(run["metrics"]))

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str], start_s: float) -> str:
        self._call(late=False)
        run_id = f"run{len(self.runs)}"
        self.runs[run_id] = {
            **{"name": name, "status": "RUNNING", "tags": dict(tags)},
            **{"params": {}, "metrics": {}, "files": set()},
        }
        self._call(late=True)
        return run_id

    def log(
        self,
        run_id: str,
        metrics: Sequence[tuple[str, float, int]] = (),
        settings: Sequence[tuple[str, str]] = (),
        tags: Mapping[str, str] | None = None,
        at_s: float | None = None,
    ) -> None:
        self._call(late=False)
        run = self.runs[run_id]
        for name, value in settings:
            assert run["params"].setdefault(name, value) == value, "a parameter cannot change"
        for name, value, _ in metrics:
            run["metrics"][name] = value
        run["tags"].update(tags or {})
        self._call(late=True)

    def upload(self, run_id: str, paths: Iterable[Path], folder: str = "") -> None:
        self._call(late=False)
        self.runs[run_id]["files"] |= {f"{folder}/{path.name}".lstrip("/") for path in paths if path.exists()}
        self._call(late=True)

    def delete(self, run_id: str, artifact: str) -> None:
        self._call(late=False)
        self.runs[run_id]["files"].discard(artifact)
        self._call(late=True)

    def set_status(self, run_id: str, status: str, at_s: float | None = None) -> None:
        self._call(late=False)
        self.runs[run_id]["status"] = status
        self._call(late=True)

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self.runs[run_id]["tags"])

    def story(self) -> dict[str, Any]:
        """What a person sees, by run name; without what differs from one minute to the next."""
        assert len({run["name"] for run in self.runs.values()}) == len(self.runs), "a run stands twice"
        return {
            run["name"]: {**run, "tags": {k: v for k, v in run["tags"].items() if k != "rfe.refreshed"}}
            for run in self.runs.values()
        }


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])


@pytest.fixture
def logs(tmp_path: Path) -> list[Any]:
    with Journal(study_folder(tmp_path)) as journal:
        return [
            journal.record_study(study_log()),
            journal.record_trial(trial_log(0, 0.2)),
            journal.record_trial(failed_log(1)),
            journal.record_trial(trial_log(2, 0.3, state="pruned", reason="below the median")),
            journal.record_trial(trial_log(3, 0.4)),
            journal.record_confirmation(confirmation_log(0)),
        ]


def write(writer: RunWriter, logs: list[Any]) -> None:
    study, *trials, confirmation = logs
    actions = [
        lambda: writer.open(study),
        *(lambda log=log: writer.write_trial(log) for log in trials),
        lambda: writer.write_confirmation(confirmation),
        lambda: writer.end(OutcomeLog("s", "finished", "well", {"score_best": 0.4})),
        writer.refresh,
    ]
    for action in actions:
        action()


def new_writer(server: RunServer, tmp_path: Path, keep_top: int = 1) -> RunWriter:
    return RunWriter(server, study_folder(tmp_path), keep_top, "memory")


def test_story_of_a_study(tmp_path: Path, logs: list[Any]) -> None:
    server = MemoryServer()
    write(new_writer(server, tmp_path), logs)
    story = server.story()
    assert list(story) == ["study s", "trial 0000", "trial 0001", "trial 0002", "trial 0003"]
    assert [run["status"] for run in story.values()] == ["FINISHED", "FINISHED", "FAILED", "KILLED", "FINISHED"]
    assert {run["tags"].get("mlflow.parentRunId") for run in story.values()} == {None, "run0"}
    assert story["trial 0001"]["tags"]["rfe.reason"] == "the loss is NaN at epoch 3"
    assert story["study s"]["metrics"] == {
        **{"trials_complete": 2, "trials_pruned": 1, "trials_failed": 1},
        **{"best_score": 0.4, "score_best": 0.4},
    }
    assert "journal.jsonl" in story["study s"]["files"]
    best, confirmed, pruned = story["trial 0003"], story["trial 0000"], story["trial 0002"]
    assert {"figures/gate.png", "weights.safetensors", "config.yaml"} <= best["files"]
    assert confirmed["tags"]["rfe.confirmed"] == "true"
    assert confirmed["metrics"]["confirmed_score"] == 0.25
    assert "figures/gate.png" in confirmed["files"]
    assert pruned["files"] == {"config.yaml", "confusion.csv"}


def repeated(call: Callable[[], T]) -> T:
    """The answer of `call`, tried again where the server is away."""
    while True:
        try:
            return call()
        except AwayError:
            continue


@pytest.mark.parametrize("after", [False, True])
def test_a_request_that_fails_anywhere_is_repeated_alone(tmp_path: Path, logs: list[Any], after: bool) -> None:
    whole = MemoryServer()
    write(new_writer(whole, tmp_path), logs)
    for fail_at in range(whole.calls):
        server = MemoryServer(fail_at, after)
        write(new_writer(RetryingServer(server, repeated), tmp_path), logs)
        assert normal(server) == normal(whole), f"call {fail_at}"
        # upload is one request a file here, and several files a call there
        assert server.calls <= whole.calls + 1 + sum(len(run["files"]) for run in server.runs.values())


@pytest.mark.parametrize("after", [False, True])
def test_crashing_anywhere_and_starting_again_tells_the_same_story(
    tmp_path: Path, logs: list[Any], after: bool
) -> None:
    whole = MemoryServer()
    write(new_writer(whole, tmp_path), logs)
    for fail_at in range(whole.calls):
        server = MemoryServer(fail_at, after)
        with pytest.raises(AwayError):
            write(new_writer(server, tmp_path), logs)
        write(new_writer(server, tmp_path), logs)
        assert normal(server) == normal(whole), f"call {fail_at}"
        assert all(run["status"] != "RUNNING" for run in server.runs.values())


def normal(server: MemoryServer) -> dict[str, Any]:
    return dict(sorted(server.story().items()))


def test_a_second_start_writes_no_trial_again(tmp_path: Path, logs: list[Any]) -> None:
    server = MemoryServer()
    write(new_writer(server, tmp_path), logs)
    written = []
    server.create = lambda *values: written.append(values) or ""  # type: ignore[method-assign, func-returns-value]
    write(new_writer(server, tmp_path), logs)
    assert written == []


def test_a_changed_setting_does_not_stop_a_study_that_goes_on(tmp_path: Path, logs: list[Any]) -> None:
    server = MemoryServer()
    write(new_writer(server, tmp_path), logs)
    writer = new_writer(server, tmp_path)
    writer.open(study_log(settings={"seed": 3, "sampler.kind": "tpe", "budget.trials": 400, "seed2": 1}))
    assert server.runs["run0"]["params"]["budget.trials"] == "400"
    assert server.runs["run0"]["status"] == "RUNNING"
    writer.end(None)
    assert server.runs["run0"]["status"] == "KILLED"
    assert server.runs["run0"]["tags"]["rfe.state"] == "interrupted"


def test_weights_of_a_trial_that_is_no_longer_among_the_best_are_removed(tmp_path: Path) -> None:
    server = MemoryServer()
    writer = new_writer(server, tmp_path)
    with Journal(study_folder(tmp_path)) as journal:
        first, second = journal.record_trial(trial_log(0, 0.2)), journal.record_trial(trial_log(1, 0.3))
    writer.open(study_log())
    writer.write_trial(first)
    writer.refresh()
    assert "weights.safetensors" in server.story()["trial 0000"]["files"]
    writer.write_trial(second)
    writer.refresh()
    assert "weights.safetensors" not in server.story()["trial 0000"]["files"]
    assert "figures/gate.png" in server.story()["trial 0000"]["files"]
    assert "weights.safetensors" in server.story()["trial 0001"]["files"]


def test_order_of_calls_is_checked(tmp_path: Path) -> None:
    writer = new_writer(MemoryServer(), tmp_path)
    with pytest.raises(StudyError, match="start_study"):
        writer.write_trial(trial_log(0))
    writer.refresh()
    writer.open(study_log())
    with pytest.raises(StudyError, match="never logged"):
        writer.write_confirmation(confirmation_log(5))


def test_copies_do_not_count_as_best(tmp_path: Path) -> None:
    server = MemoryServer()
    writer = new_writer(server, tmp_path)
    writer.open(study_log())
    original, copy = trial_log(0, 0.2, weights=None), trial_log(1, 0.2, weights=None, tags={"duplicate_of": "0"})
    assert isinstance(copy, TrialLog)
    writer.write_trial(original)
    writer.write_trial(copy)
    writer.refresh()
    assert "rfe.shown" in server.story()["trial 0000"]["tags"]
    assert "rfe.shown" not in server.story()["trial 0001"]["tags"]
    assert "copied" in server.story()["trial 0001"]["tags"]["mlflow.note.content"]


def test_left_behind() -> None:
    assert not is_left_behind(process_tags())
    ended = subprocess.Popen(["true"])
    ended.wait()
    now = str(int(time.time()))
    assert is_left_behind({"rfe.host": socket.gethostname(), "rfe.pid": str(ended.pid), "rfe.refreshed": now})
    assert not is_left_behind({"rfe.host": "elsewhere", "rfe.pid": "1", "rfe.refreshed": now})
    assert is_left_behind({"rfe.host": "elsewhere", "rfe.pid": "1", "rfe.refreshed": "1000"})
    assert is_left_behind({})
    # another process has the number now
    assert is_left_behind(process_tags() | {START_TAG: "boot/1"})
    # of an earlier version, without a start: before, a pid that was used again kept such a run RUNNING
    here = {"rfe.host": socket.gethostname(), "rfe.pid": str(os.getpid())}
    assert is_left_behind({**here, "rfe.refreshed": "0"})
    assert not is_left_behind({**here, "rfe.refreshed": now})


def test_left_behind_where_the_system_does_not_tell_when_a_process_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, without /proc (macOS) a pid that was used again kept a run RUNNING."""
    monkeypatch.setattr("rfe.tracking.live.process_start", lambda pid: "")
    assert not is_left_behind(process_tags())
    assert is_left_behind(process_tags() | {"rfe.refreshed": "1000"})


def test_while_a_search_runs_figures_are_of_the_few_best(tmp_path: Path) -> None:
    server = MemoryServer()
    writer = new_writer(server, tmp_path, keep_top=10)
    writer.open(study_log())
    with Journal(study_folder(tmp_path)) as journal:
        for number in range(6):
            writer.write_trial(journal.record_trial(trial_log(number, 0.2 + number / 100)))

    def with_file(name: str) -> list[str]:
        return [run for run, told in sorted(server.story().items()) if name in told["files"]]

    everyone = [f"trial {number:04}" for number in range(6)]
    writer.refresh()
    assert with_file("weights.safetensors") == everyone
    assert with_file("figures/gate.png") == everyone[-DRAWN_ON_THE_WAY:]
    writer.end(OutcomeLog("s", "finished", "well", {"score_best": 0.25}))
    writer.refresh()
    assert with_file("figures/gate.png") == everyone
