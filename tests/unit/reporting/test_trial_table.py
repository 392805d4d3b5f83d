"""All trials of a study as one table, for any task's metric, also while the study runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rfe import api
from rfe.journal.events import ConfirmationLog
from rfe.journal.journal import Journal
from rfe.reporting.trial_table import ABOUT
from rfe.workspace import StudyFolder, open_workspace
from tests.unit.cli.invoke import invoke
from tests.unit.reporting.journals import STUDY, make_trial

FOLDS = {"score": {0: 0.3, 1: 0.5}, "macro_f1": {0: 0.2, 1: 0.4}}
USAGE: dict[str, Any] = {"memory_mb": 90.0, "gpu_memory_mb": 30.0, "gpu_percent": 55.0, "wait_s": 1.5, "worker": "w@h"}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = open_workspace(tmp_path).study("first")
    space = {**STUDY.space, "data.reduce": "none, 8", "train.use": "choice"}
    with Journal(folder) as journal:
        journal.record_study(replace(STUDY, space=space))
        config = dict(make_trial(0, 0.4).config)
        first = make_trial(0, 0.4, per_fold=FOLDS, **USAGE)
        first = replace(
            first, scores={**first.scores, "macro_f1": 0.3}, config={**config, "pool": ["a", "b"], "train.lr": 1e-3}
        )
        journal.record_trial(first)
        journal.record_trial(make_trial(1, None, state="failed", reason='a "quoted",\nlong reason', scores={}))
        second = make_trial(2, 0.5, tags={"duplicate_of": "0"}, config={**config, "pool": ["a"], "train.lr": 5e-4})
        journal.record_trial(second)
        journal.record_confirmation(ConfirmationLog("first", 0, (0.3, 0.34), (1000, 1001)))
    return folder


def test_a_row_is_a_trial(folder: StudyFolder, tmp_path: Path) -> None:
    with Journal(folder):  # a search has it open
        table = api.study_table("first", open_workspace(tmp_path))
    assert list(table.columns[: len(ABOUT)]) == list(ABOUT)
    assert list(table["trial"]) == [0, 1, 2]
    assert list(table["state"]) == ["complete", "failed", "complete"]
    first, failed, copy = (row for _, row in table.iterrows())
    assert {name: first[name] for name in USAGE} == USAGE
    assert (first["confirmed_mean"], round(first["confirmed_sd"], 6), first["confirmed_seeds"]) == (0.32, 0.028284, 2)
    assert (first["score"], first["macro_f1"], first["macro_f1_fold1"], first["score_fold0"]) == (0.4, 0.3, 0.4, 0.3)
    assert (first["pool"], first["train.lr"]) == ("a+b", 1e-3)
    assert failed["reason"].startswith('a "quoted"')
    assert pd.isna(failed["score"])
    assert pd.isna(failed["confirmed_sd"])
    assert copy["duplicate_of"] == 0
    assert not {"pool.a", "pool.b", "train.use"} & {*table.columns}
    assert str(table["ended"].dtype).startswith("datetime64[")
    assert "UTC" in str(table["ended"].dtype)


def test_all_parameters_can_be_had(folder: StudyFolder, tmp_path: Path) -> None:
    searched = api.study_table("first", open_workspace(tmp_path))
    every = api.study_table("first", open_workspace(tmp_path), parameters="all")
    assert {*searched.columns} <= {*every.columns}
    assert {"train.epochs", "decode.kind", "model.n_kept"} <= {*every.columns}


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.parquet"])
def test_a_file_holds_the_same(name: str, folder: StudyFolder, tmp_path: Path) -> None:
    path = tmp_path / "tables" / name
    ended = invoke("studies", "table", "first", "-o", path, "--workspace", tmp_path, "--json")
    assert ended.exit_code == 0, ended.stderr
    said = json.loads(ended.stdout)
    table = api.study_table("first", open_workspace(tmp_path))
    assert (said["rows"], said["columns"]) == (3, list(table.columns))
    read = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path)
    assert list(read.columns) == list(table.columns)
    for column in ("trial", "score", "confirmed_sd", "train.lr", "memory_mb", "duplicate_of"):
        assert read[column].astype("float64").equals(table[column].astype("float64")), column
    assert list(read["reason"].fillna("")) == list(table["reason"].fillna(""))
    assert list(path.parent.iterdir()) == [path]


def test_a_study_without_trials_has_a_table_of_none(tmp_path: Path) -> None:
    with Journal(open_workspace(tmp_path).study("begun")) as journal:
        journal.record_study(replace(STUDY, study="begun"))
    for name in ("t.csv", "t.parquet"):
        api.write_study_table("begun", tmp_path / name, open_workspace(tmp_path))
    assert list(pd.read_csv(tmp_path / "t.csv").columns) == list(ABOUT)
    assert pd.read_parquet(tmp_path / "t.parquet").empty


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("frst", "-o", "t.csv"), "did you mean first"),
        (("first", "-o", "t.xlsx"), "t.xlsx: a table is written as .csv or .parquet"),
        (("first", "-o", "table"), "end the name with one"),
        (("first",), "Missing option '--output'"),
        (("first", "-o", "t.csv", "--parameters", "some"), "some"),
    ],
)
def test_wrong_inputs(
    words: tuple[str, ...], said: str, folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = invoke("studies", "table", *words, "--workspace", tmp_path)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not list(tmp_path.glob("t*.*"))


def test_a_folder_and_a_missing_package_are_said(
    folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d.csv").mkdir()
    ended = invoke("studies", "table", "first", "-o", tmp_path / "d.csv", "--workspace", tmp_path)
    assert ended.exit_code == 2
    assert "is a folder" in ended.stderr
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    ended = invoke("studies", "table", "first", "-o", tmp_path / "t.parquet", "--workspace", tmp_path)
    assert ended.exit_code == 2
    assert "pip install pyarrow" in ended.stderr
