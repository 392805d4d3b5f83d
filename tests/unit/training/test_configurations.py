"""From configurations to results, on a small simulated data set."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.simulate import SimulationSpec, simulate
from rfe.metrics.score import score
from rfe.task import BLEMORE
from rfe.training.batches import FeatureBank
from rfe.training.build import Replica
from rfe.training.configurations import train_configurations
from rfe.training.engine import Stack
from rfe.training.record import Checkpoint, EpochReport, FoldPart, Stop

BASE = {"model.latent_dim": 16, "train.epochs": 5, "train.batch_size": 32, "decode.kind": "official"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, FeatureCache]:
    folder = tmp_path_factory.mktemp("data")
    simulate(SimulationSpec(actors=10, test_actors=3, clips_per_actor=20, seed=3), folder / "sim")
    dataset = load_dataset(folder / "sim")
    return dataset, FeatureCache(dataset, folder / "cache")


def _config(**changes: object) -> Config:
    return change_config(Config(), BASE | {name.replace("__", "."): value for name, value in changes.items()})


def test_a_result_is_whole_and_its_score_is_that_of_its_answers(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    (result,) = train_configurations([_config(train__seeds=2, model__n_kept=2)], dataset, cache)
    clips = dataset.clips
    assert result.state == "complete"
    assert result.fused.shape == (2, clips.n_source, 6)
    assert result.target_fused.shape == (len(clips.folds), 2, clips.n_target, 6)
    np.testing.assert_allclose(result.fused.sum(-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(result.target_fused.sum(-1), 1.0, atol=1e-5)
    truth = clips.state[: clips.n_source]
    assert result.score == pytest.approx(
        np.mean([score(BLEMORE, truth, states).score for states in result.predicted_state])
    )
    sizes = clips.n_source, BLEMORE.state_is_blend[truth].sum()
    assert result.totals["score"][:, 2:].sum(0).tolist() == list(sizes)
    assert result.kept.sum(-1).max() == 2
    assert sum(result.kept_frequency.values()) == pytest.approx(2.0)
    assert [epoch for epoch, _ in result.curves["score"]] == [1, 2, 3, 4, 5]
    assert result.weights is not None
    assert result.weights["fold0.seed1.presence.weight"].shape == (16, 6)


def test_fold_labels_cannot_change_that_folds_outputs(data: tuple[Dataset, FeatureCache]) -> None:
    """Crossfit: flip the labels of one fold; its raw outputs stay as they were, those of the others do not."""
    dataset, cache = data
    clips = dataset.clips
    mine = np.concatenate([clips.fold[: clips.n_source] == 2, np.zeros(clips.n_target, bool)])
    flipped = np.where(mine, (clips.state + 9) % 36, clips.state)
    other = replace(dataset, clips=replace(clips, state=flipped))
    config = _config(loss__balance="class")
    first, second = (train_configurations([config], one, cache)[0] for one in (dataset, other))
    own = mine[: clips.n_source]
    np.testing.assert_array_equal(first.fused[:, own], second.fused[:, own])
    assert np.abs(first.fused[:, ~own] - second.fused[:, ~own]).max() > 1e-3
    np.testing.assert_array_equal(first.predicted_state[:, own], second.predicted_state[:, own])


def test_configurations_of_one_call_do_not_see_each_other(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    configs = [
        _config(),
        _config(pool=["audio_strong"] if "audio_strong" in dataset.encoders else [next(iter(dataset.encoders))]),
        _config(model__fusion__kind="rank_concat", model__n_kept=2, train__epochs=3),
        _config(model__latent_dim=8),
        _config(model__kind="concat_mlp"),
        _config(decode__kind="valid_states", loss__presence="states"),
        _config(decode__kind="valid_states", loss__presence="sets"),
        _config(decode__kind="decoupled", loss__presence="sets", model__fusion__kind="rank_embedding"),
        _config(adaptation__kind="coral", adaptation__batch=16),
    ]
    together = train_configurations(configs, dataset, cache)
    for config, expected in zip(configs, together, strict=True):
        (alone,) = train_configurations([config], dataset, cache)
        assert expected.state == "complete"
        np.testing.assert_allclose(alone.fused, expected.fused, atol=1e-4)
        np.testing.assert_allclose(alone.presence_logits, expected.presence_logits, atol=1e-3)
        assert expected.presence_logits.shape[-1] == (16 if config.loss.presence == "sets" else 6)
        assert alone.score == pytest.approx(expected.score, abs=0.01)


def test_failures_are_states_with_a_reason_and_spare_the_rest(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    configs = [
        _config(train__lr=1e30, train__optimizer="adam"),
        _config(pool=["no_such_encoder"]),
        _config(),
    ]
    diverged, unbuildable, fine = train_configurations(configs, dataset, cache)
    assert diverged.state == "failed"
    assert "no longer finite" in diverged.reason
    assert unbuildable.state == "failed"
    assert "no_such_encoder" in unbuildable.reason
    (alone,) = train_configurations([configs[2]], dataset, cache)
    np.testing.assert_allclose(fine.fused, alone.fused, atol=1e-4)


@pytest.mark.parametrize("protocol", ["crossfit", "official"])
def test_pruning_and_resuming(protocol: str, data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    changes: list[dict[str, Any]] = [{}, {"train__lr": 5e-4}, {"model__n_kept": 1}]
    configs = [_config(protocol=protocol, **change) for change in changes]
    whole = train_configurations(configs, dataset, cache)
    saved: dict[int, Checkpoint] = {}

    def interrupt(reports: Mapping[int, EpochReport]) -> dict[int, Stop]:
        if reports[1].epoch != 2:
            return {}
        saved.update({index: report.checkpoint() for index, report in reports.items() if report.checkpoint})
        return {index: Stop("pruned", "test") for index in reports if index != 1}

    stopped = train_configurations(configs, dataset, cache, on_epoch=interrupt)
    assert [result.state for result in stopped] == ["pruned", "complete", "pruned"]
    assert stopped[0].reason == "test"
    assert np.isfinite(stopped[0].score)
    np.testing.assert_allclose(stopped[1].fused, whole[1].fused, atol=1e-4)
    resumed = train_configurations(configs[::2], dataset, cache, checkpoints={0: saved[0], 1: saved[2]})
    for result, expected in zip(resumed, whole[::2], strict=True):
        np.testing.assert_allclose(result.fused, expected.fused, atol=1e-4)
        np.testing.assert_allclose(result.curves["train_loss"], expected.curves["train_loss"], rtol=1e-4)


def test_a_configuration_is_scored_at_its_rungs_and_that_changes_nothing(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    seen: dict[int, list[tuple[int, float]]] = {0: [], 1: []}

    def watch(reports: Mapping[int, EpochReport]) -> dict[int, Stop]:
        for index, report in reports.items():
            if report.score is not None:
                seen[index].append((report.epoch, report.score))
        return {}

    configs = [_config(train__epochs=10), _config(train__epochs=10, train__lr=5e-4)]
    plain = train_configurations(configs, dataset, cache)
    scored = train_configurations(configs, dataset, cache, scored_epochs={0: (1, 3)}, on_epoch=watch)
    assert [epoch for epoch, _ in seen[0]] == [1, 2, 3, 4, 6, 8]
    assert [epoch for epoch, _ in seen[1]] == [2, 4, 6, 8]
    for result, expected in zip(scored, plain, strict=True):
        np.testing.assert_array_equal(result.fused, expected.fused)


@pytest.mark.parametrize("protocol", ["crossfit", "official"])
def test_folds_trained_in_two_parts_give_the_whole(protocol: str, data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    config = _config(protocol=protocol, train__seeds=2, loss__balance="class")
    (whole,) = train_configurations([config], dataset, cache)
    folds = dataset.clips.folds
    seen: list[float] = []

    def watch(reports: Mapping[int, EpochReport]) -> dict[int, Stop]:
        seen.extend(report.score for report in reports.values() if report.score is not None)
        return {}

    (first,) = train_configurations([config], dataset, cache, parts={0: FoldPart(folds[:2])}, on_epoch=watch)
    mine = np.isin(dataset.clips.fold[: dataset.clips.n_source], folds[:2])
    assert (first.state, tuple(first.folds)) == ("complete", folds[:2])
    assert np.isfinite([*seen, first.score]).all()
    assert np.isnan(first.fused[:, ~mine]).all()
    assert (first.predicted_state[:, ~mine] == -1).all()
    assert first.totals["acc_presence"][:, 1].sum() == mine.sum()
    np.testing.assert_allclose(first.fused[:, mine], whole.fused[:, mine], atol=1e-4)
    (rest,) = train_configurations([config], dataset, cache, parts={0: FoldPart(folds[2:], first)})
    assert tuple(rest.folds) == folds
    for name in ("fused", "presence_logits", "target_fused", "gate_scores", "set_offset"):
        np.testing.assert_allclose(
            getattr(rest, name), getattr(whole, name), atol=2e-3 if name == "gate_scores" else 1e-4
        )
    np.testing.assert_array_equal(rest.predicted_state, whole.predicted_state)
    np.testing.assert_array_equal(rest.kept, whole.kept)
    np.testing.assert_array_equal(rest.totals["score"], whole.totals["score"])
    assert rest.score == whole.score
    assert rest.kept_frequency == pytest.approx(whole.kept_frequency)
    assert rest.weights is not None
    assert whole.weights is not None
    assert rest.weights.keys() == whole.weights.keys()


def test_official_picks_the_best_epoch_on_the_reported_fold(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    honest, optimistic = train_configurations([_config(), _config(protocol="official")], dataset, cache)
    by_epoch = [value for _, value in optimistic.curves["score"]]
    assert by_epoch == sorted(
        by_epoch
    )  # per fold it can only rise, and so can the pooled score over equal denominators
    assert optimistic.score > honest.score


def test_too_few_folds_for_crossfit_is_a_sentence(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    clips = dataset.clips
    two = replace(dataset, clips=replace(clips, fold=np.where(clips.fold >= 0, clips.fold % 2, -1)))
    (result,) = train_configurations([_config()], two, cache)
    assert result.state == "failed"
    assert "3 folds" in result.reason


def test_decoders_and_protocols_share_what_is_trained(
    data: tuple[Dataset, FeatureCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone and beside others of the same training: the same result; the stack holds the replicas once."""
    dataset, cache = data
    configs = [
        _config(),
        _config(decode__kind="valid_states"),
        _config(protocol="official"),
        _config(train__lr=1.0e-2),
    ]
    sizes = []
    whole = Stack.__init__

    def counted(self: Stack, replicas: list[Replica], *rest: Any) -> None:
        sizes.append(len(replicas))
        whole(self, replicas, *rest)

    monkeypatch.setattr(Stack, "__init__", counted)
    together = train_configurations(configs, dataset, cache)
    assert sizes == [2 * len(dataset.clips.folds)]
    for config, result in zip(configs, together, strict=True):
        (alone,) = train_configurations([config], dataset, cache)
        np.testing.assert_allclose(result.fused, alone.fused, atol=1e-4)
        np.testing.assert_allclose(result.curves["score"], alone.curves["score"])
        assert result.config_id == alone.config_id
        assert result.weights is not None
        assert alone.weights is not None
        assert result.weights.keys() == alone.weights.keys()


def test_what_is_shared_goes_on_when_the_first_is_stopped(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data

    def stop_first(reports: Mapping[int, EpochReport]) -> dict[int, Stop]:
        return {0: Stop("pruned", "enough")} if reports[max(reports)].epoch == 2 else {}

    configs = [_config(), _config(decode__kind="valid_states")]
    first, second = train_configurations(configs, dataset, cache, on_epoch=stop_first)
    assert first.state == "pruned"
    (alone,) = train_configurations(configs[1:], dataset, cache)
    assert second.state == "complete"
    np.testing.assert_allclose(second.fused, alone.fused, atol=1e-4)


def test_a_last_step_that_leaves_no_numbers_fails_its_configuration(data: tuple[Dataset, FeatureCache]) -> None:
    """Its loss is taken before the step."""
    dataset, cache = data
    size = dataset.clips.n_source  # one step an epoch
    diverged, fine = train_configurations(
        [_config(train__epochs=1, train__batch_size=size, train__lr=lr) for lr in (1e38, 1e-3)], dataset, cache
    )
    assert (diverged.state, fine.state) == ("failed", "complete")
    assert "not finite after the last epoch" in diverged.reason


def test_features_on_the_device_serve_one_stack_after_the_other(data: tuple[Dataset, FeatureCache]) -> None:
    dataset, cache = data
    bank = FeatureBank(dataset, cache, torch.device("cpu"))
    (first,) = train_configurations([_config()], dataset, bank)
    views = {view: values.data_ptr() for view, values in bank.views.items()}
    (again,) = train_configurations([_config(model__dropout=0.1)], dataset, bank)
    assert {view: values.data_ptr() for view, values in bank.views.items()} == views
    train_configurations([_config(data__reduce=2)], dataset, bank)
    assert bank.views.keys().isdisjoint(views)  # a GPU has no room for all that a search asks for
    np.testing.assert_array_equal(first.fused, train_configurations([_config()], dataset, cache)[0].fused)
    assert again.state == "complete"
