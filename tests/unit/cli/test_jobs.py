"""What `rfe submit` and `rfe jobs` say, and the codes they end with, with a cluster that is made up."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rfe import api
from rfe.jobs.client import JobState, Submission
from rfe.jobs.description import Job
from tests.unit.cli.invoke import invoke

STATE = JobState(
    name="everything",
    status="RUNNING",
    message="",
    entrypoint="exec python -m rfe search everything",
    started=1.0,
    ended=None,
    exit_code=None,
    study="everything",
    workspace="/w",
    mlflow_uri="sqlite:////w/mlflow.db",
    family="everything",
)
SUBMITTED = Submission(STATE, False)
ENDED = replace(STATE, status="SUCCEEDED", ended=2.0, exit_code=0)
SUBMIT = ["submit", "--workspace", "/w"]
COMMAND = ["--", "search", "everything", "--data", "/d"]


@dataclass
class Cluster:
    """What it answers, and what it was asked."""

    submission: Submission = SUBMITTED
    end: JobState = ENDED
    interrupted: bool = False
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def submit(self, job: Job, *, new: bool = False) -> Submission:
        self.asked.append((job, new))
        return self.submission

    def follow(self, name: str, write: Callable[[str], None], *, address: str | None = None) -> JobState:
        write("line of the job\n")
        if self.interrupted:
            raise KeyboardInterrupt
        return self.end


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    for name in ("RFE_WORKSPACE", "RAY_API_SERVER_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    cluster = Cluster()
    monkeypatch.setattr(api, "submit", cluster.submit)
    monkeypatch.setattr(api, "follow_job", cluster.follow)
    return cluster


def test_submitting_says_how_to_follow_stop_and_see(cluster: Cluster) -> None:
    ended = invoke(*SUBMIT, "--new", *COMMAND)
    assert ended.exit_code == 0
    [(job, new)] = cluster.asked
    assert new
    assert job.words == ("search", "everything", "--data", "/d")
    for said in (
        "job everything is submitted",
        "rfe jobs logs everything --follow --address http://127.0.0.1:8265",
        "rfe jobs stop everything",
        "rfe ui --tracking-uri sqlite:////w/mlflow.db",
        "rfe studies pull everything --tracking-uri sqlite:////w/mlflow.db",
    ):
        assert said in ended.stdout


@pytest.mark.parametrize(("status", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("STOPPED", 130)])
def test_the_follower_ends_as_the_job_does(cluster: Cluster, status: str, code: int) -> None:
    cluster.end = replace(cluster.end, status=status)
    ended = invoke(*SUBMIT, "--follow", *COMMAND)
    assert ended.exit_code == code
    assert "line of the job" in ended.stdout
    assert f"job everything: {status}" in ended.stdout


def test_a_follower_that_leaves_says_that_the_job_goes_on(cluster: Cluster) -> None:
    cluster.interrupted = True
    ended = invoke(*SUBMIT, "--follow", *COMMAND)
    assert ended.exit_code == 130
    assert "job everything keeps running; stop it with: rfe jobs stop everything" in ended.stdout


@pytest.mark.parametrize(
    ("submission", "said"),
    [
        (Submission(STATE, True), "is RUNNING already"),
        (Submission(replace(STATE, status="STOPPED"), True), "has ended with STOPPED; to run it again: --new"),
        (Submission(STATE, True, same_command=False), "for this one give another --name"),
    ],
)
def test_attaching_is_said(cluster: Cluster, submission: Submission, said: str) -> None:
    cluster.submission = submission
    assert said in invoke(*SUBMIT, *COMMAND).stdout


def test_json_is_the_jobs_state_and_its_output_goes_elsewhere(cluster: Cluster) -> None:
    ended = invoke(*SUBMIT, "--follow", "--json", *COMMAND)
    assert json.loads(ended.stdout)["status"] == "SUCCEEDED"
    assert "line of the job" in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--", "search", "everything", "--trails", "3"], "--trials"),
        (["--", "serch", "everything"], "search"),
        (["--", "ui"], "cannot be a job"),
        (["gone.yaml"], "gone.yaml: there is no such file"),
        (["--address", "auto", *COMMAND], "http://HOST:8265"),
    ],
)
def test_what_cannot_work_is_refused_here(cluster: Cluster, words: list[str], said: str) -> None:
    ended = invoke(*SUBMIT, *words)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not cluster.asked


def test_a_dry_run_submits_nothing_and_shows_no_secret(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    path = tmp_path / "job.yaml"
    path.write_text("command: search everything\nworkspace: /w\nsecrets_from_env: [TOKEN]\n")
    for form in ([], ["--json"]):
        ended = invoke("submit", path, "--dry-run", *form)
        assert ended.exit_code == 0
        assert "TOKEN" in ended.output
        assert "hunter2" not in ended.output
    assert not cluster.asked


def test_jobs_are_listed_shown_read_and_stopped(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses: list[str | None] = []

    def answer(value: Any) -> Callable[..., Any]:
        return lambda *_, address: addresses.append(address) or value

    monkeypatch.setattr(api, "list_jobs", answer([STATE]))
    monkeypatch.setattr(api, "show_job", answer(STATE))
    monkeypatch.setattr(api, "job_logs", answer("all of it\n"))
    monkeypatch.setattr(api, "stop_job", answer(replace(STATE, status="STOPPED")))
    at = ["--address", "http://h:1"]
    assert "everything" in invoke("jobs", "list", *at).stdout
    assert "job everything: RUNNING" in invoke("jobs", "status", "everything", *at).stdout
    assert invoke("jobs", "logs", "everything", *at).stdout == "all of it\n"
    assert "job everything: STOPPED" in invoke("jobs", "stop", "everything", *at).stdout
    assert json.loads(invoke("jobs", "list", "--json", *at).stdout)[0]["study"] == "everything"
    assert addresses == ["http://h:1"] * 5
    assert invoke("jobs", "logs", "everything", "--follow").exit_code == 0
