"""Every table that shows a score of the design decoder says that it is transductive, and no other does."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from rfe import api
from rfe.ablation.result import ablation_csv
from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.data.caveats import TRANSDUCTIVE
from rfe.data.dataset import load_dataset
from rfe.journal.journal import Journal
from rfe.journal.study import read_journal
from rfe.reporting.difference import diff_trials
from rfe.search.outcome import build_outcome
from rfe.tracking.presentation import study_description, trial_description, trial_tags
from rfe.workspace import Workspace, open_workspace
from tests.unit.ablation.studies import pretend, use
from tests.unit.cli.invoke import invoke
from tests.unit.data.folders import make_folder
from tests.unit.reporting.journals import STUDY, make_trial

DESIGN = flatten(Config()) | {"decode.design": "actor", "data.target_actors": "known"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two studies: one that may answer by design, with one trial that does."""
    workspace = open_workspace(tmp_path / "work")
    for name, caveats in (("first", (TRANSDUCTIVE,)), ("plain", ())):
        with Journal(workspace.study(name)) as journal:
            journal.record_study(replace(STUDY, study=name, caveats=caveats))
            journal.record_trial(replace(make_trial(0, 0.4), study=name))
            if caveats:
                journal.record_trial(make_trial(1, 0.5, config=DESIGN))
    return workspace


def test_lists_and_tables_of_studies(workspace: Workspace) -> None:
    summaries = {one.name: one.transductive for one in api.list_studies(workspace)}
    assert summaries == {"first": True, "plain": False}
    listed = invoke("studies", "list", "--workspace", workspace.root).stdout
    assert listed.count("transductive") == 1
    assert "transductive:" in " ".join(invoke("studies", "show", "first", "--workspace", workspace.root).stdout.split())
    assert "ransductive" not in invoke("studies", "show", "plain", "--workspace", workspace.root).stdout
    assert list(api.study_table("first", workspace)["transductive"]) == [False, True]
    assert "transductive" not in api.study_table("plain", workspace)


def test_a_difference_of_trials(workspace: Workspace) -> None:
    journal = read_journal(workspace.study("first"))
    assert TRANSDUCTIVE in diff_trials(journal, "0", "1", None).notes
    assert TRANSDUCTIVE not in diff_trials(journal, "0", "0", None).notes


def test_an_outcome_and_its_summary(workspace: Workspace, tmp_path: Path) -> None:
    dataset, folder = load_dataset(make_folder(tmp_path / "data")), workspace.study("first")
    by_fold = {name: dict.fromkeys((0, 1, 2), 0.4) for name in ("score", "acc_presence", "acc_salience")}
    logs = {number: replace(one, per_fold=by_fold) for number, one in read_journal(folder).trials.items()}
    known = {"state": "finished", "reason": "", "trials": {}, "elapsed_s": 1.0}
    outcome = build_outcome(folder, logs, [], dataset, ("score",), **known)
    assert TRANSDUCTIVE in outcome.caveats
    assert "are transductive" in outcome.summary()
    plain = build_outcome(folder, {0: logs[0]}, [], dataset, ("score",), **known)
    assert TRANSDUCTIVE not in plain.caveats
    assert "transductive" not in plain.summary()


def test_runs_in_mlflow(workspace: Workspace) -> None:
    journal = read_journal(workspace.study("first"))
    plain, matched = journal.trials.values()
    assert trial_tags(matched, journal.study)["rfe.transductive"] == "true"
    assert "rfe.transductive" not in trial_tags(plain, journal.study)
    assert trial_description(matched, journal.study).startswith("**Score 0.500** (transductive)")
    assert trial_description(plain, journal.study).startswith("**Score 0.400**:")
    assert TRANSDUCTIVE in study_description(journal.study, {"complete": 2})


def test_the_arms_of_an_ablation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, pretend)
    data, workspace = make_folder(tmp_path / "data"), open_workspace(tmp_path / "work")
    result = api.ablate("decoding", data, workspace=workspace, overrides=["seeds=3"])
    assert result is not None
    assert result.transductive == ("transductive design decoder",)
    assert TRANSDUCTIVE in result.caveats
    assert result.to_dict()["transductive"] == ["transductive design decoder"]
    lines = {line["arm"]: line["transductive"] for line in csv.DictReader(io.StringIO(ablation_csv(result)))}
    assert lines["transductive design decoder"] == "True"
    assert {lines[arm] for arm in ("base", "decoder official", "decoder decoupled")} == {"False"}
