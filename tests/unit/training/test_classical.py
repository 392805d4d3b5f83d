"""scikit-learn's models: probabilities of states, fitted without the labels of the fold they answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rfe.data.cache import FeatureCache
from rfe.data.dataset import load_dataset
from rfe.task import BLEMORE
from rfe.training.classical import StateModel, answer_classical, boosted, logistic
from tests.integration.fakes import write_data

MODELS: dict[str, Callable[[], StateModel]] = {
    "logistic": lambda: logistic(1.0),
    "boosted": lambda: boosted(0.2, 20),
}


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_the_states_find_what_the_features_say(name: str) -> None:
    rng = np.random.default_rng(0)
    state = np.repeat(np.arange(BLEMORE.n_states), 30)
    features = (np.eye(BLEMORE.n_states)[state] + 0.1 * rng.standard_normal((len(state), BLEMORE.n_states))).astype(
        np.float32
    )
    unseen = (np.eye(BLEMORE.n_states) + 0.1 * rng.standard_normal((BLEMORE.n_states, BLEMORE.n_states))).astype(
        np.float32
    )
    probabilities = MODELS[name]()(BLEMORE, features, state, unseen)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    answered = probabilities.argmax(1)
    assert (BLEMORE.state_set[answered] == BLEMORE.state_set[np.arange(BLEMORE.n_states)]).mean() > 0.9
    assert (answered == np.arange(BLEMORE.n_states))[BLEMORE.state_is_blend].mean() > 0.5  # by chance a third


def test_states_that_training_lacks_get_no_probability() -> None:
    rng = np.random.default_rng(0)
    state = np.repeat([0, 1, 6, 7], 15)
    features = rng.standard_normal((len(state), 3)).astype(np.float32)
    for make in MODELS.values():
        probabilities = make()(BLEMORE, features, state, features)
        lacking = ~np.isin(BLEMORE.state_set[np.arange(BLEMORE.n_states)], BLEMORE.state_set[state])
        assert probabilities[:, lacking].max() == 0


@pytest.mark.parametrize("name", MODELS)
def test_blends_of_one_ratio_are_answered(name: str) -> None:
    """Boosting ended in an internal error (ValueError: shape mismatch)."""
    rng = np.random.default_rng(0)
    state = np.repeat([0, 1, 7, 10], 15)  # two singles, two pairs at 50/50
    features = rng.standard_normal((len(state), 3)).astype(np.float32)
    probabilities = MODELS[name]()(BLEMORE, features, state, features)
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
