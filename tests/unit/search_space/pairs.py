"""Configurations that train alike, and such that do not, over four encoders."""

from typing import Any

ENCODERS = ("a", "b", "c", "d")
Pair = tuple[dict[str, Any], dict[str, Any]]

ALIKE: list[Pair] = [
    ({}, {"pool": ["d", "c", "b", "a"]}),
    ({"pool": ["a"]}, {"pool": ["a"], "model.gate.kind": "uniform", "model.n_kept": 1}),
    ({"model.n_kept": 4}, {"model.n_kept": 9}),
    (
        {"model.n_kept": 1, "model.fusion.kind": "rank_concat"},
        {"model.n_kept": 1, "model.fusion.kind": "rank_concat_shuffled"},
    ),
    (
        {"pool": ["a"], "model.fusion.kind": "rank_concat"},
        {"pool": ["a"], "model.fusion.kind": "rank_concat_shuffled"},
    ),
    ({}, {"model.gate.gradient": "kept_only"}),
    ({"model.gate.kind": "uniform"}, {"model.gate.kind": "uniform", "model.gate.temperature": 3}),
    ({"model.gate.kind": "uniform"}, {"model.gate.kind": "uniform", "model.gate.noise": 3}),
    ({"model.gate.kind": "uniform"}, {"model.gate.kind": "uniform", "model.gate.balance_weight": 3}),
    ({}, {"adaptation.strength": 3, "adaptation.batch": 8, "adaptation.target": "test"}),
    ({}, {"adaptation.kind": "coral", "adaptation.strength": 0}),
    ({"adaptation.kind": "mmd"}, {"adaptation.kind": "mmd", "adaptation.batch": 256}),
    ({}, {"train.ema_decay": 0.05}),
    ({"train.batch_size": 64}, {"train.batch_size": 64, "train.lr_scaling": "linear"}),
    ({}, {"decode.thresholds": "exact"}),
    ({}, {"data.pseudo_clips_per_group": 10}),
    ({"data.standardize": "fold"}, {"data.standardize": "fold", "data.target_actors": "known"}),
    ({}, {"data.standardize": dict.fromkeys("abcd", "actor")}),
    ({"data.standardize": "fold"}, {"data.standardize": {"a": "fold"}}),
    ({"pool": ["a", "b"]}, {"pool": ["a", "b"], "data.standardize": {"a": "actor", "b": "actor", "c": "fold"}}),
    ({}, {"data.reduce": {}}),
    ({"model.kind": "concat_mlp"}, {"model.kind": "concat_mlp", "model.n_kept": 1, "model.gate.kind": "static"}),
    ({"model.kind": "concat_mlp"}, {"model.kind": "concat_mlp", "model.fusion.kind": "rank_concat"}),
    ({"model.kind": "concat_mlp"}, {"model.kind": "concat_mlp", "loss.presence": "states", "loss.lambda_fused": 0}),
    (
        {"adaptation.kind": "dann", "adaptation.domains": "actors"},
        {"adaptation.kind": "dann", "adaptation.domains": "actors", "adaptation.batch": 8, "adaptation.target": "test"},
    ),
]

DIFFERENT: list[Pair] = [
    ({"train.batch_size": 32}, {"train.batch_size": 32, "train.lr_scaling": "sqrt"}),
    (
        {"train.batch_size": 32, "train.lr_scaling": "linear"},
        {"train.batch_size": 32, "train.lr_scaling": "sqrt"},
    ),
    ({}, {"pool": ["a", "b", "c"]}),
    ({"pool": ["a"]}, {"pool": ["a"], "model.fusion.kind": "rank_concat"}),
    ({"model.n_kept": 3}, {"model.n_kept": 9}),
    ({"model.fusion.kind": "rank_concat"}, {"model.fusion.kind": "rank_concat_shuffled"}),
    ({}, {"data.training_actors": 2}),
    ({"data.training_actors": 2}, {"data.training_actors": 3}),
    ({"model.n_kept": 3}, {"model.n_kept": 3, "model.gate.gradient": "kept_only"}),
    ({}, {"model.gate.temperature": 3}),
    ({"model.n_kept": 2}, {"model.n_kept": 2, "model.gate.balance_weight": 3}),
    ({"adaptation.kind": "coral"}, {"adaptation.kind": "mmd"}),
    ({"adaptation.kind": "coral"}, {"adaptation.kind": "coral", "adaptation.strength": 3}),
    ({"adaptation.kind": "dann"}, {"adaptation.kind": "dann", "adaptation.domains": "actors"}),
    ({"train.average": "ema"}, {"train.average": "ema", "train.ema_decay": 0.05}),
    ({"decode.kind": "official"}, {"decode.kind": "official", "decode.thresholds": "exact"}),
    ({}, {"data.target_actors": "pseudo"}),
    ({}, {"data.standardize": {"a": "actor"}}),
    ({"model.kind": "concat_mlp"}, {"model.kind": "concat_mlp", "model.dropout": 0}),
    ({"model.kind": "concat_mlp"}, {"model.kind": "concat_mlp", "model.head_fusion.presence_weight": 0}),
    ({}, {"train.seed": 1}),
]
