"""Presence decides which emotions, salience decides their ratio.

Two emotions if the second largest presence probability reaches tau, else the largest alone; neutral among the two: a
single, the larger. The ratio follows from t = s_a / (s_a + s_b) of the salience head's softmax: 50/50 where
|t - 1/2| <= delta, else 70/30 toward the larger. Equation ours.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Outputs
from rfe.decoding.candidates import Candidates
from rfe.decoding.official import two_largest
from rfe.decoding.thresholds import ThresholdDecoder
from rfe.labels import N_EMOTIONS, N_SETS, SET_MEMBERS


class DecoupledDecoder(ThresholdDecoder):
    """`strength` is the second largest presence probability, `unevenness` is |t - 1/2|.

    The grid for delta is the organisers' on half the scale, as |t - 1/2| ends at 1/2.
    """

    even_grid = np.linspace(0.05, 0.95, 20) / 2
    even_range = 0.5

    def candidates(self, outputs: Outputs) -> Candidates:
        """As `ThresholdDecoder.candidates`."""
        first, second, _, strength = two_largest(presence_probabilities(outputs))
        pair = np.stack([first, second], -1).astype(np.intp)
        of_first, of_second = np.moveaxis(np.take_along_axis(outputs.salience_logits, pair, -1), -1, 0)
        finite = np.isfinite(outputs.presence_logits.sum(-1) + outputs.salience_logits.sum(-1))
        with np.errstate(invalid="ignore", over="ignore"):
            # t = s_a / (s_a + s_b) = sigmoid(g_a - g_b), so |t - 1/2| = tanh(|g_a - g_b| / 2) / 2
            unevenness = 0.5 * np.tanh(0.5 * np.abs(of_first - of_second))
        larger = np.where((of_second > of_first) | ((of_second == of_first) & (second < first)), second, first)
        return Candidates.of_pairs(first, second, larger, strength, unevenness, finite)


def presence_probabilities(outputs: Outputs) -> Float:
    """[..., clip, emotion] probability that each emotion is present.

    Sigmoid of each logit (`bce`), or the marginals of the softmax over the 16 sets, a set's logit being the sum of
    its members' logits (`states`).
    """
    logits = outputs.presence_logits
    kind = outputs.presence_kind
    states = (
        np.full(outputs.leading, kind == "states") if isinstance(kind, str) else np.broadcast_to(kind, outputs.leading)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        if states.all():
            return _marginals(logits)
        probabilities = 1.0 / (1.0 + np.exp(-logits[..., :N_EMOTIONS]))
        if states.any():
            probabilities[states] = _marginals(logits[states])
    return probabilities


def _marginals(logits: Float) -> Float:
    """Marginals of the set distribution, [..., emotion], from logits of emotions or sets."""
    members: NDArray[np.floating] = SET_MEMBERS.astype(logits.dtype)
    sets = logits if logits.shape[-1] == N_SETS else logits @ members.T
    weight = np.exp(sets - sets.max(-1, keepdims=True))
    return np.asarray((weight @ members) / weight.sum(-1, keepdims=True))
