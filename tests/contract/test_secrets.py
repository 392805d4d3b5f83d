"""Passwords and tokens are in nothing that a search, an export or a job leaves, shows or says.

They are planted where people have them: in addresses, in the environment, among a job's secrets. Then all files and
all output are searched for them.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rfe import api
from rfe.data.dataset import Dataset, load_dataset
from rfe.jobs.client import Jobs
from rfe.jobs.description import SECRETS_FILE
from rfe.tracking import mlflow_tracker
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import open_workspace
from tests.unit.cli.invoke import invoke
from tests.unit.data.folders import make_folder
from tests.unit.jobs.test_client import FakeClient
from tests.unit.search.tiny_study import run_study
from tests.unit.submission.bundles import configure, export_trained
from tests.unit.tracking.test_run_writer import MemoryServer

PASSWORD = "pa55-in-the-address"
IN_ENVIRONMENT = {
    "MLFLOW_TRACKING_PASSWORD": "pa55-of-mlflow",
    "MLFLOW_TRACKING_TOKEN": "t0ken-of-mlflow",
    "AWS_SECRET_ACCESS_KEY": "s3cret-of-the-store",
    "RAY_AUTH_TOKEN": "t0ken-of-ray-longer-than-16",
    "JOB_SECRET": "s3cret-of-the-job",
}
PLANTED = (PASSWORD, *IN_ENVIRONMENT.values())
SERVER = f"https://me:{PASSWORD}@mlflow.example"
STORE = f"memory://me:{PASSWORD}@bucket/data"
SPACE = "study: s\nbudget: {trials: 2}\nspace: {train.lr: {float: [1.0e-4, 1.0e-2]}}\n"


class Recorder(MemoryServer):
    """A tracking server that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, ...]] = []

    def running(self) -> Iterator[Any]:
        return iter(())

    def tag_experiment(self, *told: str) -> None:
        self.told.append(told)


class BrokenServer(Recorder):
    """It says in its errors whom it would not let in."""

    def find_experiment(self, name: str) -> str:
        raise ConnectionError(f"401 for {SERVER}/api: {SERVER!r} is not allowed")


@pytest.fixture(autouse=True)
def _planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("RFE_", "RAY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    for name, value in IN_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(make_folder(tmp_path / "data"))


def found_in(text: str | bytes) -> list[str]:
    raw = text if isinstance(text, bytes) else text.encode()
    return [secret for secret in PLANTED if secret.encode() in raw]


def found_below(folder: Path) -> dict[str, list[str]]:
    """File -> secrets in it."""
    found = {str(path): found_in(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    assert found
    return {path: secrets for path, secrets in found.items() if secrets}


def test_they_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1" + PASSWORD.encode())
    assert found_below(tmp_path) == {str(tmp_path / "a.bin"): [PASSWORD]}


def test_a_study_its_runs_and_its_bundle(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    server, notes = Recorder(), []
    monkeypatch.setattr(mlflow_tracker, "MlflowServer", lambda uri, artifacts: server)
    workspace = open_workspace(tmp_path / "w")
    assert PASSWORD in workspace.mlflow_uri  # it is used
    tracker = MlflowTracker(workspace, workspace.study("tiny"), notes.append)
    run_study(workspace, dataset, tracker)
    assert tracker.close(60) == ""
    assert len(server.runs) > 4
    export_trained(tmp_path / "trained", dataset, configure(), output=tmp_path / "bundle.zip")
    for line in ("studies list", "studies show tiny", "studies show tiny --json", "verify bundle.zip --json"):
        ended = invoke(*line.split(), "--workspace", "w")
        assert ended.exit_code == 0
        assert not found_in(ended.output)
    told = repr(server.runs) + repr(server.told) + repr(notes) + tracker.where()
    assert not found_in(told + caplog.text + str(capfd.readouterr()))
    assert not found_below(tmp_path)


def test_an_outage(tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_tracker, "MlflowServer", lambda uri, artifacts: BrokenServer())
    workspace, notes = open_workspace(tmp_path / "w"), []
    tracker = MlflowTracker(workspace, workspace.study("tiny"), notes.append)
    run_study(workspace, dataset, tracker)
    left = tracker.close(0.5)
    assert "401 for" in repr(notes)
    assert "saved locally" in left
    assert not found_in(repr(notes) + left)
    assert not found_below(tmp_path)


def test_a_job(tmp_path: Path) -> None:
    """The uploaded script has them and nothing else; Ray shows all the rest."""
    names = ", ".join(IN_ENVIRONMENT)
    Path("job.yaml").write_text(f"command: search everything\ndata: /d\nworkspace: /w\ntracking_uri: {SERVER}\n")
    with Path("job.yaml").open("a") as file:
        file.write(f"secrets_from_env: [{names}]\n")
    for form in ([], ["--json"]):
        ended = invoke("submit", "job.yaml", "--dry-run", *form)
        assert ended.exit_code == 0
        assert "JOB_SECRET" in ended.stdout  # by name
        assert not found_in(ended.output)
    job, client = api.plan_job(Path("job.yaml")), FakeClient()
    Jobs(client, f"http://me:{PASSWORD}@head:8265").submit(job)
    [given] = client.submitted
    assert not found_in(repr(given) + repr(job) + repr(client.jobs))
    holding = {name for name, text in client.working_dir.items() if found_in(text)}
    assert holding == {SECRETS_FILE}
    assert set(found_in(client.working_dir[SECRETS_FILE])) == set(PLANTED)
    assert not Path(given["runtime_env"]["working_dir"]).exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (f"data: {STORE}", "data: memory://***@bucket/data carries a password"),
        ("env: {MY_TOKEN: t0ken-of-ray-longer-than-16}", "env: MY_TOKEN looks like a secret"),
        (f"env: {{WHERE: '{SERVER}'}}", "env: WHERE looks like a secret"),
    ],
)
def test_a_job_that_would_show_one_is_refused(more: str, said: str) -> None:
    Path("job.yaml").write_text(f"command: search everything\nworkspace: /w\ntracking_uri: http://h:1\n{more}\n")
    ended = invoke("submit", "job.yaml", "--dry-run")
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not found_in(ended.output)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"search my.yaml --data {STORE}", "--data: memory://***@bucket/data carries a password"),
        (f"search my.yaml --data data --set storage={STORE}", "storage: memory://***@bucket/data carries a password"),
        (f"search my.yaml --data data --set data.path={STORE}", "data.path: memory://***@bucket/data carries"),
        (f"baselines --data {STORE}", "memory://***@bucket/data: has no files"),
        (f"studies list --tracking-uri http://me:{PASSWORD}@127.0.0.1:9", "http://***@127.0.0.1:9: MLflow does not"),
        (f"jobs list --address http://me:{PASSWORD}@127.0.0.1:9", "at http://***@127.0.0.1:9"),
    ],
)  # fmt: skip
def test_what_is_refused_is_shown_without_them(line: str, said: str, dataset: Dataset, tmp_path: Path) -> None:
    Path("my.yaml").write_text(SPACE)
    ended = invoke(*line.split(), "--workspace", "w")
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not found_in(ended.output)
    assert not found_below(tmp_path)


def test_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_data(folder: Path) -> None:
        raise ValueError(f"cannot reach {SERVER}")

    monkeypatch.setattr(api, "check_data", check_data)
    ended = invoke("data", "check", "sim")
    assert ended.exit_code == 1
    path = Path(ended.stderr.split("its traceback is in ")[1].strip())
    assert "cannot reach https://***@mlflow.example" in path.read_text()
    assert not found_in(ended.output + path.read_text())
    path.unlink()


def test_a_page_of_runs_is_named_without_them() -> None:
    ended = invoke("ui", "--workspace", "w")
    assert ended.exit_code == 0
    assert "https://***@mlflow.example" in ended.output
    assert not found_in(ended.output)
