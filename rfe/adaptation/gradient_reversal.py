"""DANN: features from which a discriminator cannot tell the domain."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, coefficient: Tensor) -> Tensor:
        ctx.save_for_backward(coefficient)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (coefficient,) = ctx.saved_tensors
        return -coefficient.view(-1, *[1] * (gradients[0].dim() - 1)) * gradients[0], None


def reverse_gradient(values: Tensor, coefficient: Tensor) -> Tensor:
    """Identity forward; backward the gradient times -coefficient ([replica]).

    Examples:
        >>> values = torch.ones(1, 2, requires_grad=True)
        >>> reverse_gradient(values, torch.tensor([0.5])).sum().backward()
        >>> values.grad
        tensor([[-0.5000, -0.5000]])
    """
    reversed_values: Tensor = _Reverse.apply(values, coefficient)  # type: ignore[no-untyped-call]
    return reversed_values


def reversal_coefficient(progress: float) -> float:
    """lambda(p) = 2 / (1 + e^(-10 p)) - 1 for training progress p in [0, 1]. Source: arXiv 1505.07818, section 5.2.

    Examples:
        >>> [round(reversal_coefficient(progress), 3) for progress in (0.0, 0.1, 1.0)]
        [0.0, 0.462, 1.0]
    """
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0


def discriminate(features: Tensor, hidden_weight: Tensor, hidden_bias: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Two-layer discriminator. [replica, clip, latent] -> [replica, clip, class] logits.

    Examples:
        >>> features, hidden, bias = torch.ones(1, 5, 3), torch.ones(1, 3, 4), torch.zeros(1, 4)
        >>> discriminate(features, hidden, bias, torch.ones(1, 4, 2), torch.zeros(1, 2)).shape
        torch.Size([1, 5, 2])
    """
    hidden = functional.relu(torch.baddbmm(hidden_bias.unsqueeze(1), features, hidden_weight))
    return torch.baddbmm(bias.unsqueeze(1), hidden, weight)


def domain_loss(logits: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and accuracy of the discriminator.

    Args:
        logits: [replica, clip, class].
        domain: [replica, clip] int; negative entries (an unknown actor) do not count.

    Returns:
        loss [replica] in nats and accuracy [replica].

    Source: Ganin et al., arXiv 1505.07818.

    Examples:
        >>> logits = torch.tensor([[[9.0, -9.0], [9.0, -9.0], [0.0, 0.0]]])
        >>> loss, accuracy = domain_loss(logits, torch.tensor([[0, 1, -1]]))  # one right, one wrong, one unknown
        >>> accuracy
        tensor([0.5000])
    """
    counted = (domain >= 0).to(logits.dtype)
    each = functional.cross_entropy(logits.transpose(1, 2), domain.clamp(min=0), reduction="none") * counted
    right = (logits.argmax(-1) == domain).to(logits.dtype) * counted
    n_counted = counted.sum(1).clamp(min=1.0)
    return each.sum(1) / n_counted, right.sum(1) / n_counted
