"""Selection finds what belongs together; nested evaluation never looks at the fold it reports."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rfe.config.load import change_config
from rfe.data.dataset import Dataset, load_dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import CalibratedCandidate, FoldView, Truth, view_candidates
from rfe.ensemble.candidates import load_outputs, read_candidates
from rfe.ensemble.nested import choose_nested, nested_answers, nested_states
from rfe.ensemble.prediction import AveragedDecoder, decoder_from_dict, fit_decoder
from rfe.ensemble.selection import Selection, first_step, select_weights
from rfe.ensemble.stored import check_name, ensemble_names, read_ensemble, read_nested, write_ensemble
from rfe.errors import ConfigError, StudyError
from rfe.progress import SilentProgress
from rfe.task import BLEMORE
from rfe.workspace import StudyFolder, Workspace
from tests.integration.fakes import write_data
from tests.unit.ensemble.studies import (
    CONFIG,
    make_artifacts,
    make_confirmation,
    make_outputs,
    make_trial,
    make_trials,
    write_study,
)

METHODS = ("greedy", "nnls", "likelihood", "top_k", "single")
N_CLIPS = 400


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 2**64}, {"seed": 0.5}, {"bags": 0}, {"members": True}])
def test_numbers_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    """A negative seed of a notebook ended in NumPy's error."""
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"ensemble: {name}: .* is not a whole number from"):
        Selection(**wrong)


def made_up_view(seed: int = 0) -> tuple[FoldView, np.ndarray]:
    """Candidates 0 and 1 each know the sets of one half of the clips, 2 knows the ratios; the others know nothing."""
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(N_CLIPS) < 0.5, rng.integers(0, 6, N_CLIPS), rng.integers(6, BLEMORE.n_states, N_CLIPS))
    blend, clip = BLEMORE.state_is_blend[truth], np.arange(N_CLIPS)
    half = clip % 2 == 0
    of_set = np.full((8, N_CLIPS), 1 / 16) * rng.uniform(0.5, 1.5, (8, N_CLIPS))
    of_set[0, half], of_set[1, ~half] = 0.9, 0.9
    of_ratio = np.where(blend, rng.uniform(0.2, 0.45, (8, N_CLIPS)), 1.0)
    of_ratio[2] = np.where(blend, 0.9, 1.0)
    sets = np.repeat((1 - of_set)[..., None] / 15, 16, 2)
    sets[:, clip, BLEMORE.state_set[truth]] = of_set
    ratios = np.full((8, N_CLIPS, 10, 3), 1 / 3)
    pair, ratio = np.divmod(truth[blend] - BLEMORE.n_classes, 3)
    ratios[:, blend, pair] = ((1 - of_ratio[:, blend]) / 2)[..., None]
    ratios[:, blend, pair, ratio] = of_ratio[:, blend]
    blends = (sets[..., 6:, None] * ratios).reshape(8, N_CLIPS, 30)
    states = np.concatenate([sets[..., :6], blends], -1).astype(np.float32)
    scores = np.array([0.5, 0.5, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1])
    view = FoldView(of_set.astype(np.float32), of_ratio.astype(np.float32), scores, lambda index: states[index])
    return view, truth


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_weights_sum_to_one_and_are_of_considered_candidates(method: str, apart: bool) -> None:
    view, truth = made_up_view()
    how = Selection(method=method, members=5, candidates=4, bags=4, separate_heads=apart)  # type: ignore[arg-type]
    weights = select_weights(BLEMORE, view, np.ones(N_CLIPS, bool), truth, how)
    for part in (weights.sets, weights.ratios):
        assert part.sum() == pytest.approx(1)
        assert (part >= 0).all()
        assert not part[4:].any()


@pytest.mark.parametrize("method", ["greedy", "nnls", "likelihood"])
def test_a_planted_pair_is_found(method: str) -> None:
    view, truth = made_up_view()
    weights = select_weights(BLEMORE, view, np.ones(N_CLIPS, bool), truth, Selection(method=method, bags=10))  # type: ignore[arg-type]
    assert weights.sets[[0, 1]].sum() > 0.5
    assert abs(weights.sets[0] - weights.sets[1]) < 0.2


@pytest.mark.parametrize("method", ["greedy", "nnls", "likelihood"])
def test_heads_weighted_apart_have_the_member_each_is_best_at(method: str) -> None:
    view, truth = made_up_view()
    how = Selection(method=method, separate_heads=True, bags=10)  # type: ignore[arg-type]
    weights = select_weights(BLEMORE, view, np.ones(N_CLIPS, bool), truth, how)
    assert weights.sets[[0, 1]].sum() > 0.5
    assert int(weights.ratios.argmax()) == 2


def test_more_steps_never_end_worse_on_what_is_selected_by() -> None:
    view, truth = made_up_view()
    few, many = (
        select_weights(BLEMORE, view, np.ones(N_CLIPS, bool), truth, Selection(members=n, bags=1)).trajectory
        for n in (3, 30)
    )
    assert min(many) <= min(few)
    assert many[: len(few)] == few


def test_a_trajectory_begins_with_as_many_models_as_there_are() -> None:
    assert [first_step(Selection(), n) for n in (3, 8, 60)] == [3, 5, 5]
    assert first_step(Selection(start=15), 20) == 10  # of half of the candidates


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("ensemble") / "data"))


@pytest.fixture
def folder(workspace: Workspace, dataset: Dataset) -> StudyFolder:
    """Six trials whose outputs show the labels through more and more noise."""
    return write_study(workspace.study("fusion-v1"), dataset, *make_trials(dataset, range(2, 8)))


def test_trials_whose_outputs_are_lost_are_left_out_and_said(folder: StudyFolder, dataset: Dataset) -> None:
    """One of them ended the whole ensemble."""
    (folder.trial(1) / "outputs.npz").unlink()
    content = (folder.trial(3) / "outputs.npz").read_bytes()
    (folder.trial(3) / "outputs.npz").write_bytes(content[:200])
    notes: list[str] = []

    class Noted(SilentProgress):
        def note(self, line: str) -> None:
            notes.append(line)

    result = build_ensemble([folder], dataset, Selection(), Noted())
    assert result.n_candidates == 4
    assert not {1, 3} & {one.candidate.number for one in result.ensemble.members}
    assert [note.split(":")[0] for note in notes] == ["study 'fusion-v1', trial 1", "study 'fusion-v1', trial 3"]
    assert all("`rfe studies pull fusion-v1`" in note and note.endswith("the trial is left out") for note in notes)
    assert len(result.to_dict()["left_out"]) == 2
    for number in (0, 2, 4, 5):
        (folder.trial(number) / "outputs.npz").unlink()
    with pytest.raises(StudyError, match=r"trial 0: its outputs.npz was not kept"):
        build_ensemble([folder], dataset, Selection(), SilentProgress())


def test_a_confirmed_trial_needs_both_its_outputs(folder: StudyFolder, dataset: Dataset) -> None:
    write_study(folder, dataset, make_confirmation(dataset, 0, (0.3, 0.32)), make_confirmation(dataset, 2, (0.3, 0.4)))
    (folder.trial(0) / "confirmed" / "outputs.npz").unlink()
    (folder.trial(2) / "outputs.npz").unlink()
    result = build_ensemble([folder], dataset, Selection(), SilentProgress())
    assert result.n_candidates == 4
    assert len(result.left_out) == 2


def calibrate(folder: StudyFolder, dataset: Dataset, truth: Truth) -> list[CalibratedCandidate]:
    candidates = read_candidates(folder).candidates
    return [CalibratedCandidate.of(one, load_outputs(one, dataset), truth) for one in candidates]


WAYS = [
    *(Selection(method=method, members=4, bags=3) for method in METHODS),  # type: ignore[arg-type]
    *(Selection(method=method, members=4, bags=3, separate_heads=True) for method in ("greedy", "nnls")),  # type: ignore[arg-type]
    Selection(members=4, bags=3, decoding="official"),
]


@pytest.mark.parametrize("how", WAYS, ids=lambda how: f"{how.method}-{how.separate_heads}-{how.decoding}")
def test_what_is_chosen_without_a_fold_knows_nothing_of_its_labels(
    how: Selection, folder: StudyFolder, dataset: Dataset
) -> None:
    truth = Truth.of(dataset)
    state = truth.state.copy()
    own = truth.fold == 1
    state[own] = np.random.default_rng(0).permutation(state[own])
    changed = Truth(BLEMORE, state, truth.fold)
    plain, other = (choose_nested(calibrate(folder, dataset, one), how, SilentProgress()) for one in (truth, changed))
    for before, after in zip(plain, other, strict=True):
        assert before.held_out == after.held_out
        if before.held_out == 1:
            np.testing.assert_array_equal(before.weights.sets, after.weights.sets)
            np.testing.assert_array_equal(before.weights.ratios, after.weights.ratios)
            np.testing.assert_array_equal(before.answers, after.answers)
            np.testing.assert_array_equal(before.single_answers, after.single_answers)
            assert (before.decoding, before.best_single) == (after.decoding, after.best_single)
    assert any(
        before.decoding != after.decoding for before, after in zip(plain, other, strict=True) if before.held_out != 1
    )
    assert (nested_answers(plain) >= 0).all()
    states = nested_states(plain)
    assert (states is None) == (how.decoding == "official")
    if states is not None:
        np.testing.assert_allclose(states.sum(-1), 1, atol=1e-4)


def test_which_trials_were_confirmed_changes_the_ensemble_and_not_its_estimate(
    workspace: Workspace, dataset: Dataset
) -> None:
    """The trials to train again were chosen by all folds' labels."""
    trials = []
    for number in range(4):
        config = change_config(CONFIG, {"train.seed": number})
        artifacts = make_artifacts(config, make_outputs(dataset, seed=number, noise=3.0 + number, first_seed=number))
        trials.append(make_trial(dataset, number, 0.5 - 0.05 * number, config, artifacts=artifacts))
    plain = write_study(workspace.study("plain"), dataset, *trials)
    confirmed = write_study(workspace.study("confirmed"), dataset, *trials, make_confirmation(dataset, 3, (0.6, 0.7)))
    how = Selection(members=4, bags=3)
    before, after = (build_ensemble([one], dataset, how, SilentProgress()) for one in (plain, confirmed))
    np.testing.assert_array_equal(before.answers, after.answers)
    assert before.nested["score"] == after.nested["score"]
    assert before.single == after.single
    of_search = [one.candidate.config.train.seeds for members in after.by_fold.values() for one in members]
    assert set(of_search) == {1}
    handed_in = {one.candidate.number: one.candidate.config.train.seeds for one in after.ensemble.members}
    assert handed_in[3] == 2
    assert before.in_sample < after.in_sample


def test_a_calibration_leaves_its_own_fold_out_too(folder: StudyFolder, dataset: Dataset) -> None:
    """A clip of fold 2, seen while fold 1 is held out, is described without the labels of both."""
    truth = Truth.of(dataset)
    state = truth.state.copy()
    both = (truth.fold == 1) | (truth.fold == 2)
    state[both] = np.random.default_rng(0).permutation(state[both])
    for before, after in zip(
        calibrate(folder, dataset, truth), calibrate(folder, dataset, Truth(BLEMORE, state, truth.fold)), strict=True
    ):
        mine = truth.fold == 2
        np.testing.assert_array_equal(before.states(1)[mine], after.states(1)[mine])
        assert (before.states(None)[mine] != after.states(None)[mine]).any()


def test_views_rank_by_what_may_be_seen(folder: StudyFolder, dataset: Dataset) -> None:
    view = view_candidates(calibrate(folder, dataset, Truth.of(dataset)), 0)
    assert int(view.score.argmax()) == 0  # the least noise
    assert (view.ratio_likelihood[:, ~BLEMORE.state_is_blend[Truth.of(dataset).state]] == 1).all()


def test_an_ensemble_is_kept_and_read_back(folder: StudyFolder, dataset: Dataset, workspace: Workspace) -> None:
    how = Selection(members=4, bags=3)
    result = build_ensemble([folder], dataset, how, SilentProgress())
    assert result.n_candidates == 6
    assert result.nested["score"].estimate > 0.2  # an answer that never looks gets .04
    assert result.difference.paired
    assert set(result.by_fold) == {0, 1, 2}
    about = {"path": str(dataset.path), "encoders": None, "fingerprint": dataset.fingerprint}
    place = write_ensemble(workspace, "final", result, about)
    assert {path.name for path in place.iterdir()} == {"ensemble.json", "nested.npz", "trajectory.csv"}
    stored = read_ensemble(workspace, "final")
    assert repr(stored.ensemble) == repr(result.ensemble)  # nan is not equal to itself
    assert stored.about["decoding"] == result.decoding
    nested = read_nested(stored)
    np.testing.assert_array_equal(nested.answers, result.answers)
    np.testing.assert_array_equal(nested.filename, dataset.clips.filename[: dataset.clips.n_source])
    assert nested.states is not None
    np.testing.assert_allclose(nested.states.sum(-1), 1, atol=0.01)
    assert ensemble_names(workspace) == ("final",)
    path = place / "ensemble.json"  # as earlier versions wrote it
    former = {"score_in_sample": "score_optimistic", '"low"': '"lower_95"', '"high"': '"upper_95"'}
    for now, then in former.items():
        assert now in path.read_text()
        path.write_text(path.read_text().replace(now, then))
    assert read_ensemble(workspace, "final").about["scores"] == stored.about["scores"]
    assert len((place / "trajectory.csv").read_text().splitlines()) == 1 + len(result.trajectory)


def test_averaged_probabilities_are_decoded_by_official_thresholds(folder: StudyFolder, dataset: Dataset) -> None:
    how = Selection(method="top_k", members=3, decoding="official")
    result = build_ensemble([folder], dataset, how, SilentProgress())
    assert set(result.decoding) == {"alpha", "beta"}
    assert result.states is None
    assert result.nested["score"].estimate > 0.2
    members = result.ensemble.members
    outputs = [load_outputs(one.candidate, dataset) for one in members]
    decoder = fit_decoder(members, outputs, Truth.of(dataset), "official")
    assert isinstance(decoder, AveragedDecoder)
    targets = [one.target for one in outputs]
    decoded = decoder.decode(targets)
    mean = np.mean([one.fused.mean((0, 1)) for one in targets], 0)
    np.testing.assert_allclose(decoded.probabilities, mean, rtol=1e-5)
    np.testing.assert_array_equal(decoder_from_dict(BLEMORE, decoder.to_dict()).decode(targets).state, decoded.state)
    assert (decoded.state >= 0).all()
    with pytest.raises(ConfigError, match="no separate heads"):
        Selection(separate_heads=True, decoding="official")


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
    with pytest.raises(StudyError, match=r"--name final: is an ensemble of fusion-v1, not of fusion-v1, more"):
        check_name(workspace, "final", ["fusion-v1", "more"])
    (folder.path / "journal.jsonl").write_text((empty.path / "journal.jsonl").read_text())
    with pytest.raises(StudyError, match="is not there any more"):
        read_ensemble(workspace, "final")
    (place / "ensemble.json").write_text("{")
    with pytest.raises(StudyError, match="damaged"):
        read_ensemble(workspace, "final")
