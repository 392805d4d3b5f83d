"""The organisers' decoding, scores and grid search, value by value.

`official_decoding_cases.json` holds recorded outputs of the organisers' published code (20 x 20 grid, linspace .05 to
.95): softmax outputs of several sharpness, near-truth, exact ties, and a full fold of 522 clips.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe.decoding.base import Outputs
from rfe.decoding.grid import grid_scores
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.thresholds import ThresholdParameters
from rfe.metrics.score import score
from rfe.task import BLEMORE

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("official_decoding_cases.json").read_text())["cases"]
every_case = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def read_truth(case: dict[str, Any]) -> np.ndarray:
    """True states; the recorded cases name their clips by the official scheme, `A72_mix_ang_fea_50_50_ver1`."""
    states = []
    for name in case["filenames"]:
        parts = name.split("_")
        if parts[1] == "mix":
            states.append(BLEMORE.state_index({parts[2]: float(parts[4]), parts[3]: float(parts[5])}))
        else:
            states.append(BLEMORE.classes.index(parts[1]))
    return np.array(states)


def read_outputs(case: dict[str, Any]) -> Outputs:
    return Outputs.of_probabilities(np.array(case["probabilities"]))


def at_point(point: dict[str, Any]) -> ThresholdParameters:
    return ThresholdParameters(np.asarray(point["alpha"]), np.asarray(point["beta"]))


@every_case
def test_predictions_and_scores_at_given_thresholds(case: dict[str, Any]) -> None:
    truth, outputs = read_truth(case), read_outputs(case)
    for point in case["points"]:
        predicted = OfficialDecoder(BLEMORE).decode(outputs, at_point(point))
        scores = score(BLEMORE, truth, predicted)
        assert scores.acc_presence == point["acc_presence"]
        assert scores.acc_salience == point["acc_salience"]
        if point["predictions"] is not None:
            assert predicted.tolist() == [BLEMORE.state_index(answer) for answer in point["predictions"]]


@every_case
def test_grid_search_makes_the_same_choice(case: dict[str, Any]) -> None:
    truth, outputs, recorded = read_truth(case), read_outputs(case), case["grid_search"]
    decoder = OfficialDecoder(BLEMORE, "grid")
    fitted = decoder.fit(outputs, truth)
    assert (float(fitted.blend), float(fitted.even)) == (recorded["alpha"], recorded["beta"])
    scores = score(BLEMORE, truth, decoder.decode(outputs, fitted))
    assert (scores.acc_presence, scores.acc_salience) == (recorded["acc_presence"], recorded["acc_salience"])


@every_case
def test_grid_holds_the_best_presence_and_the_best_salience(case: dict[str, Any]) -> None:
    truth, outputs, recorded = read_truth(case), read_outputs(case), case["grid_search"]
    grid = np.linspace(0.05, 0.95, 20)
    points = [ThresholdParameters(np.asarray(alpha), np.asarray(beta)) for alpha in grid for beta in grid]
    scores = [score(BLEMORE, truth, OfficialDecoder(BLEMORE).decode(outputs, point)) for point in points]
    assert max(one.acc_presence for one in scores) == recorded["presence_only"]
    assert max(one.acc_salience for one in scores) == recorded["salience_only"]
    candidates = OfficialDecoder(BLEMORE).candidates(outputs.flat())
    everyone = np.ones((1, len(truth)), np.bool_)
    table = grid_scores(candidates.hits(truth), candidates.strength, candidates.unevenness, everyone, grid, grid)
    np.testing.assert_allclose(table.ravel(), [one.score for one in scores], atol=1e-12)


@every_case
def test_exact_optimum_is_never_below_the_grid(case: dict[str, Any]) -> None:
    truth, outputs = read_truth(case), read_outputs(case)
    reached = {}
    for thresholds in ("grid", "exact"):
        decoder = OfficialDecoder(BLEMORE, thresholds)
        reached[thresholds] = score(BLEMORE, truth, decoder.decode(outputs, decoder.fit(outputs, truth))).score
    assert reached["exact"] >= reached["grid"]


def test_the_cases_exercise_blends_and_ties() -> None:
    assert len(CASES) == 6
    assert all(BLEMORE.state_is_blend[read_truth(case)].any() for case in CASES)
    tied = np.array(next(case for case in CASES if case["name"] == "ties")["probabilities"])
    top = np.sort(tied, -1)
    assert (top[:, -1] == top[:, -2]).any()
