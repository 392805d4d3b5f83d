"""Recalibrates averages of distributions, which are flatter than their members, by two parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from rfe.task import Task

TINY = 1e-12


@dataclass(frozen=True)
class Recalibration:
    """Of averaged distributions, which are flatter than single ones: p' proportional to p^slope, blends weighted by
    exp(blend_bias)."""

    slope: float = 1.0
    blend_bias: float = 0.0

    def apply(self, task: Task, states: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """[..., state] distributions."""
        logits = self.slope * np.log(np.maximum(np.asarray(states, np.float64), TINY))
        logits[..., task.n_classes :] += self.blend_bias
        if not task.state_possible.all():  # `TINY` would make them possible
            logits[..., ~task.state_possible] = -np.inf
        logits -= logits.max(-1, keepdims=True)
        weight = np.exp(logits)
        return np.asarray(weight / weight.sum(-1, keepdims=True))

    @classmethod
    def fit(cls, task: Task, states: NDArray[np.floating[Any]], truth_state: NDArray[np.int64]) -> "Recalibration":
        """Maximum likelihood; the problem is convex in both numbers.

        Args:
            task: whose states they are.
            states: [clip, state] averaged out-of-fold distributions.
            truth_state: [clip].
        """
        log = np.log(np.maximum(np.asarray(states, np.float64), TINY))
        blend = task.state_is_blend.astype(np.float64)
        if not task.state_possible.all():
            log, blend = log[:, task.state_possible], blend[task.state_possible]
            truth_state = (np.cumsum(task.state_possible) - 1)[truth_state]
        own = (np.arange(len(log)), truth_state)

        def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logits = x[0] * log + x[1] * blend
            logits -= logits.max(1, keepdims=True)
            weight = np.exp(logits)
            share = weight / weight.sum(1, keepdims=True)
            nll = -np.log(np.maximum(share[own], TINY)).mean()
            slope = ((share * log).sum(1) - log[own]).mean()
            bias = (share @ blend - blend[truth_state]).mean()
            return float(nll), np.array([slope, bias])

        found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.1, 10.0), (-5.0, 5.0)])
        return cls(float(found.x[0]), float(found.x[1]))
