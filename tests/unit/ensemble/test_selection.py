"""Selection finds what belongs together; nested evaluation never looks at the fold it reports."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.config.load import change_config
from rfe.data.dataset import Dataset, load_dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import CalibratedCandidate, Truth, View, mix_states, set_probabilities, view_candidates
from rfe.ensemble.candidates import load_outputs, read_study
from rfe.ensemble.nested import Recalibration, choose_nested, nested_answers
from rfe.ensemble.selection import Selection, select_weights
from rfe.ensemble.stored import ensemble_names, read_ensemble, write_ensemble
from rfe.errors import StudyError
from rfe.labels import N_STATES, STATE_IS_BLEND
from rfe.progress import SilentProgress
from rfe.workspace import StudyFolder, Workspace, open_workspace
from tests.integration.fakes import write_data
from tests.unit.ensemble.studies import CONFIG, make_artifacts, make_outputs, make_trial, write_study

METHODS = ("greedy", "stacking", "top_k", "single")
N_CLIPS = 400


def made_up_view(seed: int = 0) -> tuple[View, np.ndarray]:
    """Candidates 0 and 1 are each right where the other is not; the others know nothing."""
    rng = np.random.default_rng(seed)
    blend = rng.random(N_CLIPS) < 0.5
    half = np.arange(N_CLIPS) % 2 == 0
    sets = np.full((8, N_CLIPS), 1 / 16) * rng.uniform(0.5, 1.5, (8, N_CLIPS))
    sets[0, half], sets[1, ~half] = 0.9, 0.9
    ratios = np.where(blend, rng.uniform(0.2, 0.45, (8, N_CLIPS)), 1.0)
    ratios[2] = np.where(blend, 0.9, 1.0)
    scores = np.array([0.5, 0.5, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1])
    return View(sets.astype(np.float32), ratios.astype(np.float32), scores), blend


@pytest.mark.parametrize("method", METHODS)
def test_weights_sum_to_one_and_are_of_considered_candidates(method: str) -> None:
    view, blend = made_up_view()
    how = Selection(method=method, members=5, candidates=4, bags=4)  # type: ignore[arg-type]
    weights = select_weights(view, np.ones(N_CLIPS, bool), blend, how)
    for part in (weights.sets, weights.ratios):
        assert part.sum() == pytest.approx(1)
        assert (part >= 0).all()
        assert not part[4:].any()


@pytest.mark.parametrize("method", ["greedy", "stacking"])
def test_a_planted_pair_is_found(method: str) -> None:
    view, blend = made_up_view()
    weights = select_weights(view, np.ones(N_CLIPS, bool), blend, Selection(method=method, bags=10))  # type: ignore[arg-type]
    assert weights.sets[[0, 1]].sum() > 0.5
    assert abs(weights.sets[0] - weights.sets[1]) < 0.2


def test_heads_weighted_apart_have_the_member_each_is_best_at() -> None:
    view, blend = made_up_view()
    weights = select_weights(view, np.ones(N_CLIPS, bool), blend, Selection(separate_heads=True, bags=10))
    assert weights.sets[[0, 1]].sum() > 0.5
    assert int(weights.ratios.argmax()) == 2


def test_more_steps_never_end_worse_on_what_is_selected_by() -> None:
    view, blend = made_up_view()
    few, many = (
        select_weights(view, np.ones(N_CLIPS, bool), blend, Selection(members=n, bags=1)).trajectory for n in (3, 30)
    )
    assert min(many) <= min(few)
    assert many[: len(few)] == few


def test_mixing_is_an_average_unless_the_heads_are_weighted_apart() -> None:
    rng = np.random.default_rng(0)
    states = [rng.dirichlet(np.ones(N_STATES), 5) for _ in range(3)]
    weights = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(
        mix_states(states, weights, weights), sum(w * s for w, s in zip(weights, states, strict=True))
    )
    apart = mix_states(states, weights, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(apart.sum(-1), 1)
    np.testing.assert_allclose(set_probabilities(apart), set_probabilities(mix_states(states, weights, weights)))
    ratios = apart[:, 6:].reshape(5, 10, 3)
    third = states[2][:, 6:].reshape(5, 10, 3)
    np.testing.assert_allclose(ratios / ratios.sum(-1, keepdims=True), third / third.sum(-1, keepdims=True))


def test_recalibration_undoes_what_flattened_a_distribution() -> None:
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.full(N_STATES, 0.2), 4000)
    truth = (true.cumsum(1) > rng.random((4000, 1))).argmax(1)
    flat = np.sqrt(true)
    flat /= flat.sum(1, keepdims=True)
    fitted = Recalibration.fit(flat, truth)
    assert fitted.slope == pytest.approx(2.0, abs=0.1)
    assert fitted.blend_bias == pytest.approx(0.0, abs=0.15)
    np.testing.assert_allclose(fitted.apply(flat).sum(-1), 1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("ensemble") / "data"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "w")


@pytest.fixture
def folder(workspace: Workspace, dataset: Dataset) -> StudyFolder:
    """Six trials whose outputs show the labels through more and more noise."""
    trials = []
    for number in range(6):
        config = change_config(CONFIG, {"train.seed": number})
        artifacts = make_artifacts(config, make_outputs(dataset, seed=number, noise=2.0 + number, first_seed=number))
        trials.append(make_trial(dataset, number, 0.5 - 0.05 * number, config, artifacts=artifacts))
    return write_study(workspace.study("fusion-v1"), dataset, *trials)


def calibrate(folder: StudyFolder, dataset: Dataset, truth: Truth) -> list[CalibratedCandidate]:
    candidates = read_study(folder).candidates
    return [CalibratedCandidate.of(one, load_outputs(one, dataset), truth) for one in candidates]


def test_what_is_chosen_without_a_fold_knows_nothing_of_its_labels(folder: StudyFolder, dataset: Dataset) -> None:
    truth, how = Truth.of(dataset), Selection(members=4, bags=3)
    state = truth.state.copy()
    own = truth.fold == 1
    state[own] = np.random.default_rng(0).permutation(state[own])
    changed = Truth(state, truth.fold)
    plain, other = (choose_nested(calibrate(folder, dataset, one), how, SilentProgress()) for one in (truth, changed))
    for before, after in zip(plain, other, strict=True):
        assert before.held_out == after.held_out
        if before.held_out == 1:
            np.testing.assert_array_equal(before.weights.sets, after.weights.sets)
            np.testing.assert_array_equal(before.answers, after.answers)
            assert (before.recalibration, before.best_single) == (after.recalibration, after.best_single)
    assert any(
        before.recalibration != after.recalibration
        for before, after in zip(plain, other, strict=True)
        if before.held_out != 1
    )
    assert (nested_answers(plain) >= 0).all()


def test_a_calibration_leaves_its_own_fold_out_too(folder: StudyFolder, dataset: Dataset) -> None:
    """A clip of fold 2, seen while fold 1 is held out, is described without the labels of both."""
    truth = Truth.of(dataset)
    state = truth.state.copy()
    both = (truth.fold == 1) | (truth.fold == 2)
    state[both] = np.random.default_rng(0).permutation(state[both])
    for before, after in zip(
        calibrate(folder, dataset, truth), calibrate(folder, dataset, Truth(state, truth.fold)), strict=True
    ):
        mine = truth.fold == 2
        np.testing.assert_array_equal(before.states(1)[mine], after.states(1)[mine])
        assert (before.states(None)[mine] != after.states(None)[mine]).any()


def test_views_rank_by_what_may_be_seen(folder: StudyFolder, dataset: Dataset) -> None:
    view = view_candidates(calibrate(folder, dataset, Truth.of(dataset)), 0)
    assert int(view.score.argmax()) == 0  # the least noise
    assert (view.ratio_likelihood[:, ~STATE_IS_BLEND[Truth.of(dataset).state]] == 1).all()


def test_an_ensemble_is_kept_and_read_back(folder: StudyFolder, dataset: Dataset, workspace: Workspace) -> None:
    how = Selection(members=4, bags=3)
    result = build_ensemble([folder], dataset, how, SilentProgress())
    assert result.n_candidates == 6
    assert result.nested["score"].estimate > 0.2  # an answer that never looks gets .04
    assert result.difference.paired
    assert set(result.by_fold) == {0, 1, 2}
    about = {"path": str(dataset.path), "encoders": None, "fingerprint": dataset.fingerprint}
    place = write_ensemble(workspace, "final", result, about)
    assert {path.name for path in place.iterdir()} == {"ensemble.json", "trajectory.csv"}
    stored = read_ensemble(workspace, "final")
    assert stored.ensemble == result.ensemble
    assert stored.recalibration == result.recalibration
    assert ensemble_names(workspace) == ("final",)
    assert len((place / "trajectory.csv").read_text().splitlines()) == 1 + len(result.trajectory)


def test_refusals_say_what_to_do(folder: StudyFolder, dataset: Dataset, workspace: Workspace) -> None:
    other = replace(dataset, fingerprint="another")
    with pytest.raises(StudyError, match="with fingerprint"):
        build_ensemble([folder], other, Selection(), SilentProgress())
    empty = write_study(workspace.study("empty"), dataset)
    with pytest.raises(StudyError, match="no finished trial with protocol crossfit"):
        build_ensemble([empty], dataset, Selection(), SilentProgress())
    result = build_ensemble([folder], dataset, Selection(members=2, bags=1), SilentProgress())
    with pytest.raises(StudyError, match="is a study's name"):
        write_ensemble(workspace, "fusion-v1", result, {})
    with pytest.raises(StudyError, match="unknown ensemble 'finl'"):
        read_ensemble(workspace, "finl")
    place = write_ensemble(workspace, "final", result, {})
    (folder.path / "journal.jsonl").write_text((empty.path / "journal.jsonl").read_text())
    with pytest.raises(StudyError, match="is not there any more"):
        read_ensemble(workspace, "final")
    (place / "ensemble.json").write_text("{")
    with pytest.raises(StudyError, match="damaged"):
        read_ensemble(workspace, "final")
