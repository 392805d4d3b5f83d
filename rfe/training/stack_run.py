"""A stack from its first epoch to its configurations' results: trained, scored by protocol, stopped one by one."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from rfe.config.identity import config_id
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.folds import ALL_TRAIN
from rfe.training.assembly import Trained, assemble, assemble_final, held_out_place
from rfe.training.batches import FeatureBank
from rfe.training.build import Replica, StackShape
from rfe.training.fitted_stack import open_stack
from rfe.training.prediction import Predictions, predict
from rfe.training.record import Checkpoint, EpochReport, FoldPart, Stop, TrialResult
from rfe.training.scoring import OutOfFold, ProtocolAnswers, answer, held_out_divergence
from rfe.training.usage import UsageMeter

OUTPUTS = ("presence_logits", "salience_logits", "fused")
EVALUATIONS = 5
"""How often a configuration is scored while it trains, the last epoch included."""


OnEpoch = Callable[[Mapping[int, EpochReport]], Mapping[int, Stop]]
"""Told of each running configuration, by its position in the call's list; answers with those to stop."""


@dataclass
class _Running:
    """One configuration in a stack."""

    index: int
    config: Config
    outputs: OutOfFold
    folds: tuple[int, ...]
    """Those that are scored: the ones in training, and those of `former`; `ALL_TRAIN` alone is never scored."""
    epochs: int
    """How many it trains."""
    former: TrialResult | None = None
    """The result on other folds, which were trained before."""
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    seconds: float = 0.0
    answers: ProtocolAnswers | None = None
    scored_epochs: frozenset[int] = frozenset()
    """Epochs to score in addition to those that always are."""
    best_by_fold: NDArray[np.float64] | None = None
    """[seed, fold] best score so far; protocol `official` only, which picks the epoch on the reported fold."""

    def log(self, name: str, epoch: int, value: float) -> None:
        self.curves.setdefault(name, []).append((epoch, float(value)))


class StackRun:
    """See the module."""

    def __init__(
        self,
        shape: StackShape,
        members: Mapping[int, list[Replica]],
        sharing: Mapping[int, int],
        configs: Sequence[Config],
        parts: Mapping[int, FoldPart],
        dataset: Dataset,
        bank: FeatureBank,
        device: torch.device,
        keep_weights: bool,
        finish: Callable[[int, TrialResult], None],
    ) -> None:
        self.dataset, self.clips = dataset, dataset.clips
        self.device, self.keep_weights, self.finish = device, keep_weights, finish
        self.meter = UsageMeter(device)
        self.sharing = {index: sharing[index] for index in members}
        replicas = [replica for group in members.values() for replica in group]
        self.stack = open_stack(replicas, shape, tuple(dataset.encoders), self.clips, bank, device)
        self.running: dict[int, _Running] = {}
        for index in members:
            empty = OutOfFold.empty(self.clips.task, configs[index], self.clips.n_source)
            part = parts.get(index, FoldPart(self.clips.folds))
            epochs = members[self.sharing[index]][0].train.epochs
            folds = tuple(sorted({*part.folds, *(part.former.folds.tolist() if part.former else ())}))
            self.running[index] = _Running(index, configs[index], empty, folds, epochs, part.former)

    def restore(self, index: int, checkpoint: Checkpoint) -> None:
        """Resume a configuration from a checkpoint; one that is not in this stack is ignored."""
        if index in self.running:
            for replica, state in zip(self._replicas(index), checkpoint.replicas, strict=True):
                self.stack.restore(replica, state)
            one = self.running[index]
            one.curves = {name: list(curve) for name, curve in checkpoint.curves.items()}
            one.seconds = checkpoint.seconds
            if checkpoint.best:
                one.best_by_fold = checkpoint.best["score"].astype(np.float64)
                one.outputs = OutOfFold(*(checkpoint.best[name].copy() for name in OUTPUTS))

    def train(self, on_epoch: OnEpoch | None) -> None:
        predictions: Predictions | None = None
        while self.running:
            started = time.perf_counter()
            losses = self.stack.train_epoch()
            for one in self.running.values():
                mine = self._replicas(one.index)
                epoch = self.stack.epoch[mine[0]]
                one.log("train_loss", epoch, losses.loss[mine].mean())
                if one.config.adaptation.kind != "none":
                    one.log("domain_discrepancy", epoch, losses.adaptation[mine].mean())
                if one.config.adaptation.kind == "dann":
                    one.log("discriminator_accuracy", epoch, losses.discriminator_accuracy[mine].mean())
            broken = [i for i in self.running if not np.isfinite(losses.loss[self._replicas(i)]).all()]
            for index in broken:
                self._end_early(index, "failed", f"the loss is no longer finite at epoch {self._epoch(index)}")
            due = [one for one in self.running.values() if self._is_due(one)]
            if due:
                predictions = predict(self.stack)
                self._evaluate(due, predictions)
            elapsed = time.perf_counter() - started
            self.meter.sample()
            shared = Counter(self.sharing[index] for index in self.running)
            for one in self.running.values():
                share = len(self._replicas(one.index)) / shared[self.sharing[one.index]]
                one.seconds += elapsed * share / len(self.stack.replicas)
            done = [i for i, one in self.running.items() if self._epoch(i) >= one.epochs]
            if done:
                targets = predict(self.stack, target=True) if self.clips.n_target else None
                for index in done:
                    if self._is_finite(self.running[index]):
                        self._finish(index, predictions, targets)
                    else:
                        self._end_early(index, "failed", "its outputs are not finite after the last epoch")
            stops = on_epoch(self._reports()) if on_epoch is not None and self.running else {}
            for index, stop in stops.items():
                if index in self.running:
                    self._end_early(index, stop.state, stop.reason)
            self._drop_ended()

    def _is_due(self, one: _Running) -> bool:
        epoch, epochs = self._epoch(one.index), one.epochs
        if one.folds == (ALL_TRAIN,):
            return False
        every = max(1, round(epochs / EVALUATIONS))
        if one.config.protocol == "official" or epoch == epochs or epoch in one.scored_epochs:
            return True
        return epoch % every == 0 and epochs - epoch >= every

    def _evaluate(self, due: list[_Running], predictions: Predictions) -> None:
        """Fill in the out-of-fold outputs of the configurations that are due, and score them."""
        for one in due:
            fresh = OutOfFold.empty(self.clips.task, one.config, self.clips.n_source)
            if one.former is not None:
                fresh = OutOfFold(*(getattr(one.former, name).copy() for name in OUTPUTS))
            for replica in self._replicas(one.index):
                held_out, seed = held_out_place(self.stack, replica)
                fresh.fill(predictions, replica, seed, held_out)
            if one.config.protocol == "official":
                self._keep_best_epoch(one, fresh)
            else:
                one.outputs = fresh
        configs, outputs, folds = ([getattr(one, name) for one in due] for name in ("config", "outputs", "folds"))
        for one, answers in zip(due, answer(configs, outputs, self.clips, folds), strict=True):
            one.answers = answers
            pooled = answers.hits.pooled()
            epoch = self._epoch(one.index)
            one.log("held_out_kl", epoch, held_out_divergence(one.outputs, self.clips, one.folds))
            one.log("acc_presence", epoch, pooled.acc_presence)
            one.log("acc_salience", epoch, pooled.acc_salience)
            one.log("score", epoch, pooled.score)
            if np.isfinite(answers.log_likelihood):
                one.log("log_likelihood", epoch, answers.log_likelihood)

    def _keep_best_epoch(self, one: _Running, fresh: OutOfFold) -> None:
        """Protocol `official`: each fold keeps the outputs of the epoch that scored best on that very fold."""
        scores = np.nan_to_num(answer([one.config], [fresh], self.clips, [one.folds])[0].hits.score_by_fold, nan=-1.0)
        if one.best_by_fold is None:
            one.best_by_fold = np.full_like(scores, -np.inf)
        fold = self.clips.fold[: self.clips.n_source]
        for seed, row in zip(*np.nonzero(scores > one.best_by_fold), strict=True):
            one.best_by_fold[seed, row] = scores[seed, row]
            mine = fold == one.folds[row]
            for name in OUTPUTS:
                getattr(one.outputs, name)[seed, mine] = getattr(fresh, name)[seed, mine]

    def _is_finite(self, one: _Running) -> bool:
        """Whether the last step, which no loss tells of, left numbers."""
        if one.folds == (ALL_TRAIN,):
            weights = (self.stack.weights(replica) for replica in self._replicas(one.index))
            return all(np.isfinite(value).all() for of in weights for value in of.values())
        mine = np.isin(self.clips.fold[: self.clips.n_source], one.folds)
        return all(np.isfinite(getattr(one.outputs, name)[:, mine]).all() for name in OUTPUTS)

    def _finish(self, index: int, predictions: Predictions | None, targets: Predictions | None) -> None:
        one = self.running.pop(index)
        trained = Trained(
            one.config,
            self._replicas(index),
            one.folds,
            one.outputs,
            one.answers,
            one.curves,
            one.seconds,
            self.meter.read(),
            one.former,
        )
        if predictions is None:  # final models: no clip is left to score them on
            result = assemble_final(trained, self.stack, self.dataset, targets, self.keep_weights)
        else:
            result = assemble(trained, self.stack, self.dataset, predictions, targets, self.keep_weights)
        self.finish(index, result)

    def _end_early(self, index: int, state: Literal["pruned", "failed"], reason: str) -> None:
        one, usage = self.running.pop(index), self.meter.read()
        last = {name: curve[-1][1] for name, curve in one.curves.items()}
        result = TrialResult(
            config_id=config_id(one.config),
            state=state,
            reason=reason,
            score=last.get("score", float("nan")),
            acc_presence=last.get("acc_presence", float("nan")),
            acc_salience=last.get("acc_salience", float("nan")),
            log_likelihood=last.get("log_likelihood", float("nan")),
            curves=one.curves,
            seconds=one.seconds,
            memory_mb=usage.memory_mb,
            gpu_memory_mb=usage.gpu_memory_mb,
            gpu_percent=usage.gpu_percent,
            device=str(self.device),
        )
        self.finish(index, result)

    def _drop_ended(self) -> None:
        needed = {self.sharing[index] for index in self.running}
        kept = [replica.configuration in needed for replica in self.stack.replicas]
        if any(kept) and not all(kept):
            self.stack.take(kept)

    def _reports(self) -> dict[int, EpochReport]:
        reports = {}
        for index, one in self.running.items():
            epoch = self._epoch(one.index)
            scores = one.curves.get("score", [])
            score = scores[-1][1] if scores and scores[-1][0] == epoch else None

            def checkpoint(one: _Running = one, epoch: int = epoch) -> Checkpoint:
                states = [self.stack.slices(replica) for replica in self._replicas(one.index)]
                curves = {name: list(curve) for name, curve in one.curves.items()}
                best: dict[str, NDArray[Any]] = {}
                if one.best_by_fold is not None:
                    best = {name: getattr(one.outputs, name).copy() for name in OUTPUTS}
                    best["score"] = one.best_by_fold.copy()
                return Checkpoint(epoch, states, curves, one.seconds, best)

            reports[index] = EpochReport(epoch, one.epochs, score, checkpoint)
        return reports

    def _replicas(self, index: int) -> list[int]:
        first = self.sharing[index]
        return [position for position, one in enumerate(self.stack.replicas) if one.configuration == first]

    def _epoch(self, index: int) -> int:
        return self.stack.epoch[self._replicas(index)[0]]
