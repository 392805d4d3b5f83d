"""What each trial took (memory, GPU, waiting, worker) is in the journal and in MLflow's metrics and tags."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import StudyError
from rfe.journal.events import TrialLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.search.open_trial import OpenTrial, copy_log, log_of_result
from rfe.search.work import ItemResult
from rfe.search_space import effective_config, load_space, resolve
from rfe.tracking.presentation import trial_metrics, trial_tags
from tests.integration.fakes import fake_result, write_data
from tests.unit.tracking.logs import study_folder, study_log, trial_log

USAGE: dict[str, Any] = {"memory_mb": 100.0, "gpu_memory_mb": 30.0, "gpu_percent": 55.0, "wait_s": 1.5, "worker": "w@h"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("usage") / "data"))


def delivered(dataset: Dataset, **changes: Any) -> TrialLog:
    config = effective_config(resolve(load_space({"study": "s"}), tuple(dataset.encoders)), {})
    result = replace(fake_result(config, dataset), memory_mb=100.0, gpu_memory_mb=30.0, gpu_percent=55.0)
    item_result = ItemResult("s/0", "complete", "", result, "w@h", wait_s=1.5)
    return log_of_result("s", OpenTrial(0, config, "id"), replace(item_result, **changes), dataset, keep_weights=False)


def test_a_delivery_says_what_its_trial_took(dataset: Dataset) -> None:
    log = delivered(dataset)
    assert {name: getattr(log, name) for name in USAGE} == USAGE


def test_a_trial_that_no_worker_took_has_none_of_it(dataset: Dataset) -> None:
    log = delivered(dataset, state="failed", result=None, worker="", wait_s=None)
    assert log.worker == ""
    assert all(math.isnan(getattr(log, name)) for name in USAGE if name != "worker")


def test_a_copy_was_not_trained(dataset: Dataset) -> None:
    """Before, a copy of a trial showed the memory of the trial that it copies."""
    copy = copy_log(delivered(dataset), 1)
    assert (copy.seconds, copy.worker) == (0.0, "")
    assert all(math.isnan(getattr(copy, name)) for name in USAGE if name != "worker")


def test_it_comes_back_from_the_journal_and_older_journals_are_read(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        journal.record_trial(trial_log(0, **USAGE))
        journal.record_trial(trial_log(1))
    first, second = read_events(folder)
    assert {name: getattr(first, name) for name in USAGE} == USAGE
    assert math.isnan(second.wait_s)  # type: ignore[union-attr]  # NaN is null in JSON
    lines = [json.loads(line) for line in folder.journal.read_text().splitlines()]
    older = [{name: value for name, value in line.items() if name not in USAGE} for line in lines]
    folder.journal.write_text("".join(json.dumps(line) + "\n" for line in older))
    for event in read_events(folder):
        assert isinstance(event, TrialLog)
        assert event.worker == ""
        assert math.isnan(event.wait_s)


@pytest.mark.parametrize(("name", "wrong"), [("worker", 3), ("wait_s", "long"), ("gpu_percent", [1])])
def test_a_journal_with_strange_values_is_refused(name: str, wrong: object, tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        journal.record_trial(trial_log(0))
    line = json.loads(folder.journal.read_text())
    folder.journal.write_text(json.dumps(line | {name: wrong}) + "\n")
    with pytest.raises(StudyError, match="cannot be read"):
        list(read_events(folder))


def test_mlflow_shows_it() -> None:
    log = trial_log(0, **USAGE)
    metrics = {name: value for name, value, _ in trial_metrics(log)}
    assert {name: metrics.get(name, "w@h") for name in USAGE} == USAGE
    assert trial_tags(log, study_log())["rfe.worker"] == "w@h"
    assert "rfe.worker" not in trial_tags(trial_log(1), study_log())
