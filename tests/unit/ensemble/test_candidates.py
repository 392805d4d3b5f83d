"""Candidates are what the journal finished, with the files that belong together."""

from pathlib import Path

import numpy as np
import pytest

from rfe.config.load import change_config
from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import load_outputs, outputs_of, read_candidates
from rfe.ensemble.selection import select_single
from rfe.errors import StudyError
from rfe.workspace import StudyFolder
from tests.unit.ensemble.studies import CONFIG, make_confirmation, make_outputs, make_trial, write_study

SOURCE_ARRAYS = ("presence_logits", "salience_logits", "fused")


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "fusion-v1")


def test_only_finished_trials_that_repeat_no_other(folder: StudyFolder, dataset: Dataset) -> None:
    write_study(
        folder,
        dataset,
        make_trial(dataset, 0, 0.3),
        make_trial(dataset, 1, 0.3, tags={"duplicate_of": "0"}),
        make_trial(dataset, 2, 0.9, state="failed", reason="loss is not finite"),
        make_trial(dataset, 3, 0.9, state="pruned"),
        make_trial(dataset, 4, 0.4),
    )
    record = read_candidates(folder)
    assert [candidate.number for candidate in record.candidates] == [0, 4]
    assert record.study.data_fingerprint == dataset.fingerprint
    assert record.scores == {"score_best": 0.5, "score_selected": 0.4}
    assert record.candidates[0].config == CONFIG


def test_a_confirmed_trial_brings_its_fresh_models(folder: StudyFolder, dataset: Dataset) -> None:
    write_study(folder, dataset, make_trial(dataset, 0, 0.3), make_confirmation(dataset, 0, (0.2, 0.25)))
    (candidate,) = read_candidates(folder).candidates
    assert candidate.confirmed == (0.2, 0.25)
    assert candidate.confirmed_models
    assert (candidate.config.train.seed, candidate.config.train.seeds) == (100, 2)
    outputs = load_outputs(candidate, dataset)
    assert outputs.seeds == (100, 101)
    assert outputs.folds == (0, 1, 2)
    assert outputs.source.fused.shape == (2, 36, 6)
    assert outputs.target.fused.shape == (3, 2, 12, 6)
    assert outputs.set_offset.shape == (3, 16)


def test_the_search_models_can_be_asked_for(folder: StudyFolder, dataset: Dataset) -> None:
    write_study(folder, dataset, make_trial(dataset, 0, 0.3), make_confirmation(dataset, 0, (0.2, 0.25)))
    (candidate,) = read_candidates(folder, confirmed=False).candidates
    assert candidate.confirmed == ()
    assert not candidate.confirmed_models
    assert len(load_outputs(candidate, dataset).seeds) == 1


def test_a_confirmation_without_files_leaves_the_search_models(folder: StudyFolder, dataset: Dataset) -> None:
    confirmation = make_confirmation(dataset, 0, (0.2, 0.25))
    confirmation = type(confirmation)(confirmation.study, 0, confirmation.scores, confirmation.seeds)
    write_study(folder, dataset, make_trial(dataset, 0, 0.3), confirmation)
    (candidate,) = read_candidates(folder).candidates
    assert candidate.confirmed == (0.2, 0.25)
    assert not candidate.confirmed_models
    assert candidate.config.train.seeds == 1


def test_best_confirmed_before_best_score(folder: StudyFolder, dataset: Dataset) -> None:
    write_study(
        folder,
        dataset,
        make_trial(dataset, 0, 0.3),
        make_trial(dataset, 1, 0.31),
        make_trial(dataset, 2, 0.9),
        make_confirmation(dataset, 0, (0.2, 0.25)),
        make_confirmation(dataset, 1, (0.1, 0.3)),
    )
    candidates = read_candidates(folder).candidates
    assert select_single(candidates).members[0].candidate.number == 0
    assert select_single(candidates, 2).members[0].candidate.number == 2
    unconfirmed = [candidate for candidate in candidates if not candidate.confirmed]
    assert select_single(unconfirmed).members[0].weight == 1.0


def test_the_earlier_of_equals_is_selected(folder: StudyFolder, dataset: Dataset) -> None:
    write_study(folder, dataset, *(make_trial(dataset, number, 0.3) for number in (3, 1, 2)))
    assert select_single(read_candidates(folder).candidates).members[0].candidate.number == 1


def test_refuses_what_is_not_there(folder: StudyFolder, dataset: Dataset) -> None:
    with pytest.raises(StudyError, match="no journal"):
        read_candidates(folder)
    with pytest.raises(StudyError, match="no finished trial"):
        select_single([])
    write_study(folder, dataset, make_trial(dataset, 4, 0.3))
    with pytest.raises(StudyError, match=r"trial 7 is not among its 1 finished trials.*near it: 4"):
        select_single(read_candidates(folder).candidates, 7)


def test_refuses_outputs_that_are_gone_broken_or_of_other_data(folder: StudyFolder, dataset: Dataset) -> None:
    write_study(folder, dataset, make_trial(dataset, 0, 0.3))
    (candidate,) = read_candidates(folder).candidates
    assert candidate.outputs is not None
    candidate.outputs.write_bytes(candidate.outputs.read_bytes()[:100])
    with pytest.raises(StudyError, match="cannot be used"):
        load_outputs(candidate, dataset)
    candidate.outputs.unlink()
    with pytest.raises(StudyError, match="was not kept"):
        load_outputs(candidate, dataset)
    arrays = make_outputs(dataset)
    with pytest.raises(ValueError, match=r"fused has the shape \(1, 35\)"):
        outputs_of(arrays | {name: arrays[name][:, :35] for name in SOURCE_ARRAYS}, CONFIG, dataset)
    with pytest.raises(ValueError, match="the data and seeds are"):
        outputs_of(arrays | {"seeds": np.arange(2)}, CONFIG, dataset)


def test_a_confirmed_trials_configuration_is_known_without_its_file(folder: StudyFolder, dataset: Dataset) -> None:
    """A lost or damaged config.yaml of one confirmation ended every command on the study."""
    confirmation = make_confirmation(dataset, 0, (0.3, 0.32))
    write_study(folder, dataset, make_trial(dataset, 0, 0.3), confirmation)
    (whole,) = read_candidates(folder).candidates
    path = folder.trial(0) / "confirmed" / "config.yaml"
    for content in (b"\0" * 40, b"\xff\xfe", b"train: {seeds: 99"):
        path.write_bytes(content)
        (candidate,) = read_candidates(folder).candidates
        assert (candidate.config.train.seed, candidate.config.train.seeds) == (100, 2)
        assert candidate.config.model == whole.config.model
    path.unlink()
    assert read_candidates(folder).candidates[0].config.train.seeds == 2


def test_the_kind_of_presence_follows_the_configuration(dataset: Dataset) -> None:
    arrays = make_outputs(dataset)
    assert outputs_of(arrays, CONFIG, dataset).source.presence_kind == "bce"
    by_states = change_config(CONFIG, {"loss.presence": "states", "loss.balance": "class"})
    outputs = outputs_of(arrays, by_states, dataset)
    assert outputs.source.presence_kind == "states"
    assert np.abs(outputs.set_offset).max() > 0.01


def test_outputs_of_another_presence_head_are_refused(dataset: Dataset) -> None:
    arrays = make_outputs(dataset)
    with pytest.raises(ValueError, match="has 6 logits for each clip, but loss"):
        outputs_of(arrays, change_config(CONFIG, {"loss.presence": "sets"}), dataset)
