"""Points that users queue, and samplers of a narrowed space: what they propose, and what the study keeps."""

from pathlib import Path
from typing import Any

import pytest

from rfe.journal.events import TrialLog
from rfe.search_space import ResolvedSpace, load_space
from rfe.search_space.narrowing import lies_inside, narrow_space
from rfe.study import AskedTrial, StudyStore, define_study

SPACE: dict[str, Any] = {
    "pool": {"subset": "all", "min_size": 2},
    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
    "model.n_kept": {"int": [1, 3]},
    "model.fusion.kind": {"choice": ["weighted_sum", "rank_concat"]},
}
SMALLER: dict[str, Any] = {
    **SPACE,
    "pool": {"subset": ["b", "c"], "min_size": 2},
    "train.lr": {"float": [2.0e-3, 4.0e-3], "log": True},
    "model.fusion.kind": {"choice": ["rank_concat"]},
}


def opened(folder: Path, sampler: str, **fields: Any) -> StudyStore:
    settings = {"kind": sampler} | ({"startup_trials": 2} if sampler in ("tpe", "gp", "cmaes") else {})
    space = load_space({"study": "s", "space": SPACE, "sampler": settings, **fields})
    return StudyStore.open(folder, define_study(space, ("a", "b", "c"), seed=1, fingerprint="f"))


def end(store: StudyStore, asked: list[AskedTrial]) -> None:
    for one in asked:
        score = 0.5 - abs(float(one.params["train.lr"] or 0) - 0.003)
        store.tell(TrialLog("s", one.number, "complete", f"c{one.number}", {}, {"score": score}))


def narrowed(store: StudyStore) -> ResolvedSpace:
    return narrow_space(store.definition.resolved, load_space({"study": "s", "space": SMALLER}))


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "nsga2", "cmaes"])
def test_a_narrowed_study_asks_inside_and_goes_on_as_if_it_had_not_been_closed(sampler: str, tmp_path: Path) -> None:
    points = []
    for folder, closes in ((tmp_path / "whole" / "s", False), (tmp_path / "closed" / "s", True)):
        store = opened(folder, sampler)
        end(store, store.ask(4))
        space = narrowed(store)
        store.narrow(space, 4)
        mine = []
        for first in (4, 7, 10):
            if closes and first > 4:
                store.close()
                store = opened(folder, sampler)
                store.narrow(space, 4)
            asked = store.ask(3)
            assert [one.number for one in asked] == [first, first + 1, first + 2]
            assert all(lies_inside(space, one.params) for one in asked)
            end(store, asked)
            mine += [one.params for one in asked]
        assert len(store.trials()) == 13
        assert not all(lies_inside(space, row.params) for row in store.trials()[:4])
        store.close()
        points.append(mine)
    assert points[0] == points[1]


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
@pytest.mark.parametrize("narrow", [False, True])
def test_queued_points_come_first_and_what_they_leave_open_is_sampled(
    sampler: str, narrow: bool, tmp_path: Path
) -> None:
    store = opened(tmp_path / "s", sampler, first_trials=[{"train.lr": 0.0025}])
    end(store, store.ask(1))
    if narrow:
        store.narrow(narrowed(store), 1)
    asked = store.ask(2, {"one": {"train.lr": 0.0031}, "two": {"train.lr": 0.0032, "model.n_kept": 2}})
    assert [(one.number, one.queued, one.params["train.lr"]) for one in asked] == [
        (1, "one", 0.0031),
        (2, "two", 0.0032),
    ]
    assert asked[1].params["model.n_kept"] == 2
    assert all(one.params.keys() == store.trials()[0].params.keys() for one in asked)
    assert store.ask(1)[0].queued == ""
    store.close()
    again = opened(tmp_path / "s", sampler, first_trials=[{"train.lr": 0.0025}])
    assert [one.params["train.lr"] for one in again.running()[:2]] == [0.0031, 0.0032]
    again.close()


def test_the_spaces_own_first_trials_come_before_what_is_queued(tmp_path: Path) -> None:
    store = opened(tmp_path / "s", "random", first_trials=[{"train.lr": 0.001}, {"train.lr": 0.002}])
    asked = store.ask(3, {"mine": {"train.lr": 0.003}})
    assert [(one.params["train.lr"], one.queued) for one in asked] == [(0.001, ""), (0.002, ""), (0.003, "mine")]
    store.close()
