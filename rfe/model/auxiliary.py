"""Each encoder's own prediction: a linear head on its vector, and what its agreement with the others' tells the gate.

pi_ie = softmax over the sets of the logits of a_ie = A_e z_ie + b_e, trained by its own loss, minus the set's
log-likelihood, mean over the clip's available encoders. With m_-ie the mean of the other available encoders' pi, the
gate may see five statistics of each: the largest probability; the entropy of pi_ie; sum_T pi_ie(T) log m_-ie(T); the
divergence KL(m_-ie || pi_ie); and m_-ie at pi_ie's first choice. A small network of the encoder's own turns them into a
term of the score, r_ie = q_e . tanh(P_e statistics + c_e). An encoder that is wrong for this clip shows it by being at
odds with the others, which its vector alone cannot show. No gradient goes through the statistics: predictions are not
bent to please the gate. Equations ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rfe.model.fusion import sum_weighted
from rfe.model.heads import SetTensors
from rfe.model.parameters import StackedParameter, of_replicas
from rfe.model.settings import AGREEMENT_STATISTICS, AGREEMENT_WIDTH, ReplicaSettings
from rfe.model.slot_table import SlotTable
from rfe.task import Task

CLASSES, PAIRS, QUERY = "auxiliary.class_weight", "auxiliary.pair_weight", "gate.agreement_query"
LEAST = 1e-6
"""Probabilities below it count as this much, so that statistics are bounded."""


@dataclass
class AuxiliaryOutput:
    """The outputs of the replicas that have auxiliary heads."""

    presence_logits: Tensor
    """a, [holder, slot, clip, class]."""
    pair_logits: Tensor | None
    """[holder, slot, clip, pair], 0 for replicas whose pairs have no logit of their own; None: no replica's have."""


def auxiliary_parameters(
    settings: Sequence[ReplicaSettings], task: Task, n_encoders: int, latent_dim: int
) -> dict[str, tuple[tuple[int, ...], str, list[int]]]:
    """Name -> shape, kind of initial values and holders of each parameter that the heads and their gate have."""
    holders = [r for r, one in enumerate(settings) if one.auxiliary]
    paired = [r for r in holders if settings[r].pair_logits and task.n_pairs]
    seeing = [r for r in holders if settings[r].sees_predictions]
    return {
        CLASSES: ((n_encoders, latent_dim, task.n_classes), "linear", holders),
        "auxiliary.class_bias": ((n_encoders, task.n_classes), "zeros", holders),
        PAIRS: ((n_encoders, latent_dim, task.n_pairs), "linear", paired),
        "auxiliary.pair_bias": ((n_encoders, task.n_pairs), "zeros", paired),
        "gate.agreement_weight": ((n_encoders, AGREEMENT_STATISTICS, AGREEMENT_WIDTH), "linear", seeing),
        "gate.agreement_bias": ((n_encoders, AGREEMENT_WIDTH), "zeros", seeing),
        QUERY: ((n_encoders, AGREEMENT_WIDTH), "zeros", seeing),  # starts as the gate that sees no predictions
    }


class AuxiliaryHeads:
    """The auxiliary heads of a stack.

    Args:
        parameters: the stack's.
        table: its slots.
        sets: of the task.
    """

    def __init__(self, parameters: dict[str, StackedParameter], table: SlotTable, sets: SetTensors) -> None:
        self._parameters, self._table, self._sets = parameters, table, sets

    def predict(self, latent: Tensor, value: dict[str, Tensor]) -> AuxiliaryOutput | None:
        """Predictions from the encoders' vectors [replica, slot, clip, latent]; None where no replica has heads."""
        if CLASSES not in self._parameters:
            return None
        classes, pairs = self._linear(latent, "auxiliary.class", value), None
        if PAIRS in self._parameters:
            pairs = self._linear(latent, "auxiliary.pair", value)
            if len(pairs) < len(classes):
                zeros = pairs.new_zeros(len(classes), *pairs.shape[1:])
                pairs = zeros.index_copy(0, self._among_holders(PAIRS), pairs)
        return AuxiliaryOutput(classes, pairs)

    def log_sets(self, output: AuxiliaryOutput) -> Tensor:
        """log pi, [replica, slot, clip, set]; 0 for replicas without heads."""
        return self._parameters[CLASSES].of_everyone(self._log_sets(output), self._n_replicas)

    def score(self, output: AuxiliaryOutput, available: Tensor, value: dict[str, Tensor]) -> Tensor:
        """r, [replica, slot, clip], of availability of this shape; 0 for replicas whose gate sees no predictions."""
        parameter = self._parameters[QUERY]
        log_sets = of_replicas(self._log_sets(output).detach(), self._among_holders(QUERY))
        weight, bias, query = (
            self._table.take(value[f"gate.agreement_{part}"], replicas=parameter.holders)
            for part in ("weight", "bias", "query")
        )
        statistics = agreement(log_sets, of_replicas(available, parameter.holders))
        return parameter.of_everyone(score_agreement(statistics, weight, bias, query), self._n_replicas)

    def weighted(self, output: AuxiliaryOutput, weights: Tensor) -> tuple[Tensor, Tensor | None]:
        """sum_e w_e a_e of the classes' logits, [replica, clip, class], and of the pairs'; weights [replica, slot,
        clip]. 0 for replicas without heads."""
        parameter = self._parameters[CLASSES]
        share = of_replicas(weights, parameter.holders)
        classes, pairs = (
            None if logits is None else parameter.of_everyone(sum_weighted(logits, share), self._n_replicas)
            for logits in (output.presence_logits, output.pair_logits)
        )
        assert classes is not None
        return classes, pairs

    @property
    def _n_replicas(self) -> int:
        return len(self._table.encoder)

    def _log_sets(self, output: AuxiliaryOutput) -> Tensor:
        return torch.log_softmax(self._sets.possible_logits(output.presence_logits, output.pair_logits), -1)

    def _linear(self, latent: Tensor, name: str, value: dict[str, Tensor]) -> Tensor:
        holders = self._parameters[f"{name}_weight"].holders
        weight, bias = (self._table.take(value[f"{name}_{part}"], replicas=holders) for part in ("weight", "bias"))
        return linear_by_slot(of_replicas(latent, holders), weight, bias)

    def _among_holders(self, name: str) -> Tensor:
        """Positions of a parameter's holders among those that have heads."""
        return torch.searchsorted(self._parameters[CLASSES].holders, self._parameters[name].holders)


def linear_by_slot(latent: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[replica, slot, clip, in] @ [replica, slot, in, out] + [replica, slot, out], float32."""
    flat = torch.baddbmm(bias.flatten(0, 1).unsqueeze(1), latent.flatten(0, 1), weight.flatten(0, 1))
    return flat.view(*latent.shape[:3], -1).float()


@torch.no_grad()
def agreement(log_sets: Tensor, available: Tensor) -> Tensor:
    """Statistics of each encoder's prediction and its agreement with the others'.

    Args:
        log_sets: log pi, [replica, slot, clip, set].
        available: [replica, slot, clip] bool; the others are the available ones. An encoder without others agrees
            with itself.

    Returns:
        [replica, slot, clip, statistic], entropies and divergences over log(number of sets).
    """
    own = log_sets.exp()
    seen = available.unsqueeze(-1).to(own.dtype)
    n_others = seen.sum(1, keepdim=True) - seen
    others = ((own * seen).sum(1, keepdim=True) - own * seen) / n_others.clamp(min=1.0)
    others = torch.where(n_others > 0, others, own)
    log_own, log_others = log_sets.clamp(min=math.log(LEAST)), others.clamp(min=LEAST).log()
    first, choice = own.max(-1, keepdim=True)
    nats = torch.stack(
        [
            -(own * log_own).sum(-1),
            (own * log_others).sum(-1),
            (others * (log_others - log_own)).sum(-1),
        ],
        -1,
    )
    return torch.cat([first, nats / math.log(max(2, own.shape[-1])), others.gather(-1, choice)], -1)


def score_agreement(statistics: Tensor, weight: Tensor, bias: Tensor, query: Tensor) -> Tensor:
    """r = q . tanh(P statistics + c), [replica, slot, clip].

    Args:
        statistics: [replica, slot, clip, statistic].
        weight: P, [replica, slot, statistic, hidden].
        bias: c, [replica, slot, hidden].
        query: q, [replica, slot, hidden].
    """
    hidden = torch.tanh(linear_by_slot(statistics, weight, bias))
    return torch.matmul(hidden, query.unsqueeze(-1)).squeeze(-1)


def auxiliary_loss(log_sets: Tensor, target: Tensor, available: Tensor) -> Tensor:
    """Minus the sets' log-likelihood, mean over the available encoders.

    Args:
        log_sets: [replica, slot, clip, set].
        target: [replica, clip, set] distribution over sets.
        available: [replica, slot, clip] bool.

    Returns:
        [replica, clip], nats; 0 for a clip without any encoder.
    """
    likelihood = (target.unsqueeze(1) * log_sets).sum(-1) * available
    return -likelihood.sum(1) / available.sum(1).clamp(min=1)
