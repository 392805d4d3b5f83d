"""Final models: every clip trains, the folds' number of steps is scaled by the clips, the target is adapted to."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.folds import ALL_TRAIN
from rfe.errors import ConfigError
from rfe.training.build import build_replicas, final_epochs, shape_key, stack_shape
from rfe.training.configurations import train_configurations
from rfe.training.prediction import predict
from rfe.training.record import FoldPart, TrialResult
from tests.unit.data.folders import make_folder, make_rows
from tests.unit.training.stacks import make_clips, make_replica, make_stack, train

CONFIG = change_config(
    Config(), {"model.latent_dim": 8, "train.epochs": 4, "train.batch_size": 8, "data.standardize": "fold"}
)
ADAPTED = change_config(CONFIG, {"adaptation.kind": "coral", "adaptation.batch": 16})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, FeatureCache]:
    folder = tmp_path_factory.mktemp("final")
    dataset = load_dataset(make_folder(folder / "made-up", make_rows(n_actors=7)))
    return dataset, FeatureCache(dataset, folder / "cache")


def final(config: Config, dataset: Dataset, cache: FeatureCache) -> TrialResult:
    return train_configurations([config], dataset, cache, parts={0: FoldPart((ALL_TRAIN,))})[0]


def test_a_result_without_anything_out_of_fold(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    config = change_config(CONFIG, {"train.seeds": 2})
    result = final(config, dataset, cache)
    assert (result.state, result.folds.tolist(), result.seeds.tolist()) == ("complete", [-1], [0, 1])
    assert result.target_fused.shape == (1, 2, dataset.clips.n_target, 6)
    assert np.isfinite(result.target_fused).all()
    assert result.set_offset.shape == (1, 16)
    assert result.weights is not None
    assert {name.split(".")[0] for name in result.weights} == {"fold-1"}
    assert math.isnan(result.score)
    assert result.fused.size == 0
    assert len(result.curves["train_loss"]) == final_epochs(config, dataset.clips)


def test_steps_are_the_folds_scaled_by_the_clips(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, _ = data
    clips = dataset.clips
    largest = max((clips.fold[: clips.n_source] != fold).sum() for fold in clips.folds)
    for size in (4, 8, 40, 200):
        config = change_config(CONFIG, {"train.batch_size": size, "train.epochs": 30})
        per_epoch = math.ceil(clips.n_source / size)
        steps = final_epochs(config, clips) * per_epoch
        wanted = 30 * math.ceil(largest / size) * clips.n_source / largest
        assert abs(steps - wanted) <= per_epoch / 2
    assert build_replicas(0, CONFIG, dataset)[0].train.epochs == CONFIG.train.epochs


def test_the_target_is_what_it_adapts_to(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    assert {one.train.target for one in build_replicas(0, ADAPTED, dataset)} == {"validation"}
    assert {one.train.target for one in build_replicas(0, ADAPTED, dataset, (ALL_TRAIN,))} == {"test"}
    plain, adapted = (final(config, dataset, cache) for config in (CONFIG, ADAPTED))
    assert not np.array_equal(plain.target_fused, adapted.target_fused)
    clips = dataset.clips
    none = replace(
        clips,
        filename=clips.filename[: clips.n_source],
        actor=clips.actor[: clips.n_source],
        fold=clips.fold[: clips.n_source],
        state=clips.state[: clips.n_source],
    )
    with pytest.raises(ConfigError, match="no target clips that a final model could adapt to"):
        build_replicas(0, ADAPTED, replace(dataset, clips=none), (ALL_TRAIN,))


def test_final_models_and_folds_never_share_a_stack(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    assert stack_shape(CONFIG, dataset, (ALL_TRAIN,)) != stack_shape(CONFIG, dataset)
    assert shape_key(CONFIG, dataset) == stack_shape(CONFIG, dataset, (ALL_TRAIN,)).key
    both = train_configurations([CONFIG, CONFIG], dataset, cache, parts={1: FoldPart((ALL_TRAIN,))})
    np.testing.assert_array_equal(both[1].target_fused, final(CONFIG, dataset, cache).target_fused)
    assert both[0].score == train_configurations([CONFIG], dataset, cache)[0].score


def test_alone_equals_in_a_stack() -> None:
    replicas = [make_replica(index, ALL_TRAIN, index, model={"rank_concat": index == 1}) for index in range(3)]
    together = make_stack(replicas, all_train=True)
    train(together, 3)
    outputs = predict(together, target=True)
    for index, replica in enumerate(replicas):
        alone = make_stack([replica], all_train=True)
        train(alone, 3)
        np.testing.assert_allclose(predict(alone, target=True).fused[0], outputs.fused[index], atol=1e-4)


def test_every_training_clip_is_seen_and_no_target_clip() -> None:
    clips = make_clips()
    plan = make_stack([make_replica(0, ALL_TRAIN)], all_train=True).plan
    assert set(plan.order(0, ALL_TRAIN, 0).ravel().tolist()) == set(range(clips.n_source))
