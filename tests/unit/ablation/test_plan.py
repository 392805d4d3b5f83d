"""What can be wrong with a plan, each with its sentence."""

from typing import Any

import pytest

from rfe.ablation.plan import Plan, StudyBase, load_plan
from rfe.errors import ConfigError


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"componets": "all"}, "unknown field 'componets'; did you mean components?"),
        ({"seeds": 2}, "seeds: 2 is not allowed; it must be a whole number of at least 3"),
        ({"retune": 0}, "retune: 0 is not allowed"),
        ({"name": "a b"}, "name: 'a b' is not allowed"),
        ({"base": {"train.lrr": 0.1}}, "base: unknown field 'train.lrr'; did you mean train.lr?"),
        ({"base": {"train.lr": -1.0}}, "base.train.lr: -1.0 is not allowed"),
        ({"fixed": {"adaptation": {"kind": "corall"}}}, "fixed.adaptation.kind: 'corall' is not allowed"),
        ({"sweeps": {"train.lr": "all"}}, "all goes with model.n_kept and data.training_actors only"),
        ({"sweeps": {"train.epochs": [0]}}, "sweeps.train.epochs: 0 is not allowed"),
        ({"sweeps": {"n_kept": [1]}}, "sweeps.n_kept: unknown field 'n_kept'; did you mean model.n_kept?"),
        ({"sweeps": {"model.n_kept": []}}, "sweeps.model.n_kept: the list is empty"),
        ({"sweeps_without": {"noise": ["noise"]}}, "sweeps_without: there are no sweeps"),
        ({"factorial": {"train.lr": [0.1]}}, "factorial: has 1 fields; name two"),
        ({"custom": {"odd": {"model.widht": 3}}}, "custom.odd.model.widht: unknown field"),
        ({"custom": {"odd": {}}}, "custom.odd: changes nothing"),
        ({"retune": 5, "retune_space": {}}, "retune_space: is empty"),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_plan({"name": "n", "components": "all", **fields})
    assert said in str(refused.value)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        load_plan({"name": "n", "base": {"train.lr": -1.0}, "factorial": {"train.lr": [-2.0]}})
    assert all(part in str(refused.value) for part in ("base.train.lr", "factorial.train.lr: -2.0", "name two"))


def test_overrides_reach_into_maps() -> None:
    given = {"name": "n", "base": {"train": {"lr": 0.1}}, "sweeps": {"model.n_kept": "all"}}
    changed = load_plan(given, ["base.train.epochs=3", "sweeps_without.noise=[noise]", "seeds=4", "components=all"])
    assert changed.base == {"train.lr": 0.1, "train.epochs": 3}
    assert changed.sweeps_without == {"noise": ["noise"]}
    assert (changed.seeds, changed.components) == (4, "all")
    with pytest.raises(ConfigError, match=r"--set seeds\.x: sets one entry of a map"):
        load_plan(given, ["seeds.x=1"])


def test_a_base_is_a_study_a_file_or_fields() -> None:
    assert load_plan({"name": "n", "base": {"study": "s", "trial": 3}}).base == StudyBase(study="s", trial=3)
    assert load_plan({"name": "n", "base": "baselines/mean_fusion"}).base == "baselines/mean_fusion"
    assert Plan(name="n").base == {}
