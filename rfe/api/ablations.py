"""Ablations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.api.searching import DataSource, Source, _place, _placed, _run
from rfe.errors import ConfigError, StudyError, TrialError
from rfe.progress import Progress, SilentProgress
from rfe.workspace import StudyFolder, Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.ablation.arms import ArmList
    from rfe.ablation.plan import Plan
    from rfe.ablation.result import AblationResult
    from rfe.ablation.study import Ablation, Choice
    from rfe.config.schema import Config
    from rfe.data.dataset import Dataset
    from rfe.search_space import SearchSpace


def ablate(
    source: Source,
    data: DataSource | None = None,
    *,
    base: Source | None = None,
    from_study: str | None = None,
    name: str | None = None,
    seeds: int | None = None,
    retune: int | None = None,
    workers: int | None = None,
    address: str | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> AblationResult | None:
    """Run a plan's arms, or go on with them, and compare them with their base; see `rfe.ablation`.

    Args:
        source: a plan's file, the name of a ready-made one (`components`), or what such a file holds.
        data: the data folder; None: that of the base's study.
        base, from_study: a configuration (its file or its fields), or a study whose best one is the base; None: the
            plan's own base.
        name: of the ablation; None: the plan's.
        seeds: of each arm; None: the plan's.
        retune: trials that tune base and each arm beforehand; None: the plan's.
        workers, address, overrides, workspace, progress: as `search`; overrides are of the plan.

    Returns:
        The comparison; None after an interrupt: the same call goes on.

    Raises:
        ConfigError: the plan is wrong, or no data is named.
        StudyError: no such study, or a study of that name that asks something else.
        TrialError: the base could not be trained.
    """
    from rfe.ablation.order import order_space, read_order
    from rfe.ablation.result import read_ablation, write_tables
    from rfe.ablation.study import prepare_ablation, write_arms

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    question = _question(source, data, base, from_study, name, seeds, retune, overrides, workspace)
    plan, config, dataset = question.plan, question.base, question.dataset
    order: tuple[str, ...] | None = None
    with ExitStack() as stack:
        run = _Runner(question, workspace, progress, workers, address, stack)
        found = _arms(question, None)  # what is wrong with the plan is said before anything is trained
        prepare_ablation(plan, config, found, dataset)
        if plan.encoders_in_order == "value":
            space = order_space(plan, config, dataset)
            if not run(space):
                return None
            order = read_order(workspace.study(space.study), space)
            found = _arms(question, order)
        choices = None
        if plan.retune is not None:
            tuned = _tune(question, found, workspace, progress, run)
            if tuned is None:
                return None
            found, choices = tuned
        ablation = prepare_ablation(plan, config, found, dataset, choices, order or ())
        if not run(ablation.space, lambda folder: write_arms(folder, ablation)):
            return None
    folder = workspace.study(plan.name)
    if plan.encoder_value:
        from rfe.ablation.encoder_value import measure_encoders
        from rfe.data.cache import FeatureCache

        progress.note("masking and permuting each encoder of the base's models")
        measure_encoders(folder, dataset, FeatureCache(dataset, workspace.cache))
    result = read_ablation(folder, dataset)
    files = write_tables(folder, result)
    _show(workspace, folder, result, files, progress)
    return result


def plan_ablation(
    source: Source,
    data: DataSource | None = None,
    *,
    base: Source | None = None,
    from_study: str | None = None,
    name: str | None = None,
    seeds: int | None = None,
    retune: int | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
) -> Ablation:
    """The arms that `ablate` would train; nothing is begun. Encoders whose value is not known yet have no order."""
    from rfe.ablation.study import prepare_ablation

    workspace = workspace or open_workspace()
    question = _question(source, data, base, from_study, name, seeds, retune, overrides, workspace)
    return prepare_ablation(question.plan, question.base, _arms(question, None), question.dataset)


@dataclass(frozen=True)
class _Question:
    """A plan with everything that was found for it."""

    plan: Plan
    base: Config
    """With the fresh seeds."""
    dataset: Dataset
    place: str
    """Of the data."""
    encoders: tuple[str, ...] | None


def _question(
    source: Source,
    data: DataSource | None,
    base: Source | None,
    from_study: str | None,
    name: str | None,
    seeds: int | None,
    retune: int | None,
    overrides: Sequence[str],
    workspace: Workspace,
) -> _Question:
    from rfe.ablation.plan import StudyBase, load_plan
    from rfe.ablation.study import fresh_base
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.reporting.studies import find_study, study_source
    from rfe.search_space.ready_made import find_space

    if base is not None and from_study is not None:
        raise ConfigError("--base and --from: an ablation has one base; leave one out")
    plan = load_plan(source if isinstance(source, Mapping) else find_space(source, "ablations"), overrides)
    changes: dict[str, Any] = {"name": name or plan.name, "seeds": seeds or plan.seeds}
    changes["retune"] = plan.retune if retune is None else retune
    if from_study is not None:
        changes["base"] = StudyBase(study=from_study)
    elif base is not None:
        changes["base"] = dict(base) if isinstance(base, Mapping) else str(base)
    plan = load_plan({**plan.model_dump(), **changes, **({"base": {"study": from_study}} if from_study else {})})
    place, encoders = _place(data)
    encoders = encoders or (None if plan.encoders is None else tuple(plan.encoders))
    if isinstance(plan.base, StudyBase):
        known, of_study = study_source(find_study(workspace, plan.base.study))
        place, encoders = place or known, encoders or of_study
    if place is None:
        raise ConfigError(f"plan {plan.name}: no data; name the data folder with --data")
    _refuse_other_study(workspace, plan.name)
    config, first_seed = _base(plan, workspace)
    dataset = load_dataset(local_folder(place, workspace.cache), encoders)
    return _Question(plan, fresh_base(plan, config, first_seed), dataset, str(place), encoders)


def _refuse_other_study(workspace: Workspace, name: str) -> None:
    from rfe.ablation.study import is_ablation

    folder = workspace.study(name)
    if folder.definition.is_file() and not is_ablation(folder):
        raise StudyError(f"--name {name}: is a study of another kind; give the ablation a name of its own")


def _base(plan: Plan, workspace: Workspace) -> tuple[Config, int]:
    """The base, and the first seed that nothing was chosen by."""
    from rfe.ablation.plan import FIRST_SEED, StudyBase
    from rfe.config.load import change_config, load_config
    from rfe.config.schema import Config
    from rfe.ensemble.candidates import read_study
    from rfe.ensemble.selection import select_single
    from rfe.reporting.studies import find_study
    from rfe.search_space.ready_made import find_space

    if isinstance(plan.base, StudyBase):
        record = read_study(find_study(workspace, plan.base.study))
        config = select_single(record.candidates, plan.base.trial).members[0].candidate.config
        configs = [candidate.config for candidate in record.candidates]
    else:
        config = (
            load_config(find_space(plan.base)) if isinstance(plan.base, str) else change_config(Config(), plan.base)
        )
        configs = [config]
    used = [max(one.train.seed, one.train.data_seed) + one.train.seeds for one in configs]
    return config, max(FIRST_SEED, *used)


def _arms(question: _Question, order: Sequence[str] | None) -> ArmList:
    from rfe.ablation.arms import expand_arms

    return expand_arms(question.plan, question.base, question.dataset, order)


@dataclass
class _Runner:
    """Runs the studies of one ablation, several of them on one set of workers."""

    question: _Question
    workspace: Workspace
    progress: Progress
    workers: int | None
    address: str | None
    stack: ExitStack
    fleet: Any = None

    def __call__(self, space: SearchSpace, opened: Callable[[StudyFolder], None] = lambda folder: None) -> bool:
        """Run a study to its end; False after an interrupt."""
        question = self.question
        space = _placed(space, question.place, None)
        if question.encoders is not None:
            space = space.model_copy(
                update={"data": space.data.model_copy(update={"encoders": list(question.encoders)})}
            )
        several = question.plan.retune is not None or question.plan.encoders_in_order == "value"
        if several and self.fleet is None and not self.workspace.study(space.study).outcome.is_file():
            self._start_fleet(str(space.data.path))
        options: dict[str, Any] = {"workers": self.workers, "address": self.address, "fleet": self.fleet}
        outcome = _run(space, self.workspace, self.progress, opened=opened, **options)
        return outcome.state != "stopped"

    def _start_fleet(self, source: str) -> None:
        from rfe.search.fleet import open_fleet
        from rfe.search.node_check import check_nodes

        self.progress.note("starting Ray and its workers")
        cache, question = self.workspace.cache, self.question
        self.fleet = self.stack.enter_context(open_fleet(cache, address=self.address, workers=self.workers))
        check_nodes(self.fleet.session, question.dataset, source, question.encoders, cache)


def _tune(
    question: _Question, found: ArmList, workspace: Workspace, progress: Progress, run: _Runner
) -> tuple[ArmList, dict[str, Sequence[Choice]]] | None:
    """The arms that could be tuned, and what was chosen for each; None after an interrupt."""
    from rfe.ablation.arms import BASE
    from rfe.ablation.study import UNTUNED
    from rfe.ablation.tuning import choose_by_other_folds, tuning_space
    from rfe.config.identity import config_id
    from rfe.config.load import change_config
    from rfe.search_space import normalize

    choices: dict[str, Sequence[Choice]] = {}
    left_out = dict(found.left_out)
    by_config: dict[tuple[str, tuple[str, ...]], Sequence[Choice]] = {}
    for number, arm in enumerate(found.arms):
        config = normalize(change_config(question.base, dict(arm.changes)), tuple(question.dataset.encoders))
        space = tuning_space(question.plan, question.base, arm, number)
        if space is None:
            choices[arm.name] = UNTUNED
            continue
        key = (config_id(config), tuple(space.space))  # points of curves may be one configuration
        if key not in by_config:
            progress.note(f"tuning {arm.name}: {number + 1} of {len(found.arms)}")
            try:
                if not run(space):
                    return None
                by_config[key] = choose_by_other_folds(workspace.study(space.study), space, question.dataset)
            except (TrialError, StudyError) as error:
                if arm.name == BASE or run.fleet is None or run.fleet.ended:
                    raise
                left_out[arm.name] = f"tuning failed: {error}"
                continue
        choices[arm.name] = by_config[key]
    arms = tuple(arm for arm in found.arms if arm.name in choices)
    return replace(found, arms=arms, left_out=left_out), choices


def _show(
    workspace: Workspace, folder: StudyFolder, result: AblationResult, files: Sequence[Path], progress: Progress
) -> None:
    """The comparison in MLflow; a tracking server that is away is no reason to lose an ablation."""
    from rfe.ablation.trials import arm_trials
    from rfe.tracking.ablations import log_ablation
    from rfe.tracking.mlflow_server import MlflowServer, one_line

    try:
        server = MlflowServer(workspace.mlflow_uri, workspace.artifacts)
        log_ablation(server, folder, result.to_dict(), arm_trials(folder), [*files, folder.arms])
    except Exception as error:  # of any kind the server's client has
        progress.note(f"the comparison is not shown in MLflow: {one_line(error, workspace.mlflow_uri)}")
