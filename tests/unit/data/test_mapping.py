"""A short file says where a folder of any layout has what; what it says wrong is answered in a sentence each."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe.config.fields import problems_of
from rfe.config.reading import parse_yaml, write_yaml
from rfe.data.importing import import_folder
from rfe.data.mapping import ImportMapping, read_mapping
from rfe.data.reading import Reading
from rfe.data.task import read_task
from rfe.errors import ConfigError, DataError
from tests.docs.blocks import ROOT
from tests.unit.data.folders import make_rows, names, write_csv

ROWS = make_rows()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Another lab's layout: folders by actor and by clip, arrays in `.npz`, segments, vectors, own column names."""
    root = tmp_path / "lab"
    stream = np.random.default_rng(0)
    for row in ROWS:
        clip, actor = row["filename"], row["video_id"]
        for path, values in (
            (f"audio/{actor}/{clip}.npy", stream.normal(size=(5, 3))),
            (f"segments/{clip}_seg0.npy", stream.normal(size=(2, 4))),
            (f"segments/{clip}_seg1.npy", stream.normal(size=(1, 4))),
            (f"text/{clip}.npy", stream.normal(size=6)),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            np.save(root / path, values)
        (root / "mel").mkdir(exist_ok=True)
        np.savez(root / "mel" / f"{clip}.mel.npz", mel=stream.normal(size=(2, 9)), rate=np.array(16000))
        (root / "face" / clip).mkdir(parents=True)
        (root / "face" / clip / "frames.csv").write_text("frame,au1,au2,junk\n0,0.1,0.2,9\n1,0.3,0.4,9\n")
    renamed = [{{"video_id": "speaker"}.get(name, name): value for name, value in row.items()} for row in ROWS]
    write_csv(root / "labels.csv", renamed)
    return root


MAPPING: dict[str, Any] = {
    "metadata": {"file": "labels.csv", "columns": {"video_id": "speaker"}},
    "encoders": {
        "audio": {"files": "audio/*/{clip}.npy"},
        "face": {"files": "face/{clip}/frames.csv", "columns": ["au1", "au2"]},
        "mel": {"files": "mel/{clip}.mel.npz", "array": "mel", "time_axis": 1},
        "segments": {"files": "segments/{clip}_seg?.npy", "pieces": True},
        "text": {"files": "text/{clip}.npy", "form": "vector"},
    },
}


def write(path: Path, **changes: Any) -> Path:
    path.write_text(write_yaml({**MAPPING, **changes}))
    return path


def test_another_layout_becomes_a_data_folder(folder: Path, tmp_path: Path) -> None:
    report = import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "mapping.yaml"))
    assert report.check.usable
    assert {one.encoder: (one.clips, one.dim) for one in report.aggregated} == {
        "audio": (48, 21),
        "face": (48, 14),
        "mel": (48, 14),
        "segments": (48, 28),
        "text": (48, 6),
    }
    assert (report.check.source_actors, report.check.target_actors) == (6, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "lab", "mapping.yaml"]


def test_a_mapping_says_which_labels_there_are(folder: Path, tmp_path: Path) -> None:
    classes = ["neu", "sad", "hap", "fea", "disg", "ang"]
    task = {"name": "mine", "classes": classes, "blends": "all", "ratios": [70, 50, 30]}
    report = import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "mapping.yaml", task=task))
    assert report.check.usable
    written = read_task(tmp_path / "data" / "task.yaml")
    assert report.check.task == written
    assert (written.name, written.classes[0], written.n_pairs, written.metric) == ("mine", "neu", 15, "blemore")


def test_a_task_beside_the_metadata_comes_along(folder: Path, tmp_path: Path) -> None:
    task = "{name: beside, classes: [ang, disg, fea, hap, sad, neu], blends: all, ratios: [70, 50, 30]}"
    (folder / "task.yaml").write_text(task)
    report = import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "mapping.yaml"))
    assert report.check.task is not None
    assert report.check.task.name == "beside"


def test_patterns_name_clips(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", encoders={"deep": {"files": "te*/**/{clip}.npy", "form": "vector"}})
    [files] = read_mapping(path, folder).series
    assert list(files.clips) == sorted(names(ROWS))
    assert files.reading == Reading("vector")


def test_metadata_may_be_found_by_their_names(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", metadata={})
    with pytest.raises(DataError, match=r"holds no train_metadata.csv"):
        read_mapping(path, folder)
    write_csv(folder / "metadata.csv", ROWS)
    assert read_mapping(path, folder).metadata == {"metadata.csv": folder / "metadata.csv"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoders": {"a": {"file": "text/{clip}.npy"}}}, "did you mean encoders.a.files?"),
        ({"encodres": {}}, "did you mean encoders?"),
        ({"metadata": {"file": "labels.csv", "column": {}}}, "did you mean metadata.columns?"),
        ({"metadata": {"file": "label.csv"}}, "metadata.file: label.csv is no file below"),
        ({"metadata": {"file": "label.csv"}}, "did you mean labels.csv?"),
        ({"metadata": {"file": "../labels.csv"}}, "'../labels.csv' must be a path below the folder"),
        ({"metadata": {"file": "labels.csv", "test": "labels.csv"}}, "name one file of all clips, or the pair"),
        ({"metadata": {"file": "labels.csv", "columns": {"vidio_id": "x"}}}, "did you mean video_id?"),
        ({"encoders": {}}, "encoders: {} is not allowed"),
        ({"encoders": {"a": {"files": "txet/{clip}.npy"}}}, "did you mean text?"),
        ({"encoders": {"a": {"files": "text/{clip}.csv"}}}, "text/{clip}.csv matches no file below"),
        ({"encoders": {"a": {"files": "text/clip.npy"}}}, "must have {clip} once"),
        ({"encoders": {"a": {"files": "text/{clip}.pt"}}}, "must end in .npy, .npz or .csv"),
        ({"encoders": {"a": {"files": "text/[a]{clip}.npy"}}}, "it may have *, ? and **/ only"),
        ({"encoders": {"a": {"files": "/text/{clip}.npy"}}}, "must be a path below the folder"),
        ({"encoders": {"a": {"files": "text/{clip}.npy", "form": "vectr"}}}, "did you mean vector?"),
        ({"encoders": {"a": {"files": "text/{clip}.npy", "array": "x"}}}, "is for .npz files"),
        ({"encoders": {"a": {"files": "text/{clip}.npy", "columns": ["x"]}}}, "is for .csv files"),
        ({"encoders": {"a": {"files": "text/{clip}.npy", "time_axis": -1}}}, "a whole number of at least 0"),
        (
            {"encoders": {"a/b": {"files": "text/{clip}.npy"}}},
            "'a/b' cannot name an encoder and its file; use at most 100 letters",
        ),
        (
            {"encoders": {"a": {"files": "segments/{clip}_*.npy"}}},
            "48 clips have more than one file (segments/A0_clip0",
        ),
        (
            {"encoders": {"a": {"files": "segments/{clip}_seg*.npy", "pieces": True, "form": "vector"}}},
            "a vector has none",
        ),
        (
            {"task": {"name": "x", "classes": ["a", "b"], "blends": [["a", "joy"]]}},
            "m.yaml: task: blends: 'joy' is no class of this task; the classes are a, b",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(
    changes: dict[str, Any], said: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "m.yaml", **changes))
    assert said in str(caught.value)
    assert not (tmp_path / "data").exists()


def documented(text: str) -> dict[str, Any]:
    """The mapping that a text shows."""
    [mapping] = [
        one for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "encoders:" in one and "files:" in one
    ]
    return parse_yaml(mapping, "the example")


@pytest.mark.parametrize("page", ["docs/data.md", "rfe/data/mapping.py"])
def test_the_mappings_that_are_shown_are_right(page: str) -> None:
    assert problems_of(ImportMapping, documented((ROOT / page).read_text(encoding="utf-8"))) == []


def test_the_guides_mapping_imports_what_it_says(tmp_path: Path) -> None:
    root, stream = tmp_path / "lab", np.random.default_rng(0)
    rows = [{**row, "recording": f"take{index}", "speaker": row["video_id"]} for index, row in enumerate(ROWS)]
    smile = ["file,start,end,F0,jitter"]
    for row in rows:
        (root / "wavlm" / row["speaker"]).mkdir(parents=True, exist_ok=True)
        (root / "openface").mkdir(exist_ok=True)
        np.save(root / "wavlm" / row["speaker"] / f"{row['filename']}.npy", stream.normal(size=(5, 3)))
        frames = ["frame, success, gaze_0_x, pose, AU01_r, AU28_r, AU45_r, AU45_c"]
        frames += [f"{frame},{frame % 2},{','.join(map(str, stream.normal(size=6)))}" for frame in range(8)]
        (root / "openface" / f"{row['recording']}.csv").write_text("\n".join(frames))
        smile.append(f"wav/{row['filename']}.wav,0 days,0 days 00:00:02,{stream.normal()},{stream.normal()}")
    (root / "egemaps.csv").write_text("\n".join(smile))
    write_csv(root / "labels.csv", rows)
    mapping = documented((ROOT / "docs/data.md").read_text(encoding="utf-8"))
    (tmp_path / "mapping.yaml").write_text(write_yaml(mapping))
    report = import_folder(root, tmp_path / "data", mapping=tmp_path / "mapping.yaml")
    assert report.check.usable
    made = {one.encoder: one for one in report.aggregated}
    assert {name: one.dim for name, one in made.items()} == {"wavlm": 21, "face": 21, "egemaps": 2}
    assert made["face"].columns == ("gaze_0_x", "AU01_r", "AU45_r")
    assert made["face"].undetected_frames == 4 * 48


def test_a_renamed_column_must_be_there(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "m.yaml", metadata={"file": "labels.csv", "columns": {"video_id": "actor"}})
    with pytest.raises(DataError, match=r"labels.csv has no column actor \(metadata.columns\); it has: filename"):
        import_folder(folder, tmp_path / "data", mapping=path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "m.yaml"]


def test_a_mapped_column_replaces_one_of_ours(folder: Path, tmp_path: Path) -> None:
    rows = [{**row, "speaker": row["video_id"], "video_id": f"yt{index}"} for index, row in enumerate(ROWS)]
    write_csv(folder / "labels.csv", rows)
    report = import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "mapping.yaml"))
    assert (report.check.source_actors, report.check.target_actors) == (6, 2)
    assert report.notes == ("labels.csv: its own column video_id is not used, as the mapping takes speaker for it",)


def test_actors_of_a_mapped_column_are_checked(folder: Path, tmp_path: Path) -> None:
    """The actor of the mapped column is in two folds; that of the table's own `video_id` is in one."""
    rows = [{**row, "speaker": "one" if row["video_id"] in ("A0", "A1") else row["video_id"]} for row in ROWS]
    write_csv(folder / "labels.csv", rows)
    with pytest.raises(
        DataError, match=r"labels.csv, fold: actor one \(folds 0, 1\) is in more than one fold"
    ) as caught:
        import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "mapping.yaml"))
    assert ".partial" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "mapping.yaml"]


def test_one_column_may_stand_for_two_and_two_may_change_places(folder: Path, tmp_path: Path) -> None:
    rows = [
        {**row, "emotion_1": row["emotion_2"], "emotion_2": row["emotion_1"], "id": row["filename"]} for row in ROWS
    ]
    for row in rows:
        del row["filename"], row["video_id"]
    write_csv(folder / "labels.csv", rows)
    columns = {"filename": "id", "video_id": "id", "emotion_1": "emotion_2", "emotion_2": "emotion_1"}
    path = write(tmp_path / "mapping.yaml", metadata={"file": "labels.csv", "columns": columns})
    report = import_folder(folder, tmp_path / "data", mapping=path)
    assert (report.check.source_actors, report.check.sets["ang"]) == (36, 6)


@pytest.mark.parametrize("header", ["filename,speaker,speaker,split", "filename,speaker,fold,fold,split"])
def test_a_column_that_is_there_twice_is_refused(header: str, folder: Path, tmp_path: Path) -> None:
    (folder / "labels.csv").write_text(f"{header}\n")
    with pytest.raises(DataError, match=r"2 columns speaker|column fold 2 times"):
        import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "mapping.yaml"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "mapping.yaml"]


def test_test_clips_may_lack_mapped_columns_but_not_their_names(folder: Path, tmp_path: Path) -> None:
    rows = [{**row, "clip": row["filename"], "speaker": row["video_id"]} for row in ROWS]
    for row in rows:
        del row["filename"], row["video_id"], row["split"]
    write_csv(folder / "labels.csv", rows[:36])
    write_csv(folder / "test.csv", [{"clip": row["clip"], "video_id": "yt"} for row in rows[36:]])
    files = {"train": "labels.csv", "test": "test.csv", "columns": {"filename": "clip", "video_id": "speaker"}}
    report = import_folder(folder, tmp_path / "data", mapping=write(tmp_path / "mapping.yaml", metadata=files))
    assert (report.check.source_actors, report.check.target_clips, report.check.target_actors) == (6, 12, 0)
    assert report.notes[0].startswith("test.csv: its own column video_id is not used")
    write_csv(folder / "test.csv", [{"name": row["clip"]} for row in rows[36:]])
    with pytest.raises(DataError, match=r"test.csv has no column clip \(metadata.columns\); it has: name"):
        import_folder(folder, tmp_path / "more", mapping=tmp_path / "mapping.yaml")
