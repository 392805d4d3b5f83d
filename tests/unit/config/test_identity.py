"""Equal configurations have one identity; a change of any field is another."""

from typing import Any

import pytest

from rfe.config.fields import FIELDS
from rfe.config.identity import config_id
from rfe.config.load import change_config, load_config
from rfe.config.schema import Config

OTHER: dict[str, Any] = {
    "pool": ["a"],
    "data.standardize": "fold",
    "data.target_actors": "pseudo",
    "data.reduce": 5,
    "data.training_actors": 10,
    "model.kind": "concat_mlp",
    "model.gate.kind": "static",
    "model.gate.gradient": "kept_only",
    "model.n_kept": 2,
    "model.fusion.kind": "rank_concat",
    "model.fusion.stage": "early",
    "model.fusion.residual": "predictions",
    "model.gate.inputs": "both",
    "model.heads.blend": "own",
    "model.heads.ratio": "pair",
    "model.head_fusion.kind": "geometric",
    "model.kernel.kind": "laplace",
    "model.kernel.combination": "product",
    "model.kernel.weighting": "alignment",
    "model.kernel.landmarks": 5,
    "model.gated_kernel.kind": "gaussian",
    "model.gated_kernel.gate": "fixed",
    "loss.presence": "states",
    "loss.balance": "class",
    "adaptation.kind": "dann",
    "adaptation.domains": "actors",
    "adaptation.target": "test",
    "adaptation.batch": 8,
    "train.lr_scaling": "sqrt",
    "train.optimizer": "adam",
    "train.schedule": "constant",
    "train.clip_norm": 1.0,
    "train.average": "ema",
    "decode.kind": "official",
    "decode.thresholds": "exact",
    "decode.design": "actor",
}


NEEDED: dict[str, dict[str, Any]] = {"model.gate.inputs": {"loss.lambda_auxiliary": 0.3}}
"""What a field's other value needs beside it."""


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "protocol"])
def test_every_field_is_part_of_it(name: str) -> None:
    value: Any = Config()
    for part in name.split("."):
        value = getattr(value, part)
    other = OTHER[name] if name in OTHER else value + 1 if isinstance(value, int) else value / 2 + 0.01
    base = change_config(Config(), NEEDED.get(name, {}))
    assert config_id(change_config(base, {name: other})) != config_id(base)


def test_it_is_12_hex_digits_and_the_same_however_written() -> None:
    one = load_config({"train.lr": 1, "data.standardize": {"a": "fold", "b": "actor"}})
    other = load_config({"data.standardize": {"b": "actor", "a": "fold"}, "train": {"lr": 1.0}})
    assert config_id(one) == config_id(other)
    assert len(config_id(one)) == 12
    int(config_id(one), 16)
