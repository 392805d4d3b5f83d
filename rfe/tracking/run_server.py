"""The interface of a tracking server, and the runs it has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from rfe.journal.events import TrialState
from rfe.tracking.presentation import Metric

RunStatus = Literal["RUNNING", "FINISHED", "KILLED", "FAILED"]
TRIAL_STATUS: dict[TrialState, RunStatus] = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
STUDY_STATUS: dict[str, RunStatus] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
BEGAN, RECORDED = "rfe.began", "rfe.recorded"
"""Tags: when the study was begun, which tells it from an earlier one of its name; when the journal got the result that
the run shows. Runs of older versions have neither."""


@dataclass
class KnownRun:
    """A run that the server has."""

    run_id: str
    status: str
    tags: dict[str, str]
    params: frozenset[str] = frozenset()
    started_ms: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


class RunServer(Protocol):
    """The requests made to a tracking server. All may raise when it is unavailable, and all are idempotent."""

    def find_experiment(self, name: str) -> str:
        """Id of the experiment, created or restored if need be."""

    def tag_experiment(self, experiment_id: str, name: str, value: str) -> None: ...

    def search(self, experiment_id: str, study: str, trial: str | None = None) -> Iterator[KnownRun]:
        """The runs that are tagged with the study; with `trial`, only that trial's."""

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str], start_s: float) -> str: ...

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        settings: Sequence[tuple[str, str]] = (),
        tags: Mapping[str, str] | None = None,
        at_s: float | None = None,
    ) -> None:
        """Log all in one call; at most 1,000 metrics and 100 settings."""

    def upload(self, run_id: str, paths: Iterable[Path], folder: str = "") -> None:
        """Copy those files that exist."""

    def delete(self, run_id: str, artifact: str) -> None:
        """Remove one file."""

    def set_status(self, run_id: str, status: RunStatus, at_s: float | None = None) -> None: ...

    def tags(self, run_id: str) -> Mapping[str, str]: ...
