"""Are the probabilities behind the answers calibrated? Measured and shown."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.decoding.design import DesignParameters, match_design
from rfe.decoding.diagnostics import Calibration, measure_calibration
from rfe.decoding.fitting import build_decoder, crossfit_decode
from rfe.decoding.valid_states import state_probabilities
from rfe.ensemble.candidates import Candidate, load_outputs
from rfe.errors import StudyError
from rfe.metrics.metric import set_probabilities
from rfe.reporting.report.answers import Answers
from rfe.reporting.report.document import Axis, Block, Column, Figure, Line, Panel, Points, Table, Text

STYLES = (("blue", "circle"), ("orange", "diamond"))
"""Colour and symbol of sets and of states."""


def candidate_states(candidate: Candidate, dataset: Dataset) -> NDArray[np.float64]:
    """[seed, source clip, state] the decoder's distributions, each fold's fitted on the other folds.

    Raises:
        StudyError: the decoder has no distribution, or outputs were not kept.
    """
    config: Config = candidate.config
    if config.decode.kind != "valid_states" or config.protocol != "crossfit":
        raise StudyError(
            f"calibration: the decoder `{config.decode.kind}` (protocol {config.protocol}) answers by thresholds and "
            "has no probabilities to be calibrated"
        )
    outputs = load_outputs(candidate, dataset)
    source = slice(dataset.clips.n_source)
    truth, fold = dataset.clips.state[source], dataset.clips.fold[source]
    position = np.searchsorted(outputs.folds, fold)
    offset = outputs.set_offset[position]
    task, omega, actor = dataset.clips.task, config.model.head_fusion.presence_weight, dataset.clips.actor[source]
    decoder = build_decoder(task, "valid_states", omega=omega, actor=actor if config.decode.design == "actor" else None)
    _, parameters = crossfit_decode(decoder, outputs.source, truth, fold, set_offset=offset)
    states = state_probabilities(task, outputs.source, parameters, fold_index=position, set_offset=offset)
    if isinstance(parameters, DesignParameters):
        return match_design(states, actor, parameters.design[..., position, :])
    return states


def calibration_blocks(probabilities: NDArray[np.floating], answers: Answers, prefix: str) -> Iterator[Block]:
    """Reliability of the distributions behind answers, and how often a blend is answered.

    Args:
        probabilities: [seed, source clip, state].
        answers: made of them.
        prefix: of the names of tables and figures.
    """
    task = answers.task
    set_answers = np.where(answers.predicted >= 0, task.state_set[answers.predicted], -1)
    true_sets = task.state_set[answers.truth]
    kinds = {f"{task.n_sets} sets": (set_probabilities(task, probabilities), true_sets, set_answers)}
    if task.has_ratios:
        kinds[f"{task.n_states} states"] = (probabilities, answers.truth, answers.predicted)
    measured = {name: measure_calibration(task, *one) for name, one in kinds.items()}
    sets = measured[f"{task.n_sets} sets"]
    if task.pairs:
        yield Text(
            f"Blends are {sets.blend_true:.1%} of the clips; the decoder gives them {sets.blend_predicted:.1%} of its "
            f"probability and {sets.blend_answered:.1%} of its answers. More blend answers than blends follow from the "
            "expected Score, and are right only while the distribution is calibrated.",
            "finding",
        )

    def curve(name: str, one: Calibration, colour: str, symbol: str) -> Points:
        there = np.isfinite(one.bin_predicted)
        return Points(
            name,
            one.bin_predicted[there].tolist(),
            one.bin_observed[there].tolist(),
            colour,  # type: ignore[arg-type]
            symbol,  # type: ignore[arg-type]
            labels=[f"{share:.1%} of all probabilities" for share in one.bin_share[there]],
        )

    yield Figure(
        f"{prefix}reliability",
        "Reliability of the probabilities",
        "How often a set or state was true against the probability it was given; on the diagonal they are equal.",
        (
            Panel(
                "",
                Axis("predicted probability", range=(0, 1)),
                Axis("how often it was true", range=(0, 1)),
                (
                    Line("calibrated", [0, 1], [0, 1], "grey", "dash"),
                    *(curve(name, one, *style) for (name, one), style in zip(measured.items(), STYLES, strict=False)),
                ),
            ),
        ),
        "Out of fold; each fold's calibration was fitted on the other folds. Points with high probability rest on few "
        "clips.",
    )
    yield Table(
        f"{prefix}calibration",
        "Loss of the probabilities",
        (Column("of"), Column("negative log-likelihood (nats per clip)"), Column("uniform guess")),
        tuple((name, one.nll, float(np.log(int(name.split()[0])))) for name, one in measured.items()),
    )
