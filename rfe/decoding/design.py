"""The design decoder: all clips of an actor are answered together, so that their states are as frequent as planned.

Many corpora are recorded to a plan: every actor shows the same items, so how many of an actor's clips show each state
is known from other actors. With P [clip, state] the calibrated distributions of an actor's N clips, and c [state] what
the design says of N clips (N times the shares of the training actors' mean design), Sinkhorn scaling finds

    Q = diag(u) P diag(v),   sum over states of Q[i] = 1,   sum over clips of Q[:, s] = c[s]

by scaling columns and rows in turn: of all matrices with these sums the nearest to P in Kullback-Leibler divergence.
Q then takes P's place before the decision by expected gain, so only `decode.kind: valid_states`, which decides so, can
be combined with it; thresholds have no distribution over states.

Transductive: what is answered for a clip depends on the actor's other clips, of which all must be there. No label of
the clips that are answered is read.

Source: Sinkhorn and Knopp, Pacific Journal of Mathematics 1967 (the scaling); Saerens, Latinne and Decaestecker, Neural
Computation 2002 (outputs adjusted to the priors of new clips; there the priors are estimated from the outputs). The
designs of training actors as priors: ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from rfe.decoding.base import Float, Int, Outputs
from rfe.decoding.valid_states import ValidStatesDecoder, ValidStatesParameters
from rfe.task import Task

LARGEST_SPREAD = 0.5
"""Designs of actors that differ more than this (see `design_spread`) do not tell one another's. BlEmoRE: 0.2; votes of
raters on freely chosen clips (CREMA-D): 1.3."""
MOST_ROUNDS = 200
TOLERANCE = 1e-4
"""Clips by which a column may miss its sum."""
LEAST_PROBABILITY = 1e-12
"""A clip keeps a little of every state, so that some state of the design is left for it."""
WHOLE = (0.75, 4 / 3)
"""Clips of an actor, as a multiple of a training actor's mean, that count as a whole set."""


@dataclass(frozen=True)
class DesignParameters(ValidStatesParameters):
    """Those of `valid_states`, and the design."""

    design: NDArray[np.float64]
    """[..., state] mean number of clips with the state of an actor whose clips were fitted on."""


class DesignDecoder(ValidStatesDecoder):
    """`valid_states` with each actor's distributions matched to the mean design of the actors fitted on.

    Args:
        task: whose states are answered.
        omega: as `ValidStatesDecoder`.
        actor: [clip] whose clips the outputs are; equal numbers are one actor.

    Examples:
        By the design an actor shows two classes equally often; the outputs for one actor's clips lean to the first.

        >>> import numpy as np
        >>> from rfe.decoding.design import match_design
        >>> unsure = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
        >>> matched = match_design(unsure, actor=np.zeros(4, int), design=np.array([6.0, 6.0]))
        >>> matched.sum(0).round(3).tolist()  # two clips of each, as the design says
        [2.0, 2.0]
        >>> matched.argmax(-1).tolist()
        [0, 0, 1, 1]
    """

    def __init__(self, task: Task, omega: float | Float, actor: Int) -> None:
        super().__init__(task, omega)
        self.actor = np.asarray(actor)

    def fit_folds(
        self, outputs: Outputs, truth_state: Int, membership: NDArray[np.bool_], *, set_offset: Float | None = None
    ) -> DesignParameters:
        """As `Decoder.fit_folds`; the design has no part in the fit of the distributions."""
        fitted = super().fit_folds(outputs, truth_state, membership, set_offset=set_offset)
        designs = [mean_design(self.task, truth_state[row], self.actor[row]) for row in membership]
        return _with_design(fitted, np.stack(designs))

    def distributions(
        self,
        outputs: Outputs,
        parameters: ValidStatesParameters,
        fold_index: Int | None,
        set_offset: Float | None,
    ) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """As `ValidStatesDecoder.distributions`, of `DesignParameters`; an actor's clips are of one fold, and the
        design is that of its first clip's."""
        assert isinstance(parameters, DesignParameters)
        design = parameters.design[..., None, :] if fold_index is None else parameters.design[..., fold_index, :]
        design = np.broadcast_to(design, (*outputs.leading, *design.shape[-2:])).reshape(-1, *design.shape[-2:])
        for part, probabilities in super().distributions(outputs, parameters, fold_index, set_offset):
            yield part, match_design(probabilities, self.actor, design[part])


def match_design(probabilities: Float, actor: Int, design: Float) -> NDArray[np.float64]:
    """Scale each actor's distributions so that its states are as frequent as the design says.

    Where an actor's distributions all but rule out what the design asks for, scaling ends after `MOST_ROUNDS`; rows
    always sum to 1.

    Args:
        probabilities: [..., clip, state] that sum to 1 over states.
        actor: [clip] equal numbers are one actor; all of an actor's clips must be there.
        design: [..., clip or 1, state] how frequent each state is among the actor's clips, relative to one another;
            that of an actor's first clip counts. A state of frequency 0 is never answered.

    Returns:
        [..., clip, state]; nan where `probabilities` are, and such clips are not counted as the actor's.
    """
    if not probabilities.size:
        return np.zeros(probabilities.shape)
    index, place = _places(actor)
    n_actors, longest = int(index.max()) + 1, int(place.max()) + 1
    flat = np.asarray(probabilities, np.float64).reshape(-1, *probabilities.shape[-2:])
    design = np.broadcast_to(design, probabilities.shape).reshape(flat.shape)
    first = np.flatnonzero(place == 0)[np.argsort(index[place == 0])]
    matched = np.full(flat.shape, np.nan)
    for own, planned, into in zip(flat, design, matched, strict=True):
        finite = np.isfinite(own).all(-1)
        block = np.zeros((n_actors, longest, own.shape[-1]))
        block[index[finite], place[finite]] = np.maximum(own[finite], LEAST_PROBABILITY)
        into[finite] = _scale(block, planned[first])[index[finite], place[finite]]
    return matched.reshape(probabilities.shape)


def mean_design(task: Task, state: Int, actor: Int) -> NDArray[np.float64]:
    """[state] mean number of clips that an actor shows the state in.

    Args:
        task: whose states they are.
        state, actor: [clip]; no clip at all has the design 0.

    Examples:
        >>> task = Task("ab", ("a", "b"))
        >>> mean_design(task, np.array([0, 1, 1, 0, 1, 1]), np.array([3, 3, 3, 7, 7, 7])).tolist()
        [1.0, 2.0]
    """
    return np.bincount(state, minlength=task.n_states) / max(1, len(np.unique(actor)))


def design_spread(task: Task, state: Int, actor: Int) -> float:
    """How unlike the actors' designs are: 0 where all show each state in as many clips, about 1 where each actor's
    clips are independent draws.

    Half the sum over states of | clips of the actor - mean of the other actors |, as a share of the latter's clips,
    mean over actors; divided by what it is expected to be of as many independent draws by the pooled shares. That
    expectation is de Moivre's mean deviation of the binomial distribution.

    Args:
        task: whose states they are.
        state, actor: [clip] of at least two actors.

    Examples:
        >>> task, actor = Task("ab", ("a", "b")), np.array([0, 0, 1, 1])
        >>> float(design_spread(task, np.array([0, 1, 0, 1]), actor))  # both actors show each state once
        0.0
    """
    index = np.unique(actor, return_inverse=True)[1]
    n_actors = int(index.max(initial=-1)) + 1
    if n_actors < 2:
        return np.inf
    counts = np.zeros((n_actors, task.n_states))
    np.add.at(counts, (index, state), 1)
    others = (counts.sum(0) - counts) / (n_actors - 1)
    distance = 0.5 * np.abs(counts - others).sum(1) / others.sum(1)
    n, share = round(len(state) / n_actors), counts.sum(0) / len(state)
    above = np.floor(n * share) + 1
    deviation = 2 * above * (1 - share) * binom.pmf(above, n, share)  # [state] mean of | draws - n share |
    expected = 0.5 * deviation.sum() / n
    return float(distance.mean() / expected) if expected > 0 else 0.0


def shows_whole_design(n_clips: float, design: Float) -> bool:
    """Whether an actor with so many clips can have shown the whole design [state].

    Examples:
        >>> shows_whole_design(54, np.ones(54)), shows_whole_design(20, np.ones(54))
        (True, False)
    """
    low, high = WHOLE
    return bool(low * np.sum(design) <= n_clips <= high * np.sum(design))


def _with_design(fitted: ValidStatesParameters, design: NDArray[np.float64]) -> DesignParameters:
    """Parameters [...] with a design [state] or [fold, state]."""
    shape = (*fitted.blend_share.shape, design.shape[-1])
    return DesignParameters(**vars(fitted), design=np.broadcast_to(design, shape))


def _places(actor: Int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """([clip] its actor, from 0; [clip] its place among the actor's clips)."""
    index: NDArray[Any] = np.unique(actor, return_inverse=True)[1]
    order = np.argsort(index, kind="stable")
    sizes = np.bincount(index)
    place = np.empty(len(index), np.int64)
    place[order] = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray(index, np.int64), place


def _scale(block: NDArray[np.float64], design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sinkhorn scaling of each actor's matrix.

    Args:
        block: [actor, place, state], all 0 in places without clip.
        design: [actor, state] frequencies.
    """
    there = block.any(-1)  # [actor, place]
    wanted = there.sum(1, keepdims=True) * design / np.maximum(design.sum(-1, keepdims=True), LEAST_PROBABILITY)
    tiny = np.finfo(np.float64).tiny
    column = np.ones_like(design)
    for _ in range(MOST_ROUNDS):
        row = there / np.maximum((block @ column[..., None])[..., 0], tiny)
        sums = (row[:, None] @ block)[:, 0]
        missed = np.abs(column * sums - wanted).max(-1, keepdims=True) >= TOLERANCE
        if not missed.any():
            break
        # Each actor stops by itself: else its answers would depend, in their last digits, on the other actors.
        column = np.where(missed, wanted / np.maximum(sums, tiny), column)
    row = there / np.maximum((block @ column[..., None])[..., 0], tiny)
    return row[..., None] * block * column[:, None]
