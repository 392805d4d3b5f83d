"""Decodes many models of several configurations: their probabilities are averaged, then decoded once.

An ensemble is answered by states, or by official thresholds on its averaged fused probabilities, whatever decoder its
members were searched with; or, by states, with each actor's clips matched to the training actors' mean design.
Equations ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.load import change_config
from rfe.decoding.base import Int, Outputs
from rfe.decoding.design import match_design, mean_design
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.thresholds import ThresholdParameters
from rfe.decoding.valid_states import answer_states
from rfe.ensemble.answering import answer_together
from rfe.ensemble.calibrated import CalibratedCandidate, Decoding, Truth
from rfe.ensemble.candidates import ModelOutputs
from rfe.ensemble.final_decoder import Decoded, FinalDecoder, average_states, expected_salience, fit_final_decoder
from rfe.ensemble.mixing import mix_fused, mix_states
from rfe.ensemble.recalibration import Recalibration
from rfe.ensemble.selection import Member
from rfe.metrics.metric import LabelShares
from rfe.task import Task


@dataclass(frozen=True)
class EnsembleDecoder:
    """Decodes the average of several configurations."""

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

    def decode(self, targets: Sequence[Outputs], actor: Int | None = None) -> Decoded:
        """Answer target clips.

        Args:
            targets: [member] of [fold, seed, target clip, class].
            actor: not read.
        """
        states = self.states(targets)
        return Decoded(answer_states(self.task, states, self.shares), expected_salience(self.task, states))

    def states(self, targets: Sequence[Outputs]) -> NDArray[np.float64]:
        """[target clip, state] the recalibrated average; nan where a model's output is not finite."""
        each = [average_states(member, target) for member, target in zip(self.members, targets, strict=True)]
        mixed = mix_states(self.task, each, np.array(self.weights), np.array(self.ratio_weights))
        finite = np.isfinite(mixed).all(-1)
        states = np.full(mixed.shape, np.nan)
        states[finite] = self.recalibration.apply(self.task, mixed[finite])
        return states


@dataclass(frozen=True)
class MatchedDecoder:
    """Decodes an ensemble's average with each actor's clips matched to the design; transductive."""

    ensemble: EnsembleDecoder
    design: NDArray[np.float64]
    """[state] mean number of clips that a training actor shows it in."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"kind": "design", "design": self.design.tolist(), "of": self.ensemble.to_dict()}

    @classmethod
    def from_dict(cls, task: Task, values: Mapping[str, Any]) -> "MatchedDecoder":
        """The inverse of `to_dict`."""
        design = np.asarray(values["design"], np.float64)
        if design.shape != (task.n_states,):
            raise ValueError(f"its design has the shape {design.shape}, but the task has {task.n_states} states")
        return cls(EnsembleDecoder.from_dict(task, values["of"]), design)

    def decode(self, targets: Sequence[Outputs], actor: Int | None = None) -> Decoded:
        """Answer target clips.

        Args:
            targets: [member] of [fold, seed, target clip, class].
            actor: [target clip] equal numbers are one actor, all of whose clips are there.

        Raises:
            ValueError: no actors are given.
        """
        if actor is None:
            raise ValueError("the design decoder answers each actor's clips together, and no actors are given")
        task = self.ensemble.task
        states = match_design(self.ensemble.states(targets), actor, self.design[None])
        return Decoded(answer_states(task, states, self.ensemble.shares), expected_salience(task, states))


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

    def decode(self, targets: Sequence[Outputs], actor: Int | None = None) -> Decoded:
        """Answer target clips.

        Args:
            targets: [member] of [fold, seed, target clip, class].
            actor: not read.
        """
        fused = mix_fused([target.fused.mean((0, 1)) for target in targets], np.array(self.weights))
        return Decoded(OfficialDecoder(self.task).decode(Outputs.of_probabilities(fused), self.parameters), fused)


AnyDecoder = FinalDecoder | EnsembleDecoder | MatchedDecoder | AveragedDecoder


def fit_decoder(
    members: Sequence[Member], outputs: Sequence[ModelOutputs], truth: Truth, decoding: Decoding | None = None
) -> AnyDecoder:
    """Fit the decoder for the average of several configurations' models, on all of their out-of-fold outputs.

    Out-of-fold outputs are averaged over a configuration's seeds: the average is as flat as that of so many final
    models.

    Args:
        members: configurations and weights.
        outputs: [member].
        truth: of the training clips.
        decoding: how the average is answered. None: one configuration keeps its own decoder, thresholds or design;
            everything else is answered by states.
    """
    first = members[0].candidate.config
    if decoding is None and len(members) == 1 and first.decode.kind != "valid_states":
        return fit_final_decoder(truth.task, first, outputs[0], truth.state, truth.fold)
    decoding = decoding or own_decoding(members)
    weights, ratio_weights = (np.array([getattr(one, name) for one in members]) for name in ("weight", "ratio_weight"))
    calibrated = [CalibratedCandidate.of(one.candidate, own, truth) for one, own in zip(members, outputs, strict=True)]
    together = answer_together(calibrated, weights, ratio_weights, None, decoding)
    if decoding == "official":
        thresholds = ThresholdParameters(np.asarray(together.fitted["alpha"]), np.asarray(together.fitted["beta"]))
        return AveragedDecoder(truth.task, tuple(weights.tolist()), thresholds)
    by_states = {"decode.kind": "valid_states", "decode.design": "none"}
    ensemble = EnsembleDecoder(
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
    if decoding != "design":
        return ensemble
    assert truth.actor is not None  # as in `Truth.matched`
    return MatchedDecoder(ensemble, mean_design(truth.task, truth.state, truth.actor))


def own_decoding(members: Sequence[Member]) -> Decoding:
    """Return the default decoding of members that are decoded by states: that of a single configuration is its own."""
    alone = members[0].candidate.config if len(members) == 1 else None
    return "design" if alone is not None and alone.decode.design == "actor" else "states"


def decoder_from_dict(task: Task, values: Mapping[str, Any]) -> AnyDecoder:
    """The inverse of any decoder's `to_dict`."""
    if values["kind"] == "ensemble":
        return EnsembleDecoder.from_dict(task, values)
    if values["kind"] == "design":
        return MatchedDecoder.from_dict(task, values)
    return (AveragedDecoder if values["kind"] == "averaged" else FinalDecoder).from_dict(task, values)
