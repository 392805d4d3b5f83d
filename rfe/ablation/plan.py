"""An ablation's plan: a base configuration and the arms that are held against it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rfe.config.fields import check_value, locate, problems_of, unknown_field
from rfe.config.load import flatten_names
from rfe.config.reading import parse_overrides, read_yaml, with_overrides
from rfe.config.schema import Section, Words
from rfe.errors import ConfigError, gather
from rfe.workspace import NAME_LETTERS

FIRST_SEED = 10_000
"""Base and arms are trained with seeds from here on, or from beyond the last that the base was chosen by."""
RETUNE_SPACE: dict[str, Any] = {
    "train.lr": {"float": [3.0e-4, 1.0e-2], "log": True},
    "train.weight_decay": {"float": [1.0e-3, 0.3], "log": True},
    "model.dropout": {"float": [0.0, 0.6]},
}
"""What `retune` searches unless the plan says otherwise: what a part's neighbours are usually tuned by."""
WHOLE = ("base", "retune_space", "sweeps", "sweeps_without", "leave_groups_out", "factorial", "custom", "fixed")
"""Maps of a plan; `--set MAP.NAME=VALUE` sets one entry."""


class StudyBase(Section):
    """The best configuration of a study, or one of its trials."""

    study: str
    trial: Annotated[int, Field(ge=0)] | None = None
    """null: the best confirmed one, else the one with the best score."""


class Plan(Section):
    """What is asked of a configuration."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"), Words(f"text of at most 80 {NAME_LETTERS}")
    ]
    """Name of the ablation and of its folder among the studies; `--name` wins."""
    base: StudyBase | str | dict[str, Any] = Field(default_factory=dict)
    """A study, a configuration file, or fields of a configuration; what is not named has its default. A base that was
    fixed beforehand is better than one that was chosen on the same clips."""
    fixed: dict[str, Any] = Field(default_factory=dict)
    """Fields of the base that the question needs, whatever the base: `adaptation.kind: coral` under a sweep of its
    strength."""
    encoders: Annotated[list[str], Field(min_length=1)] | None = None
    """Those taken of the data; null: all, or those of the base's study."""
    seeds: Annotated[int, Field(ge=3)] = 5
    """Each arm is trained with so many seeds."""
    retune: Annotated[int, Field(ge=1)] | None = None
    """Base and arms are each tuned by a search of so many trials before they are replicated; null: the arms keep what
    was tuned for the base. See `rfe.ablation.tuning`."""
    retune_space: dict[str, Any] = Field(default_factory=lambda: dict(RETUNE_SPACE))
    """What `retune` searches; lines as in a search space. A field that an arm sets itself is not searched for it."""
    components: Literal["all"] | list[str] = Field(default_factory=list)
    """Parts of the model to leave out or change; see `rfe.ablation.components`. `all`: those that the base allows."""
    controls: Literal["all"] | list[str] = Field(default_factory=list)
    """Arms that ought not to help, as reviewers ask for."""
    leave_one_encoder_out: bool = False
    each_encoder_alone: bool = False
    leave_groups_out: dict[str, list[str]] = Field(default_factory=dict)
    """Name of a group -> its encoders."""
    encoders_in_order: Literal["value"] | Annotated[list[str], Field(min_length=1)] | None = None
    """Encoders are added one after the other: in the order given, or by `value`, the Score of each alone, measured with
    one seed that is used for nothing else, on the same clips: the curve then shows an order chosen by what it
    reports."""
    encoder_value: bool = False
    """Also measure, without training, the Score that the base's models lose when one encoder is masked, or permuted
    among clips, at evaluation."""
    back_to_default: bool = False
    """Each field in which the base differs from the defaults, set back in turn."""
    sweeps: dict[str, Literal["all"] | list[Any]] = Field(default_factory=dict)
    """Field -> values; `all` for `model.n_kept` (from 1 to the pool's size) and `data.training_actors` (tens)."""
    sweeps_without: dict[str, list[str]] = Field(default_factory=dict)
    """Name of a group -> its encoders: each sweep once more without them."""
    factorial: dict[str, list[Any]] = Field(default_factory=dict)
    """Two fields -> values: every combination, with the interaction."""
    custom: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name of an arm -> the fields it changes."""


def load_plan(source: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> Plan:
    """The plan of a YAML file or a mapping.

    Args:
        source: a file's path, or what such a file holds.
        overrides: `name=value`, as given with `--set`; fields of the plan, or `MAP.NAME` for one entry of a map
            (`base.train.epochs=30`, `sweeps_without.noise=[noise]`).

    Raises:
        ConfigError: with everything wrong about it. Names of encoders are checked by `expand_arms`, which knows the
            data.
    """
    given, heading = (dict(source), "plan") if isinstance(source, Mapping) else (read_yaml(Path(source)), str(source))
    heading = with_overrides(heading, overrides)
    problems: list[str] = []
    for name, value in parse_overrides(list(overrides)).items():
        top, _, rest = name.partition(".")
        old = given.get(top) or {}
        if rest and top in WHOLE and isinstance(old, Mapping):
            given[top] = {**old, rest: value}
        elif rest:
            problems.append(f"--set {name}: sets one entry of a map, and {top} is none; those of a plan are {WHOLE}")
        else:
            given[name] = value
    for name in ("base", "fixed"):
        value = given.get(name)
        if isinstance(value, dict) and "study" not in value:
            given[name], found = flatten_names(value)
            problems += [f"{name}: {problem}" for problem in found]
    gather([*problems, *problems_of(Plan, given)], ConfigError, heading)
    plan = Plan.model_validate(given)
    gather(_problems(plan), ConfigError, heading)
    return plan


def _problems(plan: Plan) -> list[str]:
    """Sentences on fields and values that no data could make right."""
    problems = []
    base = plan.base if isinstance(plan.base, dict) else {}
    for place, fields in (("base", base), ("fixed", plan.fixed), *((f"custom.{k}", v) for k, v in plan.custom.items())):
        problems += [f"{place}.{name}: {reason}" for name, value in fields.items() if (reason := _wrong(name, value))]
    problems += [
        f"custom.{name}: changes nothing; name a field" for name, changes in plan.custom.items() if not changes
    ]
    for place, lists in (("sweeps", plan.sweeps), ("factorial", plan.factorial)):
        for name, values in lists.items():
            if values == "all":
                if name not in ("model.n_kept", "data.training_actors"):
                    problems.append(
                        f"{place}.{name}: all goes with model.n_kept and data.training_actors only; name the values"
                    )
                continue
            problems += [f"{place}.{name}: {reason}" for value in values if (reason := _wrong(name, value))]
            if not values:
                problems.append(f"{place}.{name}: the list is empty; name the values")
    if len(plan.factorial) not in (0, 2):
        problems.append(f"factorial: has {len(plan.factorial)} fields; name two")
    if plan.sweeps_without and not plan.sweeps:
        problems.append("sweeps_without: there are no sweeps to repeat; name some under sweeps")
    if plan.retune is not None and not plan.retune_space:
        problems.append("retune_space: is empty, so there is nothing to tune; name a field, or leave retune out")
    return problems


def _wrong(name: str, value: Any) -> str | None:
    return unknown_field(name) if locate(name) is None else check_value(name, value)
