"""One answer from many models: their probabilities are averaged first, then decoded once.

`official` and `decoupled` decode averaged probabilities with thresholds fitted on out-of-fold probabilities that were
averaged over seeds. `valid_states` averages the models' distributions over the 36 states, each calibrated on all
out-of-fold outputs, and answers with the state of the largest expected score. An ensemble of several configurations is
always answered by states, whatever decoder its members were searched with. Equations ours.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.schema import Config
from rfe.decoding.base import Float, Int, Outputs, Parameters
from rfe.decoding.decoupled import presence_probabilities
from rfe.decoding.fitting import build_decoder
from rfe.decoding.valid_states import ValidStatesParameters, answer_states, state_probabilities
from rfe.ensemble.calibrated import mix_states
from rfe.ensemble.candidates import ModelOutputs
from rfe.ensemble.nested import Recalibration

TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class FinalDecoder:
    """How the average of a configuration's models is answered; fitted on all out-of-fold outputs."""

    kind: str
    thresholds: str
    omega: float
    """Head-fusion weight of presence; read by `valid_states`."""
    parameters: Parameters
    set_offset: Float
    """[fold, set] log class-balance weight of each fold's models; undone by `valid_states`."""

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


@dataclass(frozen=True)
class EnsembleDecoder:
    """How the average of several configurations is answered."""

    members: tuple[FinalDecoder, ...]
    """Each by states."""
    weights: tuple[float, ...]
    """[member] of their distributions over sets."""
    ratio_weights: tuple[float, ...]
    """[member] of their distributions over the ratios within a pair."""
    recalibration: Recalibration
    blend_share: float
    """phi of the training clips."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": "ensemble",
            "weights": list(self.weights),
            "ratio_weights": list(self.ratio_weights),
            "recalibration": asdict(self.recalibration),
            "blend_share": self.blend_share,
            "members": [member.to_dict() for member in self.members],
        }

    def answer(self, targets: Sequence[Outputs]) -> NDArray[np.int64]:
        """[target clip] states; -1 where a member's output is not finite.

        Args:
            targets: [member] of [fold, seed, target clip, emotion].
        """
        states = [average_states(member, target) for member, target in zip(self.members, targets, strict=True)]
        mixed = mix_states(states, np.array(self.weights), np.array(self.ratio_weights))
        finite = np.isfinite(mixed).all(-1)
        answers = np.full(len(mixed), -1)
        answers[finite] = answer_states(self.recalibration.apply(mixed[finite]), self.blend_share)
        return answers


def fit_final_decoder(config: Config, outputs: ModelOutputs, truth_state: Int, fold: Int) -> FinalDecoder:
    """Fit a configuration's decoder on all of its out-of-fold outputs, every fold's labels included.

    The result answers clips of other actors; a score of it on these clips would be optimistic.

    Args:
        outputs: of the configuration's models.
        truth_state: [source clip] true states.
        fold: [source clip] held-out fold, which says whose class-balance weight a clip's outputs carry.
    """
    omega = config.model.head_fusion.presence_weight
    decoder = build_decoder(config.decode.kind, config.decode.thresholds, omega)
    if config.decode.kind == "valid_states":
        n_seeds = len(outputs.seeds)
        pooled = _pool_seeds(outputs.source)
        offset = outputs.set_offset[np.searchsorted(outputs.folds, fold)]  # [clip, set]
        parameters = decoder.fit(pooled, np.tile(truth_state, n_seeds), set_offset=np.tile(offset, (n_seeds, 1)))
    else:
        parameters = decoder.fit(average_outputs(outputs.source), truth_state)
    return FinalDecoder(config.decode.kind, config.decode.thresholds, omega, parameters, outputs.set_offset)


def answer_target(decoder: FinalDecoder, target: Outputs) -> NDArray[np.int64]:
    """[target clip] the state that the average of all fold models answers.

    Args:
        decoder: see `fit_final_decoder`.
        target: [fold, seed, target clip, emotion].

    Returns:
        States; -1 where a model's output is not finite.
    """
    parameters = decoder.parameters
    if isinstance(parameters, ValidStatesParameters):
        return answer_states(average_states(decoder, target), parameters.blend_share)
    return build_decoder(decoder.kind, decoder.thresholds).decode(average_outputs(target), parameters)


def average_states(decoder: FinalDecoder, target: Outputs) -> NDArray[np.float64]:
    """[target clip, 36] mean of all fold models' distributions; nan where one is not finite.

    Args:
        decoder: of kind `valid_states`.
        target: [fold, seed, target clip, emotion].
    """
    each = ValidStatesParameters(
        **{
            name: np.broadcast_to(value, target.leading + value.shape)
            for name, value in vars(decoder.parameters).items()
        }
    )
    offset = decoder.set_offset[:, None, None, :]  # [fold, seed, clip, set]
    return np.asarray(state_probabilities(target, each, set_offset=offset).mean((0, 1)))


def average_outputs(outputs: Outputs) -> Outputs:
    """Outputs [clip, emotion] whose probabilities are the average over all leading axes.

    Presence probabilities, the salience head's softmax and the fused probabilities are averaged each; logits of the
    averages stand in for them, so that any decoder reads the averages back.
    """
    axes = tuple(range(len(outputs.leading)))
    presence = np.clip(presence_probabilities(outputs).mean(axes), TINY, 1 - np.finfo(np.float32).epsneg)
    logits = outputs.salience_logits - outputs.salience_logits.max(-1, keepdims=True)
    weight = np.exp(logits)
    salience = np.maximum((weight / weight.sum(-1, keepdims=True)).mean(axes), TINY)
    return Outputs(np.log(presence) - np.log1p(-presence), np.log(salience), outputs.fused.mean(axes), "bce")


def _pool_seeds(outputs: Outputs) -> Outputs:
    """[seed, clip, emotion] as [seed * clip, emotion]: one fit over all seeds."""
    shape = (-1, outputs.fused.shape[-1])
    return Outputs(
        outputs.presence_logits.reshape(shape),
        outputs.salience_logits.reshape(shape),
        outputs.fused.reshape(shape),
        outputs.presence_kind,
    )
