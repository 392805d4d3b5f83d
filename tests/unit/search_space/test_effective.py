"""Effective configurations: equal for points that train alike, different for points that do not."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfe.config.identity import config_id
from rfe.config.load import flatten, load_config
from rfe.errors import ConfigError
from rfe.search_space import effective_config, load_space, normalize, resolve
from rfe.search_space.effective import repair_pool
from tests.unit.search_space.pairs import ALIKE, DIFFERENT, ENCODERS


def space(lines: dict[str, Any], base: dict[str, Any] | None = None) -> Any:
    return resolve(load_space({"study": "s", "space": lines, "base": base or {}}), ENCODERS)


def pool(*chosen: str) -> dict[str, bool]:
    return {f"pool.{encoder}": encoder in chosen for encoder in ENCODERS}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return config_id(normalize(load_config(one), ENCODERS)) == config_id(normalize(load_config(other), ENCODERS))


def test_too_small_a_pool_is_filled_in_the_order_of_the_encoders() -> None:
    searched = space({"pool": {"subset": "all", "min_size": 3}})
    assert repair_pool(searched, pool()) == ["a", "b", "c"]
    assert repair_pool(searched, pool("d")) == ["a", "b", "d"]
    assert repair_pool(searched, pool("a", "b", "d")) == ["a", "b", "d"]
    assert repair_pool(searched, pool(*ENCODERS)) == list(ENCODERS)
    named = space({"pool": {"subset": ["d", "b"], "min_size": 1}})
    assert repair_pool(named, {"pool.d": False, "pool.b": False}) == ["d"]


def test_n_kept_is_clipped_to_the_pool() -> None:
    searched = space({"pool": {"subset": "all"}, "model.n_kept": {"int": [1, 9]}})
    kept = {n: effective_config(searched, {**pool("a", "c", "d"), "model.n_kept": n}).model.n_kept for n in range(1, 6)}
    assert kept == {1: 1, 2: 2, 3: "all", 4: "all", 5: "all"}


def test_inactive_parameters_give_way_to_the_base() -> None:
    searched = space(
        {
            "adaptation.kind": {"choice": ["none", "coral", "dann"]},
            "adaptation.strength": {"float": [0.5, 3.0], "when": {"adaptation.kind": ["coral"]}},
        },
        {"adaptation.batch": 64},
    )
    params = {"adaptation.kind": "dann", "adaptation.strength": 2.0}
    assert effective_config(searched, params).adaptation.strength == 0.1
    assert effective_config(searched, {**params, "adaptation.kind": "coral"}).adaptation.strength == 2.0
    none = [effective_config(searched, {"adaptation.kind": "none", "adaptation.strength": s}) for s in (0.5, 2.0)]
    assert config_id(none[0]) == config_id(none[1])


def test_conditions_in_a_chain_and_on_the_base() -> None:
    lines = {
        "model.dropout": {"choice": [0.1, 0.3], "when": {"loss.balance": "class"}},
        "loss.balance": {"choice": ["none", "class"], "when": {"loss.presence": "states"}},
    }
    params = {"model.dropout": 0.3, "loss.balance": "class"}
    assert effective_config(space(lines, {"loss.presence": "states"}), params).model.dropout == 0.3
    inactive = effective_config(space(lines, {"loss.presence": "bce"}), params)
    assert (inactive.loss.balance, inactive.model.dropout) == ("none", 0.2)


def test_one_encoders_entry_can_be_searched_over_a_value_for_all() -> None:
    lines = {
        "data.standardize.b": {"choice": ["fold", "actor"]},
        "data.reduce.a": {"choice": [None, 8]},
        "model.dropout": {"choice": [0.1, 0.3], "when": {"data.standardize.b": "fold"}},
    }
    searched = space(lines)
    params = {"data.standardize.b": "fold", "data.reduce.a": 8, "model.dropout": 0.3}
    one = effective_config(searched, params)
    assert one.data.standardize == {"a": "actor", "c": "actor", "d": "actor"}
    assert one.data.reduce == {"a": 8}
    assert one.model.dropout == 0.3
    other = effective_config(searched, params | {"data.standardize.b": "actor", "data.reduce.a": None})
    assert (other.data.standardize, other.data.reduce, other.model.dropout) == ("actor", None, 0.2)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_what_has_no_effect_does_not_tell_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert same(one, other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_has_an_effect_does(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same(one, other)


def test_an_encoder_the_data_lack_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pool: unknown encoder 'e'; known are a, b, c, d"):
        normalize(load_config({"pool": ["a", "e"]}), ENCODERS)


LINES: dict[str, Any] = {
    "pool": {"subset": "all", "min_size": 2},
    "model.kind": {"choice": ["fusion", "concat_mlp"]},
    "model.n_kept": {"int": [1, 5]},
    "model.gate.kind": {"choice": ["attention", "uniform", "random_top_n"]},
    "model.gate.noise": {"choice": [0.0, 1.0]},
    "data.standardize.b": {"choice": ["fold", "actor"]},
    "adaptation.kind": {"choice": ["none", "coral", "dann"], "when": {"model.kind": "fusion"}},
    "adaptation.domains": {"choice": ["source_target", "actors"], "when": {"adaptation.kind": "dann"}},
    "decode.kind": {"choice": ["official", "valid_states"]},
    "decode.thresholds": {"choice": ["grid", "exact"]},
}
SEARCHED = space(LINES)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            d.name: st.sampled_from([*d.corners(), *range(1, 6)] if d.kind == "int" else d.corners())
            for d in SEARCHED.dimensions
        }
    )
)
def test_an_effective_configuration_is_its_own_and_names_its_pool(params: dict[str, Any]) -> None:
    config = effective_config(SEARCHED, params)
    assert normalize(config, ENCODERS) == config
    assert load_config(flatten(config)) == config
    assert len(config.pool) >= 2
    assert list(config.pool) == sorted(config.pool)
