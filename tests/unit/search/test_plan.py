"""The plan of a search: counts that can be checked by hand, and an estimate that grows with the work."""

from pathlib import Path
from typing import Any

import pytest

from rfe.data.dataset import load_dataset
from rfe.errors import ConfigError, StudyError
from rfe.progress import SilentProgress
from rfe.search.options import RunOptions
from rfe.search.plan import SearchPlan, plan
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.workspace import Workspace, open_workspace
from tests.unit.data.folders import make_folder
from tests.unit.study.telling import tell

SPACE = {
    "study": "s",
    "base": {"train.epochs": 3, "train.seeds": 2, "model.latent_dim": 4},
    "space": {"pool": {"subset": "all"}, "model.n_kept": {"int": [1, 2]}},
    "budget": {"trials": 10},
    "confirm": {"top": 2, "seeds": 5},
}


def _plan(folder: Path, trials: int | None = None, hours: float | None = None, **changes: Any) -> SearchPlan:
    space = load_space(SPACE | {"data": {"path": str(folder)}} | changes)
    return plan(space, _workspace(folder), RunOptions(trials, hours), progress=SilentProgress())


def _workspace(folder: Path) -> Workspace:
    return open_workspace(folder.parent / "workspace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("plan") / "data")


def test_no_more_trials_are_confirmed_than_there_are(folder: Path) -> None:
    assert _plan(folder, trials=1).models == 1 * 3 * 2 + 1 * 5 * 3


def test_it_counts_models_and_points(folder: Path) -> None:
    found = _plan(folder)
    assert found.points == 2 * 2 * 2
    assert found.configurations == 1 + 1 + 2  # face, voice, both with one or all kept
    assert found.models == 4 * 3 * 2 + 2 * 5 * 3  # configurations x folds x seeds, and the confirmation's
    assert _plan(folder, trials=3).models == 3 * 3 * 2 + 2 * 5 * 3
    assert found.notes == ()
    assert found.encoders == ("face", "voice")
    assert all(set(sample) == {"pool", "model.n_kept"} for sample in found.samples)


def test_more_trials_take_longer_and_hours_are_a_limit(folder: Path) -> None:
    endless = {"model.dropout": {"float": [0.0, 0.5]}}
    many = _plan(folder, trials=100_000, space=endless).minutes
    assert many > 3 * _plan(folder, trials=100, space=endless).minutes
    assert _plan(folder, trials=10**9, hours=1.0, space=endless).minutes < many + 60
    assert _plan(folder, trials=10, space=endless).configurations is None


def test_what_is_searched_in_vain_is_said_and_not_counted(folder: Path) -> None:
    found = _plan(folder, trials=60, space={"model.n_kept": {"int": [1, 60]}})
    assert (found.points, found.configurations, len(found.samples)) == (60, 2, 2)
    assert found.models == 2 * 3 * 2 + 2 * 5 * 3
    (note,) = found.notes
    assert note == (
        "space.model.n_kept: 1 to 60, but there are 2 encoders to keep: all values from 2 on train the same; "
        "2 is enough as the highest"
    )


def test_a_grid_is_counted_and_needs_no_budget(folder: Path) -> None:
    given = SPACE | {"data": {"path": str(folder)}, "sampler": {"kind": "grid"}, "budget": {}}
    searched = {"pool": {"subset": "all"}, "model.n_kept": {"int": [1, 2]}, "train.epochs": {"int": [2, 3]}}
    space = load_space(given | {"space": searched, "base": {"model.latent_dim": 4}})
    found = plan(space, _workspace(folder), progress=SilentProgress())
    assert found.trials == (1 + 1 + 2) * 2  # face, voice, both with one or all kept
    assert found.points == 2 * 2 * 2 * 2
    assert found.settings == {"sampler": "grid", "pruner": "none", "objective": "score"}
    fewer = plan(space, _workspace(folder), RunOptions(trials=3), progress=SilentProgress())
    assert fewer.trials == 3


def test_what_the_search_refuses_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--trials"):
        _plan(folder, trials=0)


def test_what_a_warm_start_would_bring_is_said_and_nothing_is_begun(folder: Path) -> None:
    workspace = _workspace(folder)
    space = load_space(SPACE | {"data": {"path": str(folder)}, "sampler": {"kind": "tpe"}})
    fingerprint = load_dataset(folder).fingerprint
    old = define_study(space.model_copy(update={"study": "old"}), ("face", "voice"), seed=0, fingerprint=fingerprint)
    with StudyStore.open(workspace.study("old").path, old) as store:
        for one in store.ask(4)[:3]:
            tell(store, one.number, state="complete", values=(0.5,))

    def learnt(name: str) -> str:
        found = plan(space, workspace, RunOptions(warm_start=name), progress=SilentProgress())
        return found.settings["warm start from"]

    assert learnt("old") == "old: 3 complete trials that this space holds too"
    with pytest.raises(StudyError, match="holds no study"):
        learnt("s")
    assert not workspace.study("s").exists()

    begun = define_study(space, ("face", "voice"), seed=3, fingerprint=fingerprint)
    StudyStore.open(workspace.study("s").path, begun).close()
    with pytest.raises(StudyError, match="--warm-start old: study s was begun without one"):
        learnt("old")
    with pytest.raises(StudyError, match=r"started differently[\s\S]*seed: was 3, now 0"):
        plan(space, workspace, RunOptions(seed=0), progress=SilentProgress())


ENDLESS = {"model.dropout": {"float": [0.0, 0.5]}, "train.lr": {"float": [0.001, 0.01]}}


def test_how_trials_come_about_is_said_before_they_do(folder: Path) -> None:
    first = [{"model.dropout": 0.1}]
    (said,) = _plan(folder, trials=50, study="fresh", space=ENDLESS, first_trials=first).expected
    assert said.startswith("1 first trial of the space, 9 drawn at random")
    assert said.endswith("then tpe proposes")
    (warned,) = _plan(folder, trials=8, study="fresh", space=ENDLESS).expected
    assert warned.startswith("tpe learns from trial 10 on, so a study of 8 is random search; raise --trials")
    assert _plan(folder, trials=50, study="fresh", space=ENDLESS, sampler={"kind": "random"}).expected == ()
    assert _plan(folder, study="fresh", sampler={"kind": "grid"}).expected == ()


def test_what_a_study_gained_so_far_is_said_before_it_goes_on(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    dataset = load_dataset(data)
    space = load_space(SPACE | {"data": {"path": str(data)}, "space": ENDLESS, "sampler": {"kind": "tpe"}})
    definition = define_study(space, ("face", "voice"), seed=0, fingerprint=dataset.fingerprint)
    with StudyStore.open(_workspace(data).study("s").path, definition) as store:
        for one in store.ask(6):
            tell(store, one.number, state="complete", values=(0.2 + 0.01 * one.number,))
    found = _plan(data, trials=50, space=ENDLESS).expected
    assert found[0] == "so far, best of 6 trials: 0.250 (trial 5)"
