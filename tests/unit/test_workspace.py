from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from rfe.errors import ConfigError, StudyError
from rfe.secrets import carries_secret, redact_text, redact_uri
from rfe.workspace import database_file, open_workspace, tracking_uri


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RFE_WORKSPACE", "RFE_CACHE", "MLFLOW_TRACKING_URI", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)


def test_default_is_absolute_and_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = open_workspace()
    assert workspace.root == tmp_path / "rfe-workspace"
    assert workspace.mlflow_uri == f"sqlite:///{tmp_path}/rfe-workspace/mlflow.db"
    assert workspace.cache == tmp_path / "rfe-workspace" / "cache"
    assert not workspace.root.exists()
    assert workspace.study_names() == ()


def test_environment_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFE_WORKSPACE", str(tmp_path / "a"))
    monkeypatch.setenv("RFE_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    workspace = open_workspace()
    assert (workspace.root, workspace.cache) == (tmp_path / "a", tmp_path / "c")
    assert workspace.mlflow_uri == "http://host:5000"
    assert open_workspace(tmp_path / "b").root == tmp_path / "b"


def test_relative_sqlite_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    assert open_workspace().mlflow_uri == f"sqlite:///{tmp_path}/runs.db"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns"])
def test_file_store_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match=r"MLFLOW_TRACKING_URI.*sqlite:///PATH"):
        open_workspace()


def test_relative_workspace_is_refused_in_a_ray_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(ConfigError, match="RFE_WORKSPACE"):
        open_workspace()
    assert open_workspace(tmp_path).root == tmp_path


def test_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        open_workspace(tmp_path / "w")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 101, "nl\n"])
def test_study_name_must_be_one_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(StudyError, match="study name"):
        open_workspace(tmp_path).study(name)


def test_study_folder(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    study = workspace.study("fusion-v1.2")
    assert study.trial(42) == tmp_path / "studies" / "fusion-v1.2" / "trials" / "00042"
    assert not study.exists()
    study.path.mkdir(parents=True)
    assert workspace.study_names() == ("fusion-v1.2",)


def test_redact_uri() -> None:
    assert redact_uri("postgresql://me:secret@db:5432/x?password=p") == "postgresql://***@db:5432/x?***"
    assert redact_uri("https://token@host/ml") == "https://***@host/ml"
    assert redact_uri("sqlite:////a/mlflow.db") == "sqlite:////a/mlflow.db"
    assert redact_uri("http://host:5000") == "http://host:5000"


def test_what_is_no_uri_is_redacted_all_the_same() -> None:
    assert redact_uri("http://me:secret@[::1") == "http://***@[::1"


def test_addresses_in_a_text_are_redacted() -> None:
    uri = "s3://key:se@cret@bucket/x?token=t"
    said = f"403 for {uri} and 'https://me:secret@host/a' at line 3"
    assert redact_text("no such folder: me:se@cret", uri) == "no such folder: me:***"
    assert redact_text(said, uri) == "403 for s3://***@bucket/x?*** and 'https://***@host/a' at line 3"


@pytest.mark.parametrize(
    ("uri", "carries"),
    [
        ("s3://bucket/data", False),
        ("abfs://container@account.dfs.core.windows.net/data", False),  # Azure's way to name a container
        ("s3://key:secret@bucket/data", True),
        ("https://host/data", False),
        ("https://token@host/data", True),
        ("https://host/data?sig=secret", True),
        ("sftp://me@host/data", False),
        ("/data/a@b:c", False),
    ],
)
def test_which_uris_carry_a_secret(uri: str, carries: bool) -> None:
    assert carries_secret(uri) == carries


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a#b", "a b", "100%", "ä声"])
def test_a_database_is_where_its_address_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, what follows a `?` was cut off and `%20` was a blank."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = open_workspace(tmp_path / name).mlflow_uri
    assert make_url(uri).database == str(tmp_path / name / "mlflow.db")
    assert database_file(uri) == tmp_path / name / "mlflow.db"
    assert tracking_uri(tmp_path, uri) == uri
    assert redact_uri(uri) == uri


def test_options_of_a_database_stay_and_a_bare_question_mark_is_refused(tmp_path: Path) -> None:
    assert tracking_uri(tmp_path, "sqlite:////x/runs.db?timeout=30") == "sqlite:////x/runs.db?timeout=30"
    assert database_file("sqlite:////x/runs.db?timeout=30") == Path("/x/runs.db")
    assert database_file("http://host:5000") is None
    with pytest.raises(ConfigError, match="write %3F"):
        tracking_uri(tmp_path, "sqlite:////x/a?b/runs.db")
