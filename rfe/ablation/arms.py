"""From a plan to its arms: named changes of the base."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from rfe.ablation.components import COMPONENTS, control_changes
from rfe.ablation.components import CONTROLS as KNOWN_CONTROLS
from rfe.ablation.plan import Plan
from rfe.config.identity import config_id
from rfe.config.load import change_config, field_values
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.folds import training_clips
from rfe.errors import ConfigError, DataError, gather
from rfe.search_space import normalize
from rfe.suggestions import unknown
from rfe.training.build import build_replicas

BASE = "base"
Family = Literal["base", "component", "control", "encoder", "order", "sweep", "factorial", "custom"]
CURVES: tuple[Family, ...] = ("order", "sweep", "factorial")
"""Families whose points all stand in the result, also where two are one configuration."""
NOT_SET_BACK = ("train.seed", "train.seeds", "train.data_seed", "pool", "data.target_actors", "data.training_actors")
ACTOR_STEP = 10


@dataclass(frozen=True)
class Arm:
    """One configuration of an ablation."""

    name: str
    family: Family
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Field -> value."""
    cell: tuple[Any, ...] = ()
    """`factorial`: the values of the plan's two fields."""
    curve: str = ""
    """`sweep` and `order`: which curve it is a point of."""
    value: Any = None
    """`sweep` and `order`: where on the curve; `all` is the last."""


@dataclass(frozen=True)
class ArmList:
    """What came of a plan's arms."""

    arms: tuple[Arm, ...]
    """The base first."""
    left_out: Mapping[str, str]
    """Name -> why it is no arm: the base has it already, it is another arm, or no such configuration is allowed."""


def expand_arms(plan: Plan, base: Config, dataset: Dataset, order: Sequence[str] | None = None) -> ArmList:
    """The base and all arms of a plan, each configuration once but for points of curves.

    Args:
        plan: what is asked.
        base: the configuration it is asked of.
        dataset: the data.
        order: in which encoders are added, where the plan leaves that to their value.

    Raises:
        ConfigError: unknown names, an arm that was named and that no configuration allows, or no arm at all.
    """
    encoders = tuple(dataset.encoders)
    base = normalize(base, encoders)
    problems: list[str] = []
    left_out: dict[str, str] = {}
    seen, arms = {config_id(base): BASE}, [Arm(BASE, "base")]
    for arm, is_optional in _arms(plan, base, dataset, order, problems):
        try:
            config = normalize(change_config(base, dict(arm.changes)), encoders)
            build_replicas(0, config, dataset)
        except (ConfigError, DataError) as error:
            reason = str(error).removeprefix("configuration: ")
            if is_optional:
                left_out[arm.name] = reason
            else:
                problems.append(f"arm {arm.name!r}: {reason}")
            continue
        identity = config_id(config)
        if identity in seen and arm.family not in CURVES:
            same = seen[identity]
            if same != arm.name:
                left_out.setdefault(arm.name, f"is the {same}" if same == BASE else f"is the arm {same!r}")
            continue
        seen.setdefault(identity, arm.name)
        arms.append(arm)
    names = [arm.name for arm in arms]
    problems += [f"arm {name!r}: named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    gather(problems, ConfigError, f"plan {plan.name}")
    waits_for_order = plan.encoders_in_order == "value" and order is None
    if len(arms) == 1 and not (plan.encoder_value or waits_for_order):
        why = "".join(f"; {name}: {reason}" for name, reason in left_out.items())
        raise ConfigError(f"plan {plan.name}: no arm differs from the base; name components, sweeps or custom{why}")
    return ArmList(tuple(arms), left_out)


def _arms(
    plan: Plan, base: Config, dataset: Dataset, order: Sequence[str] | None, problems: list[str]
) -> Iterator[tuple[Arm, bool]]:
    """Each arm, and whether it is left out where the base or the data does not allow it."""
    pool = sorted(dataset.encoders) if base.pool == "all" else sorted(base.pool)
    for name in COMPONENTS if plan.components == "all" else plan.components:
        if name not in COMPONENTS:
            problems.append(f"components: {unknown('component', name, COMPONENTS)}")
        else:
            yield Arm(name, "component", COMPONENTS[name]), plan.components == "all"
    for name in KNOWN_CONTROLS if plan.controls == "all" else plan.controls:
        if name not in KNOWN_CONTROLS:
            problems.append(f"controls: {unknown('control', name, KNOWN_CONTROLS)}")
        else:
            yield Arm(name, "control", control_changes(name, base, dataset)), plan.controls == "all"
    if len(pool) > 1:
        if plan.leave_one_encoder_out:
            for encoder in pool:
                yield Arm(f"without {encoder}", "encoder", {"pool": [one for one in pool if one != encoder]}), False
        if plan.each_encoder_alone:
            for encoder in pool:
                yield Arm(f"{encoder} alone", "encoder", {"pool": [encoder]}), False
    for name, members in plan.leave_groups_out.items():
        if left := _without(f"leave_groups_out.{name}", members, pool, dataset, problems):
            yield Arm(f"without {name}", "encoder", {"pool": left}), False
    if plan.encoders_in_order is not None:
        given = (order or ()) if plan.encoders_in_order == "value" else plan.encoders_in_order
        yield from ((arm, False) for arm in _order(given, pool, dataset, problems))
    if plan.back_to_default:
        yield from ((arm, True) for arm in _defaults(base))
    yield from ((arm, False) for arm in _sweeps(plan, pool, dataset, problems))
    if plan.factorial:
        (first, firsts), (second, seconds) = plan.factorial.items()
        for one, two in product(firsts, seconds):
            changes = {first: one, second: two}
            yield Arm(f"{short_name(first)} {one}, {short_name(second)} {two}", "factorial", changes, (one, two)), False
    for name, changes in plan.custom.items():
        yield Arm(name, "custom", changes), False


def _without(
    place: str, members: Sequence[str], pool: list[str], dataset: Dataset, problems: list[str]
) -> list[str] | None:
    """The pool without a group; None (and a problem) if that cannot be."""
    strange = [one for one in members if one not in dataset.encoders]
    problems += [f"{place}: {unknown('encoder', one, dataset.encoders)}" for one in strange]
    left = [one for one in pool if one not in members]
    if not left:
        problems.append(f"{place}: leaves no encoder of the base's pool; name fewer of {', '.join(pool)}")
    return left if left and not strange else None


def _order(order: Sequence[str], pool: list[str], dataset: Dataset, problems: list[str]) -> Iterator[Arm]:
    strange = [one for one in order if one not in pool]
    if strange:
        for one in strange:
            where = "the data" if one not in dataset.encoders else "the base's pool"
            problems.append(f"encoders_in_order: {one!r} is not in {where}, which has {', '.join(pool)}")
        return
    if len(set(order)) < len(order):
        problems.append("encoders_in_order: names an encoder twice; leave one out")
        return
    for place, encoder in enumerate(order, start=1):
        name = f"first {place}: {'' if place == 1 else '+ '}{encoder}"
        yield Arm(name, "order", {"pool": sorted(order[:place])}, curve="encoders in order", value=place)


def _defaults(base: Config) -> Iterator[Arm]:
    default, own = field_values(Config()), field_values(base)
    for name, value in own.items():
        if value != default[name] and name not in NOT_SET_BACK:
            yield Arm(f"{name} back to {default[name]}", "component", {name: default[name]})


def _sweeps(plan: Plan, pool: list[str], dataset: Dataset, problems: list[str]) -> Iterator[Arm]:
    groups: dict[str, list[str] | None] = {"": pool}
    for group, members in plan.sweeps_without.items():
        groups[group] = _without(f"sweeps_without.{group}", members, pool, dataset, problems)
    for name, values in plan.sweeps.items():
        for group, left in groups.items():
            if left is None:
                continue
            curve = short_name(name) + (f" without {group}" if group else "")
            fixed = {"pool": left} if group else {}
            points = _all_values(name, left, dataset) if values == "all" else values
            for value in points:
                arm = f"{short_name(name)} {value}" + (f" without {group}" if group else "")
                yield Arm(arm, "sweep", {**fixed, name: value}, curve=curve, value=value)


def _all_values(name: str, pool: list[str], dataset: Dataset) -> list[Any]:
    """`model.n_kept`: 1 to the pool's size. `data.training_actors`: tens, or quarters of fewer than two tens; `all`."""
    if name == "model.n_kept":
        return list(range(1, len(pool) + 1))
    clips = dataset.clips
    n_actors = min(len(set(clips.actor[training_clips(clips, fold)].tolist())) for fold in clips.folds)
    points = range(ACTOR_STEP, n_actors, ACTOR_STEP)
    if n_actors < 2 * ACTOR_STEP:
        points = range(max(2, n_actors // 4), n_actors, max(1, n_actors // 4))
    return [*points, "all"]


def short_name(name: str) -> str:
    """A field's name without what goes without saying: `n_kept`, `gate noise`, `adaptation` of its kind."""
    parts = name.split(".")
    if len(parts) > 1 and parts[0] in ("model", "train", "data", "loss"):
        parts = parts[1:]
    if len(parts) > 1 and parts[-1] == "kind":
        parts = parts[:-1]
    return " ".join(parts)
