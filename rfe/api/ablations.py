"""Ablations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.api.searching import Source, _placed, _run
from rfe.errors import ConfigError
from rfe.progress import Progress, SilentProgress
from rfe.workspace import StudyFolder, Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.ablation.plan import Plan
    from rfe.ablation.result import Ablation, AblationResult
    from rfe.config.schema import Config


def ablate(
    source: Source,
    data: Path | str | None = None,
    *,
    base: Source | None = None,
    from_study: str | None = None,
    name: str | None = None,
    seeds: int | None = None,
    workers: int | None = None,
    address: str | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> AblationResult | None:
    """Run a plan's arms, or go on with them, and compare them with their base; see `rfe.ablation`.

    Args:
        source: a plan's file, or the name of a ready-made one (`components`).
        data: the data folder; None: that of the base's study.
        base, from_study: a configuration file, or a study whose best one is the base; None: the plan's own base.
        name: of the ablation; None: the plan's.
        seeds: of each arm; None: the plan's.
        workers, address, overrides, workspace, progress: as `search`; overrides are of the plan.

    Returns:
        The comparison; None after an interrupt: the same call goes on.

    Raises:
        ConfigError: the plan is wrong, or no data is named.
        StudyError: no such study, or an ablation of that name that asks something else.
    """
    from rfe.ablation.result import read_ablation, write_arms, write_table
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    ablation, place, encoders = _prepare(source, data, base, from_study, name, seeds, overrides, workspace)
    space = _placed(ablation.space, place, None)
    if encoders is not None:
        space = space.model_copy(update={"data": space.data.model_copy(update={"encoders": list(encoders)})})
    outcome = _run(space, workspace, progress, workers=workers, address=address)
    if outcome.state == "stopped":
        return None
    folder = workspace.study(space.study)
    write_arms(folder, ablation)
    result = read_ablation(folder, load_dataset(local_folder(place, workspace.cache), encoders))
    write_table(folder, result)
    _show(workspace, folder, progress)
    return result


def plan_ablation(
    source: Source,
    data: Path | str | None = None,
    *,
    base: Source | None = None,
    from_study: str | None = None,
    name: str | None = None,
    seeds: int | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
) -> Ablation:
    """The arms that `ablate` would train; nothing is begun."""
    return _prepare(source, data, base, from_study, name, seeds, overrides, workspace or open_workspace())[0]


def _prepare(
    source: Source,
    data: Path | str | None,
    base: Source | None,
    from_study: str | None,
    name: str | None,
    seeds: int | None,
    overrides: Sequence[str],
    workspace: Workspace,
) -> tuple[Ablation, str, tuple[str, ...] | None]:
    from rfe.ablation.plan import StudyBase, load_plan
    from rfe.ablation.result import prepare_ablation
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.reporting.studies import find_study, study_source
    from rfe.search_space.ready_made import find_space

    if base is not None and from_study is not None:
        raise ConfigError("--base and --from: an ablation has one base; leave one out")
    plan = load_plan(find_space(source, "ablations"), overrides)
    changes: dict[str, Any] = {"name": name or plan.name, "seeds": seeds or plan.seeds}
    if from_study is not None:
        changes["base"] = StudyBase(study=from_study)
    elif base is not None:
        changes["base"] = str(base)
    plan = plan.model_copy(update=changes)
    if plan.seeds < 3:
        raise ConfigError(f"--seeds {plan.seeds}: at least 3 seeds are needed to tell an arm from luck")
    place, encoders = data, None
    if isinstance(plan.base, StudyBase):
        known, encoders = study_source(find_study(workspace, plan.base.study))
        place = data or known
    if place is None:
        raise ConfigError(f"plan {plan.name}: no data; name the data folder with --data")
    config = _base(plan, workspace)
    dataset = load_dataset(local_folder(place, workspace.cache), encoders)
    return prepare_ablation(plan, config, dataset), str(place), encoders


def _base(plan: Plan, workspace: Workspace) -> Config:
    from rfe.ablation.plan import StudyBase
    from rfe.config.load import change_config, load_config
    from rfe.config.schema import Config
    from rfe.ensemble.candidates import read_study
    from rfe.ensemble.selection import select_single
    from rfe.reporting.studies import find_study
    from rfe.search_space.ready_made import find_space

    if isinstance(plan.base, StudyBase):
        record = read_study(find_study(workspace, plan.base.study))
        return select_single(record.candidates, plan.base.trial).members[0].candidate.config
    if isinstance(plan.base, str):
        return load_config(find_space(plan.base))
    return change_config(Config(), plan.base)


def _show(workspace: Workspace, folder: StudyFolder, progress: Progress) -> None:
    """The table beside the study's run."""
    from rfe.ablation.result import TABLE_FILE
    from rfe.tracking.attachments import attach_files

    note = attach_files(workspace, folder, {"": [folder.path / TABLE_FILE]})
    if note:
        progress.note(f"the table is {note}")
