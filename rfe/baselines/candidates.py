"""A baseline's candidates: what each answers out of fold, and what it answers when trained again with fresh seeds."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rfe.baselines.pools import Pools, reduced_dim
from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.decoding.base import Outputs
from rfe.decoding.fitting import build_decoder, crossfit_decode
from rfe.training.classical import StateModel, answer_classical, with_model_seed
from rfe.training.configurations import train_configurations
from rfe.training.record import TrialResult

Label = TypeVar("Label", bound=Hashable)
States = NDArray[np.int64]
PooledConfigs = Mapping[tuple[tuple[str, ...], str], Config]
"""(pool, label) -> configuration."""
FIRST_FRESH_SEED = 1000
"""As of a study's confirmation: no candidate was chosen by it."""


@dataclass(frozen=True)
class BaselineCandidate:
    """One setting of a baseline."""

    label: str
    predicted: States
    """[seed, source clip] states, out of fold."""
    train_again: Callable[[int], States]
    """From a number of fresh seeds to answers [seed, source clip]; one row where there is no random number in it."""


@dataclass(frozen=True)
class Trainer:
    """Trains candidates on one data set."""

    dataset: Dataset
    cache: FeatureCache
    threads: int

    def train(self, configs: Mapping[Label, Config]) -> dict[Label, TrialResult]:
        """Results of those that are complete."""
        results = train_configurations(
            list(configs.values()), self.dataset, self.cache, threads=self.threads, keep_weights=False
        )
        return {label: one for label, one in zip(configs, results, strict=True) if one.state == "complete"}

    def of_configs(self, configs: Mapping[str, Config]) -> list[BaselineCandidate]:
        """A candidate of each configuration."""
        return self.of_results(self.train(configs), configs)

    def of_results(self, results: Mapping[str, TrialResult], configs: Mapping[str, Config]) -> list[BaselineCandidate]:
        """A candidate of each result."""

        def again(label: str) -> Callable[[int], States]:
            return lambda n: self.train({label: with_fresh_seeds(configs[label], n)})[label].predicted_state

        return [BaselineCandidate(label, result.predicted_state, again(label)) for label, result in results.items()]

    def of_pools(self, configs: PooledConfigs, pools: Pools) -> list[BaselineCandidate]:
        """Of each pool and label a candidate."""
        return self.of_pooled_results(self.train(configs), configs, pools)

    def of_pooled_results(
        self, results: Mapping[tuple[tuple[str, ...], str], TrialResult], configs: PooledConfigs, pools: Pools
    ) -> list[BaselineCandidate]:
        """Of each pool's label, fold by fold, the answers of the pool that was chosen without the fold."""

        def again(by_fold: Mapping[int, tuple[str, ...]], label: str) -> Callable[[int], States]:
            def train(n: int) -> States:
                mine = {(pool, label): with_fresh_seeds(configs[pool, label], n) for pool in by_fold.values()}
                return self._by_fold(self.train(mine), by_fold, label)

            return train

        return [
            BaselineCandidate(f"{name}, {label}", self._by_fold(results, by_fold, label), again(by_fold, label))
            for (name, by_fold), label in product(pools.items(), dict.fromkeys(label for _, label in results))
            if all((pool, label) in results for pool in by_fold.values())
        ]

    def _by_fold(
        self,
        results: Mapping[tuple[tuple[str, ...], str], TrialResult],
        by_fold: Mapping[int, tuple[str, ...]],
        label: str,
    ) -> States:
        clips = self.dataset.clips
        each = {fold: results[pool, label].predicted_state for fold, pool in by_fold.items()}
        predicted = np.full_like(each[clips.folds[0]], -1)
        for fold, answers in each.items():
            own = clips.fold[: clips.n_source] == fold
            predicted[:, own] = answers[:, own]
        return predicted

    def late_fusion(
        self,
        singles: Mapping[str, Mapping[str, TrialResult]],
        configs: Mapping[str, Mapping[str, Config]],
        decoders: Sequence[str],
    ) -> list[BaselineCandidate]:
        """Averages of the single-encoder models' probabilities, uniform and with weights fitted on the other folds.

        Args:
            singles: encoder -> label -> result; labels end with a decoder.
            configs: the same of their configurations.
            decoders: which may answer.
        """
        first = decoders[0]
        candidates = []
        for label in next(iter(singles.values())):
            if not label.endswith(first) or any(label not in one for one in singles.values()):
                continue  # the decoder plays no part in training: one run of each pair has the probabilities
            found = self._fuse({name: one[label] for name, one in singles.items()}, decoders)
            for (weighting, decoder), predicted in found.items():

                def again(n: int, label: str = label, key: tuple[str, str] = (weighting, decoder)) -> States:
                    retrained = self.train({name: with_fresh_seeds(one[label], n) for name, one in configs.items()})
                    return self._fuse(retrained, decoders)[key]

                name = label.removesuffix(first) + f"{weighting} weights, {decoder}"
                candidates.append(BaselineCandidate(name, predicted, again))
        return candidates

    def _fuse(self, results: Mapping[str, TrialResult], decoders: Sequence[str]) -> dict[tuple[str, str], States]:
        """(weighting, decoder) -> answers."""
        clips = self.dataset.clips
        truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
        fused = np.stack([one.fused for one in results.values()])  # [encoder, seed, clip, class]
        found = {}
        for weighting, weights in (
            ("uniform", np.full((len(fused), clips.n_source), 1 / len(fused))),
            ("fitted", _crossfit_weights(fused, self.dataset)),
        ):
            outputs = Outputs.of_probabilities(np.einsum("ec,esck->sck", weights, fused))
            for kind in decoders:
                decoder = build_decoder(clips.task, kind)
                found[weighting, kind] = crossfit_decode(decoder, outputs, truth, fold)[0]
        return found

    def classical(
        self,
        models: Mapping[str, StateModel],
        standardizations: Sequence[str],
        pools: Pools,
        target_actors: str,
    ) -> list[BaselineCandidate]:
        """scikit-learn's models: each pool, standardisation and model."""

        def answers(by_fold: Mapping[int, Sequence[str]], standardize: str, model: StateModel) -> States:
            return answer_classical(
                self.dataset,
                self.cache,
                by_fold,
                model,
                standardize=standardize,
                target_actors=target_actors,
                reduce=reduced_dim(self.dataset),
                threads=self.threads,
            )

        candidates = []
        for (pool, by_fold), standardize, (label, model) in product(pools.items(), standardizations, models.items()):
            predicted = answers(by_fold, standardize, model)[None]

            def again(
                n: int,
                by_fold: Mapping[int, Sequence[str]] = by_fold,
                standardize: str = standardize,
                model: StateModel = model,
                predicted: States = predicted,
            ) -> States:
                fresh = [with_model_seed(model, FIRST_FRESH_SEED + seed) for seed in range(n)]
                if fresh[0] is model:
                    return predicted
                return np.stack([answers(by_fold, standardize, one) for one in fresh])

            candidates.append(BaselineCandidate(f"{pool}, {standardize}, {label}", predicted, again))
        return candidates


def with_fresh_seeds(config: Config, n: int) -> Config:
    """The configuration with `n` seeds that chose nothing, of the models and of the order of the data."""
    return change_config(
        config, {"train.seed": FIRST_FRESH_SEED, "train.seeds": n, "train.data_seed": FIRST_FRESH_SEED}
    )


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
