"""One suite over every sampler: what a study asks of it holds whoever proposes."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from rfe.config.identity import config_id
from rfe.journal.asking import ASK, TrialsAsked
from rfe.journal.records import read_records
from rfe.search_space import effective_config, load_space, space_size
from rfe.study import AskedTrial, StudyDefinition, StudyStore, define_study
from tests.unit.study.telling import report
from tests.unit.study.telling import tell as end

GP = pytest.param("gp", marks=pytest.mark.slow)  # seconds for each trial
KINDS = ["tpe", GP, "nsga2", "cmaes", "random", "grid"]
SEVERAL = [kind for kind in KINDS if kind != "cmaes"]
LINES: dict[str, Any] = {
    "pool": {"subset": "all"},
    "model.n_kept": {"int": [1, 4]},
    "model.dropout": {"float": [0.0, 0.4], "step": 0.1},
    "adaptation.kind": {"choice": ["none", "coral"]},
    "adaptation.strength": {"float": [0.1, 1.0], "step": 0.3, "when": {"adaptation.kind": "coral"}},
}
"""Discrete, so that copies can happen, and with a dimension that does not always count."""
CONTINUOUS: dict[str, Any] = {
    "train.lr": {"float": [1.0e-4, 1.0e-1], "log": True},
    "model.dropout": {"float": [0.0, 0.8]},
}
FIRST = [{"pool": ["b"], "model.n_kept": 1, "adaptation.kind": "none"}]


def size(kind: str) -> int:
    """Trials of a cohort."""
    return 3 if kind == "gp" else 8


def define(kind: str, lines: dict[str, Any] = LINES, seed: int = 0, **changed: Any) -> StudyDefinition:
    sampler = {"kind": kind, "startup_trials": 4, "population": 6}
    given = {"study": "s", "space": lines, "first_trials": FIRST if lines is LINES else [], "sampler": sampler}
    return define_study(load_space({**given, **changed}), ("a", "b"), seed=seed, fingerprint="f00d")


def score(asked: AskedTrial) -> float:
    params = {"pool.a": 0, "model.dropout": 0.0, **asked.params}
    if "train.lr" in params:
        return -abs(params["model.dropout"] - 0.3) - 3 * abs(params["train.lr"] - 0.003)  # type: ignore[operator]
    return params["pool.a"] - params["model.dropout"] + 0.01 * params["model.n_kept"]  # type: ignore[operator]


def tell(store: StudyStore, asked: list[AskedTrial]) -> None:
    for one in asked:
        values = (score(one), -(score(one) ** 2))[: len(store.definition.space.objectives)]
        end(store, one.number, state="complete", values=values)


def run(
    folder: Path, definition: StudyDefinition, cohorts: int, size: int, *, restart: bool = False
) -> list[AskedTrial]:
    """Every trial in turn, told; each cohort is asked for before any of it is told."""
    found = []
    store = StudyStore.open(folder, definition)
    for _ in range(cohorts):
        if restart:
            store.close()
            store = StudyStore.open(folder, definition)
        asked = store.ask(size)
        tell(store, asked)
        found += asked
    store.close()
    return found


def identities(definition: StudyDefinition, asked: list[AskedTrial]) -> list[str]:
    return [config_id(effective_config(definition.resolved, one.params)) for one in asked]


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_in_its_range_and_no_trial_is_a_copy(tmp_path: Path, kind: str) -> None:
    definition = define(kind)
    n = size(kind)
    asked = run(tmp_path, definition, 3, n)
    assert [one.number for one in asked] == list(range(3 * n))
    assert asked[0].params["pool.a"] is False
    for one in asked:
        assert one.params.keys() == {dimension.name for dimension in definition.resolved.dimensions}
        assert all(dimension.holds(one.params[dimension.name]) for dimension in definition.resolved.dimensions)
    assert len(set(identities(definition, asked))) == 3 * n


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_history_decide_also_over_restarts(tmp_path: Path, kind: str) -> None:
    lines = LINES if kind == "grid" else {**LINES, **CONTINUOUS}
    definition = define(kind, lines)
    n = size(kind)
    through = run(tmp_path / "one", definition, 3, n)
    assert run(tmp_path / "two", definition, 3, n, restart=True) == through
    other = run(tmp_path / "three", define(kind, lines, seed=1), 1, n)
    assert (other == through[:n]) == (kind == "grid")


@pytest.mark.parametrize("kind", KINDS)
def test_restarts_change_nothing_where_trials_end_late_and_in_any_order(tmp_path: Path, kind: str) -> None:
    """Before, `nsga2` kept the parents of a generation as they had been when it began, and forgot them in a restart."""
    definition = define(kind, CONTINUOUS) if kind != "grid" else define(kind)
    found = []
    for restart in (False, True):
        store, order, asked, open_trials = StudyStore.open(tmp_path / str(restart), definition), Random(1), [], []
        for _ in range({"gp": 4, "grid": 6}.get(kind, 16)):  # a grid has no generations, and is listed at each start
            if restart:
                store.close()
                store = StudyStore.open(tmp_path / str(restart), definition)
            asked += (cohort := store.ask(3))
            open_trials += cohort
            order.shuffle(open_trials)
            tell(store, open_trials[4:])
            del open_trials[4:]
        store.close()
        found.append(asked)
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["nsga2", "cmaes"])
def test_the_journal_keeps_only_the_generations_of_evolutionary_samplers(tmp_path: Path, kind: str) -> None:
    """Before, each generation of `cmaes` added a pickle of some thousand characters, which Optuna unpickled later."""
    run(tmp_path / "s", define(kind, CONTINUOUS), 5, 6)
    events = [
        TrialsAsked.of_record(record.data)
        for record in read_records(tmp_path / "s" / "journal.jsonl")
        if record.kind == ASK
    ]
    kept = [state for event in events for state in event.sampler.values()]
    assert len(kept) > 12
    assert all(len(state) == 1 and isinstance(*state.values(), int) for state in kept)


def test_a_larger_population_leaves_the_generations_of_cmaes_as_they_are(tmp_path: Path) -> None:
    """Else the study would go back to its first generation, which lacks some trials of the new size, and so on."""
    folder = tmp_path / "s"
    run(folder, define("cmaes", CONTINUOUS), 7, 6)
    settings = {"kind": "cmaes", "startup_trials": 4}
    run(folder, define("cmaes", CONTINUOUS, sampler={**settings, "population": 9}), 2, 6, restart=True)
    with StudyStore.open(folder, define("cmaes", CONTINUOUS)) as store:
        generations = [row.sampler.get("cma:generation", 0) for row in store.trials()]
    assert generations == sorted(generations)


@pytest.mark.parametrize("kind", KINDS)
def test_trials_of_a_dead_process_are_adopted_and_not_proposed_again(tmp_path: Path, kind: str) -> None:
    definition = define(kind)
    with StudyStore.open(tmp_path, definition) as store:
        first = store.ask(7)
        tell(store, first[:5])
    with StudyStore.open(tmp_path, definition) as store:
        assert store.running() == first[5:]
        second = store.ask(size(kind))
        tell(store, first[5:] + second)
        assert store.running() == []
    assert [one.number for one in second] == list(range(7, 7 + size(kind)))
    assert len(set(identities(definition, first + second))) == 7 + size(kind)


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "cmaes"])
def test_it_learns_although_it_is_built_anew_for_every_cohort(tmp_path: Path, kind: str) -> None:
    late = {"random": 0.0, kind: 0.0}
    for one in late:
        for seed in range(3):
            asked = run(tmp_path / f"{one}{seed}", define(one, CONTINUOUS, seed=seed), 7, 6, restart=True)
            late[one] += sum(map(score, asked[-12:]))
    assert late[kind] > 0.85 * late["random"]  # scores are below 0


@pytest.mark.parametrize(("kind", "attribute"), [("nsga2", "NSGAIISampler:generation"), ("cmaes", "cma:generation")])
def test_generations_go_on_over_restarts(tmp_path: Path, kind: str, attribute: str) -> None:
    run(tmp_path, define(kind, CONTINUOUS), 7, 6, restart=True)
    with StudyStore.open(tmp_path, define(kind, CONTINUOUS)) as store:
        trials = store._study.get_trials(deepcopy=False)
    generations = [trial.system_attrs[attribute] for trial in trials if attribute in trial.system_attrs]
    assert generations == sorted(generations)
    assert len(set(generations)) >= 5  # of 7 cohorts of one generation each, the first ones at random


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_objectives_with_pruned_trials(tmp_path: Path, kind: str) -> None:
    pruner = {"kind": "median", "on": "score", "startup_trials": 1, "warmup_epochs": 0}
    definition = define(kind, objective=["acc_presence", "acc_salience"], pruner=pruner)
    run(tmp_path, definition, 1, 6)
    with StudyStore.open(tmp_path, definition) as store:
        low, high, *others = store.ask(3)
        assert not report(store, high.number, 1, 0.9)
        tell(store, [high])
        assert report(store, low.number, 1, 0.1)
        assert end(store, low.number, state="pruned")
        tell(store, others)
    with StudyStore.open(tmp_path, definition) as store:
        tell(store, store.ask(2))
        rows = store.trials()
    assert [row.state for row in rows].count("complete") == 6 + 2 + 2
    assert all(row.values is not None and len(row.values) == 2 for row in rows if row.state == "complete")
    assert rows[low.number].values is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_space_that_holds_nothing_new_ends_a_grid_and_gives_copies_elsewhere(tmp_path: Path, kind: str) -> None:
    lines = {"model.n_kept": {"int": [1, 2]}, "train.epochs": {"int": [3, 4]}}
    definition = define(kind, lines)
    asked = run(tmp_path, definition, 2, 5)
    assert len(set(identities(definition, asked))) == 3 + 1 == space_size(definition.resolved)
    assert len(asked) == (4 if kind == "grid" else 10)
    assert len(set(identities(definition, asked[:4]))) == 4
    with StudyStore.open(tmp_path, definition) as store:
        assert store.exhausted == (kind == "grid")
        assert len(store.ask(1)) == (0 if kind == "grid" else 1)
