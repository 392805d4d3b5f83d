"""An ablation as a grid study: every arm one trial, or one for each configuration that tuning chose for its folds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rfe.ablation.arms import BASE, Arm, ArmList
from rfe.ablation.plan import Plan
from rfe.config.identity import config_id, trained_id
from rfe.config.load import change_config, flatten
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.errors import ConfigError, StudyError
from rfe.search_space import SearchSpace, load_space, normalize
from rfe.training.build import memory_bytes, shape_key
from rfe.workspace import StudyFolder
from rfe.writing import write_json

TRIAL_MINUTES = 24 * 60.0
"""An arm is many models; what would be too long for a trial of a search is not for it."""


@dataclass(frozen=True)
class Choice:
    """What tuning chose for some folds of an arm, by the other folds."""

    folds: tuple[int, ...] = ()
    """Empty: all."""
    trial: int | None = None
    """Of the arm's tuning study; None: it was not tuned."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Field -> value."""


UNTUNED = (Choice(),)


@dataclass(frozen=True)
class ArmPart:
    """One configuration of an arm and the folds that it answers."""

    name: str
    """In the study."""
    config_id: str
    choice: Choice


@dataclass(frozen=True)
class Ablation:
    """A plan on a data set, ready to be run as a study."""

    plan: Plan
    base: Config
    """With the fresh seeds."""
    arms: tuple[Arm, ...]
    parts: Mapping[str, tuple[ArmPart, ...]]
    """Arm -> its configurations; two arms may share one."""
    left_out: Mapping[str, str]
    """Name -> why it is no arm."""
    order: tuple[str, ...]
    """In which encoders are added; empty where they are not, or where their value is not measured yet."""
    space: SearchSpace


def fresh_base(plan: Plan, base: Config, first_seed: int) -> Config:
    """The base with what the plan fixes and seeds that nothing was chosen by."""
    seeds = {"train.seeds": plan.seeds, "train.seed": first_seed, "train.data_seed": first_seed}
    return change_config(base, {**plan.fixed, **seeds}, f"plan {plan.name}: base")


def prepare_ablation(
    plan: Plan,
    base: Config,
    found: ArmList,
    dataset: Dataset,
    choices: Mapping[str, Sequence[Choice]] | None = None,
    order: Sequence[str] = (),
) -> Ablation:
    """The study that answers a plan.

    Args:
        plan: what is asked.
        base: from `fresh_base`.
        found: the plan's arms.
        dataset: the data.
        choices: arm -> what tuning chose for its folds; None: nothing was tuned.
        order: in which encoders are added.
    """
    if plan.encoder_value and base.protocol != "crossfit":
        raise ConfigError(
            f"plan {plan.name}: encoder_value needs a base with protocol: crossfit, not {base.protocol}; leave it out"
        )
    encoders = tuple(dataset.encoders)
    parts: dict[str, tuple[ArmPart, ...]] = {}
    trials: dict[str, dict[str, Any]] = {}
    configs: dict[str, Config] = {}
    for arm in found.arms:
        mine = UNTUNED if choices is None else tuple(choices[arm.name])
        own = []
        for choice in mine:
            changes = {**choice.values, **arm.changes}
            folds = ", ".join(map(str, choice.folds))
            name = arm.name if len(mine) == 1 else f"{arm.name} (fold{'s' * (len(choice.folds) > 1)} {folds})"
            configs[name] = normalize(change_config(base, changes), encoders)
            own.append(ArmPart(name, config_id(configs[name]), choice))
            trials[name] = changes
        parts[arm.name] = tuple(own)
    space = load_space(
        {
            "study": plan.name,
            "base": flatten(base),
            "arms": {name: trials[name] for name in _most_work_first(configs, dataset)},
            "keep_arms": [part.name for part in parts[BASE]],
            "sampler": {"kind": "grid"},
            "confirm": {"top": 0},
            "limits": {"trial_minutes": TRIAL_MINUTES},
            "keep_top": 0,
        }
    )
    return Ablation(plan, base, found.arms, parts, found.left_out, tuple(order), space)


def _most_work_first(configs: Mapping[str, Config], dataset: Dataset) -> list[str]:
    """Names in the order in which they are trained: no long one is left for the end, when other workers have nothing
    to do, and those that differ in nothing trained are neighbours, so that a stack trains them once."""
    first: dict[str, int] = {}
    alike = {name: first.setdefault(trained_id(config), len(first)) for name, config in configs.items()}

    def place(name: str) -> tuple[int, str, int]:
        config = configs[name]
        return -config.train.epochs * memory_bytes(config, dataset), shape_key(config, dataset), alike[name]

    return sorted(configs, key=place)


def write_arms(folder: StudyFolder, ablation: Ablation) -> None:
    """Keep which arm is which configuration, beside the study's own files."""
    arms = [
        {**asdict(arm), "changes": dict(arm.changes), "parts": [asdict(part) for part in ablation.parts[arm.name]]}
        for arm in ablation.arms
    ]
    about = {
        "plan": ablation.plan.model_dump(mode="json"),
        "arms": arms,
        "left_out": dict(ablation.left_out),
        "order": list(ablation.order),
    }
    write_json(folder.arms, about)


@dataclass(frozen=True)
class StoredArms:
    """What `write_arms` kept."""

    plan: Plan
    arms: tuple[Arm, ...]
    parts: Mapping[str, tuple[ArmPart, ...]]
    left_out: Mapping[str, str]
    order: tuple[str, ...]


def is_ablation(folder: StudyFolder) -> bool:
    """Whether the study is an ablation's."""
    return folder.arms.is_file()


def read_arms(folder: StudyFolder) -> StoredArms:
    """Which arm is which configuration.

    Raises:
        StudyError: the study is no ablation, or its file is damaged.
    """
    path = folder.arms
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        arms, parts = [], {}
        for one in about["arms"]:
            cell = tuple(one["cell"])
            arms.append(Arm(one["name"], one["family"], one["changes"], cell, one["curve"], one["value"]))
            parts[one["name"]] = tuple(
                ArmPart(
                    part["name"],
                    part["config_id"],
                    Choice(**{**part["choice"], "folds": tuple(part["choice"]["folds"])}),
                )
                for part in one["parts"]
            )
        plan = Plan.model_validate(about["plan"])
        return StoredArms(plan, tuple(arms), parts, about["left_out"], tuple(about["order"]))
    except FileNotFoundError:
        raise StudyError(f"study {folder.name!r}: is no ablation; run one with `rfe ablate`") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise StudyError(f"{path}: damaged ({problem}); run the ablation again under another --name") from None
