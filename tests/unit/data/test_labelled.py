"""Labels are read without features, folds, splits or actors; names to answer without labels."""

from pathlib import Path

import numpy as np
import pytest

from rfe.data.labelled import read_answered_clips, read_labelled_clips
from rfe.errors import DataError
from tests.unit.data.folders import LABELS, Row, make_folder, make_rows, names, write_csv

LABEL_COLUMNS = ("filename", "emotion_1", "emotion_2", "emotion_1_salience", "emotion_2_salience")


def labels_alone(rows: list[Row]) -> list[Row]:
    return [{column: row[column] for column in LABEL_COLUMNS} for row in rows]


def test_a_table_of_labels_is_enough(tmp_path: Path) -> None:
    """It was no folder."""
    rows = make_rows()[:36]
    found = read_labelled_clips(write_csv(tmp_path / "labels.csv", labels_alone(rows)))
    assert (found.name, found.simulated, found.caveats) == ("labels.csv", False, ())
    assert found.clips.filename.tolist() == names(rows)
    assert found.clips.state.tolist() == [*found.clips.state[: len(LABELS)].tolist()] * 6
    assert (found.clips.state >= 0).all()
    assert set(found.clips.fold.tolist()) == {0}
    assert set(found.clips.actor.tolist()) == {-1}


def test_a_folder_of_metadata_alone_is_enough(tmp_path: Path) -> None:
    """Feature files, two folds, and actors in one fold each were asked for."""
    rows = make_rows()
    rows[0]["fold"] = "1"  # an actor in two folds
    write_csv(tmp_path / "metadata.csv", rows)
    (tmp_path / "dataset.yaml").write_text("name: mine\ncaveats: [careful]\n")
    found = read_labelled_clips(tmp_path)
    assert (found.name, found.caveats) == ("mine", ("careful",))
    assert (found.clips.n_source, found.clips.n_target) == (36, 12)
    assert set(found.clips.fold[:36].tolist()) == {0, 1, 2}
    write_csv(tmp_path / "metadata.csv", labels_alone(rows[:36]))
    assert read_labelled_clips(tmp_path).clips.n_source == 36


def test_singles_alone_and_clips_without_label_are_read(tmp_path: Path) -> None:
    rows = [row for row in make_rows()[:36] if not row["emotion_2"]]
    rows[1]["emotion_1"] = ""
    rows[2]["fold"] = ""
    clips = read_labelled_clips(write_csv(tmp_path / "labels.csv", rows)).clips
    assert np.flatnonzero(clips.state < 0).tolist() == [1]
    assert set(clips.fold.tolist()) == {0}
    rows[2]["fold"] = "0"
    rows[1]["fold"] = ""  # of a clip without label, which no fold has to be known of
    assert set(read_labelled_clips(write_csv(tmp_path / "labels.csv", rows)).clips.fold.tolist()) == {0, 1, 2}


def test_labels_of_target_clips_are_read_of_a_file_that_is_named_and_never_of_a_folder(tmp_path: Path) -> None:
    rows = make_rows()
    for row in rows[36:]:
        row["emotion_1"] = "ang"
    path = write_csv(tmp_path / "metadata.csv", rows)
    assert (read_labelled_clips(tmp_path).clips.state[36:] == -1).all()
    assert (read_labelled_clips(path).clips.state[36:] >= 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"emotion_1": "joy"}, "emotion_1: unknown class 'joy'"),
        ({"emotion_1": "", "emotion_2": "hap"}, "emotion_1 is empty"),
        ({"filename": "A0_clip1"}, "a clip occurs more than once"),
    ],
)
def test_wrong_labels_are_refused(change: Row, said: str, tmp_path: Path) -> None:
    rows = make_rows()[:36]
    rows[0] |= change
    with pytest.raises(DataError, match=said):
        read_labelled_clips(write_csv(tmp_path / "labels.csv", rows))


def test_what_is_no_table_of_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder or file"):
        read_labelled_clips(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no metadata: expected metadata.csv"):
        read_labelled_clips(tmp_path)
    rows = [{"filename": "a", "label": "ang"}]
    with pytest.raises(DataError, match="has no column emotion_1, emotion_2"):
        read_labelled_clips(write_csv(tmp_path / "l.csv", rows))


def test_names_to_answer_need_neither_labels_nor_split(tmp_path: Path) -> None:
    """A folder that can be predicted could not be verified against."""
    rows = make_rows()
    folder = make_folder(tmp_path / "data", rows)
    assert read_answered_clips(folder).names == names(rows)[36:]
    assert read_answered_clips(folder / "metadata.csv").names == names(rows)[36:]
    alone = write_csv(tmp_path / "names.csv", [{"filename": name} for name in names(rows)])
    assert read_answered_clips(alone).names == names(rows)
    (folder / "metadata.csv").write_bytes(alone.read_bytes())
    assert read_answered_clips(folder).names == names(rows)
