"""The journal is the truth: a study is rebuilt from it alone, and goes on as if nothing had happened."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import StudyError
from rfe.journal.asking import ASK
from rfe.journal.events import TrialLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import ItemResult
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study, read_study
from rfe.tracking.base import NullTracker
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
"""Trials asked for before the search is ended, and in all."""


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
    with StudyStore.open(folder.path, definition, warm_start=warm_start) as store:
        trial_tracker = TrialTracker(folder, store, NullTracker(), dataset)
        while trial_tracker.n_adoptable or trial_tracker.n_asked < n:
            items = trial_tracker.next_items(min(4, trial_tracker.n_adoptable or n - trial_tracker.n_asked))
            last = not trial_tracker.n_adoptable and trial_tracker.n_asked == n
            for item in items[: len(items) - leave_open] if last else items:
                if item.key.endswith("/5"):
                    trial_tracker.settle(ItemResult(item.key, "failed", "the loss is no longer finite"))
                else:
                    result = fake_result(Config.model_validate(item.config), dataset)
                    trial_tracker.settle(ItemResult(item.key, "complete", "", result))
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


@pytest.mark.parametrize("content", [None, b"", b"\x00\x00\n", b'{"op_code": 4, "wor\n'])
def test_a_log_of_optuna_that_an_earlier_version_left_does_not_matter(
    content: bytes | None, tmp_path: Path, dataset: Dataset, undisturbed: StudyFolder
) -> None:
    """A lost log's trials were recorded again under the same numbers, as duplicates of themselves; a damaged one ended
    the search."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, BEFORE, leave_open=2)
    before = ends(folder)
    if content is not None:
        (folder.path / "optuna.log").write_bytes(content)
    search(folder, dataset, AFTER)
    after = ends(folder)
    assert {number: after[number] for number in before} == before
    assert after == ends(undisturbed)
    assert params(folder) == params(undisturbed)
    assert {row.number: row.state for row in read_study(folder.path).trials} == {n: end[1] for n, end in after.items()}
    assert (folder.path / "optuna.log").exists() == (content is not None)


@pytest.mark.parametrize("n_lines", range(2, 18, 3))
def test_wherever_the_process_dies_the_study_goes_on_as_it_would_have(
    n_lines: int, tmp_path: Path, dataset: Dataset, undisturbed: StudyFolder
) -> None:
    """The journal as it was at that moment, with half a line of what came next."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, BEFORE)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[:n_lines]) + lines[n_lines][:20])
    search(folder, dataset, BEFORE)
    search(folder, dataset, AFTER)
    assert {n: end[:2] for n, end in ends(folder).items()} == {n: end[:2] for n, end in ends(undisturbed).items()}
    assert sorted(params(folder)) == list(range(AFTER))


def strip(folder: StudyFolder, *kinds: str) -> None:
    """The journal as earlier versions wrote it, without records of these kinds."""
    lines = [line for line in folder.journal.read_text().splitlines() if json.loads(line)["kind"] not in kinds]
    folder.journal.write_text("\n".join(lines) + "\n")


def test_a_journal_without_askings_gives_every_ended_trial_back(tmp_path: Path, dataset: Dataset) -> None:
    """Journals of the first versions: parameters of ended trials are found by their configurations. A trial that had
    not ended is asked for again, under its number."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, BEFORE, leave_open=2)
    before, drawn = ends(folder), params(folder)
    strip(folder, ASK)
    store = search(folder, dataset, AFTER)
    after = ends(folder)
    assert {number: after[number] for number in before} == before
    assert sorted(after) == list(range(AFTER))
    rows = {row.number: row for row in store.trials()}
    for number, end in before.items():
        assert rows[number].state == end[1]
        assert rows[number].params["train.lr"] == drawn[number]["train.lr"]


def test_a_trial_that_only_an_earlier_versions_log_knew_has_failed(tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    strip(folder, ASK)
    lines = folder.journal.read_text().splitlines(keepends=True)
    folder.journal.write_text("".join(line for line in lines if '"number": 3,' not in line))
    store = search(folder, dataset, 8)
    assert store.lost == (3,)
    assert ends(folder)[3][1] == "failed"
    assert search(folder, dataset, 8).lost == ()


def test_a_journal_that_lacks_parameters_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    """The sampler would go on as if the trial had never been."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    strip(folder, ASK)
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    lines[1]["config"]["train.epochs"] += 1  # as a configuration that the space does not hold
    folder.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = folder.journal.read_bytes()
    with pytest.raises(StudyError, match=r"study s: its journal does not hold .* of trial \d .*`rfe studies pull s`"):
        search(folder, dataset, 8)
    assert folder.journal.read_bytes() == before
    assert len(read_study(folder.path).trials) == 6


@pytest.mark.parametrize("old_is_there", [True, False])
def test_numbers_of_a_warm_start_stay_taken(old_is_there: bool, tmp_path: Path, dataset: Dataset) -> None:
    old, folder = StudyFolder(tmp_path / "old"), StudyFolder(tmp_path / "s")
    search(old, dataset, 8)
    search(folder, dataset, 6, warm_start=old.path)
    before, drawn = ends(folder), params(folder)
    assert min(before) > 0
    strip(folder, "warm_start")
    if not old_is_there:
        old.path.rename(tmp_path / "gone")
    store = search(folder, dataset, 8)
    assert {number: end for number, end in ends(folder).items() if number in before} == before
    assert {number: one for number, one in params(folder).items() if number in drawn} == drawn
    assert store.n_earlier == min(before)
    assert ("no longer known" in store.note) != old_is_there
    assert sorted(ends(folder)) == list(range(min(before), min(before) + 8))


def test_pruned_trials_of_an_earlier_version_and_their_reports_come_back(tmp_path: Path, dataset: Dataset) -> None:
    """It recorded neither what it asked for nor what was reported; both are found in the record of the end."""
    folder = StudyFolder(tmp_path / "s")
    given: dict[str, Any] = {"pruner": {"kind": "median", "startup_trials": 1, "warmup_epochs": 0}}
    search(folder, dataset, 6, **given)
    with Journal(folder) as journal:
        first = next(event for event in read_events(folder) if isinstance(event, TrialLog))
        curves = {"score": [(2, 0.1), (4, 0.2)]}
        journal.record_trial(TrialLog("s", 6, "pruned", first.config_id, first.config, curves=curves))
    store = search(folder, dataset, 7, **given)
    trial = store._study.get_trials()[6]
    assert (trial.state.name, trial.intermediate_values, trial.value) == ("PRUNED", {2: 0.1, 4: 0.2}, 0.2)


@pytest.mark.parametrize(("content", "what"), [(b"", "holds no trials"), (None, "is missing")])
def test_a_journal_that_lost_its_results_is_refused(
    content: bytes | None, what: str, tmp_path: Path, dataset: Dataset
) -> None:
    """The search went on with new trials only, and forgot all others without a word."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    folder.journal.unlink()
    if content is not None:
        folder.journal.write_bytes(content)
    with pytest.raises(StudyError, match=rf"journal.jsonl: {what}, .*`rfe studies pull s` .* `rfe studies delete s`"):
        search(folder, dataset, 8)
    assert folder.journal.exists() == (content is not None)


def test_results_that_were_cut_off_the_journal_are_trained_again(tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    before = ends(folder)
    lines = folder.journal.read_text().splitlines(keepends=True)
    folder.journal.write_text("".join(lines[:-2]))
    left = {number: log for number, log in before.items() if number not in ends(folder)}
    assert [log[1] for log in left.values()] == ["complete", "failed"]
    note = search(folder, dataset, 6).note  # before, they were trained again without a word
    assert f"journal.jsonl: has no result of trials {', '.join(map(str, left))}, of which trials/ has files" in note
    assert ends(folder) == before
    assert search(folder, dataset, 6).note == ""


def test_results_that_only_mlflow_has_are_said(tmp_path: Path, dataset: Dataset) -> None:
    """Before, a journal cut at a line's end was taken up without a word."""
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    folder.mlflow_runs.write_text(json.dumps({"trial_run_ids": {"5": "a", "6": "b", "7": "c"}}))
    note = search(folder, dataset, 6).note
    assert "has no result of trials 6, 7, of which" in note
    assert "`rfe studies pull s` into another --workspace" in note
    folder.mlflow_runs.write_bytes(b'{"trial_run')
    assert search(folder, dataset, 6).note == ""


def test_a_study_without_its_definition_is_not_mixed_with_another(tmp_path: Path, dataset: Dataset) -> None:
    folder = StudyFolder(tmp_path / "s")
    search(folder, dataset, 6)
    folder.definition.unlink()
    with pytest.raises(StudyError, match=r"definition.json: is missing; restore it with `rfe studies pull`"):
        search(folder, dataset, 8)
