"""Submit, follow, attach, stop, go on: `rfe` as a user calls it, on a real Ray cluster with dashboard and token."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from rfe.journal.records import read_records
from rfe.workspace import Workspace, open_workspace
from tests.integration import fakes
from tests.integration.cluster import start_cluster
from tests.integration.test_search import assert_each_trial_once, optuna_rows

ROOT = Path(__file__).parents[2]
TOKEN, SECRET = "a-token-of-more-than-sixteen-letters", "a secret with $HOME in it"
ENDLESS = "--trials 5000"
SPACE = """
study: job
base: {train.epochs: 10, model.latent_dim: 8}
space:
  train.lr: {float: [1.0e-4, 1.0e-2], log: true}
confirm: {top: 0}
cohort: 2
"""
WAIT_S = 200.0


@dataclass(frozen=True)
class Shell:
    """A user's shell with the cluster's address and token."""

    folder: Path
    environment: dict[str, str]

    def rfe(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rfe", *map(str, words)],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    def status(self, name: str) -> str:
        return str(json.loads(self.rfe("jobs", "status", name, "--json").stdout)["status"])


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("job")
    fakes.write_data(folder / "tiny")
    (folder / "space.yaml").write_text(SPACE)
    (folder / "job.yaml").write_text(
        f"command: search space.yaml --workers 1 {ENDLESS}\n"
        f"data: file://{folder / 'tiny'}\nworkspace: {folder / 'workspace'}\n"
        "secrets_from_env: [MY_SECRET]\n"
    )
    known = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "RFE_", "MLFLOW_"))}
    plain = known | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with start_cluster(TOKEN, plain) as (url, session):
        mine = {"RAY_API_SERVER_ADDRESS": url, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "MY_SECRET": SECRET}
        yield Shell(folder, plain | mine | {"RAY_SESSION": str(session)})
    assert not session.exists()


def count_trials(workspace: Workspace) -> int:
    journal = workspace.study("job").journal
    return sum(record.kind == "trial" for record in read_records(journal)) if journal.exists() else 0


def mlflow_states(workspace: Workspace) -> Counter[str]:
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("job")
    assert experiment is not None
    return Counter(run.info.status for run in client.search_runs([experiment.experiment_id]))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_submit_follow_attach_stop_go_on_and_pull(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = open_workspace(shell.folder / "workspace")

    # without the token, or with resources that no node has, nothing starts and it is said why
    refused = shell.rfe("submit", "job.yaml", RAY_AUTH_TOKEN="another-token-of-the-same-size")
    assert (refused.returncode, "wants another token" in refused.stderr) == (2, True)
    infeasible = (shell.folder / "job.yaml").read_text() + "pending_timeout_s: 1\nentrypoint_resources: {tpu: 1}\n"
    (shell.folder / "nowhere.yaml").write_text(infeasible)
    waited = shell.rfe("submit", "nowhere.yaml", "--name", "nowhere")
    assert (waited.returncode, "still PENDING after 1 s" in waited.stderr) == (2, True)

    (shell.folder / "lost.yaml").write_text((shell.folder / "job.yaml").read_text() + "python: /nowhere/python\n")
    lost = shell.rfe("submit", "lost.yaml", "--name", "lost", "--follow")
    assert (lost.returncode, "the interpreter is not there on the cluster's head" in lost.stdout) == (1, True)

    submitted = shell.rfe("submit", "job.yaml")
    assert submitted.returncode == 0, submitted.stderr
    assert "job job is submitted, and RUNNING" in submitted.stdout
    deadline = time.monotonic() + WAIT_S
    while count_trials(workspace) < 2:
        assert shell.status("job") == "RUNNING", shell.rfe("jobs", "logs", "job").stdout
        assert time.monotonic() < deadline
        time.sleep(1)
    assert "job job is RUNNING already" in shell.rfe("submit", "job.yaml").stdout

    # a stop is an interrupt: what finished is kept, and nothing stays open
    stopped = shell.rfe("jobs", "stop", "job")
    assert (stopped.returncode, "job job: STOPPED" in stopped.stdout) == (0, True)
    logs = shell.rfe("jobs", "logs", "job", "--follow")
    assert (logs.returncode, "the same command goes on" in logs.stdout) == (130, True)
    assert count_trials(workspace) >= 2
    assert json.loads(workspace.study("job").outcome.read_text())["state"] == "stopped"
    assert "RUNNING" not in mlflow_states(workspace)

    # the same again attaches to what ended; --new goes on with the study, from the data fetched once
    again = shell.rfe("submit", "job.yaml")
    assert "has ended with STOPPED; to run it again: --new" in again.stdout
    trials = len(optuna_rows(workspace, "job")) + 2
    (shell.folder / "more.yaml").write_text(
        (shell.folder / "job.yaml").read_text().replace(ENDLESS, f"--trials {trials}")
    )
    more = shell.rfe("submit", "more.yaml", "--new", "--follow")
    assert more.returncode == 0, more.stdout + more.stderr
    assert f"study job: finished, {trials} complete" in more.stdout
    assert f"rfe studies pull job --tracking-uri {workspace.mlflow_uri}" in more.stdout
    assert_each_trial_once(workspace, "job", trials)
    assert {row.state for row in optuna_rows(workspace, "job").values()} == {"complete"}
    assert mlflow_states(workspace) == {"FINISHED": trials + 1}
    assert len(list((workspace.cache / "fetched").glob("*/tiny"))) == 1

    # the line it printed rebuilds the study elsewhere
    pull = ["studies", "pull", "job", "--tracking-uri", workspace.mlflow_uri]
    pulled = shell.rfe(*pull, "--workspace", shell.folder / "elsewhere")
    assert pulled.returncode == 0, pulled.stderr
    assert_each_trial_once(open_workspace(shell.folder / "elsewhere"), "job", trials)

    jobs = {job["name"]: job for job in json.loads(shell.rfe("jobs", "list", "--json").stdout)}
    states = {name: job["status"] for name, job in jobs.items()}
    assert states.pop("nowhere") in ("PENDING", "FAILED")  # Ray gives it up after a quarter of an hour
    assert states == {"lost": "FAILED", "job": "STOPPED", "job-2": "SUCCEEDED"}
    assert jobs["job-2"]["study"] == "job"

    # the secret reached the job, and nothing that Ray or we keep tells it
    session = Path(shell.environment["RAY_SESSION"])
    kept = [*session.rglob("*"), *workspace.root.rglob("*")]
    assert not [path for path in kept if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert SECRET not in json.dumps(jobs) + more.stdout + more.stderr
