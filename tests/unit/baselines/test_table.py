"""Baselines on a small simulated set: every family has a row, chosen without the reported fold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.baselines import table
from rfe.baselines.pools import baseline_pools
from rfe.baselines.table import FAMILIES, allowed_decoders, run_baselines
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.simulate import SimulationSpec, simulate
from rfe.errors import ConfigError
from rfe.metrics.score import fold_totals
from rfe.task import BLEMORE
from rfe.training.classical import boosted, logistic
from tests.tasks import EIGHT, PAIRS_ONLY, with_task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, FeatureCache]:
    folder = tmp_path_factory.mktemp("baselines")
    simulate(SimulationSpec(actors=10, test_actors=0, clips_per_actor=24, seed=5), folder / "sim")
    dataset = load_dataset(folder / "sim", ["audio_strong", "video_strong"])
    return dataset, FeatureCache(dataset, folder / "cache")


def test_every_quick_family_has_a_row(data: tuple[Dataset, FeatureCache], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "RATES", (3.0e-3,))
    monkeypatch.setattr(table, "LOGISTIC", {"C 0.01": logistic(1.0e-2)})
    monkeypatch.setattr(table, "BOOSTED", {"quick": boosted(0.2, 4)})
    notes: list[str] = []
    families = tuple(name for name in FAMILIES if not name.startswith("concat_mlp"))
    rows = run_baselines(*data, target_actors="known", epochs=4, families=families, confirm=2, note=notes.append)
    assert [row.name for row in rows] == [
        "single_encoder audio_strong",
        "single_encoder video_strong",
        "late_fusion",
        "mean_fusion",
        "early_fusion",
        "logistic_regression",
        "gradient_boosting",
        "kernel_ridge",
    ]
    assert len(notes) == 8
    for row in rows:
        assert row.protocol == "crossfit"
        assert 0 <= row.selected.score <= row.best.score
        assert len(row.chosen) == 5
        clips = data[0].clips
        source = slice(clips.n_source)
        answered = (
            fold_totals(BLEMORE, clips.state[source], row.answers, clips.fold[source], clips.folds).mean().pooled()
        )
        assert answered.score == pytest.approx(row.selected.score)
        assert row.confirmed is not None
        assert row.confirmed_answers is not None
        again = fold_totals(BLEMORE, clips.state[source], row.confirmed_answers, clips.fold[source], clips.folds)
        assert again.mean().pooled().score == pytest.approx(row.confirmed.score)
        told = row.to_dict()
        assert (told["score_selected"], told["score_confirmed"]) == (row.selected.score, row.confirmed.score)
    without_chance = {row.name: row for row in rows if row.name in ("logistic_regression", "kernel_ridge")}
    for row in without_chance.values():  # nothing is drawn: the best candidate again
        assert row.confirmed is not None
        assert row.confirmed.score == pytest.approx(row.best.score)
    drawn = {row.name: row for row in rows if row.name in ("mean_fusion", "early_fusion")}
    for row in drawn.values():
        assert row.confirmed_answers is not None
        assert len(row.confirmed_answers) == 2
        assert not np.array_equal(*row.confirmed_answers)
    assert drawn["early_fusion"].n_candidates == 1  # never tuned
    assert drawn["early_fusion"].selected == drawn["early_fusion"].best
    assert min(row.selected.score for row in rows[-3:]) > 0.08  # an answer that never looks gets .04


def test_official_is_marked_and_is_simply_the_best(
    data: tuple[Dataset, FeatureCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "DECODERS", ("official",))
    monkeypatch.setattr(table, "ORGANISERS_RATES", (5.0e-4,))
    monkeypatch.setattr(table, "ORGANISERS_EPOCHS", 3)
    families = ("concat_mlp", "concat_mlp_official")
    honest, official = run_baselines(*data, target_actors="known", families=families, confirm=1)
    assert honest.confirmed is not None
    assert official.confirmed is not None  # by the same optimistic protocol
    assert official.confirmed.score > honest.confirmed.score
    assert (honest.protocol, official.protocol) == ("crossfit", "official")
    assert official.selected == official.best
    assert official.best.score > honest.best.score


def test_an_unknown_name_is_answered_with_the_nearest(data: tuple[Dataset, FeatureCache]) -> None:
    with pytest.raises(ConfigError, match="did you mean late_fusion"):
        run_baselines(*data, families=["late_fusoin"])


def test_wrong_target_actors_are_refused_before_anything_is_trained(data: tuple[Dataset, FeatureCache]) -> None:
    notes: list[str] = []
    with pytest.raises(ConfigError, match=r"target_actors \(--target-actors\): 'foo' is not allowed; .*one of auto"):
        run_baselines(*data, target_actors="foo", note=notes.append)
    assert notes == []


def test_a_fold_is_answered_by_a_pool_that_its_labels_cannot_change(tmp_path: Path) -> None:
    simulate(SimulationSpec(actors=10, test_actors=0, clips_per_actor=24, seed=5), tmp_path / "sim")
    dataset = load_dataset(tmp_path / "sim", ["audio_strong", "noise", "video_strong"])
    cache = FeatureCache(dataset, tmp_path / "cache")
    before = baseline_pools(dataset, cache, "known", 1)
    assert set(before) == {"all encoders", "best 2 encoders"}
    assert set(before["best 2 encoders"].values()) == {("audio_strong", "video_strong")}
    own = dataset.clips.fold == 2
    shuffled = np.where(own, np.random.default_rng(0).permutation(dataset.clips.state), dataset.clips.state)
    after = baseline_pools(replace(dataset, clips=replace(dataset.clips, state=shuffled)), cache, "known", 1)
    assert after["best 2 encoders"][2] == before["best 2 encoders"][2]


def test_every_decoder_and_pool_is_a_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "ORGANISERS_RATES", (5.0e-4,))
    monkeypatch.setattr(table, "ORGANISERS_EPOCHS", 2)
    simulate(SimulationSpec(actors=10, test_actors=0, clips_per_actor=24, seed=5), tmp_path / "sim")
    dataset = load_dataset(tmp_path / "sim", ["audio_strong", "noise", "video_strong"])
    (row,) = run_baselines(
        dataset, FeatureCache(dataset, tmp_path / "cache"), target_actors="known", families=("concat_mlp",)
    )
    assert row.n_candidates == 2 * 2 * 2  # pools, standardisations, decoders
    assert (row.answers >= 0).all()


def test_baselines_of_other_tasks_leave_out_what_the_ratios_rule_out(
    data: tuple[Dataset, FeatureCache], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(table, "RATES", (3.0e-3,))
    dataset = with_task(data[0], EIGHT)
    cache = FeatureCache(dataset, tmp_path)
    with pytest.raises(ConfigError, match=r"baseline concat_mlp_official: .* has 80/20, .*; leave it out"):
        run_baselines(dataset, cache, families=("concat_mlp_official",))
    *_, late = run_baselines(
        dataset, cache, target_actors="known", epochs=1, families=("single_encoder", "late_fusion")
    )
    assert late.n_candidates == 4  # two standardisations, two weightings, one decoder
    assert all(label.endswith("valid_states") for label in late.chosen)
    assert allowed_decoders(EIGHT) == ("valid_states",)
    assert allowed_decoders(PAIRS_ONLY) == ("official", "valid_states")
