"""One study from its first cohort to its outcome. The driver is the only process that writes the study's files."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Event, Thread, main_thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rfe.config.load import build_config
from rfe.data.caveats import TRANSDUCTIVE
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.design import check_design, check_design_actors
from rfe.data.domains import resolve_target_actors
from rfe.data.remote import is_uri, local_folder
from rfe.decoding.candidates import check_ratios
from rfe.errors import ConfigError
from rfe.journal.events import StudyLog, TrialLog
from rfe.journal.records import read_events
from rfe.metrics.choice import LOG_LIKELIHOOD, objectives
from rfe.progress import Progress, SilentProgress
from rfe.scratch import provide_home
from rfe.search.budget import SESSION, Budget, plan_budget, spent_seconds
from rfe.search.changes import StudyChanges
from rfe.search.cluster import check_reachable, cluster_address
from rfe.search.interrupt import catch_interrupts
from rfe.search.notifying import keep_notified, prepare_notify
from rfe.search.options import RunOptions
from rfe.search.outcome import StudyOutcome
from rfe.search.preconditions import refuse_impossible
from rfe.search.session import Session, open_session
from rfe.search_space import ResolvedSpace, SearchSpace, alike_values
from rfe.search_space.effective import base_values
from rfe.secrets import redact_uri
from rfe.study import StudyDefinition, StudyStore, define_study, read_definition
from rfe.study.definition import DEFINITION_FILE
from rfe.suggestions import unknown
from rfe.tracking.base import NullTracker, Tracker
from rfe.tracking.code_changes import keep_code
from rfe.tracking.live import keep_live, stop_requested
from rfe.tracking.mirror import keep_mirror, open_mirror
from rfe.tracking.provenance import git_commit
from rfe.workspace import StudyFolder, Workspace

if TYPE_CHECKING:
    from rfe.search.fleet import Fleet


def run_search(
    space: SearchSpace,
    data: Path | str | None,
    workspace: Workspace,
    options: RunOptions = RunOptions(),
    *,
    progress: Progress | None = None,
    tracker: Tracker | None = None,
    fleet: "Fleet | None" = None,
    opened: Callable[[StudyFolder], None] = lambda folder: None,
) -> StudyOutcome:
    """Search `space`, or resume the study of that name.

    A space without searched fields is a fixed list of configurations: its `first_trials`, or the base alone.

    Args:
        space: what is searched; its `study` names the study.
        data: the data folder, or its URI; None: the space's own.
        workspace: where the study is kept.
        options: how it is run.
        progress: told how it goes; started here, closed by the caller.
        tracker: shows the study; closed by the caller.
        fleet: queue and workers to use, whatever `options` say of them; None: own ones.
        opened: called with the study's folder once it is sure that it is this study's.

    Returns:
        The outcome, also in the study's `outcome.json`. Its state is `stopped` after an interrupt.

    Raises:
        ConfigError, DataError, StudyError: the input is wrong, or the study was started differently.
        TrialError: no trial finished, or the workers are gone.
    """
    began = time.monotonic()
    provide_home()  # before the imports: without a home Ray's raises an error
    # Ray and torch are seconds of imports: meanwhile the input is read, what is wrong with it is said, and Ray starts
    ray_is_imported = Event()
    imports = Thread(target=_import_ahead, args=(ray_is_imported,), name="imports")
    imports.start()
    progress, tracker = progress or SilentProgress(), tracker or NullTracker()
    budget = plan_budget(space, options)
    if fleet is None:  # before there is a study's folder
        cluster = cluster_address(options.address)
        check_reachable(cluster) if cluster else refuse_impossible()
    folder = workspace.study(space.study)
    notify, channels = prepare_notify(space.notify, workspace.root)
    metric = space.objectives[0] if len(space.objectives) == 1 else "score"
    with ExitStack() as stacked:
        stacked.enter_context(keep_notified(notify, channels, folder, progress.note, metric))
        source = data or space.data.path
        if not source:
            raise ConfigError(f"study {space.study}: data: name the data folder with --data or data.path")
        encoders = None if space.data.encoders is None else tuple(space.data.encoders)
        source = str(source) if is_uri(source) else str(Path(source).absolute())
        dataset = load_dataset(local_folder(source, workspace.cache), encoders)
        definition = define_checked(space, dataset, folder, options.seed)
        for sentence in alike_values(definition.resolved):
            progress.note(sentence)
        mirror = open_mirror(folder, space.storage)
        earlier = options.earlier_study(workspace)
        store = stacked.enter_context(StudyStore.open(folder.path, definition, warm_start=earlier))
        if store.note:
            progress.note(store.note)
        journal = store.journal
        stacked.enter_context(keep_mirror(mirror, progress.note))
        opened(folder)
        spent_s = spent_seconds(journal.records())
        changes = StudyChanges.read(journal.records())
        session = uuid4().hex[:8]
        progress = stacked.enter_context(keep_live(folder, session, progress))
        planned: dict[str, Any] = {"trials": budget.trials, "hours": budget.hours, "workers": options.workers}
        changes.fold(journal.record(SESSION, host=socket.gethostname(), pid=os.getpid(), **planned))
        now, workers = changes.budget(budget), changes.changed.get("workers", options.workers)
        code = keep_code(folder, Path.cwd())
        if code.note:
            progress.note(code.note)
        log = _study_log(store, dataset, source, now, workers, session)
        log = replace(changes.describe(log, definition.resolved), code_commit=code.commit, code_diff=code.diff)
        tracker.start_study(journal.record_study(log))
        interrupt = stacked.enter_context(catch_interrupts(lambda: stop_requested(folder, session)))

        @cache
        def start_ray() -> Session:
            progress.note("starting Ray and its workers")
            ray_is_imported.wait()
            return stacked.enter_context(open_session(options.address, workers, progress.note))

        events = tuple(read_events(folder))
        if fleet is None and now.asks_for_more([one for one in events if isinstance(one, TrialLog)], spent_s):
            start_ray()
        imports.join()
        from rfe.search.fleet import open_fleet
        from rfe.search.node_check import check_nodes
        from rfe.search.study_run import StudyRun
        from rfe.search.trial_tracker import TrialTracker

        trial_tracker = TrialTracker(folder, store, tracker, dataset, encoders, source, changes)
        tracker.replay(events)

        def find_fleet() -> "Fleet":
            if fleet is not None:
                return fleet
            own = stacked.enter_context(open_fleet(start_ray(), workspace.cache))
            check_nodes(own.session, dataset, source, encoders, workspace.cache)
            return own

        study = StudyRun(
            space, budget, trial_tracker, journal, tracker, find_fleet, progress, interrupt, began, spent_s
        )
        return study.run()


def _import_ahead(ray_is_imported: Event) -> None:
    """What a search needs, its Ray first. What cannot be imported raises its error where it is used.

    The thread is no daemon: one that imports while the interpreter ends could abort the process. Where the search was
    refused meanwhile, and the program ends, it ends with the module that it is at.
    """
    for name in ("ray", "ray.tune", "ray.train", "torch", "rfe.search.study_run"):
        if name == "torch":
            ray_is_imported.set()
        if not main_thread().is_alive():
            break
        with suppress(Exception):
            import_module(name)
    ray_is_imported.set()


def define_checked(space: SearchSpace, dataset: Dataset, folder: StudyFolder, seed: int | None) -> StudyDefinition:
    """The study of a space on a data set that can be searched for it.

    Args:
        space: what is searched.
        dataset: on what.
        folder: of the study, which may be there already.
        seed: asked for; None: that of the study if it exists, else 0.

    Raises:
        ConfigError: what the space asks for is not to be had of these data, or of no configuration.
    """
    check_folds_first(space, dataset)
    check_objectives(space, dataset)
    definition = define_study(
        space, tuple(dataset.encoders), seed=study_seed(folder, seed), fingerprint=dataset.fingerprint
    )
    check_actors(definition.resolved, dataset)
    check_decoders(definition.resolved, dataset)
    return definition


def check_folds_first(space: SearchSpace, dataset: Dataset) -> None:
    """Raises ConfigError where no fold of the data would be left after the first ones."""
    first, n_folds = space.pruner.folds_first, len(dataset.clips.folds)
    if first is not None and first >= n_folds:
        raise ConfigError(
            f"study {space.study}: pruner.folds_first: {first}, but {dataset.path} has {n_folds} folds: at most "
            f"{n_folds - 1} can come first; lower it, or leave it out"
        )


def check_objectives(space: SearchSpace, dataset: Dataset) -> None:
    """Raises ConfigError where the space is searched for something that trials of this task do not log."""
    task = dataset.clips.task
    for name in space.objectives:
        if name == task.metric:
            raise ConfigError(f"study {space.study}: objective: {name} is the score of task {task.name!r}; write score")
        if name not in objectives(task):
            raise ConfigError(f"study {space.study}: {unknown('objective', name, objectives(task))}")
        if name == LOG_LIKELIHOOD and "official" in _protocols(space):
            raise ConfigError(
                f"study {space.study}: objective: {name} is cross-fitted, which protocol official is not; write score, "
                "or set protocol to crossfit"
            )


def _protocols(space: SearchSpace) -> tuple[Any, ...]:
    searched = space.space.get("protocol")
    return tuple(searched.choice or ()) if searched else (build_config(space.base, f"study {space.study}").protocol,)


def check_actors(resolved: ResolvedSpace, dataset: Dataset) -> None:
    """Raises ConfigError where the space standardises by actor and the data do not say who that is."""
    if dataset.clips.source_has_actors:
        return
    name = "data.standardize"
    searched = {one.name: one.choices for one in resolved.dimensions if one.name.startswith(name)}
    fixed = {f"{name}.{encoder}": value for encoder, value in base_values(resolved)[name].items()}
    values = [fixed[one] for one in fixed if not {one, name} & set(searched)]
    if "actor" in values or any("actor" in choices for choices in searched.values()):
        raise ConfigError(
            f"{name}: actor needs video_id for all training clips, which {dataset.path} lacks; add that column, or fix "
            f"it with --set {name}=fold (base: {{{name}: fold}} in the space)"
        )


def check_decoders(resolved: ResolvedSpace, dataset: Dataset) -> None:
    """Raises ConfigError where the space has a decoder that cannot tell the ratios of the data's blends apart, or one
    by a design that the data's actors do not share."""
    name = "decode.kind"
    for kind in resolved.values_of(name):
        if kind != "valid_states":
            remedy = f"fix it with --set {name}=valid_states (base: {{{name}: valid_states}} in the space)"
            check_ratios(dataset.clips.task, f"{name}: {kind}", remedy)
    if resolved.is_transductive:
        name = "decode.design"
        remedy = f"fix it with --set {name}=none (base: {{{name}: none}} in the space)"
        check_design(dataset, f"{name}: actor", remedy)
        for value in () if resolved.arms else resolved.values_of("data.target_actors"):  # an arm was checked as it is
            check_design_actors(resolve_target_actors(str(value), dataset.clips), f"{name}: actor", dataset, remedy)


def study_seed(folder: StudyFolder, seed: int | None) -> int:
    """The seed asked for, else that of the study if it exists, else 0."""
    if seed is not None:
        return seed
    return read_definition(folder.path).seed if (folder.path / DEFINITION_FILE).exists() else 0


def _study_log(
    store: StudyStore, dataset: Dataset, source: str, budget: Budget, workers: int | None, session: str
) -> StudyLog:
    definition = store.definition
    space = definition.space
    learnt = {"warm_start": f"{definition.warm_start} ({store.n_earlier} trials)"} if definition.warm_start else {}
    return StudyLog(
        study=space.study,
        session=session,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        git_commit=git_commit(),
        simulated=dataset.simulated,
        caveats=(*dataset.caveats, *([TRANSDUCTIVE] if definition.resolved.is_transductive else [])),
        settings={
            "objective": space.objective,
            "sampler": space.sampler.kind,
            "pruner": space.pruner.kind,
            "seed": definition.seed,
            **learnt,
            "budget.trials": budget.trials,
            "budget.hours": budget.hours,
            "workers": workers,
            "confirm.top": space.confirm.top,
            "confirm.seeds": space.confirm.seeds,
            "data.path": redact_uri(source),
            "data.encoders": list(dataset.encoders),
        },
        space={one.name: one.describe() for one in definition.resolved.dimensions},
    )
