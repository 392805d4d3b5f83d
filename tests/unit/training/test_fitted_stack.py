"""Kernel ridge, with and without a gate, as a trial: from a configuration to its record, as for any other model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rfe.ablation.altered_encoders import alter_encoders
from rfe.config.load import change_config
from rfe.config.schema import FITTED_KINDS, Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.folds import ALL_TRAIN
from rfe.metrics.score import score
from rfe.model.kernel_ridge import KernelRidge
from rfe.task import BLEMORE
from rfe.training.build import memory_bytes
from rfe.training.configurations import train_configurations
from rfe.training.kinds import FITTED
from rfe.training.record import EpochReport, FoldPart, Stop, TrialResult
from tests.integration.fakes import write_data
from tests.tasks import EIGHT, PAIRS_ONLY, with_task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, FeatureCache]:
    folder = tmp_path_factory.mktemp("data")
    dataset = load_dataset(write_data(folder / "set"))
    return dataset, FeatureCache(dataset, folder / "cache")


def kernel(**changes: object) -> Config:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return change_config(Config(), {"model.kind": "kernel", "model.kernel.kind": "laplace"} | named)


def furthest(one: TrialResult, other: TrialResult) -> float:
    """Of probabilities: the logarithm of a score near 0 magnifies its rounding."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("fused", "target_fused")]
    for name in ("presence_logits", "salience_logits", "target_presence_logits"):
        pairs.append((np.exp(getattr(one, name)), np.exp(getattr(other, name))))
    return max(float(np.abs(first - second).max()) for first, second in pairs)


def test_a_result_is_whole(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    clips = dataset.clips
    reports: list[EpochReport] = []

    def on_epoch(running: dict[int, EpochReport]) -> dict[int, Stop]:
        reports.extend(running.values())
        return {}

    (result,) = train_configurations([kernel(train__seeds=2)], dataset, cache, on_epoch=on_epoch)
    assert (result.state, result.reason) == ("complete", "")
    assert reports == []  # it has one epoch: there is nothing to prune
    assert result.presence_logits.shape == (2, clips.n_source, BLEMORE.n_sets)
    assert result.fused.shape == (2, clips.n_source, 6)
    assert result.target_fused.shape == (3, 2, clips.n_target, 6)
    np.testing.assert_allclose(result.fused.sum(-1), 1.0, atol=1e-5)
    truth = clips.state[: clips.n_source]
    assert result.score == pytest.approx(score(BLEMORE, truth, result.predicted_state[0]).score)
    assert result.score > 0.2  # an answer that never looks gets .04
    assert [epoch for epoch, _ in result.curves["score"]] == [1]
    assert 0 < result.curves["train_loss"][0][1] < 1
    assert result.kept_frequency == {name: pytest.approx(1.0) for name in ("good", "noise", "weak")}
    np.testing.assert_allclose(np.exp(result.gate_scores[0, 0].astype(float)), 1 / 3, atol=1e-3)
    assert result.weights is not None
    assert result.weights["fold0.seed1.coefficients"].shape == (144, BLEMORE.n_sets + 6)
    assert np.array_equal(result.fused[0], result.fused[1])  # there is no random number in it


def test_boosting_is_a_trial_too(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    changes = {"model.kind": "boosting", "model.boosting.iterations": 10, "train.seeds": 2}
    (result,) = train_configurations([change_config(Config(), changes)], dataset, cache)
    assert (result.state, result.reason) == ("complete", "")
    assert result.presence_logits.shape == (2, dataset.clips.n_source, BLEMORE.n_sets)
    assert result.score > 0.12
    assert not np.array_equal(result.fused[0], result.fused[1])  # each seed draws its own features
    assert set(FITTED) == set(FITTED_KINDS)


def test_landmarks_depend_on_the_seed(data: tuple[Dataset, FeatureCache]) -> None:
    (result,) = train_configurations([kernel(train__seeds=2, model__kernel__landmarks=30)], *data)
    assert not np.array_equal(result.fused[0], result.fused[1])


def test_fold_labels_cannot_change_that_folds_outputs(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    mine = dataset.clips.fold == dataset.clips.folds[0]
    state = np.where(mine, (dataset.clips.state + 9) % BLEMORE.n_states, dataset.clips.state)
    other = replace(dataset, clips=replace(dataset.clips, state=state))
    config = kernel(loss__balance="class", model__kernel__weighting="alignment")
    first, second = (train_configurations([config], one, cache)[0] for one in (dataset, other))
    own = mine[: dataset.clips.n_source]
    np.testing.assert_array_equal(first.fused[:, own], second.fused[:, own])
    assert np.abs(first.fused[:, ~own] - second.fused[:, ~own]).max() > 1e-3


def test_configurations_of_one_call_do_not_see_each_other(
    data: tuple[Dataset, FeatureCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [
        kernel(),
        kernel(model__kernel__penalty=3.0),
        kernel(pool=["good"], decode__kind="official"),
        kernel(model__kernel__combination="product", data__standardize="fold"),
        kernel(loss__balance="class", decode__kind="decoupled"),
        change_config(Config(), {"train.epochs": 2}),
    ]
    together = train_configurations(configs, *data)
    assert furthest(together[0], together[4]) > 1e-3  # the class balance counts
    fits: list[int] = []
    fit = KernelRidge.fit.__func__  # type: ignore[attr-defined]

    def counted(cls: type[KernelRidge], models: list[KernelRidge], clips: object) -> object:
        fits.append(len(models))
        return fit(cls, models, clips)

    monkeypatch.setattr(KernelRidge, "fit", classmethod(counted))
    for config, one in zip(configs, together, strict=True):
        (alone,) = train_configurations([config], *data)
        assert one.state == "complete", one.reason
        assert furthest(one, alone) < 1e-4
        assert one.score == pytest.approx(alone.score)
    fits.clear()
    train_configurations([kernel(train__seeds=3), kernel(model__kernel__penalty=3.0)], *data)
    assert fits == [2, 2, 2]  # one kernel a fold serves both penalties and all seeds


def test_some_folds_and_then_the_rest(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    (whole,) = train_configurations([kernel()], dataset, cache)
    first, *rest = dataset.clips.folds
    (some,) = train_configurations([kernel()], dataset, cache, parts={0: FoldPart((first, rest[0]))})
    (both,) = train_configurations([kernel()], dataset, cache, parts={0: FoldPart(tuple(rest[1:]), some)})
    assert furthest(whole, both) < 1e-4
    assert set(both.weights or {}) == set(whole.weights or {})


def test_final_models_train_on_every_clip(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    (result,) = train_configurations([kernel()], dataset, cache, parts={0: FoldPart((ALL_TRAIN,))})
    assert result.state == "complete"
    assert (result.weights or {})["fold-1.seed0.coefficients"].shape[0] == dataset.clips.n_source
    assert result.target_fused.shape == (1, 1, dataset.clips.n_target, 6)


def test_a_data_set_too_large_for_a_kind_fails_before_it_is_fitted(
    data: tuple[Dataset, FeatureCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, cache = data
    monkeypatch.setattr("rfe.model.gated_kernel.MOST_CLIPS", dataset.clips.n_source - 1)
    gated, plain = train_configurations([kernel(model__kind="gated_kernel"), kernel()], dataset, cache)
    assert (gated.state, plain.state) == ("failed", "complete")
    assert f"there are {dataset.clips.n_source}; use model.kind: kernel" in gated.reason


@pytest.mark.parametrize("kind", ["kernel", "gated_kernel"])
def test_an_ablation_measures_what_each_encoder_is_worth(
    kind: str, data: tuple[Dataset, FeatureCache], tmp_path: Path
) -> None:
    dataset, cache = data
    config = kernel(model__kind=kind)
    (result,) = train_configurations([config], dataset, cache)
    assert result.weights is not None
    save_file(result.weights, tmp_path / "weights.safetensors")
    altered = alter_encoders(config, tmp_path / "weights.safetensors", dataset, cache)
    np.testing.assert_array_equal(altered.own, result.predicted_state)
    truth = dataset.clips.state[: dataset.clips.n_source]
    scores = {name: score(BLEMORE, truth, states[0]).score for name, states in altered.masked.items()}
    assert scores["good"] < result.score - 0.05


def test_a_missing_encoder_is_masked(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "set")
    with np.load(folder / "weak_static_features.npz") as stored:
        kept = np.arange(len(stored["filenames"])) % 4 != 0
        arrays = {"X": stored["X"][kept], "filenames": stored["filenames"][kept]}
    np.savez(folder / "weak_static_features.npz", **arrays)
    dataset = load_dataset(folder)
    (result,) = train_configurations([kernel()], dataset, FeatureCache(dataset, tmp_path / "cache"))
    assert result.state == "complete"
    assert result.kept_frequency["weak"] == pytest.approx(0.75, abs=0.01)
    assert result.score > 0.2


@pytest.mark.parametrize("kind", ["kernel", "gated_kernel"])
@pytest.mark.parametrize("task", [EIGHT, PAIRS_ONLY], ids=["eight classes", "pairs only"])
def test_labels_are_data(task: object, kind: str, data: tuple[Dataset, FeatureCache], tmp_path: Path) -> None:
    dataset = with_task(data[0], task)
    (result,) = train_configurations([kernel(model__kind=kind)], dataset, FeatureCache(dataset, tmp_path))
    assert result.state == "complete", result.reason
    assert result.presence_logits.shape[-1] == dataset.clips.task.n_sets
    assert (result.predicted_state >= 0).all()


def test_memory_is_the_kernels_not_a_networks(data: tuple[Dataset, FeatureCache]) -> None:
    small, large = (memory_bytes(kernel(model__latent_dim=width), data[0]) for width in (8, 4096))
    assert small == large
    assert small >= 2 * 4 * 144**2
