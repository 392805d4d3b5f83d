"""From a plan to its arms: named changes of the base."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from rfe.ablation.plan import Plan
from rfe.config.fields import unknown
from rfe.config.identity import config_id
from rfe.config.load import change_config, field_values
from rfe.config.schema import Config
from rfe.errors import ConfigError, gather
from rfe.search_space import normalize

BASE = "base"
Family = Literal["base", "component", "control", "encoder", "sweep", "factorial", "custom"]

COMPONENTS: dict[str, dict[str, Any]] = {
    "gate uniform": {"model.gate.kind": "uniform"},
    "gate static": {"model.gate.kind": "static"},
    "no selection": {"model.n_kept": "all"},
    "fusion weighted_sum": {"model.fusion.kind": "weighted_sum"},
    "fusion rank_concat": {"model.fusion.kind": "rank_concat"},
    "fusion rank_embedding": {"model.fusion.kind": "rank_embedding"},
    "no salience head": {"loss.lambda_salience": 0.0, "model.head_fusion.presence_weight": 1.0},
    "no presence head": {"loss.lambda_presence": 0.0, "model.head_fusion.presence_weight": 0.0},
    "no probability fusion": {"loss.lambda_fused": 0.0},
    "presence loss bce": {"loss.presence": "bce"},
    "presence loss states": {"loss.presence": "states"},
    "no class balance": {"loss.balance": "none"},
    "no adaptation": {"adaptation.kind": "none"},
    "adaptation coral": {"adaptation.kind": "coral"},
    "adaptation mmd": {"adaptation.kind": "mmd"},
    "adaptation dann": {"adaptation.kind": "dann"},
    "standardise by fold": {"data.standardize": "fold"},
    "standardise by actor": {"data.standardize": "actor"},
    "decoder official": {"decode.kind": "official"},
    "decoder decoupled": {"decode.kind": "decoupled"},
    "decoder valid_states": {"decode.kind": "valid_states"},
    "no dropout": {"model.dropout": 0.0},
}
"""Name -> what it changes; a component that the base has already is left out."""

CONTROLS: dict[str, dict[str, Any]] = {
    "gate shuffled": {"model.gate.kind": "shuffled"},
    "random top n": {"model.gate.kind": "random_top_n"},
    "gate static": {"model.gate.kind": "static"},
    "unselected, equal parameters": {"model.n_kept": "all"},
    "concat_mlp": {
        "model.kind": "concat_mlp",
        "adaptation.kind": "none",
        "decode.kind": "valid_states",
        "train.mixup": 0.0,
    },
    "mean fusion": {"model.gate.kind": "uniform", "model.n_kept": "all", "model.fusion.kind": "weighted_sum"},
}


@dataclass(frozen=True)
class Arm:
    """One configuration of an ablation."""

    name: str
    family: Family
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Field -> value."""
    cell: tuple[Any, ...] = ()
    """`factorial`: the values of the plan's two fields."""


def expand_arms(plan: Plan, base: Config, encoders: Sequence[str]) -> tuple[Arm, ...]:
    """The base and all arms of a plan, each configuration once: arms that change nothing are left out.

    Args:
        plan: what is asked.
        base: the configuration it is asked of.
        encoders: the data's.

    Raises:
        ConfigError: unknown names, or an arm that no configuration allows.
    """
    base = normalize(base, encoders)
    problems: list[str] = []
    seen, arms = {config_id(base): BASE}, [Arm(BASE, "base")]
    for arm in _arms(plan, base, encoders, problems):
        try:
            identity = config_id(normalize(change_config(base, dict(arm.changes)), encoders))
        except ConfigError as error:
            problems.append(f"arm {arm.name!r}: {error}")
            continue
        if identity not in seen or arm.family == "factorial":
            seen.setdefault(identity, arm.name)
            arms.append(arm)
    names = [arm.name for arm in arms]
    problems += [f"arm {name!r}: named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    gather(problems, ConfigError, f"plan {plan.name}")
    if len(arms) == 1:
        raise ConfigError(f"plan {plan.name}: no arm differs from the base; name components, sweeps or custom")
    return tuple(arms)


def _arms(plan: Plan, base: Config, encoders: Sequence[str], problems: list[str]) -> Iterator[Arm]:
    pool = sorted(encoders) if base.pool == "all" else sorted(base.pool)
    for family, asked, known in (("component", plan.components, COMPONENTS), ("control", plan.controls, CONTROLS)):
        for name in known if asked == "all" else asked:
            if name not in known:
                problems.append(f"{family}s: {unknown(family, name, known)}")
                continue
            yield Arm(name, family, known[name])  # type: ignore[arg-type]
    if len(pool) > 1:
        if plan.leave_one_encoder_out:
            for encoder in pool:
                yield Arm(f"without {encoder}", "encoder", {"pool": [one for one in pool if one != encoder]})
        if plan.each_encoder_alone:
            for encoder in pool:
                yield Arm(f"{encoder} alone", "encoder", {"pool": [encoder]})
    for name, members in plan.leave_groups_out.items():
        strange = [one for one in members if one not in encoders]
        problems += [f"leave_groups_out.{name}: {unknown('encoder', one, encoders)}" for one in strange]
        left = [one for one in pool if one not in members]
        if not left:
            problems.append(f"leave_groups_out.{name}: leaves no encoder of the base's pool")
        elif not strange:
            yield Arm(f"without {name}", "encoder", {"pool": left})
    if plan.back_to_default:
        yield from _defaults(base)
    for name, values in plan.sweeps.items():
        yield from _sweep(name, values, len(pool), problems)
    if plan.factorial:
        (first, firsts), (second, seconds) = plan.factorial.items()
        for one, two in product(firsts, seconds):
            changes = {first: one, second: two}
            yield Arm(f"{_short(first)} {one}, {_short(second)} {two}", "factorial", changes, (one, two))
    for name, changes in plan.custom.items():
        yield Arm(name, "custom", changes)


def _defaults(base: Config) -> Iterator[Arm]:
    default, own = field_values(Config()), field_values(base)
    for name, value in own.items():
        seed = name in ("train.seed", "train.seeds", "train.data_seed", "pool", "data.target_actors")
        if value != default[name] and not seed:
            yield Arm(f"{name} back to {default[name]}", "component", {name: default[name]})


def _sweep(name: str, values: Any, pool_size: int, problems: list[str]) -> Iterator[Arm]:
    if values == "all":
        if name != "model.n_kept":
            problems.append(f"sweeps.{name}: all goes with model.n_kept only; name the values")
            return
        values = list(range(1, pool_size + 1))
    for value in values:
        yield Arm(f"{_short(name)} {value}", "sweep", {name: value})


def _short(name: str) -> str:
    return name.rsplit(".", 1)[-1] if name.count(".") < 2 else name.split(".", 1)[1]
