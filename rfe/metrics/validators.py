"""Validators: how well a model may do on clips without labels. For all of them more is better.

They rank configurations by what can be seen without target labels, above all kinds and strengths of domain adaptation.
None of them is a Score, and each can be fooled: `reports/evidence/validators` shows how far they can be trusted.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.metrics.choice import score_metric
from rfe.task import Task

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]
TINY = 1e-12


@dataclass(frozen=True)
class Validators:
    """Of one configuration, each the mean over its models."""

    target_im: float
    """Information maximisation of the fused probabilities, nats."""
    target_snd: float
    """Soft neighbourhood density of the fused probabilities, nats."""
    target_dev: float
    """Deep embedded validation: the Score that held-out training clips foretell, weighted to look like the target."""

    def to_dict(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


def information_maximisation(probabilities: Float) -> float:
    """Entropy of the mean prediction minus the mean entropy: confident answers that differ between clips.

    Args:
        probabilities: [clip, class], rows sum to 1.

    Returns:
        nats, from 0 to log(classes).

    Source: Shi and Sha, ICML 2012; as a validator in Musgrave et al., arXiv 2208.07360.

    Examples:
        >>> certain, unsure = np.eye(2), np.full((2, 2), 0.5)
        >>> round(information_maximisation(certain), 3), round(information_maximisation(unsure), 3)
        (0.693, 0.0)
    """
    return float(_entropy(probabilities.mean(0)) - _entropy(probabilities).mean())


def soft_neighborhood_density(probabilities: Float, temperature: float = 0.05) -> float:
    """Mean entropy of each clip's similarity to the others: high where clips stand in dense groups.

    Args:
        probabilities: [clip, class], rows sum to 1.
        temperature: of the softmax over the other clips.

    Returns:
        nats, from 0 to log(clips - 1).

    Source: Saito et al., ICCV 2021 (arXiv 2108.10860).

    Examples:
        >>> two_groups = np.repeat(np.eye(2), 3, axis=0)
        >>> round(soft_neighborhood_density(two_groups), 3)  # log 2: each clip has two equal neighbours
        0.693
    """
    values = np.asarray(probabilities, np.float64)
    values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), TINY)
    similarity = values @ values.T / temperature
    np.fill_diagonal(similarity, -np.inf)
    weight = np.exp(similarity - similarity.max(1, keepdims=True))
    return float(_entropy(weight / weight.sum(1, keepdims=True)).mean())


def deep_embedded_validation(
    task: Task, source: Float, target: Float, truth_state: Int, answered_state: Int, *, seed: int = 0
) -> float:
    """Score on labelled clips the model has not seen, weighted by how much each looks like a target clip.

    The weight is the odds of "target" by a logistic regression that tells the two domains, fitted on the other half of
    the clips; the weights' own mean serves as a control variate. Only the training data's labels are read.

    Args:
        task: whose metric is foretold.
        source: [clip, dim] what the model makes of held-out training clips (its logits).
        target: [target clip, dim] the same of target clips.
        truth_state: [clip] true states.
        answered_state: [clip] answers.
        seed: of the halves.

    Returns:
        A Score, which the weights may push out of [0, 1]; nan without a true blend, or with a single clip in a domain.

    Source: You et al., ICML 2019; with Score in the place of a risk (ours).
    """
    from sklearn.linear_model import LogisticRegression  # a second of imports that only this function needs

    gain = score_metric(task).clip_values(task, truth_state, answered_state)
    if not np.isfinite(gain).all() or min(len(source), len(target)) < 2:
        return float("nan")
    both = np.concatenate([source, target]).astype(np.float64)
    both = (both - both.mean(0)) / np.maximum(both.std(0), TINY)
    domain = np.repeat([0, 1], [len(source), len(target)])
    generator = np.random.default_rng(seed)
    half = np.concatenate([generator.permutation(len(part)) % 2 for part in (source, target)])
    odds = np.empty(len(both))
    for side in (0, 1):
        model = LogisticRegression(solver="newton-cholesky").fit(both[half != side], domain[half != side])
        chance = model.predict_proba(both[half == side])[:, 1]
        odds[half == side] = chance / np.maximum(1 - chance, TINY)
    weight = odds[: len(source)] * len(source) / len(target)
    spread = weight.var()
    control = 0.0 if spread < TINY else -float(np.cov(weight * gain, weight, bias=True)[0, 1]) / spread
    return float((weight * gain).mean() + control * (weight.mean() - 1))


def _entropy(probabilities: Float) -> NDArray[np.float64]:
    """[...] entropy over the last axis, nats."""
    values = np.asarray(probabilities, np.float64)
    return np.asarray(-(values * np.log(np.maximum(values, TINY))).sum(-1))
