"""Ray Tune's part: each of its trials is light and carries one cohort of configurations to the queue.

The searcher asks the study for a cohort at a time; the trial offers it and waits until all of it has ended. What comes
of each configuration goes from the queue to the driver, not through Tune.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher
from ray.widgets.util import in_notebook

from rfe.search.session import LIGHT_CPU
from rfe.search.work import WorkItem
from rfe.search.work_queue_actor import find_queue
from rfe.threads import BackgroundThread

NODE_ID = "ray.io/node-id"
"""Label that Ray gives to every node."""
WAIT_S = 10.0
"""How long one call waits for a cohort's end before it asks again."""


@dataclass(frozen=True)
class Cohort:
    """The configurations that were asked for together."""

    name: str
    items: tuple[WorkItem, ...]


NextCohort = Callable[[], Cohort | None]
"""The next cohort; None while there is none. Raises `StopIteration` when none will come."""


class CohortSearcher(Searcher):  # type: ignore[misc]  # Ray is untyped
    """Hands Tune one trial for each cohort."""

    def __init__(self, next_cohort: NextCohort, queue: str) -> None:
        super().__init__()
        self._next_cohort, self._queue = next_cohort, queue

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        try:
            cohort = self._next_cohort()
        except StopIteration:
            return str(Searcher.FINISHED)
        if cohort is None:
            return None
        # The trial offers it too, but may take seconds to start, while workers wait
        find_queue(self._queue).offer(cohort.name, cohort.items)
        return {"queue": self._queue, "cohort": cohort.name, "items": list(cohort.items)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: results reach the study through the queue."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing of the study: Tune pickles its settings for a restore that we never ask for."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a resumed study starts a new tuner."""


def carry_cohort(config: dict[str, Any]) -> None:
    """The Tune trial: offer the cohort (or attach to it, after a retry) and wait for its end."""
    queue = find_queue(config["queue"])
    ended = False
    while not ended:
        queue.offer(config["cohort"], config["items"])  # again and again: a queue that was lost starts with nothing
        ended = queue.wait_cohort(config["cohort"], WAIT_S)
    tune.report({"configurations": len(config["items"])})


def light_resources(node_id: str) -> tune.PlacementGroupFactory:
    """What a Tune trial asks for: next to nothing, on the node of that id, where a CPU is left free for it.

    Nodes of one machine share an address, so Ray's resource `node:ADDRESS` would let it onto another node, where it
    takes a hundredth of a CPU, and a worker that needs the whole one can deadlock.
    """
    return tune.PlacementGroupFactory([{"CPU": LIGHT_CPU}], bundle_label_selector=[{NODE_ID: node_id}])


class Silence(tune.ProgressReporter):  # type: ignore[misc]
    """In a notebook Tune's own reporter clears the cell's output, and our progress with it, whatever `verbose` is."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: Any) -> None:
        """Nothing."""


class CohortTuner:
    """A Tune run in a thread of the driver.

    Args:
        queue: name of the queue's actor.
        folder: absolute; Tune keeps its own state there.
    """

    def __init__(self, next_cohort: NextCohort, queue: str, folder: Path) -> None:
        self._tuner = tune.Tuner(
            tune.with_resources(carry_cohort, light_resources(ray.get_runtime_context().get_node_id())),
            tune_config=tune.TuneConfig(
                search_alg=CohortSearcher(next_cohort, queue), num_samples=-1, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                name="cohorts",
                storage_path=str(folder),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=3),
                progress_reporter=Silence() if in_notebook() else None,  # in a terminal Tune warns of any
            ),
        )
        self._error: BaseException | None = None
        self._thread = BackgroundThread(target=self._fit, name="tuner")

    def start(self) -> None:
        """Start asking; returns at once."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether Tune is done: every cohort ended, or an error."""
        return not self._thread.is_alive()

    def raise_error(self) -> None:
        """Raise what ended the run, if it was an error."""
        if self._error is not None:
            raise self._error

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when time ran out."""
        self._thread.join(timeout_s)
        return self.ended

    def _fit(self) -> None:
        try:
            self._tuner.fit()
        except BaseException as error:  # of any kind: the driver's loop asks for it
            self._error = error
