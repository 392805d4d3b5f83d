"""A disk that really is full, and a network that really drops: a file system of a few megabytes, network namespaces.

Both want to be root, with the rights to mount and to make interfaces; elsewhere they are skipped.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil
import pytest

from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.tracking.gaps import find_gaps
from rfe.workspace import Workspace
from tests.integration import fakes
from tests.integration.ports import free_port

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]
SPACE = """
study: {study}
base: {{train.epochs: {epochs}, model.latent_dim: 16}}
space: {{pool: {{subset: all}}, train.lr: {{float: [1.0e-4, 1.0e-2], log: true}}}}
sampler: {{kind: random}}
budget: {{trials: {trials}}}
confirm: {{top: 0}}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_data(tmp_path_factory.mktemp("disks") / "tiny")


def carry_out(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def allowed(*command: object) -> bool:
    """Whether a command can be carried out here."""
    with suppress(OSError, subprocess.CalledProcessError):
        carry_out(*command)
        return True
    return False


def start_search(
    space: Path, data: Path, workspace: Path, log: Path, *options: str, environment: Mapping[str, str] = os.environ
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rfe", "search", str(space), "--data", str(data), *options]
    environment = {**environment, "RFE_WORKSPACE": str(workspace), "RFE_CACHE": str(log.parent / "cache")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with log.open("wb") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)


def end_all(program: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started."""
    with suppress(psutil.NoSuchProcess):
        for one in (*psutil.Process(program.pid).children(recursive=True), program):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    program.wait()


def trials(workspace: Workspace, study: str) -> list[TrialLog]:
    """Those that ended, as often as the journal has them."""
    return [event for event in read_events(workspace.study(study)) if isinstance(event, TrialLog)]


def numbers(workspace: Workspace, study: str) -> Counter[int]:
    return Counter(one.number for one in trials(workspace, study))


def await_progress(condition: Callable[[], bool], search: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert search.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[None]:
    place.mkdir()
    if not allowed("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place):
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        carry_out("umount", "-l", place)


def test_a_disk_that_is_full_ends_a_search_in_a_sentence_and_one_that_is_freed_lets_it_go_on(
    data: Path, tmp_path: Path
) -> None:
    """The journal, the trials' files and MLflow's database are all on it."""
    disk, space, log = tmp_path / "disk", tmp_path / "space.yaml", tmp_path / "search.log"
    space.write_text(SPACE.format(study="full", epochs=20, trials=24))
    with small_disk(disk, 24):
        workspace = Workspace(disk / "w", f"sqlite:///{disk}/w/mlflow.db", tmp_path / "cache")
        search = start_search(space, data, workspace.root, log, "--workers", "1")
        await_progress(lambda: len(trials(workspace, "full")) >= 4, search, log)
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert search.wait(timeout=300) == 1, log.read_text()
        said = log.read_text()
        assert "is full" in said, said
        assert "free some space, then run the same command to resume" in said
        assert "Traceback" not in said
        before = numbers(workspace, "full")
        filler.unlink()
        assert start_search(space, data, workspace.root, log, "--workers", "1").wait(timeout=600) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
        assert numbers(workspace, "full") == Counter(range(24))
        assert before.keys() <= numbers(workspace, "full").keys()
        assert find_gaps(workspace, workspace.study("full"), 20) == []


HEAD, NODE = "10.213.77.1", "10.213.77.2"
AWAY_S = 30.0
HEALTH = '{"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}'


@dataclass
class TwoMachines:
    """A head node here, and another node in a network of its own; one cable between them."""

    folder: Path
    port: int
    away: str
    """Name of the other network."""
    environment: dict[str, str]
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str, inside: bool = False) -> None:
        name = f"{'node' if inside else 'head'}{len(self.nodes)}"
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *options]
        command += ["--object-store-memory=100000000", "--disable-usage-stats"]
        if inside:
            command = ["ip", "netns", "exec", self.away, *command]
        with (self.folder / f"{name}.log").open("wb") as log:
            node = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.nodes.append(node)

    def start_node(self) -> None:
        self.start("--num-cpus=1", f"--address={HEAD}:{self.port}", f"--node-ip-address={NODE}", inside=True)

    def cable(self, state: Literal["up", "down"]) -> None:
        carry_out("ip", "link", "set", "rfe-here", state)


@contextmanager
def two_machines(folder: Path) -> Iterator[TwoMachines]:
    with ExitStack() as opened:
        away = f"rfe-{os.getpid()}"
        if not allowed("ip", "netns", "add", away):
            pytest.skip("networks cannot be made here")
        opened.callback(allowed, "ip", "netns", "del", away)
        if not allowed("ip", "link", "add", "rfe-here", "type", "veth", "peer", "name", "rfe-there", "netns", away):
            pytest.skip("interfaces cannot be made here")
        opened.callback(allowed, "ip", "link", "del", "rfe-here")
        carry_out("ip", "addr", "add", f"{HEAD}/24", "dev", "rfe-here")
        carry_out("ip", "link", "set", "rfe-here", "up")
        inside = ("ip", "netns", "exec", away, "ip")
        carry_out(*inside, "addr", "add", f"{NODE}/24", "dev", "rfe-there")
        carry_out(*inside, "link", "set", "rfe-there", "up")
        carry_out(*inside, "link", "set", "lo", "up")
        scratch = Path(tempfile.mkdtemp(prefix="rfe-ray-", dir="/tmp"))  # Ray's sockets have short paths only
        opened.callback(shutil.rmtree, scratch, ignore_errors=True)
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 32, "OMP_NUM_THREADS": "1"}
        machines = TwoMachines(folder, free_port(), away, {**os.environ, **token})
        opened.callback(lambda: [end_all(node) for node in machines.nodes])
        machines.start(
            *(
                "--head",
                "--num-cpus=2",
                f"--node-ip-address={HEAD}",
                f"--port={machines.port}",
                "--include-dashboard=false",
            ),
            *(f"--temp-dir={scratch}", f"--system-config={HEALTH}"),
        )
        deadline = time.monotonic() + 120
        while not answers(HEAD, machines.port):
            assert time.monotonic() < deadline, (folder / "head0.log").read_text()
            time.sleep(0.5)
        machines.start_node()
        yield machines


def answers(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def test_a_network_that_drops_loses_no_trial(data: Path, tmp_path: Path) -> None:
    space, log = tmp_path / "space.yaml", tmp_path / "search.log"
    space.write_text(SPACE.format(study="network", epochs=60, trials=60))
    with two_machines(tmp_path) as machines:
        workspace = Workspace(tmp_path / "w", f"sqlite:///{tmp_path}/w/mlflow.db", tmp_path / "cache")
        address = f"{HEAD}:{machines.port}"
        search = start_search(
            *(space, data, workspace.root, log, "--workers", "2", "--address", address),
            environment=machines.environment,
        )
        try:
            await_progress(lambda: len({one.worker for one in trials(workspace, "network")}) == 2, search, log)
            machines.cable("down")
            time.sleep(AWAY_S)
            machines.cable("up")
            machines.start_node()  # Ray ends a node that it took for dead
            assert search.wait(timeout=500) == 0, log.read_text()
        finally:
            end_all(search)
        assert numbers(workspace, "network") == Counter(range(60))
        assert find_gaps(workspace, workspace.study("network"), 20) == []
