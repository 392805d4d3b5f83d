"""What each encoder is worth to the base: how often and how strongly it is fused, and what is lost without it.

A gate's weight is not importance; the two stand side by side. Nothing is trained for it.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfe.ablation.arms import BASE
from rfe.ablation.study import StoredArms, read_arms
from rfe.ablation.trials import arm_gate, fold_rows, read_trials
from rfe.data.arrays import read_arrays
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.scores import answer_influence
from rfe.ensemble.candidates import Candidate
from rfe.errors import StudyError
from rfe.metrics.intervals import InfluenceTable, Interval, difference_interval
from rfe.workspace import StudyFolder
from rfe.writing import write_bytes

if TYPE_CHECKING:
    from rfe.ablation.altered_encoders import AlteredAnswers

ENCODERS_FILE = "encoders.npz"


@dataclass(frozen=True)
class EncoderValue:
    """What the base does with one encoder of its pool, and what it owes to it."""

    encoder: str
    kept_frequency: float
    """Share of held-out clips in which it was fused."""
    mean_weight: float | None
    """With which it was fused; None of a model without a gate."""
    lost_masked: Interval
    """Score lost when clips have no features of it at evaluation; nothing is trained again."""
    lost_permuted: Interval
    """Score lost when each clip shows another clip's features of it."""


def measure_encoders(folder: StudyFolder, dataset: Dataset, cache: FeatureCache) -> None:
    """Keep the base's answers with each encoder masked and permuted; nothing where that was done before.

    Raises:
        StudyError: the base's weights were not kept.
    """
    from rfe.ablation.altered_encoders import alter_encoders  # and torch, which reading the result does without

    path = folder.path / ENCODERS_FILE
    if path.is_file():
        return
    stored = read_arms(folder)
    by_id, _ = read_trials(folder, dataset)
    whole: AlteredAnswers | None = None
    for part in stored.parts[BASE]:
        candidate = by_id.get(part.config_id)
        if candidate is None or candidate.weights is None:
            raise StudyError(
                f"ablation {folder.name!r}: the weights of its base were not kept, so encoders cannot be masked; run "
                "it again under another --name"
            )
        altered = alter_encoders(candidate.config, candidate.weights, dataset, cache)
        whole = altered if whole is None else _put(whole, altered, fold_rows(dataset, part.choice.folds))
    assert whole is not None  # a base has at least one configuration
    arrays = {"own": whole.own}
    arrays |= {f"masked/{name}": states for name, states in whole.masked.items()}
    arrays |= {f"permuted/{name}": states for name, states in whole.permuted.items()}
    buffer = io.BytesIO()
    smallest = np.min_scalar_type(-dataset.clips.task.n_states)  # that holds every state, and -1
    small: dict[str, Any] = {name: states.astype(smallest) for name, states in arrays.items()}
    np.savez_compressed(buffer, **small)
    write_bytes(path, buffer.getvalue())


def _put(whole: "AlteredAnswers", other: "AlteredAnswers", rows: NDArray[np.bool_]) -> "AlteredAnswers":
    """`whole` with the clips of `rows` answered by another configuration of the base."""

    def chosen(one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(rows, two, one)

    return replace(
        whole,
        own=chosen(whole.own, other.own),
        masked={name: chosen(states, other.masked[name]) for name, states in whole.masked.items()},
        permuted={name: chosen(states, other.permuted[name]) for name, states in whole.permuted.items()},
    )


def read_encoder_values(
    folder: StudyFolder, stored: StoredArms, by_id: Mapping[str, Candidate], dataset: Dataset
) -> tuple[EncoderValue, ...]:
    """The encoders of the base's pool, the largest loss first; empty where they were not measured."""
    path = folder.path / ENCODERS_FILE
    if not path.is_file():
        return ()
    where = f"ablation {folder.name!r}, base"
    scores, kept = arm_gate(stored.parts[BASE], by_id, dataset, where)
    weights, names = mean_weights(scores, kept), list(dataset.encoders)
    values = []
    arrays = read_arrays(path)
    own = answer_influence(dataset.clips, arrays["own"].astype(np.int64))
    for name in [key.removeprefix("masked/") for key in arrays if key.startswith("masked/")]:
        permuted = [answer_influence(dataset.clips, states.astype(np.int64)) for states in arrays[f"permuted/{name}"]]
        values.append(
            EncoderValue(
                name,
                float(kept[..., names.index(name)].mean()),
                None if weights is None else float(weights[names.index(name)]),
                difference_interval(own, answer_influence(dataset.clips, arrays[f"masked/{name}"].astype(np.int64))),
                difference_interval(own, InfluenceTable.mean_of(permuted)),
            )
        )
    return tuple(sorted(values, key=lambda one: -one.lost_masked.estimate))


def mean_weights(gate_scores: NDArray[np.floating[Any]], kept: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """[encoder] mean weight with which encoders are fused; None of a model without a gate.

    Args:
        gate_scores: [seed, clip, encoder], -inf where not available.
        kept: [seed, clip, encoder].
    """
    scores = np.where(kept, gate_scores.astype(np.float64), -np.inf)
    if not np.isfinite(scores).any():
        return None
    highest = scores.max(-1, keepdims=True)
    share = np.exp(scores - np.where(np.isfinite(highest), highest, 0.0))
    share = share / np.maximum(share.sum(-1, keepdims=True), 1e-30)
    return np.asarray(share.mean((0, 1)))
