"""MLflow's tracking server, and PostgreSQL behind it, in processes that never outlive the block."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.integration.ports import free_port

PATIENCE_S = 300.0


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def mlflow_server(store: str, artifacts: Path, log: Path) -> Iterator[int]:
    """The port of a tracking server that keeps runs in `store` and passes artifacts on to a folder."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(artifacts)]
    with log.open("wb") as output:
        quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        server = subprocess.Popen(command, stdout=output, stderr=output, env=quiet, start_new_session=True)

    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10):
            return True
        return False

    try:
        wait_for(answers)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # the server's own processes too
        server.wait()


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's server programs; None where it is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # Debian keeps them off the path
    return next((one for one in folders if (one / "initdb").is_file() and (one / "postgres").is_file()), None)


@contextmanager
def postgres(programs: Path, folder: Path) -> Iterator[str]:
    """The address of an empty PostgreSQL of its own. It refuses to run as root, so root lends it a user."""
    port, data, log = free_port(), folder / "data", folder / "postgres.log"
    user = None
    folder.mkdir()
    if os.getuid() == 0:
        user = "postgres" if any(one.pw_name == "postgres" for one in pwd.getpwall()) else "nobody"
        shutil.chown(folder, user)
        for parent in folder.parents:  # pytest keeps its folders to itself
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o111)
    superuser = ["--username", "rfe", "--auth", "trust"]
    with log.open("wb") as output:
        options = {"stdout": output, "stderr": output, "user": user, "cwd": "/"}
        subprocess.run([programs / "initdb", "--pgdata", data, *superuser], check=True, **options)  # type: ignore[call-overload]
        listen = [
            "-c",
            "fsync=off",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"unix_socket_directories={folder}",
            "-p",
            str(port),
        ]
        server = subprocess.Popen([programs / "postgres", "-D", data, *listen], start_new_session=True, **options)  # type: ignore[call-overload]
    address = f"rfe@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://{address}").close()
            return True
        return False

    try:
        wait_for(answers)
        yield f"postgresql+psycopg://{address}"
    finally:
        server.send_signal(signal.SIGINT)  # "fast": open connections are ended
        server.wait(60)
