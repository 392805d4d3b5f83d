"""What trains: searches, single configurations, baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from rfe.errors import ConfigError
from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.search.options import RunArguments, RunOptions
from rfe.search.running import run_study
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.baselines.table import Baseline
    from rfe.config.schema import Config
    from rfe.data.dataset import Dataset
    from rfe.search.outcome import StudyOutcome
    from rfe.search.plan import SearchPlan
    from rfe.search_space import SearchSpace

Source = str | Path | Mapping[str, Any]
"""A file's path, the name of a ready-made one (`everything`, `baselines/concat_mlp`), or what such a file holds."""
DataSource: TypeAlias = "Path | str | Dataset"
"""A data folder, its URI, or what was loaded of one: then with the encoders that were loaded."""


def search(
    source: Source,
    data: DataSource | None = None,
    options: RunOptions = RunOptions(),
    *,
    study: str | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    progress: Progress | None = None,
    **arguments: Unpack[RunArguments],
) -> StudyOutcome:
    """Search a space, or resume the study of that name; takes the options of `rfe search`.

    Args:
        source: what is searched.
        data: the data folder; None: where the space says.
        options: how it is run.
        study: its name; None: the space's.
        overrides: `name=value`, as given with `--set`.
        workspace: where the study is kept.
        progress: told how it goes.
        arguments: fields of `options`, by name: `trials=50` is `options=RunOptions(trials=50)`.

    Raises:
        RfeError: of the leaf that names what is wrong; see `rfe.search.driver.run_search`.

    Examples:
        >>> rfe.api.search("everything", "my-data", trials=50, study="first")  # doctest: +SKIP
    """
    space = _placed(_load_space(source, overrides, study), data, study)
    workspace = workspace or open_workspace()
    return run_study(space, workspace, progress or SilentProgress(), _checked(replace(options, **arguments), workspace))


def plan_search(
    source: Source,
    data: DataSource | None = None,
    options: RunOptions = RunOptions(),
    *,
    study: str | None = None,
    overrides: Sequence[str] = (),
    workspace: Workspace | None = None,
    progress: Progress | None = None,
    **arguments: Unpack[RunArguments],
) -> SearchPlan:
    """Describe what `search` would do, with a measured time estimate; creates no study.

    Examples:
        >>> rfe.api.plan_search("everything", "my-data", trials=50, study="second").minutes  # doctest: +SKIP
    """
    from rfe.search.plan import plan

    space = _placed(_load_space(source, overrides, study), data, study)
    workspace = workspace or open_workspace()
    options = _checked(replace(options, **arguments), workspace)
    return plan(space, workspace, options, progress=progress or SilentProgress())


def train(
    source: Source | None = None,
    data: DataSource | None = None,
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

    The study has the file's name unless `study` says otherwise, or the bundle's where the file is a bundle's; that of a
    mapping is named by its content.

    Raises:
        ConfigError: neither or both are given, or the configuration is wrong.
        StudyError: there is no such study or trial.

    Examples:
        >>> rfe.api.train({"model.n_kept": 3}, "my-data")  # doctest: +SKIP
    """
    from rfe.config.identity import config_id
    from rfe.config.load import load_config
    from rfe.journal.study import read_trial, study_source
    from rfe.search_space.ready_made import find_space
    from rfe.submission.layout import MANIFEST
    from rfe.workspace import STUDY_NAME, find_study

    workspace = workspace or open_workspace()
    if (source is None) == (from_study is None) or (from_study is None) != (trial is None):
        raise ConfigError("give a configuration file, or --from STUDY and --trial N: one of the two")
    if isinstance(source, Mapping):
        config = load_config(source, overrides)
        name = f"configuration-{config_id(config)[:8]}"
    elif source is not None:
        path = find_space(source)
        config, name = load_config(path, overrides), path.stem
        bundle = path.absolute().parent
        if (bundle / MANIFEST).is_file() and STUDY_NAME.fullmatch(bundle.name):
            name = bundle.name  # every bundle's file has the same name
    else:
        folder = find_study(workspace, str(from_study))
        config = load_config(read_trial(folder, trial or 0), overrides)
        data, name = data or study_source(folder)[0], f"{from_study}-trial-{trial}"
    space = _placed(_space_of_one(config, name if study is None else study), data, study)
    return run_study(space, workspace, progress or SilentProgress(), RunOptions(workers=workers, address=address))


@needs("search")
def resume_study(
    name: str,
    data: Path | str | None = None,
    options: RunOptions = RunOptions(),
    *,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
    **arguments: Unpack[RunArguments],
) -> StudyOutcome:
    """Resume a study from its folder, which keeps its space, seed, data and last budget.

    Args:
        name: of the study.
        data: the data folder, where it is not where it was.
        options, workspace, progress, arguments: as `search`; without `trials` and `hours` as last time.

    Raises:
        StudyError: there is no such study, or a process works on it.
        ConfigError: the data folder is not there.

    Examples:
        >>> rfe.api.resume_study("first", trials=100)  # doctest: +SKIP
    """
    from rfe.journal.records import read_records
    from rfe.journal.study import read_journal
    from rfe.search.changes import StudyChanges
    from rfe.study import read_definition
    from rfe.workspace import find_study

    workspace = workspace or open_workspace()
    folder = find_study(workspace, name)
    settings = read_journal(folder).study.settings
    last = StudyChanges.read(read_records(folder.journal)).started_with or {}
    if last.get("trials") is None and last.get("hours") is None:
        last = {"trials": settings.get("budget.trials"), "hours": settings.get("budget.hours")}
    # as the last command asked for, so that what users changed since still holds
    options = replace(options, **arguments)
    options = replace(options, trials=options.trials or last["trials"], hours=options.hours or last["hours"])
    space = _placed(read_definition(folder.path).space, data or settings.get("data.path"), name)
    return run_study(space, workspace, progress or SilentProgress(), options)


def baselines(
    data: Path | str,
    *,
    only: Sequence[str] | None = None,
    encoders: Sequence[str] | None = None,
    target_actors: str = "auto",
    confirm: int = 5,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> list[Baseline]:
    """Train and score the baselines that a search must beat; see `rfe.baselines.table`.

    Args:
        data: the data folder.
        only, encoders: names; None: all.
        target_actors: what held-out folds tell of their actors.
        confirm: fresh seeds that train each one's best candidate again, so that a row has both of a study's numbers.

    Raises:
        ConfigError: `only` names no baseline.

    Examples:
        >>> rfe.api.baselines("my-data", only=["concat_mlp"])  # doctest: +SKIP
    """
    from rfe.baselines.table import run_baselines
    from rfe.data.cache import FeatureCache
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.resources import available_cpus

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    dataset = load_dataset(local_folder(data, workspace.cache), encoders)
    cache = FeatureCache(dataset, workspace.cache)
    progress.start("baselines")
    return run_baselines(
        dataset,
        cache,
        target_actors=target_actors,
        threads=available_cpus(),
        families=only,
        confirm=confirm,
        note=progress.note,
    )


# ---- shared


def _load_space(source: Source, overrides: Sequence[str], study: str | None) -> SearchSpace:
    from rfe.search_space.load import load_space
    from rfe.search_space.ready_made import find_space

    if isinstance(source, Mapping):
        return load_space(source if study is None else {**source, "study": study}, overrides)
    return load_space(find_space(source), overrides)


def _placed(space: SearchSpace, data: DataSource | None, study: str | None) -> SearchSpace:
    """The space with the name, and the absolute data folder or URI, that it will be searched under."""
    place, encoders = find_place(data)
    place = place or space.data.path
    if not place:
        raise ConfigError(f"study {space.study}: no data; name the data folder with --data (or data.path in the space)")
    changes = {"path": absolute_place(place), **({} if encoders is None else {"encoders": list(encoders)})}
    located = space.data.model_copy(update=changes)
    return space.model_copy(update={"data": located, "study": space.study if study is None else study})


def absolute_place(place: Path | str) -> str:
    """The absolute data folder, or the URI; raises ConfigError where it is neither, or holds a secret."""
    from rfe.data.remote import is_uri, refuse_secrets

    refuse_secrets(place, "--data")
    if is_uri(place):
        return str(place)
    if not (folder := Path(place).absolute()).is_dir():
        raise ConfigError(f"--data {place}: is not a folder; make one with `rfe data simulate` or `rfe data import`")
    return str(folder)


def find_place(data: DataSource | None) -> tuple[Path | str | None, tuple[str, ...] | None]:
    """(folder or URI, encoders) of data; encoders are None where they are all that the folder has."""
    if data is None or isinstance(data, str | Path):
        return data, None
    from rfe.data.dataset import list_encoders

    encoders = tuple(data.encoders)
    return data.path, None if encoders == list_encoders(data.path) else encoders


def _space_of_one(config: Config, name: str) -> SearchSpace:
    """Nothing to search: the study's one trial is the configuration."""
    from rfe.search_space.load import load_space

    return load_space({"study": name, "base": config.model_dump(), "budget": {"trials": 1}, "confirm": {"top": 0}})


def _checked(options: RunOptions, workspace: Workspace) -> RunOptions:
    """The same options; raises StudyError where `warm_start` names no study."""
    if options.warm_start is not None:
        from rfe.workspace import find_study

        find_study(workspace, options.warm_start)
    return options
