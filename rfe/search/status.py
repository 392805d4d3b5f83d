"""How far a search is, for display."""

from collections.abc import Mapping
from typing import Any

from rfe.progress import SearchStatus
from rfe.search.answering import TrialProgress
from rfe.search.budget import Budget
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import WorkQueueStatus, study_of, trial_of
from rfe.search_space import SearchSpace


def search_status(
    space: SearchSpace,
    budget: Budget,
    trial_tracker: TrialTracker,
    queue: WorkQueueStatus,
    *,
    elapsed_s: float,
    left_s: float | None,
    resumed: int,
) -> SearchStatus:
    """Return the state of the trials and the queue, for display.

    Args:
        space, budget: what is searched, and for how long.
        trial_tracker: tracks the study's trials.
        queue: of its workers.
        elapsed_s: since the command began.
        left_s: of the budget's time; None: it has none.
        resumed: trials that had ended before the command.
    """
    counts, ranking = trial_tracker.counts(), trial_tracker.ranking()
    best = ranking[0] if ranking else None
    ends = [n for n in (budget.trials, trial_tracker.grid_size) if n is not None]
    return SearchStatus(
        total=max(trial_tracker.n_asked, min(ends, default=0)),
        done=counts["complete"],
        running=trial_tracker.n_open,
        pruned=counts["pruned"],
        failed=counts["failed"],
        best_score=best.score if best else None,
        best_number=best.number if best else None,
        best_config=searched_values(best.config, space) if best else {},
        workers=queue.workers,
        epochs=tuple(sorted(n for key, n in queue.epochs.items() if study_of(key) == space.study)),
        elapsed_s=elapsed_s,
        resumed=resumed,
        deadline_s=left_s,
    )


def trial_progress(queue: WorkQueueStatus, study: str) -> dict[int, TrialProgress]:
    """How far the study's trials in training are, by number."""
    return {
        number: TrialProgress(queue.epochs.get(key), queue.scores.get(key), seconds)
        for key, seconds in queue.seconds.items()
        if study_of(key) == study and (number := trial_of(key)) >= 0
    }


def searched_values(config: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """The fields of `config` that `space` searches."""
    return {name: value for name, value in config.items() if name in space.space}
