"""Two trials side by side, with and without the data that intervals need."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.data.arrays import read_arrays
from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import ConfigError, StudyError
from rfe.journal.study import StudyJournal, read_journal
from rfe.metrics.intervals import NO_TEST, InfluenceTable, difference_interval
from rfe.reporting.difference import diff_trials
from rfe.tracking.base import NullTracker
from rfe.workspace import open_workspace
from tests.integration.fakes import write_data
from tests.unit.search.tiny_study import run_study


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("difference") / "data"))


@pytest.fixture(scope="module")
def journal(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> StudyJournal:
    return read_journal(run_study(open_workspace(tmp_path_factory.mktemp("w")), dataset, NullTracker()))


def hits(journal: StudyJournal, number: int, dataset: Dataset) -> InfluenceTable:
    path = journal.trials[number].artifacts["outputs.npz"]
    assert isinstance(path, Path)
    clips, source = dataset.clips, slice(dataset.clips.n_source)
    with np.load(path) as stored:
        predicted = stored["predicted_state"].astype(np.int64)
    return InfluenceTable.of_answers(
        clips.task, clips.state[source], predicted, clips.actor[source], clips.fold[source]
    )


def test_scores_parameters_and_folds(journal: StudyJournal, dataset: Dataset) -> None:
    found = diff_trials(journal, "0", "4", dataset.path)
    first, second = journal.trials[0], journal.trials[4]
    assert dict(found.parameters) == {"train.lr": (first.config["train.lr"], second.config["train.lr"])}
    for part, one in found.scores.items():
        assert (one.first, one.second) == (pytest.approx(first.scores[part]), pytest.approx(second.scores[part]))
        assert one.difference == pytest.approx(one.second - one.first)
        expected = difference_interval(hits(journal, 4, dataset), hits(journal, 0, dataset), part)  # type: ignore[arg-type]
        assert (one.low, one.high) == pytest.approx(expected.bounds())
    assert found.folds == {
        fold: (pytest.approx(first.per_fold["score"][fold]), pytest.approx(second.per_fold["score"][fold]))
        for fold in dataset.clips.folds
    }
    assert found.scores["score"].p_value is None
    assert [note for note in found.notes if "there is no p-value" in note] == [NO_TEST]


def test_the_other_way_round_is_the_opposite(journal: StudyJournal, dataset: Dataset) -> None:
    there, back = (diff_trials(journal, *names, dataset.path).scores["score"] for names in (("0", "4"), ("4", "0")))
    assert there.low is not None
    assert back.high is not None
    assert (there.difference, there.low) == (pytest.approx(-back.difference), pytest.approx(-back.high))


def test_without_the_data_what_was_logged_is_compared(journal: StudyJournal, tmp_path: Path) -> None:
    found = diff_trials(journal, "0", "1", tmp_path / "gone")
    assert found.scores["score"].low is None
    assert found.scores["score"].first == journal.trials[0].scores["score"]
    assert found.folds[0] == (journal.trials[0].per_fold["score"][0], journal.trials[1].per_fold["score"][0])
    assert "name it with --data" in found.notes[0]


def test_a_confirmation_can_be_one_of_them(journal: StudyJournal, dataset: Dataset) -> None:
    found = diff_trials(journal, "1", "0:confirmed", dataset.path)
    assert (found.first, found.second) == ("1", "0:confirmed")
    assert found.scores["score"].high is not None
    assert diff_trials(journal, "1", "0:confirmed", None).scores["score"].second == pytest.approx(0.31)


def test_unequally_many_seeds_are_said_once(journal: StudyJournal, dataset: Dataset, tmp_path: Path) -> None:
    confirmed = journal.confirmations[0]
    path = confirmed.artifacts["outputs.npz"]
    assert isinstance(path, Path)
    arrays = read_arrays(path, ("filenames", "predicted_state"))
    states = np.atleast_2d(arrays["predicted_state"])
    np.savez(tmp_path / "two.npz", filenames=arrays["filenames"], predicted_state=np.concatenate([states, states]))
    two = replace(confirmed, artifacts={**confirmed.artifacts, "outputs.npz": tmp_path / "two.npz"})
    found = diff_trials(replace(journal, confirmations={0: two}), "1", "0:confirmed", dataset.path)
    (note,) = (note for note in found.notes if "seed" in note)
    assert note.startswith("1 and 2 seeds: means over seeds are compared")
    assert note.endswith("there is no p-value")


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("x", ConfigError, "by its number"),
        ("99", StudyError, "no finished trial 99"),
        ("3", StudyError, "it failed, so it has no score"),
        ("1:confirmed", StudyError, "confirmed are: 0:confirmed"),
    ],
)
def test_what_cannot_be_compared_is_said(journal: StudyJournal, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        diff_trials(journal, "0", name, None)
