"""`rfe data` on real folders."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rfe.data.simulate import SimulationSpec, simulate
from tests.unit.cli.commands import list_commands
from tests.unit.cli.invoke import invoke

COMMANDS = dict(list_commands())
SMALL = ["--actors", 5, "--test-actors", 1, "--clips-per-actor", 6]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(SimulationSpec(actors=5, test_actors=1, clips_per_actor=6), tmp_path_factory.mktemp("sim"))


def test_simulate_writes_what_the_options_say(tmp_path: Path, folder: Path) -> None:
    ended = invoke("data", "simulate", "-o", tmp_path / "sim", *SMALL, "--json", "--quiet")
    assert ended.exit_code == 0
    assert ended.stderr == ""
    assert json.loads(ended.stdout) == {"output": str(tmp_path / "sim")}
    assert (tmp_path / "sim" / "metadata.csv").read_bytes() == (folder / "metadata.csv").read_bytes()


def test_simulate_has_the_simulators_own_defaults() -> None:
    options = {parameter.name: parameter.default for parameter in COMMANDS["data", "simulate"].params}
    spec = asdict(SimulationSpec())
    del spec["encoders"]
    assert {name: options[name] for name in spec} == spec


def test_simulate_refuses_the_impossible(tmp_path: Path) -> None:
    ended = invoke("data", "simulate", "-o", tmp_path / "sim", "--size", "huge", "--actors", 2)
    assert ended.exit_code == 2
    assert "'huge'" in ended.stderr
    assert not (tmp_path / "sim").exists()


def test_check_shows_encoders_folds_and_labels(folder: Path) -> None:
    ended = invoke("data", "check", folder)
    assert ended.exit_code == 0
    for word in ("video_strong", "30 training clips of 5 actors", "ang+disg", "simulated data", "usable"):
        assert word in ended.stdout


def test_check_ends_with_2_on_what_would_spoil_a_result(tmp_path: Path, folder: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with np.load(folder / "noise_static_features.npz") as stored:
        values = stored["X"].copy()
        values[3, 2] = np.nan
        np.savez(tmp_path / "noise_static_features.npz", X=values, filenames=stored["filenames"])
    ended = invoke("data", "check", tmp_path, "--json")
    assert ended.exit_code == 2
    report = json.loads(ended.stdout)
    assert not report["usable"]
    assert any("noise_static_features.npz" in problem for problem in report["problems"])
    assert "PROBLEM" in invoke("data", "check", tmp_path).stdout


def test_aggregate_says_what_it_left_out(tmp_path: Path) -> None:
    series = tmp_path / "Face_train"
    series.mkdir()
    frames = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(series / "a.npy", frames)
    np.save(series / "b.npy", np.full((4, 3), np.nan, np.float32))
    ended = invoke("data", "aggregate", series, "-o", tmp_path / "out", "-q")
    assert ended.exit_code == 0
    assert "1 clips, 21 features" in ended.stdout
    assert "b" in ended.stdout.split("no row: ")[1]


def test_import_prints_the_check_of_what_it_made(tmp_path: Path, folder: Path) -> None:
    ended = invoke("data", "import", folder, "-o", tmp_path / "out")
    assert ended.exit_code == 0
    assert "taken over as it was: noise_static_features.npz" in ended.stdout
    assert "usable" in ended.stdout
    again = invoke("data", "import", folder, "-o", tmp_path / "out")
    assert again.exit_code == 2
    assert "not empty" in again.stderr
