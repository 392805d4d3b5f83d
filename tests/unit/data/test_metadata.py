from pathlib import Path

import numpy as np
import pytest

from rfe.data.faults import Faults
from rfe.data.metadata import clip_key, collect_clips, read_clips
from rfe.errors import DataError
from rfe.task import BLEMORE
from tests.unit.data.folders import COLUMNS, Row, make_folder, make_rows, write_csv


def write_metadata(folder: Path, rows: list[Row]) -> Path:
    write_csv(folder / "metadata.csv", rows)
    return folder


def change(row: int, **fields: str) -> list[Row]:
    rows = make_rows()
    rows[row].update(fields)
    return rows


def test_reads_training_clips_then_target_clips_in_file_order(tmp_path: Path) -> None:
    rows = make_rows()
    mixed = rows[::-1]
    clips = read_clips(write_metadata(tmp_path, mixed))
    expected = [row["filename"] for row in mixed if row["split"] == "train"]
    expected += [row["filename"] for row in mixed if row["split"] == "test"]
    assert clips.filename.tolist() == expected
    assert (clips.n_source, clips.n_target) == (36, 12)
    assert clips.folds == (0, 1, 2)
    assert clips.fold[clips.target].tolist() == [-1] * 12
    assert clips.state[clips.target].tolist() == [-1] * 12
    assert [clips.actor_names[actor] for actor in clips.actor[:2]] == ["A5", "A5"]
    assert clips.source_has_actors
    assert clips.target_has_actors


def test_reads_labels_from_columns(tmp_path: Path) -> None:
    clips = read_clips(write_metadata(tmp_path, make_rows()))
    expected = [
        {"ang": 100}, {"neu": 100}, {"ang": 30, "hap": 70}, {"disg": 50, "sad": 50}, {"fea": 100},
        {"hap": 70, "sad": 30},
    ]  # fmt: skip
    assert clips.state[:6].tolist() == [BLEMORE.state_index(percents) for percents in expected]


def test_target_labels_are_not_read(tmp_path: Path) -> None:
    rows = change(-1, emotion_1="hap", fold="1")
    rows[-2]["emotion_1"] = "no emotion at all"
    clips = read_clips(write_metadata(tmp_path, rows))
    assert clips.state[-1] == clips.fold[-1] == -1


def test_numbers_may_be_floats_with_gaps(tmp_path: Path) -> None:
    rows = make_rows()
    for row in rows:
        row["video_id"] = f"{ord(row['video_id'][0])}{row['video_id'][1:]}.0"
        row["fold"] = f"{row['fold']}.0" if row["fold"] else "nan"
        row["emotion_1_salience"] = row["emotion_1_salience"] or "NaN"
    clips = read_clips(write_metadata(tmp_path, rows))
    assert clips.folds == (0, 1, 2)
    assert clips.actor_names[0] == "650"


def test_a_row_order_changes_no_actor_index(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    clips = read_clips(write_metadata(tmp_path, make_rows()))
    other = read_clips(write_metadata(tmp_path / "other", make_rows()[::-1]))
    assert clips.actor_names == other.actor_names


def test_official_pair(tmp_path: Path) -> None:
    rows = make_rows()
    for row in rows:
        del row["video_id" if row["split"] == "test" else "split"]
    write_csv(tmp_path / "train_metadata.csv", rows[:36])
    write_csv(tmp_path / "test_metadata.csv", [{"filename": row["filename"] + ".mov"} for row in rows[36:]])
    clips = read_clips(tmp_path)
    assert (clips.n_source, clips.n_target) == (36, 12)
    assert clips.filename[-1] == "T1_clip5.mov"
    assert not clips.target_has_actors
    assert set(clips.actor[clips.target].tolist()) == {-1}
    (tmp_path / "test_metadata.csv").unlink()
    assert read_clips(tmp_path).n_target == 0


def test_target_clips_alone_are_enough_to_predict(tmp_path: Path) -> None:
    write_csv(tmp_path / "test_metadata.csv", [{"filename": "test_0001"}])
    with pytest.raises(DataError, match="no training clips"):
        read_clips(tmp_path)
    clips = read_clips(tmp_path, need_source=False)
    assert (clips.n_source, clips.n_target, clips.folds) == (0, 1, ())


FAULTS = [
    (change(0, emotion_1="joy"), r"emotion_1: unknown class 'joy'; this task has ang, .* \(1 clip: A0_clip0\)"),
    (change(0, emotion_1="Anger"), "'Anger'; write ang"),
    (change(0, emotion_1=""), "emotion_1 is empty"),
    (change(2, emotion_2="ang"), r"emotion_2 repeats emotion_1 \(ang\)"),
    (change(2, emotion_1_salience="40"), r"sum to 100 \(percent\), but 40 \+ 70 = 110"),
    (change(2, emotion_1_salience="0.3", emotion_2_salience="0.7"), "sum to 100"),
    (change(2, emotion_1_salience="20", emotion_2_salience="80"), "70/30, 50/50 or 30/70, not 20/80"),
    (change(2, emotion_1_salience=""), "must both be given for a blend"),
    (change(2, emotion_1_salience="inf"), "emotion_1_salience: 'inf' is not a number"),
    (change(2, emotion_2="neu"), "neutral never blends"),
    (change(0, emotion_2_salience="30"), "emotion_2_salience is 30 but emotion_2 is empty"),
    (change(0, emotion_1_salience="70"), "a single class has salience 100"),
    (change(0, fold="1.5"), "fold: '1.5' is not a whole number"),
    (change(0, fold=""), r"metadata.csv, fold is empty; give a whole number from 0 \(1 clip: A0_clip0\)"),
    (change(0, fold="2"), r"fold: actor A0 \(folds 0, 2\) is in more than one fold"),
    (change(1, filename="A0_clip0"), r"occurs more than once; .* \(1 clip: A0_clip0\)"),
    (change(1, filename="A0_clip0.mov"), "occurs more than once"),
    (change(-1, filename="A0_clip0"), "both a training and a test clip"),
    (change(0, filename=""), "line 2: filename is empty"),
    (change(0, split="dev"), "split: 'dev' is neither train nor test"),
    (change(0, split=""), r"split is empty; write train or test \(1 clip: A0_clip0\)"),
    (change(0, video_id=""), "video_id is empty for some clips only; fill them in"),
    ([row | {"fold": "0"} for row in make_rows()], "all training clips are in fold 0"),
    ([row | {"split": "test"} for row in make_rows()], "no training clips"),
    ([row | {"mix": "1"} for row in make_rows()], "mix is 1 but emotion_2 is empty"),
    ([row for row in make_rows() if not row["emotion_2"]], "no training clip is a blend"),
]


@pytest.mark.parametrize(("rows", "sentence"), FAULTS)
def test_every_fault_has_its_sentence(tmp_path: Path, rows: list[Row], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_clips(write_metadata(tmp_path, rows))


def test_all_faults_come_in_one_message(tmp_path: Path) -> None:
    rows = make_rows()
    for row in rows[:5]:
        row["emotion_1"] = "joy"
    rows[8]["fold"] = "x"
    with pytest.raises(DataError) as caught:
        read_clips(write_metadata(tmp_path, rows))
    message = str(caught.value)
    assert "(5 clips: A0_clip0, A0_clip1, A0_clip2 and 2 more)" in message
    assert "fold: 'x'" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty or begins with an empty line; give it a header with the columns filename, split"),
        (b"filename\nclip\n", "has no column split; it has: filename; write train or test for each clip"),
        (b"filename,split\nclip,train\n", "has no column emotion_1, .*; give each training clip a whole number from 0"),
        (b"filename;split\nclip;train\n", r"separates its columns by semicolons \('filename;split'\); .* with commas"),
        (b"filename\tsplit\nclip\ttrain\n", "separates its columns by tabs"),
        (b"FILENAME,Split\nclip,train\n", "has the columns FILENAME, Split; write their names in small letters"),
        (b"filename,split,Video_ID\nclip,train,a\n", "has the columns Video_ID; write their names in small letters"),
        (b"filename,split,video id\nclip,train,a\n", r"has the column 'video id'; did you mean video_id\? Rename it"),
        (b"filename,split,fold,fold\nclip,train,0,1\n", r"has the column fold 2 times \(fold, fold\); keep one"),
        (b"filename,split,mix,Mix\nclip,train,0,1\n", r"has the column mix 2 times \(mix, Mix\); keep one of them"),
        (b"filename,split,speaker_id\nclip,train,a\n", r"no column video_id but speaker_id; did you mean video_id\?"),
        (b"file_name,split\nclip,train\n", r"no column filename; .*; did you mean file_name\? Rename it"),
        (b"filename,split\nclip\n", "line 2: 1 fields where the header has 2"),
        (b"filename,split\n\xff\xfe,train\n", "not UTF-8"),
        (b'filename,split\n"clip,train\n', "cannot be read as CSV"),
    ],
)
def test_files_that_are_no_such_table(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_clips(tmp_path)


def test_no_metadata_and_two_kinds_of_metadata(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no metadata: expected"):
        read_clips(tmp_path)
    make_folder(tmp_path)
    (tmp_path / "train_metadata.csv").touch()
    with pytest.raises(DataError, match=r"both metadata.csv and train_metadata.csv"):
        read_clips(tmp_path)


def test_blank_lines_and_a_byte_order_mark_are_harmless(tmp_path: Path) -> None:
    path = write_metadata(tmp_path, make_rows()) / "metadata.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n,,,,,,,\r\n")
    assert len(read_clips(tmp_path)) == 48


def test_actors_may_be_unknown_throughout_and_the_column_left_out(tmp_path: Path) -> None:
    rows = [row | {"video_id": ""} for row in make_rows()]
    for _ in ("empty", "left out"):
        clips = read_clips(write_metadata(tmp_path, rows))
        assert not clips.source_has_actors
        assert np.all(clips.actor == -1)
        assert clips.actor_names == ()
        rows = [{name: value for name, value in row.items() if name != "video_id"} for row in rows]


@pytest.mark.parametrize("columns", [("filename",), ("filename", "video_id"), ("filename", "split"), COLUMNS])
def test_whoever_only_predicts_needs_names_alone(tmp_path: Path, columns: tuple[str, ...]) -> None:
    unlabelled = {
        "emotion_1": "",
        "emotion_2": "",
        "fold": "",
        "split": "train" if columns == ("filename", "split") else "",
    }
    rows = [{name: (row | unlabelled)[name] for name in columns} for row in make_rows()[:36]]
    write_metadata(tmp_path, rows)
    clips = collect_clips(tmp_path, Faults(), need_source=False, need_labels=False)
    assert clips is not None
    assert (clips.n_source, clips.n_target, clips.source_has_actors) == (36, 0, "video_id" in columns)
    assert set(clips.fold.tolist()) == set(clips.state.tolist()) == {-1}
    with pytest.raises(DataError):
        read_clips(tmp_path, need_source=False)


@pytest.mark.parametrize(
    ("filename", "key"),
    [
        *((f"a.{extension}", "a") for extension in ("mov", "FLV", "m4a", "m4v", "wmv", "ogg", "opus", "aiff", "mpeg")),
        *((f"a.{extension}", "a") for extension in ("3gpp", "aifc", "m2v", "wv", "APE", "amv", "3gpp2", "au", "tta")),
        *(("a.wav.npy", "a"), ("a.mp4.npy", "a"), ("a.b.csv", "a.b"), ("a_70_30.ver1", "a_70_30.ver1"), ("a", "a")),
    ],
)
def test_extensions_are_no_part_of_a_clips_name(filename: str, key: str) -> None:
    assert clip_key(filename) == key
