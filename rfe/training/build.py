"""From a configuration to plain arguments: replicas, feature views, tensor shapes, memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from rfe.config.schema import SCALED_FROM, Config, TrainSection
from rfe.data.dataset import Dataset
from rfe.data.design import check_design, check_design_actors
from rfe.data.domains import resolve_target_actors
from rfe.data.folds import ALL_TRAIN, training_clips
from rfe.data.metadata import Clips
from rfe.decoding.fitting import build_decoder
from rfe.errors import ConfigError
from rfe.model.fitted import FittedModel
from rfe.model.settings import ReplicaSettings
from rfe.training.kinds import fitted_model
from rfe.training.settings import TrainSettings


@dataclass(frozen=True)
class FeatureView:
    """One encoder's features as one fold and configuration sees them."""

    encoder: int
    """Index in the data set."""
    fold: int
    standardize: str
    target_actors: str
    reduce: int | None
    clips_per_group: int
    training_actors: int | None = None
    """How many training actors its preparation is fitted on; None: all."""

    @property
    def preparation(self) -> dict[str, Any]:
        """The keyword arguments of `FeatureCache.prepared`."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("encoder", "fold")}


@dataclass(frozen=True)
class Replica:
    """One model to train: a configuration on one fold with one seed."""

    configuration: int
    """Index of its configuration in the call."""
    model: ReplicaSettings
    train: TrainSettings
    views: dict[int, FeatureView]
    """Encoder index -> what the replica sees of it; one entry per encoder of the pool."""
    fitted: FittedModel | None = None
    """A model that is fitted in one step; None: a network."""


@dataclass(frozen=True)
class StackShape:
    """The tensor shape that two configurations must have in common to share a stack."""

    kind: str
    latent_dim: int
    batch_size: int
    n_drawn: int
    dims: tuple[int, ...]
    """Width of each encoder of the data set after reduction."""
    all_train: bool = False
    """Final models, which train on every clip: they take more steps an epoch than models of a fold."""
    members: int = 1

    @property
    def key(self) -> str:
        key = f"{self.kind}/{self.latent_dim}/{self.batch_size}/{self.n_drawn}/{'-'.join(map(str, self.dims))}"
        return key if self.members == 1 else f"{key}/{self.members}"


def pool_indices(config: Config, dataset: Dataset) -> tuple[int, ...]:
    """Indices in the data set of the configuration's encoders, ascending.

    Raises:
        ConfigError: the pool names an encoder the data set lacks.
    """
    names = list(dataset.encoders)
    if config.pool == "all":
        return tuple(range(len(names)))
    missing = [name for name in config.pool if name not in dataset.encoders]
    if missing:
        raise ConfigError(
            f"pool: {', '.join(missing)} not in {dataset.path}, which has {', '.join(names)}; correct the pool"
        )
    return tuple(sorted(names.index(name) for name in config.pool))


def stack_shape(config: Config, dataset: Dataset, folds: Sequence[int] | None = None) -> StackShape:
    """The shape of the configuration's tensors when it trains `folds` (None: all of them)."""
    dims = {name: encoder.dim for name, encoder in dataset.encoders.items()}
    return shape_of(config, dims, all_train=folds is not None and ALL_TRAIN in folds)


def shape_of(config: Config, dims: Mapping[str, int], *, all_train: bool = False) -> StackShape:
    """The shape of the configuration's tensors on encoders of these widths, in the data set's order."""
    widths = []
    for name, dim in dims.items():
        reduce = reduced_to(config, name)
        widths.append(dim if reduce is None else min(dim, reduce))
    draws = config.adaptation.kind != "none" and config.adaptation.domains == "source_target"
    n_drawn = (config.adaptation.batch or max(256, 2 * config.model.latent_dim)) if draws else 0
    size = config.train.batch_size
    kind, members = config.model.kind, config.model.members if config.model.kind == "fusion" else 1
    return StackShape(kind, config.model.latent_dim, size, n_drawn, tuple(widths), all_train, members)


def shape_key(config: Config, dataset: Dataset) -> str:
    """Configurations with equal keys may share a stack."""
    return stack_shape(config, dataset).key


def scaled_rate(train: TrainSection) -> float:
    """The learning rate of a configuration's batches; see `TrainSection.lr_scaling`."""
    power = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}[train.lr_scaling]
    return float(train.lr * (train.batch_size / SCALED_FROM) ** power)


def memory_bytes(config: Config, dataset: Dataset) -> int:
    """Estimate of what one configuration adds to a worker while it trains: parameters, gradients, optimiser state and
    activations of all its folds and seeds (features are mapped and shared).

    Returns:
        bytes.
    """
    shape = stack_shape(config, dataset)
    pool = pool_indices(config, dataset)
    hidden = shape.latent_dim
    task = dataset.clips.task
    names = list(dataset.encoders)
    fitted = fitted_model(config, tuple(names[encoder] for encoder in pool))
    if fitted is not None:  # fitted one after the other; the weights of all are kept
        n_clips = max(len(training_clips(dataset.clips, fold)) for fold in dataset.clips.folds)
        dims = {names[encoder]: shape.dims[encoder] for encoder in pool}
        kept = 4 * n_clips * (sum(dims.values()) + task.n_sets + task.n_classes)
        return fitted.memory_bytes(n_clips, dims, task) + kept * len(dataset.clips.folds)
    n_auxiliary = len(pool) if model_settings(config, pool, 0, 0).auxiliary else 0
    heads = (max(64, 2 * task.n_classes + task.n_pairs) + n_auxiliary * task.n_sets) * hidden
    parameters = sum(shape.dims[e] * hidden for e in pool) + hidden * hidden * (2 + len(shape.dims)) + heads
    clips = shape.batch_size + 2 * shape.n_drawn
    of_member = 12 * len(pool) * hidden + 6 * (1 + n_auxiliary) * task.n_sets
    activations = clips * (sum(shape.dims[e] for e in pool) + shape.members * of_member)
    if config.adaptation.kind == "mmd":
        activations += 12 * shape.n_drawn**2  # distances, kernels and their derivatives between all drawn clips
    return 4 * len(dataset.clips.folds) * config.train.seeds * (6 * parameters + activations)


def build_replicas(index: int, config: Config, dataset: Dataset, folds: Sequence[int] | None = None) -> list[Replica]:
    """All replicas of one configuration: seeds x folds, seed by seed.

    Args:
        index: the configuration's index in the call.
        config: the configuration.
        dataset: the data set.
        folds: those to train; None: all; `ALL_TRAIN` alone: final models, which train on every clip for the folds'
            number of optimiser steps scaled by the clips, and adapt to the target itself.

    Raises:
        ConfigError: the configuration asks for what the data set lacks (an encoder, target clips, known actors), or
            for a decoder that the task's ratios or the actors' designs rule out, or for a kind of model that cannot
            be fitted to so many clips.
    """
    clips = dataset.clips
    folds = clips.folds if folds is None else tuple(folds)
    final = ALL_TRAIN in folds
    names = list(dataset.encoders)
    pool = pool_indices(config, dataset)
    target_actors = resolve_target_actors(config.data.target_actors, clips)
    build_decoder(clips.task, config.decode.kind, config.decode.thresholds)
    if config.decode.design == "actor":
        asked, remedy = "decode.design: actor", "set decode.design: none"
        check_design(dataset, asked, remedy)
        check_design_actors(target_actors, asked, dataset, remedy)
    if config.adaptation.kind != "none" and config.adaptation.target == "test" and clips.n_target == 0:
        raise ConfigError(f"adaptation.target: test, but {dataset.path} has no target clips; use validation")
    by_actor = config.adaptation.domains == "actors"
    shape = stack_shape(config, dataset, folds)
    if final and shape.n_drawn and clips.n_target == 0:
        raise ConfigError(
            f"adaptation.kind: {config.adaptation.kind}, but {dataset.path} has no target clips that a final model "
            "could adapt to; keep the fold models"
        )
    train = TrainSettings(
        data_seed=config.train.data_seed,
        epochs=final_epochs(config, clips) if final else config.train.epochs,
        lr=scaled_rate(config.train),
        weight_decay=config.train.weight_decay,
        decoupled=config.train.optimizer == "adamw",
        cosine=config.train.schedule == "cosine",
        clip_norm=math.inf if config.train.clip_norm is None else config.train.clip_norm,
        ema_decay=config.train.ema_decay if config.train.average == "ema" else 0.0,
        lambda_presence=config.loss.lambda_presence,
        lambda_salience=config.loss.lambda_salience,
        lambda_fused=config.loss.lambda_fused,
        lambda_auxiliary=config.loss.lambda_auxiliary,
        lambda_ratio=config.loss.lambda_ratio if config.model.heads.ratio == "pair" else 0.0,
        label_smoothing=config.loss.label_smoothing,
        balance_weight=config.model.gate.balance_weight,
        class_balance=config.loss.balance,
        adaptation=config.adaptation.kind,
        adaptation_strength=config.adaptation.strength,
        actors_as_domains=by_actor,
        target="test" if final else config.adaptation.target,
        n_drawn=shape.n_drawn,
        training_actors=n_training_actors(config) or 0,
    )
    fitted = fitted_model(config, tuple(names[encoder] for encoder in pool))
    if fitted is not None:
        fitted.check_size(clips.n_source)  # of a final model, too: folds that can be trained must be exportable
        train = replace(train, epochs=1)
    replicas = []
    for seed in range(config.train.seed, config.train.seed + config.train.seeds):
        for fold in folds:
            training_clips(clips, fold, n_training_actors(config))  # refuses more actors than there are
            model = model_settings(config, pool, seed, fold, len(clips.actor_names))
            views = {
                encoder: FeatureView(
                    encoder,
                    fold,
                    standardized_by(config, names[encoder]),
                    target_actors,
                    reduced_to(config, names[encoder]),
                    config.data.pseudo_clips_per_group,
                    n_training_actors(config),
                )
                for encoder in pool
            }
            own = replace(train, data_seed=config.train.data_seed + seed - config.train.seed)
            replicas.append(Replica(index, model, own, views, fitted))
    return replicas


def n_training_actors(config: Config) -> int | None:
    """How many training actors of each fold the configuration uses; None: all."""
    return None if config.data.training_actors == "all" else config.data.training_actors


def model_settings(config: Config, pool: tuple[int, ...], seed: int, fold: int, n_actors: int = 0) -> ReplicaSettings:
    """One replica's settings.

    Args:
        config: the configuration.
        pool: see `pool_indices`.
        seed: of the replica.
        fold: the held-out fold.
        n_actors: training actors, which a discriminator of actors tells apart.
    """
    gate, fusion = config.model.gate, config.model.fusion.kind
    n_kept = len(pool) if config.model.n_kept == "all" else min(config.model.n_kept, len(pool))
    dann = config.adaptation.kind == "dann"
    by_actor = config.adaptation.domains == "actors"
    sees_predictions = gate.inputs != "latent" and gate.kind in ("attention", "shuffled")
    residual = config.model.fusion.residual == "predictions"
    return ReplicaSettings(
        seed=seed,
        fold=fold,
        pool=pool,
        dropout=config.model.dropout,
        encoder_dropout=config.model.encoder_dropout,
        mixup=config.train.mixup,
        sees_clip=gate.kind != "static" and gate.inputs != "predictions",
        sees_predictions=sees_predictions,
        auxiliary=sees_predictions or residual or config.loss.lambda_auxiliary > 0,
        residual=residual,
        uniform=gate.kind == "uniform",
        shuffled=gate.kind == "shuffled",
        random_scores=gate.kind == "random_top_n",
        temperature=gate.temperature,
        gate_noise=gate.noise,
        straight_through=gate.gradient == "straight_through",
        n_kept=n_kept,
        rank_concat=fusion in ("rank_concat", "rank_concat_shuffled"),
        shuffled_places=fusion == "rank_concat_shuffled",
        rank_embedding=fusion == "rank_embedding",
        late=config.model.fusion.stage != "early",
        early=config.model.fusion.stage != "late",
        geometric=config.model.head_fusion.kind == "geometric",
        presence_weight=config.model.head_fusion.presence_weight,
        by_states=config.loss.presence in ("states", "sets"),
        pair_logits=config.loss.presence == "sets",
        blend_logit=config.model.heads.blend == "own" and config.loss.presence != "bce",
        pair_ratio=config.model.heads.ratio == "pair",
        tells_domains=dann and not by_actor,
        n_actors=n_actors if dann and by_actor else 0,
    )


def final_epochs(config: Config, clips: Clips) -> int:
    """Epochs of a final model: so many that it takes the folds' number of optimiser steps times the clips it trains on
    over those of the largest fold's model, as nearly as whole epochs can. Every clip is then seen as often."""
    largest = max(len(training_clips(clips, fold)) for fold in clips.folds)
    size = config.train.batch_size
    steps = config.train.epochs * math.ceil(largest / size) * clips.n_source / largest
    return max(1, round(steps / math.ceil(clips.n_source / size)))


def standardized_by(config: Config, name: str) -> str:
    """`fold` or `actor`: whose statistics standardise the encoder."""
    setting = config.data.standardize
    return setting.get(name, "fold") if isinstance(setting, dict) else setting


def reduced_to(config: Config, name: str) -> int | None:
    """The encoder's dimension after PCA; None: it is not reduced."""
    setting = config.data.reduce
    return setting.get(name) if isinstance(setting, dict) else setting
