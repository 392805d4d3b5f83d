"""A new study learns from an old one's trials, and none of them becomes its own."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from rfe.errors import StudyError
from rfe.journal.journal import LOCK_FILE
from rfe.search_space import load_space
from rfe.study import StudyDefinition, StudyStore, define_study, read_definition, read_study
from tests.unit.study.telling import tell

LINES: dict[str, Any] = {
    "pool": {"subset": "all"},
    "train.lr": {"float": [1.0e-4, 1.0e-1], "log": True},
    "loss.balance": {"choice": ["none", "class"]},
}


def define(study: str, lines: dict[str, Any] = LINES, encoders: tuple[str, ...] = ("a", "b"), **changed: Any) -> Any:
    given = {"study": study, "space": lines, "sampler": {"kind": "tpe", "startup_trials": 5}}
    return define_study(load_space({**given, **changed}), encoders, seed=0, fingerprint="f00d")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Ten complete trials, the better the higher the rate; one that failed, one that runs."""
    folder = tmp_path / "old"
    with StudyStore.open(folder, define("old", first_trials=[{"pool": "all"}])) as store:
        for one in store.ask(12)[:11]:
            if one.number == 10:
                tell(store, 10, state="failed")
            else:
                tell(store, one.number, state="complete", values=(float(one.params["train.lr"]),))  # type: ignore[arg-type]
    return folder


def learnt(folder: Path, definition: StudyDefinition, old: Path) -> list[dict[str, Any]]:
    with StudyStore.open(folder, definition, warm_start=old) as store:
        return [dict(t.params) for t in store._study.get_trials()[: store.n_earlier]]


def refusal(folder: Path, definition: StudyDefinition, old: Path) -> str:
    with pytest.raises(StudyError) as caught:
        StudyStore.open(folder, definition, warm_start=old)
    return str(caught.value)


def test_the_sampler_learns_and_the_trials_are_not_the_studys_own(tmp_path: Path, old: Path) -> None:
    definition = define("new", base={"train.epochs": 7})
    rates: dict[bool, list[float]] = {}
    for warm in (True, False):
        folder = tmp_path / f"new{warm}"
        with StudyStore.open(folder, definition, warm_start=old if warm else None) as store:
            assert store.trials() == []
            assert store.n_earlier == (10 if warm else 0)
            asked = store.ask(5)
            assert [one.number for one in asked] == list(range(store.n_earlier, store.n_earlier + 5))
            assert [row.number for row in store.trials()] == [one.number for one in store.running()]
            assert tell(store, asked[0].number, state="complete", values=(0.5,))
        assert len(read_study(folder).trials) == 5
        rates[warm] = [float(one.params["train.lr"]) for one in asked]  # type: ignore[arg-type]
    assert sum(rates[True]) > sum(rates[False])


def test_it_goes_on_with_or_without_the_option_and_learns_once(tmp_path: Path, old: Path) -> None:
    folder, definition = tmp_path / "new", define("new")
    with StudyStore.open(folder, definition, warm_start=old) as store:
        first = store.ask(2)
    for again in (old, None):
        with StudyStore.open(folder, definition, warm_start=again) as store:
            assert store.definition.warm_start == "old"
            assert (store.n_earlier, store.running()) == (10, first)
    assert read_definition(folder).warm_start == "old"


def test_a_start_that_was_killed_after_it_learnt_may_learn_again_or_not(tmp_path: Path, old: Path) -> None:
    folder, definition = tmp_path / "new", define("new")
    with StudyStore.open(folder, definition, warm_start=old):
        pass
    (folder / "definition.json").unlink()  # written last
    with StudyStore.open(folder, definition, warm_start=old) as store:
        assert store.n_earlier == 10
        assert (folder / "journal.jsonl").read_text().count('"warm_start"') == 1
    (folder / "definition.json").unlink()
    with StudyStore.open(folder, definition) as store:
        assert store.n_earlier == 0
    with StudyStore.open(folder, definition) as store:
        assert [one.number for one in store.ask(1)] == [0]


def test_what_was_learnt_stays_learnt_when_the_other_study_is_gone(tmp_path: Path, old: Path) -> None:
    """It was read from Optuna's log; where that was lost too, the sampler went on without."""
    folder, definition = tmp_path / "new", define("new")
    with StudyStore.open(folder, definition, warm_start=old) as store:
        undisturbed = [dict(one.params) for one in store._study.get_trials()]
        shutil.copytree(folder, tmp_path / "copy" / "new")
    shutil.rmtree(old)
    with StudyStore.open(tmp_path / "copy" / "new", definition) as store:
        assert [dict(one.params) for one in store._study.get_trials()] == undisturbed
        assert store.note == ""


@pytest.mark.parametrize(
    ("lines", "changed", "n"),
    [
        ({**LINES, "train.lr": {"float": [1.0e-5, 1.0], "log": True}}, {}, 10),  # wider
        (LINES, {"base": {"train.epochs": 40}}, 10),  # another base
        ({**LINES, "model.dropout": {"float": [0.0, 0.9]}}, {}, 10),  # searched now, in the old study's base before
        ({"train.lr": LINES["train.lr"], "pool": {"subset": "all"}}, {}, "none"),  # fixed now: those that had the value
        ({**LINES, "loss.balance": {"choice": ["class", "single_vs_blend"]}}, {}, "class"),
        ({one: LINES[one] for one in ("train.lr", "loss.balance")}, {}, "all"),  # the pool is fixed at all
    ],
)
def test_what_fits_is_learnt(tmp_path: Path, old: Path, lines: dict[str, Any], changed: Any, n: int | str) -> None:
    rows = [row.params for row in read_study(old).trials if row.state == "complete"]
    if n == "all":
        n = sum(bool(row["pool.a"] and row["pool.b"]) for row in rows)
    elif isinstance(n, str):
        n = sum(row["loss.balance"] == n for row in rows)
    found = learnt(tmp_path / "new", define("new", lines, **changed), old)
    assert len(found) == n > 0
    if n == 10:
        assert [one["train.lr"] for one in found] == [row["train.lr"] for row in rows]


def test_what_cannot_be_learnt_from_is_said_and_nothing_is_begun(tmp_path: Path, old: Path) -> None:
    new = tmp_path / "new"
    assert "--warm-start old: is the study itself" in refusal(new, define("old"), old)
    elsewhere = {**LINES, "train.lr": {"float": [0.5, 1.0]}}
    assert "none of its trials fits study new" in refusal(new, define("new", elsewhere), old)
    assert "none of its trials fits" in refusal(new, define("new", objective=["acc_presence", "acc_salience"]), old)
    assert "none of its trials fits" in refusal(new, define("new", encoders=("c", "d")), old)
    assert "learns nothing from another study's trials; use tpe or gp" in refusal(
        new, define("new", sampler={"kind": "random"}), old
    )
    assert "holds no study" in refusal(new, define("new"), tmp_path / "nowhere")
    assert [path.name for path in new.iterdir()] == [LOCK_FILE]
    StudyStore.open(new, define("new")).close()
    assert "study new was begun without one; leave the option out" in refusal(new, define("new"), old)
    assert "study other was begun from old" in _other(tmp_path, old)


def _other(tmp_path: Path, old: Path) -> str:
    StudyStore.open(tmp_path / "other", define("other"), warm_start=old).close()
    return refusal(tmp_path / "other", define("other"), tmp_path / "new")
