"""The journal's events: what happens to a study and its trials."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

TrialState = Literal["complete", "pruned", "failed"]
StudyState = Literal["finished", "stopped", "failed"]
KEEP_TOP = 20
"""How many of the best trials keep their weights and get figures."""


@dataclass(frozen=True)
class StudyLog:
    """The description of a study when it starts or is resumed."""

    study: str
    data: str = ""
    """Name of the data set."""
    data_fingerprint: str = ""
    git_commit: str = ""
    """Of rfe itself, where it runs from a checkout."""
    code_commit: str = ""
    """Of the git repository around the working directory; "" without one."""
    code_diff: str = ""
    """What of that repository was not committed: a file, relative to the study's folder; "" where none is kept."""
    simulated: bool = False
    caveats: tuple[str, ...] = ()
    """Sentences that every report on this data carries."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted name -> value: seed, sampler, budget, objective ... of the study itself."""
    session: str = ""
    """Tells the process that works on the study now from earlier and later ones."""
    space: Mapping[str, str] = field(default_factory=dict)
    """Dimension -> one readable line, e.g. `train.lr` -> `float 1e-4 .. 5e-3, log`."""
    narrowed: Mapping[str, str] = field(default_factory=dict)
    """Of `space` the lines of dimensions that users narrowed since the study began."""
    starts: bool = True
    """False: users changed the study, as `settings` and `space` say; the study neither starts nor resumes here."""

    @property
    def changed(self) -> bool:
        """Whether users surely changed what the study was started with."""
        return bool(self.narrowed) or not self.starts


@dataclass(frozen=True)
class TrialLog:
    """One finished configuration. Before the journal has it, `artifacts` may be bytes and `weights` arrays; what the
    journal returns has paths only."""

    study: str
    number: int
    state: TrialState
    config_id: str
    config: Mapping[str, Any]
    """Effective configuration, dotted name -> value."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """`score`, `acc_presence`, `acc_salience`, each with `..._se`; non-finite values are left out."""
    per_fold: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Metric -> fold number -> value."""
    totals: Mapping[str, Mapping[int, list[float]]] = field(default_factory=dict)
    """Metric -> fold number -> its sums, mean over seeds; see `metrics.Metric.totals`. Empty in older journals."""
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Metric -> (epoch, value)."""
    kept_frequency: Mapping[str, float] = field(default_factory=dict)
    """Encoder -> share of held-out clips in which the gate kept it."""
    seconds: float = math.nan
    """Of training: its share of its stack's time."""
    memory_mb: float = math.nan
    """Peak resident memory of the worker while it trained, in MiB."""
    gpu_memory_mb: float = math.nan
    """Peak memory allocated on the GPU, in MiB; NaN without one, as all of these are where nothing is known."""
    gpu_percent: float = math.nan
    """Mean share of time in which the GPU computed, in percent."""
    wait_s: float = math.nan
    """Seconds between its being asked for and a worker taking it."""
    worker: str = ""
    """What trained it, `WORKER@HOST`; "" where nothing did, and in older journals."""
    reason: str = ""
    """Why it failed or was pruned."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Further tags, e.g. `duplicate_of`."""
    artifacts: Mapping[str, bytes | Path] = field(default_factory=dict)
    """File name -> content or path: config.yaml, outputs.npz, confusion.csv, gate.csv."""
    weights: Mapping[str, NDArray[np.float32]] | Path | None = None
    """Tensors to be kept as safetensors while the trial is among the best, or where they are."""
    time: float = 0.0
    """End of the trial, seconds since 1970; the journal fills it in."""

    @property
    def score(self) -> float | None:
        """The score of a complete trial, else None."""
        return self.scores.get("score") if self.state == "complete" else None


@dataclass(frozen=True)
class ConfirmationLog:
    """A trial retrained with seeds that the search never used."""

    study: str
    number: int
    scores: tuple[float, ...]
    """[seed] score of each fresh seed."""
    seeds: tuple[int, ...]
    artifacts: Mapping[str, bytes | Path] = field(default_factory=dict)
    weights: Mapping[str, NDArray[np.float32]] | Path | None = None
    time: float = 0.0

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))

    @property
    def sd(self) -> float:
        """Standard deviation over seeds; 0 for a single seed."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0


@dataclass(frozen=True)
class OutcomeLog:
    """How a study ended; it may be resumed later."""

    study: str
    state: StudyState
    summary: str = ""
    """Markdown shown with the study's run."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """`score_best`, `score_selected`, `score_confirmed` ...; non-finite values are left out."""
    time: float = 0.0


StudyEvent = StudyLog | TrialLog | ConfirmationLog | OutcomeLog


Key = TypeVar("Key", str, int)


def finite(values: Mapping[Key, float]) -> dict[Key, float]:
    """The finite ones of `values`, as plain floats."""
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def best_trials(scores: Mapping[int, float], keep: int = KEEP_TOP) -> list[int]:
    """The trial numbers with the `keep` highest scores, best first; the earlier trial wins a tie."""
    return nsmallest(keep, scores, key=lambda number: (-scores[number], number))
