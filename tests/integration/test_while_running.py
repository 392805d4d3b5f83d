"""What is done to a study while a search works on it, on real Ray: notes, tags, table, page, messages, code kept."""

import math
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from rfe import api
from rfe.journal.events import StudyLog, TrialLog
from rfe.journal.records import read_events
from rfe.reporting.watch.study import WatchedStudy
from rfe.search.driver import run_search
from rfe.search.fleet import Fleet
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import Workspace
from tests.integration import fakes
from tests.integration.test_search import cache, data, fleet, make_space, mark, workspace

__all__ = ["cache", "data", "fleet", "mark", "workspace"]  # fixtures


def test_a_running_study_is_annotated_read_and_told_of(
    fleet: Fleet,
    data: Path,
    workspace: Workspace,
    mark: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark(fakes.SLEEP, "0.6")
    code = tmp_path / "code"
    code.mkdir()
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=me", "-c", "user.email=m@e", "commit", "-qm", "a"]):
        (code / "mine.py").write_text("x = 1\n")
        subprocess.run(["git", *words], cwd=code, check=True)
    (code / "mine.py").write_text("x = 2\n")
    monkeypatch.chdir(code)
    told = tmp_path / "told.txt"
    script = f'(echo "$RFE_TITLE"; cat) >> {told}'
    space = make_space("busy", 16, notify={"command": ["sh", "-c", script], "best_minutes": 0.0}, confirm={"top": 1})
    folder, errors, seen = workspace.study("busy"), list[BaseException](), list[int]()

    def disturb() -> None:
        try:
            while not folder.live.exists() or WatchedStudy(folder).payload()["counts"]["complete"] < 2:
                time.sleep(0.05)
            watched = WatchedStudy(folder)
            seen.append(len(watched.payload()["rows"]))
            assert watched.payload()["state"] == "running"
            api.note_study("busy", "disturbed", workspace)
            api.tag_study("busy", ["paper"], workspace)
            table = api.study_table("busy", workspace)
            seen.append(len(table))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=disturb)
    thread.start()
    tracker = MlflowTracker(workspace, folder)
    outcome = run_search(space, data, workspace, fleet=fleet, tracker=tracker)
    assert tracker.close(120) == ""
    thread.join(60)
    assert errors == []
    assert 2 <= seen[0] < 16
    assert outcome.trials["complete"] == 16

    events = list(read_events(folder))
    trials = [event for event in events if isinstance(event, TrialLog)]
    for trial in trials:
        assert "@" in trial.worker
        assert trial.wait_s >= 0
        assert math.isfinite(trial.memory_mb)
    [study] = [event for event in events if isinstance(event, StudyLog)]
    assert "+x = 2" in (folder.path / study.code_diff).read_text()
    table = api.study_table("busy", workspace)
    assert list(table["trial"]) == list(range(16))
    assert table["worker"].notna().all()
    assert table["confirmed_sd"].notna().sum() == 1
    titles = [line for line in told.read_text().splitlines() if line.startswith("rfe: ")]
    assert titles[-1] == "rfe: study busy has finished"
    assert api.page_data("busy", workspace)["state"] == "finished"

    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("busy")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    own = next(run for run in runs if "rfe.trial" not in run.data.tags)
    assert (own.data.tags["rfe.tags"], own.data.tags["rfe.note"]) == ("paper", "disturbed")
    assert own.data.tags["rfe.code_diff"] == study.code_diff
    assert [file.path for file in client.list_artifacts(own.info.run_id, "code")] == [study.code_diff]
    assert all("wait_s" in run.data.metrics and run.data.tags["rfe.worker"] for run in runs if run is not own)
    assert api.repair_study("busy", workspace).repairs == ()
