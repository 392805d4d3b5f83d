"""From plans to arms."""

from pathlib import Path
from typing import Any

import pytest

from rfe.ablation.arms import ArmList, expand_arms, short_name
from rfe.ablation.components import COMPONENTS, CONTROLS, count_parameters
from rfe.ablation.plan import load_plan
from rfe.config.identity import config_id
from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import ConfigError
from rfe.search_space import normalize
from rfe.training.build import build_replicas, stack_shape
from rfe.training.engine import Stack
from tests.unit.data.folders import make_folder, make_rows

ENCODERS = ("a", "b", "c", "noise")
RANKED = {"model.fusion.kind": "rank_concat", "model.n_kept": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(make_folder(tmp_path_factory.mktemp("arms") / "data", make_rows(12), ENCODERS))


def arms_of(dataset: Dataset, base: dict[str, Any] | None = None, order: Any = None, **plan: Any) -> ArmList:
    return expand_arms(load_plan({"name": "n", **plan}), change_config(Config(), base or {}), dataset, order)


def names(found: ArmList) -> list[str]:
    return [arm.name for arm in found.arms]


BASES: list[dict[str, Any]] = [
    {},
    RANKED,
    {"adaptation.kind": "dann", "adaptation.domains": "actors"},
    {"model.kind": "concat_mlp"},
    {"model.kind": "kernel", "model.kernel.weighting": "alignment"},
    {"model.kind": "gated_kernel"},
    {"model.kind": "boosting"},
    {"pool": ["a"]},
    {"protocol": "official", "decode.kind": "official"},
    {"data.standardize": {"a": "actor"}, "train.mixup": 0.3, "train.average": "ema", "loss.balance": "class"},
]


@pytest.mark.parametrize("base", BASES, ids=str)
def test_all_components_and_controls_fit_every_base(base: dict[str, Any], dataset: Dataset) -> None:
    """Each named change is an arm of its own configuration, or is left out with a reason."""
    found = arms_of(dataset, base, components="all", controls="all", each_encoder_alone=True)
    ids = [
        config_id(normalize(change_config(change_config(Config(), base), dict(a.changes)), ENCODERS))
        for a in found.arms
    ]
    assert len(set(ids)) == len(ids)
    assert {*names(found), *found.left_out} >= {"base", *COMPONENTS, *CONTROLS}
    assert not set(names(found)) & set(found.left_out)
    assert all(found.left_out.values())


def test_what_the_base_has_is_no_arm(dataset: Dataset) -> None:
    found = arms_of(dataset, RANKED, components="all")
    assert found.left_out["fusion rank_concat"] == "is the base"
    assert found.left_out["no adaptation"] == "is the base"
    assert {"fusion weighted_sum", "no selection", "gate uniform", "adaptation mmd", "no presence loss"} <= set(
        names(found)
    )


@pytest.mark.parametrize(
    ("base", "control", "kernel"),
    [
        ({"model.kind": "gated_kernel", "model.gated_kernel.bandwidth": 2.0}, "kernel ridge", ("laplace", 2.0)),
        ({"model.kind": "kernel", "model.kernel.kind": "gaussian"}, "gated kernel ridge", ("gaussian", 1.0)),
    ],
)
def test_ridges_with_and_without_a_gate_have_the_same_kernels(
    base: dict[str, Any], control: str, kernel: tuple[str, float], dataset: Dataset
) -> None:
    arm = arms_of(dataset, base, controls=[control]).arms[1]
    model = change_config(Config(), {**base, **arm.changes}).model
    section = getattr(model, model.kind)
    assert model.kind != base["model.kind"]
    assert (section.kind, section.bandwidth) == kernel


def test_a_named_arm_that_is_impossible_is_refused(dataset: Dataset) -> None:
    official = {"protocol": "official", "decode.kind": "official"}
    with pytest.raises(ConfigError, match=r"arm 'decoder decoupled': protocol: official needs decode.kind: official"):
        arms_of(dataset, official, components=["decoder decoupled"])
    assert "decoder decoupled" in arms_of(dataset, official, components="all").left_out


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"components": ["gate unifrom"]}, "unknown component 'gate unifrom'; did you mean gate uniform?"),
        ({"controls": ["placebo"]}, "controls: unknown control 'placebo'"),
        ({"leave_groups_out": {"g": ["nois"]}}, "leave_groups_out.g: unknown encoder 'nois'; did you mean noise?"),
        ({"leave_groups_out": {"g": list(ENCODERS)}}, "leave_groups_out.g: leaves no encoder"),
        ({"encoders_in_order": ["a", "x"]}, "encoders_in_order: 'x' is not in the data"),
        ({"encoders_in_order": ["a", "a"]}, "names an encoder twice"),
        ({"sweeps": {"data.training_actors": [99]}}, "arm 'training_actors 99': data.training_actors: 99, but only"),
        ({"custom": {"base": {"train.lr": 0.1}}}, "arm 'base': named twice"),
        ({"components": ["no adaptation"]}, "no arm differs from the base"),
        ({"custom": {"x": {"adaptation.target": "test", "adaptation.kind": "coral", "pool": ["y"]}}}, "arm 'x'"),
    ],
)
def test_what_is_wrong_is_said(plan: dict[str, Any], said: str, dataset: Dataset) -> None:
    with pytest.raises(ConfigError) as refused:
        arms_of(dataset, **plan)
    assert said in str(refused.value)


def test_encoders(dataset: Dataset) -> None:
    found = arms_of(dataset, leave_one_encoder_out=True, each_encoder_alone=True, leave_groups_out={"pair": ["a", "b"]})
    pools = {arm.name: arm.changes.get("pool") for arm in found.arms}
    assert pools["without a"] == ["b", "c", "noise"]
    assert pools["noise alone"] == ["noise"]
    assert pools["without pair"] == ["c", "noise"]
    assert len(found.arms) == 1 + 4 + 4 + 1


def test_encoders_in_order_are_a_curve_up_to_the_base(dataset: Dataset) -> None:
    found = arms_of(dataset, encoders_in_order=["c", "a", "b", "noise"], each_encoder_alone=True)
    curve = [arm for arm in found.arms if arm.family == "order"]
    assert [(arm.name, arm.value, arm.changes["pool"]) for arm in curve] == [
        ("first 1: c", 1, ["c"]),
        ("first 2: + a", 2, ["a", "c"]),
        ("first 3: + b", 3, ["a", "b", "c"]),
        ("first 4: + noise", 4, ["a", "b", "c", "noise"]),
    ]
    assert names(arms_of(dataset, encoders_in_order="value")) == ["base"]  # not measured yet
    assert names(arms_of(dataset, encoders_in_order="value", order=("b", "a")))[1:] == ["first 1: b", "first 2: + a"]


def test_sweeps_go_from_one_to_all_with_and_without_a_group(dataset: Dataset) -> None:
    found = arms_of(dataset, sweeps={"model.n_kept": "all"}, sweeps_without={"noise": ["noise"]})
    curves = {curve: [a.value for a in found.arms if a.curve == curve] for curve in ("n_kept", "n_kept without noise")}
    assert curves == {"n_kept": [1, 2, 3, 4], "n_kept without noise": [1, 2, 3]}
    assert all("noise" not in arm.changes["pool"] for arm in found.arms if arm.curve == "n_kept without noise")


def test_training_actors_go_up_to_all(dataset: Dataset, tmp_path: Path) -> None:
    few = arms_of(dataset, sweeps={"data.training_actors": "all"})
    assert [arm.value for arm in few.arms[1:]] == [2, 4, 6, "all"]  # 8 actors train in each of 3 folds
    many = load_dataset(make_folder(tmp_path / "many", make_rows(48, 3)))
    assert [arm.value for arm in arms_of(many, sweeps={"data.training_actors": "all"}).arms[1:]] == [10, 20, 30, "all"]


def test_factorial_cells_stand_even_where_they_are_the_base(dataset: Dataset) -> None:
    found = arms_of(dataset, factorial={"data.standardize": ["fold", "actor"], "adaptation.kind": ["none", "mmd"]})
    assert [arm.cell for arm in found.arms[1:]] == [
        ("fold", "none"),
        ("fold", "mmd"),
        ("actor", "none"),
        ("actor", "mmd"),
    ]
    assert found.arms[1].name == "standardize fold, adaptation none"


def test_back_to_default_sets_back_what_was_tuned_and_no_seed(dataset: Dataset) -> None:
    base = {"train.lr": 0.01, "model.dropout": 0.4, "train.seed": 7, "train.seeds": 3, "pool": ["a", "b"]}
    found = arms_of(dataset, base, back_to_default=True)
    assert [dict(arm.changes) for arm in found.arms[1:]] == [{"model.dropout": 0.2}, {"train.lr": 0.001}]


def test_equal_parameters_are_equal(dataset: Dataset) -> None:
    base = change_config(Config(), RANKED)
    found = arms_of(dataset, RANKED, controls=["mean fusion", "mean fusion, equal parameters"])
    mean, wide = (change_config(base, dict(arm.changes)) for arm in found.arms[1:])
    assert count_parameters(mean, dataset) < 0.8 * count_parameters(base, dataset)
    step = count_parameters(change_config(wide, {"model.latent_dim": wide.model.latent_dim + 1}), dataset)
    step -= count_parameters(wide, dataset)
    assert abs(count_parameters(wide, dataset) - count_parameters(base, dataset)) <= step / 2


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model.kind": "concat_mlp"},
        {"model.fusion.kind": "rank_concat"},
        {"loss.presence": "sets"},
        {"model.fusion.stage": "early"},
        {"model.fusion.stage": "both", "model.members": 3},
        {"model.gate.inputs": "both", "loss.lambda_auxiliary": 0.3, "loss.presence": "sets"},
        {"model.fusion.residual": "predictions"},
        {"model.heads.blend": "own", "loss.presence": "states", "model.heads.ratio": "pair"},
    ],
    ids=str,
)
def test_parameters_are_counted_as_the_engine_has_them(changes: dict[str, Any], dataset: Dataset) -> None:
    """With attention and all encoders kept, every parameter of a stack counts; those of heads for pairs did not."""
    import torch

    from rfe.data.cache import FeatureCache
    from rfe.training.batches import FeatureBank

    config = change_config(Config(), {**changes, "data.standardize": "fold"})
    bank = FeatureBank(dataset, FeatureCache(dataset, dataset.path.parent / "cache"), torch.device("cpu"))
    replicas, shape = build_replicas(0, config, dataset)[:1], stack_shape(config, dataset)
    stack = Stack(replicas, shape, tuple(dataset.encoders), dataset.clips, bank, torch.device("cpu"))
    held = sum(parameter.value[0].numel() for parameter in stack.model.parameters.values())
    assert count_parameters(config, dataset) == held


def test_short_names() -> None:
    given = (
        "model.n_kept",
        "model.gate.kind",
        "model.gate.noise",
        "adaptation.kind",
        "adaptation.strength",
        "train.lr",
    )
    assert [short_name(name) for name in given] == [
        "n_kept",
        "gate",
        "gate noise",
        "adaptation",
        "adaptation strength",
        "lr",
    ]
