"""A space over the data's encoders: fixed ranges only, and every combination allowed."""

import random
import subprocess
import sys
from typing import Any

import pytest

from rfe.errors import ConfigError
from rfe.search_space import Dimension, effective_config, load_space, resolve, sample_params, space_size

ENCODERS = ("video", "audio", "text")


def resolved(space: dict[str, Any], **others: Any) -> Any:
    return resolve(load_space({"study": "s", "space": space, **others}), ENCODERS)


def refuse(space: dict[str, Any], **others: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(space, **others)
    return str(caught.value)


def test_a_subset_is_one_boolean_for_each_encoder() -> None:
    of_all = resolved({"pool": {"subset": "all"}})
    assert [d.name for d in of_all.dimensions] == ["pool.audio", "pool.text", "pool.video"]
    assert all(d.choices == (False, True) for d in of_all.dimensions)
    assert resolved({"pool": {"subset": ["video", "text"]}}).pool_encoders == ("video", "text")


def test_conditions_follow_what_they_name() -> None:
    order = resolved(
        {
            "adaptation.domains": {"choice": ["source_target", "actors"], "when": {"adaptation.kind": "dann"}},
            "adaptation.kind": {"choice": ["none", "dann"], "when": {"model.kind": "fusion"}},
            "model.kind": {"choice": ["fusion", "concat_mlp"]},
        }
    )
    assert [d.name for d in order.dimensions] == ["model.kind", "adaptation.kind", "adaptation.domains"]


def test_encoders_the_data_lack_are_named_with_the_nearest() -> None:
    message = refuse(
        {"pool": {"subset": ["vidoe", "audio"]}, "data.standardize.txt": {"choice": ["fold", "actor"]}},
        base={"data.reduce": {"audo": 3}},
        first_trials=[{"pool": ["audio", "smell"]}],
    )
    for part in (
        "4 problems",
        "base.data.reduce: unknown encoder 'audo'; did you mean audio?",
        "space.pool: unknown encoder 'vidoe'; did you mean video?",
        "space.data.standardize.txt: unknown encoder 'txt'; did you mean text?",
        "first_trials[0].pool: unknown encoder 'smell'; known are vidoe, audio",
    ):
        assert part in message
    assert "base.pool: unknown encoder 'vid'" in refuse({}, base={"pool": ["vid"]})


def test_a_smallest_pool_larger_than_the_data_is_refused() -> None:
    assert "min_size 4 is more than the data's 3 encoders" in refuse({"pool": {"subset": "all", "min_size": 4}})


def test_values_that_go_together_in_no_configuration_are_refused() -> None:
    space = {
        "adaptation.kind": {"choice": ["none", "coral", "dann"]},
        "adaptation.domains": {"choice": ["source_target", "actors"]},
    }
    message = refuse(space)
    assert "adaptation.domains: actors needs adaptation.kind: dann, not coral" in message
    assert "add a `when`" in message
    space["adaptation.domains"]["when"] = {"adaptation.kind": ["dann"]}  # type: ignore[assignment]
    assert len(resolved(space).dimensions) == 2


def test_they_are_found_in_a_large_space_as_well() -> None:
    space: dict[str, Any] = {f"loss.lambda_{name}": {"choice": [0.1, 0.2, 0.3, 0.4]} for name in ("presence", "fused")}
    space |= {"train.lr": {"float": [0.1, 1.0]}, "train.weight_decay": {"float": [0.1, 1.0]}, "pool": {"subset": "all"}}
    space |= {"model.n_kept": {"int": [1, 5]}, "model.kind": {"choice": ["fusion", "concat_mlp"]}}
    assert "use decode.kind: official or valid_states" in refuse(
        space | {"decode.kind": {"choice": ["official", "valid_states", "decoupled"]}}
    )


def test_first_trials_name_pools_by_their_encoders() -> None:
    first = resolved(
        {"pool": {"subset": "all"}, "train.epochs": {"int": [1, 5]}},
        first_trials=[{"pool": ["text"], "train.epochs": 2}, {"pool": "all"}, {}],
    ).first_trials
    assert first[0] == {"pool.audio": False, "pool.text": True, "pool.video": False, "train.epochs": 2}
    assert first[1] == {"pool.audio": True, "pool.text": True, "pool.video": True}
    assert first[2] == {}


def test_samples_lie_in_the_space() -> None:
    space = resolved(
        {
            "pool": {"subset": "all"},
            "train.lr": {"float": [0.001, 0.1], "log": True},
            "train.epochs": {"int": [3, 30], "step": 9},
            "model.latent_dim": {"int": [8, 64], "log": True},
            "model.dropout": {"float": [0.0, 0.5], "step": 0.25},
            "loss.balance": {"choice": ["none", "class"]},
        }
    )
    rng = random.Random(0)
    seen: dict[str, set[Any]] = {d.name: set() for d in space.dimensions}
    for _ in range(200):
        params = sample_params(space, rng)
        for dimension in space.dimensions:
            assert dimension.holds(params[dimension.name])
            seen[dimension.name].add(params[dimension.name])
        effective_config(space, params)
    assert seen["train.epochs"] == {3, 12, 21, 30}
    assert seen["model.dropout"] == {0.0, 0.25, 0.5}
    assert sum(lr < 0.01 for lr in seen["train.lr"]) > 60  # even in the logarithm: about half
    assert space_size(space) is None


def test_the_size_of_a_discrete_space_is_counted() -> None:
    space = resolved(
        {
            "pool": {"subset": "all"},
            "train.epochs": {"int": [3, 30], "step": 9},
            "model.dropout": {"float": [0.0, 0.5], "step": 0.25},
        }
    )
    assert space_size(space) == 8 * 4 * 3


def test_a_dimension_knows_its_values() -> None:
    assert Dimension("a", "choice", choices=(1, "x", None)).holds(None)
    assert not Dimension("a", "choice", choices=(1, "x")).holds(True)
    assert not Dimension("a", "int", 1, 5).holds(2.0)
    assert Dimension("a", "float", 0.0, 1.0, step=0.1).holds(0.30000000000000004)
    assert not Dimension("a", "float", 0.0, 1.0, step=0.1).holds(0.35)


def test_importing_it_is_light() -> None:
    code = "import sys, rfe.search_space; print([m for m in ('optuna', 'torch', 'ray', 'mlflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
