"""An ablation's plan: a base configuration and the arms that are held against it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rfe.config.fields import problems_of
from rfe.config.load import flatten_names
from rfe.config.reading import parse_overrides, read_yaml
from rfe.config.schema import Section
from rfe.errors import ConfigError, gather

FIRST_SEED = 10_000
"""No search comes near it: base and arms are trained with seeds that nothing was chosen by."""


class StudyBase(Section):
    """The best configuration of a study, or one of its trials."""

    study: str
    trial: Annotated[int, Field(ge=0)] | None = None
    """null: the best confirmed one, else the one with the best score."""


class Plan(Section):
    """What is asked of a configuration."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the ablation and of its folder among the studies; `--name` wins."""
    base: StudyBase | str | dict[str, Any] = Field(default_factory=dict)
    """A study, a configuration file, or fields of a configuration; what is not named has its default."""
    seeds: Annotated[int, Field(ge=3)] = 5
    """Each arm is trained with so many seeds."""
    components: Literal["all"] | list[str] = Field(default_factory=list)
    """Parts of the model to leave out or change; see `rfe.ablation.arms`."""
    controls: Literal["all"] | list[str] = Field(default_factory=list)
    """Arms that ought not to help, as reviewers ask for."""
    leave_one_encoder_out: bool = False
    each_encoder_alone: bool = False
    leave_groups_out: dict[str, list[str]] = Field(default_factory=dict)
    """Name of a group -> its encoders."""
    back_to_default: bool = False
    """Each field in which the base differs from the defaults, set back in turn."""
    sweeps: dict[str, Literal["all"] | list[Any]] = Field(default_factory=dict)
    """Field -> values; `model.n_kept: all` goes from 1 to the size of the pool."""
    factorial: dict[str, list[Any]] = Field(default_factory=dict)
    """Two fields -> values: every combination, with the interaction."""
    custom: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name of an arm -> the fields it changes."""


def load_plan(source: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()) -> Plan:
    """The plan of a YAML file or a mapping.

    Args:
        source: a file's path, or what such a file holds.
        overrides: `name=value`, as given with `--set`; fields of the plan, or `base.FIELD` where the base is fields.

    Raises:
        ConfigError: with everything wrong about it.
    """
    given, heading = (dict(source), "plan") if isinstance(source, Mapping) else (read_yaml(Path(source)), str(source))
    problems: list[str] = []
    for name, value in parse_overrides(list(overrides)).items():
        top, _, rest = name.partition(".")
        if top == "base" and rest and isinstance(given.get("base", {}), dict):
            given["base"] = {**(given.get("base") or {}), rest: value}
        else:
            given[name] = value
    base = given.get("base")
    if isinstance(base, dict) and "study" not in base:
        given["base"], found = flatten_names(base)
        problems += [f"base: {problem}" for problem in found]
    gather([*problems, *problems_of(Plan, given)], ConfigError, heading)
    plan = Plan.model_validate(given)
    if len(plan.factorial) not in (0, 2):
        raise ConfigError(f"{heading}: factorial: has {len(plan.factorial)} fields; name two")
    return plan
