"""What the journal's records make of a study, in their order."""

from typing import Any

import pytest

from rfe.journal.records import Record
from rfe.search.budget import SESSION, Budget
from rfe.search.changes import StudyChanges


def record(kind: str, **data: Any) -> Record:
    return Record(0.0, "s", None, kind, data)


def asked(*numbers: int, **queued: str) -> Record:
    names = {number: name for name, number in queued.items()}
    return record("ask", trials={str(n): {"train.lr": 0.001 * n} for n in numbers}, queued=names)


def effects(name: str, **effects: Any) -> Record:
    return record("request", id=name, command="", said="", refused=False, effects=effects)


def started(trials: int | None, hours: float | None = None, workers: int | None = None) -> Record:
    return record(SESSION, trials=trials, hours=hours, workers=workers)


@pytest.mark.parametrize(
    ("records", "changed"),
    [
        ([started(10), effects("a", change={"trials": 20})], {"trials": 20}),
        ([started(10), effects("a", change={"trials": 20}), started(10)], {"trials": 20}),  # the same command again
        ([started(10), effects("a", change={"trials": 20}), started(15)], {}),  # another one
        ([started(10), effects("a", change={"trials": 20, "workers": 2}), started(15)], {"workers": 2}),
        ([started(10, workers=4), effects("a", change={"workers": 2}), started(10)], {"workers": 2}),
        ([started(10, workers=4), effects("a", change={"workers": 2}), started(10, workers=3)], {}),
        ([effects("a", change={"hours": 2.0}), started(10)], {"hours": 2.0}),  # a journal without a start
        ([started(10), effects("a", change={"trials": 20}), effects("b", change={"trials": 5})], {"trials": 5}),
    ],
)
def test_a_change_holds_until_a_command_asks_for_something_else(records: list[Record], changed: dict[str, Any]) -> None:
    found = StudyChanges.read(records)
    assert found.changed == changed
    budget = found.budget(Budget(7, None, 10, None))
    assert (budget.trials, budget.hours) == (changed.get("trials", 7), changed.get("hours"))


def test_the_queue_is_what_was_asked_for_and_not_tried() -> None:
    def queue(name: str, first: bool = False, **fields: Any) -> Record:
        return effects(name, queue=[{"id": name, "params": {}, **fields}], first=first)

    found = StudyChanges.read([asked(0, 1), queue("a"), queue("b"), queue("c", first=True, retry_of=1), asked(2, c=2)])
    assert [one.id for one in found.queue] == ["a", "b"]
    assert found.origins[2].tags() == {"retry_of": "1"}
    assert found.retried == {1: 2}
    found.fold(effects("d", ranges={"train.lr": {}}, dropped=["a"]))
    assert [one.id for one in found.queue] == ["b"]
    assert found.narrowed_at == 3
    assert found.known == {"a", "b", "c", "d"}


def test_a_refused_request_changes_nothing() -> None:
    found = StudyChanges.read([record("request", id="a", command="add", said="no", refused=True, effects={})])
    assert found == StudyChanges(known={"a"})
