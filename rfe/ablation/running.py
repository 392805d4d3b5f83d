"""An ablation from its plan to its tables: the studies that it takes, on one set of workers, then the comparison."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rfe.ablation.arms import BASE, ArmList, expand_arms
from rfe.ablation.encoder_value import measure_encoders
from rfe.ablation.order import order_space, read_order
from rfe.ablation.result import AblationResult, read_ablation, write_tables
from rfe.ablation.study import UNTUNED, Choice, Question, prepare_ablation, write_arms
from rfe.ablation.trials import arm_trials
from rfe.ablation.tuning import choose_by_other_folds, tuning_space
from rfe.config.identity import config_id
from rfe.config.load import change_config
from rfe.data.cache import FeatureCache
from rfe.errors import StudyError, TrialError
from rfe.progress import Progress
from rfe.search.options import RunOptions
from rfe.search.running import StudySeries
from rfe.search_space import normalize
from rfe.tracking.ablations import log_ablation
from rfe.tracking.mlflow_server import one_line, retrying_server
from rfe.workspace import StudyFolder, Workspace


def run_ablation(
    question: Question, workspace: Workspace, options: RunOptions, progress: Progress
) -> AblationResult | None:
    """Run the studies that a plan needs, or what is left of them, and compare; None after an interrupt.

    Raises:
        ConfigError, StudyError, TrialError: as `rfe.api.ablate`.
    """
    plan, dataset, choices = question.plan, question.dataset, None
    found = expand_arms(plan, question.base, dataset)
    prepare_ablation(question, found)  # what is wrong with the plan is said before anything is trained
    order: tuple[str, ...] = ()
    by_value = plan.encoders_in_order == "value"
    with ExitStack() as stack:
        several = by_value or plan.retune is not None
        studies = StudySeries(dataset, question.place, question.encoders, workspace, progress, options, stack, several)
        if by_value:
            space = order_space(question)
            if not studies.run(space):
                return None
            order = read_order(workspace.study(space.study), space)
            found = expand_arms(plan, question.base, dataset, order)
        if plan.retune is not None:
            if (tuned := _tune(question, found, studies)) is None:
                return None
            found, choices = tuned
        ablation = prepare_ablation(question, found, choices, order)
        if not studies.run(ablation.space, lambda folder: write_arms(folder, ablation)):
            return None
    folder = workspace.study(plan.name)
    if plan.encoder_value:
        progress.note("masking and permuting each encoder of the base's models")
        measure_encoders(folder, dataset, FeatureCache(dataset, workspace.cache))
    result = read_ablation(folder, dataset)
    _show(workspace, folder, result, write_tables(folder, result), progress)
    return result


def _tune(
    question: Question, found: ArmList, studies: StudySeries
) -> tuple[ArmList, dict[str, Sequence[Choice]]] | None:
    """The arms that could be tuned, and what was chosen for each; None after an interrupt."""
    choices: dict[str, Sequence[Choice]] = {}
    left_out = dict(found.left_out)
    by_config: dict[tuple[str, tuple[str, ...]], Sequence[Choice]] = {}
    for number, arm in enumerate(found.arms):
        config = normalize(change_config(question.base, dict(arm.changes)), tuple(question.dataset.encoders))
        space = tuning_space(question, arm, number)
        if space is None:
            choices[arm.name] = UNTUNED
            continue
        key = (config_id(config), tuple(space.space))  # points of curves may be one configuration
        if key not in by_config:
            studies.progress.note(f"tuning {arm.name}: {number + 1} of {len(found.arms)}")
            try:
                if not studies.run(space):
                    return None
                folder = studies.workspace.study(space.study)
                by_config[key] = choose_by_other_folds(folder, space, question.dataset)
            except (TrialError, StudyError) as error:
                if arm.name == BASE or studies.fleet is None or studies.fleet.ended:
                    raise
                left_out[arm.name] = f"tuning failed: {error}"
                continue
        choices[arm.name] = by_config[key]
    arms = tuple(arm for arm in found.arms if arm.name in choices)
    return replace(found, arms=arms, left_out=left_out), choices


def _show(
    workspace: Workspace, folder: StudyFolder, result: AblationResult, files: Sequence[Path], progress: Progress
) -> None:
    """Show the comparison in MLflow; a tracking server that is away is no reason to lose an ablation."""
    try:
        server = retrying_server(workspace)
        log_ablation(server, folder, result.to_dict(), arm_trials(folder), [*files, folder.arms])
    except Exception as error:  # of any kind the server's client has
        progress.note(f"the comparison is not shown in MLflow: {one_line(error, workspace.mlflow_uri)}")
