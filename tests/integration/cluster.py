"""A real Ray cluster of one node with its dashboard, in a process group of its own that never outlives the block."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil

START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 20.0


@contextmanager
def start_cluster(token: str, environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """(URL of the dashboard, folder of the session) of a cluster with two CPUs that wants `token`."""
    with ExitStack() as opened:
        folder = Path(tempfile.mkdtemp(prefix="rfe-ray-", dir="/tmp"))  # Ray's sockets have short paths only
        opened.callback(shutil.rmtree, folder, ignore_errors=True)
        port, dashboard, agent, client = free_ports(4)
        command = [
            str(Path(sys.executable).with_name("ray")),
            *("start", "--head", "--block", f"--port={port}", "--num-cpus=2", "--object-store-memory=200000000"),
            *("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            *(f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"),
            *("--disable-usage-stats", f"--temp-dir={folder}"),
        ]
        log = opened.enter_context((folder / "start.log").open("w"))
        cluster = subprocess.Popen(
            command,
            env={**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        opened.callback(_end, cluster)
        url = f"http://127.0.0.1:{dashboard}"
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(url, token):
            assert cluster.poll() is None, (folder / "start.log").read_text()
            assert time.monotonic() < deadline, "the dashboard does not answer"
            time.sleep(0.5)
        yield url, folder


def free_ports(n: int) -> list[int]:
    """Ports that nobody has, beyond those that Ray gives to its workers."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(n)]
        ports = []
        for one in sockets:
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
        return ports


def _answers(url: str, token: str) -> bool:
    try:
        with urlopen(Request(f"{url}/api/version", headers={"Authorization": f"Bearer {token}"}), timeout=5) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def _end(cluster: subprocess.Popen[bytes]) -> None:
    """End the cluster and all that it started: jobs and workers are in sessions of their own."""
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(cluster.pid).children(recursive=True)
        cluster.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            cluster.wait(END_TIMEOUT_S)
        for process in psutil.wait_procs(started, timeout=END_TIMEOUT_S)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    with suppress(ProcessLookupError):
        os.killpg(cluster.pid, signal.SIGKILL)
    cluster.wait()
