"""Scores that trials report decide as Optuna's own pruners do, over restarts and with several objectives."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from rfe.errors import ConfigError, StudyError
from rfe.journal.events import TrialLog
from rfe.search_space import load_space
from rfe.search_space.schema import Pruner
from rfe.study import StudyDefinition, StudyStore, define_study
from rfe.study.pruning import build_pruner, rungs
from tests.unit.study.telling import report, tell

KINDS: list[dict[str, Any]] = [
    {"kind": "none"},
    {"kind": "asha", "min_epochs": 2, "reduction_factor": 2},
    {"kind": "median", "startup_trials": 2, "warmup_epochs": 3},
    {"kind": "percentile", "startup_trials": 2, "warmup_epochs": 2, "percentile": 30.0},
    {"kind": "patient", "patience": 1, "min_delta": 0.01},
]
EPOCHS = range(1, 9)


def define(pruner: dict[str, Any], **changed: Any) -> StudyDefinition:
    lines = {"train.lr": {"float": [0.001, 0.1], "log": True}}
    given = {"study": "s", "space": lines, "sampler": {"kind": "random"}, "pruner": pruner}
    return define_study(load_space({**given, **changed}), ("a", "b"), seed=0, fingerprint="f00d")


def curve(number: int, epoch: int) -> float:
    """Trials that cross one another, some of which fall again."""
    return (number * 7 % 10) / 10 + 0.02 * epoch * ((number % 3) - 1)


def expected(pruner: dict[str, Any], n: int) -> list[int | None]:
    """The epoch at which Optuna's own trials are pruned; None: never."""
    study = optuna.create_study(direction="maximize", pruner=build_pruner(Pruner.model_validate(pruner)))
    ends: list[int | None] = []
    for number in range(n):
        trial = study.ask()
        ends.append(None)
        for epoch in EPOCHS:
            trial.report(curve(number, epoch), epoch)
            if trial.should_prune():
                ends[-1] = epoch
                break
        study.tell(trial, None if ends[-1] else curve(number, 8), state=_state(ends[-1]))
    return ends


def _state(end: int | None) -> optuna.trial.TrialState:
    return optuna.trial.TrialState.COMPLETE if end is None else optuna.trial.TrialState.PRUNED


def run(folder: Path, definition: StudyDefinition, n: int, *, restart: bool = False) -> list[int | None]:
    ends: list[int | None] = []
    store = StudyStore.open(folder, definition)
    width = len(store._study.directions)
    for number in range(n):
        store.ask(1)
        end = None
        for epoch in EPOCHS:
            if restart and epoch % 3 == 0:
                store.close()
                store = StudyStore.open(folder, definition)
            if report(store, number, epoch, curve(number, epoch)):
                end = epoch
                break
        values = (curve(number, 8),) * width
        tell(store, number, state="complete" if end is None else "pruned", values=values if end is None else None)
        ends.append(end)
    store.close()
    return ends


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("pruner", KINDS, ids=lambda one: one["kind"])
def test_it_prunes_what_optuna_prunes(tmp_path: Path, pruner: dict[str, Any], restart: bool) -> None:
    ends = run(tmp_path, define(pruner), 12, restart=restart)
    assert ends == expected(pruner, 12)
    assert (set(ends) == {None}) == (pruner["kind"] == "none")
    assert None in ends


def test_a_pruned_trial_keeps_the_last_reported_value(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, define(KINDS[1])) as store:
        store.ask(2)
        assert not report(store, 0, 2, 0.5)
        assert report(store, 1, 2, 0.4)
        tell(store, 1, state="pruned", user_attrs={"config_id": "x"})
        row = store.trials()[1]
        assert (row.state, row.values, row.user_attrs) == ("pruned", (0.4,), {"config_id": "x"})
        assert not report(store, 1, 6, 0.1)  # it has ended


def test_a_repeated_report_is_answered_as_before(tmp_path: Path) -> None:
    definition = define(KINDS[1])
    with StudyStore.open(tmp_path, definition) as store:
        store.ask(2)
        assert not report(store, 0, 2, 0.5)
        assert report(store, 1, 2, 0.4)
    with StudyStore.open(tmp_path, definition) as store:  # the driver died before it told; the workers go on
        assert [one.number for one in store.running()] == [0, 1]
        assert not report(store, 0, 2, 0.5)
        assert report(store, 1, 2, 0.9)
        assert not report(store, 0, 4, 0.5)


def test_what_is_no_score_is_not_kept(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, define(KINDS[1])) as store:
        store.ask(1)
        assert not report(store, 0, 2, float("nan"))
        tell(store, 0, state="pruned")
        assert store.trials()[0].values is None
        with pytest.raises(StudyError, match="has no trial 3"):
            report(store, 3, 2, 0.5)


def test_the_pruner_may_change_when_a_study_goes_on(tmp_path: Path) -> None:
    StudyStore.open(tmp_path, define({"kind": "none"})).close()
    with StudyStore.open(tmp_path, define(KINDS[1])) as store:
        assert store.definition.space.pruner.kind == "asha"


def test_rungs_are_where_asha_compares() -> None:
    asha = Pruner(kind="asha")
    assert rungs(asha, 60) == (5, 15, 45)
    assert rungs(asha, 45) == (5, 15)
    assert rungs(asha, 5) == ()
    assert rungs(Pruner(kind="median"), 60) == ()
    study = optuna.create_study(direction="maximize", pruner=build_pruner(asha))
    trial = study.ask()
    for epoch in range(60):
        trial.report(0.5, epoch)
        trial.should_prune()
    keys = [key for key in study.trials[0].system_attrs if key.startswith("completed_rung_")]
    assert len(keys) == len(rungs(asha, 60))


@pytest.mark.parametrize(
    ("pruner", "answer"),
    [
        ({"kind": "asha", "rungs": 3}, "pruner.rungs: unknown field"),
        ({"kind": "ahsa"}, "did you mean asha?"),
        ({"kind": "asha", "patience": 3}, "pruner: patience goes with kind patient only, not with asha; leave it out"),
        ({"kind": "none", "min_epochs": 3}, "min_epochs goes with kind asha only, not with none"),
        ({"kind": "asha", "warmup_epochs": 1}, "warmup_epochs goes with kind median and percentile only"),
        ({"kind": "asha", "reduction_factor": 1}, "pruner.reduction_factor: 1 is not allowed"),
        ({"kind": "percentile", "percentile": 100}, "pruner.percentile: 100 is not allowed"),
        ({"kind": "none", "folds_first": 2}, "folds_first needs a pruner that says who survives"),
        ({"kind": "asha", "folds_first": 1}, "pruner.folds_first: 1 is not allowed"),
    ],
)
def test_a_wrong_pruner_is_answered(pruner: dict[str, Any], answer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        define(pruner)
    assert answer in str(caught.value)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_trial_that_ended_before_its_scores_were_compared_is_compared_with_no_other(
    restarts: bool, tmp_path: Path
) -> None:
    """Before, a restart took its scores from the record of its end, and pruned what an uninterrupted study kept."""
    definition = define(pruner={"kind": "median", "startup_trials": 1, "warmup_epochs": 0})
    store = StudyStore.open(tmp_path / "s", definition)
    store.ask(2)
    store.tell(TrialLog("s", 0, "complete", "c0", {}, {"score": 0.9}, curves={"score": [(1, 0.9)]}))
    if restarts:
        store.close()
        store = StudyStore.open(tmp_path / "s", definition)
    assert store.trials()[0].reports == {}
    assert not report(store, 1, 1, 0.1)
    store.close()
