"""A tiny data set, and studies run in this process: no Ray, training in earnest or by a quick stand-in."""

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rfe.config.identity import config_id
from rfe.config.load import dump_config, flatten
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.journal.events import StudyLog
from rfe.journal.journal import Journal
from rfe.search.options import RunOptions
from rfe.search_space import ARM, SearchSpace, effective_config, resolve, sample_params
from rfe.search_space.grid import grid_points
from rfe.tracking.contents import describe_trial
from rfe.training.configurations import train_configurations
from rfe.training.record import TrialResult
from rfe.workspace import StudyFolder, Workspace
from tests.integration.fakes import fake_result

Train = Callable[[list[Config], Dataset, Path], list[TrialResult]]


def train_truly(configs: list[Config], dataset: Dataset, cache: Path) -> list[TrialResult]:
    return train_configurations(configs, dataset, FeatureCache(dataset, cache), threads=1)


def pretend(configs: list[Config], dataset: Dataset, cache: Path) -> list[TrialResult]:
    """Better the nearer the learning rate is to 0.003; 1.0 fails; another seed is other luck."""
    return [fake_result(config, dataset) for config in configs]


def use(monkeypatch: pytest.MonkeyPatch, train: Train, ran: list[SearchSpace] | None = None) -> None:
    """Have ablations train by `train`, without Ray and MLflow; their studies are added to `ran`."""
    monkeypatch.setattr("rfe.search.running.run_study", run_here(train, ran))
    monkeypatch.setattr("rfe.search.running.StudySeries._start_workers", lambda self: None)
    monkeypatch.setattr("rfe.ablation.running._show", lambda *given: None)


def run_here(train: Train, ran: list[SearchSpace] | None = None) -> Callable[..., Any]:
    """A stand-in for `rfe.search.running.run_study`; a study that was run before is left as it is."""

    def run(
        space: SearchSpace,
        workspace: Workspace,
        progress: Any,
        options: RunOptions,
        *,
        opened: Callable[[StudyFolder], None] = lambda folder: None,
        **given: Any,
    ) -> Any:
        if ran is not None:
            ran.append(space)
        folder = workspace.study(space.study)
        if folder.journal.is_file():
            opened(folder)
            return SimpleNamespace(state="finished")
        dataset = load_dataset(Path(str(space.data.path)), space.data.encoders)
        resolved = resolve(space, tuple(dataset.encoders))
        if space.arms:
            points = [point for point, _ in grid_points(resolved)]
        else:
            rng = random.Random(1)
            drawn = [{**sample_params(resolved, rng), **first} for first in resolved.first_trials]
            n = space.budget.trials or 0
            points = [*drawn, *(sample_params(resolved, rng) for _ in range(n - len(drawn)))]
        configs = [effective_config(resolved, point) for point in points]
        folder.path.mkdir(parents=True, exist_ok=True)
        opened(folder)
        with Journal(folder, space.keep_top) as journal:
            settings = {"data.path": str(space.data.path)}
            journal.record_study(StudyLog(space.study, data_fingerprint=dataset.fingerprint, settings=settings))
            for number, result in enumerate(train(configs, dataset, workspace.cache)):
                config = configs[number]
                arm = str(points[number].get(ARM, ""))
                tags = {**({"arm": arm} if arm else {}), **({"keep": "weights"} if arm in space.keep_arms else {})}
                assert result.config_id == config_id(config)
                encoders = tuple(dataset.encoders)
                log = describe_trial(
                    space.study,
                    number,
                    result,
                    flatten(config),
                    dump_config(config),
                    dataset.clips,
                    encoders,
                    tags=tags,
                )
                journal.record_trial(log)
        return SimpleNamespace(state="finished")

    return run
