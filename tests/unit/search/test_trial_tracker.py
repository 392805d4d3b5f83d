"""The books: every trial once, copies instead of repetitions, and the same after a restart at any moment."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.journal.events import TrialLog
from rfe.progress import SearchStatus
from rfe.search.budget import Budget
from rfe.search.outcome import study_front, study_scores
from rfe.search.status import search_status
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import ItemResult, Report, WorkItem, WorkQueueStatus
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.tracking.base import NullTracker
from rfe.workspace import StudyFolder
from tests.integration.fakes import fake_result, write_data

SPACE: dict[str, Any] = {"train.lr": {"choice": [0.001, 0.003, 0.01, 1.0]}}


class Listener(NullTracker):
    def __init__(self) -> None:
        self.trials: list[TrialLog] = []

    def log_trial(self, log: TrialLog) -> None:
        self.trials.append(log)


class Books:
    """A trial_tracker that can be closed and opened again."""

    def __init__(self, folder: Path, dataset: Dataset, space: dict[str, Any], **given: Any) -> None:
        self.folder, self.dataset = StudyFolder(folder), dataset
        self.given = {"study": "s", "space": space, "sampler": {"kind": "random"}, **given}
        self.open()

    def open(self) -> None:
        space = load_space(self.given)
        definition = define_study(space, tuple(self.dataset.encoders), seed=1, fingerprint="f")
        self.store = StudyStore.open(self.folder.path, definition)
        self.listener = Listener()
        self.trial_tracker = TrialTracker(self.folder, self.store, self.listener, self.dataset)

    def close(self) -> None:
        self.store.close()

    def deliver(self, item: WorkItem) -> TrialLog | None:
        result = fake_result(Config.model_validate(item.config), self.dataset)
        return self.trial_tracker.settle(ItemResult(item.key, result.state, result.reason, result))

    def states(self) -> dict[int, str]:
        return {row.number: row.state for row in self.store.trials()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("trial_tracker") / "data"))


@pytest.fixture
def books(tmp_path: Path, dataset: Dataset) -> Iterator[Books]:
    books = Books(tmp_path / "s", dataset, SPACE)
    yield books
    books.close()


def test_optuna_journal_and_tracker_agree(books: Books) -> None:
    items = books.trial_tracker.next_items(12)
    for item in items:
        books.deliver(item)
    logs = books.trial_tracker.logs
    assert sorted(logs) == list(range(12))
    assert books.states() == {number: log.state for number, log in logs.items()}
    assert {log.number: log.state for log in books.listener.trials} == books.states()
    rows = {row.number: row for row in books.store.trials()}
    for number, log in logs.items():
        if log.state == "complete":
            assert rows[number].values == (pytest.approx(log.scores["score"]),)
        else:
            assert rows[number].user_attrs["reason"] == log.reason != ""


def test_a_configuration_is_trained_once_and_its_result_copied(books: Books) -> None:
    items = books.trial_tracker.next_items(12)
    assert len(items) == 4  # the space holds four configurations
    for item in items:
        books.deliver(item)
    again = books.trial_tracker.next_items(5)
    assert {item.config["train"]["lr"] for item in again} == {1.0}  # only the one that failed gets another chance
    for item in again:
        books.deliver(item)
    assert sorted(books.trial_tracker.logs) == list(range(17))
    assert books.trial_tracker.counts()["duplicates"] == 17 - 4 - len(again)
    copies = [log for log in books.trial_tracker.logs.values() if "duplicate_of" in log.tags]
    for copy in copies:
        original = books.trial_tracker.logs[int(copy.tags["duplicate_of"])]
        assert "duplicate_of" not in original.tags
        assert (copy.config_id, copy.state, copy.scores) == (original.config_id, original.state, original.scores)
    assert len(books.trial_tracker.ranking()) == 3


def test_the_ranking_is_in_order_and_a_replaced_record_is_in_it_once(books: Books) -> None:
    for item in books.trial_tracker.next_items(12):
        books.deliver(item)
    ranking = books.trial_tracker.ranking()
    assert ranking == sorted(ranking, key=lambda log: (-(log.score or 0.0), log.number))
    best = ranking[0]
    books.trial_tracker._account(replace(best, scores={**best.scores, "score": -1.0}))
    assert [log.number for log in books.trial_tracker.ranking()] == [log.number for log in (*ranking[1:], best)]
    books.trial_tracker._account(replace(best, state="failed", scores={}))
    assert books.trial_tracker.ranking() == ranking[1:]
    books.close()
    books.open()
    again = books.trial_tracker.ranking()  # from the journal, which has each once
    assert [(log.number, log.scores) for log in again] == [(log.number, log.scores) for log in ranking]


def test_what_a_dead_process_left_is_given_out_again(books: Books) -> None:
    items = books.trial_tracker.next_items(12)
    books.deliver(items[0])
    books.close()
    books.open()
    ended = set(books.trial_tracker.logs)
    assert books.trial_tracker.n_adoptable == 12 - len(ended)
    again: list[WorkItem] = []
    while books.trial_tracker.n_adoptable:
        again += books.trial_tracker.next_items(5)
    assert sorted(item.key for item in again) == sorted(item.key for item in items[1:])
    for item in again:
        books.deliver(item)
    assert set(books.states().values()) <= {"complete", "failed"}
    assert sorted(books.trial_tracker.logs) == list(range(12))


def test_a_result_in_the_journal_alone_is_told_to_optuna_on_restart(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = books.trial_tracker.next_items(1)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(books.store._study, "tell", die)
    with pytest.raises(KeyboardInterrupt):
        books.deliver(item)
    books.close()
    books.open()
    assert books.states()[0] == books.trial_tracker.logs[0].state
    assert books.trial_tracker.n_adoptable == 0


def test_settling_twice_or_a_strange_key_changes_nothing(books: Books) -> None:
    (item,) = books.trial_tracker.next_items(1)
    assert books.deliver(item) is not None
    assert books.deliver(item) is None
    assert books.trial_tracker.settle(ItemResult("s/99", "failed", "?")) is None
    assert books.trial_tracker.settle(ItemResult("s/0/seed1000", "failed", "?")) is None
    assert len(books.listener.trials) == 1


def test_a_lost_item_fails_with_the_pools_reason(books: Books) -> None:
    (item,) = books.trial_tracker.next_items(1)
    log = books.trial_tracker.settle(ItemResult(item.key, "failed", "lost its worker 3 times", lost=3))
    assert log is not None
    assert (log.state, log.reason, log.tags["lost_workers"]) == ("failed", "lost its worker 3 times", "3")
    assert "config.yaml" in log.artifacts
    assert books.trial_tracker.failures_in_a_row == 1


def test_scores_of_the_study_survive_the_journal(books: Books, dataset: Dataset) -> None:
    for item in books.trial_tracker.next_items(12):
        books.deliver(item)
    before = study_scores(list(books.trial_tracker.logs.values()), dataset)
    books.close()
    books.open()
    assert study_scores(list(books.trial_tracker.logs.values()), dataset) == before
    best, selected = before
    assert best is not None
    assert selected is not None
    assert best.score == pytest.approx(books.trial_tracker.ranking()[0].scores["score"])
    assert selected.score <= best.score + 1e-12


def status_of(books: Books, trials: int | None) -> SearchStatus:
    budget = Budget(trials, None, 10, None)
    return search_status(
        load_space(books.given), budget, books.trial_tracker, WorkQueueStatus(), elapsed_s=0.0, left_s=None, resumed=0
    )


def test_a_grid_goes_on_with_what_is_missing(tmp_path: Path, dataset: Dataset) -> None:
    lines = {"train.lr": {"choice": [0.001, 0.003, 0.01]}, "train.epochs": {"int": [2, 4]}}
    books = Books(tmp_path / "s", dataset, lines, sampler={"kind": "grid"})
    items = books.trial_tracker.next_items(4)
    assert books.trial_tracker.grid_size == 9
    assert status_of(books, trials=None).total == 9
    assert status_of(books, trials=6).total == 6
    books.deliver(items[0])
    books.close()
    books.open()
    items += books.trial_tracker.next_items(4)[3:]
    while not books.trial_tracker.exhausted:
        items += books.trial_tracker.next_items(4)
    assert books.trial_tracker.next_items(4) == []
    assert {(item.config["train"]["lr"], item.config["train"]["epochs"]) for item in items} == {
        (lr, epochs) for lr in (0.001, 0.003, 0.01) for epochs in (2, 3, 4)
    }
    assert len(items) == 9
    books.close()


def test_several_objectives_are_told_and_the_front_counts_as_improvement(tmp_path: Path, dataset: Dataset) -> None:
    lines = {"train.lr": {"float": [0.001, 0.01]}}
    books = Books(tmp_path / "s", dataset, lines, objective=["acc_presence", "acc_salience"])
    points = [(0.5, 0.2), (0.4, 0.3), (0.4, 0.2), (0.45, 0.25), (0.5, 0.2)]
    since = []
    for presence, salience in points:
        (item,) = books.trial_tracker.next_items(1)
        result = fake_result(Config.model_validate(item.config), dataset)
        score = (presence + salience) / 2
        told = replace(result, state="complete", score=score, acc_presence=presence, acc_salience=salience)
        books.trial_tracker.settle(ItemResult(item.key, "complete", "", told))
        since.append(books.trial_tracker.since_best)
    assert since == [0, 0, 1, 0, 1]
    assert [row.values for row in books.store.trials()] == points
    front = study_front(books.trial_tracker.logs.values(), ("acc_presence", "acc_salience"))
    assert [one.number for one in front] == [0, 4, 3, 1]
    assert front[-1].values == {"acc_presence": 0.4, "acc_salience": 0.3}
    assert study_front(books.trial_tracker.logs.values(), ("score",)) == ()
    assert books.trial_tracker.ranking()[0].number == 0  # by score, which is .35 for four of them: the first
    books.close()


def test_a_score_is_not_compared_while_trials_are_asked_for(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads do so, and Optuna's study bears one at a time."""
    books = Books(tmp_path / "s", dataset, SPACE, pruner={"kind": "asha", "min_epochs": 1})
    (first,) = books.trial_tracker.next_items(1)
    order: list[str] = []
    comparing = threading.Thread(
        target=lambda: order.append(f"compared: {books.trial_tracker.compare([Report(first.key, 1, 0.1)])}"),
        daemon=True,
    )
    ask = books.store.ask

    def ask_slowly(n: int) -> Any:
        comparing.start()
        comparing.join(0.3)
        order.append("asked")
        return ask(n)

    monkeypatch.setattr(books.store, "ask", ask_slowly)
    books.trial_tracker.next_items(1)
    comparing.join(10)
    assert order == ["asked", f"compared: {{{first.key!r}: ''}}"]
    books.close()
