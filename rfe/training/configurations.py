"""Train configurations to results: stacks of replicas, scored by their protocol.

This is what a worker runs. It needs torch, numpy and the prepared features; nothing of Ray, Optuna or MLflow.
"""

from collections.abc import Callable, Mapping, Sequence

import torch

from rfe.config.identity import config_id, trained_id
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.errors import ConfigError, DataError, TrialError
from rfe.training.allocator import keep_freed_memory
from rfe.training.batches import FeatureBank
from rfe.training.build import Replica, StackShape, build_replicas, stack_shape
from rfe.training.record import Checkpoint, FoldPart, TrialResult
from rfe.training.stack_run import OnEpoch, StackRun


def train_configurations(
    configs: Sequence[Config],
    dataset: Dataset,
    features: FeatureCache | FeatureBank,
    *,
    device: str = "cpu",
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
    keep_weights: bool = True,
    checkpoints: Mapping[int, Checkpoint] | None = None,
    scored_epochs: Mapping[int, Sequence[int]] | None = None,
    parts: Mapping[int, FoldPart] | None = None,
    on_result: Callable[[int, TrialResult], None] | None = None,
) -> list[TrialResult]:
    """Train every configuration on all folds and seeds and score it by its protocol.

    Configurations of one tensor shape are trained as one stack; those that differ in protocol or decoder only share
    their replicas. A configuration that cannot be built or whose loss is no longer finite ends as `failed` with a
    reason; its neighbours do not notice.

    Args:
        configs: configurations for this data set.
        dataset: the data set.
        features: its prepared features, or those that were opened on the device already and go on to be there.
        device: a torch device.
        threads: CPU threads for torch; None leaves them as they are.
        on_epoch: called after every epoch of a stack.
        keep_weights: whether results carry the fold models' weights.
        checkpoints: by index, where to go on from.
        parts: by index, which folds to train where it is not all. `ALL_TRAIN` as the one fold trains final models on
            every clip: their results hold weights and target outputs, and no score, as no clip is left to score on.
        scored_epochs: by index, epochs at which to score in addition to the `EVALUATIONS` ones.
        on_result: called with each result as soon as its configuration ends.

    Returns:
        Results in the order of `configs`.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # decayed weights below 1e-38 would make every product with them slow
    keep_freed_memory()
    results: dict[int, TrialResult] = {}
    parts = parts or {}

    def finish(index: int, result: TrialResult) -> None:
        results[index] = result
        if on_result is not None:
            on_result(index, result)

    stacks: dict[StackShape, dict[int, list[Replica]]] = {}
    alone = {*parts, *(checkpoints or {})}
    alike: dict[str, int] = {}  # what is trained -> the first configuration that has it trained
    sharing: dict[int, int] = {}
    for index, config in enumerate(configs):
        try:
            _check(config, dataset)
            folds = parts[index].folds if index in parts else dataset.clips.folds
            replicas = build_replicas(index, config, dataset, folds)
            first = index if index in alone else alike.setdefault(trained_id(config), index)
            sharing[index] = first
            shape = stack_shape(config, dataset, folds)
            stacks.setdefault(shape, {})[index] = replicas if first == index else []
        except (ConfigError, DataError, TrialError) as error:
            finish(index, TrialResult(config_id(config), "failed", str(error)))
    bank = features
    if not isinstance(bank, FeatureBank):
        bank = FeatureBank(dataset, bank, torch.device(device))
    for shape, members in stacks.items():
        bank.keep_only({view for group in members.values() for one in group for view in one.views.values()})
        run = StackRun(
            shape, members, sharing, configs, parts, dataset, bank, torch.device(device), keep_weights, finish
        )
        for index, checkpoint in (checkpoints or {}).items():
            run.restore(index, checkpoint)
        for index, epochs in (scored_epochs or {}).items():
            if index in run.running:
                run.running[index].scored_epochs = frozenset(epochs)
        run.train(on_epoch)
    return [results[index] for index in range(len(configs))]


def _check(config: Config, dataset: Dataset) -> None:
    n_folds = len(dataset.clips.folds)
    if config.protocol == "crossfit" and n_folds < 3:
        raise ConfigError(
            f"protocol: crossfit needs at least 3 folds (train, fit the decoder, report), but {dataset.path} has "
            f"{n_folds}; give the metadata's fold column more folds"
        )
