"""Studies in a line each, as lists show them: read from states and scores alone, without trials' files and curves."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rfe.data.caveats import TRANSDUCTIVE
from rfe.errors import ConfigError, StudyError
from rfe.journal.events import OutcomeLog, StudyLog
from rfe.journal.records import KINDS, event_of, read_records, trial_end
from rfe.reporting.running import find_running
from rfe.suggestions import unknown
from rfe.tracking.annotations import ARCHIVED_TAG, NOTE_TAG, TAGS_TAG, annotations_shown
from rfe.tracking.remote import RemoteStudy
from rfe.workspace import StudyFolder
from rfe.writing import PlainRecord

STATES = ("running", "interrupted", "finished", "stopped", "failed", "damaged")


@dataclass(frozen=True)
class StudySummary(PlainRecord):
    """One line of the list of studies."""

    name: str
    state: str
    """`running`, `interrupted` (neither running nor ended well), or how it ended: `finished`, `stopped`, `failed`;
    `damaged`: its journal cannot be read."""
    data: str
    simulated: bool
    trials: Mapping[str, int]
    """`complete`, `pruned`, `failed`."""
    score_best: float | None
    """Of the best trial: optimistic, as the same clips chose it."""
    score_selected: float | None
    """As of the study's last end; None before the first."""
    score_confirmed: float | None
    changed: float
    """Last entry of the journal, seconds since 1970; 0 of an empty one."""
    folder: str
    problem: str = ""
    """Why it is damaged, and what to do."""
    note: str = ""
    tags: tuple[str, ...] = ()
    archived: bool = False
    transductive: bool = False
    """Whether a score may be one of the design decoder."""

    @property
    def compared(self) -> bool:
        """Whether a best trial was chosen among several."""
        return sum(self.trials.values()) > 1


def summarize_study(folder: StudyFolder) -> StudySummary:
    """One study in a line; a damaged one is no reason not to see the others."""
    try:
        return read_summary(folder)
    except StudyError as error:
        changed = folder.journal.stat().st_mtime if folder.journal.is_file() else 0.0
        none = dict.fromkeys(("complete", "pruned", "failed"), 0)
        return StudySummary(
            folder.name, "damaged", "", False, none, None, None, None, changed, str(folder.path), str(error)
        )


def read_summary(folder: StudyFolder) -> StudySummary:
    """One study in a line.

    Raises:
        StudyError: its journal is damaged.
    """
    study, last, annotations = StudyLog(folder.name), "", annotations_shown(folder)
    outcome: OutcomeLog | None = None
    trials: dict[int, tuple[str, float | None]] = {}
    for record in read_records(folder.journal):
        if record.kind not in KINDS:
            continue
        event = event_of(record, folder) if record.kind in ("study", "outcome") else None
        if not isinstance(event, StudyLog) or event.starts:
            last = record.kind
        if record.kind == "trial" and record.number is not None:
            trials[record.number] = trial_end(record)  # without the trial's files and curves, which lists do not show
        elif isinstance(event, StudyLog):
            study = event
        elif isinstance(event, OutcomeLog):
            outcome = event
    states = Counter(state for state, _ in trials.values())
    ended: Mapping[str, float] = {} if outcome is None else outcome.scores
    if find_running(folder) is not None:
        state = "running"
    else:
        state = "interrupted" if outcome is None or last != "outcome" else outcome.state
    return StudySummary(
        name=folder.name,
        state=state,
        data=study.data,
        simulated=study.simulated,
        trials={name: states[name] for name in ("complete", "pruned", "failed")},
        score_best=max((score for _, score in trials.values() if score is not None), default=None),
        score_selected=ended.get("score_selected"),
        score_confirmed=ended.get("score_confirmed"),
        changed=folder.journal.stat().st_mtime if folder.journal.is_file() else 0.0,
        folder=str(folder.path),
        note=annotations.note,
        tags=annotations.tags,
        archived=annotations.archived,
        transductive=TRANSDUCTIVE in study.caveats,
    )


def select_studies(
    studies: Iterable[StudySummary], *, tags: Sequence[str] = (), state: str | None = None, archived: bool = False
) -> list[StudySummary]:
    """The studies that have all of `tags` and stand at `state`; the archived ones only, or those that are not.

    Raises:
        ConfigError: there is no such state.
    """
    if state is not None and state not in STATES:
        raise ConfigError(f"--state: {unknown('state', state, STATES)}")
    return [
        one for one in studies if one.archived == archived and {*tags} <= {*one.tags} and state in (None, one.state)
    ]


def summarize_remote(study: RemoteStudy, where: str) -> StudySummary:
    """A study in a line, as a tracking server has it.

    Args:
        study: its run.
        where: the server's address, without secrets.
    """
    scores = study.metrics
    return StudySummary(
        name=study.name,
        state=study.state,
        data=study.tags.get("rfe.data", ""),
        simulated=study.tags.get("rfe.simulated") == "true",
        trials={name: int(scores.get(f"trials_{name}", 0)) for name in ("complete", "pruned", "failed")},
        score_best=scores.get("best_score"),
        score_selected=scores.get("score_selected"),
        score_confirmed=scores.get("score_confirmed"),
        changed=study.refreshed,
        folder=where,
        note=study.tags.get(NOTE_TAG, ""),
        tags=tuple(tag for tag in study.tags.get(TAGS_TAG, "").split(", ") if tag),
        archived=study.tags.get(ARCHIVED_TAG) == "true",
    )
