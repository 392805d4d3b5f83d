"""Builds the log and files of a trial from a training result."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.metadata import Clips
from rfe.journal.events import TrialLog
from rfe.metrics.choice import LOG_LIKELIHOOD, further_metrics, score_parts
from rfe.metrics.score import FoldTotals, fold_totals
from rfe.task import Task
from rfe.training.record import TrialResult

MOST_SETS = 64
"""Sets in a table of confusion."""
OTHERS = "(others)"
"""All further sets together; no class can be called so beside a table's own names."""


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
        scores |= {LOG_LIKELIHOOD: result.log_likelihood, **_further_scores(result, clips)}
        scores = {name: value for name, value in scores.items() if np.isfinite(value)}
        scores |= _score_sd(result, clips)
        scores |= {f"{name}_se": value for name, value in (errors or {}).items()}
        scores |= result.validators
        artifacts |= {
            "outputs.npz": outputs_npz(result, clips, encoders),
            "confusion.csv": confusion_csv(clips.task, clips.state[: clips.n_source], result.predicted_state),
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
        per_fold=fold_scores(clips.task, result) if result.state == "complete" else {},
        totals=fold_sums(result) if result.state == "complete" else {},
        curves=result.curves,
        kept_frequency=result.kept_frequency,
        seconds=result.seconds,
        memory_mb=result.memory_mb,
        gpu_memory_mb=result.gpu_memory_mb,
        gpu_percent=result.gpu_percent,
        reason=result.reason,
        tags=dict(tags or {}),
        artifacts=artifacts,
        weights=result.weights,
    )


def _further_scores(result: TrialResult, clips: Clips) -> dict[str, float]:
    """The task's metrics that are no part of Score, over the folds that were trained."""
    metrics = further_metrics(clips.task)
    fold = clips.fold[: clips.n_source]
    mine = np.isin(fold, result.folds)
    truth, predicted = clips.state[: clips.n_source][mine], result.predicted_state[..., mine]
    totals = fold_totals(clips.task, truth, predicted, fold[mine], metrics=metrics).mean()
    return {name: float(totals.pool(name)) for name in metrics}


def _score_sd(result: TrialResult, clips: Clips) -> dict[str, float]:
    """`score_sd`: standard deviation of the Score over the trial's seeds, where it has several."""
    if len(result.seeds) < 2:
        return {}
    fold = clips.fold[: clips.n_source]
    mine = np.isin(fold, result.folds)
    truth, predicted = clips.state[: clips.n_source][mine], result.predicted_state[:, mine]
    by_seed = fold_totals(clips.task, truth, predicted, fold[mine]).score
    return {"score_sd": float(by_seed.std(ddof=1))} if np.isfinite(by_seed).all() else {}


def fold_scores(task: Task, result: TrialResult) -> dict[str, dict[int, float]]:
    """Metric -> fold -> value, from the sums; nan where a fold has none, e.g. no blends."""
    totals = FoldTotals(score_parts(task), result.totals)
    return {
        name: {int(fold): float(value) for fold, value in zip(result.folds, totals.by_fold(name), strict=True)}
        for name in totals.metrics
    }


def fold_sums(result: TrialResult) -> dict[str, dict[int, list[float]]]:
    """Metric -> fold -> its sums."""
    return {
        name: {int(fold): sums.tolist() for fold, sums in zip(result.folds, totals, strict=True)}
        for name, totals in result.totals.items()
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
        "predicted_state": result.predicted_state.astype(state_type(clips.task)),
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


def state_type(task: Task) -> type[np.signedinteger[Any]]:
    """The smallest type that holds the task's states and -1; with int8 a large task's would wrap around."""
    return np.int8 if task.n_states <= np.iinfo(np.int8).max else np.int16


def count_confusion(
    task: Task, truth_state: NDArray[np.int64], predicted_state: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[set, set] clips by true set (rows) and answered set (columns), means over seeds.

    Args:
        task: whose sets are counted.
        truth_state: [clip].
        predicted_state: [seed, clip]; -1 where a clip was not answered, which no column counts.
    """
    counts = np.zeros((task.n_sets, task.n_sets))
    answered = predicted_state >= 0
    truth = np.broadcast_to(task.state_set[truth_state], predicted_state.shape)[answered]
    np.add.at(counts, (truth, task.state_set[predicted_state[answered]]), 1.0 / max(1, len(predicted_state)))
    return counts


def group_rare(task: Task, counts: NDArray[np.float64]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """A confusion table that a person can look at: sets that can occur, of many the most frequent and `OTHERS`.

    Args:
        task: whose sets are counted.
        counts: [set, set], see `count_confusion`.

    Returns:
        [shown] names, and [shown, shown] clips; sums over rows and columns are those of `counts`.
    """
    frequency = counts.sum(0) + counts.sum(1)
    shown = np.flatnonzero(task.set_possible | (frequency > 0))
    if len(shown) <= MOST_SETS:
        return tuple(task.set_names[index] for index in shown), counts[np.ix_(shown, shown)]
    kept = np.sort(np.argsort(-frequency, kind="stable")[:MOST_SETS])
    rest = np.setdiff1d(np.arange(task.n_sets), kept)
    groups = [*kept[:, None], rest]
    by_row = np.stack([counts[group].sum(0) for group in groups])
    grouped = np.stack([by_row[:, group].sum(1) for group in groups], 1)
    return (*(task.set_names[index] for index in kept), OTHERS), grouped


def confusion_csv(task: Task, truth_state: NDArray[np.int64], predicted_state: NDArray[np.int64]) -> bytes:
    """`count_confusion` as a table with the sets' names; of very many sets the most frequent."""
    names, counts = group_rare(task, count_confusion(task, truth_state, predicted_state))
    rows = ([names[index], *(f"{count:g}" for count in row)] for index, row in enumerate(counts))
    return _csv(["truth", *names], rows)


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
