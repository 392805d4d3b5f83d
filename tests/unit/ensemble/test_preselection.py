"""Of many candidates those worth calibrating are seen before, without the labels of the fold that is answered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.candidates import read_candidates
from rfe.ensemble.preselection import Preselection, preselect
from rfe.ensemble.selection import Selection
from rfe.progress import SilentProgress
from rfe.task import BLEMORE
from rfe.workspace import StudyFolder, open_workspace
from tests.integration.fakes import write_data
from tests.unit.ensemble.studies import (
    make_confirmation,
    make_trials,
    write_study,
)

N = 16
FEW = Selection(candidates=4, bags=3)
"""Chosen among the best four."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("preselection") / "data"))


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset) -> StudyFolder:
    """Trials whose outputs show the labels through more and more noise."""
    return make_study(tmp_path, dataset, [1.5 + 0.4 * number for number in range(N)])


def make_study(tmp_path: Path, dataset: Dataset, noise: list[float]) -> StudyFolder:
    trials = [replace(one, weights=None) for one in make_trials(dataset, noise, 0.3, 0.0)]
    return write_study(open_workspace(tmp_path).study("fusion-v1"), dataset, *trials)


def look(folder: StudyFolder, dataset: Dataset, how: Selection = FEW) -> Preselection:
    candidates = read_candidates(folder).candidates
    return preselect(candidates, candidates, dataset, how, lambda: None)


def test_few_candidates_are_all_calibrated(folder: StudyFolder, dataset: Dataset) -> None:
    for how in (Selection(), replace(FEW, decoding="official")):
        found = look(folder, dataset, how)
        assert set(found.places) == {*dataset.clips.folds, None}
        assert all(places.tolist() == list(range(N)) for places in found.places.values())


def test_the_best_are_kept_for_each_fold(
    folder: StudyFolder, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rfe.ensemble.preselection.MARGIN", 2)
    found = look(folder, dataset)
    assert set(found.places) == {*dataset.clips.folds, None}
    for places in found.places.values():
        assert len(places) == 8
        assert set(range(5)) <= set(places.tolist())


def test_a_folds_labels_have_no_part_in_its_preselection(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rfe.ensemble.preselection.MARGIN", 1)
    folder = make_study(tmp_path, dataset, [6.0] * N)  # alike, so that few labels decide which are the best
    before = look(folder, dataset)
    clips = dataset.clips
    state = clips.state.copy()
    own = np.flatnonzero(clips.fold[: clips.n_source] == 0)
    state[own] = (state[own] + 17) % BLEMORE.n_states
    after = look(folder, replace(dataset, clips=replace(clips, state=state)))
    assert after.places[0].tolist() == before.places[0].tolist()
    assert after.places[None].tolist() != before.places[None].tolist()


def test_the_ensemble_is_that_of_all_candidates(
    folder: StudyFolder, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(folder, dataset, make_confirmation(dataset, 0, (0.3, 0.32)), make_confirmation(dataset, 9, (0.3, 0.4)))
    whole = build_ensemble([folder], dataset, FEW, SilentProgress())
    monkeypatch.setattr("rfe.ensemble.preselection.MARGIN", 2)
    fast = build_ensemble([folder], dataset, FEW, SilentProgress())
    assert fast.to_dict() == whole.to_dict()


def test_lost_outputs_are_named_though_they_would_not_be_chosen(
    folder: StudyFolder, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rfe.ensemble.preselection.MARGIN", 2)
    (folder.trial(N - 1) / "outputs.npz").unlink()
    result = build_ensemble([folder], dataset, FEW, SilentProgress())
    assert result.n_candidates == N - 1
    assert [sentence.split(":")[0] for sentence in result.left_out] == [f"study 'fusion-v1', trial {N - 1}"]
