"""Decodes one configuration's models together: their probabilities are averaged, then decoded once.

`official` and `decoupled` decode averaged probabilities with thresholds fitted on out-of-fold probabilities that were
averaged over seeds. `valid_states` averages the models' distributions over states, each calibrated on all
out-of-fold outputs, and answers with the state of the largest expected score. Equations ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from rfe.config.schema import Config
from rfe.decoding.base import Float, Int, Outputs, Parameters
from rfe.decoding.decoupled import presence_probabilities
from rfe.decoding.fitting import build_decoder, parameters_from_dict
from rfe.decoding.ratio_model import ratio_evidence
from rfe.decoding.valid_states import ValidStatesParameters, answer_states, state_probabilities
from rfe.ensemble.candidates import ModelOutputs
from rfe.metrics.metric import LabelShares
from rfe.task import Task

TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Decoded:
    """Answers to clips."""

    state: NDArray[np.int64]
    """[clip] -1 where a model's output is not finite."""
    probabilities: NDArray[np.floating[Any]]
    """[clip, class] expected share of each class's salience, summing to 1: of the states' distribution, or the
    fused probabilities where thresholds decode them."""


@dataclass(frozen=True)
class FinalDecoder:
    """Decodes the average of a configuration's models; fitted on all out-of-fold outputs."""

    task: Task
    """Whose states are answered; `to_dict` leaves it out, and `from_dict` is given it."""
    kind: str
    thresholds: str
    omega: float
    """Head-fusion weight of presence; read by `valid_states`."""
    parameters: Parameters
    set_offset: Float
    """[fold, set] log class-balance weight of each fold's models; undone by `valid_states`."""

    @classmethod
    def from_dict(cls, task: Task, values: Mapping[str, Any]) -> "FinalDecoder":
        """The inverse of `to_dict`."""
        parameters = parameters_from_dict(values["kind"], values["parameters"])
        offset = np.asarray(values["set_offset"], np.float64)
        return cls(task, values["kind"], values["thresholds"], float(values["omega"]), parameters, offset)

    def decode(self, targets: Sequence[Outputs], actor: Int | None = None) -> Decoded:
        """Answer target clips.

        Args:
            targets: one, [fold, seed, target clip, class].
            actor: not read.
        """
        (target,) = targets
        parameters = self.parameters
        if isinstance(parameters, ValidStatesParameters):
            states = average_states(self, target)
            shares = LabelShares(parameters.blend_share, parameters.set_share)
            return Decoded(answer_states(self.task, states, shares), expected_salience(self.task, states))
        averaged = average_outputs(self.task, target)
        decoder = build_decoder(self.task, self.kind, self.thresholds)
        return Decoded(decoder.decode(averaged, parameters), averaged.fused)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind,
            "thresholds": self.thresholds,
            "omega": self.omega,
            "average": "state distributions" if self.kind == "valid_states" else "probabilities",
            "parameters": self.parameters.to_dict(),
            "set_offset": np.asarray(self.set_offset, np.float64).tolist(),
        }


def fit_final_decoder(task: Task, config: Config, outputs: ModelOutputs, truth_state: Int, fold: Int) -> FinalDecoder:
    """Fit a configuration's decoder on all of its out-of-fold outputs, every fold's labels included.

    The result answers clips of other actors; a score of it on these clips would be optimistic.

    Args:
        task: whose states are answered.
        config: with its decoder; of `valid_states` without design, which is no matter of one configuration's models.
        outputs: of the configuration's models.
        truth_state: [source clip] true states.
        fold: [source clip] held-out fold, which says whose class-balance weight a clip's outputs carry.
    """
    omega = config.model.head_fusion.presence_weight
    decoder = build_decoder(task, config.decode.kind, config.decode.thresholds, omega)
    if config.decode.kind == "valid_states":
        n_seeds = len(outputs.seeds)
        pooled = _pool_seeds(outputs.source)
        offset = outputs.set_offset[np.searchsorted(outputs.folds, fold)]  # [clip, set]
        parameters = decoder.fit(pooled, np.tile(truth_state, n_seeds), set_offset=np.tile(offset, (n_seeds, 1)))
    else:
        parameters = decoder.fit(average_outputs(task, outputs.source), truth_state)
    return FinalDecoder(task, config.decode.kind, config.decode.thresholds, omega, parameters, outputs.set_offset)


def answer_target(decoder: FinalDecoder, target: Outputs) -> NDArray[np.int64]:
    """[target clip] the state that the average of all fold models answers.

    Args:
        decoder: see `fit_final_decoder`.
        target: [fold, seed, target clip, class].

    Returns:
        States; -1 where a model's output is not finite.
    """
    return decoder.decode([target]).state


def average_states(decoder: FinalDecoder, target: Outputs) -> NDArray[np.float64]:
    """[target clip, state] mean of all fold models' distributions; nan where one is not finite.

    Args:
        decoder: of kind `valid_states`.
        target: [fold, seed, target clip, class].
    """
    each = ValidStatesParameters(
        **{
            name: np.broadcast_to(value, target.leading + value.shape)
            for name, value in vars(decoder.parameters).items()
        }
    )
    offset = decoder.set_offset[:, None, None, :]  # [fold, seed, clip, set]
    return np.asarray(state_probabilities(decoder.task, target, each, set_offset=offset).mean((0, 1)))


def average_outputs(task: Task, outputs: Outputs) -> Outputs:
    """Outputs [clip, class] whose probabilities are the average over all leading axes.

    Presence probabilities, the salience head's softmax and the fused probabilities are averaged each; the result
    holds the averages' logits, from which any decoder recovers them.
    """
    axes, n_classes = tuple(range(len(outputs.leading))), task.n_classes
    presence = np.clip(presence_probabilities(task, outputs).mean(axes), TINY, 1 - np.finfo(np.float32).epsneg)
    logits = outputs.salience_logits[..., :n_classes]
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    salience = np.log(np.maximum((weight / weight.sum(-1, keepdims=True)).mean(axes), TINY))
    if outputs.salience_logits.shape[-1] > n_classes:  # pairs' terms, so that each leans as its mean share does
        share = expit(ratio_evidence(task, outputs.salience_logits)).mean(axes)  # [pair, clip]
        share = np.clip(share, TINY, 1 - np.finfo(np.float32).epsneg)
        leanings = np.moveaxis(logit(share) - ratio_evidence(task, salience), -1, -2)
        salience = np.concatenate([salience, leanings], -1)
    return Outputs(np.log(presence) - np.log1p(-presence), salience, outputs.fused.mean(axes), "bce")


def expected_salience(task: Task, states: Float) -> NDArray[np.float64]:
    """[clip, class] from [clip, state].

    Examples:
        >>> task = Task("ab", ("a", "b"), pairs=((0, 1),))
        >>> expected_salience(task, np.array([[0.5, 0.0, 0.5]])).tolist()
        [[0.75, 0.25]]
    """
    return np.asarray(states, np.float64) @ task.state_salience.astype(np.float64)


def _pool_seeds(outputs: Outputs) -> Outputs:
    """[seed, clip, class] as [seed * clip, class]: one fit over all seeds."""
    presence, salience, fused = (
        one.reshape(-1, one.shape[-1]) for one in (outputs.presence_logits, outputs.salience_logits, outputs.fused)
    )
    return Outputs(presence, salience, fused, outputs.presence_kind)
