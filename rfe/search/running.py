"""Studies that MLflow shows while they run: one alone, or several on one set of workers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rfe.progress import Progress
from rfe.search.options import RunOptions
from rfe.workspace import StudyFolder, Workspace

if TYPE_CHECKING:
    from rfe.data.dataset import Dataset
    from rfe.search.fleet import Fleet
    from rfe.search.outcome import StudyOutcome
    from rfe.search_space import SearchSpace


def run_study(
    space: SearchSpace, workspace: Workspace, progress: Progress, options: RunOptions, **given: Any
) -> StudyOutcome:
    """`rfe.search.driver.run_search`, with its arguments, on the space's own data and shown in MLflow."""
    from rfe.search.driver import run_search
    from rfe.tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker(workspace, workspace.study(space.study), progress.note, space.keep_top)
    try:
        return run_search(space, None, workspace, options, progress=progress, tracker=tracker, **given)
    finally:
        if left := tracker.close():
            progress.note(left)
        progress.close()


@dataclass
class StudySeries:
    """Runs studies of one data set one after another, all on the workers that the first one starts."""

    dataset: Dataset
    source: str
    """Absolute path, or URI, of the data."""
    encoders: tuple[str, ...] | None
    """Taken of it; None: all."""
    workspace: Workspace
    progress: Progress
    options: RunOptions
    stack: ExitStack
    """Ends the workers."""
    several: bool
    """False: there is one study, which starts its own workers while its data are read."""
    fleet: Fleet | None = None

    def run(self, space: SearchSpace, opened: Callable[[StudyFolder], None] = lambda folder: None) -> bool:
        """Run a study of a space that names no data to its end; False after an interrupt."""
        data: dict[str, Any] = {"path": self.source}
        if self.encoders is not None:
            data["encoders"] = list(self.encoders)
        space = space.model_copy(update={"data": space.data.model_copy(update=data)})
        # a study that has ended needs no workers
        if self.several and self.fleet is None and not self.workspace.study(space.study).outcome.is_file():
            self._start_workers()
        given = {"opened": opened, "fleet": self.fleet}
        return run_study(space, self.workspace, self.progress, self.options, **given).state != "stopped"

    def _start_workers(self) -> None:
        from rfe.scratch import provide_home

        provide_home()  # before the imports: without a home Ray's raises an error
        from rfe.search.fleet import open_fleet
        from rfe.search.node_check import check_nodes
        from rfe.search.session import open_session

        self.progress.note("starting Ray and its workers")
        options, cache = self.options, self.workspace.cache
        session = self.stack.enter_context(open_session(options.address, options.workers, self.progress.note))
        self.fleet = self.stack.enter_context(open_fleet(session, cache))
        check_nodes(session, self.dataset, self.source, self.encoders, cache)
