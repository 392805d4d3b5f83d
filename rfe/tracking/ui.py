"""Starts the MLflow user interface in a separate process; it listens on this machine only by default."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rfe.errors import ConfigError
from rfe.secrets import redact_uri
from rfe.tracking.access import LOOPBACK, Access
from rfe.tracking.database import database_problem, no_stray_folder, prepare_database
from rfe.tracking.presentation import trial_table_path
from rfe.workspace import Workspace

PORTS_TRIED = 50
START_TIMEOUT_S = 120.0


def free_port(first: int, host: str = LOOPBACK) -> int:
    """The first free port from `first` on.

    Raises:
        ConfigError: none of the next 50 is free, or `host` is no address of this machine.
    """
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # a port in TIME_WAIT is free for a server, as servers bind with this option
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except socket.gaierror as error:
                raise ConfigError(f"--host {host}: {error.strerror}; give an address of this machine") from None
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise ConfigError(
                        f"--host {host}: is no address of this machine; 0.0.0.0 is all that it has"
                    ) from None
                continue
            return port
    raise ConfigError(f"--port {first}: neither it nor the next {PORTS_TRIED - 1} ports are free; choose another")


@contextmanager
def open_ui(
    workspace: Workspace, port: int = 5000, note: Callable[[str], None] = print, access: Access | None = None
) -> Iterator[str]:
    """Run the UI while the block runs; yields its address once it answers.

    Args:
        workspace: what to show; its `mlflow_uri` must not be a server, which serves its own UI.
        port: wanted; if taken, the next free one is used and said.
        note: told what happens.
        access: who reaches it; None: this machine alone.

    Raises:
        ConfigError: no port is free, the login cannot be set up, or the UI did not start.
    """
    access = access or Access()
    chosen = free_port(port, access.host)
    if chosen != port:
        note(f"port {port} is taken; using {chosen}")
    arguments = access.arguments(chosen)
    address = f"http://{f'[{access.here}]' if ':' in access.here else access.here}:{chosen}"
    workspace.root.mkdir(parents=True, exist_ok=True)
    if problem := database_problem(workspace):
        raise ConfigError(problem)
    prepare_database(workspace.mlflow_uri, workspace.root)
    log = workspace.root / "ui.log"
    command = [
        *(sys.executable, "-m", "mlflow", "server", *arguments, "--workers", "1"),
        *("--default-artifact-root", workspace.artifacts.as_uri()),
    ]
    # the address may carry a password, which a command line would show to everyone on the machine
    # MLflow's job workers serve its evaluation features: a dozen processes that a page of trials has no use for
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with access.environment(workspace) as login, no_stray_folder(workspace.mlflow_uri):
        environment = {**quiet, **os.environ, **login, "MLFLOW_BACKEND_STORE_URI": workspace.mlflow_uri}
        for warning in access.warnings(chosen):
            note(warning)
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=workspace.root)
        try:
            note(f"starting MLflow on {redact_uri(workspace.mlflow_uri)} (messages in {log})")
            if not _answers(process, access.here, chosen):
                raise ConfigError(f"the MLflow UI did not start on {address}; its messages are in {log}")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def serve_ui(
    workspace: Workspace,
    port: int = 5000,
    tracking_uri: str | None = None,
    note: Callable[[str], None] = print,
    access: Access | None = None,
) -> None:
    """Show the workspace's runs (or those of `tracking_uri`) in a browser until interrupted.

    A tracking server shows itself, so for an http address only that address is said.

    Raises:
        ConfigError: as `open_ui`.
    """
    if tracking_uri is not None:
        workspace = Workspace(workspace.root, tracking_uri, workspace.cache)
    if workspace.mlflow_uri.startswith(("http://", "https://")):
        note(f"a tracking server has its own page: open {redact_uri(workspace.mlflow_uri)}")
        return
    # SIGTERM would end us at once and leave the server behind
    former = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with open_ui(workspace, port, note, access) as address:
        note(f"MLflow is at {address}  (Ctrl-C stops it)")
        for name, page in study_pages(workspace, address):
            note(f"  {name}: {page}")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            note("MLflow has ended")
        finally:
            signal.signal(signal.SIGTERM, former)


def study_pages(workspace: Workspace, address: str) -> Iterator[tuple[str, str]]:
    """Name and trial table of each study of the workspace that `workspace.mlflow_uri` shows.

    A study whose runs are not known here, as with a damaged `mlflow.json`, is left out; MLflow's page lists it.
    """
    for name in workspace.study_names():
        try:
            logged = json.loads(workspace.study(name).mlflow_runs.read_text(encoding="utf-8"))
            uri, experiment = logged["tracking_uri"], str(logged["experiment_id"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if uri == redact_uri(workspace.mlflow_uri):
            yield name, f"{address}/#{trial_table_path(experiment)}"


def _answers(process: "subprocess.Popen[bytes]", host: str, port: int) -> bool:
    """Wait until something listens there; False if the process ends first or time runs out."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
            return True
        except OSError:
            pass
        time.sleep(0.2)
    return False
