"""A search in a process of its own that is stopped, resumed, pulled and exported from outside, through MLflow alone.

It runs the command line, real Ray and real training of tiny models.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rfe import api
from rfe.errors import StudyError
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.workspace import Workspace, open_workspace
from tests.integration import fakes

SPACE = """
study: afar
base: {train.epochs: 20, model.latent_dim: 8}
space:
  train.lr: {float: [1.0e-4, 1.0e-2], log: true}
  model.dropout: {float: [0.0, 0.5]}
budget: {trials: 2000}
confirm: {top: 1, seeds: 2}
cohort: 2
"""
PATIENCE_S = 400.0
"""For Ray to start on a busy machine; nothing waits so long otherwise."""


def rfe(workspace: Workspace, *words: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rfe", *map(str, words), "--workspace", str(workspace.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def mlflow_states(workspace: Workspace) -> Counter[str]:
    from mlflow import MlflowClient

    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("afar")
    assert experiment is not None
    return Counter(run.info.status for run in client.search_runs([experiment.experiment_id], max_results=5000))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_stop_resume_pull_and_export_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    data = fakes.write_data(tmp_path / "data")
    (tmp_path / "space.yaml").write_text(SPACE)
    here, elsewhere = open_workspace(tmp_path / "here"), open_workspace(tmp_path / "elsewhere")
    afar = here.mlflow_uri
    folder = here.study("afar")

    def ended() -> dict[int, str]:
        return {event.number: event.state for event in read_events(folder) if isinstance(event, TrialLog)}

    search = rfe(here, "search", tmp_path / "space.yaml", "--data", data, "--workers", 1)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while len(ended()) < 3:
            assert search.poll() is None, search.communicate()[0]
            assert time.monotonic() < deadline, "the search did not get to its third trial"
            time.sleep(0.1)
        detail = api.show_study("afar", here)
        assert detail.summary.state == "running"
        assert detail.live is not None
        assert detail.live.pid == search.pid
        with pytest.raises(StudyError, match="being worked on"):
            api.delete_study("afar", here)
        with pytest.raises(StudyError, match="being worked on"):
            api.repair_study("afar", here)
        assert api.stop_study("afar", elsewhere, tracking_uri=afar, wait=True).pid == search.pid
        said, _ = search.communicate(timeout=PATIENCE_S)
        assert search.returncode == 130, said
    finally:
        search.kill()
    assert "the same command goes on" in said
    assert json.loads(folder.outcome.read_text())["state"] == "stopped"
    assert mlflow_states(here)["RUNNING"] == 0
    assert not folder.live.exists()
    with pytest.raises(StudyError, match="not running"):
        api.stop_study("afar", elsewhere, tracking_uri=afar)
    assert api.repair_study("afar", here).repairs == ()

    # on to the end; what had been asked for ends under its own number
    before = ended()
    asked = len(before) + len(api.repair_study("afar", here).adoptable)
    resumed = rfe(here, "studies", "resume", "afar", "--trials", asked + 2, "--workers", 1)
    try:
        said, _ = resumed.communicate(timeout=PATIENCE_S + 200)
    finally:
        resumed.kill()
    assert resumed.returncode == 0, said
    assert sorted(ended()) == list(range(asked + 2))
    assert before.items() <= ended().items()
    assert mlflow_states(here) == {"FINISHED": asked + 3}  # the study's run and its trials'

    pulled = api.pull_study("afar", elsewhere, tracking_uri=afar)
    assert pulled.missing == 0
    assert elsewhere.study("afar").journal.read_bytes() == folder.journal.read_bytes()
    one, other = api.show_study("afar", here), api.show_study("afar", elsewhere)
    assert (one.trials, one.settings, one.summary.state) == (other.trials, other.settings, "finished")
    bundles = [api.export("afar", data, models="folds", workspace=workspace) for workspace in (here, elsewhere)]
    (member,) = api.verify(bundles[1], data)["members"]
    assert member["source"].startswith("trained in the study")
    assert len({(bundle / "submission.json").read_text() for bundle in bundles}) == 1
