"""When a study ends: trials, hours over all resumes, and limits that end it early."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rfe.errors import ConfigError
from rfe.journal.events import TrialLog
from rfe.journal.records import Record
from rfe.search.options import RunOptions
from rfe.search_space import SearchSpace

SESSION = "session"
"""Kind of the journal's record with which a command on the study begins."""
EXHAUSTED = "the grid is exhausted: each of its configurations was asked for"
"""Why a study with the sampler `grid` ends."""
LONGEST_STEP_S = 86400.0
MOST_COPIES = 100
"""So many repetitions one after the other mean that the space is exhausted."""


@dataclass(frozen=True)
class Budget:
    """What a study may use in all."""

    trials: int | None
    hours: float | None
    failed_in_a_row: int
    no_improvement: int | None

    def left(self, n_asked: int) -> int | None:
        """Trials that may still be asked for; None: any number."""
        return None if self.trials is None else max(0, self.trials - n_asked)

    def asks_for_more(self, trials: Sequence[TrialLog], spent_s: float) -> bool:
        """Whether a study with these ended trials surely asks for more; `TrialTracker` decides where this cannot."""
        n_copies = sum("duplicate_of" in trial.tags for trial in trials[-MOST_COPIES:])
        return (
            (self.trials is None or len(trials) < self.trials)
            and (self.no_improvement is None or not trials)
            and not self.end(spent_s, 0, n_copies)
        )

    def failure(self, failed_in_a_row: int, commonest: str) -> str:
        """Why the study should stop as failed; "" while it should not."""
        if failed_in_a_row < self.failed_in_a_row:
            return ""
        return f"{failed_in_a_row} trials failed in a row, most of them so: {commonest}"

    def end(self, elapsed_s: float, since_best: int, copies_in_a_row: int) -> str:
        """Why no more trials should be asked for; "" while there should be more."""
        if self.hours is not None and elapsed_s >= 3600 * self.hours:
            return f"the budget of {self.hours:g} hours is used"
        if self.no_improvement is not None and since_best >= self.no_improvement:
            return f"no better trial in {since_best} finished trials"
        if copies_in_a_row >= MOST_COPIES:
            return f"{copies_in_a_row} trials in a row repeat trained configurations: the space holds nothing new"
        return ""


def plan_budget(space: SearchSpace, options: RunOptions) -> Budget:
    """The budget of a space, with what was asked for instead.

    Raises:
        ConfigError: neither trials nor hours are limited; a grid ends by itself.
    """
    trials, hours = options.trials or space.budget.trials, options.hours or space.budget.hours
    if trials is None and not space.space and not space.arms:
        trials = max(1, len(space.first_trials))  # a fixed list of configurations
    if trials is None and hours is None and space.sampler.kind != "grid":
        raise ConfigError(f"study {space.study}: budget: set budget.trials or budget.hours (--trials, --hours)")
    return Budget(trials, hours, space.limits.failed_in_a_row, space.limits.no_improvement)


def spent_seconds(records: Iterable[Record]) -> float:
    """Seconds that earlier commands worked on the study, from the journal; each counts up to its last record.

    Journals of earlier versions have times of day only. Of those a step backwards, or of more than a day, is a clock
    that was set and no work.
    """
    total = spent = last = 0.0
    by_clock = True
    for record in records:
        worked = record.worked_s
        if record.kind == SESSION:
            total, spent, by_clock = total + spent, 0.0, worked is None
        elif by_clock:
            step = record.time - last
            spent += step if 0 < step < LONGEST_STEP_S else 0.0
        elif worked is not None:
            spent = max(spent, worked)  # records of a command that is no search, like `repair`, have less
        last = record.time
    return total + spent
