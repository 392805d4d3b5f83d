"""Averaging comes before decoding, and the average of one model is that model."""

from pathlib import Path

import numpy as np
import pytest

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.decoding.base import Outputs
from rfe.decoding.decoupled import presence_probabilities
from rfe.decoding.fitting import build_decoder, parameters_from_dict
from rfe.ensemble.candidates import ModelOutputs, outputs_of
from rfe.ensemble.final_decoder import FinalDecoder, answer_target, average_outputs, fit_final_decoder
from rfe.task import BLEMORE
from tests.unit.ensemble.studies import make_outputs

KINDS = ("official", "decoupled", "valid_states")


def configure(kind: str, seeds: int = 1, balance: str = "none") -> Config:
    return change_config(Config(), {"decode.kind": kind, "train.seeds": seeds, "loss.balance": balance})


def fit(config: Config, outputs: ModelOutputs, dataset: Dataset) -> FinalDecoder:
    n_source = dataset.clips.n_source
    return fit_final_decoder(BLEMORE, config, outputs, dataset.clips.state[:n_source], dataset.clips.fold[:n_source])


def repeat(outputs: Outputs, *leading: int) -> Outputs:
    arrays = (outputs.presence_logits, outputs.salience_logits, outputs.fused)
    presence, salience, fused = (np.broadcast_to(array, (*leading, *array.shape)) for array in arrays)
    return Outputs(presence, salience, fused, outputs.presence_kind)


@pytest.mark.parametrize("kind", ["bce", "states"])
def test_average_of_probabilities_not_of_logits(kind: str) -> None:
    stream = np.random.default_rng(0)
    presence, salience = stream.normal(0, 3, (2, 4, 3, 7, 6))
    fused = stream.dirichlet(np.ones(6), (4, 3, 7))
    outputs = Outputs(presence, salience, fused, kind)
    average = average_outputs(BLEMORE, outputs)
    weight = np.exp(salience)
    softmax = weight / weight.sum(-1, keepdims=True)
    again = np.exp(average.salience_logits)
    np.testing.assert_allclose(
        presence_probabilities(BLEMORE, average), presence_probabilities(BLEMORE, outputs).mean((0, 1)), atol=1e-6
    )
    np.testing.assert_allclose(again / again.sum(-1, keepdims=True), softmax.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(average.fused, fused.mean((0, 1)))


def test_average_survives_certainty() -> None:
    certain = np.full((2, 1, 6), -2000.0)
    certain[..., 0] = 2000.0
    average = average_outputs(BLEMORE, Outputs(certain, certain, np.eye(6)[[[0], [0]]]))
    assert np.isfinite(average.presence_logits).all()
    assert np.isfinite(average.salience_logits).all()


@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_one_model_answer_as_it_does(kind: str, dataset: Dataset) -> None:
    config = configure(kind)
    outputs = outputs_of(make_outputs(dataset), config, dataset)
    one = outputs.target.take(np.arange(dataset.clips.n_target))
    single = Outputs(one.presence_logits[0, 0], one.salience_logits[0, 0], one.fused[0, 0])
    decoder = fit(config, outputs, dataset)
    alone = build_decoder(BLEMORE, kind, config.decode.thresholds, decoder.omega).decode(single, decoder.parameters)
    np.testing.assert_array_equal(answer_target(decoder, repeat(single, 3, 2)), alone)


@pytest.mark.parametrize("kind", KINDS)
def test_clear_outputs_are_answered_rightly(kind: str, dataset: Dataset) -> None:
    config = configure(kind, seeds=2)
    outputs = outputs_of(make_outputs(dataset, 2, noise=0.1), config, dataset)
    answers = answer_target(fit(config, outputs, dataset), outputs.target)
    # the made-up target clips show state 0, 1, 2 ...: the singles are beyond doubt
    np.testing.assert_array_equal(answers[:6], np.arange(6))


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_models_does_not_matter(kind: str, dataset: Dataset) -> None:
    config = configure(kind, seeds=3)
    outputs = outputs_of(make_outputs(dataset, 3, noise=2.0), config, dataset)
    decoder = fit(config, outputs, dataset)
    target = outputs.target
    arrays = (target.presence_logits, target.salience_logits, target.fused)
    presence, salience, fused = (array[::-1, ::-1] for array in arrays)
    turned = Outputs(presence, salience, fused)
    np.testing.assert_array_equal(answer_target(decoder, target), answer_target(decoder, turned))


def test_a_model_that_is_not_finite_is_no_answer(dataset: Dataset) -> None:
    for kind in KINDS:
        config = configure(kind)
        arrays = make_outputs(dataset)
        for name, values in arrays.items():
            if name.startswith("target"):
                values[1, 0, 4] = np.nan
        outputs = outputs_of(arrays, config, dataset)
        answers = answer_target(fit(config, outputs, dataset), outputs.target)
        assert answers[4] == -1, kind
        assert (np.delete(answers, 4) >= 0).all(), kind


def test_the_class_balance_of_each_fold_is_undone(dataset: Dataset) -> None:
    config = configure("valid_states", balance="class")
    outputs = outputs_of(make_outputs(dataset, noise=2.0), config, dataset)
    decoder = fit(config, outputs, dataset)
    plain = FinalDecoder(
        BLEMORE, decoder.kind, decoder.thresholds, decoder.omega, decoder.parameters, 0 * decoder.set_offset
    )
    strong = FinalDecoder(
        BLEMORE, decoder.kind, decoder.thresholds, decoder.omega, decoder.parameters, 9 * decoder.set_offset
    )
    assert (answer_target(plain, outputs.target) != answer_target(strong, outputs.target)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_survives_json(kind: str, dataset: Dataset, tmp_path: Path) -> None:
    config = configure(kind)
    outputs = outputs_of(make_outputs(dataset, noise=2.0), config, dataset)
    decoder = fit(config, outputs, dataset)
    values = decoder.to_dict()
    again = FinalDecoder(
        BLEMORE,
        values["kind"],
        values["thresholds"],
        values["omega"],
        parameters_from_dict(kind, values["parameters"]),
        np.array(values["set_offset"]),
    )
    np.testing.assert_array_equal(answer_target(again, outputs.target), answer_target(decoder, outputs.target))
