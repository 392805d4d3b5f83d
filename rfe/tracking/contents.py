"""What is kept of a trained configuration: its result as a trial's log with its files."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.metadata import Clips
from rfe.labels import N_SETS, SET_NAMES, STATE_SET
from rfe.tracking.base import TrialLog
from rfe.training.record import TrialResult


def describe_trial(
    study: str,
    number: int,
    result: TrialResult,
    settings: Mapping[str, Any],
    config_yaml: str,
    clips: Clips,
    encoders: tuple[str, ...],
    *,
    errors: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
) -> TrialLog:
    """The log of a trial, with its files in memory.

    Args:
        study: its name.
        number: of the trial.
        result: what training returned.
        settings: effective configuration, dotted name -> value.
        config_yaml: the same as a file that `rfe train` accepts.
        clips: of the data set.
        encoders: of the data set, in the order of `result.gate_scores`' last axis.
        errors: standard errors by metric, logged as `score_se` and so on.
        tags: further tags, e.g. `duplicate_of`.
    """
    artifacts: dict[str, bytes] = {"config.yaml": config_yaml.encode()}
    scores: dict[str, float] = {}
    if result.state == "complete":
        scores = {"score": result.score, "acc_presence": result.acc_presence, "acc_salience": result.acc_salience}
        scores |= {f"{name}_se": value for name, value in (errors or {}).items()}
        scores |= result.validators
        artifacts |= {
            "outputs.npz": outputs_npz(result, clips, encoders),
            "confusion.csv": confusion_csv(clips.state[: clips.n_source], result.predicted_state),
        }
        if result.kept_frequency:
            artifacts["gate.csv"] = gate_csv(result, encoders)
    return TrialLog(
        study=study,
        number=number,
        state=result.state,
        config_id=result.config_id,
        config=dict(settings),
        scores=scores,
        per_fold=fold_scores(result) if result.state == "complete" else {},
        curves=result.curves,
        kept_frequency=result.kept_frequency,
        seconds=result.seconds,
        memory_mb=result.memory_mb,
        reason=result.reason,
        tags=dict(tags or {}),
        artifacts=artifacts,
        weights=result.weights,
    )


def fold_scores(result: TrialResult) -> dict[str, dict[int, float]]:
    """Metric -> fold -> value, from the hits; a fold without blends has no salience accuracy and no score."""
    presence = result.hits_presence / np.maximum(result.clips, 1)  # [fold]
    with np.errstate(invalid="ignore", divide="ignore"):
        salience = np.where(result.blends > 0, result.hits_salience / result.blends, np.nan)
    values = {"score": 0.5 * (presence + salience), "acc_presence": presence, "acc_salience": salience}
    return {
        metric: {int(fold): float(value) for fold, value in zip(result.folds, by_fold, strict=True)}
        for metric, by_fold in values.items()
    }


def outputs_npz(result: TrialResult, clips: Clips, encoders: tuple[str, ...]) -> bytes:
    """The raw outputs as an npz without pickle: float16 arrays, clips' names, folds, seeds, encoders.

    Finite logits beyond float16's range become its largest value, so that they stay finite.
    """
    arrays = {
        "filenames": clips.filename[: clips.n_source],
        "target_filenames": clips.filename[clips.n_source :],
        "folds": result.folds,
        "seeds": result.seeds,
        "encoders": np.array(encoders, dtype=np.str_),
        "predicted_state": result.predicted_state.astype(np.int8),
        "kept": result.kept,
        "presence_logits": result.presence_logits,
        "salience_logits": result.salience_logits,
        "fused": result.fused,
        "target_presence_logits": result.target_presence_logits,
        "target_salience_logits": result.target_salience_logits,
        "target_fused": result.target_fused,
        "set_offset": result.set_offset,
        "gate_scores": result.gate_scores,
    }
    buffer = io.BytesIO()
    halved: dict[str, Any] = {name: _half(value) for name, value in arrays.items()}
    np.savez_compressed(buffer, **halved)
    return buffer.getvalue()


def count_confusion(truth_state: NDArray[np.int64], predicted_state: NDArray[np.int64]) -> NDArray[np.float64]:
    """[set, set] clips by true set (rows) and answered set (columns), means over seeds.

    Args:
        truth_state: [clip].
        predicted_state: [seed, clip]; -1 where a clip was not answered, which no column counts.
    """
    counts = np.zeros((N_SETS, N_SETS))
    answered = predicted_state >= 0
    truth = np.broadcast_to(STATE_SET[truth_state], predicted_state.shape)[answered]
    np.add.at(counts, (truth, STATE_SET[predicted_state[answered]]), 1.0 / max(1, len(predicted_state)))
    return counts


def confusion_csv(truth_state: NDArray[np.int64], predicted_state: NDArray[np.int64]) -> bytes:
    """`count_confusion` as a table with the sets' names."""
    counts = count_confusion(truth_state, predicted_state)
    rows = ([SET_NAMES[index], *(f"{count:g}" for count in row)] for index, row in enumerate(counts))
    return _csv(["truth", *SET_NAMES], rows)


def gate_csv(result: TrialResult, encoders: tuple[str, ...]) -> bytes:
    """Of each encoder of the pool: the share of held-out clips that kept it, and its mean gate score there."""
    index = {name: position for position, name in enumerate(encoders)}

    def mean_score(name: str) -> str:
        if result.gate_scores.size == 0:
            return ""
        scores = result.gate_scores[..., index[name]].astype(np.float64)  # [seed, clip]
        finite = scores[np.isfinite(scores)]
        return f"{finite.mean():.5g}" if finite.size else ""

    rows = ([name, f"{share:.5g}", mean_score(name)] for name, share in sorted(result.kept_frequency.items()))
    return _csv(["encoder", "kept_frequency", "mean_gate_score"], rows)


def _half(value: NDArray[Any]) -> NDArray[Any]:
    if not np.issubdtype(value.dtype, np.floating):
        return value
    limit = float(np.finfo(np.float16).max)
    return np.where(np.isfinite(value), np.clip(value, -limit, limit), value).astype(np.float16)


def _csv(head: list[str], rows: Iterable[list[str]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return buffer.getvalue().encode()
