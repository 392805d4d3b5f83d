"""Submitting, waiting, following and stopping, with a stand-in for Ray's client."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rfe.errors import ConfigError
from rfe.jobs import client as jobs_module
from rfe.jobs.client import Jobs, open_jobs
from rfe.jobs.description import SECRETS_FILE, Job

JOB = Job(
    name="fusion",
    study="fusion",
    address="http://head:8265",
    words=("search", "s.yaml"),
    python="/usr/bin/python3",
    workspace="/w",
    mlflow_uri="sqlite:////w/mlflow.db",
    environment={"RFE_WORKSPACE": "/w"},
    secrets={},
    files={},
    resources={},
    pending_timeout_s=1.0,
)


class FakeClient:
    """What Ray's `JobSubmissionClient` does, as far as it is used."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.submitted: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.working_dir: dict[str, str] = {}
        self.tails: list[list[str] | Exception] = []

    def submit_job(self, *, submission_id: str, **given: Any) -> str:
        self.submitted.append(given)
        if folder := given["runtime_env"].get("working_dir"):
            paths = [path for path in Path(folder).rglob("*") if path.is_file()]
            self.working_dir = {path.relative_to(folder).as_posix(): path.read_text() for path in paths}
        self.add(submission_id, "PENDING", entrypoint=given["entrypoint"], metadata=given["metadata"])
        return submission_id

    def add(self, name: str, status: str, **fields: Any) -> None:
        known = {"message": None, "entrypoint": "true", "start_time": 1000 * len(self.jobs), "end_time": None}
        known |= {"metadata": None, "driver_exit_code": None, "runtime_env": {"env_vars": {"X": "hunter2"}}}
        self.jobs[name] = SimpleNamespace(submission_id=name, status=status, **(known | fields))

    def list_jobs(self) -> list[Any]:
        return [*self.jobs.values(), SimpleNamespace(submission_id=None)]

    def stop_job(self, name: str) -> bool:
        self.stopped.append(name)
        if self.jobs[name].status == "RUNNING":
            self.jobs[name].status = "STOPPED"
        return True

    def get_job_logs(self, name: str) -> str:
        return "all\n"

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        parts = self.tails.pop(0)
        if isinstance(parts, Exception):
            raise parts
        for part in parts:
            if part == "lost":
                raise RuntimeError("WebSocket connection closed unexpectedly")
            yield part
        self.jobs[name].status = "SUCCEEDED"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "POLL_S", 0.01)


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def jobs(client: FakeClient) -> Jobs:
    return Jobs(client, "http://me:pw@head:8265")


def test_what_goes_to_the_cluster(jobs: Jobs, client: FakeClient, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("study: fusion")
    job = replace(
        JOB,
        secrets={"TOKEN": "hunter2"},
        files={"spaces/s.yaml": tmp_path / "s.yaml"},
        resources={"CPU": 2.0, "memory": 1e9, "tpu": 1.0},
    )
    state = jobs.submit(job).state
    [given] = client.submitted
    assert (state.name, state.study, state.family, state.workspace) == ("fusion", "fusion", "fusion", "/w")
    assert (given["entrypoint_num_cpus"], given["entrypoint_memory"]) == (2.0, 1_000_000_000)
    assert given["entrypoint_resources"] == {"tpu": 1.0}
    assert given["runtime_env"]["env_vars"] == {"RFE_WORKSPACE": "/w"}
    assert client.working_dir.keys() == {"spaces/s.yaml", SECRETS_FILE}
    assert "hunter2" in client.working_dir[SECRETS_FILE]
    assert "hunter2" not in str(given) + json.dumps(state.to_dict())
    assert not Path(given["runtime_env"]["working_dir"]).exists()


def test_a_job_without_files_has_no_working_dir(jobs: Jobs, client: FakeClient) -> None:
    jobs.submit(JOB)
    assert "working_dir" not in client.submitted[0]["runtime_env"]


def test_the_same_again_attaches_and_new_is_numbered(jobs: Jobs, client: FakeClient) -> None:
    assert not jobs.submit(JOB).attached
    again = jobs.submit(JOB)
    assert (again.attached, again.same_command, again.state.name) == (True, True, "fusion")
    assert not jobs.submit(replace(JOB, words=("search", "t.yaml"))).same_command
    client.add("fusion-2", "RUNNING")  # somebody else's
    assert jobs.submit(JOB, new=True).state.name == "fusion-3"
    assert jobs.submit(JOB).state.name == "fusion-3"  # the last one of the name
    assert len(client.submitted) == 2


def test_a_job_that_stays_pending_is_given_up(jobs: Jobs, client: FakeClient) -> None:
    client.add("fusion", "PENDING", message="It may be waiting for resources.")
    with pytest.raises(ConfigError, match=r"PENDING after 0\.05 s.*waiting for resources.*pending_timeout_s"):
        jobs.wait_started("fusion", 0.05)
    assert client.stopped == ["fusion"]
    client.jobs["fusion"].status = "RUNNING"
    assert jobs.wait_started("fusion", 0.05).status == "RUNNING"


def test_a_lost_connection_repeats_and_loses_nothing(jobs: Jobs, client: FakeClient) -> None:
    client.add("fusion", "RUNNING")
    client.tails = [["a\n", "bc", "lost"], ConnectionError("away"), ["a\nb", "c\nd\n"]]
    heard: list[str] = []
    assert jobs.follow("fusion", heard.append).status == "SUCCEEDED"
    assert "".join(heard) == "a\nbc\nd\n"


def test_a_listener_that_is_gone_ends_the_following(jobs: Jobs, client: FakeClient) -> None:
    def gone(_: str) -> None:
        raise BrokenPipeError

    client.add("fusion", "RUNNING")
    client.tails = [["a\n"]]
    with pytest.raises(BrokenPipeError):
        jobs.follow("fusion", gone)


def test_stopping_waits_for_the_end_and_leaves_the_ended_alone(jobs: Jobs, client: FakeClient) -> None:
    client.add("runs", "RUNNING")
    client.add("ended", "FAILED")
    client.add("waits", "PENDING")
    assert [jobs.stop(name).status for name in ("runs", "ended", "waits")] == ["STOPPED", "FAILED", "PENDING"]
    assert client.stopped == ["runs", "waits"]


def test_the_list_is_newest_first_and_shows_no_environment(jobs: Jobs, client: FakeClient) -> None:
    client.add("old", "SUCCEEDED", metadata={"rfe": "not json"})
    client.add("young", "FAILED", message="failed:\nlast lines", driver_exit_code=1)
    found = jobs.all()
    assert [job.name for job in found] == ["young", "old"]
    assert found[0].message == "failed:"
    assert "hunter2" not in str(found)


def test_a_missing_interpreter_is_named(jobs: Jobs, client: FakeClient) -> None:
    client.add("fusion", "FAILED", driver_exit_code=127)
    assert "name the one that has rfe with python" in jobs.find("fusion").message


def test_an_unknown_name_is_answered_with_the_nearest(jobs: Jobs, client: FakeClient) -> None:
    client.add("fusion", "RUNNING")
    with pytest.raises(ConfigError, match="did you mean fusion"):
        jobs.logs("fusio")
    assert jobs.logs("fusion") == "all\n"


def test_a_cluster_that_refuses_is_a_sentence_without_its_password(
    jobs: Jobs, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise RuntimeError("Request failed with status code 500: Traceback\nValueError: no such thing")

    monkeypatch.setattr(client, "submit_job", refuse)
    with pytest.raises(ConfigError, match=r"http://\*\*\*@head:8265 did not do it: ValueError: no such thing"):
        jobs.submit(JOB)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "auto", "ray://head:10001"])
def test_no_cluster_is_a_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # Ray's client would take this one
    with pytest.raises(ConfigError, match=r"no Ray dashboard answers at http://127.0.0.1:9 |not the URL of a Ray dash"):
        open_jobs(address)
