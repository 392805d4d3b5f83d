"""The SQLite database of MLflow: checks, creation and upgrades.

MLflow makes its tables by some sixty migrations that are no one transaction: a process killed meanwhile leaves a file
that no later one can open. So the file is made, or upgraded, beside its place and renamed, under a lock.
"""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from uuid import uuid4

from rfe.locking import hold_lock
from rfe.workspace import SQLITE, Workspace, database_file, sqlite_uri

LOCK_S = 300.0
"""How long another process may take to make the file: seven seconds on a quiet machine."""
_REVISION = re.compile(r"""^(down_)?revision\s*(?::[^=\n]*)?=\s*["'](\w+)["']""", re.MULTILINE)

_TABLE = re.compile(r"""^\s+__tablename__\s*=\s*["'](\w+)["']""", re.MULTILINE)

State = Literal["missing", "ready", "older", "newer", "broken"]


@dataclass(frozen=True)
class Condition:
    """The condition of a database file."""

    state: State
    """`ready` also where it cannot be told, as while another process has it locked."""
    why: str = ""


def is_missing_database(uri: str) -> bool:
    """Whether `uri` names a file of a database that is not there; looking for runs would make it, with its tables."""
    file = database_file(uri)
    return file is not None and (not file.is_file() or not file.stat().st_size)


def inspect_database(file: Path, *, pages: bool = True) -> Condition:
    """Check whether MLflow can open the file, without using MLflow and without changing the file.

    Args:
        file: of the database.
        pages: read it to its end, which takes time where it is large.
    """
    if not file.is_file() or not file.stat().st_size:
        return Condition("missing")
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", timeout=1.0, uri=True)) as connection:
            [found] = connection.execute("PRAGMA quick_check(1)").fetchone() if pages else ["ok"]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            has_revision = "alembic_version" in tables
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if has_revision else None
    except sqlite3.OperationalError:
        return Condition("ready")  # locked, or not to be read here: MLflow says so itself
    except sqlite3.DatabaseError as error:
        return Condition("broken", str(error))
    if found != "ok":
        return Condition("broken", str(found).splitlines()[-1])
    if not tables:
        return Condition("missing")
    if row is None or any(name.startswith("_alembic_tmp_") for name in tables):
        return Condition("broken", "a process was killed while it made the tables")
    known, newest = _revisions()
    if row[0] in known - newest:
        return Condition("older", f"revision {row[0]} of MLflow's tables")
    if known and row[0] not in known:
        return Condition("newer", f"a newer MLflow wrote it, revision {row[0]} of the tables")
    if lost := sorted(_tables() - tables):
        return Condition("broken", f"its table {lost[0]} is missing")
    return Condition("ready")


def database_problem(workspace: Workspace) -> str:
    """Why MLflow cannot open its database, and the remedy; "" where it can, or the file does not exist."""
    file = database_file(workspace.mlflow_uri)
    if file is None:
        return ""
    found = inspect_database(file)
    if found.state == "newer":
        return newer_database(workspace.mlflow_uri)
    if found.state not in ("older", "broken"):
        return ""
    if file.parent != workspace.root:
        return f"{file}: MLflow cannot open it ({found.why}); run `mlflow db upgrade`, or name another database"
    return (
        f"{file}: MLflow cannot open it ({found.why}); `rfe studies repair --all` keeps it aside and writes the "
        "runs of all studies again; the next search does so for its own"
        if found.state == "broken"
        else f"{file}: has {found.why}, which the installed MLflow reads once it is upgraded; the next search or "
        "`rfe studies repair NAME` does that, and keeps a copy"
    )


def newer_database(uri: str) -> str:
    """That a newer MLflow wrote the database of `uri`, and the remedy; "" where none did. Nothing here can read it."""
    file = database_file(uri)
    if file is None or (found := inspect_database(file, pages=False)).state != "newer":
        return ""
    return (
        f"{file}: {found.why}, and the installed MLflow {version('mlflow')} cannot read it; install the version that "
        "wrote it (pip install -U mlflow), or move the file aside and write its runs again with "
        "`rfe studies repair --all`"
    )


def prepare_database(uri: str, own: Path) -> str:
    """Make the database of `uri` if it is missing, upgrade it if it is older, replace it if it cannot be opened.

    What is replaced is kept beside it. A file outside `own`, which others may use too, is only made. One that a newer
    MLflow wrote is left: see `newer_database`.

    Args:
        uri: of MLflow; nothing is done where it names no file.
        own: the workspace's folder.

    Returns:
        A sentence on what was replaced, or "".
    """
    file = database_file(uri)
    if file is None or inspect_database(file).state in ("ready", "newer"):
        return ""
    file.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(file.with_name(f".{file.name}.lock"), LOCK_S):
        found = inspect_database(file)
        if found.state in ("ready", "newer") or (found.state != "missing" and file.parent != own):
            return ""
        for left in file.parent.glob(f".{file.name}.*.new*"):  # of a process that was killed
            left.unlink(missing_ok=True)
        beside = file.with_name(f".{file.name}.{uuid4().hex[:8]}.new")
        if not (found.state == "older" and _upgraded(file, beside)):
            beside.unlink(missing_ok=True)
            _make(beside)
            found = Condition("broken", found.why) if found.state == "older" else found
        said = ""
        if found.state != "missing":
            aside = _set_aside(file, "older" if found.state == "older" else "damaged")
            said = f"{file} had {found.why} and was upgraded; {aside.name} is the file as it was"
            if found.state == "broken":
                said = (
                    f"{file} could not be opened ({found.why}) and is now {aside.name}; runs are written again from "
                    "the journal, those of other studies by `rfe studies repair --all`"
                )
        beside.replace(file)
        _forget_connections(uri)
        return said


@contextmanager
def no_stray_folder(uri: str) -> Iterator[None]:
    """Undo that MLflow makes a folder by the URI's text, also where that is quoted and the file's folder another."""
    file, stray = database_file(uri), Path(uri.removeprefix(SQLITE).partition("?")[0]).parent
    is_stray = file is not None and stray != file.parent and not stray.exists()
    try:
        yield
    finally:
        if is_stray:
            with suppress(OSError):
                stray.rmdir()


def _make(file: Path) -> None:
    from rfe.tracking.mlflow_server import hush_mlflow  # which sets MLflow up before it is imported

    from mlflow import MlflowClient  # isort: skip

    hush_mlflow()
    uri = sqlite_uri(file)
    with no_stray_folder(uri):
        MlflowClient(uri).search_experiments(max_results=1)


def _upgraded(file: Path, beside: Path) -> bool:
    """Whether `beside` could be made from `file` by MLflow's own command."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(beside)) as copy:
        source.backup(copy)
    uri = sqlite_uri(beside)
    with no_stray_folder(uri):
        ended = subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", uri], capture_output=True)
    return ended.returncode == 0 and inspect_database(beside).state == "ready"


def _forget_connections(uri: str) -> None:
    """Close what MLflow keeps open in this process: it is of the file that stood there."""
    if (store := sys.modules.get("mlflow.store.tracking.sqlalchemy_store")) is not None:
        engine = getattr(store.SqlAlchemyStore, "_engine_map", {}).get(uri)
        if engine is not None:
            engine.dispose()


def _set_aside(file: Path, why: str) -> Path:
    number = 1
    while (aside := file.with_name(f"{file.name}.{why}-{number}")).exists():
        number += 1
    for suffix in ("-journal", "-wal", "-shm"):  # they belong to it, and would spoil its successor
        with suppress(FileNotFoundError):
            file.with_name(file.name + suffix).rename(aside.with_name(aside.name + suffix))
    file.rename(aside)
    return aside


def _tables() -> set[str]:
    """The tables that the installed MLflow expects at its newest revision."""
    return {name for text in _sources("*/dbmodels/models.py") for name in _TABLE.findall(text)}


def _sources(pattern: str) -> Iterator[str]:
    """The texts of files of MLflow's stores, which take a second to import."""
    spec = find_spec("mlflow")
    if spec is not None and spec.origin is not None:
        for script in (Path(spec.origin).parent / "store").glob(pattern):
            yield script.read_text(encoding="utf-8")


def _revisions() -> tuple[set[str], set[str]]:
    """(revisions of MLflow's tables that the installed one knows, those of them that no other follows)."""
    found = [one for text in _sources("db_migrations/versions/*.py") for one in _REVISION.findall(text)]
    known = {revision for down, revision in found if not down}
    return known, known - {revision for down, revision in found if down}
