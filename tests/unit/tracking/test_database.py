"""MLflow's file: made whole or not at all; one that cannot be opened is kept aside. Before, a process killed while the
tables were made left a file that nothing could open, and `repair` and `doctor` ended in an internal error."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from rfe.doctor import _mlflow
from rfe.errors import ConfigError, StudyError
from rfe.tracking import database
from rfe.tracking.database import inspect_database, is_missing_database, no_stray_folder, prepare_database
from rfe.tracking.mlflow_server import MlflowServer, open_server
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.tracking.ui import open_ui
from rfe.workspace import Workspace, open_workspace, sqlite_uri


@pytest.fixture
def file(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the workspace's database goes; it is made quickly."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(database, "_make", lambda to: shutil.copy(empty_database, to))
    return tmp_path / "mlflow.db"


def run_sql(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def spoil(file: Path, how: str, whole: Path) -> None:
    content = whole.read_bytes()
    if how == "temporary table":  # what a kill between alembic's steps leaves
        shutil.copy(whole, file)
        run_sql(file, "CREATE TABLE _alembic_tmp_metrics (key TEXT)")
    elif how == "no revision":
        shutil.copy(whole, file)
        run_sql(file, "DELETE FROM alembic_version")
    elif how == "lost table":
        shutil.copy(whole, file)
        run_sql(file, "DROP TABLE latest_metrics")
    else:
        damaged = {"text": b"not a database " * 99, "cut": content[: len(content) // 2], "hole": content[:8192]}
        file.write_bytes(damaged[how] + (b"\0" * 40_000 + content[48_192:] if how == "hole" else b""))


SPOILT = ["temporary table", "no revision", "lost table", "text", "cut", "hole"]


def test_a_missing_one_is_made_beside_and_renamed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    make = database._make
    monkeypatch.setattr(
        database, "_make", lambda to: (seen.append((to.parent == file.parent, file.exists())), make(to))
    )
    assert is_missing_database(sqlite_uri(file))
    assert prepare_database(sqlite_uri(file), file.parent) == ""
    assert seen == [(True, False)]
    assert inspect_database(file).state == "ready"
    assert prepare_database(sqlite_uri(file), file.parent) == ""
    assert len(seen) == 1
    assert {path.name for path in file.parent.iterdir()} <= {"mlflow.db", ".mlflow.db.lock"}


@pytest.mark.parametrize("empty", [b"", None], ids=["no bytes", "no tables"])
def test_an_empty_file_is_a_missing_one(file: Path, empty: bytes | None) -> None:
    if empty is None:
        run_sql(file, "PRAGMA user_version = 1")
    else:
        file.write_bytes(empty)
    assert inspect_database(file).state == "missing"
    prepare_database(sqlite_uri(file), file.parent)
    assert inspect_database(file).state == "ready"


@pytest.mark.parametrize("how", SPOILT)
def test_one_that_cannot_be_opened_is_kept_aside(file: Path, empty_database: Path, how: str) -> None:
    spoil(file, how, empty_database)
    before = file.read_bytes()
    assert inspect_database(file).state == "broken"
    assert file.read_bytes() == before
    said = prepare_database(sqlite_uri(file), file.parent)
    assert "could not be opened" in said
    assert "is now mlflow.db.damaged-1" in said
    assert file.with_name("mlflow.db.damaged-1").read_bytes() == before
    assert inspect_database(file).state == "ready"
    spoil(file, how, empty_database)
    assert "mlflow.db.damaged-2" in prepare_database(sqlite_uri(file), file.parent)


def test_a_file_that_others_may_use_is_left(file: Path, empty_database: Path, tmp_path: Path) -> None:
    spoil(file, "text", empty_database)
    assert prepare_database(sqlite_uri(file), tmp_path / "the workspace") == ""
    assert inspect_database(file).state == "broken"


@pytest.mark.parametrize("how", SPOILT)
def test_looking_says_what_is_wrong_and_changes_nothing(file: Path, empty_database: Path, how: str) -> None:
    spoil(file, how, empty_database)
    before = file.read_bytes()
    workspace = open_workspace(file.parent)
    with pytest.raises(StudyError, match=r"MLflow cannot open it .*rfe studies repair --all"), open_server(workspace):
        pass
    assert file.read_bytes() == before


def test_an_older_one_is_upgraded_on_a_copy(file: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(empty_database, file)
    before = sorted(database._revisions()[0] - database._revisions()[1])[0]
    run_sql(file, f"UPDATE alembic_version SET version_num = '{before}'")
    assert inspect_database(file).state == "older"
    newest = sorted(database._revisions()[1])[0]

    def upgrade(command: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        assert command[1:5] == ["-m", "mlflow", "db", "upgrade"]
        run_sql(Path(command[5].removeprefix("sqlite:///")), f"UPDATE alembic_version SET version_num = '{newest}'")
        assert inspect_database(file).state == "older"  # the file itself is not touched before it is done
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", upgrade)
    assert "was upgraded; mlflow.db.older-1 is the file as it was" in prepare_database(sqlite_uri(file), file.parent)
    assert inspect_database(file).state == "ready"
    assert inspect_database(file.with_name("mlflow.db.older-1")).state == "older"


def test_one_of_a_newer_mlflow_is_left_and_said_before_anything_starts(file: Path, empty_database: Path) -> None:
    """Before, it counted as ready: a search ran with "MLflow is unavailable, retrying" to its end."""
    shutil.copy(empty_database, file)
    run_sql(file, "UPDATE alembic_version SET version_num = 'ffff00001111'")
    before = file.read_bytes()
    workspace = open_workspace(file.parent)
    said = r"newer MLflow wrote it.* cannot read it; install the version .*or move the file aside .*repair --all`"
    assert prepare_database(sqlite_uri(file), file.parent) == ""
    with pytest.raises(StudyError, match=said), open_server(workspace):
        pass
    with pytest.raises(ConfigError, match=said):
        MlflowTracker(workspace, workspace.study("s"))  # of `rfe search` and `rfe studies repair`
    with pytest.raises(ConfigError, match=said), open_ui(workspace, note=str):
        pass
    [finding] = _mlflow(workspace)  # of `rfe doctor`
    assert finding.verdict == "wrong"
    assert finding.remedy.startswith("install the version")
    assert {path.name for path in file.parent.iterdir()} <= {"mlflow.db", ".mlflow.db.lock"}
    assert file.read_bytes() == before


def test_all_tables_of_the_installed_mlflow_are_known(empty_database: Path) -> None:
    with closing(sqlite3.connect(empty_database)) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"runs", "experiments", "latest_metrics"} <= database._tables() <= there


def test_one_that_is_locked_is_not_taken_for_damaged(file: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert inspect_database(file).state == "ready"


KILLED = """
import sys, time
from pathlib import Path
from rfe.tracking import database
def make(file):
    file.write_bytes(b"half")
    print("making", flush=True)
    time.sleep(600)
database._make = make
database.prepare_database(database.sqlite_uri(Path(sys.argv[1])), Path(sys.argv[1]).parent)
"""


def test_a_process_killed_meanwhile_leaves_no_half_made_file(file: Path) -> None:
    maker = subprocess.Popen([sys.executable, "-c", KILLED, str(file)], stdout=subprocess.PIPE, env=os.environ)
    assert maker.stdout is not None
    assert maker.stdout.readline() == b"making\n"
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert not file.exists()
    prepare_database(sqlite_uri(file), file.parent)
    assert inspect_database(file).state == "ready"
    assert not list(file.parent.glob("*.new"))


def test_two_processes_make_one(file: Path, empty_database: Path) -> None:
    with FileLock(file.with_name(".mlflow.db.lock")):
        other = threading.Thread(target=prepare_database, args=(sqlite_uri(file), file.parent))
        other.start()
        time.sleep(0.1)
        shutil.copy(empty_database, file)
        run_sql(file, "CREATE TABLE mine (x INT)")
    other.join()
    run_sql(file, "SELECT * FROM mine")


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a#b", "a b", "ä声", "100%", "a%3Fb", "a;b&c=d", "a:b@c"])
def test_a_workspace_of_any_name(name: str, tmp_path: Path, file: Path) -> None:
    """Before, with `?` or `%20` the database landed elsewhere."""
    workspace = open_workspace(tmp_path / name)
    assert "MLFLOW" not in workspace.mlflow_uri
    server = MlflowServer(workspace.mlflow_uri, workspace.artifacts)
    assert is_missing_database(workspace.mlflow_uri)
    run = server.create(server.find_experiment("s"), "r", {"rfe.study": "s", "rfe.session": "1"}, 1.0)
    (tmp_path / "x.txt").write_text("content")
    server.upload(run, [tmp_path / "x.txt"])
    again = open_workspace(tmp_path / name)
    assert (
        again.mlflow_uri == Workspace(again.root, again.mlflow_uri, again.cache).tracked_at(again.mlflow_uri).mlflow_uri
    )
    with open_server(again) as other:
        assert [one.run_id for one in other.study_runs()] == [run]
        assert other.files(run) == {"x.txt"}
        other.download(run, "x.txt", tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_text() == "content"
    assert not is_missing_database(again.mlflow_uri)
    # nothing beside the workspace, which MLflow would make by the address's text
    assert {path.name for path in tmp_path.iterdir()} == {name, "x.txt", "back.txt"}
    assert {path.name for path in (tmp_path / name).iterdir()} >= {"mlflow.db", "artifacts"}


def test_a_folder_that_was_there_is_not_taken_for_a_stray_one(tmp_path: Path) -> None:
    (tmp_path / "a%3Fb").mkdir()
    with no_stray_folder(sqlite_uri(tmp_path / "a?b" / "mlflow.db")):
        pass
    assert (tmp_path / "a%3Fb").is_dir()
