"""What an ablation asks: its plan with what was asked beside it, its base with fresh seeds, and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from rfe.api.searching import DataSource, Source, absolute_place, find_place
from rfe.errors import ConfigError, StudyError
from rfe.workspace import Workspace

if TYPE_CHECKING:
    from rfe.ablation.plan import Plan
    from rfe.ablation.study import Question
    from rfe.config.schema import Config


class Asked(TypedDict, total=False):
    """What may be asked beside a plan; what is left out, or None, is the plan's own."""

    base: Source | None
    """A configuration: its file or its fields."""
    from_study: str | None
    """In the place of `base`: a study whose best configuration is the base."""
    name: str | None
    """Of the ablation."""
    seeds: int | None
    """Of each arm."""
    retune: int | None
    """Trials that tune base and each arm beforehand."""
    overrides: Sequence[str]
    """Changes to the plan, `name=value`."""


def find_question(source: Source, data: DataSource | None, workspace: Workspace, asked: Asked) -> Question:
    """Read a plan, find its base and its data.

    Args:
        source: a plan's file, the name of a ready-made one, or what such a file holds.
        data: the data folder; None: that of the base's study.
        workspace: holds the base's study.
        asked: what differs from the plan.

    Raises:
        ConfigError: the plan is wrong, or no data is named.
        StudyError: no such study, or a study of the plan's name that is no ablation.
    """
    from rfe.ablation.plan import StudyBase, load_plan
    from rfe.ablation.study import Question, fresh_base
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.journal.study import study_source
    from rfe.search_space.ready_made import find_space
    from rfe.workspace import find_study

    base, from_study = asked.get("base"), asked.get("from_study")
    if base is not None and from_study is not None:
        raise ConfigError("--base and --from: an ablation has one base; leave one out")
    given = source if isinstance(source, Mapping) else find_space(source, "ablations")
    plan = load_plan(given, asked.get("overrides", ()))
    beside: dict[str, Any] = {name: asked.get(name) for name in ("name", "seeds", "retune")}
    changes = {name: getattr(plan, name) if value is None else value for name, value in beside.items()}
    if from_study is not None:
        changes["base"] = StudyBase(study=from_study)
    elif base is not None:
        changes["base"] = dict(base) if isinstance(base, Mapping) else str(base)
    plan = load_plan({**plan.model_dump(), **changes, **({"base": {"study": from_study}} if from_study else {})})
    place, encoders = find_place(data)
    encoders = encoders or (None if plan.encoders is None else tuple(plan.encoders))
    if isinstance(plan.base, StudyBase):
        known, of_study = study_source(find_study(workspace, plan.base.study))
        place, encoders = place or known, encoders or of_study
    if place is None:
        raise ConfigError(f"plan {plan.name}: no data; name the data folder with --data")
    _refuse_other_study(workspace, plan.name)
    config, first_seed = _base(plan, workspace)
    place = absolute_place(place)
    dataset = load_dataset(local_folder(place, workspace.cache), encoders)
    return Question(plan, fresh_base(plan, config, first_seed), dataset, place, encoders)


def _refuse_other_study(workspace: Workspace, name: str) -> None:
    from rfe.ablation.study import is_ablation

    folder = workspace.study(name)
    if folder.definition.is_file() and not is_ablation(folder):
        raise StudyError(f"--name {name}: is a study of another kind; give the ablation another name")


def _base(plan: Plan, workspace: Workspace) -> tuple[Config, int]:
    """The base, and the first seed that nothing was chosen by."""
    from rfe.ablation.plan import FIRST_SEED, StudyBase
    from rfe.config.load import change_config, load_config
    from rfe.config.schema import Config
    from rfe.ensemble.candidates import read_candidates
    from rfe.ensemble.selection import select_single
    from rfe.search_space.ready_made import find_space
    from rfe.workspace import find_study

    if isinstance(plan.base, StudyBase):
        record = read_candidates(find_study(workspace, plan.base.study))
        config = select_single(record.candidates, plan.base.trial).members[0].candidate.config
        configs = [candidate.config for candidate in record.candidates]
    else:
        config = (
            load_config(find_space(plan.base)) if isinstance(plan.base, str) else change_config(Config(), plan.base)
        )
        configs = [config]
    used = [max(one.train.seed, one.train.data_seed) + one.train.seeds for one in configs]
    return config, max(FIRST_SEED, *used)
