"""Studies that are changed while their search runs: the real loop, queue and workers, in threads and without Ray."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rfe import api
from rfe.errors import ConfigError, RfeError, StudyError
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events, read_records
from rfe.search.changes import StudyChanges
from rfe.search.requests import waiting_requests
from rfe.tracking.live import read_live, request_stop
from rfe.workspace import StudyFolder, Workspace, open_workspace
from tests.integration.fakes import write_data
from tests.unit.search.loop import PACE, Loop, running

LOW, HIGH = 1.0e-4, 1.0e-2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("while") / "data")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "w")


def space(trials: int = 8, **fields: Any) -> dict[str, Any]:
    return {
        "study": "s",
        "space": {"train.lr": {"float": [LOW, HIGH], "log": True}, "model.n_kept": {"int": [1, 3]}},
        "sampler": {"kind": "random"},
        "budget": {"trials": trials},
        "confirm": {"top": 0},
        "cohort": 4,
        **fields,
    }


def logs(folder: StudyFolder) -> dict[int, TrialLog]:
    """How each trial ended; each once."""
    ended = [event for event in read_events(folder) if isinstance(event, TrialLog)]
    assert len({one.number for one in ended}) == len(ended)
    return {one.number: one for one in ended}


def hold(loop: Loop, epoch: int, n: int = 4) -> None:
    """Wait until `n` trials stand at `epoch`, beyond which none goes."""
    loop.wait(lambda: sum(one == epoch for one in loop.epochs.values()) == n)


def stop(loop: Loop) -> None:
    live = read_live(loop.folder)
    assert live is not None
    request_stop(loop.folder, live.session)
    loop.join()  # before what trains goes on
    assert loop.end().state == "stopped"


# ---- add


def test_an_added_configuration_is_tried_next(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space()) as loop:
        hold(loop, 3)
        answer = api.add_trial("s", ["train.lr=0.0031"], workspace=workspace)
        assert answer.said == "queued as the next trial; the sampler draws model.n_kept"
        assert answer.running
        loop.wait(lambda: 4 in StudyChanges.read(read_records(loop.folder.journal)).asked)
        second = api.add_trial("s", {"train.lr": 0.0032, "model.n_kept": 2}, workspace=workspace)
        assert second.said == "queued as the next trial"
        outcome = loop.end()
    ended = logs(workspace.study("s"))
    assert sorted(ended) == list(range(8))  # within the budget, which was not used
    assert outcome.trials["complete"] == 8
    assert [ended[number].config["train.lr"] for number in (4, 5)] == [0.0031, 0.0032]
    assert ended[5].config["model.n_kept"] == 2
    assert sorted(number for number, log in ended.items() if log.tags.get("queued") == "user") == [4, 5]
    assert not waiting_requests(workspace.study("s"))


def test_what_is_added_to_a_stopped_study_is_tried_when_it_goes_on_beyond_its_budget(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    with running(monkeypatch, workspace, data, space(4)) as loop:
        loop.end()
    for lr, first in ((0.001, False), (0.002, False), (0.003, True)):
        answer = api.add_trial("s", [f"train.lr={lr}", "model.n_kept=1"], first=first, workspace=workspace)
        assert not answer.running
    assert answer.said == "queued as the next trial"
    with running(monkeypatch, workspace, data, space(4)) as loop:
        loop.end()
    assert [log.config["train.lr"] for number, log in sorted(logs(workspace.study("s")).items()) if number > 3] == [
        0.003,
        0.001,
        0.002,
    ]


def test_an_exported_configuration_can_be_added_and_one_of_another_space_cannot(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path, tmp_path: Path
) -> None:
    with running(monkeypatch, workspace, data, space(4, base={"train.epochs": 20})) as loop:
        loop.end()
    folder = workspace.study("s")
    config = folder.trial(0) / "config.yaml"
    with pytest.raises(StudyError, match="trial 0 already has this configuration"):
        api.add_trial("s", config=config, workspace=workspace)
    api.add_trial("s", ["train.lr=0.00345"], config=config, workspace=workspace)
    other = tmp_path / "other.yaml"
    other.write_text("train: {lr: 0.5, epochs: 30}\n")
    with pytest.raises(ConfigError, match=r"(?s)train.lr: 0.5 is not among .*train.epochs: is 30 here and 20 in every"):
        api.add_trial("s", config=other, workspace=workspace)
    queue = StudyChanges.read(read_records(folder.journal)).queue
    assert [one.params["train.lr"] for one in queue] == [0.00345]


# ---- prune


def test_a_pruned_trial_ends_and_the_others_are_as_without_it(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path, tmp_path: Path
) -> None:
    PACE.epoch = 6
    with running(monkeypatch, workspace, data, space(4)) as loop:
        hold(loop, 6)
        assert api.prune_trials("s", [1], workspace=workspace).said == "trial 1 was pruned"
        loop.wait(lambda: 1 in logs(loop.folder))
        loop.end()
    plain = open_workspace(tmp_path / "plain")
    with running(monkeypatch, plain, data, space(4)) as loop:
        loop.end()
    ended, expected = logs(workspace.study("s")), logs(plain.study("s"))
    assert (ended[1].state, ended[1].reason) == ("pruned", "pruned by the user")
    assert ended[1].curves["score"]
    for number in (0, 2, 3):
        assert (ended[number].config, ended[number].scores) == (expected[number].config, expected[number].scores)


def test_open_trials_that_match_a_condition_end(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 6
    with running(monkeypatch, workspace, data, space(4)) as loop:
        hold(loop, 6)
        none = api.prune_trials("s", where="score < .9 and epoch > 6", workspace=workspace)
        assert none.said == "none of its 4 open trials matches 'score < .9 and epoch > 6'; nothing changed"
        low = sorted(loop.fleet.queue.status().scores.items(), key=lambda one: one[1])
        weight_threshold = (low[1][1] + low[2][1]) / 2
        answer = api.prune_trials("s", where=f"score < {weight_threshold} and epoch > 5", workspace=workspace)
        chosen = sorted(int(key[2:]) for key, _ in low[:2])
        assert answer.said == f"trials {chosen[0]}, {chosen[1]} were pruned"
        loop.end()
    assert [number for number, log in sorted(logs(workspace.study("s")).items()) if log.state == "pruned"] == chosen


def test_a_trial_pruned_while_nothing_runs_is_not_trained_again(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(4)) as loop:
        hold(loop, 3)
        stop(loop)
    assert not logs(workspace.study("s"))
    api.prune_trials("s", [0, 2], workspace=workspace)
    with running(monkeypatch, workspace, data, space(4)) as loop:
        loop.end()
    assert {number: log.state for number, log in logs(workspace.study("s")).items()} == {
        0: "pruned",
        1: "complete",
        2: "pruned",
        3: "complete",
    }


# ---- change


def test_a_budget_grows_while_the_last_trials_train_and_holds_when_the_search_is_started_again(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(4)) as loop:
        hold(loop, 3)
        assert api.change_study("s", trials=12, workspace=workspace).said == "the study now has 12 trials in all"
        stop(loop)
    with running(monkeypatch, workspace, data, space(4)) as loop:  # as after kill -9: the same command again
        loop.end()
    assert sorted(logs(workspace.study("s"))) == list(range(12))
    with running(monkeypatch, workspace, data, space(14)) as loop:  # another budget is asked for
        loop.end()
    assert sorted(logs(workspace.study("s"))) == list(range(14))


def test_a_budget_shrinks(monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(40)) as loop:
        hold(loop, 3)
        said = api.change_study("s", trials=3, workspace=workspace).said
        assert "4 were asked for already" in said
        loop.end()
    assert sorted(logs(workspace.study("s"))) == list(range(4))


def test_hours_that_are_used_end_it_and_more_hours_go_on(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(8)) as loop:
        hold(loop, 3)
        api.change_study("s", hours=1e-9, workspace=workspace)
        assert loop.end().reason == "the budget of 1e-09 hours is used"
    assert sorted(logs(workspace.study("s"))) == list(range(4))
    api.change_study("s", hours=5, workspace=workspace)
    with running(monkeypatch, workspace, data, space(8)) as loop:
        loop.end()
    assert sorted(logs(workspace.study("s"))) == list(range(8))


def test_workers_leave_with_what_they_train_saved_and_come_back(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(8, cohort=8), n_workers=2) as loop:
        hold(loop, 3, 8)
        said = api.change_study("s", workers=1, workspace=workspace).said
        assert said == "the study now has 1 worker (if there is room)"
        loop.wait(lambda: loop.fleet.queue.status().workers == 1 and len(set(PACE.resumed)) == 4)
        api.change_study("s", workers=2, workspace=workspace)
        loop.wait(lambda: loop.fleet.queue.status().workers == 2)
        loop.end()
        assert loop.fleet.sizes == [1, 2]
    ended = logs(workspace.study("s"))
    assert {number: log.state for number, log in ended.items()} == dict.fromkeys(range(8), "complete")
    assert not any("lost_workers" in log.tags for log in ended.values())
    assert StudyChanges.read(read_records(workspace.study("s").journal)).changed == {"workers": 2}


# ---- narrow


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid", "nsga2", "cmaes"])
def test_a_narrowed_study_draws_from_the_smaller_space_also_when_it_goes_on(
    sampler: str, monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    given = space(12, sampler={"kind": sampler})
    if sampler == "grid":
        given["space"] = {"train.lr": {"choice": [0.0001 * n for n in range(1, 31)]}, "model.n_kept": {"int": [1, 3]}}
    ranges = {"float": [2.0e-3, 3.0e-3], "log": True} if sampler != "grid" else {"choice": [0.0001 * 21, 0.0001 * 22]}
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, given) as loop:
        hold(loop, 3)
        smaller = {**given, "space": {"train.lr": ranges, "model.n_kept": {"int": [1, 3]}}}
        said = api.narrow_study("s", smaller, workspace=workspace).said
        assert said.startswith("narrowed: ")
        PACE.epoch, PACE.pause_s = None, 0.05
        loop.wait(lambda: len(logs(loop.folder)) >= 4)
        PACE.epoch = 3  # somewhere in the second cohort
        stop(loop)
    with running(monkeypatch, workspace, data, given) as loop:  # the wide space goes on with the narrow one
        loop.end()
    ended = logs(workspace.study("s"))
    n = 10 if sampler == "grid" else 12
    assert sorted(ended) == list(range(n))
    assert not all(2.0e-3 <= ended[number].config["train.lr"] <= 3.0e-3 for number in range(4))
    assert all(2.0e-3 <= ended[number].config["train.lr"] <= 3.0e-3 for number in range(4, n))


def test_queued_configurations_outside_are_dropped_and_the_narrowed_space_is_the_bar_for_new_ones(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    with running(monkeypatch, workspace, data, space(4)) as loop:
        loop.end()
    api.add_trial("s", ["train.lr=0.0001"], workspace=workspace)
    api.add_trial("s", ["train.lr=0.0025"], workspace=workspace)
    said = api.narrow_study("s", None, ["space.train.lr={float: [0.002, 0.003], log: true}"], workspace=workspace).said
    assert "1 queued configuration was outside and dropped" in said
    with pytest.raises(ConfigError, match=r"train.lr: 0.0001 is not among what is searched \(0.002 to 0.003"):
        api.add_trial("s", ["train.lr=0.0001"], workspace=workspace)
    with pytest.raises(ConfigError, match=r"0.001 to 0.003 .* does not lie in the study's 0.002 to 0.003"):
        api.narrow_study("s", None, ["space.train.lr={float: [0.001, 0.003], log: true}"], workspace=workspace)
    with running(monkeypatch, workspace, data, space(4)) as loop:
        loop.end()
    assert logs(workspace.study("s"))[4].config["train.lr"] == 0.0025


# ---- retry


def test_failed_trials_are_tried_again_once(monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path) -> None:
    PACE.fails = lambda config: config.train.lr < 1.0e-3
    with running(monkeypatch, workspace, data, space(8)) as loop:
        loop.end()
    folder = workspace.study("s")
    failed = [number for number, log in sorted(logs(folder).items()) if log.state == "failed"]
    assert 1 < len(failed) < 8
    first = api.retry_trials("s", failed[:1], workspace=workspace)
    assert first.said == f"trial {failed[0]} is queued to be tried again, under a new number"
    with pytest.raises(StudyError, match=f"trial {failed[0]} is queued already"):
        api.retry_trials("s", failed[:1], workspace=workspace)
    api.retry_trials("s", failed=True, workspace=workspace)
    with pytest.raises(StudyError, match="no failed trial is left"):
        api.retry_trials("s", failed=True, workspace=workspace)
    with running(monkeypatch, workspace, data, space(8)) as loop:
        loop.end()
    ended = logs(folder)
    again = {int(log.tags["retry_of"]): log for log in ended.values() if "retry_of" in log.tags}
    assert sorted(again) == failed
    assert all(log.state == "complete" and log.config == ended[number].config for number, log in again.items())
    assert sorted(ended) == list(range(8 + len(failed)))
    with pytest.raises(StudyError, match=f"trial {failed[0]} is tried again as trial 8"):
        api.retry_trials("s", failed[:1], workspace=workspace)


# ---- nodes that go


def test_a_node_that_is_about_to_go_gives_back_what_it_trains(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(8, cohort=8), n_workers=2) as loop:
        hold(loop, 3, 8)
        loop.fleet.draining = ["node0"]
        loop.wait(lambda: loop.fleet.queue.status().waiting == 4)
        PACE.epoch = None
        loop.wait(lambda: len(logs(loop.folder)) == 8)
        assert len(set(PACE.resumed)) == 4
        loop.end()
    ended = logs(workspace.study("s"))
    assert {log.state for log in ended.values()} == {"complete"}
    assert not any("lost_workers" in log.tags for log in ended.values())


def test_a_search_whose_own_node_goes_stops_in_order(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(8)) as loop:
        hold(loop, 3)
        loop.fleet.draining = ["here"]
        loop.join()
        assert loop.outcome is not None
        assert loop.outcome.state == "stopped"
    assert not logs(workspace.study("s"))


# ---- wrong inputs


def narrow(override: str) -> Callable[[Workspace], object]:
    return lambda workspace: api.narrow_study("s", None, [override], workspace=workspace)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda w: api.add_trial("s", [], workspace=w), "nothing to add: name values with --set"),
        (lambda w: api.add_trial("s", ["train.lrr=1"], workspace=w), "did you mean train.lr"),
        (lambda w: api.add_trial("s", ["train.lr=0.5"], workspace=w), "study s: --set: train.lr: 0.5 is not among"),
        (lambda w: api.add_trial("s", ["train.epochs=99"], workspace=w), "train.epochs: is not searched in this study"),
        (lambda w: api.add_trial("s", ["train.epochs=no"], workspace=w), "train.epochs"),
        (lambda w: api.add_trial("s", config="nowhere.yaml", workspace=w), "there is no such file"),
        (lambda w: api.prune_trials("s", workspace=w), "or a condition with --where: one of the two"),
        (lambda w: api.prune_trials("s", [0], where="epoch > 1", workspace=w), "one of the two"),
        (lambda w: api.prune_trials("s", [0], workspace=w), "trial 0 has ended already (complete)"),
        (lambda w: api.prune_trials("s", [77], workspace=w), "there is no trial 77; its trials go from 0 to 3"),
        (lambda w: api.prune_trials("s", [-1], workspace=w), "-1 is not a whole number from 0"),
        (lambda w: api.prune_trials("s", where="epohc > 1", workspace=w), "did you mean epoch?"),
        (lambda w: api.change_study("s", workspace=w), "nothing to change"),
        (lambda w: api.change_study("s", trials=0, workspace=w), "trials (--trials): 0 is not a whole number above 0"),
        (lambda w: api.change_study("s", hours=float("inf"), workspace=w), "hours (--hours): inf is not a number"),
        (lambda w: api.change_study("s", workers=1.5, workspace=w), "workers (--workers): 1.5"),  # type: ignore[arg-type]
        (lambda w: api.narrow_study("s", workspace=w), "nothing to narrow"),
        (narrow("space.train.lr={float: [1.0e-5, 1.0e-3], log: true}"), "does not lie in the study's"),
        (narrow("space.train.lr={float: [1.0e-3, 2.0e-3]}"), "leave log as it was"),
        (narrow("train.lr=0.5"), "base.train.lr: 0.5 is not among"),
        (narrow("train.epochs=7"), "only what is searched can be narrowed"),
        (narrow("space.train.weight_decay={float: [0.1, 0.2]}"), "is not searched in the study"),
        (narrow("space.model.n_kept={int: [1, 3]}"), "every parameter keeps its range"),
        (lambda w: api.retry_trials("s", workspace=w), "or all of them with --failed: one of the two"),
        (lambda w: api.retry_trials("s", [0], workspace=w), "trial 0 is complete, and only failed trials"),
        (lambda w: api.retry_trials("s", [77], workspace=w), "there is no trial 77"),
        (lambda w: api.retry_trials("s", failed=True, workspace=w), "no failed trial is left"),
        (lambda w: api.retry_trials("t", failed=True, workspace=w), "unknown study 't'"),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_in_a_sentence_and_leave_nothing(
    ask: Any, said: str, ended_study: Path, tmp_path: Path
) -> None:
    workspace = open_workspace(ended_study)
    folder = workspace.study("s")
    before = folder.journal.read_bytes()
    with pytest.raises(RfeError) as error:
        ask(workspace)
    assert said in str(error.value)
    assert folder.journal.read_bytes() == before
    assert not waiting_requests(folder)


@pytest.fixture(scope="module")
def ended_study(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Four complete trials."""
    workspace = open_workspace(tmp_path_factory.mktemp("ended") / "w")
    with pytest.MonkeyPatch.context() as patched, running(patched, workspace, data, space(4)) as loop:
        loop.end()
    return workspace.root


def test_a_damaged_request_is_refused_and_the_search_goes_on(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, data: Path
) -> None:
    PACE.epoch = 3
    with running(monkeypatch, workspace, data, space(4)) as loop:
        hold(loop, 3)
        loop.folder.requests.mkdir(exist_ok=True)
        for name, text in (("1", "{"), ("2", '{"command": "delete"}'), ("3", '{"command": "change", "trials": "9"}')):
            (loop.folder.requests / f"{name}.json").write_text(text)
        loop.wait(lambda: not waiting_requests(loop.folder))
        loop.end()
    assert sum("it was removed" in line for line in loop.progress.lines) == 3
    assert sorted(logs(workspace.study("s"))) == list(range(4))
