"""Ensembles of tasks that are not BlEmoRE's."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.decoding.candidates import fits_thresholds
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import Truth
from rfe.ensemble.candidates import load_outputs
from rfe.ensemble.mixing import mix_states
from rfe.ensemble.prediction import decoder_from_dict, fit_decoder
from rfe.ensemble.recalibration import Recalibration
from rfe.ensemble.selection import Selection
from rfe.ensemble.stored import read_ensemble, read_nested, write_ensemble
from rfe.errors import ConfigError, StudyError
from rfe.metrics.metric import set_probabilities
from rfe.progress import SilentProgress
from rfe.task import Task
from rfe.workspace import open_workspace
from tests.integration.fakes import write_data
from tests.tasks import EIGHT, OTHERS, WIDE_RATIOS, with_task
from tests.unit.ensemble.studies import make_trials, write_study

every_task = pytest.mark.parametrize("task", OTHERS, ids=lambda task: task.name)


@pytest.fixture(scope="module")
def blemore(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("tasks") / "data", clips_per_actor=60, targets=4))


@pytest.mark.parametrize(
    "how", [Selection("top_k"), Selection(separate_heads=True), Selection("nnls", decoding="official")]
)
@every_task
def test_two_candidates_are_chosen_kept_and_answer_the_target(
    task: Task, how: Selection, blemore: Dataset, tmp_path: Path
) -> None:
    dataset, workspace = with_task(blemore, task), open_workspace(tmp_path)
    folder = write_study(workspace.study("fusion-v1"), dataset, *make_trials(dataset, [2.0, 3.0], step=0.0))
    if how.decoding == "official" and not fits_thresholds(task):
        with pytest.raises(ConfigError, match=rf"--decode official: .* has {task.ratio_list}; leave it out"):
            build_ensemble([folder], dataset, how, SilentProgress())
        return
    result = build_ensemble([folder], dataset, how, SilentProgress())
    assert task.state_possible[result.answers].all()
    if result.states is not None:
        assert (result.states[:, ~task.state_possible] == 0).all()
    write_ensemble(workspace, "final", result, {"path": str(dataset.path), "encoders": None})
    np.testing.assert_array_equal(read_nested(read_ensemble(workspace, "final")).answers, result.answers)
    members = result.ensemble.members
    outputs = [load_outputs(one.candidate, dataset) for one in members]
    decoder = fit_decoder(members, outputs, Truth.of(dataset), how.decoding)
    read = decoder_from_dict(task, json.loads(json.dumps(decoder.to_dict())))
    targets = [one.target for one in outputs]
    decoded = decoder.decode(targets)
    np.testing.assert_array_equal(read.decode(targets).state, decoded.state)
    assert task.state_possible[decoded.state].all()
    assert decoded.probabilities.shape == (dataset.clips.n_target, task.n_classes)
    np.testing.assert_allclose(decoded.probabilities.sum(-1), 1, atol=1e-3)  # files have half precision


@every_task
def test_recalibration_leaves_what_is_impossible_impossible(task: Task) -> None:
    """Its floor of 1e-12 would make it possible, and a slope below 1 likely."""
    rng = np.random.default_rng(0)
    states = rng.dirichlet(np.ones(task.n_states), 200) * task.state_possible
    states /= states.sum(-1, keepdims=True)
    truth = np.array([rng.choice(task.n_states, p=one) for one in states])
    fitted = Recalibration.fit(task, states, truth)
    applied = Recalibration(0.1, fitted.blend_bias).apply(task, states)
    assert (applied[:, ~task.state_possible] == 0).all()
    np.testing.assert_allclose(applied.sum(-1), 1)
    assert 0.5 < fitted.slope < 2


@every_task
def test_mixed_states_are_a_distribution_with_the_sets_of_the_average(task: Task) -> None:
    rng = np.random.default_rng(1)
    states = [rng.dirichlet(np.ones(task.n_states), 5) for _ in range(2)]
    weights = np.array([0.3, 0.7])
    apart = mix_states(task, states, weights, np.array([1.0, 0.0]))
    np.testing.assert_allclose(apart.sum(-1), 1)
    together = mix_states(task, states, weights, weights)
    np.testing.assert_allclose(set_probabilities(task, apart), set_probabilities(task, together))


def test_outputs_of_another_task_are_refused(blemore: Dataset, tmp_path: Path) -> None:
    """Before, six classes' outputs were read as eight classes' until a product failed."""
    folder = write_study(open_workspace(tmp_path).study("fusion-v1"), blemore, *make_trials(blemore, [2.0]))
    other = replace(with_task(blemore, EIGHT), fingerprint=blemore.fingerprint)
    with pytest.raises(StudyError, match="has 6 classes, but the data's task has 8"):
        build_ensemble([folder], other, Selection(), SilentProgress())


def test_nested_answers_beyond_a_byte_are_kept(blemore: Dataset, tmp_path: Path) -> None:
    """As int8, state 300 would come back as 44."""
    dataset, workspace = with_task(blemore, WIDE_RATIOS), open_workspace(tmp_path)
    folder = write_study(workspace.study("fusion-v1"), dataset, *make_trials(dataset, [2.0]))
    result = build_ensemble([folder], dataset, Selection("single"), SilentProgress())
    assert result.answers.max() > 127
    write_ensemble(workspace, "final", result, {"path": str(dataset.path), "encoders": None})
    np.testing.assert_array_equal(read_nested(read_ensemble(workspace, "final")).answers, result.answers)
