"""A calibrated distribution over the 36 states, answered by expected score.

2 N Score = sum over clips of [set right] + sum over clips of [blend's state right] / phi, with phi the share of
blends. So the best answer to a clip is the largest of pi({c}) for singles and pi(T) (1 + rho(r | T) / phi) for all 30
pair-ratio states. More blend answers than blends are to be expected; they are right only while the distribution is
calibrated. The distribution itself is in `state_model`. Equations ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int, Outputs, Parameters, broadcast_parameter
from rfe.decoding.state_model import (
    fit_ratio,
    fit_sets,
    presence_evidence,
    ratio_evidence,
    ratio_probabilities,
    salience_evidence,
    softmax_sets,
)
from rfe.labels import N_EMOTIONS, N_SETS, N_STATES, PAIRS, STATE_IS_BLEND, STATE_SET

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
    """[..., set]"""
    ratio_slope: NDArray[np.float64]
    """[...] gamma"""
    ratio_even: NDArray[np.float64]
    """[...] beta"""
    blend_share: NDArray[np.float64]
    """[...] phi of the clips fitted on."""


class ValidStatesDecoder:
    """Decoder over the 36 states.

    Args:
        omega: head-fusion weight of presence, scalar or [...] by replica. 0 leaves the presence head out, 1 the
            salience head; between them the fitted temperatures weigh the heads.
    """

    def __init__(self, omega: float | Float = 0.5) -> None:
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
        flat, leading = outputs.flat(), outputs.leading
        omega = np.broadcast_to(self.omega, leading).reshape(-1)
        use = np.stack([omega > 0, omega < 1], -1)
        offset = _flat_offset(set_offset, leading)
        truth_set, blend = STATE_SET[truth_state], np.flatnonzero(STATE_IS_BLEND[truth_state])
        truth_pair, truth_ratio = np.divmod(truth_state[blend] - N_EMOTIONS, 3)
        phi = membership[:, blend].sum(1) / np.maximum(membership.sum(1), 1)
        parts = []
        for part in _replica_chunks(len(flat.fused), membership.size * N_SETS):
            presence, salience, finite = _finite_logits(flat.replicas(part))
            sound = finite & _is_ordinary(presence, finite) & _is_ordinary(salience, finite)
            weight = (sound[:, None] & membership).astype(np.float64)  # [replica, fold, clip]
            evidence = (
                presence_evidence(presence, None if offset is None else offset[part]),
                salience_evidence(salience),
            )
            difference = ratio_evidence(salience[:, blend])[:, truth_pair, np.arange(len(blend))]
            parts.append(
                ValidStatesParameters(
                    *fit_sets(*evidence, truth_set, weight, use[part]),
                    *fit_ratio(difference, truth_ratio, weight[..., blend]),
                    np.broadcast_to(phi, weight.shape[:2]),
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
        phi = broadcast_parameter(parameters.blend_share, outputs.leading, fold_index)
        phi = phi.reshape(-1, phi.shape[-1])
        answers = [
            answer_states(probabilities, phi[part])
            for part, probabilities in _distributions(outputs, parameters, fold_index, set_offset)
        ]
        return np.concatenate(answers).reshape(*outputs.leading, outputs.n_clips)


def state_probabilities(
    outputs: Outputs,
    parameters: ValidStatesParameters,
    *,
    fold_index: Int | None = None,
    set_offset: Float | None = None,
) -> NDArray[np.float64]:
    """The distribution over the 36 states.

    Args: as `Decoder.decode`.

    Returns:
        [..., clip, state] that sums to 1; nan where an output is not finite.
    """
    parts = [probabilities for _, probabilities in _distributions(outputs, parameters, fold_index, set_offset)]
    return np.concatenate(parts).reshape(*outputs.leading, outputs.n_clips, N_STATES)


def expected_gains(probabilities: Float, phi: Float | float) -> NDArray[np.float64]:
    """What each of the 36 answers adds to N (ACC_presence + ACC_salience), on average.

    Args:
        probabilities: [..., clip, state].
        phi: [..., clip or 1] or scalar, share of blends; 0 (no blends at all) leaves the presence part.

    Returns:
        [..., clip, state]
    """
    share = np.asarray(phi, np.float64)[..., None]
    worth = np.divide(1.0, share, out=np.zeros_like(share), where=share > 0)
    singles, blends = probabilities[..., :N_EMOTIONS], probabilities[..., N_EMOTIONS:]
    by_pair = blends.reshape(*blends.shape[:-1], len(PAIRS), 3)
    by_pair = by_pair.sum(-1, keepdims=True) + worth[..., None] * by_pair
    return np.concatenate([singles, by_pair.reshape(blends.shape)], -1)


def answer_states(probabilities: Float, phi: Float | float) -> NDArray[np.int64]:
    """The answer with the highest expected score.

    Args: as `expected_gains`; the distribution may be an average over models.

    Returns:
        [..., clip] states; -1 where the distribution is nan.
    """
    gains = expected_gains(probabilities, phi)
    return np.where(np.isnan(gains[..., 0]), -1, gains.argmax(-1))


def _distributions(
    outputs: Outputs, parameters: ValidStatesParameters, fold_index: Int | None, set_offset: Float | None
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Runs of the flat replicas and their distributions [replica, clip, state]."""
    flat, leading = outputs.flat(), outputs.leading
    offset = _flat_offset(set_offset, leading)
    by_fold = fold_index is not None
    own = parameters.broadcast(leading, parameters.blend_share.ndim - by_fold)
    own = own.reshape(len(flat.fused), *((-1,) if by_fold else ()), axes=len(leading) + by_fold)
    for part in _replica_chunks(len(flat.fused), flat.n_clips * N_STATES):
        presence, salience, finite = _finite_logits(flat.replicas(part))
        of_clip = own.at(part, np.newaxis) if fold_index is None else own.at(part, fold_index)  # [replica, clip or 1]
        logits = presence_evidence(presence, None if offset is None else offset[part])  # [replica, set, clip]
        logits *= of_clip.presence_slope[:, None]
        logits += of_clip.salience_slope[:, None] * salience_evidence(salience)
        logits += np.moveaxis(of_clip.set_bias, -1, -2)
        softmax_sets(logits)
        sets = np.moveaxis(logits, -1, -2)  # [replica, clip, set]
        ratios = ratio_probabilities(ratio_evidence(salience), of_clip.ratio_slope, of_clip.ratio_even)
        pairs = sets[..., N_EMOTIONS:, None] * ratios
        states = np.concatenate([sets[..., :N_EMOTIONS], pairs.reshape(*pairs.shape[:2], -1)], -1)
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
