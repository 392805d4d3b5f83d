"""Thresholds that maximise the task's metric, whatever it is."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from rfe.decoding.decoupled import DecoupledDecoder
from rfe.decoding.metric_grid import fit_metric_grid
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.thresholds import ThresholdDecoder
from rfe.metrics.choice import METRICS, score_metric
from rfe.metrics.metric import totals_of
from rfe.task import BLEMORE, Task
from tests.tasks import HALF_ALONE, PLAIN
from tests.unit.decoding.outputs import draw_outputs, draw_truth

OTHER_METRICS = sorted(set(METRICS) - {"blemore"})
decoders = pytest.mark.parametrize("decoder", [OfficialDecoder, DecoupledDecoder])


def members(n_clips: int, n_folds: int = 3) -> np.ndarray:
    return np.arange(n_clips) % n_folds != np.arange(n_folds)[:, None]


@decoders
def test_of_blemores_score_it_finds_what_counting_finds(decoder: type[ThresholdDecoder]) -> None:
    truth = draw_truth(150)
    outputs, membership, one = draw_outputs(truth, (2,)), members(150), decoder(BLEMORE)
    by_counting = one.fit_folds(outputs, truth, membership)
    grids = one.blend_grid, one.even_grid
    tried = fit_metric_grid(METRICS["blemore"], BLEMORE, one.candidates(outputs), truth, membership, *grids)
    np.testing.assert_array_equal(tried[0], by_counting.blend)
    np.testing.assert_array_equal(tried[1], by_counting.even)


@decoders
@pytest.mark.parametrize("name", OTHER_METRICS)
@pytest.mark.parametrize("task", [BLEMORE, HALF_ALONE], ids=lambda task: task.name)
def test_the_grid_point_is_the_best_of_all_by_the_tasks_metric(
    task: Task, name: str, decoder: type[ThresholdDecoder]
) -> None:
    """Before, thresholds maximised BlEmoRE's score whatever the metric."""
    task = replace(task, metric=name)
    truth = draw_truth(90, task=task)
    outputs, membership, one = draw_outputs(truth, task=task), members(90), decoder(task)
    fitted = one.fit_folds(outputs, truth, membership)
    candidates = one.candidates(outputs)
    for fold, member in enumerate(membership):
        values = [
            value_of(task, truth[member], candidates.answer(blend, even)[member])
            for blend, even in product(one.blend_grid, one.even_grid)
        ]
        at = candidates.answer(fitted.blend[fold], fitted.even[fold])[member]
        assert value_of(task, truth[member], at) == pytest.approx(max(values), abs=1e-12)


@decoders
@pytest.mark.parametrize("name", OTHER_METRICS)
def test_exact_thresholds_are_at_least_as_good_as_the_grids(name: str, decoder: type[ThresholdDecoder]) -> None:
    task = replace(BLEMORE, metric=name)
    truth = draw_truth(90, task=task)
    outputs, membership = draw_outputs(truth, task=task), members(90)
    found = {}
    for thresholds in ("grid", "exact"):
        one = decoder(task, thresholds)
        fitted = one.fit_folds(outputs, truth, membership)
        found[thresholds] = [
            value_of(task, truth[member], one.candidates(outputs).answer(fitted.blend[fold], fitted.even[fold])[member])
            for fold, member in enumerate(membership)
        ]
    assert np.all(np.array(found["exact"]) >= found["grid"])
    assert found["exact"] != found["grid"]


def test_a_task_without_blends_has_thresholds_that_change_nothing() -> None:
    truth = draw_truth(40, task=PLAIN)
    outputs, one = draw_outputs(truth, task=PLAIN), OfficialDecoder(PLAIN, "exact")
    answers = one.decode(outputs, one.fit(outputs, truth))
    np.testing.assert_array_equal(answers, outputs.fused.argmax(-1))


def value_of(task: Task, truth: np.ndarray, answers: np.ndarray) -> float:
    metric = score_metric(task)
    return float(metric.value(totals_of(metric, task, truth, answers)))
