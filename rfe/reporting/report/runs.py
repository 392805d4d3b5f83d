"""What a study ran: data, commit, seeds, states, cost; as a table."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from rfe.data.caveats import TRUTH_FILE
from rfe.data.dataset import Dataset
from rfe.journal.study import StudyJournal
from rfe.reporting.report.document import (
    Block,
    Column,
    ReportSection,
    Table,
    say,
)
from rfe.reporting.report.subject import ReportData
from rfe.workspace import StudyFolder


def training_seconds(journal: StudyJournal) -> float | None:
    """Of all trials together; None where none was logged."""
    seconds = [log.seconds for log in journal.trials.values() if math.isfinite(log.seconds)]
    return float(sum(seconds)) if seconds else None


def what_ran(folder: StudyFolder, journal: StudyJournal, data: ReportData) -> ReportSection:
    """Data, commit, seeds, cost."""
    log, logs = journal.study, list(journal.trials.values())
    states = [one.state for one in logs]
    copies = sum("duplicate_of" in one.tags for one in logs)
    counts = ", ".join(f"{states.count(name)} {name}" for name in ("complete", "pruned", "failed") if name in states)
    seconds = training_seconds(journal)
    memory = [one.memory_mb for one in logs if math.isfinite(one.memory_mb)]
    times = [one.time for one in logs if one.time]
    seeds = sorted({one.config.get("train.seeds", 1) for one in logs})
    n_confirmed = len(journal.confirmations)
    confirmed = f"{n_confirmed} trial{'s' * (n_confirmed != 1)}, with fresh seeds" if n_confirmed else "none"
    rows: list[tuple[str, Any]] = [
        ("study", folder.name),
        ("data", log.data + (" (simulated)" if log.simulated else "")),
        ("data fingerprint", log.data_fingerprint),
        *_sizes(data.dataset),
        ("git commit", log.git_commit or "not known"),
        ("commit of your code", log.code_commit or None),
        ("its uncommitted changes", log.code_diff or None),
        ("trials", f"{len(logs)}: {counts or 'none ended'}" + (f"; {copies} are copies of others" if copies else "")),
        ("study seed", log.settings.get("seed", "not known")),
        ("training seeds of a trial", _list(seeds)),
        ("confirmed", confirmed),
        ("state", _state(journal)),
        ("cost", "not logged" if seconds is None else f"{_duration(seconds)} of training, all trials together"),
        ("time from start to end", _elapsed(folder)),
        ("most memory of a worker", f"{max(memory):,.0f} MiB" if memory else None),
        ("first and last trial ended", f"{_moment(min(times))}, {_moment(max(times))}" if times else None),
    ]
    rows += [(name, value) for name, value in sorted(log.settings.items()) if name not in ("seed", "data.path")]
    blocks: list[Block] = [
        Table(
            f"{folder.name}-what-ran",
            "Data, settings and cost",
            (Column(""), Column("value")),
            tuple((name, say(value, Column("", None))) for name, value in rows if value is not None),
        )
    ]
    failed = [(one.number, one.state, one.reason) for one in logs if one.state != "complete"]
    if failed:
        reasons: dict[tuple[str, str], int] = {}
        for _, state, reason in failed:
            reasons[state, reason] = reasons.get((state, reason), 0) + 1
        blocks.append(
            Table(
                f"{folder.name}-not-complete",
                "Trials without a score",
                (Column("state"), Column("reason"), Column("trials")),
                tuple((state, reason, n) for (state, reason), n in sorted(reasons.items(), key=lambda item: -item[1])),
            )
        )
    return ReportSection("What ran", tuple(blocks))


def _sizes(dataset: Dataset | None) -> list[tuple[str, Any]]:
    if dataset is None:
        return []
    clips = dataset.clips
    actors = np.unique(clips.actor[: clips.n_source])
    return [
        ("training clips", f"{clips.n_source} of {int((actors >= 0).sum())} actors, in {len(clips.folds)} folds"),
        ("target", _target(dataset)),
        ("encoders", ", ".join(f"{name} ({file.dim})" for name, file in dataset.encoders.items())),
    ]


def _target(dataset: Dataset) -> str:
    clips = dataset.clips.n_target
    if not clips:
        return "none: nothing to adapt to or to hand in"
    known = dataset.simulated and (dataset.path / TRUTH_FILE).is_file()
    return f"{clips} clips, " + ("labels known to the simulator, not used here" if known else "unlabelled")


def _state(journal: StudyJournal) -> str:
    if journal.outcome is None or not journal.ended:
        return "has not ended: these are the trials so far"
    return journal.outcome.state


def _elapsed(folder: StudyFolder) -> str | None:
    try:
        return _duration(float(json.loads(folder.outcome.read_text(encoding="utf-8"))["elapsed_s"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _list(values: Sequence[Any]) -> str:
    return " or ".join(str(value) for value in values) or "1"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
