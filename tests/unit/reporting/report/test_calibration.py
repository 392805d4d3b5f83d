"""The distributions of a report are those that the configuration answered by."""

from pathlib import Path

import numpy as np

from rfe.config.load import change_config
from rfe.data.dataset import load_dataset
from rfe.decoding.valid_states import answer_states
from rfe.ensemble.calibrated import Truth
from rfe.ensemble.candidates import load_outputs, read_candidates
from rfe.reporting.report.calibration import candidate_states
from rfe.training.scoring import OutOfFold, answer
from rfe.workspace import Workspace
from tests.unit.data.folders import make_folder
from tests.unit.ensemble.studies import CONFIG, make_artifacts, make_outputs, make_trial, write_study


def test_with_a_design_they_are_matched_actor_by_actor(tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "data"))
    workspace, truth = Workspace(tmp_path / "w", "sqlite:///none.db", tmp_path / "cache"), Truth.of(dataset)
    config = change_config(CONFIG, {"decode.design": "actor"})
    artifacts = make_artifacts(config, make_outputs(dataset, noise=5.0))
    write_study(workspace.study("s"), dataset, make_trial(dataset, 0, 0.4, config, artifacts=artifacts))
    (candidate,) = read_candidates(workspace.study("s")).candidates
    states = candidate_states(candidate, dataset)
    raw = load_outputs(candidate, dataset).source
    own = OutOfFold(*(np.asarray(one, np.float32) for one in (raw.presence_logits, raw.salience_logits, raw.fused)))
    answered = answer([config], [own], dataset.clips)[0].predicted_state[0]
    for fold in truth.folds:
        mine = truth.fold == fold
        answers = answer_states(truth.task, states[0][mine], truth.shares(fold))
        np.testing.assert_array_equal(answers, answered[mine])
