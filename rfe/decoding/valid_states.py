"""A calibrated distribution over a task's states, answered by what each answer adds to the task's metric on average.

For BlEmoRE's Score that is pi({c}) for singles and pi(T) (1 + rho(r | T) / phi) for blends, with phi the share of
blends: more blend answers than blends are to be expected, and right only while the distribution is calibrated. The gain
is the metric's own business (`Metric.expected_gains`), the distribution that of `state_model` and `ratio_model`.
Equations ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int, Outputs, Parameters, broadcast_parameter
from rfe.decoding.newton import Array
from rfe.decoding.ratio_model import fit_ratio, ratio_evidence, ratio_probabilities
from rfe.decoding.state_model import fit_sets, presence_evidence, salience_evidence, softmax_sets
from rfe.metrics.choice import score_metric
from rfe.metrics.metric import LabelShares
from rfe.task import Task

LEAST_PROBABILITY = 1e-6
"""Of a true state in a log-likelihood, so that one clip with a broken feature does not outweigh all others."""
CHUNK_NUMBERS = 200_000
"""Numbers in a working array: this many stay in the processor's cache."""

LARGEST_SPAN = 30.0
"""A clip with a broken feature may be answered wrongly and without bounds, and would take every slope to 0 by itself:
clips whose logits span more than so many times the median clip's have no part in a fit."""
MOST_BROKEN = 0.05
"""Share of clips up to which such spans are a fault of the clips; beyond it they are how the model answers."""


@dataclass(frozen=True)
class ValidStatesParameters(Parameters):
    """Maximum-likelihood parameters; slopes are inverse temperatures, 0 where a head says nothing."""

    presence_slope: NDArray[np.float64]
    """[...] omega / t_p"""
    salience_slope: NDArray[np.float64]
    """[...] (1 - omega) / t_s"""
    set_bias: NDArray[np.float64]
    """[..., set], 0 for a set that no clip can show"""
    ratio_slope: NDArray[np.float64]
    """[...] gamma, 0 where a blend's ratio is not asked"""
    ratio_bias: NDArray[np.float64]
    """[..., level] beta, from the level next to the outermost inward"""
    blend_share: NDArray[np.float64]
    """[...] phi of the clips fitted on."""
    set_share: NDArray[np.float64]
    """[..., set] of the clips fitted on."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; earlier versions wrote the one level of 70/50/30 as `ratio_even`, and no
        `set_share`, which BlEmoRE's metric does not read."""
        if "ratio_even" in values:
            values = {**values, "ratio_bias": np.asarray(values["ratio_even"], np.float64)[..., None]}
        return super().from_dict({"set_share": np.zeros_like(values["set_bias"]), **values})

    def shares(self, leading: tuple[int, ...], fold_index: Int | None) -> LabelShares:
        """Flat, for the distributions of outputs with these leading axes: [replica, clip or 1]."""
        blend = broadcast_parameter(self.blend_share, leading, fold_index)
        sets = self.set_share[..., None, :] if fold_index is None else self.set_share[..., fold_index, :]
        sets = np.broadcast_to(sets, (*leading, *sets.shape[-2:]))
        return LabelShares(blend.reshape(-1, blend.shape[-1]), sets.reshape(-1, *sets.shape[-2:]))


class ValidStatesDecoder:
    """Decoder over a task's states.

    Args:
        task: the task.
        omega: head-fusion weight of presence, scalar or [...] by replica. 0 leaves the presence head out, 1 the
            salience head; between them the fitted temperatures weigh the heads.
    """

    def __init__(self, task: Task, omega: float | Float = 0.5) -> None:
        self.task = task
        self.omega = np.asarray(omega, np.float64)

    def fit(self, outputs: Outputs, truth_state: Int, *, set_offset: Float | None = None) -> ValidStatesParameters:
        """As `Decoder.fit`."""
        everyone = np.ones((1, len(truth_state)), np.bool_)
        fitted = self.fit_folds(outputs, truth_state, everyone, set_offset=set_offset)
        return fitted.reshape(*outputs.leading, axes=len(outputs.leading) + 1)

    def fit_folds(
        self, outputs: Outputs, truth_state: Int, membership: NDArray[np.bool_], *, set_offset: Float | None = None
    ) -> ValidStatesParameters:
        """As `Decoder.fit_folds`."""
        task, flat, leading = self.task, outputs.flat(), outputs.leading
        omega = np.broadcast_to(self.omega, leading).reshape(-1)
        use = np.stack([omega > 0, omega < 1], -1)
        offset = _flat_offset(set_offset, leading)
        truth_set, blend = task.state_set[truth_state], np.flatnonzero(task.state_is_blend[truth_state])
        truth_pair, truth_ratio = np.divmod(truth_state[blend] - task.n_classes, task.n_ratios)
        size = np.maximum(membership.sum(1), 1)
        phi = membership[:, blend].sum(1) / size
        set_share = membership @ np.eye(task.n_sets)[truth_set] / size[:, None]  # [fold, set]
        parts = []
        for part in _replica_chunks(len(flat.fused), membership.size * task.n_sets):
            presence, salience, finite = _finite_logits(flat.replicas(part))
            sound = finite & _is_ordinary(presence, finite) & _is_ordinary(salience, finite)
            weight = (sound[:, None] & membership).astype(np.float64)  # [replica, fold, clip]
            evidence = (
                presence_evidence(task, presence, None if offset is None else offset[part]),
                salience_evidence(task, salience),
            )
            difference = ratio_evidence(task, salience[:, blend])[:, truth_pair, np.arange(len(blend))]
            parts.append(
                ValidStatesParameters(
                    *_fit_possible_sets(task, *evidence, truth_set, weight, use[part]),
                    *fit_ratio(task, difference, truth_ratio, weight[..., blend]),
                    np.broadcast_to(phi, weight.shape[:2]),
                    np.broadcast_to(set_share, (*weight.shape[:2], task.n_sets)),
                )
            )
        joined = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(parts[0]))
        return ValidStatesParameters(*joined).reshape(*leading, len(membership), axes=2)

    def fit_and_decode(
        self,
        outputs: Outputs,
        truth_state: Int,
        membership: NDArray[np.bool_],
        fold_index: Int,
        *,
        set_offset: Float | None = None,
    ) -> tuple[NDArray[np.int64], ValidStatesParameters]:
        """As `Decoder.fit_and_decode`."""
        parameters = self.fit_folds(outputs, truth_state, membership, set_offset=set_offset)
        return self.decode(outputs, parameters, fold_index=fold_index, set_offset=set_offset), parameters

    def decode(
        self,
        outputs: Outputs,
        parameters: ValidStatesParameters,
        *,
        fold_index: Int | None = None,
        set_offset: Float | None = None,
    ) -> NDArray[np.int64]:
        """As `Decoder.decode`."""
        shares = parameters.shares(outputs.leading, fold_index)
        answers = [
            answer_states(self.task, probabilities, LabelShares(np.asarray(shares.blend)[part], shares.sets[part]))
            for part, probabilities in self.distributions(outputs, parameters, fold_index, set_offset)
        ]
        return np.concatenate(answers).reshape(*outputs.leading, outputs.n_clips)

    def distributions(
        self,
        outputs: Outputs,
        parameters: ValidStatesParameters,
        fold_index: Int | None,
        set_offset: Float | None,
    ) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """What is decided by: runs of the flat replicas and their distributions [replica, clip, state]; arguments as
        `decode`."""
        return _distributions(self.task, outputs, parameters, fold_index, set_offset)


def state_probabilities(
    task: Task,
    outputs: Outputs,
    parameters: ValidStatesParameters,
    *,
    fold_index: Int | None = None,
    set_offset: Float | None = None,
) -> NDArray[np.float64]:
    """The distribution over the task's states.

    Args: as `Decoder.decode`.

    Returns:
        [..., clip, state] that sums to 1, 0 for what no clip can show; nan where an output is not finite.
    """
    parts = [probabilities for _, probabilities in _distributions(task, outputs, parameters, fold_index, set_offset)]
    return np.concatenate(parts).reshape(*outputs.leading, outputs.n_clips, task.n_states)


def log_likelihood(
    task: Task,
    outputs: Outputs,
    parameters: ValidStatesParameters,
    truth_state: Int,
    *,
    fold_index: Int | None = None,
    set_offset: Float | None = None,
) -> NDArray[np.float64]:
    """Mean log-probability of the clips' true states, nats.

    Args:
        task, outputs, parameters, fold_index, set_offset: as in `ValidStatesDecoder.decode`.
        truth_state: [clip] true states.

    Returns:
        [...]; a clip counts with `LEAST_PROBABILITY` at least, also where an output is not finite.
    """
    clips, parts = np.arange(outputs.n_clips), []
    for _, probabilities in _distributions(task, outputs, parameters, fold_index, set_offset):
        of_truth = np.nan_to_num(probabilities[:, clips, truth_state])
        parts.append(np.log(np.maximum(of_truth, LEAST_PROBABILITY)).mean(-1))
    return np.concatenate(parts).reshape(outputs.leading)


def answer_states(task: Task, probabilities: Float, shares: LabelShares) -> NDArray[np.int64]:
    """The answer that adds most to the task's metric on average.

    Args:
        task: whose states they are.
        probabilities: [..., clip, state]; the distribution may be an average over models.
        shares: of the clips that it was fitted on.

    Returns:
        [..., clip] states that a clip can show; -1 where the distribution is nan.
    """
    gains = score_metric(task).expected_gains(task, probabilities, shares)
    if not task.state_possible.all():
        gains = np.where(task.state_possible | np.isnan(gains), gains, -np.inf)
    return np.where(np.isnan(gains[..., 0]), -1, gains.argmax(-1))


def _fit_possible_sets(
    task: Task, presence: Array, salience: Array, truth_set: NDArray[np.int64], weight: Array, use: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """`fit_sets` of the sets that a clip can show; the others' biases are 0."""
    possible = task.set_possible
    if possible.all():
        return fit_sets(presence, salience, truth_set, weight, use)
    of_possible = np.cumsum(possible) - 1  # [set]
    own = fit_sets(presence[:, possible], salience[:, possible], of_possible[truth_set], weight, use)
    bias = np.zeros((*weight.shape[:2], task.n_sets))
    bias[..., possible] = own[2]
    return own[0], own[1], bias


def _distributions(
    task: Task, outputs: Outputs, parameters: ValidStatesParameters, fold_index: Int | None, set_offset: Float | None
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Runs of the flat replicas and their distributions [replica, clip, state]; arguments as `Decoder.decode`."""
    flat, leading = outputs.flat(), outputs.leading
    offset = _flat_offset(set_offset, leading)
    by_fold = fold_index is not None
    n_folds = parameters.blend_share.shape[-1:] if by_fold else ()
    own = parameters.broadcast(leading, parameters.blend_share.ndim - by_fold)
    own = own.reshape(len(flat.fused), *n_folds, axes=len(leading) + by_fold)
    for part in _replica_chunks(len(flat.fused), flat.n_clips * task.n_states):
        presence, salience, finite = _finite_logits(flat.replicas(part))
        of_clip = own.at(part, np.newaxis) if fold_index is None else own.at(part, fold_index)  # [replica, clip or 1]
        logits = presence_evidence(task, presence, None if offset is None else offset[part])  # [replica, set, clip]
        logits *= of_clip.presence_slope[:, None]
        logits += of_clip.salience_slope[:, None] * salience_evidence(task, salience)
        logits += np.moveaxis(of_clip.set_bias, -1, -2)
        if not task.set_possible.all():
            logits[:, ~task.set_possible] = -np.inf
        softmax_sets(logits)
        sets = np.moveaxis(logits, -1, -2)  # [replica, clip, set]
        difference = ratio_evidence(task, salience)
        ratios = ratio_probabilities(task, difference, of_clip.ratio_slope, of_clip.ratio_bias)
        pairs = sets[..., task.n_classes :, None] * ratios
        states = np.concatenate(
            [sets[..., : task.n_classes], pairs.reshape(*pairs.shape[:2], task.n_states - task.n_classes)], -1
        )
        states[~finite] = np.nan
        yield part, states


def _replica_chunks(n_replicas: int, numbers_each: int) -> Iterator[slice]:
    """Runs of replicas whose working arrays hold about `CHUNK_NUMBERS`."""
    step = max(1, CHUNK_NUMBERS // max(numbers_each, 1))
    for start in range(0, n_replicas, step):
        yield slice(start, start + step)


def _finite_logits(flat: Outputs) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Presence and salience logits, 0 in clips that are not finite, and which clips are finite [replica, clip]."""
    finite = np.isfinite(flat.presence_logits.sum(-1) + flat.salience_logits.sum(-1))
    if finite.all():
        return flat.presence_logits, flat.salience_logits, finite
    keep = finite[..., None]
    return np.where(keep, flat.presence_logits, 0.0), np.where(keep, flat.salience_logits, 0.0), finite


def _is_ordinary(logits: Float, finite: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[replica, clip] whether the clip's logits span at most `LARGEST_SPAN` times the median of those that span
    anything; True throughout a replica where more than `MOST_BROKEN` of the clips do not."""
    span = np.where(finite, np.ptp(logits, -1), 0.0)
    some, last = (span > 0).sum(-1, keepdims=True), span.shape[-1] - 1
    typical = np.take_along_axis(np.sort(span, -1), np.minimum(last + 1 - some + some // 2, last), -1)
    ordinary = span <= LARGEST_SPAN * typical
    return np.asarray(ordinary | ((~ordinary).mean(-1, keepdims=True) > MOST_BROKEN))


def _flat_offset(set_offset: Float | None, leading: tuple[int, ...]) -> Float | None:
    """[replica, clip or 1, set]"""
    if set_offset is None:
        return None
    offset = np.broadcast_to(set_offset, (*leading, *np.shape(set_offset)[-2:]))
    return offset.reshape(-1, *offset.shape[-2:])
