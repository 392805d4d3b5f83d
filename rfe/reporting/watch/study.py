"""A study as its live page shows it: brought up to date by reading what its journal got since the last look."""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from rfe.errors import RfeError, StudyError
from rfe.journal.events import StudyLog
from rfe.journal.records import Record, event_of
from rfe.reporting.running import see_running
from rfe.reporting.watch.values import POOL, counted_in, find_value, plain_value, shown_parameters
from rfe.search.changes import StudyChanges
from rfe.search_space.dimensions import ARM, POOL_PREFIX, Dimension
from rfe.study import StudyDefinition, read_definition
from rfe.study.importance import FEWEST_TRIALS, Point, measure_top_importance
from rfe.tracking.annotations import annotations_shown
from rfe.tracking.following import JournalFollower
from rfe.workspace import StudyFolder

GROWTH = 1.15
"""Importance is measured again when there are so many times as many trials."""
REST = 100.0
"""So many times as long as it took, at least, importance is not measured again: at most 1% of the time."""
MOST_POINTS = 1000
"""Of more trials, so many are taken for importance, from all parts of the search alike."""
MOST_REASONS = 20
LONGEST_REASON = 300
STATES = ("complete", "pruned", "failed")
RUNNING_FIELDS = ("total", "done", "running", "pruned", "failed", "workers", "elapsed_s", "rate_per_minute", "left_s")


@dataclass
class _Worker:
    """What one worker did so far."""

    trials: int = 0
    failed: int = 0
    seconds: float = 0.0
    last: float = 0.0


@dataclass
class _Failure:
    """Failed trials with one reason."""

    count: int = 0
    trials: list[int] = field(default_factory=list)


class WatchedStudy:
    """Reads a study's journal and what its process says of itself; never its lock. Any thread may call `payload`.

    Examples:
        >>> from pathlib import Path
        >>> watched = WatchedStudy(StudyFolder(Path("rfe-workspace/studies/first")))
        >>> watched.payload()["counts"]
        {'complete': 4, 'pruned': 0, 'failed': 2}
    """

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._follower = JournalFollower(folder)
        self._lock = threading.Lock()
        self._changes = 0
        """Grows when rows that were given out no longer hold."""
        self._begin()

    def _begin(self) -> None:
        self._study = StudyLog(self._folder.name)
        self._rows: list[list[Any]] = []
        self._known: set[int] = set()
        self._metrics: list[str] = []
        self._parameters: tuple[str, ...] = ()
        self._workers: dict[str, _Worker] = {}
        self._failures: dict[str, _Failure] = {}
        self._confirmed: dict[int, list[float]] = {}
        self._points: list[tuple[int, float, Mapping[str, Any]]] = []
        self._counts = dict.fromkeys(STATES, 0)
        self._outcome: dict[str, Any] | None = None
        self._changed = StudyChanges()
        self._definition: StudyDefinition | None = None
        self._importance: dict[str, Any] | None = None
        self._measured, self._next_measure = 0, 0.0

    def payload(self, start: int = 0, changes: int | None = None) -> dict[str, Any]:
        """The page's data: what changes at each look, and the trials' rows from `start` on.

        Args:
            start: how many rows the page has.
            changes: the `changes` of the data it has them from; where that is no longer so, all rows are given.

        Raises:
            StudyError: the journal is damaged.
        """
        with self._lock:
            self._refresh()
            start = start if changes == self._changes and 0 <= start <= len(self._rows) else 0
            return self._head() | {"start": start, "rows": self._rows[start:]}

    # ---- reading

    def _refresh(self) -> None:
        generation = self._follower.generation
        records = self._follower.read()
        again = {record.number for record in records if record.kind == "trial"} & self._known
        if self._follower.generation != generation or again:
            # rare: a trial that was recorded again, or another journal; everything is read once more
            self._changes += 1
            self._begin()
            self._follower = JournalFollower(self._folder)
            records = self._follower.read()
        last = {record.number: record for record in records if record.kind == "trial"}
        for record in records:
            self._changed.fold(record)
            if record.kind == "trial":
                if record is last[record.number]:
                    self._add_trial(record)
                self._outcome = None
            elif record.kind == "study":
                self._start(record)
            elif record.kind == "confirmation" and record.number is not None:
                scores = record.data.get("scores")
                if isinstance(scores, list):
                    self._confirmed[record.number] = [float(one) for one in scores if isinstance(one, int | float)]
            elif record.kind == "outcome":
                self._outcome = {"state": str(record.data.get("state")), "scores": record.data.get("scores", {})}
        self._measure()

    def _start(self, record: Record) -> None:
        event = None
        with suppress(StudyError):  # what it can show, it shows
            event = event_of(record, self._folder)
        if isinstance(event, StudyLog):
            self._study = event
            if event.starts:
                self._outcome = None
            self._parameters = shown_parameters(list(event.space))
        if self._definition is None:
            try:
                self._definition = read_definition(self._folder.path)
            except RfeError:  # the page does without scales and importance
                self._definition = None

    def _add_trial(self, record: Record) -> None:
        data, number = record.data, record.number
        if number is None:
            return
        state = str(data.get("state"))
        config, tags = _map(data.get("config")), _map(data.get("tags"))
        scores = _map(data.get("scores")) if state == "complete" else {}
        for name in scores:
            if name not in self._metrics and not name.endswith("_se"):
                self._metrics.append(name)
        values = []
        for name in self._parameters:
            try:
                values.append(_short(plain_value(find_value(config, name))))
            except (KeyError, TypeError):
                values.append(None)
        worker = str(data.get("worker") or "")
        is_copy = "duplicate_of" in tags
        self._known.add(number)
        self._counts[state] = self._counts.get(state, 0) + 1
        self._rows.append(
            [
                number,
                STATES.index(state) if state in STATES else len(STATES),
                int(is_copy),
                round(record.time),
                *(_short(data.get(name)) for name in ("seconds", "wait_s", "memory_mb", "gpu_memory_mb")),
                [_short(scores.get(name)) for name in self._metrics],
                values,
            ]
        )
        if worker:
            one = self._workers.setdefault(worker, _Worker())
            one.trials, one.failed = one.trials + 1, one.failed + (state == "failed")
            one.seconds += _number(data.get("seconds"))
            one.last = max(one.last, record.time)
        if state == "failed":
            failure = self._failures.setdefault(str(data.get("reason"))[:LONGEST_REASON], _Failure())
            failure.count += 1
            failure.trials = [*failure.trials[-4:], number]
        objective = self._study.settings.get("objective", "score")
        score = scores.get(objective if isinstance(objective, str) else objective[0])
        if isinstance(score, int | float) and not is_copy:
            self._points.append((number, float(score), config))

    # ---- importance

    def _measure(self) -> None:
        """Importance of the parameters, again when there are enough new trials."""
        if self._definition is None or len(self._points) < max(FEWEST_TRIALS, GROWTH * self._measured):
            return
        if time.monotonic() < self._next_measure:
            return
        began = time.monotonic()
        self._importance = self._find_importance(self._definition)
        self._measured = len(self._points)
        self._next_measure = time.monotonic() + REST * (time.monotonic() - began)

    def _find_importance(self, definition: StudyDefinition) -> dict[str, Any] | None:
        dimensions = definition.resolved.dimensions
        if any(one.name == ARM for one in dimensions) or not dimensions:
            return None
        points = _thin(self._points, MOST_POINTS)
        if len({score for _, score, _ in points}) == 1:
            return None
        try:
            found = measure_top_importance(
                definition,
                [Point(number, score, counted_in(config, dimensions), {}) for number, score, config in points],
            )
        except (ValueError, RuntimeError, StudyError):  # of Optuna, e.g. of a parameter with one value so far
            return None
        return {"shares": dict(found.shares), "question": found.question, "trials": found.n_trials}

    # ---- showing

    def _head(self) -> dict[str, Any]:
        live = see_running(self._folder)
        study, settings = self._study, self._study.settings
        objective = settings.get("objective", "score")
        annotations = annotations_shown(self._folder)
        ended = self._outcome["state"] if self._outcome else "interrupted"
        search = live.search if live is not None else None
        progress = {name: getattr(search, name) for name in RUNNING_FIELDS} if search is not None else None
        stage: dict[str, Any] | None = None
        if live is not None:
            stage = {"title": live.stage, "done": live.done, "total": live.total, "silent_s": round(live.silent_s)}
            stage |= {"host": live.host, "pid": live.pid, "epochs": list(search.epochs) if search else []}
        return {
            "name": self._folder.name,
            "now": time.time(),
            "state": "running" if live is not None else ended,
            "data": study.data,
            "simulated": study.simulated,
            "caveats": list(study.caveats),
            "note": annotations.note,
            "tags": list(annotations.tags),
            "objective": [objective] if isinstance(objective, str) else list(objective),
            "budget": settings.get("budget.trials"),
            "queued": len(self._changed.queue),
            "counts": dict(self._counts),
            "stage": stage,
            "progress": progress,
            "outcome": self._outcome,
            "metrics": list(self._metrics),
            "parameters": [self._scale(name) for name in self._parameters],
            "importance": self._importance,
            "workers": [
                {"name": name, **asdict(one)} for name, one in sorted(self._workers.items(), key=lambda item: item[0])
            ],
            "failures": [
                {"reason": reason, **asdict(one)}
                for reason, one in sorted(self._failures.items(), key=lambda item: -item[1].count)[:MOST_REASONS]
            ],
            "reasons": len(self._failures),
            "confirmed": {
                str(number): {"mean": _short(_mean(scores)), "sd": _short(_sd(scores)), "seeds": len(scores)}
                for number, scores in self._confirmed.items()
                if scores
            },
            "changes": self._changes,
        }

    def _scale(self, name: str) -> dict[str, Any]:
        dimensions: Sequence[Dimension] = self._definition.resolved.dimensions if self._definition is not None else ()
        one = next((one for one in dimensions if one.name == name), None)
        if one is None or one.kind == "choice":
            choices = [str(plain_value(value)) for value in one.choices] if one else []
            scale: dict[str, Any] = {"name": name, "log": False, "choices": choices}
        else:
            scale = {"name": name, "log": one.log, "low": one.low, "high": one.high}
        narrowed = self._study.narrowed
        if name in narrowed:  # the axis stays whole: trials outside of the narrowed range are shown too
            scale["narrowed"] = narrowed[name]
        elif name == POOL and (encoders := [one for one in narrowed if one.startswith(POOL_PREFIX)]):
            scale["narrowed"] = ", ".join(f"{one.removeprefix(POOL_PREFIX)} {narrowed[one]}" for one in encoders)
        return scale


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _short(value: Any) -> Any:
    """Five digits: a page shows no more, and they are half of its bytes."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value if isinstance(value, int | str) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sd(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(sum((one - mean) ** 2 for one in values) / (len(values) - 1)) if len(values) > 1 else 0.0


def _thin(points: Sequence[Any], most: int) -> Sequence[Any]:
    if len(points) <= most:
        return points
    return [points[index * (len(points) - 1) // (most - 1)] for index in range(most)]
