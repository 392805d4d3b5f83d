"""Plans a search: what it would do and an estimate of the time, without creating a study."""

import random
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

import torch

from rfe.config.identity import config_id
from rfe.config.load import change_config, flatten
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.caveats import TRANSDUCTIVE
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.remote import local_folder
from rfe.progress import Progress
from rfe.search.budget import plan_budget
from rfe.search.driver import define_checked
from rfe.search.open_trials import LEARNING
from rfe.search.options import RunOptions
from rfe.search.outcome import single_scores
from rfe.search_space import (
    ResolvedSpace,
    SearchSpace,
    alike_values,
    effective_config,
    grid_points,
    sample_params,
    space_size,
)
from rfe.search_space.dimensions import Value
from rfe.study import describe_opening
from rfe.study.definition import DEFINITION_FILE, StudyDefinition
from rfe.study.distinct import MOST_COUNTED
from rfe.study.gain import search_gain
from rfe.study.trials import read_history
from rfe.training.build import memory_bytes
from rfe.training.configurations import train_configurations
from rfe.workspace import StudyFolder, Workspace

SAMPLES, DRAWS = 4, 40
"""So many different configurations are looked for, in so many draws."""
SEED = 0
EPOCHS_TIMED = 4


@dataclass(frozen=True)
class SearchPlan:
    """What `rfe search --dry-run` prints."""

    study: str
    data: str
    fingerprint: str
    encoders: tuple[str, ...]
    caveats: tuple[str, ...]
    space: dict[str, str]
    """Parameter -> its range in words."""
    points: int | None
    """How many points the space has; None where a parameter is continuous."""
    configurations: int | None
    """How many different configurations these train; None where there are more points than are worth counting."""
    samples: tuple[dict[str, Any], ...]
    """Random effective configurations, all different, what is searched of them."""
    settings: dict[str, str]
    """The sampler, the pruner, what is maximised, and what another study's trials teach."""
    notes: tuple[str, ...]
    """Values that have no effect."""
    expected: tuple[str, ...]
    """What to expect: how a new study draws its trials, or how much an existing one has gained so far."""
    trials: int | None
    """Of a grid at most the configurations it has."""
    hours: float | None
    models: int
    """Models trained in all: trials x folds x seeds, and the confirmation's."""
    memory_mb: float
    """The largest sample's own need."""
    minutes: float
    """Estimate for one worker of this machine, from a few epochs of the samples; confirmation included."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


def plan(
    space: SearchSpace,
    workspace: Workspace,
    options: RunOptions = RunOptions(),
    *,
    progress: Progress,
) -> SearchPlan:
    """Resolve the space for its data, draw a few configurations and time one epoch of each.

    Args:
        space: names its data folder.
        workspace: where the study would be, or is; what is prepared in its cache is not prepared again by the search.
        options: as `run_search`.
        progress: told what is timed.

    Raises:
        ConfigError, DataError, StudyError: what the search itself would refuse.
    """
    budget, cache, folder = plan_budget(space, options), workspace.cache, workspace.study(space.study)
    dataset = load_dataset(local_folder(space.data.path or "", cache), space.data.encoders)
    definition = define_checked(space, dataset, folder, options.seed)
    resolved = definition.resolved
    learnt = describe_opening(folder.path, definition, options.earlier_study(workspace))
    points = space_size(resolved)
    every = list(grid_points(resolved)) if points is not None and points <= MOST_COUNTED else None
    configurations = None if every is None else len(every)
    configs = _draw(resolved, [params for params, _ in every or ()])
    folds = len(dataset.clips.folds)
    progress.start("timing a few epochs of a few configurations")
    start_s, epoch_s = _time(configs, FeatureCache(dataset, cache), dataset)
    progress.close()
    epochs = sum(config.train.epochs for config in configs) / len(configs)
    seeds = sum(config.train.seeds for config in configs) / len(configs)
    trials = budget.trials
    if space.sampler.kind == "grid":
        trials = sum(1 for _ in islice(grid_points(resolved), budget.trials))
    n = min(trials or 0, configurations or trials or 0)  # a copy is not trained again
    most = min((one for one in (trials, configurations) if one), default=space.confirm.top)
    confirmed = space.confirm.seeds * min(space.confirm.top, most)
    one_minutes = (start_s + epochs * epoch_s) / 60
    search_minutes = n * one_minutes
    if budget.hours is not None:
        search_minutes = min(search_minutes, 60 * budget.hours) if n else 60 * budget.hours
    return SearchPlan(
        study=space.study,
        data=f"{dataset.name} ({dataset.clips.n_source} training clips, {dataset.clips.n_target} target clips)",
        fingerprint=dataset.fingerprint,
        encoders=tuple(dataset.encoders),
        caveats=(*dataset.caveats, *([TRANSDUCTIVE] if resolved.is_transductive else [])),
        space={one.name: one.describe() for one in resolved.dimensions},
        points=points,
        configurations=configurations,
        samples=tuple(_searched(config, space) for config in configs),
        settings={
            "sampler": space.sampler.kind,
            "pruner": space.pruner.kind,
            "objective": " and ".join(space.objectives),
            **({"warm start from": learnt} if learnt else {}),
        },
        notes=alike_values(resolved),
        expected=_expected(definition, folder, trials),
        trials=trials,
        hours=budget.hours,
        models=int(n * folds * seeds) + confirmed * folds,
        memory_mb=max(memory_bytes(config, dataset) for config in configs) / 2**20,
        minutes=search_minutes + confirmed / seeds * one_minutes,
    )


def _expected(definition: StudyDefinition, folder: StudyFolder, trials: int | None) -> tuple[str, ...]:
    """In sentences; nothing of a grid, which is gone through."""
    sampler = definition.space.sampler
    if sampler.kind == "grid":
        return ()
    if (folder.path / DEFINITION_FILE).is_file():
        history = read_history(folder, definition)
        origins = {number: row.origin for number, row in history.rows.items()}
        gain = search_gain(single_scores(history.logs), origins)
        if gain is not None:
            return tuple(f"so far, {sentence}" for sentence in gain.sentences())
    if sampler.kind not in LEARNING:
        return ()
    first = len(definition.resolved.first_trials)
    drawn = max(0, sampler.startup_trials - first)
    if trials is not None and trials <= first + drawn:
        return (
            f"{sampler.kind} learns from trial {first + drawn} on, so a study of {trials} is random search; raise "
            "--trials, or lower sampler.startup_trials",
        )
    own = f"{first} first trial{'s' * (first != 1)} of the space, {drawn} drawn at random"
    return (f"{own} (used to estimate random search), then {sampler.kind} proposes",)


def _draw(resolved: ResolvedSpace, others: Iterable[dict[str, Value]]) -> list[Config]:
    """A few random configurations, all different; filled up from `others` where few others are drawn."""
    rng = random.Random(SEED)
    found: dict[str, Config] = {}
    for params in chain((sample_params(resolved, rng) for _ in range(DRAWS)), others):
        config = effective_config(resolved, params)
        found.setdefault(config_id(config), config)
        if len(found) == SAMPLES:
            break
    return list(found.values())


def _time(configs: list[Config], cache: FeatureCache, dataset: Dataset) -> tuple[float, float]:
    """Seconds of one configuration: (beside its epochs, for each epoch)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    seconds = []
    for epochs in (1, 1, 1 + EPOCHS_TIMED):  # the first prepares features and wakes torch
        short = [change_config(config, {"train.epochs": epochs}) for config in configs]
        began = time.perf_counter()
        train_configurations(short, dataset, cache, device=device, keep_weights=False)
        seconds.append((time.perf_counter() - began) / len(configs))
    epoch_s = max(0.0, seconds[2] - seconds[1]) / EPOCHS_TIMED
    return max(0.0, seconds[1] - epoch_s), epoch_s


def _searched(config: Config, space: SearchSpace) -> dict[str, Any]:
    return {name: value for name, value in flatten(config).items() if name in space.space}
