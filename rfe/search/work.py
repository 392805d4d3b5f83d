"""Messages between driver, queue and workers: work items, assignments to workers, and results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rfe.training.record import Checkpoint, FoldPart, TrialResult


def study_of(key: str) -> str:
    """The study that an item's key belongs to."""
    return key.partition("/")[0]


def trial_of(key: str) -> int:
    """The trial's number in an item's key; -1 in a key of another kind."""
    last = key.rpartition("/")[2]
    return int(last) if last.isdecimal() else -1


@dataclass(frozen=True)
class WorkItem:
    """One configuration to train: all its folds and seeds, on one worker."""

    key: str
    """Unique in the queue: the study's name, a slash, and what tells its items apart, e.g. `STUDY/12`."""
    config: dict[str, Any]
    """The effective configuration as plain data."""
    data: str
    """Absolute path of the data folder, as every node sees it, or a URI that each node fetches once."""
    encoders: tuple[str, ...] | None = None
    """The encoders that the data set was limited to; None: all."""
    shape: str = ""
    """Items of equal shape may share a stack."""
    memory_bytes: int = 0
    """Estimate of what it needs on the worker's device."""
    limit_s: float | None = None
    """Longest share of a stack's time that it may take."""
    retries: int = 2
    """How often it may lose its worker before it fails."""
    keep_weights: bool = False
    """Return the weights even where the score does not reach the study's weight_threshold."""
    compared: bool = False
    """Whether its scores are reported while it trains, and may end it."""
    rungs: tuple[int, ...] = ()
    """Epochs at which it is scored, in addition to those at which all are."""
    part: FoldPart | None = None
    """The folds to train now; None: all."""
    rest: tuple[int, ...] = ()
    """The folds to train after these, if the score on these holds up."""
    checkpoint_file: str = ""
    """Absolute path, on the driver's node, of the file that keeps how far it is; "": nothing is kept."""
    checkpoint: Checkpoint | None = None
    """Where an earlier worker got to; None: from the start."""
    ahead: bool = False
    """It is handed out before what waits already."""

    @property
    def study(self) -> str:
        return study_of(self.key)


@dataclass(frozen=True)
class Assignment:
    """The queue's answer to a worker."""

    items: tuple[WorkItem, ...] = ()
    """Leased to the worker by this answer; empty where nothing is waiting."""
    dropped: frozenset[str] = frozenset()
    """Keys that the worker holds no lease of any more: it should leave them out of its stack."""
    pruned: Mapping[str, str] = field(default_factory=dict)
    """Key -> why: items of the worker that compare badly and are to end."""
    undecided: bool = False
    """Scores that the worker reported are yet to be compared."""
    weight_thresholds: Mapping[str, float] = field(default_factory=dict)
    """Study -> score from which the weights are wanted; all are wanted where none is named."""
    stop: bool = False
    """No more work will come: leave."""
    give_back: bool = False
    """The worker's node is about to go: save what is in training and give it back."""
    leave: bool = False
    """The worker was found hanging: end the process, whatever it does."""
    pause_s: float = 0.0
    """Call no sooner than in so many seconds where there is nothing to tell: the queue bears so many calls a second."""


@dataclass(frozen=True)
class ItemResult:
    """How one item ended."""

    key: str
    state: Literal["complete", "pruned", "failed"]
    reason: str = ""
    result: TrialResult | None = None
    """None where no worker could return anything."""
    worker: str = ""
    lost: int = 0
    """How many workers were lost over it."""
    wait_s: float | None = None
    """Seconds in the queue before a worker first took it; None: none did."""


@dataclass(frozen=True)
class Report:
    """The score of an item at an epoch, for the study to compare."""

    key: str
    epoch: int
    score: float


@dataclass(frozen=True)
class Updates:
    """What happened to a study's items since the last call."""

    results: tuple[ItemResult, ...] = ()
    reports: tuple[Report, ...] = ()
    cannot_start: str = ""
    """Why workers fail before they take anything, one after the other; "" while they do not."""


@dataclass(frozen=True)
class WorkQueueStatus:
    """The queue at one moment."""

    waiting: int = 0
    leased: int = 0
    finished: int = 0
    """Items that ended so far."""
    workers: int = 0
    """Workers heard of lately."""
    epochs: dict[str, int] = field(default_factory=dict)
    """Key of a leased item -> epochs done."""
    idle_s: float = 0.0
    """Seconds, summed over workers, in which a worker had asked for work and held none."""
    scores: dict[str, float] = field(default_factory=dict)
    """Key of a leased item -> its last score, if it was scored."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Key of a leased item -> its share of its stack's time so far."""


def over_time(limit_s: float) -> str:
    """The reason of a trial that took too long."""
    return f"took longer than limits.trial_minutes: {limit_s / 60:g}; raise it, or search smaller models"
