"""A local Ray where much is missing that machines usually have, and searches that are stopped from outside."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rfe import api
from rfe.data.simulation.spec import SimulationSpec
from rfe.journal.records import read_records
from rfe.workspace import Workspace, open_workspace

pytestmark = pytest.mark.slow
START_S = 200.0
SPACE = """
study: long
base: {model: {latent_dim: 8}, train: {epochs: 2}}
space:
  train.lr: {float: [1.0e-3, 1.0e-2], log: true}
budget: {trials: 100000}
confirm: {top: 0}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "data"
    return api.simulate_data(SimulationSpec(actors=6, test_actors=0, clips_per_actor=10), folder)


def test_ray_starts_without_home_with_a_long_tmpdir_and_a_blank_in_the_interpreters_path(tmp_path: Path) -> None:
    """Before: three internal errors, and workers that never came up."""
    environment = tmp_path / "with a blank"
    environment.symlink_to(sys.prefix)
    tmpdir = tmp_path / ("x" * 60)
    tmpdir.mkdir()
    ended = subprocess.run(
        [str(environment / "bin" / "python"), "-m", "rfe.search.trial_start"],
        env={**os.environ, "HOME": "/dev/null/home", "TMPDIR": str(tmpdir)},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert list(tmpdir.iterdir()) == []


def start_search(data: Path, place: Path) -> "subprocess.Popen[bytes]":
    (place / "long.yaml").write_text(SPACE)
    command = [sys.executable, "-m", "rfe", "search", "long.yaml", "--data", str(data), "--workspace", "ws"]
    return subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def wait_for_trials(child: "subprocess.Popen[bytes]", workspace: Workspace) -> None:
    deadline = time.monotonic() + START_S
    while sum(one.kind == "trial" for one in read_records(workspace.study("long").journal)) < 2:
        assert child.poll() is None, "the search ended before it could be stopped"
        assert time.monotonic() < deadline, "no trial finished"
        time.sleep(0.2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_batch_systems_signal_stops_a_search_in_order(number: signal.Signals, data: Path, tmp_path: Path) -> None:
    """Before: SIGUSR1 ended it at once; SIGTERM, without a closing line."""
    child = start_search(data, tmp_path)
    wait_for_trials(child, open_workspace(tmp_path / "ws"))
    child.send_signal(number)
    said = child.communicate(timeout=START_S)[0].decode()
    assert child.returncode == 130
    assert "study long: stopped" in said
    assert "the same command goes on" in said
