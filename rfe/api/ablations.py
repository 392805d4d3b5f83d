"""Ablations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rfe.api.ablation_question import Asked, Question, find_question
from rfe.api.searching import DataSource, Source, _placed, _run
from rfe.errors import StudyError, TrialError
from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.search.options import RunOptions
from rfe.workspace import StudyFolder, Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.ablation.arms import ArmList
    from rfe.ablation.result import AblationResult
    from rfe.ablation.study import Ablation, Choice
    from rfe.search_space import SearchSpace


@needs("search")
def ablate(
    source: Source,
    data: DataSource | None = None,
    *,
    workers: int | None = None,
    address: str | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
    **asked: Unpack[Asked],
) -> AblationResult | None:
    """Run a plan's arms, or go on with them, and compare them with their base; see `rfe.ablation`.

    Args:
        source: a plan's file, the name of a ready-made one (`components`), or what such a file holds.
        data: the data folder; None: that of the base's study.
        workers, address, workspace, progress: as `search`.
        asked: `base`, `from_study`, `name`, `seeds`, `retune`, `overrides`; see `Asked`.

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
    question = find_question(source, data, workspace, asked)
    plan, config, dataset = question.plan, question.base, question.dataset
    order: tuple[str, ...] | None = None
    with ExitStack() as stack:
        run = _Runner(question, workspace, progress, RunOptions(workers=workers, address=address), stack)
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
    source: Source, data: DataSource | None = None, *, workspace: Workspace | None = None, **asked: Unpack[Asked]
) -> Ablation:
    """The arms that `ablate` would train; nothing is begun. Encoders whose value is not known yet have no order."""
    from rfe.ablation.study import prepare_ablation

    question = find_question(source, data, workspace or open_workspace(), asked)
    return prepare_ablation(question.plan, question.base, _arms(question, None), question.dataset)


def _arms(question: Question, order: Sequence[str] | None) -> ArmList:
    from rfe.ablation.arms import expand_arms

    return expand_arms(question.plan, question.base, question.dataset, order)


@dataclass
class _Runner:
    """Runs the studies of one ablation, several of them on one set of workers."""

    question: Question
    workspace: Workspace
    progress: Progress
    options: RunOptions
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
        outcome = _run(space, self.workspace, self.progress, self.options, opened=opened, fleet=self.fleet)
        return outcome.state != "stopped"

    def _start_fleet(self, source: str) -> None:
        from rfe.scratch import provide_home

        provide_home()  # before the imports: without a home Ray's raises an error
        from rfe.search.fleet import open_fleet
        from rfe.search.node_check import check_nodes
        from rfe.search.session import open_session

        self.progress.note("starting Ray and its workers")
        cache, question = self.workspace.cache, self.question
        opened = open_session(self.options.address, self.options.workers, self.progress.note)
        session = self.stack.enter_context(opened)
        self.fleet = self.stack.enter_context(open_fleet(session, cache))
        check_nodes(session, question.dataset, source, question.encoders, cache)


def _tune(
    question: Question, found: ArmList, workspace: Workspace, progress: Progress, run: _Runner
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
    from rfe.tracking.mlflow_server import one_line, retrying_server

    try:
        server = retrying_server(workspace)
        log_ablation(server, folder, result.to_dict(), arm_trials(folder), [*files, folder.arms])
    except Exception as error:  # of any kind the server's client has
        progress.note(f"the comparison is not shown in MLflow: {one_line(error, workspace.mlflow_uri)}")
