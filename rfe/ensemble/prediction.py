"""One answer from many models: their probabilities are averaged first, then decoded once.

`official` and `decoupled` decode averaged probabilities with thresholds fitted on out-of-fold probabilities that were
averaged over seeds. `valid_states` averages the models' distributions over states, each calibrated on all
out-of-fold outputs, and answers with the state of the largest expected score. An ensemble is answered by states, or by
official thresholds on its averaged fused probabilities, whatever decoder its members were searched with. Equations
ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.decoding.base import Float, Int, Outputs, Parameters
from rfe.decoding.decoupled import presence_probabilities
from rfe.decoding.fitting import build_decoder, parameters_from_dict
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.ratio_model import ratio_evidence
from rfe.decoding.thresholds import ThresholdParameters
from rfe.decoding.valid_states import ValidStatesParameters, answer_states, state_probabilities
from rfe.ensemble.answering import answer_together
from rfe.ensemble.calibrated import CalibratedCandidate, Decoding, Truth
from rfe.ensemble.candidates import ModelOutputs
from rfe.ensemble.mixing import mix_fused, mix_states
from rfe.ensemble.recalibration import Recalibration
from rfe.ensemble.selection import Member
from rfe.metrics.metric import LabelShares
from rfe.task import Task

TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Decoded:
    """What is answered of clips."""

    state: NDArray[np.int64]
    """[clip] -1 where a model's output is not finite."""
    probabilities: NDArray[np.floating[Any]]
    """[clip, class] expected share of each class's salience, summing to 1: of the states' distribution, or the
    fused probabilities where thresholds decode them."""


@dataclass(frozen=True)
class FinalDecoder:
    """How the average of a configuration's models is answered; fitted on all out-of-fold outputs."""

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

    def decode(self, targets: Sequence[Outputs]) -> Decoded:
        """Answer target clips.

        Args:
            targets: one, [fold, seed, target clip, class].
        """
        (target,) = targets
        parameters = self.parameters
        if isinstance(parameters, ValidStatesParameters):
            states = average_states(self, target)
            shares = LabelShares(parameters.blend_share, parameters.set_share)
            return Decoded(answer_states(self.task, states, shares), _expected_salience(self.task, states))
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


@dataclass(frozen=True)
class EnsembleDecoder:
    """How the average of several configurations is answered."""

    task: Task
    members: tuple[FinalDecoder, ...]
    """Each by states."""
    weights: tuple[float, ...]
    """[member] of their distributions over sets."""
    ratio_weights: tuple[float, ...]
    """[member] of their distributions over the ratios within a pair."""
    recalibration: Recalibration
    shares: LabelShares
    """Of the training clips."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": "ensemble",
            "weights": list(self.weights),
            "ratio_weights": list(self.ratio_weights),
            "recalibration": asdict(self.recalibration),
            "blend_share": float(self.shares.blend),
            "set_share": np.asarray(self.shares.sets, np.float64).tolist(),
            "members": [member.to_dict() for member in self.members],
        }

    @classmethod
    def from_dict(cls, task: Task, values: Mapping[str, Any]) -> "EnsembleDecoder":
        """The inverse of `to_dict`."""
        return cls(
            task,
            tuple(FinalDecoder.from_dict(task, member) for member in values["members"]),
            tuple(map(float, values["weights"])),
            tuple(map(float, values["ratio_weights"])),
            Recalibration(**values["recalibration"]),
            LabelShares(
                float(values["blend_share"]), np.asarray(values.get("set_share", np.zeros(task.n_sets)), float)
            ),
        )

    def decode(self, targets: Sequence[Outputs]) -> Decoded:
        """Answer target clips.

        Args:
            targets: [member] of [fold, seed, target clip, class].
        """
        states = [average_states(member, target) for member, target in zip(self.members, targets, strict=True)]
        mixed = mix_states(self.task, states, np.array(self.weights), np.array(self.ratio_weights))
        finite = np.isfinite(mixed).all(-1)
        answers, probabilities = np.full(len(mixed), -1), np.full((len(mixed), self.task.n_classes), np.nan)
        recalibrated = self.recalibration.apply(self.task, mixed[finite])
        answers[finite] = answer_states(self.task, recalibrated, self.shares)
        probabilities[finite] = _expected_salience(self.task, recalibrated)
        return Decoded(answers, probabilities)


@dataclass(frozen=True)
class AveragedDecoder:
    """Fused probabilities averaged over models and configurations, decoded by the organisers' thresholds."""

    task: Task
    weights: tuple[float, ...]
    """[member]"""
    parameters: ThresholdParameters

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"kind": "averaged", "weights": list(self.weights), "parameters": self.parameters.to_dict()}

    @classmethod
    def from_dict(cls, task: Task, values: Mapping[str, Any]) -> "AveragedDecoder":
        """The inverse of `to_dict`."""
        return cls(task, tuple(map(float, values["weights"])), ThresholdParameters.from_dict(values["parameters"]))

    def decode(self, targets: Sequence[Outputs]) -> Decoded:
        """Answer target clips.

        Args:
            targets: [member] of [fold, seed, target clip, class].
        """
        fused = mix_fused([target.fused.mean((0, 1)) for target in targets], np.array(self.weights))
        return Decoded(OfficialDecoder(self.task).decode(Outputs.of_probabilities(fused), self.parameters), fused)


AnyDecoder = FinalDecoder | EnsembleDecoder | AveragedDecoder


def fit_decoder(
    members: Sequence[Member], outputs: Sequence[ModelOutputs], truth: Truth, decoding: Decoding | None = None
) -> AnyDecoder:
    """Fit what answers the average of several configurations' models, on all of their out-of-fold outputs.

    Out-of-fold outputs are averaged over a configuration's seeds: the average is as flat as that of so many final
    models.

    Args:
        members: configurations and weights.
        outputs: [member].
        truth: of the training clips.
        decoding: how the average is answered. None: one configuration that is decoded by thresholds keeps its own
            decoder, everything else is answered by states.
    """
    first = members[0].candidate.config
    if decoding is None and len(members) == 1 and first.decode.kind != "valid_states":
        return fit_final_decoder(truth.task, first, outputs[0], truth.state, truth.fold)
    weights, ratio_weights = (np.array([getattr(one, name) for one in members]) for name in ("weight", "ratio_weight"))
    calibrated = [CalibratedCandidate.of(one.candidate, own, truth) for one, own in zip(members, outputs, strict=True)]
    together = answer_together(calibrated, weights, ratio_weights, None, decoding or "states")
    if decoding == "official":
        thresholds = ThresholdParameters(np.asarray(together.fitted["alpha"]), np.asarray(together.fitted["beta"]))
        return AveragedDecoder(truth.task, tuple(weights.tolist()), thresholds)
    by_states = {"decode.kind": "valid_states"}
    return EnsembleDecoder(
        truth.task,
        tuple(
            fit_final_decoder(truth.task, change_config(one.candidate.config, by_states), own, truth.state, truth.fold)
            for one, own in zip(members, outputs, strict=True)
        ),
        tuple(weights.tolist()),
        tuple(ratio_weights.tolist()),
        Recalibration(**together.fitted),
        truth.shares(None),
    )


def decoder_from_dict(task: Task, values: Mapping[str, Any]) -> AnyDecoder:
    """The inverse of any decoder's `to_dict`."""
    if values["kind"] == "ensemble":
        return EnsembleDecoder.from_dict(task, values)
    return (AveragedDecoder if values["kind"] == "averaged" else FinalDecoder).from_dict(task, values)


def fit_final_decoder(task: Task, config: Config, outputs: ModelOutputs, truth_state: Int, fold: Int) -> FinalDecoder:
    """Fit a configuration's decoder on all of its out-of-fold outputs, every fold's labels included.

    The result answers clips of other actors; a score of it on these clips would be optimistic.

    Args:
        task: whose states are answered.
        config: with its decoder.
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

    Presence probabilities, the salience head's softmax and the fused probabilities are averaged each; logits of the
    averages stand in for them, so that any decoder reads the averages back.
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


def _expected_salience(task: Task, states: Float) -> NDArray[np.float64]:
    """[clip, class] from [clip, state]."""
    return np.asarray(states, np.float64) @ task.state_salience.astype(np.float64)


def _pool_seeds(outputs: Outputs) -> Outputs:
    """[seed, clip, class] as [seed * clip, class]: one fit over all seeds."""
    presence, salience, fused = (
        one.reshape(-1, one.shape[-1]) for one in (outputs.presence_logits, outputs.salience_logits, outputs.fused)
    )
    return Outputs(presence, salience, fused, outputs.presence_kind)
