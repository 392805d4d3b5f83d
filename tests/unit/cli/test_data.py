"""`rfe data` on real folders."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rfe.data.simulate import SimulationSpec, simulate
from tests.unit.cli.commands import list_commands
from tests.unit.cli.invoke import invoke
from tests.unit.data.folders import make_rows, write_csv
from tests.unit.data.published import break_clips, write_published
from tests.unit.data.record.server import RECORD, serving

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
    for name in ("encoders", "task", "clips_per_actor"):
        del spec[name]
    assert {name: options[name] for name in spec} == spec


def test_corrupt_says_how_many_clips_are_wrong(tmp_path: Path, folder: Path) -> None:
    line = ("data", "corrupt", folder, "-o", tmp_path / "wrong", "--share", 0.5, "--seed", 3)
    ended = invoke(*line)
    assert ended.exit_code == 0, ended.stderr
    for word in ("video_strong", "wrong", "corruption.json", "next: rfe data check"):
        assert word in ended.stdout
    masked = invoke(*line[:4], tmp_path / "oracle", *line[5:], "--mode", "mask", "--json", "--quiet")
    told = json.loads(masked.stdout)
    truth = json.loads((tmp_path / "wrong" / "corruption.json").read_text())
    assert told["altered"] == {name: len(swaps) for name, swaps in truth["altered"].items()}


def test_check_shows_encoders_folds_and_labels(folder: Path) -> None:
    ended = invoke("data", "check", folder)
    assert ended.exit_code == 0
    for word in ("video_strong", "30 training clips of 5 actors", "ang+disg", "simulated data", "usable"):
        assert word in ended.stdout


def test_check_claims_nothing_of_metadata_that_it_could_not_read(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "metadata.csv").write_text("")
    ended = invoke("data", "check", tmp_path)
    assert ended.exit_code == 2
    for word in ("not known while the metadata have problems", "video_strong", "not usable: 1 problem would"):
        assert word in ended.stdout
    for word in ("training clips, actors", "0 target", "ang+disg"):
        assert word not in ended.stdout


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
    assert re.search(r"no whole frame +1 +b\b", ended.stdout)


def test_import_prints_the_check_of_what_it_made(tmp_path: Path, folder: Path) -> None:
    ended = invoke("data", "import", folder, "-o", tmp_path / "out")
    assert ended.exit_code == 0
    assert "copied unchanged: noise_static_features.npz" in ended.stdout
    assert "simulated data" in ended.stdout  # whoever takes it over still knows
    assert "usable" in ended.stdout
    again = invoke("data", "import", folder, "-o", tmp_path / "out")
    assert again.exit_code == 2
    assert "not empty" in again.stderr


def test_import_counts_what_it_skipped_by_reason(tmp_path: Path) -> None:
    break_clips(write_published(tmp_path / "record", {"ImageBind": (6, 5), "OpenFace_3": (7, 4)}))
    ended = invoke("data", "import", tmp_path / "record", "-o", tmp_path / "out")
    assert ended.exit_code == 0
    rows = [re.split(r"\s{2,}", line.strip()) for line in ended.stdout.splitlines()]
    assert ["imagebind", "45", "35", "4", "0"] in rows
    assert ["imagebind", "truncated, damaged or not a series of numbers", "1", "A0_clip1"] in rows
    assert ["openface_3", "no whole frame", "1", "T0_clip3"] in rows
    assert "imagebind: 1 stray files not read: Thumbs.db" in ended.stdout
    told = json.loads(invoke("data", "import", tmp_path / "record", "-o", tmp_path / "o2", "--json", "-q").stdout)
    assert told["aggregated"][0]["skipped"]["no file"] == ["A0_clip0"]


def test_import_by_a_mapping(tmp_path: Path) -> None:
    record = write_published(tmp_path / "record", {"ImageBind": (6, 5)})
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("encoders:\n  sight: {files: 'pre_extracted_*_data/ImageBind_*/{clip}.npy'}\n")
    ended = invoke("data", "import", record, "-o", tmp_path / "out", "--mapping", mapping)
    assert ended.exit_code == 0
    assert [path.name for path in (tmp_path / "out").glob("*.npz")] == ["sight_static_features.npz"]
    mapping.write_text("encoders:\n  sight: {file: '{clip}.npy'}\n")
    ended = invoke("data", "import", record, "-o", tmp_path / "out2", "--mapping", mapping)
    assert ended.exit_code == 2
    assert "did you mean encoders.sight.files?" in ended.stderr


def test_import_says_which_columns_are_channels_and_what_it_left_out(tmp_path: Path) -> None:
    rows = make_rows()
    (tmp_path / "lab" / "f").mkdir(parents=True)
    write_csv(tmp_path / "lab" / "metadata.csv", rows)
    for index, row in enumerate(rows):
        cell = "happy" if index == 5 else "NA"
        head = f"frame, success, label, mix, a, b\n1,1,{index},0,{index * index},1\n"
        lines = f"{head}2,0,{index},0,0,0\n3,1,{index},0,{cell},3\n"
        (tmp_path / "lab" / "f" / f"{row['filename']}.csv").write_text(lines)
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("encoders: {face: {files: 'f/{clip}.csv'}}\n")
    ended = invoke("data", "import", tmp_path / "lab", "-o", tmp_path / "out", "--mapping", mapping, "-q")
    printed = " ".join(ended.stdout.split())
    folder = tmp_path / "lab" / "f"
    for said in (
        "face: channels (2): a, b",
        "face: columns of the metadata left out (1), label leaks as features: mix face: columns left out (3)",
        "face: columns left out (3), as they number, time, name, rate or label a frame: frame, success, label; name",
        "face: 47 frames are left out, as nothing was found in them (success is 0)",
        f"47 frames are left out, as a channel is missing or not finite, e.g. {folder}/A0_clip0.csv, line 4: a is 'NA'",
        f"or name the channels with columns: [...]: e.g. {folder}/A0_clip5.csv, line 4: a is 'happy'",
    ):
        assert said in printed
    told = json.loads(
        invoke("data", "import", tmp_path / "lab", "-o", tmp_path / "o2", "--mapping", mapping, "--json").stdout
    )
    assert told["aggregated"][0]["left_out"] == ["frame", "success", "label", "mix"]
    mapping.write_text("encoders: {face: {files: 'f/{clip}.csv', columns: [mix, a]}}\n")
    refused = invoke("data", "import", tmp_path / "lab", "-o", tmp_path / "o3", "--mapping", mapping)
    assert "mix is a column of the metadata, a label leak as a feature; leave it out" in refused.stderr


def test_fetch_a_record_import_it_and_check_it(tmp_path: Path) -> None:
    write_published(tmp_path / "made" / "pre", {"ImageBind": (6, 5)})
    packed = Path(shutil.make_archive(str(tmp_path / "features"), "zip", tmp_path / "made"))
    metadata = ("train_metadata.csv", "test_metadata.csv")
    files = {name: (tmp_path / "made" / "pre" / name).read_bytes() for name in metadata}
    with serving({"features.zip": packed.read_bytes()}) as server:
        server.faults["/files/features.zip"] = ["truncate"]
        line = ["data", "fetch", RECORD, "-o", tmp_path / "record", "--api", server.api]
        ended = invoke(*line, "--unpack", "--quiet")
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert "features.zip" in ended.stdout
        assert json.loads(invoke(*line, "--json", "-q").stdout)["files"][0]["state"] == "there already"
        unknown = invoke("data", "fetch", "999", "-o", tmp_path / "other", "--api", server.api)
        assert (unknown.exit_code, "there is no record 999" in unknown.stderr) == (2, True)
        assert invoke("data", "fetch", "blemore", "-o", tmp_path / "other").exit_code == 2
    assert not (tmp_path / "other").exists()
    assert invoke("data", "import", tmp_path / "record", "-o", tmp_path / "data").exit_code == 0
    assert {name: (tmp_path / "data" / name).read_bytes() for name in metadata} == files
    assert invoke("data", "check", tmp_path / "data").exit_code == 0
