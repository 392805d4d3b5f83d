"""Answers while a fold is held out, of one candidate or of several averaged and decoded once.

`states`: the candidates' calibrated distributions over states are averaged, recalibrated and answered by
expected score. `design`: before the answer, they are matched actor by actor to the other actors' mean design, as
`rfe.decoding.design` says; transductive. `official`: their fused probabilities q are averaged and decoded by the
organisers' two thresholds, the best of the 20 x 20 grid. Everything that is fitted here is fitted without the held-out
fold's labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Outputs
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.valid_states import answer_states
from rfe.ensemble.calibrated import CalibratedCandidate, Decoding, Float, Float32
from rfe.ensemble.mixing import mix_fused, mix_states
from rfe.ensemble.recalibration import Recalibration


@dataclass(frozen=True)
class Together:
    """The answers of an average. Only the held-out fold's clips are independent of it."""

    answers: NDArray[np.int64]
    """[clip]"""
    states: Float32 | None
    """[clip, state]; None where thresholds decode."""
    fitted: Mapping[str, float]
    """`slope` and `blend_bias` of the recalibration, or the thresholds `alpha` and `beta`."""


def answer_alone(one: CalibratedCandidate, held_out: int | None, decoding: Decoding) -> NDArray[np.int64]:
    """[clip] a candidate's answers, each fitted without the held-out fold and without the clip's own."""
    if decoding == "official":
        return one.official_answers(held_out)
    return one.truth.answer(one.states(held_out), held_out, decoding)


def answer_together(
    members: Sequence[CalibratedCandidate],
    weights: Float,
    ratio_weights: Float,
    held_out: int | None,
    decoding: Decoding,
) -> Together:
    """Average and decode once, by what was fitted on all folds but the held-out one.

    Args:
        members: the candidates.
        weights, ratio_weights: [member]; see `mix_states`. Fused probabilities have one weight only, the first.
        held_out: the fold; None: none is.
        decoding: how the average is answered.
    """
    truth = members[0].truth
    others = truth.others(held_out)
    if decoding == "official":
        outputs = Outputs.of_probabilities(mix_fused([one.fused for one in members], weights))
        decoder = OfficialDecoder(truth.task)
        thresholds = decoder.fit(outputs.take(others), truth.state[others])
        fitted = {"alpha": float(thresholds.blend), "beta": float(thresholds.even)}
        return Together(decoder.decode(outputs, thresholds), None, fitted)
    mixed = mix_states(truth.task, [one.states(held_out) for one in members], weights, ratio_weights)
    recalibration = Recalibration.fit(truth.task, mixed[others], truth.state[others])
    states = truth.matched(recalibration.apply(truth.task, mixed), held_out, decoding)
    answers = answer_states(truth.task, states, truth.shares(held_out))
    return Together(answers, np.asarray(states, np.float32), asdict(recalibration))
