"""Requests taken up: by the search that runs, once per turn, or by the command itself where nothing runs."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from filelock import Timeout

from rfe.errors import RfeError, StudyError
from rfe.journal.events import StudyLog, TrialLog
from rfe.journal.journal import LOCK_FILE, Journal
from rfe.journal.records import event_of, read_events, read_records
from rfe.locking import hold_lock
from rfe.search.answering import Answer, StudyState, answer_request
from rfe.search.changes import REQUEST, StudyChanges
from rfe.search.requests import Request, find_answer, read_request, waiting_requests, write_request
from rfe.study import read_definition
from rfe.workspace import StudyFolder
from rfe.writing import whole_lines

ANSWER_S = 15.0
"""How long a command waits until a running search has taken its request up; the search looks several times a second."""
POLL_S = 0.1


@dataclass(frozen=True)
class RequestAnswer:
    """The outcome of a request."""

    study: str
    said: str
    """In a sentence."""
    running: bool
    """Whether a process works on the study; else the next one finds the request in the journal."""
    taken_up: bool
    """Whether it is in the journal; else the process that works on the study takes it up when it gets there."""
    left: str = ""
    """Why MLflow does not show it yet, in a sentence; "" where it does, or has nothing to show of it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


def read_state(folder: StudyFolder) -> StudyState:
    """The study as its journal has it.

    Raises:
        StudyError: there is no such study, or its journal is damaged.
    """
    changes = StudyChanges.read(read_records(folder.journal))
    logs = {event.number: event for event in read_events(folder) if isinstance(event, TrialLog)}
    return StudyState(read_definition(folder.path), changes, logs)


def take_up(folder: StudyFolder, journal: Journal, state: Callable[[], StudyState]) -> list[Answer]:
    """Apply the waiting requests: to the journal, then to the state's changes; removes their files.

    Args:
        folder: the study's.
        journal: open for writing.
        state: the study as it stands; its `changes` are brought up to date.

    Returns:
        What the requests came to, those that are refused with no effects.
    """
    answers = []
    for path in waiting_requests(folder):
        now = state()
        if path.stem not in now.changes.known:  # else the process ended between the journal and the file
            command = ""
            try:
                request = read_request(path)
                command = request.command
                answer = answer_request(request, now, path.stem)
                refused = False
            except RfeError as error:
                answer, refused = Answer(str(error), {}), True
            record = journal.record(
                REQUEST, id=path.stem, command=command, said=answer.said, refused=refused, effects=answer.effects
            )
            now.changes.fold(record)
            answers.append(answer)
        path.unlink(missing_ok=True)
    return answers


def changes_study(answers: Iterable[Answer]) -> bool:
    """Whether requests changed the budget, the workers or the space."""
    return any(answer.effects.get("change") or answer.effects.get("ranges") for answer in answers)


def record_changes(folder: StudyFolder, journal: Journal, state: StudyState) -> StudyLog | None:
    """Have the journal say what is searched now, and for how long; None where it has no study to say it of."""
    last = None
    for record in journal.records():
        last = record if record.kind == "study" else last
    if last is None:
        return None
    study = event_of(last, folder)
    assert isinstance(study, StudyLog)
    changed = state.changes.describe(study, state.definition.resolved)
    return journal.record_study(replace(changed, starts=False))


def is_free(folder: StudyFolder) -> bool:
    """Whether no process works on the study; opening the journal would wait for its lock instead."""
    if not (folder.path / LOCK_FILE).exists():  # looking makes no file
        return True
    try:
        with hold_lock(folder.path / LOCK_FILE, 0.0):
            return True
    except Timeout:
        return False


def _take_up_alone(folder: StudyFolder, journal: Journal) -> None:
    """Take up what is asked of a study that nothing works on."""
    now = read_state(folder)
    if changes_study(take_up(folder, journal, lambda: now)):
        record_changes(folder, journal, now)


def submit_request(folder: StudyFolder, request: Request, state: StudyState) -> RequestAnswer:
    """Submit a request, and wait for its outcome.

    Args:
        folder: the study's.
        request: what is asked.
        state: the study as the request was made for it.

    Raises:
        StudyError, ConfigError: it cannot be done, with the reason; nothing is left behind.
    """
    answer_request(request, state)
    offset = whole_lines(folder.journal)  # a torn last line is cut off before the answer is written
    path = write_request(folder, request)
    running = False
    deadline = time.monotonic() + ANSWER_S
    while True:
        if is_free(folder):
            try:
                with Journal(folder, state.definition.space.keep_top) as journal:
                    _take_up_alone(folder, journal)
            except StudyError:  # a search began in this moment
                running = True
        else:
            running = True
        record = find_answer(folder.journal, path.stem, offset)
        if record is not None:
            break
        if time.monotonic() > deadline:
            said = f"asked; the process that works on study {state.name} takes it up when it gets there"
            return RequestAnswer(state.name, said, True, False)
        time.sleep(POLL_S)
    if record["refused"]:
        raise StudyError(str(record["said"]))
    return RequestAnswer(state.name, str(record["said"]), running, True)
