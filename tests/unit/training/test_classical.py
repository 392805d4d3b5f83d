"""scikit-learn's models: probabilities of states, fitted without the labels of the fold they answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rfe.data.cache import FeatureCache
from rfe.data.dataset import load_dataset
from rfe.labels import N_STATES, STATE_IS_BLEND, STATE_SET
from rfe.training.classical import StateModel, answer_classical, boosted, logistic
from tests.integration.fakes import write_data

MODELS: dict[str, Callable[[], StateModel]] = {
    "logistic": lambda: logistic(1.0),
    "boosted": lambda: boosted(0.2, 20),
}


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_the_states_find_what_the_features_say(name: str) -> None:
    rng = np.random.default_rng(0)
    state = np.repeat(np.arange(N_STATES), 30)
    features = (np.eye(N_STATES)[state] + 0.1 * rng.standard_normal((len(state), N_STATES))).astype(np.float32)
    unseen = (np.eye(N_STATES) + 0.1 * rng.standard_normal((N_STATES, N_STATES))).astype(np.float32)
    probabilities = MODELS[name]()(features, state, unseen)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    answered = probabilities.argmax(1)
    assert (STATE_SET[answered] == STATE_SET[np.arange(N_STATES)]).mean() > 0.9
    assert (answered == np.arange(N_STATES))[STATE_IS_BLEND].mean() > 0.5  # by chance a third


def test_states_that_training_lacks_get_no_probability() -> None:
    rng = np.random.default_rng(0)
    state = np.repeat([0, 1, 6, 7], 15)
    features = rng.standard_normal((len(state), 3)).astype(np.float32)
    for make in MODELS.values():
        probabilities = make()(features, state, features)
        lacking = ~np.isin(STATE_SET[np.arange(N_STATES)], STATE_SET[state])
        assert probabilities[:, lacking].max() == 0


@pytest.mark.parametrize("name", MODELS)
def test_blends_of_one_ratio_are_answered(name: str) -> None:
    """Boosting ended in an internal error (ValueError: shape mismatch)."""
    rng = np.random.default_rng(0)
    state = np.repeat([0, 1, 7, 10], 15)  # two singles, two pairs at 50/50
    features = rng.standard_normal((len(state), 3)).astype(np.float32)
    probabilities = MODELS[name]()(features, state, features)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(probabilities[:, [6, 8, 9, 11]], 0, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_labels_of_a_fold_cannot_change_its_answers(name: str, tmp_path: Path) -> None:
    dataset = load_dataset(write_data(tmp_path / "data"))
    cache = FeatureCache(dataset, tmp_path / "cache")

    def answers() -> np.ndarray:
        return answer_classical(
            dataset,
            cache,
            dict.fromkeys(dataset.clips.folds, tuple(dataset.encoders)),
            MODELS[name](),
            standardize="actor",
            target_actors="known",
            reduce=None,
        )

    before = answers()
    own = dataset.clips.fold == 1
    dataset.clips.state.setflags(write=True)
    dataset.clips.state[own] = np.random.default_rng(1).permutation(dataset.clips.state[own])
    after = answers()
    own = own[: dataset.clips.n_source]
    np.testing.assert_array_equal(before[own], after[own])
    assert (before[~own] != after[~own]).any()
