"""How a study and its trials read in a tracking server: names, parameters, metrics, tags and descriptions."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rfe.data.caveats import is_transductive
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog, TrialLog, finite
from rfe.tracking.names import Names, legal_name

LONGEST_VALUE = 5800
"""Characters of a parameter or tag; servers cut parameters silently at 6,000."""
LONGEST_NOTE = 7800
"""Characters of a description, which is a tag; databases refuse more than 8,000, or cut silently."""
LONGEST_VIEW = 19_000
"""Characters of a saved view, which is an experiment's tag; servers refuse more than 20,000."""
NOTE = "mlflow.note.content"
"""Tag that a page shows as a run's description."""
Metric = tuple[str, float, int]
"""Name, value, step."""
Batch = tuple[list[Metric], list[tuple[str, str]]]

VIEW = "trials"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
"""Experiment tag in which MLflow keeps a saved view of its table; shown in the page's menu of views."""


def trial_name(number: int, arm: str = "") -> str:
    """Of the trial's run: its number; in a study of arms, the arm."""
    return arm or f"trial {number:04d}"


def readable(value: Any) -> str:
    """A parameter's value as text, cut with a note where it is too long."""
    if value is None:
        text = "none"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, (list, tuple)):
        text = ", ".join(readable(entry) for entry in value)
    elif isinstance(value, Mapping):
        text = ", ".join(f"{key}: {readable(entry)}" for key, entry in value.items())
    else:
        text = str(value)
    # a NUL, or half a character from a file's name, is what databases refuse
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    if len(text) <= LONGEST_VALUE:
        return text
    return text[:LONGEST_VALUE] + f" ... (cut, {len(text)} characters; whole in config.yaml)"


def study_names(study: StudyLog) -> Names:
    """The names of a study's metrics and parameters, by the encoders of its data."""
    encoders = study.settings.get("data.encoders")
    return Names(map(str, encoders) if isinstance(encoders, list | tuple) else ())


def params(values: Mapping[str, Any], names: Names | None = None) -> list[tuple[str, str]]:
    """Legal name and text of every setting, sorted by dotted name."""
    names = names or Names()
    return [(names.of(name), readable(value)) for name, value in sorted(values.items())]


def trial_metrics(log: TrialLog, names: Names | None = None) -> list[Metric]:
    """All metrics of a trial in the order in which they are to be logged: curves first, final values last.

    A table shows the value logged last at the highest step, so a final value takes its curve's last epoch as its step.
    """
    names = names or Names()
    metrics = [
        (names.of(_curve_name(name, log)), short(value), epoch)
        for name, curve in sorted(log.curves.items())
        for epoch, value in curve
        if math.isfinite(value)
    ]
    last_step = {name: step for name, _, step in metrics}
    final = {
        **{f"{metric}_fold{fold}": value for metric, folds in log.per_fold.items() for fold, value in folds.items()},
        **{f"kept.{encoder}": share for encoder, share in log.kept_frequency.items()},
        "seconds": log.seconds,
        "memory_mb": log.memory_mb,
        "gpu_memory_mb": log.gpu_memory_mb,
        "gpu_percent": log.gpu_percent,
        "wait_s": log.wait_s,
        **log.scores,
    }
    for name, value in finite(final).items():
        legal = names.of(name)
        metrics.append((legal, short(value), last_step.get(legal, 0)))
    return metrics


def _curve_name(name: str, log: TrialLog) -> str:
    # an unfinished trial must not take part when trials are sorted by score
    is_result = name == "score" or name.startswith("acc_")
    return f"unfinished_{name}" if is_result and log.state != "complete" else name


def short(value: float) -> float:
    """Six digits: the journal has them all, and a table's column shows eight characters."""
    return float(f"{value:.6g}")


def confirmation_metrics(log: ConfirmationLog) -> list[Metric]:
    return [
        ("confirmed_score", short(log.mean), 0),
        ("confirmed_score_sd", short(log.sd), 0),
        ("confirmed_seeds", float(len(log.seeds)), 0),
    ]


def batches(
    metrics: Iterable[Metric], settings: Iterable[tuple[str, str]], n_metrics: int = 900, n_params: int = 100
) -> Iterator[Batch]:
    """Split so that each call stays under the servers' limits; usually one batch."""
    left_metrics, left_params = list(metrics), list(settings)
    while left_metrics or left_params:
        yield left_metrics[:n_metrics], left_params[:n_params]
        left_metrics, left_params = left_metrics[n_metrics:], left_params[n_params:]


def trial_tags(log: TrialLog, study: StudyLog) -> dict[str, str]:
    """The tags of a trial's run."""
    tags = {
        **study_tags(study),
        "rfe.trial": str(log.number),
        "rfe.state": log.state,
        "rfe.config_id": log.config_id,
        **{f"rfe.{legal_name(name)}": readable(value) for name, value in log.tags.items()},
    }
    if is_transductive(log.config):
        tags["rfe.transductive"] = "true"
    if log.worker:
        tags["rfe.worker"] = log.worker
    if log.reason:
        tags["rfe.reason"] = readable(log.reason)
    return tags


def study_tags(study: StudyLog) -> dict[str, str]:
    """The tags that all runs of a study share."""
    tags = {
        "rfe.study": study.study,
        "rfe.data": readable(study.data),
        "rfe.data_fingerprint": study.data_fingerprint,
        "rfe.git_commit": study.git_commit,
        "rfe.code_commit": study.code_commit,
        "rfe.code_diff": study.code_diff,
        "rfe.simulated": readable(study.simulated),
    }
    return {name: value for name, value in tags.items() if value}


def change_tags(study: StudyLog) -> dict[str, str]:
    """The tags of the study's own run that say what users can change: budget, workers, the narrowed space."""
    names = ("budget.trials", "budget.hours", "workers")
    tags = {f"rfe.{name}": readable(study.settings[name]) for name in names if name in study.settings}
    if study.narrowed:
        tags["rfe.narrowed"] = readable("; ".join(f"{name}: {values}" for name, values in study.narrowed.items()))
    return tags


def trial_description(log: TrialLog, study: StudyLog, confirmation: ConfirmationLog | None = None) -> str:
    """Markdown that says what the trial is and how it went."""
    # a page shows the first few lines only
    lines = []
    if log.state == "complete" and "score" in log.scores:
        how = " (transductive)" if is_transductive(log.config) else ""
        lines.append(f"**Score {_with_error(log, 'score')}**{how}: {_parts(log)}.")
    elif log.state != "complete":
        lines.append(f"**{log.state.capitalize()}**: {log.reason or 'no reason was given'}")
    lines += _warnings(study)
    if "duplicate_of" in log.tags:
        lines.append(
            f"The effective configuration is that of {trial_name(int(log.tags['duplicate_of']))}; it was not trained "
            "again and its result is copied."
        )
    if confirmation is not None:
        lines += [
            f"**Confirmed score {confirmation.mean:.3f}**, sd {confirmation.sd:.3f} over {len(confirmation.seeds)} "
            "fresh seeds that the search never used:",
            _table(
                ["seed", "score"],
                [[str(s), f"{v:.3f}"] for s, v in zip(confirmation.seeds, confirmation.scores, strict=True)],
            ),
        ]
    if log.kept_frequency:
        ranked = sorted(log.kept_frequency.items(), key=lambda item: -item[1])
        lines.append("Kept by the gate: " + ", ".join(f"{encoder} {share:.0%}" for encoder, share in ranked) + ".")
    lines.append(
        "Scores are out-of-fold; decoding for a fold is fitted on the other folds only. A trial's score ranks trials "
        "and is optimistic for the best one. Files: `config.yaml` (what `rfe train` accepts), `outputs.npz` (raw "
        "outputs in float16), `confusion.csv`, `gate.csv`; the best trials also have `figures/` and weights."
        if log.state == "complete"
        else "The configuration is in `config.yaml`."
    )
    return _note(lines)


def study_description(
    study: StudyLog, counts: Mapping[str, int], outcome: OutcomeLog | None = None, note: str = ""
) -> str:
    """Markdown that says what the study searches, on what, and what came of it; the user's `note` comes first."""
    lines = [note] if note else []
    lines += [] if outcome is None else [f"**{outcome.state.capitalize()}.** {outcome.summary}".strip()]
    lines += _warnings(study)
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lines.append(f"Study `{study.study}` on `{study.data}`. Trials: {told or 'none yet'}. Each is a run nested below.")
    if study.settings:
        lines.append(_table(["setting", "value"], [[f"`{n}`", readable(v)] for n, v in study.settings.items()]))
    if study.space:
        lines.append(_table(["searched", "over"], [[f"`{n}`", line] for n, line in study.space.items()]))
    return _note(lines)


def _note(paragraphs: list[str]) -> str:
    text = "\n\n".join(paragraphs).replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return text if len(text) <= LONGEST_NOTE else text[:LONGEST_NOTE] + "\n\n(cut; whole in the study's folder)"


def trial_view(study: StudyLog) -> str:
    """A saved view of the runs' table: trials by score, with the scores and what was searched as columns."""
    names = study_names(study)
    searched = list(dict.fromkeys("pool" if one.startswith("pool.") else names.of(one) for one in study.space))
    scores = [f"metrics.`{name}`" for name in ("score", "score_se", "acc_presence", "acc_salience", "confirmed_score")]
    while True:
        columns = [*scores, *(f"params.`{name}`" for name in searched), "tags.`rfe.state`", "tags.`rfe.reason`"]
        view = _saved_view("Trials by score", "tags.`rfe.trial` LIKE '%'", "metrics.`score`", False, columns)
        if len(view) <= LONGEST_VIEW or not searched:
            return view
        searched = searched[: len(searched) // 2]


def arm_table() -> str:
    """A saved view of an ablation's runs: arms by their difference from the base, the largest loss first."""
    metrics = ("difference", "difference_lower_95", "difference_upper_95", "p_holm", "score", "score_se")
    columns = [
        *(f"metrics.`{name}`" for name in metrics),
        *(f"tags.`{name}`" for name in ("rfe.family", "rfe.verdict", "rfe.state", "rfe.reason")),
    ]
    return _saved_view("Arms by difference", "tags.`rfe.arm` LIKE '%'", "metrics.`difference`", True, columns)


def _saved_view(name: str, condition: str, order_by: str, ascending: bool, columns: list[str]) -> str:
    state = {
        "searchFilter": condition,
        "orderByKey": order_by,
        "orderByAsc": ascending,
        "selectedColumns": columns,
        "columnOrder": columns,
    }
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def trial_table_path(experiment_id: str) -> str:
    """Where MLflow's page shows `trial_view`, after the `#` of its address."""
    return f"/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def _warnings(study: StudyLog) -> list[str]:
    lines = ["**Simulated data**: numbers say nothing about real recordings."] if study.simulated else []
    return ["> " + " ".join([*lines, *study.caveats])] if lines or study.caveats else []


def _parts(log: TrialLog) -> str:
    names = {"acc_presence": "presence accuracy", "acc_salience": "salience accuracy"}
    return ", ".join(f"{text} {_with_error(log, name)}" for name, text in names.items() if name in log.scores)


def _with_error(log: TrialLog, name: str) -> str:
    error = log.scores.get(f"{name}_se")
    return f"{log.scores[name]:.3f}" + ("" if error is None else f" ± {error:.3f}")


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
