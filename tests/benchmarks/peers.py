"""What rfe is compared with: the same model as a plain `nn.Module`, trained one fold after another.

Same features, batches, optimiser, learning-rate schedule, steps and decoder as `rfe.training`; written the way a
tutorial would. `PlainFusion` is `fusion: weighted_sum` with the attention gate and linear head fusion.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rfe.config.load import load_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.training.batches import BatchPlan
from rfe.training.scoring import OutOfFold, answer


class PlainFusion(nn.Module):
    """Projection, attention gate, top-n, weighted sum, two heads."""

    def __init__(self, dims: list[int], hidden: int, n_kept: int, dropout: float, presence_weight: float) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Dropout(dropout)) for dim in dims
        )
        self.latent = nn.Linear(hidden, hidden, bias=False)
        self.context = nn.Linear(hidden, hidden, bias=False)
        self.embedding = nn.Parameter(0.02 * torch.randn(len(dims), hidden))
        self.query = nn.Linear(hidden, 1, bias=False)
        self.presence = nn.Linear(hidden, 6)
        self.salience = nn.Linear(hidden, 6)
        self.n_kept, self.presence_weight = min(n_kept, len(dims)), presence_weight

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """[clip, dim] of each encoder -> presence logits, salience logits, fused probabilities, [clip, 6] each."""
        latent = torch.stack([one(x) for one, x in zip(self.projections, features, strict=True)], 1)
        context = self.context(latent.mean(1)).unsqueeze(1)
        scores = self.query(torch.tanh(self.latent(latent) + context + self.embedding)).squeeze(-1)
        soft = scores.softmax(-1)  # [clip, encoder]
        hard = torch.zeros_like(soft).scatter(1, scores.topk(self.n_kept, 1).indices, 1.0) * soft
        hard = hard / hard.sum(1, keepdim=True)
        weights = soft + (hard - soft).detach()
        fused = (weights.unsqueeze(-1) * latent).sum(1)
        presence, salience = self.presence(fused), self.salience(fused)
        p = presence.sigmoid()
        p = p / p.sum(-1, keepdim=True)
        q = self.presence_weight * p + (1 - self.presence_weight) * salience.softmax(-1)
        return presence, salience, q


@dataclass(frozen=True)
class FoldData:
    """One fold in memory."""

    features: list[Tensor]
    """[clip, dim] of each encoder."""
    fold: int


def load_folds(dataset: Dataset, cache: FeatureCache, config: Config) -> list[FoldData]:
    """Every fold's standardised features in memory, read once."""
    kind = str(config.data.standardize)
    return [
        FoldData([torch.tensor(cache.prepared(name, fold, standardize=kind).values) for name in dataset.encoders], fold)
        for fold in dataset.clips.folds
    ]


def train_plainly(
    config: Config, dataset: Dataset, folds: list[FoldData], report: Callable[[int, int, float], None] | None = None
) -> float:
    """Train one configuration, fold after fold; returns its cross-fitted score.

    Args:
        config: what is trained.
        dataset: the data set.
        folds: its features.
        report: called with (fold, epoch, mean loss).
    """
    clips = dataset.clips
    plan = BatchPlan(clips, clips.folds, config.train.batch_size)
    soft = torch.from_numpy(clips.task.state_salience[np.maximum(clips.state, 0)]).float()
    members = torch.from_numpy(clips.task.set_members[clips.task.state_set[np.maximum(clips.state, 0)]]).float()
    outputs = OutOfFold.empty(clips.task, config, clips.n_source)
    for data in folds:
        torch.manual_seed(config.train.seed)
        n_kept = len(data.features) if config.model.n_kept == "all" else config.model.n_kept
        model = PlainFusion(
            [x.shape[1] for x in data.features],
            config.model.latent_dim,
            n_kept,
            config.model.dropout,
            config.model.head_fusion.presence_weight,
        )
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.train.lr, weight_decay=config.train.weight_decay, fused=True
        )
        steps = config.train.epochs * plan.n_steps
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for epoch in range(config.train.epochs):
            model.train()
            total = torch.zeros(())
            for batch in torch.from_numpy(plan.order(config.train.data_seed, data.fold, epoch)):
                total += plain_step(model, optimizer, data.features, members, soft, batch)
                schedule.step()
            if report is not None:
                report(data.fold, epoch + 1, float(total) / plan.n_steps)
        model.eval()
        held_out = torch.from_numpy(plan.held_out[data.fold])
        with torch.no_grad():
            presence, salience, fused = model([x[held_out] for x in data.features])
        outputs.presence_logits[0, held_out], outputs.salience_logits[0, held_out] = presence, salience
        outputs.fused[0, held_out] = fused
    return answer([config], [outputs], clips)[0].hits.pooled().score


def plain_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    features: list[Tensor],
    members: Tensor,
    soft: Tensor,
    batch: Tensor,
) -> Tensor:
    """One optimiser step on the clips of `batch`; returns the loss, which nobody waits for.

    Args:
        model: a `PlainFusion`, compiled or not.
        optimizer: of its parameters.
        features: [clip, dim] of each encoder.
        members: [clip, 6] which emotions are there.
        soft: [clip, 6] saliences.
        batch: [clip of the batch] indices.
    """
    presence, salience, fused = model([x[batch] for x in features])
    loss = (
        functional.binary_cross_entropy_with_logits(presence, members[batch], reduction="none").sum(-1)
        + functional.kl_div(salience.log_softmax(-1), soft[batch], reduction="none").sum(-1)
        + functional.kl_div(fused.clamp(min=1e-12).log(), soft[batch], reduction="none").sum(-1)
    ).mean()
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def run_optuna_loop(
    configs: list[Mapping[str, Any]], dataset: Dataset, cache: FeatureCache, threads: int
) -> list[float]:
    """(b) A plain Optuna study over the same configurations, everything in one process; returns their scores."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(threads)
    loaded = [load_config(dict(one)) for one in configs]
    folds = load_folds(dataset, cache, loaded[0])

    def objective(trial: optuna.Trial) -> float:
        # the configurations are given, so that all three compared do the same work
        return train_plainly(loaded[trial.suggest_int("index", 0, len(loaded) - 1)], dataset, folds)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for index in range(len(loaded)):
        study.enqueue_trial({"index": index})
    study.optimize(objective, n_trials=len(loaded))
    return [trial.value or 0.0 for trial in study.trials]


def run_documented_pattern(
    configs: list[Mapping[str, Any]], data: Path, cache: Path, folder: Path, concurrent: int
) -> list[float]:
    """(a) The pattern of Ray's documentation: each Tune trial starts a TorchTrainer of its own, one worker each, with
    Ray's MLflow callback; returns the scores."""
    import ray
    from ray import train, tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.train.torch import TorchTrainer

    def loop(config: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        dataset = load_dataset(data)
        loaded = load_config(config["configuration"])
        folds = load_folds(dataset, FeatureCache(dataset, cache), loaded)
        score = train_plainly(loaded, dataset, folds, lambda fold, epoch, loss: train.report({"loss": loss}))
        (folder / f"score{config['index']}.txt").write_text(str(score))
        train.report({"score": score})

    def drive(config: dict[str, Any]) -> None:
        name = f"trial{config['index']}"
        TorchTrainer(
            loop,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
            run_config=train.RunConfig(name=name, storage_path=str(folder / "train")),
        ).fit()
        tune.report({"score": float((folder / f"score{config['index']}.txt").read_text())})

    ray.init(num_cpus=concurrent + 1, include_dashboard=False, object_store_memory=300 * 2**20, log_to_driver=False)
    try:
        found = tune.Tuner(
            tune.with_resources(drive, {"cpu": 0.01}),
            param_space={
                "index": tune.grid_search(list(range(len(configs)))),
                "configuration": tune.sample_from(lambda spec: dict(configs[spec.config.index])),
            },
            tune_config=tune.TuneConfig(max_concurrent_trials=concurrent),
            run_config=tune.RunConfig(
                name="tune",
                verbose=0,
                storage_path=str(folder / "tune"),
                callbacks=[MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder}/mlflow.db", experiment_name="peer")],
            ),
        ).fit()
    finally:
        ray.shutdown()
    scores = {one.config["index"]: one.metrics["score"] for one in found}
    return [scores[index] for index in sorted(scores)]
