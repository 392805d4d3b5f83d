"""What travels between driver, pool and workers: items of work, what a worker is told, what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rfe.training.record import Checkpoint, Part, TrialResult


def study_of(key: str) -> str:
    """The study that an item's key belongs to."""
    return key.partition("/")[0]


@dataclass(frozen=True)
class WorkItem:
    """One configuration to train: all its folds and seeds, on one worker."""

    key: str
    """Unique in the pool: the study's name, a slash, and what tells its items apart, e.g. `STUDY/12`."""
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
    """Return the weights even where the score does not reach the study's bar."""
    compared: bool = False
    """Whether its scores are reported while it trains, and may end it."""
    rungs: tuple[int, ...] = ()
    """Epochs at which it is scored besides those at which all are."""
    part: Part | None = None
    """The folds to train now; None: all."""
    rest: tuple[int, ...] = ()
    """The folds to train after these, if the score on these holds up."""
    checkpoint_file: str = ""
    """Absolute path, on the driver's node, of the file that keeps how far it is; "": nothing is kept."""
    checkpoint: Checkpoint | None = None
    """Where an earlier worker got to; None: from the start."""

    @property
    def study(self) -> str:
        return study_of(self.key)


@dataclass(frozen=True)
class Orders:
    """The pool's answer to a worker."""

    items: tuple[WorkItem, ...] = ()
    """Leased to the worker by this answer; empty where nothing is waiting."""
    dropped: frozenset[str] = frozenset()
    """Keys that the worker holds no lease of any more: it should leave them out of its stack."""
    pruned: Mapping[str, str] = field(default_factory=dict)
    """Key -> why: items of the worker that compare badly and are to end."""
    undecided: bool = False
    """Scores that the worker reported are yet to be compared."""
    bars: Mapping[str, float] = field(default_factory=dict)
    """Study -> score from which the weights are wanted; all are wanted where none is named."""
    stop: bool = False
    """No more work will come: leave."""
    leave: bool = False
    """The worker was found hanging: end the process, whatever it does."""


@dataclass(frozen=True)
class Delivery:
    """How one item ended."""

    key: str
    state: Literal["complete", "pruned", "failed"]
    reason: str = ""
    result: TrialResult | None = None
    """None where no worker could return anything."""
    worker: str = ""
    lost: int = 0
    """How many workers were lost over it."""


@dataclass(frozen=True)
class Report:
    """The score of an item at an epoch, for the study to compare."""

    key: str
    epoch: int
    score: float


@dataclass(frozen=True)
class News:
    """What happened to a study's items since it last asked."""

    deliveries: tuple[Delivery, ...] = ()
    reports: tuple[Report, ...] = ()
    cannot_start: str = ""
    """Why workers fail before they take anything, one after the other; "" while they do not."""


@dataclass(frozen=True)
class PoolStatus:
    """The pool at one moment."""

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


def over_time(limit_s: float) -> str:
    """The reason of a trial that took too long."""
    return f"took longer than limits.trial_minutes: {limit_s / 60:g}; raise it, or search smaller models"
