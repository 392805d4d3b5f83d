"""Recorded searches: random configurations of a space, each trained once, with all that a search could have seen.

A table is a folder of chunks, one JSON line a configuration; a chunk is trained as one stack, and skipped where it is
there already, so that recording can be stopped, gone on with, and split over processes.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.load import build_config, field_values
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.metadata import Clips
from rfe.decoding.base import Outputs
from rfe.decoding.fitting import build_decoder
from rfe.decoding.valid_states import ValidStatesDecoder, state_probabilities
from rfe.errors import ConfigError
from rfe.metrics.score import fold_totals
from rfe.search_space import ResolvedSpace, effective_config, sample_params
from rfe.training.configurations import train_configurations
from rfe.training.record import TrialResult
from rfe.training.scoring import presence_kind
from rfe.writing import write_text

CHUNK = 8
"""Configurations trained together."""
DECODERS = ("valid_states", "official", "decoupled")
REPEATED = 5
"""Chunks that are trained with two more seeds, to measure what a seed does."""


@dataclass(frozen=True)
class Row:
    """One training of one configuration."""

    point: int
    """Which configuration: rows with more than one seed share it."""
    seed: int
    params: dict[str, Any]
    seconds: float
    """Of training, its share of the stack's."""
    scores: dict[str, float]
    """Decoder -> cross-fitted Score."""
    by_fold: list[float]
    """Score on each fold, states decoded."""
    log_likelihood: float
    """Mean of the true state's, cross-fitted, nats."""
    curves: dict[str, list[list[float]]]
    """`score` and `held_out_kl`, by epoch."""


def read_table(folder: Path) -> list[Row]:
    """All rows there are, by configuration and seed."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return sorted((Row(**json.loads(line)) for line in lines), key=lambda row: (row.point, row.seed))


def record_table(
    folder: Path, dataset: Dataset, cache: FeatureCache, resolved: ResolvedSpace, rows: int, part: tuple[int, int]
) -> None:
    """Train what is not there yet.

    Args:
        folder: of the table.
        dataset, cache: the data and its prepared features.
        resolved: the space.
        rows: configurations; more can be added later.
        part: (k, n): every n-th chunk from the k-th on, so that n processes share the work.
    """
    for index, (name, repeat) in enumerate(_chunks(rows)):
        path = folder / f"{name:04d}-{repeat}.jsonl"
        if index % part[1] == part[0] and not path.exists():
            points = draw_points(resolved, rows)[name * CHUNK : (name + 1) * CHUNK]
            numbers = range(name * CHUNK, name * CHUNK + len(points))
            found = train_rows(dataset, cache, resolved, points, numbers, [1000 * repeat + one for one in numbers])
            write_text(path, "".join(json.dumps(asdict(row)) + "\n" for row in found))
            print(f"{folder.name} {path.stem}: {max(row.scores['valid_states'] for row in found):.3f}", flush=True)


def _chunks(rows: int) -> Iterator[tuple[int, int]]:
    """(chunk, repeat), those with other seeds first: the noise is known early."""
    n = -(-rows // CHUNK)
    yield from ((chunk, repeat) for chunk in range(min(REPEATED, n)) for repeat in range(3))
    yield from ((chunk, 0) for chunk in range(min(REPEATED, n), n))


def draw_points(resolved: ResolvedSpace, n: int) -> list[dict[str, Any]]:
    """The first `n` random points of the space that are a configuration; the same ones whatever `n` is."""
    rng = random.Random(0)
    points: list[dict[str, Any]] = []
    while len(points) < n:
        params = sample_params(resolved, rng)
        try:
            effective_config(resolved, params)
        except ConfigError:
            continue
        points.append(params)
    return points


def train_rows(
    dataset: Dataset,
    cache: FeatureCache,
    resolved: ResolvedSpace,
    points: Sequence[dict[str, Any]],
    numbers: Sequence[int],
    seeds: Sequence[int],
) -> list[Row]:
    """Train configurations in one stack; those that fail have no row.

    Args:
        dataset, cache, resolved: see `record_table`.
        points: the configurations.
        numbers: [point] what they are called.
        seeds: [point]
    """
    configs = [_with_seed(effective_config(resolved, params), seed) for params, seed in zip(points, seeds, strict=True)]
    results = train_configurations(configs, dataset, cache, threads=1, keep_weights=False)
    each = zip(configs, results, numbers, seeds, points, strict=True)
    return [
        _row(dataset.clips, config, result, number, seed, params)
        for config, result, number, seed, params in each
        if result.state == "complete"
    ]


def _with_seed(config: Config, seed: int) -> Config:
    decoder = {"decode.kind": "valid_states", "decode.thresholds": "grid"}
    values = field_values(config) | {"train.seed": seed, "train.data_seed": seed} | decoder
    return build_config(values, "table")


def _row(clips: Clips, config: Config, result: TrialResult, point: int, seed: int, params: dict[str, Any]) -> Row:
    truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
    folds, fold_index = np.unique(fold, return_inverse=True)
    outputs = Outputs(
        result.presence_logits,
        result.salience_logits,
        result.fused,
        np.full(len(result.seeds), presence_kind(config) == "states"),
    )
    offset = result.set_offset[fold_index][None]
    others = folds[:, None] != fold
    decoder = ValidStatesDecoder(clips.task, config.model.head_fusion.presence_weight)
    parameters = decoder.fit_folds(outputs, truth, others, set_offset=offset)
    states = state_probabilities(clips.task, outputs, parameters, fold_index=fold_index, set_offset=offset)
    of_truth = states[:, np.arange(len(truth)), truth]
    answers = {"valid_states": decoder.decode(outputs, parameters, fold_index=fold_index, set_offset=offset)}
    answers |= {name: _decoded(clips, outputs, name) for name in DECODERS if name not in answers}
    totals = {name: fold_totals(clips.task, truth, one, fold, tuple(folds.tolist())) for name, one in answers.items()}
    return Row(
        point,
        seed,
        params,
        result.seconds,
        {name: float(one.pooled().score) for name, one in totals.items()},
        np.asarray(totals["valid_states"].score_by_fold, float).mean(0).tolist(),
        float(np.log(np.maximum(of_truth, 1e-12)).mean()),
        {name: [list(pair) for pair in result.curves[name]] for name in ("score", "held_out_kl")},
    )


def _decoded(clips: Clips, outputs: Outputs, kind: str) -> NDArray[np.int64]:
    truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
    folds, fold_index = np.unique(fold, return_inverse=True)
    decoder = build_decoder(clips.task, kind)
    return decoder.fit_and_decode(outputs, truth, folds[:, None] != fold, fold_index)[0]


def train_shared(
    dataset: Dataset, cache: FeatureCache, resolved: ResolvedSpace, n_points: int, n_seeds: int
) -> NDArray[np.float64]:
    """[point, seed] Score of random configurations that all have the same seeds, as the trials of a search have."""
    points = draw_points(resolved, n_points)
    columns = []
    for seed in range(n_seeds):
        configs = [_with_seed(effective_config(resolved, params), seed) for params in points]
        results = train_configurations(configs, dataset, cache, threads=1, keep_weights=False)
        columns.append([result.score for result in results])
        print(f"seed {seed}: {np.mean(columns[-1]):.4f}", flush=True)
    return np.array(columns).T
