"""How many trials to ask for at a time, and how many may be open (asked for and not ended).

Many open trials keep the workers busy and the stacks full. But a sampler learns nothing of an open trial, so a study
whose trials are all open at once is random search.
"""

from dataclasses import dataclass
from math import ceil, inf

from rfe.search_space import SearchSpace

COHORTS_AT_ONCE = 4
"""Into so many cohorts at least the trials in training are divided, so that a sampler learns between them."""
LEARNING = ("tpe", "gp", "cmaes")
"""Samplers that propose by what has ended; the others draw whole generations, or do not learn."""
PART = 8
"""With a sampler that learns at most so large a part of the study's trials is open ..."""
EACH = 4
"""... but so many for each worker, which one stack of a CPU holds."""
USUAL_TRIALS = 100
"""Where the budget is of hours alone."""


@dataclass(frozen=True)
class OpenTrials:
    """Counts of trials."""

    cohort: int
    """Asked for at a time."""
    most: int
    """That may be open."""


def plan_open_trials(
    space: SearchSpace, trials: int | None, *, n_workers: int, stack: int, prefetch: int
) -> OpenTrials:
    """Cohort size and limit of open trials for the current workers and budget.

    Args:
        space: its sampler, and its `cohort` where the user fixed it: then nothing is limited.
        trials: of the budget; None: hours alone.
        n_workers: those there are or are expected, at least 1.
        stack: most configurations that one of them trains at a time.
        prefetch: how many stacks are asked for ahead, for half of the workers; 0: cohort by cohort.

    Examples:
        >>> from rfe.search_space import load_space
        >>> tpe = load_space({"study": "s", "space": {"train.lr": {"float": [0.001, 0.01]}}})
        >>> plan_open_trials(tpe, 100, n_workers=1, stack=32, prefetch=1)
        OpenTrials(cohort=13, most=13)
        >>> plan_open_trials(tpe, 100, n_workers=2, stack=4, prefetch=1)
        OpenTrials(cohort=4, most=12)
    """
    # Tune takes a tenth of a second for a cohort, whatever its size
    cohort = space.cohort or stack * ceil(n_workers / COHORTS_AT_ONCE)
    if not prefetch:
        return OpenTrials(cohort, cohort * n_workers)
    most = stack * n_workers + prefetch * max(cohort, stack * ceil(n_workers / 2))
    limited = space.sampler.kind in LEARNING and not space.cohort
    limit = max(EACH * n_workers, ceil((trials or USUAL_TRIALS) / PART)) if limited else inf
    return OpenTrials(int(min(cohort, limit)), int(min(most, limit)))
