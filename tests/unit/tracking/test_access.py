"""Who reaches the page of the runs."""

import base64
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from rfe.errors import ConfigError
from rfe.tracking import access as access_module
from rfe.tracking.access import USERS_FILE, Access
from rfe.tracking.ui import free_port, open_ui
from rfe.workspace import Workspace
from tests.unit.cli.invoke import invoke

PASSWORD = "twelve%letters or more"
TABLES = "CREATE TABLE alembic_version_auth (version_num); CREATE TABLE users (id);"
WHOLE = f"{TABLES} INSERT INTO alembic_version_auth VALUES ('newest');"


def write_users(file: Path, statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(statements)


@pytest.fixture
def quick_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own command takes seconds."""
    monkeypatch.setattr(access_module, "_make_tables", lambda file: write_users(file, WHOLE) or "")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return Workspace(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "cache")


def values(arguments: list[str]) -> dict[str, str]:
    return dict(zip(arguments[::2], arguments[1::2], strict=True))


def test_without_a_word_it_is_this_machine_alone() -> None:
    access = Access()
    assert values(access.arguments(5000)) == {"--host": "127.0.0.1", "--port": "5000"}
    assert access.warnings(5000) == []
    assert access.is_local


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_needs_no_warning(host: str) -> None:
    assert Access(host).warnings(5000) == []


def test_open_to_others_it_warns_and_says_what_to_do() -> None:
    (warning,) = Access("0.0.0.0").warnings(5000)
    assert "everyone who reaches 0.0.0.0:5000 can read, change and delete the runs" in warning
    assert "add --auth" in warning
    assert "ssh -L 5000:127.0.0.1:5000" in warning
    (warning,) = Access("0.0.0.0", login=True).warnings(5000)
    assert "unencrypted" in warning
    assert "TLS" in warning


def test_it_answers_to_its_own_names_and_those_given() -> None:
    given = values(Access("0.0.0.0", ("gpu1.example.org", "proxy:8443")).arguments(5001))
    hosts = given["--allowed-hosts"].split(",")
    own = socket.gethostname()
    for name in ("localhost", "127.0.0.1:5001", own, f"{own}:5001", "gpu1.example.org", "gpu1.example.org:5001"):
        assert name in hosts
    assert "proxy:8443" in hosts
    assert "proxy:8443:5001" not in hosts
    origins = given["--cors-allowed-origins"].split(",")
    assert "http://gpu1.example.org:5001" in origins  # else the page's own requests would be foreign
    assert "https://proxy:8443" in origins
    assert not [one for one in (*hosts, *origins) if "*" in one or "0.0.0.0" in one]
    assert "--allowed-hosts" in values(Access(allowed_hosts=("behind-a-proxy",)).arguments(5000))


def test_everybody_is_no_name() -> None:
    with pytest.raises(ConfigError, match=r"--allowed-hosts \*: lets any web page"):
        Access("0.0.0.0", ("*",)).arguments(5000)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--host 203\.0\.113\.7: is no address of this machine"):
        free_port(5000, "203.0.113.7")
    with pytest.raises(ConfigError, match=r"--host not-a-host\.invalid: "):
        free_port(5000, "not-a-host.invalid")


def test_a_login_needs_a_first_user(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for password in ("", "short"):
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        with (
            pytest.raises(ConfigError, match="set MLFLOW_TRACKING_PASSWORD to a password of 12 letters"),
            Access(login=True).environment(workspace),
        ):
            pass
    assert not (workspace.root / USERS_FILE).exists()
    (workspace.root / USERS_FILE).write_bytes(b"there are some")
    with Access(login=True).environment(workspace) as variables:  # the password is theirs
        assert variables


@pytest.mark.parametrize(
    "half", [f"{TABLES}", "CREATE TABLE users (id);", f"{WHOLE} CREATE TABLE _alembic_tmp_users (id);"]
)
def test_a_half_made_file_of_users_is_made_again(
    workspace: Workspace, quick_tables: None, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a file that a killed process left counted as one with users: no password was asked for, and MLflow could
    not open it."""
    users = workspace.root / USERS_FILE
    write_users(users, half)
    with pytest.raises(ConfigError, match="there is no user yet"), Access(login=True).environment(workspace):
        pass
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    with Access(login=True).environment(workspace):
        assert not access_module._lacks_tables(users)
    write_users(users, "INSERT INTO users VALUES (1)")
    before = users.read_bytes()
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    with Access(login=True).environment(workspace):
        assert users.read_bytes() == before


KILLED = """
import sys, time
from pathlib import Path
from rfe.tracking import access
def make(file):
    file.write_bytes(b"half")
    print("making", flush=True)
    time.sleep(600)
access._make_tables = make
access.prepare_users(Path(sys.argv[1]))
"""


def test_a_process_killed_meanwhile_leaves_no_half_made_file_of_users(workspace: Workspace, quick_tables: None) -> None:
    users = workspace.root / USERS_FILE
    maker = subprocess.Popen([sys.executable, "-c", KILLED, str(users)], stdout=subprocess.PIPE)
    assert maker.stdout is not None
    assert maker.stdout.readline() == b"making\n"
    maker.kill()
    maker.wait()
    assert not users.exists()
    access_module.prepare_users(users)
    assert not access_module._lacks_tables(users)
    assert stat.S_IMODE(users.stat().st_mode) == 0o600


@pytest.mark.slow
def test_mlflows_command_makes_the_tables(workspace: Workspace) -> None:
    users = workspace.root / USERS_FILE
    access_module.prepare_users(users)
    assert not access_module._lacks_tables(users)
    assert not access_module._has_user(users)


def test_tables_that_mlflow_cannot_make_are_a_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module.sys, "executable", "/bin/false")
    with pytest.raises(ConfigError, match=r"--auth: MLflow could not make .*ui-users\.db: no message"):
        access_module.prepare_users(workspace.root / USERS_FILE)
    assert not (workspace.root / USERS_FILE).exists()


def test_an_mlflow_with_known_vulnerabilities_is_not_shown_to_others_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: any version was served to any machine."""
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy>=1", "mlflow>=99; extra == 'search'"])
    old, _ = Access("0.0.0.0").warnings(5000)
    assert old.startswith("warning: mlflow ")
    assert "made for >=99: older ones have known vulnerabilities; see rfe doctor" in old
    assert len(Access("0.0.0.0", login=True).warnings(5000)) == 2
    assert Access().warnings(5000) == []


def test_a_login_without_its_package_says_what_to_install(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[auth\]' in /"), Access(login=True).environment(workspace):
        pass


def test_the_password_is_in_a_file_of_ones_own_and_only_while_the_server_runs(
    workspace: Workspace, quick_tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    access = Access(login=True)
    assert "basic-auth" in access.arguments(5000)
    with access.environment(workspace) as variables:
        path = Path(variables["MLFLOW_AUTH_CONFIG_PATH"])
        assert PASSWORD.replace("%", "%%") in path.read_text()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((workspace.root / USERS_FILE).stat().st_mode) == 0o600
        assert PASSWORD not in repr(variables) + repr(access.arguments(5000))
        assert len(variables["MLFLOW_FLASK_SERVER_SECRET_KEY"]) == 64
    assert not path.exists()
    with Access().environment(workspace) as variables:
        assert variables == {}


def test_the_command_passes_it_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = {}
    monkeypatch.setattr("rfe.api.show_ui", lambda workspace, **given: asked.update(given))
    line = "ui --host 0.0.0.0 --allowed-hosts a.example,b.example --allowed-hosts c.example --auth"
    assert invoke(*line.split(), "--workspace", tmp_path).exit_code == 0
    assert asked["allowed_hosts"] == ["a.example", "b.example", "c.example"]
    assert (asked["host"], asked["auth"]) == ("0.0.0.0", True)


@pytest.mark.slow
def test_a_real_server_asks_for_the_password_and_knows_its_names(
    workspace: Workspace, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_database, workspace.root / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    access, notes = Access("0.0.0.0", ("gpu1.example.org",), login=True), []

    def ask(host: str, password: str | None, origin: str = "") -> int:
        """Search for runs, as the page does; the status."""
        headers = {"Host": host, "Content-Type": "application/json", **({"Origin": origin} if origin else {})}
        request = Request(f"{address}/api/2.0/mlflow/runs/search", b'{"experiment_ids": ["0"]}', headers)
        if password is not None:
            coded = base64.b64encode(f"admin:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {coded}")
        try:
            return int(urlopen(request, timeout=30).status)
        except HTTPError as error:
            return error.code

    for _ in range(2):  # the user is there the second time
        with open_ui(workspace, free_port(18_000), notes.append, access) as address:
            name = f"gpu1.example.org:{address.rpartition(':')[2]}"
            assert ask(name, None) == 401
            assert ask(name, "another password") == 401
            assert ask(name, PASSWORD) == 200
            assert ask(name, PASSWORD, f"http://{name}") == 200
            assert ask(name, PASSWORD, "https://evil.example.org") == 403
            assert ask("evil.example.org", PASSWORD) == 403
        monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)
    assert any("unencrypted" in note for note in notes)
    logged = (workspace.root / "ui.log").read_bytes() + (workspace.root / USERS_FILE).read_bytes()
    assert PASSWORD.encode() not in logged
    assert os.environ.get("MLFLOW_TRACKING_PASSWORD") is None
