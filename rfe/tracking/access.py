"""Who reaches the page of the runs: where it listens, by which names it answers, whether it asks for a password.

MLflow looks at the Host and Origin headers, so that no page elsewhere reads the runs through a visitor's browser; its
basic-auth app asks for a password. Source: https://mlflow.org/docs/latest/self-hosting/security/network.
"""

import importlib.util
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rfe.errors import ConfigError
from rfe.extras import install_command, outside_bounds
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
    """Who reaches the page. As it is without arguments: this machine alone."""

    host: str = LOOPBACK
    """The address to listen on; 0.0.0.0: all of this machine's."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which other machines call this one, beside its own; `*.example.org` is all of a domain."""
    login: bool = False
    """Ask for user and password."""

    @property
    def is_local(self) -> bool:
        """Whether no other machine reaches it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def here(self) -> str:
        """Where this machine finds the server."""
        return _ANYWHERE.get(self.host, self.host)

    def names(self) -> tuple[str, ...]:
        """What the server may be called, beside localhost.

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
        """Variables of the server; what they name is gone after the block.

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
        is_new = not users.is_file() or not users.stat().st_size
        if is_new and len(password) < SHORTEST_PASSWORD:
            raise ConfigError(
                f"--auth: there is no user yet; set MLFLOW_TRACKING_PASSWORD to a password of {SHORTEST_PASSWORD} "
                f"letters or more, with which {name} is made (MLFLOW_TRACKING_USERNAME names another user)"
            )
        users.touch(mode=0o600)
        # a file that no other user may read, as a command line would show the password to everyone on the machine
        with tempfile.TemporaryDirectory(prefix="rfe-ui-") as folder:
            config = Path(folder) / "auth.ini"
            values = {"users": sqlite_uri(users), "name": name, "password": password}
            config.write_text(_AUTH_CONFIG.format(**{key: str(one).replace("%", "%%") for key, one in values.items()}))
            yield {
                "MLFLOW_AUTH_CONFIG_PATH": str(config),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
            }


def _with_port(name: str, port: int) -> tuple[str, ...]:
    """As browsers send it: with the port, and without where a proxy listens on the usual one."""
    return (name,) if name.rpartition(":")[2].isdigit() and not name.endswith("]") else (name, f"{name}:{port}")
