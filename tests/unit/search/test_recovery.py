"""The journal is the truth: whatever happens to Optuna's log, a study goes on as if nothing had."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import StudyError
from rfe.search.ledger import Ledger
from rfe.search.recovery import ASK, read_history
from rfe.search.work import Delivery
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study, read_study
from rfe.tracking.base import NullTracker, TrialLog
from rfe.tracking.journal import Journal
from rfe.tracking.records import read_events, read_records
from rfe.workspace import StudyFolder
from tests.integration.fakes import fake_result, write_data

SPACE: dict[str, Any] = {
    "pool": {"subset": "all", "min_size": 2},
    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
    "model.n_kept": {"int": [1, 3]},
    "adaptation.kind": {"choice": ["none", "coral"]},
    "adaptation.strength": {"float": [0.1, 1.0], "when": {"adaptation.kind": "coral"}},
}
FIRST = [{"pool": "all", "train.lr": 0.003}, {"model.n_kept": 1}]
BEFORE, AFTER = 14, 22
"""Trials asked for before the log is spoilt, and in all."""
Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("recovery") / "data", actors=3))


def search(
    folder: StudyFolder, dataset: Dataset, n: int, leave_open: int = 0, warm_start: Path | None = None, **given: Any
) -> StudyStore:
    """A search with a stand-in for training, which leaves some trials of its last cohort open; returns the store."""
    space = load_space(
        {
            "study": folder.name,
            "space": SPACE,
            "first_trials": FIRST,
            "sampler": {"kind": "tpe", "startup_trials": 5},
            **given,
        }
    )
    definition = define_study(space, tuple(dataset.encoders), seed=1, fingerprint=dataset.fingerprint)
    with (
        StudyStore.open(
            folder.path, definition, warm_start=warm_start, journal=lambda: read_history(folder, definition)
        ) as store,
        Journal(folder) as journal,
    ):
        ledger = Ledger(folder, store, journal, NullTracker(), dataset)
        while ledger.n_adoptable or ledger.n_asked < n:
            items = ledger.next_items(min(4, ledger.n_adoptable or n - ledger.n_asked))
            last = not ledger.n_adoptable and ledger.n_asked == n
            for item in items[: len(items) - leave_open] if last else items:
                if item.key.endswith("/5"):
                    ledger.settle(Delivery(item.key, "failed", "the loss is no longer finite"))
                else:
                    result = fake_result(Config.model_validate(item.config), dataset)
                    ledger.settle(Delivery(item.key, "complete", "", result))
    return store


def ends(folder: StudyFolder) -> dict[int, Any]:
    logs = [event for event in read_events(folder) if isinstance(event, TrialLog)]
    assert set(Counter(log.number for log in logs).values()) == {1}  # each trial is recorded once
    return {log.number: (log.config_id, log.state, log.scores, log.tags) for log in logs}


def params(folder: StudyFolder) -> dict[int, dict[str, Any]]:
    return {row.number: row.params for row in read_study(folder.path).trials}


@pytest.fixture(scope="module")
def undisturbed(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    folder = StudyFolder(tmp_path_factory.mktemp("undisturbed") / "s")
    search(folder, dataset, BEFORE, leave_open=2)
    search(folder, dataset, AFTER)
    return folder


def cut(share: float, torn: int = 0) -> Spoil:
    """Keep so much of the log's lines, and some bytes of the next one."""

    def spoil(path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        n = round(share * len(lines))
        path.write_bytes(b"".join(lines[:n]) + b"".join(lines[n:])[:torn])

    return spoil


def overwrite(share: float, content: bytes) -> Spoil:
    """Put `content` in the place of the line that lies there."""

    def spoil(path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        lines[round(share * (len(lines) - 1))] = content
        path.write_bytes(b"".join(lines))

    return spoil


SPOILS: dict[str, Spoil] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "begun": cut(0.02),
    "a third": cut(0.33),
    "a third, torn": cut(0.33, torn=9),
    "half": cut(0.5),
    "nearly whole": cut(0.95),
    "damaged at once": overwrite(0.0, b"{}\n"),
    "damaged": overwrite(0.5, b'{"op_code": 4, "wor\n'),
    "damaged at the end": overwrite(1.0, b"\x00\n"),
    "zeros": overwrite(0.6, b"\x00" * 512 + b"\n"),
    "not UTF-8": overwrite(0.4, b'{"op_code": "\xff\xfe"}\n'),
    "another operation": overwrite(0.7, b'{"op_code": 5, "trial_id": 999}\n'),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_a_spoilt_log_is_rebuilt_and_the_study_goes_on_as_it_would_have(
    spoil: Spoil, tmp_path: Path, dataset: Dataset, undisturbed: StudyFolder
) -> None:
    """A lost log's trials were recorded again under the same numbers, as duplicates of themselves."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, BEFORE, leave_open=2)
    before = ends(folder)
    spoil(folder.optuna_log)
    search(folder, dataset, AFTER)
    after = ends(folder)
    assert {number: after[number] for number in before} == before
    assert after == ends(undisturbed)
    assert params(folder) == params(undisturbed)
    assert {row.number: row.state for row in read_study(folder.path).trials} == {n: end[1] for n, end in after.items()}


def test_the_fault_is_named_and_the_damaged_log_kept(tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    overwrite(0.5, b"\x00\n")(folder.optuna_log)
    damaged = folder.optuna_log.read_bytes()
    with pytest.raises(StudyError, match=r"optuna.log: line \d+ is damaged; `rfe studies repair s` rebuilds it"):
        read_study(folder.path)
    store = search(folder, dataset, 7)
    assert store.fault.startswith("line ")
    assert "holds NUL bytes" in store.fault
    assert (folder.path / "optuna.log.damaged").read_bytes() == damaged
    assert search(folder, dataset, 8).fault == ""


def strip_asks(folder: StudyFolder) -> None:
    """The journal as earlier versions wrote it."""
    lines = [line for line in folder.journal.read_text().splitlines() if json.loads(line)["kind"] != ASK]
    folder.journal.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("spoil", [SPOILS["deleted"], SPOILS["half"]], ids=["deleted", "half"])
def test_a_journal_without_askings_gives_every_ended_trial_back(spoil: Spoil, tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, BEFORE, leave_open=2)
    strip_asks(folder)
    before, drawn = ends(folder), params(folder)
    spoil(folder.optuna_log)
    store = search(folder, dataset, AFTER)
    after = ends(folder)
    assert {number: after[number] for number in before} == before
    assert sorted(after) == list(range(AFTER))
    rows = {row.number: row for row in store.trials()}
    for number, end in before.items():
        assert rows[number].state == end[1]
        assert rows[number].params["train.lr"] == drawn[number]["train.lr"]


def test_askings_of_an_earlier_version_are_journaled_when_it_is_opened(tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, BEFORE, leave_open=2)
    drawn = params(folder)
    strip_asks(folder)
    search(folder, dataset, BEFORE)
    folder.optuna_log.unlink()
    search(folder, dataset, BEFORE)
    assert params(folder) == drawn
    asked = [number for one in read_records(folder.journal) if one.kind == ASK for number in one.data["trials"]]
    assert sorted(map(int, asked)) == list(range(BEFORE))


@pytest.mark.parametrize("old_is_there", [True, False])
def test_numbers_of_a_warm_start_stay_taken(old_is_there: bool, tmp_path: Path, dataset: Dataset) -> None:
    old, folder = StudyFolder(tmp_path / "old"), StudyFolder(tmp_path / "s")
    search(old, dataset, 8)
    search(folder, dataset, 6, warm_start=old.path)
    before, drawn = ends(folder), params(folder)
    assert min(before) > 0
    folder.optuna_log.unlink()
    if not old_is_there:
        old.path.rename(tmp_path / "gone")
    store = search(folder, dataset, 8)
    assert {number: end for number, end in ends(folder).items() if number in before} == before
    assert {number: one for number, one in params(folder).items() if number in drawn} == drawn
    assert store.n_earlier == min(before)
    assert sorted(ends(folder)) == list(range(min(before), min(before) + 8))


def test_pruned_trials_and_their_reports_come_back(tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    given: dict[str, Any] = {"pruner": {"kind": "median", "startup_trials": 1, "warmup_epochs": 0}}
    search(folder, dataset, 6, **given)
    with Journal(folder) as journal:
        log = TrialLog("s", 6, "pruned", "id", {}, curves={"score": [(2, 0.1), (4, 0.2)]})
        journal.record(ASK, trials={"6": params(folder)[0]})
        journal.record_trial(log)
    folder.optuna_log.unlink()
    store = search(folder, dataset, 7, **given)
    trial = store._study.get_trials()[6]
    assert (trial.state.name, trial.intermediate_values, trial.value) == ("PRUNED", {2: 0.1, 4: 0.2}, 0.2)


@pytest.mark.parametrize("spoil", ["empty", "cut", "gone"])
def test_a_journal_that_lost_results_is_refused(spoil: str, tmp_path: Path, dataset: Dataset) -> None:
    """The search went on with new trials only, and forgot all others without a word."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    lines = folder.journal.read_text().splitlines(keepends=True)
    if spoil == "gone":
        folder.journal.unlink()
    else:
        folder.journal.write_text("".join(lines[:-2]) if spoil == "cut" else "")
    log = folder.optuna_log.read_bytes()
    named = r"journal.jsonl: lacks the results of .*`rfe studies pull s` .* `rfe studies repair s`"
    with pytest.raises(StudyError, match=named):
        search(folder, dataset, 8)
    assert folder.optuna_log.read_bytes() == log


def test_a_study_without_its_definition_is_not_mixed_with_another(tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    folder.definition.unlink()
    with pytest.raises(StudyError, match=r"definition.json: is missing; restore it with `rfe studies pull`"):
        search(folder, dataset, 8)


@pytest.mark.parametrize("content", ['"trials": 3', '"trials": {"x": {}}', '"nothing": 1'])
def test_a_strange_asking_is_named(content: str, tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 4)
    with folder.journal.open("a") as file:
        file.write(f'{{"time": 1, "study": "s", "number": null, "kind": "ask", {content}}}\n')
    with pytest.raises(StudyError, match=r"a record of kind 'ask' cannot be read .*`rfe studies pull s`"):
        search(folder, dataset, 6)
