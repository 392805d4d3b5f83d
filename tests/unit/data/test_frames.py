"""Tables in memory become data folders, unless they would take labels, actors or indices for features."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rfe.data.dataset import load_dataset
from rfe.data.frames import feature_table, write_frames
from rfe.errors import DataError
from tests.unit.data.folders import draw_features, make_rows

METADATA = pd.DataFrame(make_rows())
FACE = pd.DataFrame(draw_features(make_rows()), index=pd.Index(METADATA["filename"], name="filename"))
LEVELS = pd.MultiIndex.from_arrays([METADATA["filename"], [pd.Timedelta(0)] * 48], names=["filename", "start"])
UNNAMED = LEVELS.rename(["file", "start"])
OTHERS = pd.Index([f"other_{row}" for row in range(48)], name="filename")


def write(metadata: pd.DataFrame, face: Any, folder: Path) -> pd.DataFrame:
    return feature_table(load_dataset(write_frames(metadata, {"face": face}, folder / "data")), "face")


@pytest.mark.parametrize(
    "metadata",
    [
        METADATA.set_index("filename"),
        METADATA.set_index(["filename", "video_id"]),
        METADATA.set_index(["fold", "filename"]),
        METADATA.set_index([METADATA["filename"], METADATA["split"].rename("part")], drop=False),
        METADATA.set_index("filename", drop=False),
        METADATA.set_index("fold"),
        METADATA.set_index(["fold", "video_id"]),
        METADATA.set_index([METADATA["filename"], pd.to_numeric(METADATA["fold"])], drop=False).assign(
            fold=pd.to_numeric(METADATA["fold"]).astype("Int64").array
        ),
    ],
)
def test_metadata_may_have_an_index_of_several_levels(metadata: pd.DataFrame, tmp_path: Path) -> None:
    np.testing.assert_array_equal(write(metadata, FACE, tmp_path), FACE)
    clips = load_dataset(tmp_path / "data").clips
    assert clips.source_has_actors
    assert clips.folds == (0, 1, 2)


@pytest.mark.parametrize(
    ("metadata", "face", "said"),
    [
        (
            METADATA.set_axis(OTHERS),
            FACE,
            r"metadata: filename in its index and in its column differ \(row 0: 'other_0' and 'A0_clip0'\); keep one "
            r"of them: table.reset_index\(drop=True\) drops that of the index",
        ),
        (
            METADATA.set_index([OTHERS, METADATA["split"].rename("part")]),
            FACE,
            r"metadata: filename in its index and in its column differ .*droplevel\(0\) drops",
        ),
        (
            METADATA.set_index(["filename", pd.Index([7] * 48, name="fold")]),
            FACE,
            r"metadata: fold in its index and in its column differ \(row 0: 7 and '0'\); .*droplevel\(1\) drops",
        ),
        (
            METADATA.set_index(pd.Index(["A9"] * 48, name="video_id")),
            FACE,
            "metadata: video_id in its index and in its column differ",
        ),
        (
            METADATA.set_index(["filename", OTHERS]),
            FACE,
            "metadata: filename in its index and in another level of it differ",
        ),
        (
            METADATA,
            FACE.assign(filename=FACE.index).set_axis(OTHERS),
            r"features\.face: filename in its index and in its column differ \(row 0: 'other_0' and 'A0_clip0'\)",
        ),
        (
            METADATA,
            FACE.assign(filename=METADATA["filename"].tolist()).set_axis(
                pd.MultiIndex.from_arrays([OTHERS, range(48)], names=["filename", "start"])
            ),
            r"features\.face: filename in its index and in its column differ",
        ),
        (
            METADATA,
            pd.concat([FACE.reset_index(), METADATA["filename"]], axis=1),
            r"features\.face: has more than one column filename; keep one of each",
        ),
    ],
)
def test_our_columns_that_are_there_twice_and_differ_are_refused(
    metadata: pd.DataFrame, face: pd.DataFrame, said: str, tmp_path: Path
) -> None:
    """The index was dropped without a word, and the clips were those of the column."""
    with pytest.raises(DataError, match=said):
        write(metadata, face, tmp_path)
    assert not list(tmp_path.iterdir())


def test_features_may_have_an_index_of_several_levels(tmp_path: Path) -> None:
    np.testing.assert_array_equal(write(METADATA, FACE.set_axis(LEVELS), tmp_path), FACE)


@pytest.mark.parametrize(
    ("metadata", "face", "said"),
    [
        (METADATA, FACE.assign(fold=1), r"features\.face: fold: columns of the metadata, label leaks .*drop"),
        (METADATA, FACE.assign(emotion_1_salience=70.0), "emotion_1_salience: columns of the metadata"),
        (METADATA, FACE.assign(**{"Video ID": 3}), "Video ID: columns of the metadata"),
        (METADATA, FACE.assign(mix=0, label=1), "mix: columns of the metadata"),
        (METADATA, FACE.assign(label=1, a=2), r"label: known to number, time, name or label a clip; .*drop\(columns="),
        (METADATA, FACE.assign(**{"Unnamed: 0": range(48)}), "Unnamed: 0: known to number"),
        (METADATA, FACE.assign(start=pd.Timedelta(1, "s")), "start: known to number"),
        (METADATA, FACE.assign(q=pd.Timedelta(1, "s")), "q holds no numbers; leave it out"),
        (METADATA, FACE.assign(q="happy"), "q holds no numbers|are not all numbers"),
        (METADATA, FACE + 1j, "are not all numbers .they are of type complex"),
        (
            METADATA,
            FACE.set_axis(UNNAMED),
            r"features\.face: its index has 2 levels \(file, start\) and none is filename",
        ),
        (METADATA, pd.concat({"a": FACE}, axis=1), r"features\.face: its columns have 2 levels; name each by one"),
        (pd.concat({"a": METADATA}, axis=1), FACE, "metadata: its columns have 2 levels"),
        (METADATA.drop(columns="filename").set_axis(UNNAMED), FACE, "metadata: its index has 2 levels .* is filename"),
        (
            pd.concat([METADATA, METADATA["video_id"]], axis=1),
            FACE,
            "metadata: has more than one column video_id; keep",
        ),
        (METADATA.rename(columns={"video_id": "speaker_id"}), FACE, r"speaker_id; did you mean video_id\?"),
    ],
)
def test_what_would_be_a_leak_or_is_no_feature_is_refused(
    metadata: pd.DataFrame, face: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        write(metadata, face, tmp_path)
    assert not list(tmp_path.iterdir())
