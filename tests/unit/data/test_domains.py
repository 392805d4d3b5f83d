from pathlib import Path

import numpy as np
import pytest

from rfe.data.domains import fit_identity_space, group_clips, resolve_target_actors
from rfe.data.folds import held_out_clips, training_clips
from rfe.data.metadata import Clips, read_clips
from rfe.errors import DataError
from tests.unit.data.folders import Row, make_folder


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    return read_clips(make_folder(tmp_path / "data"))


@pytest.fixture
def anonymous(tmp_path: Path) -> Clips:
    def hide(rows: list[Row]) -> None:
        for row in rows[36:]:
            row["video_id"] = ""

    return read_clips(make_folder(tmp_path / "anonymous", spoil=hide))


def test_auto_asks_what_the_target_tells(clips: Clips, anonymous: Clips) -> None:
    assert resolve_target_actors("auto", clips) == "known"
    assert resolve_target_actors("auto", anonymous) == "unknown"
    assert resolve_target_actors("pseudo", anonymous) == "pseudo"
    with pytest.raises(DataError, match="the target clips carry no video_id"):
        resolve_target_actors("known", anonymous)
    with pytest.raises(DataError, match="'all' is none of auto, known, pseudo, unknown"):
        resolve_target_actors("all", clips)


def test_without_target_clips_known_is_allowed_but_not_assumed(tmp_path: Path) -> None:
    def drop(rows: list[Row]) -> None:
        del rows[36:]

    clips = read_clips(make_folder(tmp_path, spoil=drop))
    assert resolve_target_actors("auto", clips) == "unknown"
    assert resolve_target_actors("known", clips) == "known"


def test_training_clips_keep_their_actors_and_parts_never_mix(clips: Clips) -> None:
    train, held_out = training_clips(clips, 1), held_out_clips(clips, 1)
    for part_actor in (clips.actor, np.zeros(len(clips), np.int64)):
        group = group_clips(clips, 1, part_actor)
        np.testing.assert_array_equal(group[train], clips.actor[train])
        parts = [set(group[part]) for part in (train, held_out, clips.target)]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
    assert len(set(group[held_out])) == len(set(group[clips.target])) == 1


def test_the_known_actors_of_held_out_clips_are_their_groups(clips: Clips) -> None:
    held_out = held_out_clips(clips, 0)
    group = group_clips(clips, 0, clips.actor)[held_out]
    same = clips.actor[held_out][:, None] == clips.actor[held_out]
    np.testing.assert_array_equal(group[:, None] == group, same)


def test_actor_groups_need_the_actors_of_training_clips(tmp_path: Path) -> None:
    def hide(rows: list[Row]) -> None:
        for row in rows:
            row["video_id"] = ""

    clips = read_clips(make_folder(tmp_path, spoil=hide))
    with pytest.raises(DataError, match=r"data.standardize: actor needs video_id"):
        group_clips(clips, 0, clips.actor)


def test_pseudo_actors_are_actors_not_emotions() -> None:
    """Emotions are made to spread wider than actors: clusters of raw features would be emotions."""
    stream = np.random.default_rng(0)
    actor, emotion = np.repeat(np.arange(30), 40), np.tile(np.arange(4), 300)
    offsets, displays = stream.normal(0, 1, (30, 20)), stream.normal(0, 6, (4, 20))
    values = (offsets[actor] + displays[emotion] + stream.normal(0, 0.2, (1200, 20))).astype(np.float32)
    train = actor < 24
    space = fit_identity_space(values[train], actor[train])
    found = space.find_actors(values[~train], clips_per_group=40)
    assert len(set(found)) == 6
    for person in range(24, 30):
        members = found[actor[~train] == person]
        assert (members == np.bincount(members).argmax()).mean() > 0.95


def test_few_clips_make_one_pseudo_actor() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    space = fit_identity_space(values, np.repeat(np.arange(4), 10))
    assert space.find_actors(values[:5], clips_per_group=54).tolist() == [0] * 5
    assert space.find_actors(values[:0], clips_per_group=54).shape == (0,)
