"""Presence decides which classes, salience decides their ratio.

Two classes if the second largest presence probability reaches tau, else the largest alone; two that never blend: a
single, the larger. The ratio follows from t = s_a / (s_a + s_b) of the salience head's softmax: 50/50 where
|t - 1/2| <= delta, else 70/30 toward the larger. Equation ours.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Outputs
from rfe.decoding.candidates import Candidates
from rfe.decoding.official import two_largest
from rfe.decoding.thresholds import ThresholdDecoder
from rfe.task import Task


class DecoupledDecoder(ThresholdDecoder):
    """`strength` is the second largest presence probability, `unevenness` is |t - 1/2|.

    The grid for delta is the organisers' on half the scale, as |t - 1/2| ends at 1/2.
    """

    kind = "decoupled"
    even_grid = np.linspace(0.05, 0.95, 20) / 2
    even_range = 0.5

    def candidates(self, outputs: Outputs) -> Candidates:
        """As `ThresholdDecoder.candidates`."""
        presence = presence_probabilities(self.task, outputs)
        first, next_class, _, next_largest = two_largest(presence)
        second, _, strength = self.pairs.second(presence, first, next_class, next_largest)
        pair = np.stack([first, second], -1).astype(np.intp)
        of_first, of_second = np.moveaxis(np.take_along_axis(outputs.salience_logits, pair, -1), -1, 0)
        finite = np.isfinite(outputs.presence_logits.sum(-1) + outputs.salience_logits.sum(-1))
        with np.errstate(invalid="ignore", over="ignore"):
            # t = s_a / (s_a + s_b) = sigmoid(g_a - g_b), so |t - 1/2| = tanh(|g_a - g_b| / 2) / 2
            difference = of_first - of_second + self._leaning(outputs.salience_logits, pair)
            unevenness = 0.5 * np.tanh(0.5 * np.abs(difference))
        larger = np.where((difference < 0) | ((difference == 0) & (second < first)), second, first)
        return Candidates.of_pairs(self.pairs, first, second, larger, strength, unevenness, finite)

    def _leaning(self, salience_logits: Float, pair: NDArray[np.intp]) -> Float | float:
        """What each clip's pair [..., clip, 2] adds to the difference of its logits; 0 where logits have no such term,
        or the task no such pair."""
        task = self.task
        if salience_logits.shape[-1] == task.n_classes:
            return 0.0
        sign, place = np.zeros((2, task.n_classes, task.n_classes), np.intp)
        for index, (first, second) in enumerate(task.pairs):
            sign[first, second], sign[second, first] = 1, -1
            place[first, second] = place[second, first] = index
        chosen = tuple(np.moveaxis(pair, -1, 0))
        own = np.take_along_axis(salience_logits, task.n_classes + place[chosen][..., None], -1)[..., 0]
        return np.asarray(sign[chosen] * own)


def presence_probabilities(task: Task, outputs: Outputs) -> Float:
    """[..., clip, class] probability that each class is present.

    Sigmoid of each logit (`bce`), or the marginals of the softmax over the sets that a clip can show, a set's logit
    being the sum of its members' logits (`states`).
    """
    logits = outputs.presence_logits
    kind = outputs.presence_kind
    states = (
        np.full(outputs.leading, kind == "states") if isinstance(kind, str) else np.broadcast_to(kind, outputs.leading)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        if states.all():
            return _marginals(task, logits)
        probabilities = 1.0 / (1.0 + np.exp(-logits[..., : task.n_classes]))
        if states.any():
            probabilities[states] = _marginals(task, logits[states])
    return probabilities


def _marginals(task: Task, logits: Float) -> Float:
    """Marginals of the set distribution, [..., class], from logits of classes or sets."""
    members: NDArray[np.floating] = task.set_members.astype(logits.dtype)
    sets = logits if logits.shape[-1] == task.n_sets else logits @ members.T
    if not task.set_possible.all():
        sets = np.where(task.set_possible, sets, -np.inf)
    weight = np.exp(sets - sets.max(-1, keepdims=True))
    return np.asarray((weight @ members) / weight.sum(-1, keepdims=True))
