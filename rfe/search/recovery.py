"""Journal and Optuna after a crash: what the journal says counts, whatever Optuna missed is told to it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rfe.config.load import load_config
from rfe.errors import ConfigError, StudyError
from rfe.search_space import ARM, ResolvedSpace, find_point
from rfe.search_space.dimensions import Value
from rfe.study import Asked, JournaledTrial, StudyDefinition, StudyStore
from rfe.tracking.base import TrialLog
from rfe.tracking.journal import Journal
from rfe.tracking.records import read_events, read_records
from rfe.workspace import StudyFolder

ASK = "ask"
"""Kind of the journal's record of the trials that were asked for: number -> parameters."""


@dataclass(frozen=True)
class Recovery:
    """A study's journal and Optuna's log as they were found."""

    logs: tuple[TrialLog, ...]
    """The journal's trials in the order of their ends, those it got just now last."""
    told: tuple[int, ...]
    """Trials that Optuna had not heard the end of."""
    failed: tuple[int, ...]
    """Trials that died before their parameters were recorded: failed in Optuna, and now in the journal too."""


def record_asked(journal: Journal, asked: Sequence[Asked]) -> None:
    """Have the journal know the trials' numbers and parameters, so that Optuna's log can be rebuilt."""
    if asked:
        journal.record(ASK, trials={str(one.number): one.params for one in asked})


def read_history(folder: StudyFolder, definition: StudyDefinition) -> dict[int, JournaledTrial]:
    """What the study's journal says of each trial that was asked for.

    Raises:
        StudyError: a line of the journal is damaged.
    """
    asked = _read_asked(folder)
    history = {number: JournaledTrial(number, params) for number, params in asked.items()}
    for log in read_events(folder):
        if isinstance(log, TrialLog):
            history[log.number] = JournaledTrial(
                log.number,
                asked.get(log.number) or _point(log, definition.resolved),
                log.state,
                _values(log, definition.space.objectives),
                _attributes(log),
                {} if definition.space.pruner.kind == "none" else _reports(log),
                log.time,
                0.0 if math.isnan(log.seconds) else log.seconds,
            )
    return history


def tell_trial(store: StudyStore, log: TrialLog) -> bool:
    """Tell Optuna how a trial ended; False if it knew."""
    values = _values(log, store.definition.space.objectives)
    return store.tell(log.number, state=log.state, values=values, user_attrs=_attributes(log))


def recover(folder: StudyFolder, store: StudyStore, journal: Journal) -> Recovery:
    """Bring Optuna up to the journal. Trials that have not ended stay running: the next search adopts them."""
    logs = [event for event in read_events(folder) if isinstance(event, TrialLog)]
    known = {log.number: log for log in logs}
    rows = {row.number: row for row in store.trials()}
    told = [number for number, log in sorted(known.items()) if number in rows and tell_trial(store, log)]
    failed = []
    for row in rows.values():
        if row.state == "failed" and row.number not in known:  # without parameters it cannot be trained
            reason = str(row.user_attrs.get("reason", "ended by another process"))
            log = TrialLog(folder.name, row.number, "failed", "", dict(row.params), reason=reason)
            logs.append(journal.record_trial(replace(log, time=time.time())))
            failed.append(row.number)
    asked = _read_asked(folder)
    # of earlier versions, or of a process that was killed between Optuna's log and the journal
    record_asked(
        journal,
        [Asked(n, row.params) for n, row in rows.items() if row.params and row.state != "waiting" and n not in asked],
    )
    return Recovery(tuple(logs), tuple(told), tuple(failed))


def _read_asked(folder: StudyFolder) -> dict[int, dict[str, Value]]:
    """Number -> parameters of the trials whose asking the journal has."""
    asked: dict[int, dict[str, Value]] = {}
    for record in read_records(folder.journal):
        if record.kind == ASK:
            try:
                asked |= {int(number): dict(params) for number, params in record.data["trials"].items()}
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise StudyError(
                    f"{folder.journal}: a record of kind {ASK!r} cannot be read ({type(error).__name__}: {error}); "
                    f"restore the file with `rfe studies pull {folder.name}`, or delete that line"
                ) from None
    return asked


def _point(log: TrialLog, resolved: ResolvedSpace) -> Mapping[str, Value] | None:
    """The parameters of a trial whose asking the journal does not have."""
    if not log.config_id:
        return log.config  # values that do not go together are recorded as they were asked for
    try:
        return find_point(resolved, load_config(log.config), log.tags.get(ARM, ""))
    except ConfigError:
        return None


def _attributes(log: TrialLog) -> dict[str, Any]:
    return {"config_id": log.config_id, **log.tags, **({"reason": log.reason} if log.reason else {})}


def _values(log: TrialLog, objectives: Sequence[str]) -> tuple[float, ...] | None:
    return None if log.score is None else tuple(log.scores[name] for name in objectives)


def _reports(log: TrialLog) -> dict[int, float]:
    return {epoch: score for epoch, score in log.curves.get("score", []) if math.isfinite(score)}
