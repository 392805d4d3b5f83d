import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from rfe.errors import StudyError
from rfe.journal.events import OutcomeLog, TrialLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events, read_records
from rfe.writing import cut_torn_line
from tests.unit.tracking.logs import CONFUSION, confirmation_log, failed_log, study_folder, study_log, trial_log


def test_what_is_told_comes_back(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    told = trial_log(7, tags={"duplicate_of": "3"})
    with Journal(folder) as journal:
        journal.record_study(study_log())
        journal.record_trial(told)
        journal.record_confirmation(confirmation_log(7))
        journal.record("note", text="a worker was lost")
        journal.record_outcome(OutcomeLog("s", "finished", "fine", {"score_best": 0.25, "score_selected": math.nan}))
    study, trial, confirmation, outcome = read_events(folder)
    assert study == study_log()
    assert isinstance(trial, TrialLog)
    assert (trial.number, trial.state, trial.config_id, trial.tags) == (7, "complete", told.config_id, told.tags)
    assert trial.config == told.config
    assert trial.scores == {"score": 0.25, "score_se": 0.01, "acc_presence": 0.4}
    assert trial.per_fold == {"score": {0: 0.2, 1: 0.3}, "acc_salience": {1: 0.1}}
    assert trial.curves["score"] == [(5, 0.1), (10, 0.2)]
    assert math.isnan(trial.curves["train_loss"][1][1])
    assert trial.time > 0
    assert Path(str(trial.artifacts["confusion.csv"])).read_bytes() == CONFUSION
    assert (confirmation.scores, confirmation.seeds) == ((0.2, 0.3, 0.25), (100, 101, 102))  # type: ignore[union-attr]
    assert isinstance(outcome, OutcomeLog)
    assert outcome.scores == {"score_best": 0.25}


def test_time_is_kept_now_and_then_and_not_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder(tmp_path)
    seconds = [10.0]
    monkeypatch.setattr("rfe.journal.journal.time.monotonic", lambda: seconds[0])
    with Journal(folder) as journal:
        for clock, now in ((1e9, 40.0), (5.0, 71.0), (1e9, 100.0), (1e9, 131.5)):
            monkeypatch.setattr("rfe.journal.journal.time.time", lambda at=clock: at)
            seconds[0] = now
            journal.keep_time()
    assert [(one.kind, one.time, one.worked_s) for one in journal.records()] == [
        ("time", 5.0, 61.0),
        ("time", 1e9, 121.5),
    ]


def test_stored_log_equals_the_one_read_again(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        stored = [
            journal.record_trial(trial_log(0, curves={"score": [(1, 0.5)]})),
            journal.record_trial(replace(failed_log(1), curves={})),
            journal.record_confirmation(confirmation_log(0)),
        ]
    assert repr(list(read_events(folder))) == repr(stored)  # nan is not equal to itself


def test_every_record_names_time_study_number_and_kind(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        journal.record_trial(trial_log(4))
        journal.record("note", text="x")
    for line in folder.journal.read_text().splitlines():
        assert {"time", "study", "number", "kind"} <= json.loads(line).keys()
    trial, note = read_records(folder.journal)
    assert (trial.number, trial.kind, note.number, note.kind) == (4, "trial", None, "note")
    assert trial.data["artifacts"]["config.yaml"] == "trials/00004/config.yaml"


def test_numpy_values_are_written_as_numbers(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        journal.record("note", 1, share=np.float32(0.5), hits=np.array([1, 2]), bad=float("inf"))
    assert dict(next(read_records(folder.journal)).data) == {"share": 0.5, "hits": [1, 2], "bad": None}


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_torn_last_line_is_passed_over_and_cut_off(tmp_path: Path, cut: int) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        for number in range(3):
            journal.record_trial(trial_log(number))
    os.truncate(folder.journal, folder.journal.stat().st_size - cut)
    assert [record.number for record in read_records(folder.journal)] == [0, 1]
    with Journal(folder) as journal:
        journal.record_trial(trial_log(2))
    assert [record.number for record in read_records(folder.journal)] == [0, 1, 2]


def test_a_torn_line_is_cut_and_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert not cut_torn_line(path)
    path.write_text('{"a": 1}\n')
    assert not cut_torn_line(path)
    path.write_text('{"a": 1}\n{"b"')
    assert cut_torn_line(path)
    assert path.read_text() == '{"a": 1}\n'


def test_damage_in_the_middle_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        for number in range(3):
            journal.record_trial(trial_log(number))
    lines = folder.journal.read_text().splitlines()
    folder.journal.write_text("\n".join([lines[0], lines[1][:20], lines[2]]) + "\n")
    with pytest.raises(StudyError, match=r"line 2: not a journal record"):
        Journal(folder)
    folder.journal.write_text(lines[0] + "\n")
    Journal(folder).close()  # the lock of the refused one was given back


def test_two_processes_cannot_write_one_study(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder), pytest.raises(StudyError, match="being worked on by another process"):
        Journal(folder)
    Journal(folder).close()


def test_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        journal.record("note", text="before")

        def no_space(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", no_space)
            with pytest.raises(OSError, match="No space"):
                journal.record("note", text="lost")
        journal.record("note", text="after")
    assert [record.data["text"] for record in read_records(folder.journal)] == ["before", "after"]


def test_weights_are_kept_for_the_best_and_the_confirmed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_folder(tmp_path)

    def with_weights() -> list[int]:
        return [n for n in range(8) if (folder.trial(n) / "weights.safetensors").exists()]

    with Journal(folder, keep_top=2) as journal:
        for number, score in enumerate([0.3, 0.1, 0.2]):
            journal.record_trial(trial_log(number, score))
        assert with_weights() == [0, 2]
        stored = journal.record_trial(trial_log(3, 0.05))
        assert stored.weights is None
        journal.record_confirmation(confirmation_log(2))
        journal.record_trial(trial_log(4, 0.5))
        journal.record_trial(trial_log(5, 0.9, tags={"duplicate_of": "4"}))
        journal.record_trial(trial_log(6, 0.9, state="pruned"))
        assert with_weights() == [0, 2, 4]
    with Journal(folder, keep_top=2) as journal:
        journal.record_trial(trial_log(7, 0.6))
        assert with_weights() == [2, 4, 7]
        looked_at: list[Path] = []
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: looked_at.append(path))
        journal.record_trial(trial_log(8, 0.01))
        weights = [path for path in looked_at if path.name == "weights.safetensors"]
        assert weights == [folder.trial(8) / "weights.safetensors"]  # not those of every trial so far
    kept = load_file(folder.trial(7) / "weights.safetensors")
    assert kept["fold0.seed0.w"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_study_folder_can_be_moved(tmp_path: Path) -> None:
    folder = study_folder(tmp_path / "old")
    with Journal(folder) as journal:
        journal.record_trial(trial_log(0))
    (tmp_path / "old").rename(tmp_path / "new")
    (trial,) = read_events(study_folder(tmp_path / "new"))
    assert isinstance(trial, TrialLog)
    assert Path(str(trial.artifacts["config.yaml"])).exists()
    assert isinstance(trial.weights, Path)
    assert trial.weights.exists()


def test_weights_that_are_asked_for_stay_whatever_comes(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder, keep_top=1) as journal:
        kept = journal.record_trial(trial_log(0, 0.1, tags={"keep": "weights"}))
        assert isinstance(kept.weights, Path)
        journal.record_trial(trial_log(1, 0.2))
        journal.record_trial(trial_log(2, 0.3))
    with Journal(folder, keep_top=0):
        assert [n for n in range(3) if (folder.trial(n) / "weights.safetensors").exists()] == [0]


OUTSIDE = "lies outside the study's folder"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"number": 0', '"number": "0"', "rfe studies pull"),
        ('"score": 0.25', '"score": "high"', "rfe studies pull"),
        ('"config": {', '"config": 3, "other": {', "rfe studies pull"),
        ('"trials/00000/config.yaml"', '"../../../secret.yaml"', OUTSIDE),
        ('"trials/00000/config.yaml"', '"/etc/passwd"', OUTSIDE),
        ('"config.yaml":', '"../../config.yaml":', OUTSIDE),  # where a pull would write it
        ('"trials/00000/weights.safetensors"', '"../other/weights.safetensors"', OUTSIDE),
    ],
)
def test_what_no_journal_of_ours_says_is_refused(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with Journal(folder) as journal:
        journal.record_trial(trial_log(0))
    text = folder.journal.read_text()
    assert right in text
    folder.journal.write_text(text.replace(right, wrong, 1))
    with pytest.raises(StudyError, match=said):
        list(read_events(folder))
