"""Searches on real Ray, with one session and one worker for all tests but the killed drivers', which start their own.

Training is replaced by a quick stand-in (`fakes.train_stack`) except where it says so.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from rfe import api
from rfe.config.reading import write_yaml
from rfe.data.dataset import load_dataset
from rfe.errors import ConfigError, DataError, StudyError, TrialError
from rfe.journal.events import ConfirmationLog, StudyEvent, StudyLog, TrialLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events, read_records
from rfe.search.driver import run_search
from rfe.search.fleet import Fleet, open_fleet
from rfe.search.node_check import check_nodes
from rfe.search.options import RunOptions
from rfe.search.outcome import StudyOutcome
from rfe.search.session import open_session
from rfe.search_space import SearchSpace, load_space
from rfe.search_space.ready_made import find_space
from rfe.study import TrialRow, read_study
from rfe.tracking.base import NullTracker
from rfe.workspace import StudyFolder, Workspace, open_workspace
from tests.integration import fakes

SPACE: dict[str, Any] = {
    "pool": {"subset": "all"},
    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
    "model.n_kept": {"int": [1, 3]},
}
COHORT = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_data(tmp_path_factory.mktemp("search") / "tiny")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def fleet(cache: Path) -> Iterator[Fleet]:
    room = {"num_cpus": 6}  # for a second fleet, beside this one
    with (
        open_session(workers=1, **room) as session,
        open_fleet(session, cache, stack=COHORT, train=fakes.TRAIN) as fleet,
    ):
        yield fleet


@pytest.fixture
def workspace(mlflow_workspace: Workspace) -> Workspace:
    return mlflow_workspace


@pytest.fixture
def mark(cache: Path) -> Iterator[Callable[[str, str], None]]:
    """Tells the stand-in what to do besides; taken back at the end."""

    def write(name: str, text: str) -> None:
        (cache / name).write_text(text)

    yield write
    for name in (fakes.DIE, fakes.SLEEP, fakes.REAL):
        (cache / name).unlink(missing_ok=True)


def make_space(study: str, trials: int, **fields: Any) -> SearchSpace:
    given = {"study": study, "space": SPACE, "budget": {"trials": trials}, "confirm": {"top": 0}, "cohort": COHORT}
    return load_space({**given, **fields})


def optuna_rows(workspace: Workspace, study: str) -> dict[int, TrialRow]:
    """What was asked for."""
    return {row.number: row for row in read_study(workspace.study(study).path).trials}


def trial_records(folder: StudyFolder) -> list[TrialLog]:
    return [event for event in read_events(folder) if isinstance(event, TrialLog)]


def assert_each_trial_once(workspace: Workspace, study: str, trials: int) -> None:
    """Optuna and journal know the same trials, each ended once, in the same way."""
    rows = optuna_rows(workspace, study)
    records = trial_records(workspace.study(study))
    assert sorted(rows) == list(range(trials))
    assert Counter(record.number for record in records) == Counter(range(trials))
    assert {record.number: record.state for record in records} == {n: row.state for n, row in rows.items()}


def test_a_search_confirms_its_best_and_writes_its_outcome(fleet: Fleet, data: Path, workspace: Workspace) -> None:
    space = make_space("whole", 21, confirm={"top": 2, "seeds": 3})
    outcome = run_search(space, data, workspace, fleet=fleet)
    assert_each_trial_once(workspace, "whole", 21)
    assert (outcome.state, outcome.trials["complete"]) == ("finished", 21)
    assert outcome.score_best is not None
    assert outcome.score_selected is not None
    assert outcome.score_selected.score <= outcome.score_best.score
    assert [len(row.scores) for row in outcome.confirmed] == [3, 3]
    assert outcome.best == outcome.confirmed[0].number
    folder = workspace.study("whole")
    written = json.loads(folder.outcome.read_text())
    assert written["confirmed"][0]["mean"] == outcome.confirmed[0].mean
    confirmations = [event for event in read_events(folder) if isinstance(event, ConfirmationLog)]
    assert all(set(one.seeds) == {1000, 1001, 1002} and one.weights is not None for one in confirmations)
    weights = [record.number for record in trial_records(folder) if record.weights is not None]
    assert len(weights) == 20  # keep_top

    # the same command again asks for nothing and tells the tracker what the study has
    class Listener(NullTracker):
        heard: tuple[StudyEvent, ...] = ()

        def replay(self, events: Iterable[StudyEvent]) -> None:
            self.heard = tuple(events)

    listener = Listener()
    again = run_search(space, data, workspace, tracker=listener)  # nothing is left to train: no fleet
    assert {event.number for event in listener.heard if isinstance(event, TrialLog)} == set(range(21))
    assert again.score_best == outcome.score_best
    assert again.confirmed == outcome.confirmed
    # more trials continue with the next numbers
    run_search(space, data, workspace, RunOptions(trials=26), fleet=fleet)
    assert_each_trial_once(workspace, "whole", 26)


@pytest.mark.slow
def test_real_training_shows_the_same_in_optuna_journal_and_mlflow(
    fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    from rfe.tracking.mlflow_tracker import MlflowTracker

    mark(fakes.REAL, "")
    base = {"train.epochs": 2, "model.latent_dim": 8}
    space = make_space("real", 5, base=base, confirm={"top": 1, "seeds": 2})
    tracker = MlflowTracker(workspace, workspace.study("real"))
    try:
        outcome = run_search(space, data, workspace, fleet=fleet, tracker=tracker)
        assert tracker.flush(60)
    finally:
        assert tracker.close() == ""
    assert_each_trial_once(workspace, "real", 5)
    assert outcome.trials["complete"] == 5
    assert outcome.score_best is not None
    assert 0 <= outcome.score_best.score <= 1
    shown = mlflow_trials(workspace, "real")
    rows = optuna_rows(workspace, "real")
    assert {n: status for n, (status, _) in shown.items()} == dict.fromkeys(range(5), "FINISHED")
    for number, (_, score) in shown.items():
        assert rows[number].values == (pytest.approx(score),)


def test_pruned_trials_are_pruned_everywhere_with_the_score_they_had(
    fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    from rfe.tracking.mlflow_tracker import MlflowTracker

    mark(fakes.SLEEP, "0.6")
    pruner = {"kind": "median", "startup_trials": 4, "warmup_epochs": 4}
    space = make_space("pruned", 24, pruner=pruner, sampler={"kind": "random"}, confirm={"top": 1, "seeds": 2})
    tracker = MlflowTracker(workspace, workspace.study("pruned"))
    try:
        outcome = run_search(space, data, workspace, fleet=fleet, tracker=tracker)
        assert tracker.flush(60)
    finally:
        assert tracker.close() == ""
    assert_each_trial_once(workspace, "pruned", 24)
    pruned = {log.number: log for log in trial_records(workspace.study("pruned")) if log.state == "pruned"}
    assert outcome.trials["pruned"] == len(pruned) >= 4
    assert outcome.trials["failed"] == 0
    rows, shown = optuna_rows(workspace, "pruned"), mlflow_trials(workspace, "pruned")
    for number, log in pruned.items():
        assert "pruned (median) at epoch" in log.reason
        had = log.curves["score"][-1][1]
        assert log.score is None
        assert rows[number].values is not None
        assert shown[number] == ("KILLED", pytest.approx(had, rel=1e-4))
    best = max(row.values[0] for row in rows.values() if row.state == "complete" and row.values)
    assert outcome.score_best is not None
    assert outcome.score_best.score == best
    assert not list(workspace.study("pruned").path.glob("checkpoints/*"))


@pytest.mark.slow
def test_survivors_of_the_first_folds_end_as_if_all_had_been_trained_at_once(
    fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    mark(fakes.REAL, "")
    fields: dict[str, Any] = {
        "base": {"train.epochs": 4, "model.latent_dim": 8, "train.batch_size": 32},
        "sampler": {"kind": "random"},
    }
    run_search(make_space("at_once", 10, **fields), data, workspace, fleet=fleet)
    pruner = {"kind": "median", "startup_trials": 2, "warmup_epochs": 4, "folds_first": 2}
    outcome = run_search(make_space("folds_first", 10, pruner=pruner, **fields), data, workspace, fleet=fleet)
    assert_each_trial_once(workspace, "folds_first", 10)
    assert outcome.trials["pruned"] >= 1
    expected = {log.number: log for log in trial_records(workspace.study("at_once"))}
    for log in trial_records(workspace.study("folds_first")):
        assert log.state in ("complete", "pruned")
        assert log.config == expected[log.number].config
        if log.state == "complete":
            # not scores: sums in another order may move clips that lie on a threshold
            fused = [np.load(one.artifacts["outputs.npz"])["fused"] for one in (log, expected[log.number])]
            np.testing.assert_allclose(*fused, atol=1e-3)  # kept in half precision
            assert log.per_fold.keys() == expected[log.number].per_fold.keys()
            assert all(sorted(by_fold) == [0, 1, 2] for by_fold in log.per_fold.values())

    too_many = make_space("folds_first", 10, pruner={**pruner, "folds_first": 3}, **fields)
    with pytest.raises(ConfigError, match=r"pruner.folds_first: 3, but .* has 3 folds: at most 2"):
        run_search(too_many, data, workspace, fleet=fleet)


@pytest.mark.parametrize(
    "name",
    [
        "everything",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("fusion", "top_n", "encoder_pool", "head_fusion", "adaptation", "demo")
        ),
    ],
)
def test_each_ready_made_space_runs_two_trials(
    name: str, fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    mark(fakes.REAL, "")
    small = ["train.epochs=1", "adaptation.batch=16", "confirm.top=0", "budget.trials=2"]
    outcome = run_search(load_space(find_space(name), small), data, workspace, fleet=fleet)
    assert (outcome.state, outcome.trials["complete"], outcome.trials["failed"]) == ("finished", 2, 0)
    assert_each_trial_once(workspace, outcome.study, 2)


def mlflow_trials(workspace: Workspace, study: str) -> dict[int, tuple[str, float]]:
    from mlflow import MlflowClient

    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`rfe.trial` LIKE '%'")
    assert len({run.data.tags["rfe.trial"] for run in runs}) == len(runs)
    # what an unfinished trial had does not stand among the scores that a table sorts by
    name = {"FINISHED": "score", "KILLED": "unfinished_score"}
    return {int(run.data.tags["rfe.trial"]): (run.info.status, run.data.metrics[name[run.info.status]]) for run in runs}


@pytest.mark.slow
def test_a_grid_needs_no_budget_and_ends_when_every_configuration_ran(
    fleet: Fleet, data: Path, workspace: Workspace
) -> None:
    lines = {"train.lr": {"choice": [0.001, 0.003, 0.01]}, "model.n_kept": {"int": [1, 3]}}
    space = make_space("grid", 4, space=lines, sampler={"kind": "grid"})
    assert run_search(space, data, workspace, fleet=fleet).reason == ""
    endless = space.model_copy(update={"budget": space.budget.model_copy(update={"trials": None})})
    for _ in range(2):  # the second time nothing is left to start workers for
        outcome = run_search(endless, data, workspace, fleet=fleet)
        assert (outcome.state, "grid is exhausted" in outcome.reason) == ("finished", True)
        assert outcome.trials == {"complete": 9, "pruned": 0, "failed": 0, "duplicates": 0}
        assert_each_trial_once(workspace, "grid", 9)


@pytest.mark.slow
def test_several_objectives_have_a_front_and_teach_the_next_study(
    fleet: Fleet, data: Path, workspace: Workspace
) -> None:
    objective = ["acc_presence", "acc_salience"]
    outcome = run_search(make_space("pareto", 8, objective=objective), data, workspace, fleet=fleet)
    assert outcome.score_best is not None
    scores = {record.number: record.scores for record in trial_records(workspace.study("pareto"))}
    for one in outcome.front:
        assert one.values == {name: scores[one.number][name] for name in objective}
        assert not any(all(other[name] > one.values[name] for name in objective) for other in scores.values())
    for name in objective:
        assert max(one.values[name] for one in outcome.front) == max(one[name] for one in scores.values())

    space = make_space("next", 5, objective=objective, base={"train.weight_decay": 0.1})
    learnt = run_search(space, data, workspace, RunOptions(warm_start="pareto"), fleet=fleet)
    assert sorted(optuna_rows(workspace, "next")) == list(range(8, 13))
    assert sorted(record.number for record in trial_records(workspace.study("next"))) == list(range(8, 13))
    assert learnt.trials["complete"] == 5
    begun = next(event for event in read_events(workspace.study("next")) if isinstance(event, StudyLog))
    assert begun.settings["warm_start"] == "pareto (8 trials)"


def test_one_configuration_is_a_study_of_one_trial(fleet: Fleet, data: Path, workspace: Workspace) -> None:
    space = load_space({"study": "one", "base": {"train.lr": 0.003, "pool": ["good"]}, "confirm": {"top": 0}})
    outcome = run_search(space, data, workspace, fleet=fleet)
    assert outcome.trials == {"complete": 1, "pruned": 0, "failed": 0, "duplicates": 0}
    assert outcome.best_config["train.lr"] == 0.003


@pytest.mark.slow
def test_a_lost_worker_loses_no_trial(
    fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    mark(fakes.DIE, "")
    outcome = run_search(make_space("lost", 6), data, workspace, fleet=fleet)
    assert_each_trial_once(workspace, "lost", 6)
    assert outcome.trials["complete"] == 6
    lost = [record.number for record in trial_records(workspace.study("lost")) if "lost_workers" in record.tags]
    assert lost == list(range(COHORT))  # the stack that the dead worker held


@pytest.mark.slow
def test_a_lost_pool_loses_no_trial(
    fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    import ray

    mark(fakes.SLEEP, "0.5")
    killed = []

    def kill() -> None:
        while fleet.queue.status().finished < start + COHORT:
            time.sleep(0.02)
        deadline = time.monotonic() + 1
        while not fleet.queue.status().epochs and time.monotonic() < deadline:  # better amid a training
            time.sleep(0.02)
        ray.kill(fleet.queue.actor, no_restart=False)
        killed.append(True)

    start = fleet.queue.status().finished
    threading.Thread(target=kill, daemon=True).start()
    outcome = run_search(make_space("poolless", 12), data, workspace, fleet=fleet)
    assert killed
    assert outcome.trials["complete"] == 12
    assert_each_trial_once(workspace, "poolless", 12)


@pytest.mark.slow
def test_a_full_disk_ends_the_search_in_a_sentence_and_room_lets_it_go_on(
    fleet: Fleet, data: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, written = Journal._append, []

    def fill_up(self: Journal, line: bytes, sync: bool) -> None:
        written.append(line)
        if len(written) > 2 + COHORT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, line, sync)

    with monkeypatch.context() as disk:
        disk.setattr(Journal, "_append", fill_up)
        with pytest.raises(TrialError, match=r"disk of .* is full.* free some space, then run the same command"):
            run_search(make_space("full", 12), data, workspace, fleet=fleet)
    assert run_search(make_space("full", 12), data, workspace, fleet=fleet).state == "finished"
    assert_each_trial_once(workspace, "full", 12)


@pytest.mark.slow
def test_failures_in_a_row_end_the_study_with_the_commonest_reason(
    fleet: Fleet, data: Path, workspace: Workspace
) -> None:
    space = make_space("bad", 50, base={"train.lr": 1.0}, space={"model.dropout": {"float": [0.0, 0.5]}})
    with pytest.raises(TrialError, match="failed in a row, most of them so: the loss is no longer finite"):
        run_search(space, data, workspace, fleet=fleet)
    states = Counter(row.state for row in optuna_rows(workspace, "bad").values())
    assert 10 <= states["failed"] <= 10 + 2 * COHORT
    assert json.loads(workspace.study("bad").outcome.read_text())["state"] == "failed"


def test_the_end_of_the_worker_group_fails_what_waits_for_it(
    fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    mark(fakes.SLEEP, "30")

    class Ended:
        ended, reason, n_workers = True, "a bolt of lightning", 1

    with pytest.raises(TrialError, match="a bolt of lightning"):
        run_search(make_space("gone", 9), data, workspace, fleet=replace(fleet, groups=[Ended()]))  # type: ignore[arg-type]
    rows = optuna_rows(workspace, "gone").values()
    assert {row.state for row in rows} == {"failed"}
    assert all("a bolt of lightning" in row.user_attrs["reason"] for row in rows)


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_search_with_the_reason(
    fleet: Fleet, cache: Path, data: Path, workspace: Workspace
) -> None:
    """Ray starts others in their place, hundreds of times and without a word."""
    nowhere = "tests.no_such_module:train"
    with (
        open_fleet(fleet.session, cache, train=nowhere) as broken,
        pytest.raises(TrialError, match=r"cannot start: ModuleNotFoundError: No module named 'tests.no_such_module'"),
    ):
        run_search(make_space("broken", 5), data, workspace, fleet=broken)
    outcome = run_search(make_space("broken", 5), data, workspace, fleet=fleet)
    assert outcome.trials["complete"] == 5  # nothing is lost


@pytest.mark.slow
def test_an_interrupt_stops_the_search_and_the_next_one_goes_on(
    fleet: Fleet, data: Path, workspace: Workspace, mark: Callable[[str, str], None]
) -> None:
    mark(fakes.SLEEP, "0.5")
    folder = workspace.study("interrupted")

    def interrupt() -> None:
        while sum(record.kind == "trial" for record in read_records(folder.journal)) < COHORT:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    space = make_space("interrupted", 16)
    outcome = run_search(space, data, workspace, fleet=fleet)
    assert outcome.state == "stopped"
    states = Counter(row.state for row in optuna_rows(workspace, "interrupted").values())
    assert states["running"] > 0
    assert states["complete"] < 16
    mark(fakes.SLEEP, "0")
    assert run_search(space, data, workspace, fleet=fleet).state == "finished"
    assert_each_trial_once(workspace, "interrupted", 16)


@pytest.mark.slow
def test_a_killed_driver_is_resumed_to_the_same_study(
    fleet: Fleet, data: Path, workspace: Workspace, tmp_path: Path, mark: Callable[[str, str], None]
) -> None:
    """One worker, fixed cohorts, no prefetch: the resumed study has the trials of an undisturbed one."""
    killed = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.killed_search", str(data), str(workspace.root), str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    journal = workspace.study("killed").journal
    deadline = time.monotonic() + 200
    while sum(record.kind == "trial" for record in read_records(journal)) < COHORT + 2:
        assert killed.poll() is None, "the search ended before it could be killed"
        assert time.monotonic() < deadline, "the search did not get to its second cohort"
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    mark(fakes.DIE, "")  # of the one that goes on, a worker
    before = {record.number: record.time for record in trial_records(workspace.study("killed"))}
    assert "running" in {row.state for row in optuna_rows(workspace, "killed").values()}

    at_once = replace(fleet, prefetch=0)
    run_search(make_space("killed", 12), data, workspace, fleet=at_once)
    assert_each_trial_once(workspace, "killed", 12)
    after = {record.number: record.time for record in trial_records(workspace.study("killed"))}
    assert before.items() <= after.items()  # nothing that had finished ran again

    elsewhere = open_workspace(tmp_path / "undisturbed")
    run_search(make_space("killed", 12), data, elsewhere, fleet=at_once)
    resumed, undisturbed = optuna_rows(workspace, "killed"), optuna_rows(elsewhere, "killed")
    assert {n: (row.params, row.values) for n, row in resumed.items()} == {
        n: (row.params, row.values) for n, row in undisturbed.items()
    }


@pytest.mark.slow
def test_a_study_is_mirrored_and_goes_on_from_its_mirror(
    fleet: Fleet, data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    storage = str(tmp_path / "disk")
    run_search(make_space("mirrored", 8, storage=storage), data, workspace, fleet=fleet)
    elsewhere = open_workspace(tmp_path / "elsewhere")
    assert api.pull_study("mirrored", elsewhere, storage=storage).missing == 0
    run_search(make_space("mirrored", 12, storage=storage), data, elsewhere, fleet=fleet)
    assert_each_trial_once(elsewhere, "mirrored", 12)
    assert len(trial_records(StudyFolder(tmp_path / "disk" / "mirrored"))) == 12


def test_a_node_that_cannot_open_the_data_is_named_before_training(
    fleet: Fleet, data: Path, cache: Path, tmp_path: Path
) -> None:
    dataset = load_dataset(data)
    cluster = replace(fleet.session, local=False, here="the driver's")  # the one node is asked like any other
    check_nodes(cluster, dataset, str(data), None, cache)
    with pytest.raises(DataError, match=r"1 of 2 nodes cannot open it \(.*same path on every node"):
        check_nodes(cluster, dataset, str(tmp_path / "not-mounted"), None, cache)
    other = fakes.write_data(tmp_path / "other", seed=9)
    with pytest.raises(DataError, match="other data stands under that name there"):
        check_nodes(cluster, dataset, str(other), None, cache)


@pytest.mark.slow
def test_an_ablation_is_a_study_of_arms(
    fleet: Fleet,
    data: Path,
    cache: Path,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tuning, replication, comparison and MLflow on the one set of workers; a second time nothing is trained."""

    def run_here(*arguments: Any, **options: Any) -> StudyOutcome:
        return run_search(*arguments, **(options | {"fleet": fleet}))

    monkeypatch.setattr("rfe.search.driver.run_search", run_here)
    monkeypatch.setattr("rfe.search.running.StudySeries._start_workers", lambda self: None)
    plan = tmp_path / "plan.yaml"
    fields = {"seeds": 3, "base": {"train.lr": 0.002}, "retune": 3, "components": ["no dropout"]}
    custom = {"far off": {"train.lr": 1.0e-5}}
    plan.write_text(write_yaml({"name": "arms", **fields, "custom": custom, "sweeps": {"model.n_kept": "all"}}))
    trained = cache / "trained.txt"
    before = len(trained.read_text().splitlines()) if trained.exists() else 0
    result = api.ablate(plan, data, workspace=workspace)
    assert result is not None
    assert [row.arm.name for row in result.rows] == [
        "base",
        "no dropout",
        "n_kept 1",
        "n_kept 2",
        "n_kept 3",
        "far off",
    ]
    assert {row.arm.name: row.verdict for row in result.rows}["far off"] == "loss"
    assert workspace.study_names() == (
        "arms", "arms-tune-00-base", "arms-tune-01-no-dropout", "arms-tune-02-n-kept-1", "arms-tune-03-n-kept-2",
        "arms-tune-05-far-off",
    )  # fmt: skip
    n_trained = len(trained.read_text().splitlines()) - before
    records = trial_records(workspace.study("arms"))
    assert n_trained == 5 * 3 + len(records)
    assert all(log.weights is None or log.tags["arm"].startswith("base") for log in records)
    assert any(log.weights is not None for log in records)

    again = api.ablate(plan, data, workspace=workspace)
    assert again is not None
    assert again.to_dict() == result.to_dict()
    assert len(trained.read_text().splitlines()) - before == n_trained

    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("arms")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs["study arms"].data.tags["rfe.ablation"] == "true"
    arm = next(run for name, run in runs.items() if name.startswith("no dropout"))
    difference = result.rows[1].difference
    assert difference is not None
    assert arm.data.metrics["difference"] == pytest.approx(difference.estimate, rel=1e-5)
    files = {one.path for one in client.list_artifacts(runs["study arms"].info.run_id)}
    assert {"ablation.csv", "ablation_result.json", "ablation.json"} <= files

    with pytest.raises(StudyError, match="arms"):
        api.ablate(plan, data, workspace=workspace, seeds=4)
