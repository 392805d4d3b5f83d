"""Scores of answers to a data set's clips: the labelled ones alone, by its own folds and actors."""

from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import load_dataset
from rfe.data.scores import answer_influence, answer_totals
from rfe.metrics.score import score
from tests.integration.fakes import write_data


def test_all_labelled_clips_count_and_no_others(tmp_path: Path) -> None:
    clips = load_dataset(write_data(tmp_path / "data")).clips
    assert len(clips) > clips.n_source
    truth = clips.state[: clips.n_source]
    rng = np.random.default_rng(0)
    right = rng.random((2, clips.n_source)) < 0.6
    predicted = np.where(right, truth, rng.integers(0, clips.task.n_states, right.shape))
    totals, influence = answer_totals(clips, predicted), answer_influence(clips, predicted)
    expected = score(clips.task, truth, predicted).score
    assert totals.pooled().score == pytest.approx(expected)
    assert influence.estimates["score"] == pytest.approx(expected)
    assert totals.n_folds == len(clips.folds)
    assert influence.influences["score"].shape == predicted.shape
    assert influence.actor.tolist() == clips.actor[: clips.n_source].tolist()
    none = answer_totals(clips, np.full(clips.n_source, -1))
    assert none.totals["acc_presence"][:, 1].sum() == clips.n_source
    assert none.pooled().score == 0
