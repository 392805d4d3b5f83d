"""Retrains the best trials with seeds the search never used, so that selection does not inflate their scores."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np

from rfe.config.load import change_config, dump_config, flatten, load_config
from rfe.config.schema import LARGEST_SEED, Config
from rfe.journal.events import ConfirmationLog, TrialLog
from rfe.progress import Progress
from rfe.search.fleet import Fleet, describe_failed_starts
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import WorkItem
from rfe.search_space import SearchSpace
from rfe.tracking.contents import describe_trial
from rfe.training.record import TrialResult

FIRST_FRESH_SEED = 1000
POLL_S = 0.3


def confirm_best(
    best: Sequence[TrialLog],
    space: SearchSpace,
    trial_tracker: TrialTracker,
    fleet: Fleet,
    progress: Progress,
    interrupted: Callable[[], bool],
) -> Iterator[ConfirmationLog]:
    """Train the best trials with fresh seeds, each seed with its own order of the data.

    Args:
        best: trials to confirm, best first; at least one.
        space: says how many seeds.
        trial_tracker: of the study.
        fleet: trains.
        progress: told of the epochs trained, of all seeds.
        interrupted: asked now and then whether to leave off.

    Yields:
        A trial's confirmation as soon as all its seeds ended; a seed that failed is left out, with a note, and so are
        seeds that it parts from the others.
    """
    first = first_fresh_seed(trial_tracker.logs.values(), space.confirm.seeds)
    seeds = range(first, first + space.confirm.seeds)
    plan: dict[str, tuple[TrialLog, Config]] = {}
    for log in best:
        for seed in seeds:
            config = with_seed(load_config(log.config), seed)
            plan[f"{space.study}/{log.number}/seed{seed}"] = (log, config)
    epochs_of = {key: config.train.epochs for key, (_, config) in plan.items()}
    n_epochs = sum(epochs_of.values())
    progress.start(f"confirm {space.study}: {len(best)} trials, {len(seeds)} fresh seeds, epochs", n_epochs)
    items: list[WorkItem] = [
        trial_tracker.work_item(
            key,
            config,
            limit_s=60 * space.limits.trial_minutes,
            retries=space.limits.retries,
            keep_weights=True,
        )
        for key, (_, config) in plan.items()
    ]
    run = f"confirm-{uuid4().hex[:8]}"
    waiting = set(plan)
    results: dict[str, TrialResult] = {}
    while waiting and not interrupted():
        if fleet.ended:
            progress.note(f"{len(waiting)} seeds are not confirmed: {fleet.why_ended()}")
            break
        epochs = fleet.queue.status().epochs
        progress.update(n_epochs - sum(epochs_of[key] - min(epochs_of[key], epochs.get(key, 0)) for key in waiting))
        fleet.queue.offer(f"{run}/all", [item for item in items if item.key in waiting])  # a restarted queue has none
        updates = fleet.queue.collect(space.study, POLL_S)
        if updates.cannot_start:
            progress.note(f"{len(waiting)} seeds are not confirmed: {describe_failed_starts(updates.cannot_start)}")
            break
        for item_result in updates.results:
            if item_result.key not in waiting:
                continue
            waiting.remove(item_result.key)
            log, _ = plan[item_result.key]
            if item_result.state == "complete" and item_result.result is not None:
                results[item_result.key] = item_result.result
            else:
                progress.note(f"confirming trial {log.number}: a seed failed: {item_result.reason}")
            mine = [key for key in plan if plan[key][0].number == log.number]
            done = [results.pop(key) for key in mine if key in results] if waiting.isdisjoint(mine) else []
            if done:
                kept = in_a_row(done)
                if left := len(done) - len(kept):
                    progress.note(
                        f"confirming trial {log.number}: {left} seeds are left out, as a failed seed "
                        "separates them from the others"
                    )
                yield _confirmation(log, kept, trial_tracker)
    progress.update(n_epochs - sum(epochs_of[key] for key in waiting))
    fleet.queue.cancel(run)


def in_a_row(results: Sequence[TrialResult]) -> Sequence[TrialResult]:
    """The longest run of neighbouring seeds among results of one seed each, in order: what a configuration can name."""
    runs: list[list[TrialResult]] = []
    for one in results:
        if runs and int(one.seeds[0]) == int(runs[-1][-1].seeds[0]) + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return max(runs, key=len)


def first_fresh_seed(logs: Collection[TrialLog], n: int = 1) -> int:
    """The first of `n` seeds that no trial of the search used, for models or for the order of the data."""
    used = {
        (int(log.config[name]), int(log.config[name] + log.config["train.seeds"]))
        for log in logs
        for name in ("train.seed", "train.data_seed")
        if name in log.config
    }
    first = max([FIRST_FRESH_SEED, *(end for _, end in used)])
    if first + n - 1 <= LARGEST_SEED:
        return first
    # a search with the largest seeds leaves room below them
    first = FIRST_FRESH_SEED
    for begin, end in sorted(used):
        first = first if first + n <= begin else max(first, end)
    return first


def with_seed(config: Config, seed: int) -> Config:
    """The configuration with one seed, which also orders the data: the spread over seeds then holds both."""
    return change_config(config, {"train.seed": seed, "train.seeds": 1, "train.data_seed": seed})


def merge_seeds(results: Sequence[TrialResult]) -> TrialResult:
    """Results of one configuration with one seed each as the result of one configuration with several.

    What is kept of a trial is merged: outputs and predictions side by side, sums and scores as means over seeds.
    """
    first = results[0]

    def join(name: str, axis: int = 0) -> Any:
        return np.concatenate([getattr(one, name) for one in results], axis)

    def mean(name: str) -> Any:
        return np.mean([getattr(one, name) for one in results], axis=0)

    return replace(
        first,
        seeds=join("seeds"),
        presence_logits=join("presence_logits"),
        salience_logits=join("salience_logits"),
        fused=join("fused"),
        target_presence_logits=join("target_presence_logits", 1),
        target_salience_logits=join("target_salience_logits", 1),
        target_fused=join("target_fused", 1),
        predicted_state=join("predicted_state"),
        gate_scores=join("gate_scores"),
        kept=join("kept"),
        totals={name: np.mean([one.totals[name] for one in results], axis=0) for name in first.totals},
        score=float(mean("score")),
        acc_presence=float(mean("acc_presence")),
        acc_salience=float(mean("acc_salience")),
        log_likelihood=float(mean("log_likelihood")),
        kept_frequency={
            name: float(np.mean([one.kept_frequency[name] for one in results])) for name in first.kept_frequency
        },
        seconds=sum(one.seconds for one in results),
        weights={name: value for one in results for name, value in (one.weights or {}).items()} or None,
    )


def _confirmation(log: TrialLog, results: Sequence[TrialResult], trial_tracker: TrialTracker) -> ConfirmationLog:
    merged = merge_seeds(results)
    seeds = tuple(int(seed) for seed in merged.seeds)
    changes = {"train.seed": seeds[0], "train.seeds": len(seeds), "train.data_seed": seeds[0]}
    config = change_config(load_config(log.config), changes)
    kept = describe_trial(
        log.study,
        log.number,
        merged,
        flatten(config),
        dump_config(config),
        trial_tracker.dataset.clips,
        tuple(trial_tracker.dataset.encoders),
    )
    scores = tuple(float(one.score) for one in results)
    return ConfirmationLog(log.study, log.number, scores, seeds, artifacts=kept.artifacts, weights=merged.weights)
