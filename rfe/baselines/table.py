"""What the model must beat: every baseline, chosen by the same rule as ours.

Each family has a few candidates (pool, standardisation, learning rate or C, decoder); its `score_selected` takes, for
each fold, the candidate that was best on the other folds, exactly as a study's headline does; its `score_confirmed` is
that of the best candidate, trained again with fresh seeds, as a study's confirmation is. A pool is all encoders or
the two that are best alone; which two, too, is decided for each fold on the other folds. Early fusion has one
candidate: both of its numbers are of a configuration that was never tuned.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.baselines.candidates import BaselineCandidate, Trainer
from rfe.baselines.pools import Pools, baseline_pools, hits_of, reduced_dim
from rfe.config.fields import check_value
from rfe.config.load import change_config, load_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.domains import resolve_target_actors
from rfe.decoding.candidates import check_ratios, fits_thresholds
from rfe.errors import ConfigError
from rfe.search_space.ready_made import find_space
from rfe.study.result import StudyScore, TrialTotals, score_best, score_selected
from rfe.suggestions import unknown
from rfe.task import Task
from rfe.training.classical import boosted, logistic

STANDARDIZE = ("fold", "actor")
DECODERS = ("official", "valid_states")
RATES = (3.0e-4, 1.0e-3)
ORGANISERS_RATES = (5.0e-6, 1.0e-5, 5.0e-5, 5.0e-4)
ORGANISERS_EPOCHS = 200
LOGISTIC = {f"C {strength:g}": logistic(strength) for strength in (1.0e-3, 1.0e-2, 1.0e-1)}
BOOSTED = {
    f"learning rate {rate:g}, {n} iterations": boosted(rate, n) for rate, n in ((0.1, 50), (0.1, 100), (0.05, 100))
}
KERNELS = ("gaussian", "laplace")
PENALTIES = (0.1, 0.3, 1.0, 3.0)
"""Of kernel ridge."""
FAMILIES = (
    "single_encoder",
    "late_fusion",
    "mean_fusion",
    "early_fusion",
    "logistic_regression",
    "gradient_boosting",
    "kernel_ridge",
    "concat_mlp",
    "concat_mlp_official",
)
POOLED = ("mean_fusion", "logistic_regression", "gradient_boosting", "kernel_ridge", "concat_mlp")
"""Families with more than one pool; late fusion weighs its encoders instead, early fusion is never tuned, and the
organisers took all they had."""
EARLY_FUSION = "baselines/early_fusion"
"""The ready-made configuration that is this baseline's only candidate."""


@dataclass(frozen=True)
class Baseline:
    """One row of the table."""

    name: str
    protocol: str
    selected: StudyScore
    """The honest number; under `official` simply the best candidate's."""
    best: StudyScore
    """The best candidate's own score: optimistic."""
    chosen: tuple[str, ...]
    """[fold] the candidate that answered the fold."""
    n_candidates: int
    answers: NDArray[np.int64]
    """[seed, source clip] states: each fold's of the candidate that answered it."""
    confirmed: StudyScore | None = None
    """The best candidate trained again with fresh seeds, by the row's own protocol; None where that was not asked
    for."""
    confirmed_answers: NDArray[np.int64] | None = None
    """[fresh seed, source clip] states; one row of a candidate without random numbers."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "baseline": self.name,
            "protocol": self.protocol,
            "score_selected": self.selected.score,
            "acc_presence": self.selected.acc_presence,
            "acc_salience": self.selected.acc_salience,
            "score_confirmed": None if self.confirmed is None else self.confirmed.score,
            "score_best": self.best.score,
            "candidates": self.n_candidates,
            "chosen": list(self.chosen),
        }


def organisers_config(standardize: str, lr: float, *, official: bool = False) -> Config:
    """The organisers' training: 512 hidden units, Adam with L2, batch 32, 200 epochs. Source: arXiv 2601.13225."""
    changes: dict[str, Any] = {
        "model.kind": "concat_mlp",
        "model.latent_dim": 512,
        "model.dropout": 0.0,
        "train.optimizer": "adam",
        "train.weight_decay": 1.0e-3,
        "train.lr": lr,
        "train.batch_size": 32,
        "train.epochs": ORGANISERS_EPOCHS,
        "train.schedule": "constant",
        "train.seed": 42,
        "decode.kind": "official",
        "data.standardize": standardize,
        "protocol": "official" if official else "crossfit",
    }
    return change_config(Config(), changes)


def run_baselines(
    dataset: Dataset,
    cache: FeatureCache,
    *,
    target_actors: str = "auto",
    epochs: int = 30,
    threads: int = 1,
    families: Iterable[str] | None = None,
    confirm: int = 0,
    note: Callable[[str], None] = lambda line: None,
) -> list[Baseline]:
    """Train and score every baseline.

    Args:
        dataset: the data set.
        cache: its prepared features.
        target_actors: what held-out folds tell of their actors, for all baselines alike.
        epochs: of the networks trained by our engine (the organisers' own trains as published).
        threads: CPU threads.
        families: which of `FAMILIES` to run; default all that the task's ratios allow.
        confirm: how many fresh seeds train each baseline's best candidate again, as a study's confirmation does with
            its best trials; 0: none.
        note: told what is running.

    Returns:
        Rows in the order of `FAMILIES`; one `single_encoder` row for each encoder.

    Raises:
        ConfigError: an unknown family, one that the task's ratios rule out, or a wrong `target_actors`.
        DataError: `target_actors` that the data do not have.
    """
    wanted = set(families) if families is not None else None
    for name in sorted(wanted or ()):
        if name not in FAMILIES:
            raise ConfigError(unknown("baseline", name, FAMILIES))
    if reason := check_value("data.target_actors", target_actors):
        raise ConfigError(f"target_actors (--target-actors): {reason}")
    resolve_target_actors(target_actors, dataset.clips)
    task = dataset.clips.task
    if "concat_mlp_official" in (wanted or ()):
        check_ratios(task, "baseline concat_mlp_official", "leave it out")

    def asked(name: str) -> bool:
        return name in wanted if wanted is not None else name != "concat_mlp_official" or fits_thresholds(task)

    trainer, decoders = Trainer(dataset, cache, threads), allowed_decoders(task)
    rows: list[Baseline] = []

    def add(name: str, candidates: list[BaselineCandidate], *, official: bool = False) -> None:
        rows.append(_row(name, candidates, dataset, confirm=confirm, official=official))

    if asked("single_encoder") or asked("late_fusion"):
        singles, configs_of = {}, {}
        for name in dataset.encoders:
            note(f"single encoder {name}")
            configs_of[name] = _network_configs({"pool": [name]}, target_actors, epochs, decoders)
            singles[name] = trainer.train(configs_of[name])
            if asked("single_encoder"):
                add(f"single_encoder {name}", trainer.of_results(singles[name], configs_of[name]))
        if asked("late_fusion") and len(singles) > 1:
            note("late fusion")
            add("late_fusion", trainer.late_fusion(singles, configs_of, decoders))
    pools = baseline_pools(dataset, cache, target_actors, threads) if any(map(asked, POOLED)) else {}
    if asked("mean_fusion"):
        note("mean fusion")
        configs = _network_configs({"model.gate.kind": "uniform"}, target_actors, epochs, decoders)
        add("mean_fusion", trainer.of_pools(_each_pool(configs, pools, dataset), pools))
    if asked("early_fusion"):
        note("early fusion")
        add(
            "early_fusion", trainer.of_configs({f"as in {EARLY_FUSION}": _early_fusion(dataset, target_actors, epochs)})
        )
    for name, models in (("logistic_regression", LOGISTIC), ("gradient_boosting", BOOSTED)):
        if asked(name):
            note(name.replace("_", " "))
            add(name, trainer.classical(models, STANDARDIZE, pools, target_actors))
    if asked("kernel_ridge"):
        note("kernel ridge")
        configs = _kernel_configs(target_actors, reduced_dim(dataset))
        add("kernel_ridge", trainer.of_pools(_each_pool(configs, pools, dataset), pools))
    if asked("concat_mlp") or asked("concat_mlp_official"):
        note("concat_mlp")  # both protocols share their training
        published = _organisers_configs(target_actors, decoders) if asked("concat_mlp") else {}
        honest = _each_pool(published, pools, dataset)
        official = _organisers_configs(target_actors, ("official",), official=True)
        official = official if asked("concat_mlp_official") else {}
        results = trainer.train({**honest, **official})
        if honest:
            mine = {key: one for key, one in results.items() if key in honest}
            add("concat_mlp", trainer.of_pooled_results(mine, honest, pools))
        if official:
            theirs = {key: one for key, one in results.items() if key in official}
            add("concat_mlp", trainer.of_results(theirs, official), official=True)
    return rows


def _each_pool(configs: dict[str, Config], pools: Pools, dataset: Dataset) -> dict[tuple[tuple[str, ...], str], Config]:
    """(pool, label) -> configuration."""
    every = tuple(dataset.encoders)
    distinct = dict.fromkeys(pool for by_fold in pools.values() for pool in by_fold.values())
    return {
        (pool, label): change_config(config, {"pool": "all" if pool == every else list(pool)})
        for pool, (label, config) in product(distinct, configs.items())
    }


def _organisers_configs(target_actors: str, decoders: tuple[str, ...], *, official: bool = False) -> dict[str, Config]:
    """Label -> configuration: every learning rate, standardisation and decoder; decoders share their training."""
    return {
        f"{standardize}, lr {lr:g}, {decoder}": change_config(
            organisers_config(standardize, lr, official=official),
            {"data.target_actors": target_actors, "decode.kind": decoder},
        )
        for standardize, lr, decoder in product(STANDARDIZE, ORGANISERS_RATES, decoders)
    }


def allowed_decoders(task: Task) -> tuple[str, ...]:
    """Those of `DECODERS` that the task's ratios allow."""
    return tuple(kind for kind in DECODERS if kind == "valid_states" or fits_thresholds(task))


def _network_configs(
    changes: dict[str, Any], target_actors: str, epochs: int, decoders: tuple[str, ...]
) -> dict[str, Config]:
    """Label -> configuration: every learning rate, standardisation and decoder."""
    common = {
        **changes,
        "data.target_actors": target_actors,
        "train.epochs": epochs,
        "train.batch_size": 128,
        "train.weight_decay": 0.1,
        "model.dropout": 0.5,
        "loss.presence": "states",
    }
    return {
        f"{standardize}, lr {lr:g}, {decoder}": change_config(
            Config(), {**common, "data.standardize": standardize, "train.lr": lr, "decode.kind": decoder}
        )
        for standardize, lr, decoder in product(STANDARDIZE, RATES, decoders)
    }


def _early_fusion(dataset: Dataset, target_actors: str, epochs: int) -> Config:
    by_actor = {} if dataset.clips.source_has_actors else {"data.standardize": "fold"}
    changes = {"data.target_actors": target_actors, "train.epochs": epochs, **by_actor}
    return change_config(load_config(find_space(EARLY_FUSION)), changes)


def _kernel_configs(target_actors: str, reduce: int | None) -> dict[str, Config]:
    """Label -> configuration: every standardisation, kernel and penalty; penalties share their kernel."""
    common = {"model.kind": "kernel", "data.target_actors": target_actors, "data.reduce": reduce}
    return {
        f"{standardize}, {kind}, penalty {penalty:g}": change_config(
            Config(),
            common | {"data.standardize": standardize, "model.kernel.kind": kind, "model.kernel.penalty": penalty},
        )
        for standardize, kind, penalty in product(STANDARDIZE, KERNELS, PENALTIES)
    }


def _row(
    name: str, candidates: list[BaselineCandidate], dataset: Dataset, *, confirm: int, official: bool = False
) -> Baseline:
    table = _totals([one.predicted for one in candidates], dataset)
    best = score_best(table)
    selected = best if official else score_selected(table)
    chosen = tuple(candidates[trial].label for trial in selected.trials)
    clips = dataset.clips
    position = np.searchsorted(clips.folds, clips.fold[: clips.n_source])
    answering = np.stack([candidates[trial].predicted for trial in selected.trials])  # [fold, seed, clip]
    answers = answering[position, :, np.arange(clips.n_source)].T
    protocol = "official" if official else "crossfit"
    row = Baseline(name, protocol, selected, best, chosen, len(candidates), answers)
    if not confirm:
        return row
    again = candidates[best.trials[0]].train_again(confirm)
    return replace(row, confirmed=score_best(_totals([again], dataset)), confirmed_answers=again)


def _totals(predicted: Sequence[NDArray[np.int64]], dataset: Dataset) -> TrialTotals:
    """Sums of each candidate's answers [seed, source clip], mean over seeds."""
    each = [hits_of(one, dataset) for one in predicted]
    return TrialTotals.of(range(len(each)), each)
