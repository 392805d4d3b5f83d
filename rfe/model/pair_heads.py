"""Heads for pairs beside their classes' logits: a logit for each pair, whether a clip is a blend, and its ratio."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rfe.model.heads import SetTensors, decide_blend, linear
from rfe.model.parameters import StackedParameter, of_replicas
from rfe.model.settings import RATIO_WIDTH, ReplicaSettings
from rfe.task import Task

PAIRS, BLEND, RATIO = "pairs.weight", "blend.weight", "ratio.query"


def pair_parameters(
    settings: Sequence[ReplicaSettings], task: Task, latent_dim: int
) -> dict[str, tuple[tuple[int, ...], str, list[int]]]:
    """Name -> shape, kind of initial values and holders of each parameter of the heads."""
    everyone, n_pairs = range(len(settings)), task.n_pairs
    sized = [r for r in everyone if settings[r].blend_logit and task.has_both_sizes]
    paired = [r for r in everyone if settings[r].pair_logits and n_pairs]  # else the sets' logits are the classes'
    leaning = [r for r in everyone if settings[r].pair_ratio and task.has_ratios]
    return {
        BLEND: ((latent_dim, 1), "linear", sized),
        "blend.bias": ((1,), "zeros", sized),
        PAIRS: ((latent_dim, n_pairs), "linear", paired),
        "pairs.bias": ((n_pairs,), "zeros", paired),
        "ratio.weight": ((latent_dim, RATIO_WIDTH), "linear", leaning),
        "ratio.embedding": ((n_pairs, 2, RATIO_WIDTH), "linear", leaning),
        RATIO: ((RATIO_WIDTH,), "zeros", leaning),  # starts as the difference of the salience logits
    }


class PairHeads:
    """The pairs' heads of a stack.

    Args:
        parameters: the stack's.
        task: whose pairs they are.
        sets: of the task.
    """

    def __init__(self, parameters: dict[str, StackedParameter], task: Task, sets: SetTensors) -> None:
        self._parameters, self._task, self._sets = parameters, task, sets

    def logits(self, feature: Tensor, value: dict[str, Tensor]) -> Tensor | None:
        """m, [replica, clip, pair], from f [replica, clip, latent]; 0 for replicas without, None where all are."""
        if PAIRS not in self._parameters:
            return None
        parameter = self._parameters[PAIRS]
        own = linear(of_replicas(feature, parameter.holders), value[PAIRS], value["pairs.bias"]).float()
        return parameter.of_everyone(own, len(feature))

    def decide_blend(
        self, feature: Tensor, presence_logits: Tensor, pair_logits: Tensor | None, value: dict[str, Tensor]
    ) -> Tensor | None:
        """`rfe.model.heads.decide_blend` for replicas with a blend logit; the others' pair logits as they are."""
        if BLEND not in self._parameters:
            return pair_logits
        mine = self._parameters[BLEND].holders
        blend = linear(of_replicas(feature, mine), value[BLEND], value["blend.bias"]).float().squeeze(-1)
        if pair_logits is None:
            pair_logits = presence_logits.new_zeros(*presence_logits.shape[:2], self._task.n_pairs)
        own = decide_blend(self._sets, of_replicas(presence_logits, mine), of_replicas(pair_logits, mine), blend)
        return own if len(own) == len(pair_logits) else pair_logits.index_copy(0, mine, own)

    def leanings(self, feature: Tensor, value: dict[str, Tensor]) -> Tensor | None:
        """`lean_pairs`, [replica, clip, pair]; 0 for replicas without, None where all are."""
        if RATIO not in self._parameters:
            return None
        parameter = self._parameters[RATIO]
        own = lean_pairs(
            of_replicas(feature, parameter.holders), value["ratio.weight"], value["ratio.embedding"], value[RATIO]
        )
        return parameter.of_everyone(own, len(feature))


def lean_pairs(feature: Tensor, weight: Tensor, embedding: Tensor, query: Tensor) -> Tensor:
    """How far each pair leans to its first class, beside the difference of their salience logits.

    delta_ab = q . (tanh(K f + r_ab) - tanh(K f + r_ba)), with r_ab and r_ba the embeddings of the pair in its two
    orders: exchanging the pair's classes exchanges the embeddings and mirrors delta. Equation ours.

    Args:
        feature: f, [replica, clip, latent].
        weight: K, [replica, latent, hidden].
        embedding: r, [replica, pair, 2, hidden].
        query: q, [replica, hidden].

    Returns:
        [replica, clip, pair], float32.
    """
    hidden = torch.bmm(feature, weight).unsqueeze(2)  # [replica, clip, 1, hidden]
    first, second = (torch.tanh(hidden + embedding[:, None, :, order]) for order in (0, 1))
    return torch.matmul(first - second, query[:, None, :, None]).squeeze(-1).float()


def pair_differences(salience_logits: Tensor, leanings: Tensor, pairs: Tensor) -> Tensor:
    """d_ab = g_a - g_b + delta_ab, [..., pair], of g [..., class], delta [..., pair] and pairs' classes [pair, 2].

    Examples:
        >>> pair_differences(torch.tensor([2.0, 0.5]), torch.tensor([0.1]), torch.tensor([[0, 1]]))
        tensor([1.6000])
    """
    first, second = (salience_logits.index_select(-1, classes) for classes in pairs.T)
    return first - second + leanings


def ratio_loss(salience_logits: Tensor, leanings: Tensor, shares: Tensor, pairs: Tensor) -> Tensor:
    """Cross-entropy of a blend's saliences and the sigmoid of d_ab = g_a - g_b + delta_ab, of its own pair.

    Args:
        salience_logits: g, [replica, clip, class].
        leanings: delta, [replica, clip, pair].
        shares: [replica, clip, pair, 2] salience of each pair's classes in the clip's own pair, 0 in the others: a
            mixture of clips has a mixture of them.
        pairs: [pair, 2] their classes.

    Returns:
        [replica, clip], nats; 0 for singles.
    """
    difference = pair_differences(salience_logits, leanings, pairs)
    log_shares = torch.stack([functional.logsigmoid(sign * difference) for sign in (1.0, -1.0)], -1)
    return -(shares * log_shares).sum((-2, -1))
