"""What the model must beat: every baseline, chosen by the same rule as ours.

Each family has a few candidates (pool, standardisation, learning rate or C, decoder); its `score_selected` takes, for
each fold, the candidate that was best on the other folds, exactly as a study's headline does. A pool is all encoders or
the two that are best alone; which two, too, is decided for each fold on the other folds.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rfe.config.fields import check_value
from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.domains import resolve_target_actors
from rfe.decoding.base import Outputs
from rfe.decoding.candidates import check_ratios, fits_thresholds
from rfe.decoding.fitting import build_decoder, crossfit_decode
from rfe.errors import ConfigError
from rfe.reporting.baseline_pools import Pools, baseline_pools, hits_of, reduced_dim
from rfe.study.result import StudyScore, TrialTotals, score_best, score_selected
from rfe.suggestions import unknown
from rfe.task import Task
from rfe.training.classical import StateModel, answer_classical, boosted, logistic
from rfe.training.configurations import train_configurations
from rfe.training.kernel_ridge import Kind, score_out_of_fold
from rfe.training.record import TrialResult

STANDARDIZE = ("fold", "actor")
DECODERS = ("official", "valid_states")
RATES = (3.0e-4, 1.0e-3)
ORGANISERS_RATES = (5.0e-6, 1.0e-5, 5.0e-5, 5.0e-4)
ORGANISERS_EPOCHS = 200
LOGISTIC = {f"C {strength:g}": logistic(strength) for strength in (1.0e-3, 1.0e-2, 1.0e-1)}
BOOSTED = {
    f"learning rate {rate:g}, {n} iterations": boosted(rate, n) for rate, n in ((0.1, 50), (0.1, 100), (0.05, 100))
}
KERNELS: tuple[Kind, ...] = ("gaussian", "laplace")
PENALTIES = (0.1, 0.3, 1.0, 3.0)
"""Of kernel ridge."""
FAMILIES = (
    "single_encoder",
    "late_fusion",
    "mean_fusion",
    "logistic_regression",
    "gradient_boosting",
    "kernel_ridge",
    "concat_mlp",
    "concat_mlp_official",
)
POOLED = ("mean_fusion", "logistic_regression", "gradient_boosting", "kernel_ridge", "concat_mlp")
"""Families with more than one pool; late fusion weighs its encoders instead, and the organisers took all they had."""
Label = TypeVar("Label", bound=Hashable)


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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "baseline": self.name,
            "protocol": self.protocol,
            "score_selected": self.selected.score,
            "acc_presence": self.selected.acc_presence,
            "acc_salience": self.selected.acc_salience,
            "score_best": self.best.score,
            "candidates": self.n_candidates,
            "chosen": list(self.chosen),
        }


@dataclass(frozen=True)
class _Candidate:
    label: str
    predicted: NDArray[np.int64]
    """[seed, source clip] states."""


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

    rows: list[Baseline] = []
    if asked("single_encoder") or asked("late_fusion"):
        singles = {}
        for name in dataset.encoders:
            note(f"single encoder {name}")
            configs = _network_configs({"pool": [name]}, target_actors, epochs, allowed_decoders(task))
            singles[name] = _train(configs, dataset, cache, threads)
            if asked("single_encoder"):
                rows.append(_row(f"single_encoder {name}", _of_results(singles[name], dataset), dataset))
        if asked("late_fusion") and len(singles) > 1:
            note("late fusion")
            rows.append(_row("late_fusion", _late_fusion(list(singles.values()), dataset), dataset))
    pools = baseline_pools(dataset, cache, target_actors, threads) if any(map(asked, POOLED)) else {}
    if asked("mean_fusion"):
        note("mean fusion")
        configs = _network_configs({"model.gate.kind": "uniform"}, target_actors, epochs, allowed_decoders(task))
        fused = _train(_each_pool(configs, pools, dataset), dataset, cache, threads)
        rows.append(_row("mean_fusion", _of_pools(fused, pools, dataset), dataset))
    for name, models in (("logistic_regression", LOGISTIC), ("gradient_boosting", BOOSTED)):
        if asked(name):
            note(name.replace("_", " "))
            rows.append(_row(name, _classical(models, pools, dataset, cache, target_actors, threads), dataset))
    if asked("kernel_ridge"):
        note("kernel ridge")
        rows.append(_row("kernel_ridge", _kernel_ridge(pools, dataset, cache, target_actors, threads), dataset))
    if asked("concat_mlp") or asked("concat_mlp_official"):
        note("concat_mlp")  # both protocols share their training
        published = _organisers_configs(target_actors, allowed_decoders(task)) if asked("concat_mlp") else {}
        honest = _each_pool(published, pools, dataset)
        official = _organisers_configs(target_actors, ("official",), official=True)
        official = official if asked("concat_mlp_official") else {}
        results = _train({**honest, **official}, dataset, cache, threads)
        if honest:
            candidates = _of_pools({key: one for key, one in results.items() if key in honest}, pools, dataset)
            rows.append(_row("concat_mlp", candidates, dataset))
        if official:
            candidates = _of_results({key: one for key, one in results.items() if key in official}, dataset)
            rows.append(_row("concat_mlp", candidates, dataset, official=True))
    return rows


def _each_pool(configs: dict[str, Config], pools: Pools, dataset: Dataset) -> dict[tuple[tuple[str, ...], str], Config]:
    """(pool, label) -> configuration."""
    every = tuple(dataset.encoders)
    distinct = dict.fromkeys(pool for by_fold in pools.values() for pool in by_fold.values())
    return {
        (pool, label): change_config(config, {"pool": "all" if pool == every else list(pool)})
        for pool, (label, config) in product(distinct, configs.items())
    }


def _of_pools(
    results: Mapping[tuple[tuple[str, ...], str], TrialResult], pools: Pools, dataset: Dataset
) -> list[_Candidate]:
    """Of each pool's label, fold by fold, the answers of the pool that was chosen without the fold."""
    clips = dataset.clips
    candidates = []
    for (name, by_fold), label in product(pools.items(), dict.fromkeys(label for _, label in results)):
        if all((pool, label) in results for pool in by_fold.values()):
            each = {fold: results[pool, label].predicted_state for fold, pool in by_fold.items()}
            predicted = np.full_like(each[clips.folds[0]], -1)
            for fold, answers in each.items():
                own = clips.fold[: clips.n_source] == fold
                predicted[:, own] = answers[:, own]
            candidates.append(_Candidate(f"{name}, {label}", predicted))
    return candidates


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


def _train(
    configs: dict[Label, Config], dataset: Dataset, cache: FeatureCache, threads: int
) -> dict[Label, TrialResult]:
    results = train_configurations(list(configs.values()), dataset, cache, threads=threads, keep_weights=False)
    return {label: one for label, one in zip(configs, results, strict=True) if one.state == "complete"}


def _of_results(results: dict[str, TrialResult], dataset: Dataset) -> list[_Candidate]:
    return [_Candidate(label, result.predicted_state) for label, result in results.items()]


def _late_fusion(singles: list[dict[str, TrialResult]], dataset: Dataset) -> list[_Candidate]:
    """Averages of the single-encoder models' probabilities, uniform and with weights fitted on the other folds."""
    clips = dataset.clips
    truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
    candidates = []
    first, *_ = kinds = allowed_decoders(clips.task)
    for label in singles[0]:
        if not label.endswith(first) or any(label not in one for one in singles):
            continue  # the decoder plays no part in training: one run of each pair has the probabilities
        fused = np.stack([one[label].fused for one in singles])  # [encoder, seed, clip, class]
        for weighting, weights in (
            ("uniform", np.full((len(fused), clips.n_source), 1 / len(fused))),
            ("fitted", _crossfit_weights(fused, dataset)),
        ):
            mixed = np.einsum("ec,esck->sck", weights, fused)
            outputs = Outputs.of_probabilities(mixed)
            for decoder in kinds:
                predicted, _ = crossfit_decode(build_decoder(clips.task, decoder), outputs, truth, fold)
                name = label.removesuffix(first) + f"{weighting} weights, {decoder}"
                candidates.append(_Candidate(name, predicted))
    return candidates


def _crossfit_weights(fused: NDArray[np.float32], dataset: Dataset) -> NDArray[np.float64]:
    """[encoder, clip] mixture weights; a clip's were fitted on the other folds by expectation maximisation."""
    clips = dataset.clips
    soft = clips.task.state_salience[clips.state[: clips.n_source]]
    mean = fused.mean(1).astype(np.float64)  # [encoder, clip, class]
    weights = np.empty(mean.shape[:2])
    for fold in clips.folds:
        own = clips.fold[: clips.n_source] == fold
        share = np.full(len(mean), 1 / len(mean))
        for _ in range(100):
            joint = share[:, None, None] * mean[:, ~own]
            responsibility = joint / np.maximum(joint.sum(0), 1e-12)
            share = (responsibility * soft[~own]).sum((1, 2)) / (~own).sum()
        weights[:, own] = share[:, None]
    return weights


def _classical(
    models: Mapping[str, StateModel],
    pools: Pools,
    dataset: Dataset,
    cache: FeatureCache,
    target_actors: str,
    threads: int,
) -> list[_Candidate]:
    candidates = []
    for (pool, by_fold), standardize, (label, model) in product(pools.items(), STANDARDIZE, models.items()):
        predicted = answer_classical(
            dataset,
            cache,
            by_fold,
            model,
            standardize=standardize,
            target_actors=target_actors,
            reduce=reduced_dim(dataset),
            threads=threads,
        )
        candidates.append(_Candidate(f"{pool}, {standardize}, {label}", predicted[None]))
    return candidates


def _kernel_ridge(
    pools: Pools, dataset: Dataset, cache: FeatureCache, target_actors: str, threads: int
) -> list[_Candidate]:
    """Every pool, standardisation, kernel and penalty; penalties share their kernel."""
    clips = dataset.clips
    truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
    candidates = []
    for (pool, by_fold), standardize, kind in product(pools.items(), STANDARDIZE, KERNELS):
        scores = score_out_of_fold(
            dataset,
            cache,
            by_fold,
            kind,
            PENALTIES,
            standardize=standardize,
            target_actors=target_actors,
            reduce=reduced_dim(dataset),
            threads=threads,
        )
        for penalty in PENALTIES:
            decoder = build_decoder(clips.task, "valid_states")
            predicted, _ = crossfit_decode(decoder, scores.outputs(penalty), truth, fold)
            candidates.append(_Candidate(f"{pool}, {standardize}, {kind}, penalty {penalty:g}", predicted))
    return candidates


def _row(name: str, candidates: list[_Candidate], dataset: Dataset, official: bool = False) -> Baseline:
    each = [hits_of(one.predicted, dataset) for one in candidates]
    table = TrialTotals.of(list(range(len(candidates))), each[0].metrics, [one.totals for one in each])
    best = score_best(table)
    selected = best if official else score_selected(table)
    chosen = tuple(candidates[trial].label for trial in selected.trials)
    clips = dataset.clips
    position = np.searchsorted(clips.folds, clips.fold[: clips.n_source])
    answering = np.stack([candidates[trial].predicted for trial in selected.trials])  # [fold, seed, clip]
    answers = answering[position, :, np.arange(clips.n_source)].T
    protocol = "official" if official else "crossfit"
    return Baseline(name, protocol, selected, best, chosen, len(candidates), answers)
