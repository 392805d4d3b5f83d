"""How much a search gained, on scores whose distribution is known."""

from statistics import NormalDist

import numpy as np
import pytest

from rfe.study.gain import FEWEST, expected_best, search_gain


@pytest.mark.parametrize(("k", "n"), [(7, 24), (10, 100), (200, 400)])
def test_the_best_of_many_is_estimated_from_few(k: int, n: int) -> None:
    rng = np.random.default_rng(5)
    best = rng.standard_normal((4000, n)).max(1).mean()
    found = [expected_best(rng.standard_normal(k), n) for _ in range(1500)]
    assert np.mean(found) == pytest.approx(best, abs=0.06)


def test_bad_configurations_do_not_raise_the_estimate() -> None:
    scores = NormalDist(0.28, 0.01).samples(20, seed=1)
    with_failures = sorted(scores)[10:] + [0.05] * 10
    assert expected_best(with_failures, 100) == pytest.approx(expected_best(scores, 100))


def test_the_interval_holds_what_random_search_finds() -> None:
    rng, held = np.random.default_rng(6), []
    best = rng.standard_normal((4000, 60)).max(1).mean()
    for _ in range(200):
        drawn = 10 + rng.standard_normal(10)
        scores = {number: float(one) for number, one in enumerate([*drawn, *[9.0] * 50])}
        gain = search_gain(scores, dict.fromkeys(range(10), "random"))
        assert gain is not None
        assert gain.random is not None
        held.append(gain.random.low <= 10 + best <= gain.random.high)
    assert 0.9 <= np.mean(held) <= 0.99


def test_what_was_searched_is_told_apart() -> None:
    scores = {0: 0.25, 1: 0.27, **{n: 0.24 + 0.001 * n for n in range(2, 10)}, 10: 0.31, 11: 0.30}
    gain = search_gain(scores, {0: "first", 1: "first", **dict.fromkeys(range(2, 10), "random"), 10: "sampler"})
    assert gain is not None
    assert (gain.best, gain.number, gain.first, gain.n_random, gain.trials) == (0.31, 10, 0.27, 8, 12)
    assert gain.random is not None
    assert 0.249 < gain.random.value < 0.31
    first, of_first, of_random, more = gain.sentences()
    assert first == "best of 12 trials: 0.310 (trial 10)"
    assert of_first == "best first trial: 0.270; the search gained 0.040"
    assert of_random.startswith(f"12 random trials: about {gain.random}, estimated from the 8 random ones")
    assert more.startswith("12 more trials: about +0.0")


def test_a_search_that_found_nothing_better_says_so() -> None:
    flat = {n: 0.2 + 0.0001 * (n % 7) for n in range(1, 40)}
    gain = search_gain({0: 0.3} | flat, {0: "first"} | dict.fromkeys(range(1, 40), "random"))
    assert gain is not None
    said = gain.sentences()
    assert said[1] == "best first trial: 0.300; the search found nothing better"
    assert said[-1].endswith("so more trials are not worth it")


def test_too_few_trials_are_no_estimate() -> None:
    assert search_gain({0: 0.3}, {0: "random"}) is None
    gain = search_gain(dict.fromkeys(range(FEWEST), 0.3), dict.fromkeys(range(FEWEST - 1), "random"))
    assert gain is not None
    assert gain.random is None
    assert gain.more is None
    everything = search_gain({n: 0.3 + 0.01 * n for n in range(20)}, dict.fromkeys(range(20), "random"))
    assert everything is not None
    assert everything.random is None  # the search itself is that
