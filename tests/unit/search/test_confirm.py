"""Fresh seeds are fresh, and seeds trained apart read like one configuration with several."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from rfe.config.load import change_config, flatten
from rfe.config.schema import LARGEST_SEED, Config
from rfe.data.dataset import load_dataset
from rfe.journal.events import TrialLog
from rfe.progress import SilentProgress
from rfe.search.confirm import FIRST_FRESH_SEED, confirm_best, first_fresh_seed, in_a_row, merge_seeds, with_seed
from rfe.search.work import Updates, WorkItem, WorkQueueStatus
from rfe.search.work_queue import WorkQueue
from rfe.search_space import load_space
from rfe.training.record import TrialResult
from tests.integration.fakes import fake_result, write_data


def log(**changes: int) -> TrialLog:
    names = {f"train.{name}": value for name, value in changes.items()}
    return TrialLog("s", 0, "complete", "id", flatten(change_config(Config(), names)))


def test_fresh_seeds_lie_beyond_all_that_were_used() -> None:
    assert first_fresh_seed([log(), log(seed=3, seeds=2)]) == FIRST_FRESH_SEED
    assert first_fresh_seed([log(), log(seed=2000, seeds=3)]) == 2003
    assert first_fresh_seed([log(data_seed=5000)]) == 5001
    assert first_fresh_seed([log(data_seed=5000, seeds=3)]) == 5003  # each seed has its own order of the data


def test_fresh_seeds_of_a_search_with_the_largest_ones_are_seeds_too() -> None:
    """Those that follow the largest seed would be refused as configurations after the whole search."""
    used = [log(seed=LARGEST_SEED), log(seed=1002, seeds=2), log(data_seed=1009)]
    assert first_fresh_seed(used, 2) == FIRST_FRESH_SEED
    assert first_fresh_seed(used, 3) == 1004
    assert first_fresh_seed(used, 6) == 1010
    assert with_seed(Config(), first_fresh_seed(used, 5)).train.seed == 1004


def test_a_fresh_seed_orders_the_data_too() -> None:
    config = with_seed(change_config(Config(), {"train.seeds": 4, "train.lr": 0.01}), 1001)
    assert (config.train.seed, config.train.seeds, config.train.data_seed) == (1001, 1, 1001)
    assert config.train.lr == 0.01


def test_merged_seeds_equal_one_configuration_with_several(tmp_path: Path) -> None:
    dataset = load_dataset(write_data(tmp_path / "data"))
    config = change_config(Config(), {"train.seed": 7, "train.seeds": 3})
    whole = fake_result(config, dataset)
    apart = [fake_result(change_config(config, {"train.seed": seed, "train.seeds": 1}), dataset) for seed in (7, 8, 9)]
    merged = merge_seeds(apart)
    for name in ("seeds", "predicted_state", "fused", "target_fused", "kept", "gate_scores"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name), name)
    np.testing.assert_allclose(merged.totals["score"], whole.totals["score"])
    assert merged.score == pytest.approx(whole.score)
    assert merged.acc_salience == pytest.approx(whole.acc_salience)
    assert merged.weights is not None
    assert merged.weights.keys() == (whole.weights or {}).keys()


@pytest.mark.parametrize(
    ("left", "named"),
    [([1000, 1001, 1002], [1000, 1001, 1002]), ([1000, 1002, 1003], [1002, 1003]), ([1000, 1002], [1000])],
)
def test_a_seed_that_failed_leaves_a_run_that_a_configuration_can_name(left: list[int], named: list[int]) -> None:
    results = [TrialResult("id", "complete", seeds=np.array([seed])) for seed in left]
    assert [int(one.seeds[0]) for one in in_a_row(results)] == named


class Replaced:
    """A queue whose process is lost once, with all that it knew, and whose one worker fails each item at once."""

    def __init__(self) -> None:
        self.queue, self.n_collected = WorkQueue(), 0

    def offer(self, cohort: str, items: list[WorkItem]) -> None:
        self.queue.offer(cohort, items)

    def collect(self, study: str, timeout_s: float) -> Updates:
        self.n_collected += 1
        if self.n_collected == 1:
            self.queue = WorkQueue()
            return Updates((), ())
        for one in self.queue.take("w", 1e9, 8).items:
            self.queue.finish("w", one.key, TrialResult("id", "failed", "planted"))
        return self.queue.collect(study)

    def cancel(self, run: str) -> None:
        self.queue.cancel(run)

    def status(self) -> WorkQueueStatus:
        return self.queue.status()


class Slow(Replaced):
    """A queue whose workers are an epoch further at each look."""

    def collect(self, study: str, timeout_s: float) -> Updates:
        self.n_collected += 1
        if self.n_collected == 1:
            self.leased = [one.key for one in self.queue.take("w", 1e9, 8).items]
        self.queue.heartbeat("w", dict.fromkeys(self.leased, self.n_collected))
        if self.n_collected == 4:
            self.queue.finish("w", self.leased[0], TrialResult("id", "failed", "planted"))
        return self.queue.collect(study)


def test_epochs_are_told_before_the_first_seed_ends() -> None:
    """For minutes nothing but `0 of 25` was shown."""
    told: list[Any] = []

    class Noted(SilentProgress):
        def start(self, title: str, total: int | None = None) -> None:
            told.append(total)

        def update(self, status: Any) -> None:
            told.append(status)

    space = load_space({"study": "s", "space": {"train.lr": {"choice": [0.1]}}, "confirm": {"top": 1, "seeds": 2}})
    best = log(epochs=10)
    trial_tracker = SimpleNamespace(logs={0: best}, work_item=lambda key, config, **options: WorkItem(key, {}, "/data"))
    queue = Slow()
    fleet = SimpleNamespace(queue=queue, ended=False)
    list(
        confirm_best(
            [best], space, cast(Any, trial_tracker), cast(Any, fleet), cast(Any, Noted()), lambda: queue.n_collected > 5
        )
    )
    assert told == [20, 0, 2, 4, 6, 14, 15, 10]


def test_a_pool_that_was_started_anew_is_offered_what_it_does_not_know() -> None:
    space = load_space({"study": "s", "space": {"train.lr": {"choice": [0.1]}}, "confirm": {"top": 1, "seeds": 2}})
    best = log()
    trial_tracker = SimpleNamespace(logs={0: best}, work_item=lambda key, config, **options: WorkItem(key, {}, "/data"))
    queue = Replaced()
    fleet = SimpleNamespace(queue=queue, ended=False)
    confirmed = confirm_best(
        [best], space, cast(Any, trial_tracker), cast(Any, fleet), SilentProgress(), lambda: queue.n_collected > 10
    )
    assert list(confirmed) == []  # both seeds failed
    assert queue.n_collected == 2


def test_trials_are_confirmed_one_after_another(tmp_path: Path) -> None:
    dataset = load_dataset(write_data(tmp_path / "data"))

    class Done(Replaced):
        def collect(self, study: str, timeout_s: float) -> Updates:
            self.n_collected += 1
            for one in self.queue.take("w", 1e9, 1).items:
                self.queue.finish("w", one.key, fake_result(Config.model_validate(one.config), dataset))
            return self.queue.collect(study)

    space = load_space({"study": "s", "space": {"train.lr": {"choice": [0.1]}}, "confirm": {"top": 2, "seeds": 1}})
    best = [log(), replace(log(), number=1)]
    trial_tracker = SimpleNamespace(
        logs=dict(enumerate(best)),
        dataset=dataset,
        work_item=lambda key, config, **options: WorkItem(key, config.model_dump(), "/data"),
    )
    queue = Done()
    fleet = SimpleNamespace(queue=queue, ended=False)
    confirmed = confirm_best(
        best, space, cast(Any, trial_tracker), cast(Any, fleet), SilentProgress(), lambda: queue.n_collected > 10
    )
    assert [(one.number, one.seeds) for one in confirmed] == [(0, (1000,)), (1, (1000,))]
