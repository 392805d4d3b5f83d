"""Checks whether this machine can run a search: `rfe doctor`."""

import importlib.metadata
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from rfe.errors import ConfigError, StudyError
from rfe.extras import install_command
from rfe.resources import available_cpus, free_memory, machine_memory
from rfe.scratch import is_writable
from rfe.search.cluster import check_reachable, cluster_address
from rfe.search.preconditions import LEAST_MEMORY, Finding, Verdict, find_conditions
from rfe.secrets import redact_uri
from rfe.workspace import Workspace

SHOWN = ("torch", "ray", "optuna", "mlflow")
"""Libraries whose version is shown also when it is right."""
NEEDED: dict[str, Verdict] = {"": "wrong", "search": "wrong", "report": "look"}
"""Extra of the package ("": its core) -> what it is where a library of it is missing."""
GB = 2**30
LEAST_DISK, SCARCE_DISK = GB // 4, 5 * GB
"""A study of 200 trials needs about 1 GB."""
TRY_S = 150.0
"""How long a local Ray may take to start: its two tries, and the imports."""
PORTS = {5000: "rfe ui takes the next free one", 8265: "a Ray cluster started here needs --dashboard-port"}


def examine(workspace: Workspace, *, start: bool = True) -> list[Finding]:
    """Check everything on this machine that a search depends on; leaves no files behind.

    Args:
        start: whether to start a local Ray, which takes seconds and is the one sure answer.
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _libraries,
        _torch,
        _memory,
        lambda: _folders(workspace),
        lambda: _mlflow(workspace),
        lambda: _ray(start),
        _ports,
    )
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    yield Finding("Python", f"{platform.python_version()} ({sys.executable}) on {platform.platform(terse=True)}")
    if not _has_bytecode("ray"):
        python, folder = shlex.quote(sys.executable), shlex.quote(sysconfig.get_path("purelib"))
        remedy = f"write it once: {python} -m compileall -q -j 0 {folder}"
        yield Finding("bytecode", "the libraries have none, so that every process compiles them", "look", remedy)


def _has_bytecode(module: str) -> bool:
    """Whether a library is compiled already, or will be when it is first imported. True where it is not installed."""
    spec = find_spec(module)
    if spec is None or spec.origin is None or spec.cached is None:
        return True
    folder = Path(spec.origin).parent
    return Path(spec.cached).exists() or (not sys.dont_write_bytecode and is_writable(folder))


def _libraries() -> Iterator[Finding]:
    """Versions that are installed beside those that this version was made for."""
    try:
        required = importlib.metadata.requires("rfe") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "rfe", "is not installed here", "look", "pip install -e . in its folder, so that versions are known"
        )
        return
    for one in map(Requirement, required):
        extra = next((extra for extra in NEEDED if one.marker is None or one.marker.evaluate({"extra": extra})), None)
        if extra is None:
            continue
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            remedy = install_command(extra) if extra else f"pip install '{one.name}{one.specifier}'"
            yield Finding(one.name, "is missing", NEEDED[extra], remedy)
            continue
        if not one.specifier.contains(version, prereleases=True):
            found = f"{version}, made for {one.specifier}"
            yield Finding(one.name, found, "look", f"pip install '{one.name}{one.specifier}'")
        elif one.name in SHOWN:
            yield Finding(one.name, version)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:  # a build that does not go with this machine raises what it likes
        yield Finding("torch", f"cannot be loaded: {error}", "wrong", "install a build for this machine: pytorch.org")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    yield Finding("torch's build", f"{build}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            found = f"{torch.cuda.get_device_name(index)}, {free / GB:.0f} of {total / GB:.0f} GB free"
            busy = free < total / 2
            remedy = "something else uses it: stacks will be small" if busy else ""
            yield Finding(f"GPU {index}", found, "look" if busy else "fine", remedy)
    elif shutil.which("nvidia-smi"):
        remedy = "install a CUDA build of torch that goes with the driver, and look at CUDA_VISIBLE_DEVICES"
        yield Finding("GPU", "there is one, and torch cannot use it", "look", remedy)
    else:
        yield Finding("GPU", "none; searches train on the CPUs")


def _memory() -> Iterator[Finding]:
    total = machine_memory()
    free = free_memory() or total
    found = f"{available_cpus()} CPUs, {free / GB:.1f} of {total / GB:.1f} GB memory free"
    scarce = free < LEAST_MEMORY
    remedy = "close what else runs, or search with --workers 1" if scarce else ""
    yield Finding("CPUs and memory", found, "look" if scarce else "fine", remedy)


def _folders(workspace: Workspace) -> Iterator[Finding]:
    for what, path, variable in (
        ("workspace", workspace.root, "RFE_WORKSPACE"),
        ("cache", workspace.cache, "RFE_CACHE"),
    ):
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        try:
            tempfile.TemporaryFile(dir=there).close()
        except OSError as error:
            yield Finding(what, f"{path}: {error.strerror}", "wrong", f"name another folder with {variable}")
            continue
        free = shutil.disk_usage(there).free
        found = f"{path}, {free / GB:.1f} GB free" + ("" if path.exists() else ", made when needed")
        verdict: Verdict = "wrong" if free < LEAST_DISK else "look" if free < SCARCE_DISK else "fine"
        yield Finding(what, found, verdict, "" if verdict == "fine" else f"make room, or use another disk: {variable}")


def _mlflow(workspace: Workspace) -> Iterator[Finding]:
    if find_spec("mlflow") is None:  # said among the libraries
        return
    from rfe.tracking.database import database_problem, is_missing_database, newer_database
    from rfe.tracking.mlflow_server import open_server

    uri = redact_uri(workspace.mlflow_uri)
    if is_missing_database(workspace.mlflow_uri):
        yield Finding("MLflow", f"{uri}, made by the first search")
        return
    if problem := database_problem(workspace):
        found, _, remedy = problem.partition("; ")
        # a search replaces a damaged file, and refuses to start on one that the installed MLflow cannot read
        yield Finding("MLflow", found, "wrong" if newer_database(workspace.mlflow_uri) else "look", remedy)
        return
    try:
        with open_server(workspace) as server:
            n = sum(1 for _ in server.study_runs())
    except StudyError as error:
        remedy = (
            "a search keeps what it cannot show, and sends it later; see that it is up, and MLFLOW_TRACKING_URI right"
        )
        yield Finding("MLflow", str(error), "look", remedy)
    else:
        yield Finding("MLflow", f"{uri}, {n} studies")


def _ray(start: bool) -> Iterator[Finding]:
    if address := cluster_address(None):
        try:
            check_reachable(address)
        except ConfigError as error:
            yield Finding("Ray cluster", str(error), "wrong", "start the cluster, or unset RAY_ADDRESS for a local Ray")
        else:
            yield Finding("Ray cluster", f"RAY_ADDRESS={redact_uri(address)}")
        return
    conditions = find_conditions()
    yield from conditions
    if not start or any(one.verdict == "wrong" for one in conditions):
        yield Finding("Ray cluster", "none named; a search starts a local Ray, which ends with it")
    else:
        yield try_local_ray()


def try_local_ray() -> Finding:
    """Check in a separate process that a local Ray starts: a failed start may end the process, or hang."""
    command = [sys.executable, "-m", "rfe.search.trial_start"]
    began = time.monotonic()
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TRY_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        remedy = "end other programs that keep the machine busy, and look at Ray's logs in its temporary folder"
        return Finding("local Ray", f"none within {TRY_S:.0f} s", "wrong", remedy)
    if ended.returncode == 0:
        return Finding("local Ray", f"starts, in {time.monotonic() - began:.0f} s; it ends with the search")
    lines = [line for line in ended.stderr.splitlines() if line.strip()] or [f"exit code {ended.returncode}"]
    sentence, _, remedy = lines[-1].partition("; ")
    return Finding("local Ray", sentence, "wrong", remedy or "look at its logs in Ray's temporary folder")


def _ports() -> Iterator[Finding]:
    for port, remedy in PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                yield Finding(f"port {port}", "is taken", "look", remedy)
            else:
                yield Finding(f"port {port}", "is free")
