"""The changes that users requested of a study: the journal's records, applied in order.

A request takes effect in one way only: its record is folded into `StudyChanges`, by the process that wrote it and by
every later one that reads the journal. So a study that is killed and resumed is as one that went on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rfe.journal.asking import ASK, TrialsAsked
from rfe.journal.events import StudyLog
from rfe.journal.records import Record, explained
from rfe.search.budget import SESSION, Budget
from rfe.search_space import ResolvedSpace
from rfe.search_space.dimensions import Value
from rfe.search_space.narrowing import narrowed_dimensions, with_ranges
from rfe.study import AskedTrial

REQUEST = "request"
"""Kind of the journal's record of a request that was taken up, or refused."""
CHANGEABLE = ("trials", "hours", "workers")


@dataclass(frozen=True)
class QueuedTrial:
    """A configuration that is tried before what the sampler proposes."""

    id: str
    """Unique in the study."""
    params: Mapping[str, Value]
    """By parameter; the sampler draws those that are not named."""
    retry_of: int | None = None
    """The failed trial that is tried again."""

    def tags(self) -> dict[str, str]:
        """What the trial's log says of where it comes from."""
        return {"queued": "user"} if self.retry_of is None else {"retry_of": str(self.retry_of)}


@dataclass
class StudyChanges:
    """See the module; use `read`, then `fold`."""

    queue: list[QueuedTrial] = field(default_factory=list)
    """In the order in which they are tried."""
    origins: dict[int, QueuedTrial] = field(default_factory=dict)
    """Trial -> the queued configuration that it is."""
    asked: dict[int, Mapping[str, Value]] = field(default_factory=dict)
    """Trial -> its parameters."""
    pruned: dict[int, str] = field(default_factory=dict)
    """Trial that a user ended -> the reason."""
    ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Parameter -> its narrowed range; empty while the space is as it was."""
    narrowed_at: int = 0
    """Number of the first trial that is asked for in the narrowed space."""
    changed: dict[str, Any] = field(default_factory=dict)
    """Of `CHANGEABLE` what a user changed since the last command that asked for something else."""
    started_with: dict[str, Any] | None = None
    """Of `CHANGEABLE` what the last command on the study was started with; None: there was none."""
    known: set[str] = field(default_factory=set)
    """Requests that have a record."""

    @classmethod
    def read(cls, records: Iterable[Record]) -> "StudyChanges":
        """The changes that a journal tells of."""
        changes = cls()
        for record in records:
            changes.fold(record)
        return changes

    def fold(self, record: Record) -> None:
        """Take in one more record; those of other kinds say nothing here.

        Raises:
            StudyError: a field is not what it should be.
        """
        with explained(record):
            self._fold(record)

    def _fold(self, record: Record) -> None:
        if record.kind == ASK:
            event = TrialsAsked.of_record(record.data)
            self._fold_asked(event.trials, event.queued)
        elif record.kind == SESSION:
            started = _limits(record.data)
            if self.started_with is not None:  # running the same command again keeps the changes
                other = {name for name in CHANGEABLE if started[name] != self.started_with[name]}
                if started["workers"] is None:  # no number was asked for
                    other.discard("workers")
                self.changed = {name: value for name, value in self.changed.items() if name not in other}
            self.started_with = started
        elif record.kind == REQUEST:
            self.known.add(str(record.data["id"]))
            self._fold_request(record.data.get("effects") or {})

    def budget(self, planned: Budget) -> Budget:
        """The budget that a command was started with, as users have changed it since."""
        changed = {name: self.changed[name] for name in ("trials", "hours") if name in self.changed}
        return replace(planned, **changed)

    def space(self, resolved: ResolvedSpace) -> ResolvedSpace:
        """The study's space, as users have narrowed it since."""
        return with_ranges(resolved, self.ranges) if self.ranges else resolved

    def describe(self, study: StudyLog, resolved: ResolvedSpace) -> StudyLog:
        """The study's log as users have changed it since; `resolved` is the space that it began with."""
        names = {"trials": "budget.trials", "hours": "budget.hours", "workers": "workers"}
        changed = {name: self.changed[one] for one, name in names.items() if one in self.changed}
        now = self.space(resolved)
        narrowed = {one.name for one in narrowed_dimensions(resolved, now)}
        space = {one.name: one.describe() for one in now.dimensions}
        return replace(
            study,
            settings={**study.settings, **changed},
            space=space,
            narrowed={name: values for name, values in space.items() if name in narrowed},
        )

    @property
    def retried(self) -> dict[int, int | None]:
        """Failed trial that is tried again -> the trial it is now; None while it is queued."""
        queued = {one.retry_of: None for one in self.queue if one.retry_of is not None}
        return queued | {one.retry_of: number for number, one in self.origins.items() if one.retry_of is not None}

    def take(self, asked: Iterable[AskedTrial]) -> None:
        """Trials were asked for, and the journal has them."""
        asked = list(asked)
        self._fold_asked({one.number: one.params for one in asked}, {one.number: one.queued for one in asked})

    def _fold_asked(self, trials: Mapping[int, Mapping[str, Value]], names: Mapping[int, str]) -> None:
        self.asked |= trials
        queued = {one.id: one for one in self.queue}
        for number, name in names.items():
            if (one := queued.get(name)) is not None:
                self.origins[number] = one
                self.queue.remove(one)

    def _fold_request(self, effects: Mapping[str, Any]) -> None:
        queue = [QueuedTrial(one["id"], one["params"], one.get("retry_of")) for one in effects.get("queue", ())]
        self.queue = [*queue, *self.queue] if effects.get("first") else [*self.queue, *queue]
        self.pruned |= {int(number): str(reason) for number, reason in effects.get("prune", {}).items()}
        change = effects.get("change", {})
        self.changed |= {name: value for name, value in _limits(change).items() if name in change}
        if effects.get("ranges"):
            self.ranges, self.narrowed_at = effects["ranges"], 1 + max(self.asked, default=-1)
        dropped = effects.get("dropped", ())
        self.queue = [one for one in self.queue if one.id not in dropped]


def _limits(data: Mapping[str, Any]) -> dict[str, Any]:
    """Of `CHANGEABLE` what a record says; None: no limit."""
    found = {name: data.get(name) for name in CHANGEABLE}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise TypeError(f"{name} is no number")
    return found
