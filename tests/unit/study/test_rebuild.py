"""Optuna's study is made from the journal: in memory, and as a file for its tools."""

import json
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from rfe.errors import ConfigError, StudyError
from rfe.study import StudyStore
from rfe.study.rebuild import write_optuna
from rfe.workspace import StudyFolder
from tests.unit.study.telling import report, tell
from tests.unit.study.test_store import define


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A complete, a pruned and a failed trial, and one that runs."""
    folder = StudyFolder(tmp_path / "s")
    with StudyStore.open(folder.path, define(pruner={"kind": "asha", "min_epochs": 1})) as store:
        store.ask(4)
        assert not report(store, 0, 1, 0.4)
        assert report(store, 1, 1, 0.3)
        tell(store, 0, state="complete", values=(0.5,))
        tell(store, 1, state="pruned")
        tell(store, 2, state="failed", user_attrs={"reason": "diverged"})
    return folder


def storage(file: Path) -> Any:
    if file.suffix == ".db":
        return RDBStorage(f"sqlite:///{file}")
    return JournalStorage(JournalFileBackend(str(file)))


@pytest.mark.parametrize("name", ["study.db", "study.log"])
def test_optunas_own_storages_read_what_is_written(name: str, tmp_path: Path, folder: StudyFolder) -> None:
    assert write_optuna(folder, tmp_path / name) == 4
    with StudyStore.open(folder.path, define()) as store:
        rows = store.trials()
    trials = optuna.load_study(study_name="s", storage=storage(tmp_path / name)).trials
    assert [trial.params for trial in trials] == [row.params for row in rows]
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert [trial.value for trial in trials] == [0.5, 0.3, None, None]
    assert trials[1].intermediate_values == {1: 0.3}
    assert trials[2].user_attrs["reason"] == "diverged"
    assert trials[0].datetime_complete == rows[0].ended


def test_a_file_that_is_there_is_kept_and_a_study_that_is_not_is_said(tmp_path: Path, folder: StudyFolder) -> None:
    (tmp_path / "mine.db").write_text("mine")
    with pytest.raises(ConfigError, match=r"--output .*mine.db: already exists; delete it, or name another file"):
        write_optuna(folder, tmp_path / "mine.db")
    assert (tmp_path / "mine.db").read_text() == "mine"
    with pytest.raises(StudyError, match="holds no study"):
        write_optuna(StudyFolder(tmp_path / "nowhere"), tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("name", ["study.db", "study.log"])
def test_optunas_dashboard_opens_what_is_written(name: str, tmp_path: Path, folder: StudyFolder) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    write_optuna(folder, tmp_path / name)
    app = dashboard.wsgi(storage(tmp_path / name))

    def get(path: str, query: str = "") -> Any:
        request: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query}
        setup_testing_defaults(request)
        status: list[str] = []
        content = b"".join(app(request, lambda line, headers, *_: status.append(line)))
        assert status == ["200 OK"]
        return json.loads(content)

    (study,) = get("/api/studies")["study_summaries"]
    assert study["study_name"] == "s"
    trials = get(f"/api/studies/{study['study_id']}", "after=0")["trials"]
    assert [trial["number"] for trial in trials] == [0, 1, 2, 3]
    assert trials[0]["values"] == [0.5]
