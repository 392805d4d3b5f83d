"""An ablation as a grid study: every arm one trial, or one for each configuration that tuning chose for its folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rfe.ablation.arms import BASE, Arm, ArmList, expand_arms
from rfe.ablation.plan import Plan
from rfe.config.fields import first_problem
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
class Question:
    """A plan with everything that was found for it."""

    plan: Plan
    base: Config
    """With the fresh seeds."""
    dataset: Dataset
    place: str
    """Of the data: an absolute path, or a URI."""
    encoders: tuple[str, ...] | None


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
    question: Question,
    found: ArmList | None = None,
    choices: Mapping[str, Sequence[Choice]] | None = None,
    order: Sequence[str] = (),
) -> Ablation:
    """The study that answers a plan.

    Args:
        question: what is asked.
        found: the plan's arms; None: all that it names.
        choices: arm -> what tuning chose for its folds; None: nothing was tuned.
        order: in which encoders are added.
    """
    plan, base, dataset = question.plan, question.base, question.dataset
    found = found or expand_arms(plan, base, dataset)
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


@dataclass(frozen=True)
class StoredArm(Arm):
    """An arm with the configurations that answer for it."""

    parts: tuple[ArmPart, ...] = field(kw_only=True)


@dataclass(frozen=True)
class StoredArms:
    """The content of `ablation.json`: which arm is which configuration."""

    plan: Plan
    arms: tuple[StoredArm, ...]
    left_out: Mapping[str, str]
    order: tuple[str, ...]

    @property
    def parts(self) -> dict[str, tuple[ArmPart, ...]]:
        """Arm -> its configurations."""
        return {arm.name: arm.parts for arm in self.arms}


_STORED = TypeAdapter(StoredArms)


def write_arms(folder: StudyFolder, ablation: Ablation) -> None:
    """Keep which arm is which configuration, beside the study's own files."""
    arms = tuple(StoredArm(**vars(arm), parts=ablation.parts[arm.name]) for arm in ablation.arms)
    stored = StoredArms(ablation.plan, arms, ablation.left_out, ablation.order)
    write_json(folder.arms, _STORED.dump_python(stored, mode="json"))


def is_ablation(folder: StudyFolder) -> bool:
    """Whether the study is an ablation's."""
    return folder.arms.is_file()


def read_arms(folder: StudyFolder) -> StoredArms:
    """Which arm is which configuration.

    Raises:
        StudyError: the study is no ablation, or its file is damaged.
    """
    try:
        return _STORED.validate_json(folder.arms.read_bytes())
    except FileNotFoundError:
        raise StudyError(f"study {folder.name!r}: is no ablation; run one with `rfe ablate`") from None
    except ValidationError as error:
        raise StudyError(
            f"{folder.arms}: damaged ({first_problem(error)}); run the ablation again under another --name"
        ) from None
