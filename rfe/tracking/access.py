"""Access to the MLflow page: the address it listens on, allowed host names, and login.

MLflow looks at the Host and Origin headers, so that no page elsewhere reads the runs through a visitor's browser; its
basic-auth app asks for a password. Source: https://mlflow.org/docs/latest/self-hosting/security/network.
"""

import importlib.util
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfe.errors import ConfigError
from rfe.extras import install_command, outside_bounds
from rfe.locking import hold_lock
from rfe.tracking.database import LOCK_S, no_stray_folder
from rfe.workspace import Workspace, sqlite_uri

LOOPBACK = "127.0.0.1"
USERS_FILE = "ui-users.db"
"""In the workspace: who may log in, their passwords hashed by MLflow."""
SHORTEST_PASSWORD = 12
"""MLflow takes none that is shorter."""
_ANYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}
"""Addresses that mean every interface, and where this machine itself then finds the server."""
_AUTH_CONFIG = """[mlflow]
default_permission = READ
database_uri = {users}
admin_username = {name}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass(frozen=True)
class Access:
    """Access to the page. The default allows this machine only."""

    host: str = LOOPBACK
    """The address to listen on; 0.0.0.0: all of this machine's."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which other machines call this one, beside its own; `*.example.org` is all of a domain."""
    login: bool = False
    """Ask for user and password."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def here(self) -> str:
        """The server's address on this machine."""
        return _ANYWHERE.get(self.host, self.host)

    def names(self) -> tuple[str, ...]:
        """Allowed host names, beside localhost.

        Raises:
            ConfigError: a name that lets everyone in.
        """
        if "*" in self.allowed_hosts:
            raise ConfigError(
                "--allowed-hosts *: lets any web page read the runs through a visitor's browser; name the hosts, e.g. "
                "gpu1.example.org"
            )
        own: list[str] = [] if self.is_local else [socket.gethostname()]
        if not self.is_local and self.host not in _ANYWHERE:
            own.append(f"[{self.host}]" if ":" in self.host else self.host)
        return tuple(dict.fromkeys((*own, *self.allowed_hosts)))

    def arguments(self, port: int) -> list[str]:
        """Of `mlflow server`."""
        arguments = ["--host", self.host, "--port", str(port)]
        if names := self.names():
            called = [one for name in names for one in _with_port(name, port)]
            at_home = [one for name in ("localhost", LOOPBACK, "[::1]") for one in _with_port(name, port)]
            origins = [f"{scheme}://{one}" for one in called for scheme in ("http", "https")]
            arguments += ["--allowed-hosts", ",".join([*at_home, *called]), "--cors-allowed-origins", ",".join(origins)]
        if self.login:
            arguments += ["--app-name", "basic-auth"]
        return arguments

    def warnings(self, port: int) -> list[str]:
        """Warnings for opening it to others."""
        if self.is_local:
            return []
        old = outside_bounds("mlflow")
        known = [f"warning: {old}: older ones have known vulnerabilities; see rfe doctor"] if old else []
        tunnel = f"ssh -L {port}:{LOOPBACK}:{port} {socket.gethostname()}"
        if not self.login:
            return [
                *known,
                f"warning: everyone who reaches {self.host}:{port} can read, change and delete the runs; add --auth, "
                f"or leave --host out and reach it through {tunnel}",
            ]
        return [
            *known,
            "warning: the password goes over the network unencrypted; put a proxy with TLS before it, or leave --host "
            f"out and reach it through {tunnel}",
        ]

    @contextmanager
    def environment(self, workspace: Workspace) -> Iterator[dict[str, str]]:
        """Environment variables of the server; files that they name are removed after the block.

        The first start makes the user MLFLOW_TRACKING_USERNAME (else `admin`) with MLFLOW_TRACKING_PASSWORD, the two by
        which MLflow's clients log in.

        Raises:
            ConfigError: the login needs a package or a password that is not there.
        """
        if not self.login:
            yield {}
            return
        if importlib.util.find_spec("flask_wtf") is None:
            raise ConfigError(f"--auth: MLflow's login needs a package more: {install_command('auth')}")
        users = workspace.root / USERS_FILE
        name = os.environ.get("MLFLOW_TRACKING_USERNAME") or "admin"
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        if not _has_user(users) and len(password) < SHORTEST_PASSWORD:
            raise ConfigError(
                f"--auth: there is no user yet; set MLFLOW_TRACKING_PASSWORD to a password of {SHORTEST_PASSWORD} "
                f"letters or more, with which {name} is made (MLFLOW_TRACKING_USERNAME names another user)"
            )
        prepare_users(users)
        # a file that no other user may read, as a command line would show the password to everyone on the machine
        with tempfile.TemporaryDirectory(prefix="rfe-ui-") as folder:
            config = Path(folder) / "auth.ini"
            values = {"users": sqlite_uri(users), "name": name, "password": password}
            config.write_text(_AUTH_CONFIG.format(**{key: str(one).replace("%", "%%") for key, one in values.items()}))
            yield {
                "MLFLOW_AUTH_CONFIG_PATH": str(config),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
            }


def prepare_users(file: Path) -> None:
    """Make the tables of MLflow's login in `file`, unless it has them.

    MLflow makes them by many steps: a process killed meanwhile leaves a file that no later one can open. So they are
    made beside and renamed, under a lock. A half-made file of an earlier version, which has no user yet, is replaced.

    Raises:
        ConfigError: MLflow could not make them.
    """
    if not _lacks_tables(file):
        return
    with hold_lock(file.with_name(f".{file.name}.lock"), LOCK_S):
        if not _lacks_tables(file):
            return
        beside = file.with_name(f".{file.name}.new")
        beside.unlink(missing_ok=True)  # of a process that was killed
        beside.touch(mode=0o600)
        if said := _make_tables(beside):
            raise ConfigError(f"--auth: MLflow could not make {file}: {said}")
        file.with_name(f"{file.name}-journal").unlink(missing_ok=True)  # of the half-made file
        beside.replace(file)


def _make_tables(file: Path) -> str:
    """By MLflow's own command; why it failed, or ""."""
    command = [sys.executable, "-m", "mlflow.server.auth", "db", "upgrade", "--url", sqlite_uri(file)]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with no_stray_folder(sqlite_uri(file)):
        ended = subprocess.run(command, capture_output=True, text=True, env=quiet)
    return "" if ended.returncode == 0 else (ended.stderr.strip() or "no message").splitlines()[-1]


def _lacks_tables(file: Path) -> bool:
    """Whether the file is missing, empty or half made, and no user is in it."""
    if not file.is_file() or not file.stat().st_size:
        return True
    tables = {name for (name,) in _rows(file, "SELECT name FROM sqlite_master WHERE type = 'table'") or ()}
    is_whole = bool(_rows(file, "SELECT version_num FROM alembic_version_auth"))
    is_whole &= not any(name.startswith("_alembic_tmp_") for name in tables)
    return bool(tables) and not is_whole and not _has_user(file)


def _has_user(file: Path) -> bool:
    """Whether the file has a user already; True also where it cannot be told, as with a locked file."""
    if not file.is_file() or not file.stat().st_size:
        return False
    found = _rows(file, "SELECT 1 FROM users LIMIT 1")
    return found is None or bool(found)


def _rows(file: Path, query: str) -> list[tuple[Any, ...]] | None:
    """What a query finds, nothing where there is no such table; None where the file cannot be read."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", timeout=1.0, uri=True)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.DatabaseError as error:
        return [] if "no such table" in str(error) else None


def _with_port(name: str, port: int) -> tuple[str, ...]:
    """As browsers send it: with the port, and without where a proxy listens on the usual one."""
    return (name,) if name.rpartition(":")[2].isdigit() and not name.endswith("]") else (name, f"{name}:{port}")
