"""Columns that tell a label, an actor or a fold are found, and strong features are not."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe.data.leaks import find_leaks
from rfe.data.metadata import Clips
from rfe.task import BLEMORE

N = 720
STREAM = np.random.default_rng(0)


def make_clips(state: NDArray[np.int64] | None = None) -> Clips:
    """Clips of 24 actors in 4 folds, all states in a random order, and 40 target clips."""
    state = STREAM.permutation(np.arange(N) % BLEMORE.n_states) if state is None else state
    actor = np.arange(N) // 30
    return Clips(
        filename=np.array([f"clip{index}" for index in range(N + 40)]),
        actor=np.concatenate([actor, np.full(40, 24)]),
        actor_names=tuple(f"a{index}" for index in range(25)),
        fold=np.concatenate([actor % 4, np.full(40, -1)]),
        state=np.concatenate([state, np.full(40, -1)]),
        n_source=N,
        task=BLEMORE,
    )


CLIPS = make_clips()
STATE = CLIPS.state[:N]
FIRST = np.array([STREAM.choice(np.flatnonzero(BLEMORE.set_members[BLEMORE.state_set[state]])) for state in STATE])
"""One emotion of each clip, in the order in which a table might name them."""


def leaks(column: NDArray[np.generic], clips: Clips = CLIPS) -> str | None:
    """What a column of the training clips tells, among noise."""
    values = STREAM.normal(size=(len(clips), 3)).astype(np.float32)
    values[:N, 1] = column
    found = find_leaks(values, clips, np.ones(len(clips), np.bool_))
    assert list(found.values()) in ([], [[1]])
    return next(iter(found), None)


LABELS: dict[str, NDArray[np.generic]] = {
    "mix": BLEMORE.state_is_blend[STATE],
    "mix, scaled": np.where(BLEMORE.state_is_blend[STATE], 1.37, -0.61),
    "the state's number": STATE,
    "the set's number": BLEMORE.state_set[STATE],
    "emotion_1_id": FIRST,
    "emotion_1_id, shuffled": np.array([0.3, 7, 1, -2, 5, 4])[FIRST],
    "emotion_1_salience": 100 * BLEMORE.state_salience[STATE, FIRST],
    "one emotion of a one-hot code": BLEMORE.set_members[BLEMORE.state_set[STATE], 0],
    "salience of one emotion": BLEMORE.state_salience[STATE, 3],
    "number of emotions": BLEMORE.set_members[BLEMORE.state_set[STATE]].sum(1),
    "place in a list by label": np.argsort(np.argsort(STATE, kind="stable")),
    "label with an offset for each clip": BLEMORE.state_set[STATE] + 0.1 * STREAM.random(N),
}


@pytest.mark.parametrize("column", LABELS.values(), ids=LABELS.keys())
def test_a_label_among_the_features_is_found(column: NDArray[np.generic]) -> None:
    """Nothing was said; every score was near 1."""
    assert leaks(column) == "label"


def test_codes_of_actors_and_folds_are_found() -> None:
    actor = CLIPS.actor[:N]
    assert leaks(STREAM.permutation(1000)[actor]) == "actor"
    assert leaks(actor % 4) == "fold"
    assert leaks(STREAM.normal(size=24)[actor]) is None  # of the voice, say: it tells who speaks, and may be meant
    assert leaks(actor % 2) is None


HONEST: dict[str, NDArray[np.generic]] = {
    "a strong feature": 5 * BLEMORE.set_members[BLEMORE.state_set[STATE], 0] + STREAM.normal(size=N),
    "a probability near 0 or 1": np.clip(
        BLEMORE.set_members[BLEMORE.state_set[STATE], 0]
        + np.where(STREAM.random(N) < 0.01, 0.5, 1e-3 * STREAM.random(N)),
        0,
        1,
    ),
    "an answer that is right for 97 of 100": np.where(STREAM.random(N) < 0.97, BLEMORE.state_set[STATE], 0),
    "a flag that is rarely set": STREAM.random(N) < 0.005,
    "a flag of three clips of one state": np.isin(np.arange(N), np.flatnonzero(STATE == 3)[:3]),
    "a count": STREAM.poisson(3, N),
    "a constant": np.ones(N),
    "the length of a clip": STREAM.integers(40, 400, N),
    "mostly 0": np.where(STREAM.random(N) < 0.9, 0, STREAM.normal(size=N)),
}


@pytest.mark.parametrize("column", HONEST.values(), ids=HONEST.keys())
def test_honest_features_are_not_found(column: NDArray[np.generic]) -> None:
    assert leaks(column) is None


def test_an_encoder_that_tells_emotions_almost_perfectly_is_not_found() -> None:
    """Columns of a classifier's outputs: its logits, probabilities, and these rounded."""
    logits = 12 * BLEMORE.state_salience[STATE] + STREAM.normal(size=(N, BLEMORE.n_classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert (shares.argmax(1) == BLEMORE.state_salience[STATE].argmax(1))[~BLEMORE.state_is_blend[STATE]].mean() > 0.99
    values = np.zeros((len(CLIPS), 18), np.float32)
    values[:N] = np.concatenate([logits, shares, shares.round(2)], 1)
    assert find_leaks(values, CLIPS, np.ones(len(CLIPS), np.bool_)) == {}


def test_ties_in_a_sorted_list_tell_nothing() -> None:
    """Equal values stay in the order of the file, which may be that of the labels."""
    clips = make_clips(np.sort(STATE))
    sparse = np.where(STREAM.random(N) < 0.8, 0, STREAM.random(N))
    assert leaks(sparse, clips) is None
    assert leaks(np.arange(N), clips) == "label"


def test_only_clips_with_features_count_and_few_tell_nothing() -> None:
    values = np.zeros((len(CLIPS), 1), np.float32)
    values[:N, 0] = BLEMORE.state_is_blend[STATE]
    available = np.zeros(len(CLIPS), np.bool_)
    available[:100] = True
    values[100:] = STREAM.normal(size=(len(CLIPS) - 100, 1))
    assert find_leaks(values, CLIPS, available) == {"label": [0]}
    available[20:100] = False
    assert find_leaks(values, CLIPS, available) == {}
    unknown = replace(CLIPS, actor=np.full(len(CLIPS), -1))
    assert leaks(CLIPS.actor[:N], unknown) is None


def few(n: int) -> NDArray[np.bool_]:
    """[clip] of n clips, half of them blends."""
    blend = BLEMORE.state_is_blend[STATE]
    available = np.zeros(len(CLIPS), np.bool_)
    available[np.flatnonzero(blend)[: n // 2]] = available[np.flatnonzero(~blend)[: n - n // 2]] = True
    return available


@pytest.mark.parametrize("n", [22, 30, 39])
def test_a_label_is_found_in_few_clips(n: int) -> None:
    """Of fewer than 40 nothing was said."""
    values = STREAM.normal(size=(len(CLIPS), 3)).astype(np.float32)
    values[:N, 1] = BLEMORE.state_is_blend[STATE]
    assert find_leaks(values, CLIPS, few(n)) == {"label": [1]}


@pytest.mark.parametrize("n", [8, 12, 22, 30, 39])
def test_of_few_clips_honest_features_are_not_found(n: int) -> None:
    stream = np.random.default_rng(n)
    shape = (len(CLIPS), 300)
    person = stream.integers(0, 2, (25, 300))[CLIPS.actor]
    drawn = [stream.random(shape) < share for share in (0.5, 0.25, 0.1)]
    drawn += [stream.poisson(2, shape), stream.integers(0, 6, shape), stream.normal(size=shape), person]
    assert find_leaks(np.concatenate(drawn, axis=1).astype(np.float32), CLIPS, few(n)) == {}
