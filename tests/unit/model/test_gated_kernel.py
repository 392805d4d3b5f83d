"""Gated kernel ridge: a gate that sees which encoder is wrong, and arrays that can be kept."""

from dataclasses import replace

import numpy as np
import pytest

from rfe.errors import ConfigError
from rfe.model.fitted import PoolFeatures, TrainingClips, Weights
from rfe.model.gated_kernel import FACTORS, GatedKernel
from rfe.model.kernel_ridge import KernelRidge
from rfe.task import BLEMORE
from tests.unit.model.test_kernel_ridge import NAMES, make_clips, targets_of

DIMS = {"face": 8, "voice": 12}
MODEL = GatedKernel(NAMES)


def shuffle(clips: TrainingClips, share: float, seed: int) -> tuple[TrainingClips, np.ndarray]:
    """Clips of which a share has another clip's face, and which they are."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(clips.state)) < share
    face = clips.features.values["face"].copy()
    face[wrong] = face[rng.permutation(np.flatnonzero(wrong))]
    values = {**clips.features.values, "face": face}
    return replace(clips, features=PoolFeatures(values, clips.features.available)), wrong


def test_a_wrong_encoder_weighs_less_and_the_answers_are_better() -> None:
    clips, _ = shuffle(make_clips(600), 0.4, 1)
    unseen, wrong = shuffle(make_clips(600), 0.4, 2)
    truth = BLEMORE.state_set[unseen.state]
    right, weights = {}, {}
    for gate in ("per_clip", "fixed"):
        model = GatedKernel(NAMES, gate=gate)  # type: ignore[arg-type]
        (fit,) = GatedKernel.fit([model], clips)
        (outputs,) = GatedKernel.predict([model], [fit.weights], unseen.features, BLEMORE)
        right[gate] = float((outputs.presence_logits.argmax(1) == truth).mean())
        weights[gate] = np.exp(outputs.scores[:, 0])
    assert weights["per_clip"][wrong].mean() < 0.7 * weights["per_clip"][~wrong].mean()
    assert np.ptp(weights["fixed"]) == 0
    assert right["per_clip"] > right["fixed"] + 0.01


def test_one_encoder_with_fixed_weights_answers_as_its_ridge_does() -> None:
    clips = make_clips()
    one = replace(clips, features=PoolFeatures(*({"face": part["face"]} for part in (_parts(clips)))))
    model = GatedKernel(("face",), gate="fixed")
    (fit,) = GatedKernel.fit([model], one)
    (outputs,) = GatedKernel.predict([model], [fit.weights], one.features, BLEMORE)
    ridges = [KernelRidge(("face",), kind="laplace", penalty=penalty) for penalty in FACTORS]
    plain = KernelRidge.predict(ridges, [one.weights for one in KernelRidge.fit(ridges, one)], one.features, BLEMORE)
    answers = outputs.presence_logits.argmax(1)
    assert max(float((one.presence_logits.argmax(1) == answers).mean()) for one in plain) == 1.0


def _parts(clips: TrainingClips) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    return dict(clips.features.values), dict(clips.features.available)


def test_a_missing_encoder_weighs_nothing_and_none_at_all_is_the_mean() -> None:
    clips = make_clips()
    values, available = _parts(clips)
    available["face"] = np.arange(len(clips.state)) % 3 > 0
    available["voice"] = np.arange(len(clips.state)) % 6 != 3
    values = {name: one * available[name][:, None] for name, one in values.items()}
    some = replace(clips, features=PoolFeatures(values, available))
    (fit,) = GatedKernel.fit([MODEL], some)
    (outputs,) = GatedKernel.predict([MODEL], [fit.weights], some.features, BLEMORE)
    assert np.isneginf(outputs.scores[~available["face"], 0]).all()
    assert np.isfinite(outputs.scores[available["face"], 0]).all()
    none = ~(available["face"] | available["voice"])
    assert none.any()
    sets = np.exp(outputs.presence_logits[none])
    mean = np.average(targets_of(clips), 0, clips.weight)[: BLEMORE.n_sets]
    assert np.ptp(sets, 0).max() < 1e-6
    assert (np.argsort(sets[0]) == np.argsort(mean)).all()
    np.testing.assert_allclose(np.exp(outputs.presence_logits).sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(outputs.fused.sum(1), 1.0, rtol=1e-5)


def test_the_only_encoder_has_no_weight_where_a_clip_lacks_it() -> None:
    clips = make_clips()
    there = np.arange(len(clips.state)) % 3 > 0
    face = clips.features.values["face"] * there[:, None]
    one = replace(clips, features=PoolFeatures({"face": face}, {"face": there}))
    model = GatedKernel(("face",))
    (fit,) = GatedKernel.fit([model], one)
    (outputs,) = GatedKernel.predict([model], [fit.weights], one.features, BLEMORE)
    np.testing.assert_array_equal(np.isneginf(outputs.scores[:, 0]), ~there)
    assert np.isfinite(outputs.presence_logits).all()


def test_the_penalty_moves_the_lambdas_that_parts_choose_from() -> None:
    clips = make_clips()
    models = [replace(MODEL, penalty=penalty) for penalty in (0.01, 100.0)]
    assert len({model.key() for model in (MODEL, *models)}) == 3
    sizes = [np.abs(GatedKernel.fit([model], clips)[0].weights["coefficients"]).max() for model in models]
    assert sizes[1] < 0.1 * sizes[0]


def test_more_clips_than_a_kernel_can_hold_are_refused() -> None:
    MODEL.check_size(20_000)
    with pytest.raises(ConfigError, match=r"20,000, but there are 20,001; use model\.kind: kernel"):
        MODEL.check_size(20_001)


def test_gates_that_share_their_kernels_do_not_see_each_other() -> None:
    clips = make_clips()
    models = [MODEL, replace(MODEL, gate="fixed"), replace(MODEL, width=4)]
    assert len({model.key() for model in models}) == 1
    together = GatedKernel.fit(models, clips)
    for model, fit in zip(models, together, strict=True):
        (alone,) = GatedKernel.fit([model], clips)
        assert alone.loss == fit.loss
        for name, array in alone.weights.items():
            np.testing.assert_array_equal(array, fit.weights[name])
    (other,) = GatedKernel.fit([MODEL], replace(clips, seed=8))
    np.testing.assert_array_equal(other.weights["gate.first"], together[0].weights["gate.first"])
    assert not MODEL.is_random(len(clips.state))


def changed(weights: Weights, name: str, array: np.ndarray | None) -> Weights:
    rest = {key: value for key, value in weights.items() if key != name}
    return rest if array is None else rest | {name: array}


def test_arrays_of_another_model_are_refused() -> None:
    clips = make_clips()
    (fit,) = GatedKernel.fit([MODEL], clips)
    MODEL.check(fit.weights, DIMS, BLEMORE)
    solved = fit.weights["coefficients"]
    for name, array, words in [
        ("gate.first", None, "gate.first is missing"),
        ("coefficients", solved[:2], "coefficients has the shape"),
        ("coefficients", solved[:, :9], "not of one number"),
        ("gate.scale", fit.weights["gate.scale"] * 0, "is not above 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            MODEL.check(changed(fit.weights, name, array), DIMS, BLEMORE)
