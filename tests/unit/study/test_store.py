"""The study's trials survive restarts: the same points, the same numbers, every trial told once."""

import ast
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import rfe.study
from rfe.errors import StudyError
from rfe.journal.asking import TrialsAsked
from rfe.journal.journal import Journal
from rfe.search_space import load_space
from rfe.study import AskedTrial, StudyDefinition, StudyStore, define_study, read_study
from rfe.study.samplers import cohort_seed
from tests.unit.study.telling import report, tell

ENCODERS = ("a", "b", "c")
LINES: dict[str, Any] = {
    "pool": {"subset": "all"},
    "model.n_kept": {"int": [1, 10], "step": 3},
    "model.dropout": {"float": [0.0, 0.4], "step": 0.2},
    "train.lr": {"float": [1.0e-4, 1.0e-1], "log": True},
    "loss.balance": {"choice": ["none", "class"]},
    "adaptation.kind": {"choice": ["none", "coral"]},
    "adaptation.strength": {"float": [0.1, 1.0], "when": {"adaptation.kind": "coral"}},
}
FIRST = [{"pool": ["b"], "train.lr": 0.01}, {"model.n_kept": 4}]


def define(overrides: tuple[str, ...] = (), seed: int = 3, **changed: Any) -> StudyDefinition:
    given = {"study": "s", "space": LINES, "first_trials": FIRST, "sampler": {"kind": "tpe", "startup_trials": 4}}
    space = load_space({**given, **changed}, overrides)
    return define_study(space, ENCODERS, seed=seed, fingerprint="f00d")


def objective(asked: AskedTrial) -> float:
    return float(asked.params["train.lr"]) + 0.1 * asked.params["pool.b"]  # type: ignore[arg-type]


def tell_all(store: StudyStore, asked: list[AskedTrial]) -> None:
    for one in asked:
        tell(store, one.number, state="complete", values=(objective(one),), user_attrs={"config_id": f"c{one.number}"})


def run(folder: Path, cohorts: int, restart: bool, definition: StudyDefinition) -> list[dict[str, Any]]:
    store = StudyStore.open(folder, definition)
    for _ in range(cohorts):
        if restart:
            store.close()
            store = StudyStore.open(folder, definition)
        tell_all(store, store.ask(4))
    trials = store.trials()
    store.close()
    return [{**row.params, "number": row.number, "values": row.values} for row in trials]


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_restarted_study_equals_an_uninterrupted_one(tmp_path: Path, kind: str) -> None:
    definition = define((f"sampler.kind={kind}",))
    through = run(tmp_path / "one", 4, False, definition)
    assert run(tmp_path / "two", 4, True, definition) == through
    assert len({row["train.lr"] for row in through}) == 16  # a restarted sampler does not repeat its points
    assert run(tmp_path / "three", 4, False, define((f"sampler.kind={kind}",), seed=4)) != through


def test_gp_learns_and_repeats(tmp_path: Path) -> None:
    definition = define(("sampler.kind=gp",))
    one, two = run(tmp_path / "one", 2, False, definition), run(tmp_path / "two", 2, True, definition)
    assert one == two
    assert len({tuple(sorted(map(str, row.items()))) for row in one}) == 8


def test_tpe_beats_random(tmp_path: Path) -> None:
    tpe = run(tmp_path / "tpe", 8, False, define())
    drawn = run(tmp_path / "random", 8, False, define(("sampler.kind=random",)))
    late = [sum(row["values"][0] for row in rows[16:]) for rows in (tpe, drawn)]
    assert late[0] > late[1]


def test_every_trial_has_every_parameter_in_its_range(tmp_path: Path) -> None:
    definition = define()
    with StudyStore.open(tmp_path, definition) as store:
        asked = store.ask(10)
    for one in asked:
        assert one.params.keys() == {dimension.name for dimension in definition.resolved.dimensions}
        for dimension in definition.resolved.dimensions:
            assert dimension.holds(one.params[dimension.name])


def test_a_study_without_a_searched_field_has_trials_too(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, define(space={}, first_trials=[])) as store:
        assert store.ask(1) == [AskedTrial(0, {})]
    with StudyStore.open(tmp_path, define(space={}, first_trials=[])) as store:
        assert store.running() == [AskedTrial(0, {})]


def test_first_trials_come_first_and_once(tmp_path: Path) -> None:
    for _ in range(3):
        with StudyStore.open(tmp_path, define()) as store:
            assert store.trials() == []
    with StudyStore.open(tmp_path, define()) as store:
        first, second, third = store.ask(3)
        assert [first.number, second.number, third.number] == [0, 1, 2]
        assert first.params["train.lr"] == 0.01
        assert [first.params[f"pool.{e}"] for e in ENCODERS] == [False, True, False]
        assert second.params["model.n_kept"] == 4
    with StudyStore.open(tmp_path, define()) as store:
        assert len(store.trials()) == 3
        assert [one.number for one in store.ask(1)] == [3]


def test_telling_twice_changes_nothing(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, define()) as store:
        asked = store.ask(3)
        assert tell(store, 0, state="complete", values=(0.5,), user_attrs={"config_id": "x"})
        assert not tell(store, 0, state="failed", user_attrs={"reason": "late"})
        assert tell(store, 1, state="pruned")
        assert tell(store, 2, state="failed", user_attrs={"reason": "diverged"})
        before = store.trials()
        assert [row.state for row in before] == ["complete", "pruned", "failed"]
        assert [row.values for row in before] == [(0.5,), None, None]
        assert before[2].user_attrs == {"config_id": "c2", "reason": "diverged"}
        assert before[0].params == asked[0].params
    assert list(read_study(tmp_path).trials) == before


@pytest.mark.parametrize("values", [None, (float("nan"),), (float("inf"),)])
def test_a_complete_trial_has_one_finite_value(tmp_path: Path, values: tuple[float, ...] | None) -> None:
    with StudyStore.open(tmp_path, define()) as store:
        store.ask(1)
        with pytest.raises(StudyError, match="tell it as failed, with a reason"):
            tell(store, 0, state="complete", values=values)
        assert store.trials()[0].state == "running"
        with pytest.raises(StudyError, match="has no trial 7; it has 1"):
            tell(store, 7, state="failed")


def test_running_trials_are_adopted_under_their_number(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, define()) as store:
        asked = store.ask(4)
        tell(store, asked[1].number, state="complete", values=(0.1,))
    with StudyStore.open(tmp_path, define()) as store:
        assert store.running() == [asked[0], asked[2], asked[3]]
        tell(store, asked[2].number, state="complete", values=(0.2,))
        assert [one.number for one in store.running()] == [0, 3]


def test_a_process_that_dies_while_it_asks_leaves_nothing_of_the_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(journal: Journal, event: TrialsAsked) -> None:
        raise KeyboardInterrupt

    with StudyStore.open(tmp_path, define()) as store:
        first = store.ask(4)
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "record_asked", die)
            with pytest.raises(KeyboardInterrupt):
                store.ask(4)
    shutil.copytree(tmp_path, tmp_path.with_name("undisturbed"))
    with StudyStore.open(tmp_path, define()) as store:
        assert store.running() == first
        second = store.ask(4)
    with StudyStore.open(tmp_path.with_name("undisturbed"), define()) as store:
        assert store.ask(4) == second
        assert [one.number for one in second] == [4, 5, 6, 7]


def test_a_second_process_is_kept_out_and_let_in_after(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, define()):
        with pytest.raises(StudyError, match="is being worked on by another process"):
            StudyStore.open(tmp_path, define())
        assert len(read_study(tmp_path).trials) == 0  # looking is allowed
    store = StudyStore.open(tmp_path, define())
    closing = threading.Thread(target=store.close)  # whichever thread closes
    closing.start()
    closing.join()
    StudyStore.open(tmp_path, define()).close()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.study.telling import report, tell
from tests.unit.study.test_store import StudyStore, define
folder = Path(sys.argv[1])
store = StudyStore.open(folder, define())
store.ask(2)
tell(store, 0, state="complete", values=(0.5,))
with (folder / "journal.jsonl").open("ab") as file:
    file.write(b'{"time": 4, "stu')
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_study_goes_on_after_a_kill_in_the_middle_of_a_write(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr.decode()
    assert [row.state for row in read_study(tmp_path).trials] == ["complete", "running"]
    with StudyStore.open(tmp_path, define()) as store:
        assert [one.number for one in store.running()] == [1]
        tell_all(store, store.running() + store.ask(2))
    with StudyStore.open(tmp_path, define()) as store:
        assert [row.state for row in store.trials()] == ["complete"] * 4


def test_optuna_is_used_through_its_public_names_alone() -> None:
    """Private ones tied rfe to single versions of Optuna; there were eight accesses. `evolutionary.py` extends two of
    its samplers, so that no journal holds a pickle, and says what becomes of that with another version."""
    found = []
    for path in Path(rfe.study.__file__).parent.rglob("*.py"):
        if path.name == "evolutionary.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            private = isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
            if private and ast.unparse(node.value) not in ("self", "cls"):
                found.append(f"{path.name}: {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and "._" in str(node.module):
                found.append(f"{path.name}: {ast.unparse(node)}")
    assert found == []


def test_a_folder_without_a_study_is_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no study"):
        read_study(tmp_path)


def test_a_cohorts_seed_depends_on_study_and_number() -> None:
    seeds = {cohort_seed(study, number) for study in range(20) for number in range(0, 200, 4)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert cohort_seed(1, 12) == cohort_seed(1, 12)


def test_where_each_trial_came_from_stays_known(tmp_path: Path) -> None:
    definition = define()
    with StudyStore.open(tmp_path, definition) as store:
        tell_all(store, store.ask(3))
        tell_all(store, store.ask(2, queued={"q": {"train.lr": 0.02}}))
        tell_all(store, store.ask(3))
        origins = {row.number: row.origin for row in store.trials()}
    # two first trials, one that a user asked for, two drawn before four had ended, then proposed ones
    assert [origins[number] for number in range(3)] == ["first", "first", "random"]
    assert [origins[number] for number in (3, 4)] == ["queued", "random"]
    assert {origins[number] for number in (5, 6, 7)} == {"sampler"}
    assert {row.number: row.origin for row in read_study(tmp_path).trials} == origins
    with StudyStore.open(tmp_path / "r", define(("sampler.kind=random",))) as store:
        store.ask(5)
        assert [row.origin for row in store.trials()] == ["first"] * 2 + ["random"] * 3


def test_a_pruned_trial_has_no_value_of_an_objective_that_is_not_compared(tmp_path: Path) -> None:
    pruner = {"kind": "median", "startup_trials": 1, "warmup_epochs": 1}
    for objective, known in (("score", True), ("log_likelihood", False)):
        folder = tmp_path / objective
        definition = define(objective=objective, pruner=pruner)
        with StudyStore.open(folder, definition) as store:
            (one,) = store.ask(1)
            report(store, one.number, 2, 0.25)
            tell(store, one.number, state="pruned")
            assert store.trials()[0].values == ((0.25,) if known else None)
        with StudyStore.open(folder, definition) as store:  # rebuilt from the journal
            assert store.ask(1)
