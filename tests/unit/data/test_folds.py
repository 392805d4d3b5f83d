from pathlib import Path

import pytest

from rfe.data.folds import ALL_TRAIN, held_out_clips, training_clips
from rfe.data.metadata import read_clips
from rfe.errors import DataError
from tests.unit.data.folders import make_folder


def test_every_source_clip_is_held_out_once_and_target_clips_never_train(tmp_path: Path) -> None:
    clips = read_clips(make_folder(tmp_path))
    held_out = [clip for fold in clips.folds for clip in held_out_clips(clips, fold)]
    assert sorted(held_out) == clips.source.tolist()
    for fold in clips.folds:
        both = [*training_clips(clips, fold), *held_out_clips(clips, fold)]
        assert sorted(both) == clips.source.tolist()
    assert training_clips(clips, ALL_TRAIN).tolist() == clips.source.tolist()
    assert held_out_clips(clips, ALL_TRAIN).size == 0


def test_no_such_fold(tmp_path: Path) -> None:
    clips = read_clips(make_folder(tmp_path))
    with pytest.raises(DataError, match="no fold 7; the data has folds 0, 1, 2"):
        training_clips(clips, 7)
