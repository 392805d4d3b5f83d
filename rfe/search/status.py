"""How a search stands, for whoever looks at it."""

from collections.abc import Mapping
from typing import Any

from rfe.progress import SearchStatus
from rfe.search.budget import Budget
from rfe.search.ledger import Ledger
from rfe.search.work import PoolStatus, study_of
from rfe.search_space import SearchSpace


def search_status(
    space: SearchSpace,
    budget: Budget,
    ledger: Ledger,
    pool: PoolStatus,
    *,
    elapsed_s: float,
    left_s: float | None,
    resumed: int,
) -> SearchStatus:
    """The books and the pool at one moment.

    Args:
        space, budget: what is searched, and for how long.
        ledger: the study's books.
        pool: of its workers.
        elapsed_s: since the command began.
        left_s: of the budget's time; None: it has none.
        resumed: trials that had ended before the command.
    """
    counts, ranking = ledger.counts(), ledger.ranking()
    best = ranking[0] if ranking else None
    ends = [n for n in (budget.trials, ledger.grid_size) if n is not None]
    return SearchStatus(
        total=max(ledger.n_asked, min(ends, default=0)),
        done=counts["complete"],
        running=ledger.n_open,
        pruned=counts["pruned"],
        failed=counts["failed"],
        best_score=best.score if best else None,
        best_number=best.number if best else None,
        best_config=searched_values(best.config, space) if best else {},
        workers=pool.workers,
        epochs=tuple(sorted(n for key, n in pool.epochs.items() if study_of(key) == space.study)),
        elapsed_s=elapsed_s,
        resumed=resumed,
        deadline_s=left_s,
    )


def searched_values(config: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """The fields of `config` that `space` searches."""
    return {name: value for name, value in config.items() if name in space.space}
