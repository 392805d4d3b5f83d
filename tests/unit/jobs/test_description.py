"""Job descriptions: what is filled in, what is refused, and that no secret is ever shown."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rfe.config.reading import write_yaml
from rfe.errors import ConfigError
from rfe.jobs import description as job_module
from rfe.jobs.description import SECRETS_FILE, Job, load_job
from rfe.secrets import read_secrets

SPACE = "study: mine\nspace: {train.lr: {float: [1.0e-4, 1.0e-2], log: true}}\n"
SECRET = "hun'ter $HOME 2"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the submitter stands: a space and a data folder are there."""
    for name in ("RFE_WORKSPACE", "RAY_API_SERVER_ADDRESS", "MLFLOW_TRACKING_URI", "RFE_SECRETS"):
        monkeypatch.delenv(name, raising=False)
    here = tmp_path / "here"
    (here / "spaces").mkdir(parents=True)
    (here / "data").mkdir()
    (here / "spaces" / "mine.yaml").write_text(SPACE)
    monkeypatch.chdir(here)
    return here


def _file(folder: Path, **fields: Any) -> Path:
    path = folder / "job.yaml"
    path.write_text(write_yaml({"command": "search everything", "data": "/d", "workspace": "/w", **fields}))
    return path


def _typed(*words: str, **options: Any) -> Job:
    return load_job(words, workspace=Path("/w"), **options)


def test_a_typed_command_is_a_whole_job(folder: Path) -> None:
    job = _typed("search", "spaces/mine.yaml", "--data=data", "--trials", "30")
    assert (job.name, job.study, job.address) == ("mine", "mine", "http://127.0.0.1:8265")
    words = ["search", "spaces/mine.yaml", "--trials", "30", "--data", str(folder / "data")]
    assert shlex.split(job.entrypoint) == ["exec", sys.executable, "-m", "rfe", *words]
    assert job.files == {"spaces/mine.yaml": folder / "spaces" / "mine.yaml"}
    assert job.environment["RFE_WORKSPACE"] == "/w"
    assert job.environment["MLFLOW_TRACKING_URI"] == "sqlite:////w/mlflow.db"


def test_options_win_over_the_file(folder: Path) -> None:
    path = _file(folder, name="a", address="http://a:1")
    job = load_job(path, name="b", address="http://b:2", workspace=Path("/elsewhere"))
    assert (job.name, job.address, job.workspace) == ("b", "http://b:2", "/elsewhere")


@pytest.mark.parametrize(
    ("words", "study", "name"),
    [
        (["rfe", "search", "everything", "--data", "/d"], "everything", "everything"),
        (["search", "everything", "--study", "other"], "other", "other"),
        (["search", "--trials", "3", "spaces/mine.yaml"], "mine", "mine"),
        (["train", "baselines/concat_mlp"], "concat_mlp", "concat_mlp"),
        (["train", "--from", "first", "--trial=3"], "first-trial-3", "first-trial-3"),
        (["baselines", "-d", "/d"], None, "baselines"),
    ],
)
def test_the_name_is_that_of_the_study(words: list[str], study: str | None, name: str) -> None:
    job = _typed(*words)
    assert (job.study, job.name) == (study, name)


def test_a_space_from_elsewhere_goes_with_the_job_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text(SPACE)
    job = _typed("search", "../far.yaml")
    assert job.words[:2] == ("search", "far.yaml")
    assert job.files == {"far.yaml": tmp_path / "far.yaml"}


def test_the_file_itself_says_where_its_paths_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "more.txt").write_text("x")
    path = _file(folder, command="search spaces/mine.yaml", data="data", upload=["more.txt"])
    monkeypatch.chdir("/")
    job = load_job(path)
    assert set(job.files) == {"spaces/mine.yaml", "more.txt"}
    assert job.words[-1] == str(folder / "data")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"entrypont_resources": {}}, "did you mean entrypoint_resources?"),
        ({"env": {"A": 1}}, r"env: .* a map from name to text"),
        ({"workspace": "here"}, "workspace: 'here' is relative"),
        ({"python": "python3"}, "python: 'python3' is relative"),
        ({"address": "auto"}, "address: 'auto' is not the URL"),
        ({"data": "nowhere"}, "data: 'nowhere' is relative"),
        ({"tracking_uri": "runs"}, "tracking_uri: .*'runs' is a folder"),
        ({"upload": ["../outside.txt"]}, "upload: ../outside.txt lies outside"),
        ({"upload": ["spaces"]}, "upload: spaces is a folder"),
        ({"upload": ["gone.txt"]}, "upload: gone.txt does not exist"),
        ({"secrets_from_env": ["NOT_SET_ANYWHERE"]}, "secrets_from_env: NOT_SET_ANYWHERE is not set here"),
        ({"command": "ui"}, "command: 'ui' cannot be a job"),
        ({"command": "search 'x"}, "command: .* check its quotes"),
        ({"command": "search everthing"}, "did you mean everything?"),
        ({"command": "search everything --set train.epoch=3"}, "did you mean train.epochs?"),
        ({"command": "search everything --address auto"}, "--address belongs to the job"),
        ({"command": "search everything --data /e"}, "data: is given twice"),
        ({"name": "a b"}, "name: 'a b' must be"),
        ({"pending_timeout_s": 0}, "pending_timeout_s: .* above 0"),
    ],
)
def test_each_fault_is_one_sentence(folder: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_job(_file(folder, **fields))
    assert str(caught.value).startswith(f"{folder / 'job.yaml'}: ")
    assert "\n" not in str(caught.value)


def test_all_faults_are_said_at_once(folder: Path) -> None:
    with pytest.raises(ConfigError, match="3 problems"):
        load_job(_file(folder, workspace="here", python="python3", data="nowhere"))


def test_no_workspace_is_refused_where_one_is_needed() -> None:
    with pytest.raises(ConfigError, match="workspace: is not given"):
        load_job(["search", "everything"])


def test_much_is_no_upload(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "big.bin").write_bytes(b"x" * 3000)
    monkeypatch.setattr(job_module, "UPLOAD_LIMIT_MB", 0.002)
    with pytest.raises(ConfigError, match="upload: 1 files of over"):
        load_job(_file(folder, upload=["big.bin"]))


def test_secrets_are_only_in_the_script(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    job = load_job(_file(folder, secrets_from_env=["TOKEN"]))
    shown = [repr(job), str(job.to_dict()), job.entrypoint, str(job.environment)]
    assert not [text for text in shown if "hun" in text]
    assert job.to_dict()["secrets_from_env"] == ["TOKEN"]
    assert job.secrets_script("a-1") != job.secrets_script("a-2")  # Ray unpacks equal uploads once

    (folder / SECRETS_FILE).write_text(job.secrets_script("a-1"))
    probe = "import os; from rfe.secrets import read_secrets; print(read_secrets())"
    shell = job.entrypoint[: job.entrypoint.index("exec ")] + shlex.join(["exec", sys.executable, "-c", probe])
    ended = subprocess.run(["sh", "-c", shell], cwd=folder, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == str({"TOKEN": SECRET})
    assert not (folder / SECRETS_FILE).exists()


def test_outside_of_a_job_there_are_no_secrets() -> None:
    assert read_secrets() == {}


def test_a_tracking_uri_with_a_password_is_a_secret(folder: Path) -> None:
    job = load_job(_file(folder, tracking_uri="https://me:hunter2@mlflow.example"))
    assert "hunter2" not in repr(job) + str(job.to_dict())
    assert job.mlflow_uri == "https://***@mlflow.example"
    assert job.secrets == {"MLFLOW_TRACKING_URI": "https://me:hunter2@mlflow.example"}
