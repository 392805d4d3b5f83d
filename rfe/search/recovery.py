"""Journal and Optuna after a crash: what the journal says counts, whatever Optuna missed is told to it."""

import time
from dataclasses import dataclass, replace
from typing import Any

from rfe.study import StudyStore
from rfe.tracking.base import TrialLog
from rfe.tracking.journal import Journal
from rfe.tracking.records import read_events
from rfe.workspace import StudyFolder


@dataclass(frozen=True)
class Recovery:
    """A study's books as they were found."""

    logs: tuple[TrialLog, ...]
    """The journal's trials in the order of their ends, those it got just now last."""
    told: tuple[int, ...]
    """Trials that Optuna had not heard the end of."""
    failed: tuple[int, ...]
    """Trials that died before their parameters were recorded: failed in Optuna, and now in the journal too."""


def tell_trial(store: StudyStore, log: TrialLog) -> bool:
    """Tell Optuna how a trial ended; False if it knew."""
    attributes: dict[str, Any] = {"config_id": log.config_id, **log.tags}
    if log.reason:
        attributes["reason"] = log.reason
    objectives = store.definition.space.objectives
    values = None if log.score is None else tuple(log.scores[name] for name in objectives)
    return store.tell(log.number, state=log.state, values=values, user_attrs=attributes)


def recover(folder: StudyFolder, store: StudyStore, journal: Journal) -> Recovery:
    """Bring Optuna up to the journal. Trials that nobody ended stay running: they are adopted by who goes on."""
    logs = [event for event in read_events(folder) if isinstance(event, TrialLog)]
    known = {log.number: log for log in logs}
    rows = {row.number: row for row in store.trials()}
    told = [number for number, log in sorted(known.items()) if number in rows and tell_trial(store, log)]
    failed = []
    for row in rows.values():
        if row.state == "failed" and row.number not in known:  # without parameters, so nobody could train it
            reason = str(row.user_attrs.get("reason", "ended by another process"))
            log = TrialLog(folder.name, row.number, "failed", "", dict(row.params), reason=reason)
            logs.append(journal.record_trial(replace(log, time=time.time())))
            failed.append(row.number)
    return Recovery(tuple(logs), tuple(told), tuple(failed))
