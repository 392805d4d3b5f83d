"""Data as users have them, through the program: what is wrong is said in a sentence, or read as it is meant."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.cli.invoke import invoke
from tests.unit.data.folders import draw_features, make_folder, make_rows, names, write_csv, write_features

ROWS = make_rows(n_actors=4, n_target_actors=1, n_folds=2)
Frames = Callable[[int, list[str]], str]
"""(number of the clip, "0.1,0.2" of each of its frames) -> its table."""


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfe.search.driver.import_module", lambda name: None)  # Ray, which a dry run does not need
    monkeypatch.setenv("RFE_WORKSPACE", str(tmp_path / "workspace"))


def write_tables(lab: Path, table: Frames, mapping: str = "encoders: {x: {files: 'f/{clip}.csv'}}") -> None:
    """A folder to import: one table of four frames, of two channels, for each clip."""
    (lab / "f").mkdir(parents=True)
    stream = np.random.default_rng(0)
    for number, row in enumerate(ROWS):
        frames = [",".join(f"{value:.3f}" for value in frame) for frame in stream.normal(size=(4, 2))]
        (lab / "f" / f"{row['filename']}.csv").write_text(table(number, frames))
    write_csv(lab / "metadata.csv", ROWS)
    (lab / "map.yaml").write_text(mapping)


def write_arrays(lab: Path, shape: Callable[[int], tuple[int, ...]], mapping: str) -> None:
    (lab / "f").mkdir(parents=True)
    stream = np.random.default_rng(0)
    for number, row in enumerate(ROWS):
        np.save(lab / "f" / f"{row['filename']}.npy", stream.normal(size=shape(number)))
    write_csv(lab / "metadata.csv", ROWS)
    (lab / "map.yaml").write_text(mapping)


def headed(header: str, before: Callable[[int], str]) -> Frames:
    """Tables with a header, and other columns before the channels."""
    return lambda _, frames: "\n".join([header, *(before(row) + frame for row, frame in enumerate(frames)), ""])


def with_speakers(lab: Path, *, folds_by_actor: bool) -> None:
    """Actors are in `speaker`; `video_id` numbers videos."""
    write_arrays(
        lab,
        lambda number: (4,),
        "metadata: {file: labels.csv, columns: {video_id: speaker}}\n"
        "encoders: {x: {files: 'f/{clip}.npy', form: vector}}",
    )
    rows = [row | {"speaker": row["video_id"], "video_id": f"yt{number}"} for number, row in enumerate(ROWS)]
    for number, row in enumerate(rows):
        if row["fold"] and not folds_by_actor:
            row["fold"] = str(number % 2)
    (lab / "metadata.csv").unlink()
    write_csv(lab / "labels.csv", rows)


def with_faces(lab: Path) -> None:
    """No face in the second frame of each clip, and in none of the first clip's."""

    def table(number: int, frames: list[str]) -> str:
        found = [int(number > 0 and row != 1) for row in range(4)]
        rows = [f"{row},{row / 25},0.98,{found[row]},{frame}" for row, frame in enumerate(frames)]
        return "\n".join(["frame, timestamp, confidence, success, a, b", *rows, ""])

    write_tables(lab, table)


IMPORTS: dict[str, tuple[Callable[[Path], None], int, tuple[str, ...]]] = {
    "mapped column beside one of ours": (
        lambda lab: with_speakers(lab, folds_by_actor=True),
        0,
        (
            "labels.csv: its own column video_id is not used, as the mapping takes speaker for it",
            "24 training clips of 4 actors",
        ),
    ),
    "mapped column beside one of ours, actors in two folds": (
        lambda lab: with_speakers(lab, folds_by_actor=False),
        2,
        ("actor A0 (folds 0, 1), A1 (folds 0, 1)", "is in more than one fold, so a model is scored on people"),
    ),
    "no header": (
        lambda lab: write_tables(lab, lambda _, frames: "\n".join([*frames, ""])),
        0,
        ("x: channels (2): 0, 1",),
    ),
    "no header, vectors": (
        lambda lab: write_tables(
            lab,
            lambda _, frames: "\n".join([*frames[:2], ""]),
            "encoders: {x: {files: 'f/{clip}.csv', form: vector}}",
        ),
        2,
        ("several rows, not one vector",),
    ),
    "a first frame that may be a header": (
        lambda lab: write_tables(lab, lambda number, frames: "\n".join(["0,1"] * (number == 0) + [*frames, ""])),
        2,  # no other encoder has features of that clip
        (
            "x_static_features.npz has no features of some clips: masked (1 clip: A0_clip0)",
            "a first line of numbers that may be names of columns or values; say header: true or header: false in the "
            "mapping: e.g.",
        ),
    ),
    "index of pandas": (
        lambda lab: write_tables(lab, headed(",a,b", lambda row: f"{row},")),
        0,
        (
            "x: channels (2): a, b",
            "x: columns left out (1), as they number, time, name, rate or label a frame: (without a name); name them",
        ),
    ),
    "time and segment": (
        lambda lab: write_tables(lab, headed("timestamp,segment_id,0,1", lambda row: f"{500 * row},0,")),
        0,
        ("x: channels (2): 0, 1", "rate or label a frame: timestamp, segment_id; name them under columns:"),
    ),
    "times": (
        lambda lab: write_tables(
            lab, headed("frameTime,start,end,a,b", lambda row: f"{row / 100},{row / 100},{(row + 1) / 100},")
        ),
        0,
        ("x: channels (2): a, b", "rate or label a frame: frameTime, start, end; name them under columns:"),
    ),
    "label": (
        lambda lab: write_tables(lab, headed("mix,a,b", lambda row: "1,")),
        0,
        ("x: channels (2): a, b x: columns of the metadata left out (1), label leaks as features: mix",),
    ),
    "success 0": (
        with_faces,
        2,  # no other encoder has features of the first clip
        (
            "x_static_features.npz has no features of some clips: masked (1 clip: A0_clip0)",
            "no frame in which anything was found (success is 0 in all) 1 A0_clip0",
            "x: 29 frames are left out, as nothing was found in them (success is 0)",
        ),
    ),
    "a cell NA": (
        lambda lab: write_tables(
            lab, lambda _, frames: "\n".join([frames[0], f"{frames[1].split(',')[0]},NA", *frames[2:], ""])
        ),
        0,
        (
            "x: 30 frames are left out, as a channel is missing or not finite, e.g. LAB/f/A0_clip0.csv, line 2: "
            "1 is 'NA'",
        ),
    ),
    "[1, time, channel]": (
        lambda lab: write_arrays(lab, lambda number: (1, 5 + number, 2), "encoders: {x: {files: 'f/{clip}.npy'}}"),
        2,
        ("a shape [1, time, channel]; write time_axis: 1 in the mapping, or save array[0]",),
    ),
    "[1, time, channel], as told": (
        lambda lab: write_arrays(
            lab, lambda number: (1, 5 + number, 2), "encoders: {x: {files: 'f/{clip}.npy', time_axis: 1}}"
        ),
        0,
        ("x 30 14 0 0",),
    ),
}


@pytest.mark.parametrize(("write", "exit_code", "said"), IMPORTS.values(), ids=IMPORTS.keys())
def test_an_import_says_what_it_made_of_files(
    write: Callable[[Path], None], exit_code: int, said: tuple[str, ...], tmp_path: Path
) -> None:
    """Each was read as something else without a word, or refused in thousands of characters."""
    write(tmp_path / "lab")
    ended = invoke(
        *("data", "import", tmp_path / "lab", "--mapping", tmp_path / "lab" / "map.yaml", "-o", tmp_path / "out", "-q")
    )
    printed = " ".join((ended.stdout + ended.stderr).split()).replace(str(tmp_path / "lab"), "LAB")
    assert ended.exit_code == exit_code, printed
    for sentence in said:
        assert sentence in printed
        assert printed.count(sentence) == 1
    assert len(ended.stderr) < 2000
    if exit_code == 0:
        assert invoke("data", "check", tmp_path / "out").exit_code == 0


def spoil_features(folder: Path, spoil: Callable[[np.ndarray], None]) -> None:
    values = draw_features(ROWS)
    spoil(values)
    write_features(make_folder(folder, ROWS) / "face_static_features.npz", values, names(ROWS))


def in_one_fold(folder: Path) -> None:
    make_folder(folder, ROWS)
    kept = [number for number, row in enumerate(ROWS) if row["fold"] != "1"]
    write_features(folder / "face_static_features.npz", draw_features(ROWS)[kept], [names(ROWS)[one] for one in kept])


def blends_in_one_fold(folder: Path) -> None:
    def spoil(rows: list[dict[str, str]]) -> None:
        for row in rows:
            if row["fold"] == "1":
                row.update(emotion_2="", emotion_1_salience="", emotion_2_salience="")

    make_folder(folder, [dict(row) for row in ROWS], spoil=spoil)


def trailing_commas(folder: Path) -> None:
    path = make_folder(folder, ROWS) / "metadata.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"{line}," for line in lines), ""]))


def set_column(column: int, scale: float) -> Callable[[np.ndarray], None]:
    def spoil(values: np.ndarray) -> None:
        values[:, column] = np.where(np.arange(len(values)) % 2, scale, -scale)

    return spoil


BASELINES = ("baselines", "--only", "logistic_regression", "--confirm", 0, "-q", "--data")
SEARCH = ("search", "everything", "--dry-run", "--data")
FOLDERS: dict[str, tuple[Callable[[Path], None], bool, tuple[tuple[object, ...], ...], str]] = {
    "encoder in one fold": (
        in_one_fold,
        False,
        (BASELINES, SEARCH),
        "face_static_features.npz: when fold 0 is held out, no training clip has features of face: only clips of that "
        "fold have any; compute them, or leave face out (data.encoders)",
    ),
    "blends in one fold": (
        blends_in_one_fold,
        False,
        (BASELINES, SEARCH),
        "fold: all blends are in fold 0, so none is left to train and to choose on when it is held out; put actors",
    ),
    "a comma at the end of each row": (
        trailing_commas,
        False,
        (BASELINES, SEARCH),
        "line 2: 9 fields where the header has 8; remove",
    ),
    "a column of 1e-41": (
        lambda folder: spoil_features(folder, set_column(3, 1e-41)),
        True,
        (BASELINES,),
        "face_static_features.npz: 1 of 5 columns are constant, or differ by less than float32",
    ),
    "a column of 3e38": (
        lambda folder: spoil_features(folder, set_column(3, 3e38)),
        True,
        (BASELINES,),
        "face_static_features.npz, X: column 3 (counted from 0) holds values beyond 1e+30, e.g. -3e+38 of A0_clip0,",
    ),
}


@pytest.mark.parametrize(("write", "usable", "lines", "said"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_check_says_what_would_end_a_search(
    write: Callable[[Path], None], usable: bool, lines: tuple[tuple[object, ...], ...], said: str, tmp_path: Path
) -> None:
    """Each was usable, and then ended a search or the baselines in a sentence without a name or an internal error."""
    write(tmp_path / "data")
    ended = invoke("data", "check", tmp_path / "data")
    assert ended.exit_code == (0 if usable else 2)
    printed = " ".join(ended.stdout.split())
    assert printed.count(said) == 1
    assert printed.count("PROBLEM") == (0 if usable else 1)
    for line in lines:
        ended = invoke(*line, tmp_path / "data")
        assert ended.exit_code == (0 if usable else 2), ended.stderr
        assert usable or said in " ".join(ended.stderr.split())
