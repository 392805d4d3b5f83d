"""An ensemble that answers all clips of an actor together knows no label of the fold that it answers."""

from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.decoding.design import match_design, mean_design
from rfe.decoding.valid_states import answer_states
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import CalibratedCandidate, Truth
from rfe.ensemble.candidates import load_outputs, read_candidates
from rfe.ensemble.nested import choose_nested, nested_answers, nested_states
from rfe.ensemble.prediction import EnsembleDecoder, MatchedDecoder, decoder_from_dict, fit_decoder
from rfe.ensemble.selection import Selection, find_decoding
from rfe.errors import ConfigError
from rfe.progress import SilentProgress
from rfe.task import BLEMORE
from rfe.workspace import StudyFolder, Workspace
from tests.unit.data.folders import make_folder
from tests.unit.data.test_design import draw_labels
from tests.unit.ensemble.studies import make_trials, write_study

HOW = Selection(members=4, bags=3, decoding="design")


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset) -> StudyFolder:
    return make_study(tmp_path, dataset, "study")


def make_study(place: Path, dataset: Dataset, name: str, **changes: object) -> StudyFolder:
    trials = make_trials(dataset, [4.0] * 3, **changes)
    return write_study(Workspace(place, "sqlite:///none.db", place / "cache").study(name), dataset, *trials)


def calibrate(folder: StudyFolder, dataset: Dataset, truth: Truth) -> list[CalibratedCandidate]:
    return [
        CalibratedCandidate.of(one, load_outputs(one, dataset), truth) for one in read_candidates(folder).candidates
    ]


def test_no_label_of_a_fold_has_a_part_in_its_answers(folder: StudyFolder, dataset: Dataset) -> None:
    """Its shares too are changed: a design that looked at the fold would show."""
    truth = Truth.of(dataset)
    changed = Truth(BLEMORE, np.where(truth.fold == 1, 0, truth.state), truth.fold, truth.actor)
    plain, other = (choose_nested(calibrate(folder, dataset, one), HOW, SilentProgress()) for one in (truth, changed))
    for before, after in zip(plain, other, strict=True):
        if before.held_out == 1:
            np.testing.assert_array_equal(before.weights.sets, after.weights.sets)
            np.testing.assert_array_equal(before.answers, after.answers)
            np.testing.assert_array_equal(before.single_answers, after.single_answers)
    of_zero = [one.answers for one in (plain[0], other[0])]
    assert (of_zero[0] != of_zero[1]).any()  # the other folds did see the change
    states, by_itself = nested_states(plain), Selection(members=4, bags=3)
    assert states is not None
    np.testing.assert_allclose(states.sum(-1), 1, atol=1e-4)
    each = choose_nested(calibrate(folder, dataset, truth), by_itself, SilentProgress())
    assert (nested_answers(plain) != nested_answers(each)).any()
    assert truth.actor is not None
    actors = np.unique(truth.actor)
    shown = np.stack([states[truth.actor == one].sum(0) for one in actors])  # every actor shows the same six states
    design = mean_design(BLEMORE, truth.state, truth.actor)
    assert np.abs(shown - design).max() < 0.1


def test_a_clip_of_another_fold_is_matched_without_both(folder: StudyFolder, dataset: Dataset) -> None:
    truth = Truth.of(dataset)
    both = (truth.fold == 1) | (truth.fold == 2)
    changed = Truth(BLEMORE, np.where(both, 0, truth.state), truth.fold, truth.actor)
    states, mine = calibrate(folder, dataset, truth)[0].states(1), truth.fold == 2
    np.testing.assert_array_equal(truth.matched(states, 1, "design")[mine], changed.matched(states, 1, "design")[mine])
    assert truth.matched(states, 1, "states") is states


def test_the_final_decoder_groups_new_clips_by_actor(folder: StudyFolder, dataset: Dataset) -> None:
    members = build_ensemble([folder], dataset, HOW, SilentProgress()).ensemble.members
    outputs = [load_outputs(one.candidate, dataset) for one in members]
    truth, targets = Truth.of(dataset), [one.target for one in outputs]
    decoder = fit_decoder(members, outputs, truth, "design")
    assert isinstance(decoder, MatchedDecoder)
    actor = dataset.clips.actor[dataset.clips.target]
    found = decoder.decode(targets, actor)
    plain = fit_decoder(members, outputs, truth, "states")
    assert isinstance(plain, EnsembleDecoder)
    assert truth.actor is not None
    design = mean_design(BLEMORE, truth.state, truth.actor)
    matched = match_design(plain.states(targets), actor, design[None])
    np.testing.assert_array_equal(found.state, answer_states(BLEMORE, matched, plain.shares))
    np.testing.assert_allclose(found.probabilities, matched @ BLEMORE.state_salience, rtol=1e-6)
    assert np.abs(decoder.decode(targets, np.zeros_like(actor)).probabilities - found.probabilities).max() > 1e-4
    again = decoder_from_dict(BLEMORE, decoder.to_dict()).decode(targets, actor)
    np.testing.assert_array_equal(again.state, found.state)
    with pytest.raises(ValueError, match="no actors are given"):
        decoder.decode(targets)
    with pytest.raises(ValueError, match="its design has the shape"):
        decoder_from_dict(BLEMORE, {**decoder.to_dict(), "design": [1.0]})


def test_a_trial_alone_keeps_its_design_and_an_ensemble_answers_as_asked(tmp_path: Path, dataset: Dataset) -> None:
    folder = make_study(tmp_path, dataset, "searched", **{"decode.design": "actor"})
    result = build_ensemble([folder], dataset, Selection(method="top_k", members=2), SilentProgress())
    members = result.ensemble.members
    outputs = [load_outputs(one.candidate, dataset) for one in members]
    assert isinstance(fit_decoder(members[:1], outputs[:1], Truth.of(dataset)), MatchedDecoder)
    assert isinstance(fit_decoder(members, outputs, Truth.of(dataset)), EnsembleDecoder)
    assert result.is_transductive  # its members' own scores are
    assert find_decoding("design") == "design"


def test_it_is_refused_where_actors_or_shares_are_not_known(tmp_path: Path, dataset: Dataset) -> None:
    free = load_dataset(make_folder(tmp_path / "free", spoil=draw_labels))
    with pytest.raises(ConfigError, match=r"--decode design: .* design spread is.*; leave it out"):
        build_ensemble([make_study(tmp_path, free, "free")], free, HOW, SilentProgress())
    unknown = make_study(tmp_path, dataset, "unknown", **{"data.target_actors": "unknown"})
    with pytest.raises(ConfigError, match=r"--decode design: .* are taken as unknown \(data.target_actors\)"):
        build_ensemble([unknown], dataset, HOW, SilentProgress())
    not_known = make_study(tmp_path, dataset, "by-fold", **{"data.standardize": "fold"})
    build_ensemble([not_known], dataset, HOW, SilentProgress())  # nothing says that they are not known
