"""Boosted trees as arrays: that they say what scikit-learn's say, also of missing encoders and absent sets."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from rfe.model.boosting import Boosting
from rfe.model.fitted import FLOOR, PoolFeatures, TrainingClips
from rfe.model.random import stream
from rfe.task import BLEMORE

MODEL = Boosting(("face", "voice"), iterations=8, features=0.5, min_clips=3)
DIMS = {"face": 6, "voice": 9}


def make_clips(states: list[int], n: int = 160, seed: int = 0) -> TrainingClips:
    rng = np.random.default_rng(seed)
    state = rng.choice(states, n)
    soft = BLEMORE.state_salience[state]
    values = {
        name: (soft @ rng.normal(size=(6, dim)) + 0.3 * rng.normal(size=(n, dim))).astype(np.float32)
        for name, dim in DIMS.items()
    }
    available = {"face": np.ones(n, bool), "voice": np.arange(n) % 4 != 0}
    values["voice"][~available["voice"]] = 0.0
    weight = rng.uniform(0.5, 1.5, n).astype(np.float32)
    return TrainingClips(PoolFeatures(values, available), BLEMORE, state, weight, seed=7, fold=1)


@pytest.mark.parametrize("states", [list(range(36)), [0, 1], [0, 1, 8]], ids=["every state", "two sets", "three sets"])
def test_the_trees_say_what_scikit_learns_say(states: list[int]) -> None:
    clips, unseen = make_clips(states), make_clips(states, seed=1).features
    (fit,) = Boosting.fit([MODEL], clips)
    MODEL.check(fit.weights, DIMS, BLEMORE)
    (found,) = Boosting.predict([MODEL], [fit.weights], unseen, BLEMORE)

    def columns(features: PoolFeatures) -> np.ndarray:
        voice = np.where(features.available["voice"][:, None], features.values["voice"], np.nan)
        return np.concatenate([features.values["face"], voice], 1)

    options = {"max_iter": 8, "max_leaf_nodes": 8, "min_samples_leaf": 3, "l2_regularization": 1.0}
    options |= {"learning_rate": 0.1, "max_features": 0.5, "early_stopping": False}
    seeds = stream(7, 1, "boosting").integers(2**31, size=7).tolist()
    sets = BLEMORE.state_set[clips.state]
    theirs = HistGradientBoostingClassifier(**options, random_state=seeds[0])
    theirs.fit(columns(clips.features), sets, sample_weight=clips.weight)
    expected = np.zeros((len(unseen), BLEMORE.n_sets))
    expected[:, theirs.classes_] = theirs.predict_proba(columns(unseen))
    np.testing.assert_allclose(np.exp(found.presence_logits), np.maximum(expected, FLOOR), atol=1e-5)
    salience = BLEMORE.state_salience[clips.state][:, 1]
    regression = HistGradientBoostingRegressor(**options, random_state=seeds[2])
    regression.fit(columns(clips.features), salience, sample_weight=clips.weight)
    predicted = np.maximum(regression.predict(columns(unseen)), FLOOR)
    np.testing.assert_allclose(np.exp(found.salience_logits[:, 1]), predicted, atol=1e-5)
    own = theirs.predict_proba(columns(clips.features))[np.arange(len(sets)), np.searchsorted(theirs.classes_, sets)]
    assert fit.loss == pytest.approx(np.average(-np.log(own), weights=clips.weight), rel=1e-4)


def test_one_set_alone_is_answered() -> None:
    clips = make_clips([3])
    (fit,) = Boosting.fit([MODEL], clips)
    (found,) = Boosting.predict([MODEL], [fit.weights], clips.features, BLEMORE)
    assert (found.presence_logits.argmax(1) == 3).all()
    assert (found.salience_logits.argmax(1) == 3).all()


def test_the_seed_draws_the_features_of_a_split() -> None:
    clips = make_clips(list(range(36)))
    first, again, other = (
        Boosting.fit([MODEL], one)[0].weights["value"] for one in (clips, clips, replace(clips, seed=8))
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
    assert MODEL.is_random(160)
    assert not replace(MODEL, features=1.0).is_random(160)


def test_arrays_of_a_file_are_checked() -> None:
    weights = Boosting.fit([MODEL], make_clips(list(range(36))))[0].weights
    for changes, message in (
        ({"baseline": weights["baseline"][:-1]}, "baseline has the shape"),
        ({"left": weights["left"][:, :-1]}, "left has the shape"),
        ({"feature": weights["feature"] + 15}, "feature goes beyond the 15 that there are"),
        ({"right": weights["right"] + 99}, "right goes beyond"),
        ({"output": weights["output"] - 1}, "output goes beyond"),
        ({"left": np.zeros_like(weights["left"])}, "left leads back to an earlier node"),
    ):
        with pytest.raises(ValueError, match=message):
            MODEL.check(weights | changes, DIMS, BLEMORE)
    del weights["threshold"]
    with pytest.raises(ValueError, match="threshold is missing"):
        MODEL.check(weights, DIMS, BLEMORE)


def test_clips_that_weigh_alike_are_binned_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn 1.9 takes a hundred times longer with weights, where a column has more than 255 values."""
    clips = make_clips(list(range(36)), n=300)
    alike = replace(clips, weight=np.ones(300, np.float32))
    given: list[object] = []
    for kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):

        def fit(self: object, x: object, y: object, sample_weight: object = None, fit=kind.fit) -> object:  # type: ignore[no-untyped-def]
            given.append(sample_weight)
            return fit(self, x, y)

        monkeypatch.setattr(kind, "fit", fit)
    (without,) = Boosting.fit([replace(MODEL, iterations=2)], alike)
    assert given == [None] * 7
    assert np.isfinite(without.loss)
    given.clear()
    Boosting.fit([replace(MODEL, iterations=2)], clips)
    assert all(one is clips.weight for one in given)
