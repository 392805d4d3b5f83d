from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.data.folds import ALL_TRAIN, held_out_clips, training_actors, training_clips
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


def test_fewer_training_actors_are_among_the_more_and_never_held_out(tmp_path: Path) -> None:
    clips = read_clips(make_folder(tmp_path))
    for fold in clips.folds:
        drawn = [set(training_actors(clips, fold, n).tolist()) for n in (2, 3, 4)]
        assert [len(one) for one in drawn] == [2, 3, 4]
        assert drawn[0] < drawn[1] < drawn[2]
        assert not drawn[2] & set(clips.actor[held_out_clips(clips, fold)].tolist())
        index = training_clips(clips, fold, 2)
        assert set(clips.actor[index].tolist()) == drawn[0]
        assert len(index) == np.isin(clips.actor[: clips.n_source], list(drawn[0])).sum()
    assert training_clips(clips, 0, 4).tolist() == training_clips(clips, 0).tolist()
    assert len({tuple(training_actors(clips, fold, 2)) for fold in clips.folds}) > 1


def test_more_training_actors_than_there_are(tmp_path: Path) -> None:
    clips = read_clips(make_folder(tmp_path))
    with pytest.raises(DataError, match=r"data.training_actors: 5, but only 4 actors train where fold 1 is held out"):
        training_clips(clips, 1, 5)
    with pytest.raises(DataError, match="needs video_id"):
        training_clips(replace(clips, actor=np.full(len(clips), -1)), 1, 2)
