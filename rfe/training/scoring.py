"""Scoring protocols: from out-of-fold outputs to answers, hits and scores, many configurations in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.schema import FITTED_KINDS, Config, DecodeSection
from rfe.data.metadata import Clips
from rfe.decoding.base import Decoder, Float, Outputs, Parameters
from rfe.decoding.fitting import build_decoder, crossfit_decode, official_decode
from rfe.decoding.valid_states import ValidStatesDecoder, ValidStatesParameters, log_likelihood
from rfe.metrics.score import FoldTotals, fold_totals
from rfe.task import Task
from rfe.training.balance import set_weights

if TYPE_CHECKING:
    from rfe.training.prediction import Predictions  # which brings torch


@dataclass
class OutOfFold:
    """One configuration's out-of-fold outputs, filled fold by fold."""

    presence_logits: NDArray[np.float32]
    """[seed, source clip, class, or set with logits for pairs; see `decoding.base.Outputs`]"""
    salience_logits: NDArray[np.float32]
    """[seed, source clip, class, or set with leanings of pairs]"""
    fused: NDArray[np.float32]

    @classmethod
    def empty(cls, task: Task, config: Config, n_clips: int) -> "OutOfFold":
        """Not a number until a fold is filled in."""
        widths = (n_presence_logits(task, config), n_salience_logits(task, config), task.n_classes)
        return cls(*(np.full((config.train.seeds, n_clips, width), np.nan, np.float32) for width in widths))

    def fill(self, predictions: "Predictions", replica: int, seed: int, clips: NDArray[np.int64]) -> None:
        """Fill in what one replica of a stack predicts of its held-out clips."""
        for name in ("presence_logits", "salience_logits", "fused"):
            mine = getattr(self, name)
            mine[seed, clips] = getattr(predictions, name)[replica, : len(clips), : mine.shape[-1]]


@dataclass(frozen=True)
class ProtocolAnswers:
    """The protocol's answers for one configuration, and their scores."""

    predicted_state: NDArray[np.int64]
    """[seed, source clip]"""
    hits: FoldTotals
    """[seed, fold]"""
    log_likelihood: float = float("nan")
    """Of the true states, mean over clips and seeds, nats; NaN with protocol `official`, which cross-fits nothing."""


def presence_kind(config: Config) -> str:
    """How the configuration's presence logits become probabilities; only a network's own can be `bce`."""
    return "bce" if config.model.kind == "fusion" and config.loss.presence == "bce" else "states"


def n_presence_logits(task: Task, config: Config) -> int:
    """One for each class; for each set where these are no sums of the classes', or members' sets were averaged."""
    if config.model.kind in FITTED_KINDS:
        return task.n_sets
    if config.model.kind != "fusion" or config.loss.presence == "bce":
        return task.n_classes
    own = config.loss.presence == "sets" or (config.model.heads.blend == "own" and task.has_both_sizes)
    return task.n_sets if own or config.model.members > 1 else task.n_classes


def n_salience_logits(task: Task, config: Config) -> int:
    """One for each class, and one for each pair where it has a head for its ratio."""
    own = config.model.kind == "fusion" and config.model.heads.ratio == "pair" and task.has_ratios
    return task.n_sets if own else task.n_classes


def log_set_weights(config: Config, clips: Clips, folds: Sequence[int] | None = None) -> NDArray[np.float64]:
    """[fold, set] log class-balance weight that each fold's model was trained with; `folds` None: all."""
    folds = clips.folds if folds is None else folds
    n_actors = 0 if config.data.training_actors == "all" else config.data.training_actors
    weights = np.stack([set_weights(clips, fold, config.loss.balance, n_actors) for fold in folds])
    return np.log(weights.astype(np.float64))


def answer(
    configs: Sequence[Config],
    outputs: Sequence[OutOfFold],
    clips: Clips,
    folds: Sequence[tuple[int, ...]] | None = None,
) -> list[ProtocolAnswers]:
    """Decode every configuration by its own protocol and decoder.

    Args:
        configs: configurations; those with one decoder, number of seeds and of logits are decoded together.
        outputs: of each.
        clips: of the data set.
        folds: of each, those that count (the others' clips are answered with -1); None: all. At least two for
            `crossfit`.

    Returns:
        In the order of `configs`.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, config in enumerate(configs):
        counted = clips.folds if folds is None else folds[index]
        one = outputs[index]
        shape = (len(one.fused), one.presence_logits.shape[-1], one.salience_logits.shape[-1])
        key = (config.protocol, config.decode, shape, counted)
        groups.setdefault(key, []).append(index)
    answers: dict[int, ProtocolAnswers] = {}
    for (protocol, decode, (n_seeds, *_), counted), members in groups.items():
        mine = np.isin(clips.fold[: clips.n_source], counted)
        truth, fold = clips.state[: clips.n_source][mine], clips.fold[: clips.n_source][mine]
        stacked = _stack([configs[i] for i in members], [outputs[i] for i in members], mine)
        if protocol == "official":
            predicted, _ = official_decode(clips.task, stacked, truth, fold, decode.thresholds)
            likelihood = np.full(len(members), np.nan)
        else:
            omega = np.array([[configs[i].model.head_fusion.presence_weight] for i in members])
            omega = np.broadcast_to(omega, stacked.leading)
            offset = _offsets([configs[i] for i in members], clips, mine)
            decoder = _decoder(decode, clips, omega, mine)
            predicted, fitted = crossfit_decode(decoder, stacked, truth, fold, set_offset=offset)
            likelihood = _log_likelihood(clips.task, stacked, truth, fold, omega, offset, fitted).mean(1)
        for position, index in enumerate(members):
            hits = fold_totals(clips.task, truth, predicted[position], fold, counted)
            states = np.full((n_seeds, clips.n_source), -1, np.int64)
            states[:, mine] = predicted[position]
            answers[index] = ProtocolAnswers(states, hits, float(likelihood[position]))
    return [answers[index] for index in range(len(configs))]


def _log_likelihood(
    task: Task,
    outputs: Outputs,
    truth: NDArray[np.int64],
    fold: NDArray[np.int64],
    omega: NDArray[np.float64],
    offset: NDArray[np.float64] | None,
    fitted: Parameters,
) -> NDArray[np.float64]:
    """[configuration, seed] cross-fitted, of the states' distribution, whichever decoder (of parameters `fitted`)
    answers; with a design, of the distribution before it is matched."""
    folds, fold_index = np.unique(fold, return_inverse=True)
    if not isinstance(fitted, ValidStatesParameters):
        decoder = ValidStatesDecoder(task, omega)
        fitted = decoder.fit_folds(outputs, truth, folds[:, None] != fold, set_offset=offset)
    return log_likelihood(task, outputs, fitted, truth, fold_index=fold_index, set_offset=offset)


def answer_with(config: Config, fitted: OutOfFold, outputs: Sequence[OutOfFold], clips: Clips) -> NDArray[np.int64]:
    """Answers to other outputs of a configuration's models with the decoder that was fitted to theirs.

    Args:
        config: with protocol `crossfit`.
        fitted: the out-of-fold outputs that each fold's parameters are fitted on, the fold's own left out.
        outputs: what is answered, fold by fold; each with as many seeds.
        clips: of the data set.

    Returns:
        [output, seed, source clip] states.
    """
    everyone = np.ones(clips.n_source, np.bool_)
    truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
    folds, fold_index = np.unique(fold, return_inverse=True)
    own = _stack([config], [fitted], everyone)
    omega = np.broadcast_to(np.array([[config.model.head_fusion.presence_weight]]), own.leading)
    offset = _offsets([config], clips, everyone)
    decoder = _decoder(config.decode, clips, omega, everyone)
    parameters = decoder.fit_folds(own, truth, folds[:, None] != fold, set_offset=offset)
    states = [
        decoder.decode(_stack([config], [one], everyone), parameters, fold_index=fold_index, set_offset=offset)[0]
        for one in outputs
    ]
    return np.stack(states)


def held_out_divergence(outputs: OutOfFold, clips: Clips, folds: tuple[int, ...]) -> float:
    """Mean KL(soft label || q) over the source clips of `folds` and over seeds, nats; needs no decoder."""
    mine = np.isin(clips.fold[: clips.n_source], folds)
    soft = clips.task.state_salience[clips.state[: clips.n_source][mine]]
    positive = np.where(soft > 0, soft, 1.0)
    return float((soft * (np.log(positive) - np.log(np.maximum(outputs.fused[:, mine], 1e-12)))).sum(-1).mean())


def _decoder(decode: DecodeSection, clips: Clips, omega: Float, mine: NDArray[np.bool_]) -> Decoder[Any]:
    """For outputs on the clips that are `mine` [source clip]."""
    actor = clips.actor[: clips.n_source][mine] if decode.design == "actor" else None
    return build_decoder(clips.task, decode.kind, decode.thresholds, omega, actor)


def _stack(configs: Sequence[Config], outputs: Sequence[OutOfFold], mine: NDArray[np.bool_]) -> Outputs:
    """The outputs on the clips that are `mine` [source clip]."""
    kinds = np.array([[presence_kind(config) == "states"] for config in configs])
    fused = np.stack([one.fused[:, mine] for one in outputs])  # [configuration, seed, clip, class]
    return Outputs(
        np.stack([one.presence_logits[:, mine] for one in outputs]),
        np.stack([one.salience_logits[:, mine] for one in outputs]),
        fused,
        np.broadcast_to(kinds, fused.shape[:2]),
    )


def _offsets(configs: Sequence[Config], clips: Clips, mine: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """[configuration, 1, clip that is `mine`, set]: each clip's offset is that of the model that held it out."""
    if all(config.loss.balance == "none" for config in configs):
        return None
    row = np.searchsorted(np.asarray(clips.folds), clips.fold[: clips.n_source][mine])
    return np.stack([log_set_weights(config, clips)[row] for config in configs])[:, None]
