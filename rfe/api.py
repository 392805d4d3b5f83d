"""One function for each command: the command line parses and prints, a notebook calls these.

Heavy libraries are imported by the functions that need them, so that asking for help costs nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.errors import ConfigError
from rfe.progress import Progress, SilentProgress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.config.schema import Config
    from rfe.data.check import CheckReport
    from rfe.data.importing import ImportReport
    from rfe.data.series import Aggregation
    from rfe.data.simulate import SimulationSpec
    from rfe.reporting.baselines import Baseline
    from rfe.reporting.plan import SearchPlan
    from rfe.reporting.studies import StudyDetail, StudySummary
    from rfe.search.job import Job
    from rfe.search.jobs import JobState, Submission
    from rfe.search.outcome import StudyOutcome
    from rfe.search_space import SearchSpace
    from rfe.submission.scoring import FileScore
    from rfe.training.record import TrialResult

Source = str | Path
"""A file's path, or the name of a ready-made one (`everything`, `baselines/concat_mlp`)."""


# ---- data


def simulate_data(spec: SimulationSpec, output: Path, *, progress: Progress | None = None) -> Path:
    """Write a simulated data folder; see `rfe.data.simulate`."""
    from rfe.data.simulate import simulate

    return simulate(spec, output, progress)


def import_data(folder: Path, output: Path, *, progress: Progress | None = None) -> ImportReport:
    """Make a data folder of the published record's folders; see `rfe.data.importing`."""
    from rfe.data.importing import import_published

    return import_published(folder, output, progress=progress)


def aggregate_data(
    folders: Sequence[Path], output: Path, *, encoder: str | None = None, progress: Progress | None = None
) -> Aggregation:
    """Make one feature file of folders of per-clip time series; see `rfe.data.series`."""
    from rfe.data.series import aggregate_series

    return aggregate_series(folders, output, encoder=encoder, progress=progress)


def check_data(folder: Path) -> CheckReport:
    """Describe a data folder and find what would spoil a result; see `rfe.data.check`."""
    from rfe.data.check import check_folder

    return check_folder(folder)


# ---- searching


def search(
    source: Source,
    data: Path | str | None = None,
    *,
    study: str | None = None,
    trials: int | None = None,
    hours: float | None = None,
    workers: int | None = None,
    seed: int | None = None,
    address: str | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> StudyOutcome:
    """Search a space, or go on with the study of its name; arguments as the options of `rfe search`.

    Raises:
        RfeError: of the leaf that names what is wrong; see `rfe.search.driver.run_search`.
    """
    from rfe.search_space.load import load_space
    from rfe.search_space.ready_made import find_space

    space = _placed(load_space(find_space(source), overrides), data, study)
    options: dict[str, Any] = {"trials": trials, "hours": hours, "workers": workers, "seed": seed, "address": address}
    return _run(space, workspace, progress, **options)


def plan_search(
    source: Source,
    data: Path | str | None = None,
    *,
    study: str | None = None,
    trials: int | None = None,
    hours: float | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> SearchPlan:
    """What `search` would do, with a measured estimate of how long it takes; no study is begun."""
    from rfe.reporting.plan import plan
    from rfe.search_space.load import load_space
    from rfe.search_space.ready_made import find_space

    space = _placed(load_space(find_space(source), overrides), data, study)
    cache = (workspace or open_workspace()).cache
    return plan(space, cache, trials=trials, hours=hours, progress=progress or SilentProgress())


def train(
    source: Source | None = None,
    data: Path | str | None = None,
    *,
    from_study: str | None = None,
    trial: int | None = None,
    study: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> StudyOutcome:
    """Cross-validate one configuration as a study of one trial: that of a file, or of a study's trial.

    Raises:
        ConfigError: neither or both are given, or the configuration is wrong.
        StudyError: there is no such study or trial.
    """
    from rfe.config.load import load_config
    from rfe.reporting.studies import find_study, read_trial, study_source
    from rfe.search_space.ready_made import find_space

    workspace = workspace or open_workspace()
    if (source is None) == (from_study is None) or (from_study is None) != (trial is None):
        raise ConfigError("give a configuration file, or --from STUDY and --trial N: one of the two")
    if source is not None:
        path = find_space(source)
        config, name = load_config(path, overrides), path.stem
    else:
        folder = find_study(workspace, str(from_study))
        config = load_config(read_trial(folder, trial or 0), overrides)
        data, name = data or study_source(folder)[0], f"{from_study}-trial-{trial}"
    space = _placed(_space_of_one(config, name), data, study)
    return _run(space, workspace, progress, workers=workers, address=address)


def baselines(
    data: Path | str,
    *,
    only: Sequence[str] | None = None,
    encoders: Sequence[str] | None = None,
    target_actors: str = "auto",
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> list[Baseline]:
    """Train and score what a search must beat; see `rfe.reporting.baselines`.

    Raises:
        ConfigError: `only` names no baseline.
    """
    from rfe.data.cache import FeatureCache
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.reporting.baselines import run_baselines
    from rfe.search.session import available_cpus

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    dataset = load_dataset(local_folder(data, workspace.cache), encoders)
    cache = FeatureCache(dataset, workspace.cache)
    progress.start("baselines")
    return run_baselines(
        dataset, cache, target_actors=target_actors, threads=available_cpus(), families=only, note=progress.note
    )


# ---- results


def list_studies(workspace: Workspace | None = None) -> list[StudySummary]:
    """Every study of the workspace, the one changed last first."""
    from rfe.reporting.studies import summarize_study

    workspace = workspace or open_workspace()
    summaries = [summarize_study(workspace.study(name)) for name in workspace.study_names()]
    return sorted(summaries, key=lambda summary: -summary.changed)


def show_study(name: str, workspace: Workspace | None = None, *, top: int = 20, sort: str = "score") -> StudyDetail:
    """One study with its best trials; see `rfe.reporting.studies`."""
    from rfe.reporting.studies import describe_study, find_study

    return describe_study(find_study(workspace or open_workspace(), name), top=top, sort=sort)


def export(
    study: str,
    data: Path | str | None = None,
    *,
    trial: int | None = None,
    output: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the bundle of a study's best (confirmed) trial, or of one trial; see `rfe.submission.export`.

    Args:
        study: its name.
        data: the data folder; None: where it was when the study was searched.

    Returns:
        The bundle's folder.
    """
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.reporting.studies import find_study, study_source
    from rfe.submission.export import export_study

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    source, encoders = study_source(find_study(workspace, study))
    dataset = load_dataset(local_folder(data or source, workspace.cache), encoders)

    def retrain(config: Config) -> TrialResult:
        from rfe.data.cache import FeatureCache
        from rfe.training.configurations import train_configurations

        progress.start("training the configuration again: the study did not keep its weights")
        return train_configurations([config], dataset, FeatureCache(dataset, workspace.cache))[0]

    return export_study(workspace, study, dataset, trial=trial, output=output, retrain=retrain)


def verify(path: Path, data: Path | str | None = None) -> dict[str, Any]:
    """Check a bundle's folder, or a submission file on its own; with `data`, that every target clip is answered.

    Returns:
        The bundle's manifest, or `{"clips": N}` of a submission.

    Raises:
        SubmissionError: with every fault found.
    """
    from rfe.submission.validate import verify_submission
    from rfe.submission.verification import verify_bundle

    names = None if data is None else _target_names(Path(data))
    if path.is_file():
        return {"clips": verify_submission(path, names)}
    return verify_bundle(path, names)


def score(path: Path, data: Path | str) -> FileScore:
    """The official metrics, with intervals, of a submission or of an `.npz` of probabilities."""
    from rfe.data.dataset import load_dataset
    from rfe.submission.scoring import score_file

    return score_file(path, load_dataset(Path(data), need_source=False))


def show_ui(
    workspace: Workspace | None = None,
    *,
    port: int = 5000,
    tracking_uri: str | None = None,
    note: Callable[[str], None] = print,
) -> None:
    """Show the runs in a browser until interrupted; see `rfe.tracking.ui`. Runs that a killed search left open are
    closed first."""
    from rfe.tracking.mlflow_tracker import close_stale_runs
    from rfe.tracking.ui import serve_ui

    workspace = workspace or open_workspace()
    if tracking_uri is None:
        for study in close_stale_runs(workspace):
            note(f"study {study} was interrupted: its open runs are closed")
    serve_ui(workspace, port, tracking_uri, note)


# ---- the whole path


@dataclass(frozen=True)
class DemoResult:
    """Where the demo left what it made."""

    check: CheckReport
    outcome: StudyOutcome
    bundle: Path | None
    """None where the search was interrupted."""


def demo(
    output: Path | None = None, *, workspace: Workspace | None = None, progress: Progress | None = None
) -> DemoResult:
    """Simulate, check, search and export. What is there of an earlier demo is used again.

    Args:
        output: for data and bundle; default `demo` in the workspace.
    """
    from rfe.data.simulate import SimulationSpec

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    output = output or workspace.root / "demo"
    data = output / "data"
    if not (data / "truth.json").is_file():  # written last
        shutil.rmtree(data, ignore_errors=True)
        simulate_data(SimulationSpec(), data, progress=progress)
        progress.close()
    check = check_data(data)
    outcome = search("demo", data, workspace=workspace, progress=progress)
    if outcome.state == "stopped":
        return DemoResult(check, outcome, None)
    progress.start("export")
    return DemoResult(check, outcome, export("demo", data, output=output / "bundle", workspace=workspace))


# ---- shared


def _placed(space: SearchSpace, data: Path | str | None, study: str | None) -> SearchSpace:
    """The space with the name, and the absolute data folder or URI, that it will be searched under."""
    from rfe.data.remote import is_uri

    source = data or space.data.path
    if not source:
        raise ConfigError(f"study {space.study}: no data; name the data folder with --data (or data.path in the space)")
    if not is_uri(source):
        source = Path(source).absolute()
        if not source.is_dir():
            raise ConfigError(
                f"--data {data or space.data.path}: is not a folder; "
                "make one with `rfe data simulate` or `rfe data import`"
            )
    located = space.data.model_copy(update={"path": str(source)})
    return space.model_copy(update={"data": located, "study": study or space.study})


def _target_names(data: Path) -> list[str]:
    from rfe.data.metadata import read_clips

    clips = read_clips(data, need_source=False)
    return [str(name) for name in clips.filename[clips.target]]


def _space_of_one(config: Config, name: str) -> SearchSpace:
    """Nothing to search: the study's one trial is the configuration."""
    from rfe.search_space.load import load_space

    return load_space({"study": name, "base": config.model_dump(), "budget": {"trials": 1}, "confirm": {"top": 0}})


def _run(space: SearchSpace, workspace: Workspace | None, progress: Progress | None, **options: Any) -> StudyOutcome:
    from rfe.search.driver import run_search
    from rfe.tracking.mlflow_tracker import MlflowTracker

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    tracker = MlflowTracker(workspace, workspace.study(space.study), progress.note, space.keep_top)
    try:
        return run_search(space, None, workspace, progress=progress, tracker=tracker, **options)
    finally:
        if left := tracker.close():
            progress.note(left)
        progress.close()


# ---- jobs


def plan_job(
    source: Path | Sequence[str],
    *,
    address: str | None = None,
    name: str | None = None,
    workspace: Path | None = None,
) -> Job:
    """The job that `submit` would submit: of a YAML file, or of a command's words; see `rfe.search.job.load_job`."""
    from rfe.search.job import load_job

    return load_job(source, address=address, name=name, workspace=workspace)


def submit(job: Job, *, new: bool = False) -> Submission:
    """Submit a job to its cluster, or attach to the one of its name, and wait until it runs.

    Args:
        job: as `plan_job` gives it.
        new: submit another one, under the name with the next free number.

    Raises:
        ConfigError: no cluster, or none with room for the job within its `pending_timeout_s`.
    """
    from dataclasses import replace

    from rfe.search.jobs import open_jobs

    jobs = open_jobs(job.address)
    submission = jobs.submit(job, new=new)
    return replace(submission, state=jobs.wait_started(submission.state.name, job.pending_timeout_s))


def follow_job(name: str, write: Callable[[str], None], *, address: str | None = None) -> JobState:
    """Pass a job's output to `write`, from its beginning, until the job ends."""
    from rfe.search.jobs import open_jobs

    return open_jobs(address).follow(name, write)


def list_jobs(*, address: str | None = None) -> list[JobState]:
    """The jobs of a cluster, the one submitted last first."""
    from rfe.search.jobs import open_jobs

    return open_jobs(address).all()


def show_job(name: str, *, address: str | None = None) -> JobState:
    """One job of a cluster."""
    from rfe.search.jobs import open_jobs

    return open_jobs(address).find(name)


def job_logs(name: str, *, address: str | None = None) -> str:
    """All that a job has printed so far."""
    from rfe.search.jobs import open_jobs

    return open_jobs(address).logs(name)


def stop_job(name: str, *, address: str | None = None) -> JobState:
    """End a job as Ctrl-C would, and wait for its end; what it trained is kept."""
    from rfe.search.jobs import open_jobs

    return open_jobs(address).stop(name)
