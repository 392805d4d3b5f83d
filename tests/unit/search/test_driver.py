"""What is said, and refused, before a study is begun."""

from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from rfe.data.dataset import load_dataset
from rfe.errors import ConfigError
from rfe.journal.events import TrialLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.progress import SilentProgress
from rfe.search.budget import SESSION
from rfe.search.driver import check_actors, check_decoders, check_objectives, run_search
from rfe.search_space import load_space, resolve
from rfe.study import read_study
from rfe.task import BLEMORE, Task
from rfe.tracking.base import NullTracker
from rfe.workspace import open_workspace
from tests.integration.fakes import write_data
from tests.tasks import COMPOUND, EIGHT, PLAIN, with_task
from tests.unit.data.folders import Row, make_folder
from tests.unit.data.test_design import draw_labels
from tests.unit.search.tiny_study import SPACE, run_study


def never(*_: object, **__: object) -> None:
    raise AssertionError("Ray was started")


@pytest.mark.parametrize("limits", [{"budget": {"hours": 2.0}}, {"limits": {"no_improvement": 1}}])
def test_a_study_that_has_ended_starts_nothing(
    limits: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It started Ray and trained another cohort, as its limits were looked at after the first one only."""
    workspace = open_workspace(tmp_path)
    dataset = load_dataset(write_data(tmp_path / "data"))
    folder = run_study(workspace, dataset, NullTracker(), seed=2)  # its last trial is not its best
    assert sum(1 for row in read_study(folder.path).trials if row.state == "running") == 1
    with Journal(folder) as journal:
        journal.record(SESSION)
        with monkeypatch.context() as patched:
            patched.setattr("rfe.journal.journal.time.monotonic", lambda: monotonic() + 7200)
            journal.keep_time()
    monkeypatch.setattr("rfe.search.driver.open_session", never)
    space = load_space(
        {
            "study": "tiny",
            "space": SPACE,
            "sampler": {"kind": "random"},
            "budget": {"trials": 100},
            "confirm": {"top": 0},
            **limits,
        }
    )
    before = [event.number for event in read_events(folder) if isinstance(event, TrialLog)]
    outcome = run_search(space, dataset.path, workspace)
    assert outcome.state == "finished"
    assert outcome.reason.startswith(("the budget of 2 hours is used", "no better trial in"))
    assert [event.number for event in read_events(folder) if isinstance(event, TrialLog)] == before


@pytest.mark.parametrize(
    ("given", "fine"),
    [
        ({}, False),  # the default
        ({"base": {"data.standardize": "fold"}}, True),
        ({"base": {"data.standardize": {"face": "fold"}}}, True),
        ({"base": {"data.standardize": {"face": "actor"}}}, False),
        ({"space": {"data.standardize": {"choice": ["fold", "actor"]}}}, False),
        ({"space": {"data.standardize": {"choice": ["fold"]}}}, True),
        ({"base": {"data.standardize": "fold"}, "space": {"data.standardize.face": {"choice": ["actor"]}}}, False),
        ({"space": {"data.standardize.face": {"choice": ["fold"]}}}, False),  # the other encoder has the default
    ],
)
def test_a_search_that_standardises_by_actor_needs_actors(given: dict[str, Any], fine: bool, tmp_path: Path) -> None:
    known = load_dataset(make_folder(tmp_path / "known"))
    unknown = load_dataset(make_folder(tmp_path / "un", spoil=lambda rows: [row.pop("video_id") for row in rows]))
    resolved = resolve(load_space({"study": "s", **given}), ("face", "voice"))
    check_actors(resolved, known)
    if fine:
        check_actors(resolved, unknown)
        return
    with pytest.raises(ConfigError, match=r"actor needs video_id .*--set data\.standardize=fold"):
        check_actors(resolved, unknown)


@pytest.mark.parametrize(
    ("given", "fine"),
    [
        ({}, True),  # the default answers any task
        ({"base": {"decode.kind": "official"}}, False),
        ({"space": {"decode.kind": {"choice": ["decoupled", "valid_states"]}}}, False),
        ({"space": {"decode.kind": {"choice": ["valid_states"]}}}, True),
        ({"arms": {"one": {"decode.kind": "official"}, "two": {}}, "sampler": {"kind": "grid"}}, False),
    ],
)
def test_a_search_has_no_decoder_that_the_ratios_rule_out(given: dict[str, Any], fine: bool, tmp_path: Path) -> None:
    """Before there is a study, and Ray with it; else every such trial would fail by itself."""
    dataset = load_dataset(make_folder(tmp_path / "data"))
    resolved = resolve(load_space({"study": "s", **given}), ("face", "voice"))
    for task in (dataset.clips.task, COMPOUND, PLAIN):
        check_decoders(resolved, with_task(dataset, task))
    if fine:
        check_decoders(resolved, with_task(dataset, EIGHT))
        return
    with pytest.raises(ConfigError, match=r"decode\.kind: .* has 80/20, 65/35, .*--set decode\.kind=valid_states"):
        check_decoders(resolved, with_task(dataset, EIGHT))


CHOICE = {"choice": ["none", "actor"]}
WHEN = {**CHOICE, "when": {"decode.kind": "valid_states"}}


@pytest.mark.parametrize(
    ("given", "transductive"),
    [
        ({}, False),
        ({"base": {"decode.design": "actor"}}, True),
        ({"space": {"decode.design": CHOICE}}, True),
        ({"space": {"decode.design": {"choice": ["none"]}}}, False),
        ({"space": {"decode.design": WHEN, "decode.kind": {"choice": ["official", "valid_states"]}}}, True),
        ({"arms": {"one": {"decode.design": "actor"}, "two": {}}, "sampler": {"kind": "grid"}}, True),
    ],
)
def test_a_search_by_design_needs_actors_with_one_design(
    given: dict[str, Any], transductive: bool, tmp_path: Path
) -> None:
    """Before there is a study: else each such trial would fail by itself."""
    resolved = resolve(load_space({"study": "s", **given}), ("face", "voice"))
    assert resolved.is_transductive == transductive
    check_decoders(resolved, load_dataset(make_folder(tmp_path / "planned")))
    free = load_dataset(make_folder(tmp_path / "free", spoil=draw_labels))
    if not transductive:
        check_decoders(resolved, free)
        return
    with pytest.raises(ConfigError, match=r"decode\.design: actor: .* design spread is.*--set decode\.design=none"):
        check_decoders(resolved, free)


def test_a_search_by_design_needs_a_target_whose_actors_are_known(tmp_path: Path) -> None:
    def hide_target(rows: list[Row]) -> None:
        for row in rows:
            row["video_id"] = row["video_id"] if row["split"] == "train" else ""

    hidden = load_dataset(make_folder(tmp_path / "hidden", spoil=hide_target))
    resolved = resolve(load_space({"study": "s", "space": {"decode.design": CHOICE}}), ("face", "voice"))
    with pytest.raises(ConfigError, match=r"taken as unknown .*--set decode\.design=none"):
        check_decoders(resolved, hidden)


def test_what_is_searched_with_the_design_must_go_together() -> None:
    searched = {"decode.design": CHOICE, "decode.kind": {"choice": ["official", "valid_states"]}}
    with pytest.raises(
        ConfigError, match=r"decode\.kind: official does not have; .*; both are searched, so add a `when`"
    ):
        resolve(load_space({"study": "s", "space": searched}), ("face", "voice"))


@pytest.mark.parametrize(
    ("task", "objective", "problem"),
    [
        (BLEMORE, ["score", "macro_f1", "salience_mae"], None),
        (BLEMORE, "macro_f1", None),
        (BLEMORE, "accuracy", None),
        (BLEMORE, "blemore", "objective: blemore is the score of task 'blemore'; write score"),
        (PLAIN, "macro_f1", None),
        (PLAIN, "salience_mae", "unknown objective 'salience_mae'"),
        (PLAIN, ["score", "acc_salience"], "unknown objective 'acc_salience'"),
        (EIGHT, ["acc_presence", "acc_salience"], None),
        (PLAIN, "log_likelihood", None),
    ],
)
def test_a_study_is_searched_for_what_its_trials_log(
    task: Task, objective: Any, problem: str | None, tmp_path: Path
) -> None:
    dataset = with_task(load_dataset(make_folder(tmp_path / "data")), task)
    space = load_space({"study": "s", "space": {"train.lr": {"float": [0.001, 0.01]}}, "objective": objective})
    if problem is None:
        check_objectives(space, dataset)
        return
    with pytest.raises(ConfigError, match=problem):
        check_objectives(space, dataset)


@pytest.mark.parametrize(
    "given",
    [
        {"base": {"protocol": "official", "decode.kind": "official"}, "space": {"train.lr": {"float": [0.001, 0.01]}}},
        {"space": {"protocol": {"choice": ["crossfit", "official"]}}},
    ],
)
def test_only_cross_fitted_trials_have_a_likelihood(given: dict[str, Any], tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "data"))
    space = load_space({"study": "s", "objective": "log_likelihood", **given})
    with pytest.raises(ConfigError, match="objective: log_likelihood is cross-fitted, which protocol official is not"):
        check_objectives(space, dataset)


def test_what_is_searched_in_vain_is_said_before_the_study_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []

    class Noted(SilentProgress):
        def note(self, line: str) -> None:
            notes.append(line)

    def begin(*_: object, **__: object) -> None:
        raise AssertionError("begun")

    monkeypatch.setattr("rfe.search.driver.import_module", lambda name: None)
    monkeypatch.setattr("rfe.search.driver.StudyStore.open", begin)
    space = load_space({"study": "s", "space": {"model.n_kept": {"int": [1, 60]}}, "budget": {"trials": 9}})
    with pytest.raises(AssertionError, match="begun"):
        run_search(space, make_folder(tmp_path / "data"), open_workspace(tmp_path / "w"), progress=Noted())
    assert len(notes) == 1
    assert "there are 2 encoders to keep: all values from 2 on train the same" in notes[0]
