"""What a search tells a study, in one line."""

from collections.abc import Mapping
from typing import Any

from rfe.journal.events import TrialLog, TrialState
from rfe.study import StudyStore


def tell(
    store: StudyStore,
    number: int,
    *,
    state: TrialState,
    values: tuple[float, ...] | None = None,
    user_attrs: Mapping[str, Any] | None = None,
) -> bool:
    """End a trial; False if it had ended."""
    about = {"config_id": f"c{number}", "reason": "", **(user_attrs or {})}
    scores = dict(zip(store.definition.space.objectives, values or (), strict=False))
    if values:
        scores.setdefault("score", values[0])
    config_id, reason = about.pop("config_id"), about.pop("reason")
    tags = {name: str(value) for name, value in about.items()}
    return store.tell(TrialLog("s", number, state, config_id, {}, scores, reason=reason, tags=tags)) is not None


def report(store: StudyStore, number: int, epoch: int, score: float) -> bool:
    """Whether the trial should end."""
    return store.report([(number, epoch, score)])[0]
