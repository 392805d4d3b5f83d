"""What is asked, compared and learnt comes back from the journal as it was."""

from pathlib import Path

import pytest

from rfe.errors import StudyError
from rfe.journal.asking import (
    ASKING_KINDS,
    AskingEvent,
    LearntTrial,
    ScoreReport,
    ScoresReported,
    TrialsAsked,
    TrialsLearnt,
    asking_event,
)
from rfe.journal.journal import Journal
from rfe.journal.records import read_events, read_records
from rfe.workspace import StudyFolder

ASKED = TrialsAsked({0: {"train.lr": 0.1 + 0.2, "loss.balance": None}, 1: {"pool.face": True}}, {1: {"generation": 3}})
REPORTED = ScoresReported((ScoreReport(0, 2, 0.1 + 0.2, False), ScoreReport(1, 2, 1e-17, True)))
LEARNT = TrialsLearnt((LearntTrial("old/3", {"train.lr": 1e-4}, (0.5, 0.25)), LearntTrial("old/lost", {}, None)))


def read(folder: StudyFolder) -> list[AskingEvent]:
    return [asking_event(one) for one in read_records(folder.journal) if one.kind in ASKING_KINDS]


def test_each_event_comes_back_and_trackers_are_not_told(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    with Journal(folder) as journal:
        assert not folder.journal.exists()  # a study that is refused leaves no journal
        journal.record_learnt(LEARNT)
        journal.record_asked(ASKED)
        journal.record_reports(REPORTED)
    assert read(folder) == [LEARNT, ASKED, REPORTED]
    assert list(read_events(folder)) == []


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("ask", '"trials": 3'),
        ("ask", '"trials": {"x": {}}'),
        ("ask", '"nothing": 1'),
        ("report", '"reports": [[1, 2]]'),
        ("report", '"reports": [["x", 1, 0.5, false]]'),
        ("report", '"reports": [[1, 2, null, false]]'),
        ("warm_start", '"trials": [["old/1", 3, [0.5]]]'),
        ("warm_start", '"trials": [["old/1", {}, ["x"]]]'),
    ],
)
def test_a_strange_record_is_named(kind: str, content: str, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    folder.path.mkdir()
    folder.journal.write_text(f'{{"time": 1, "study": "s", "number": null, "kind": "{kind}", {content}}}\n')
    with pytest.raises(StudyError, match=rf"record of kind '{kind}' cannot be read .*`rfe studies pull s`"):
        read(folder)
