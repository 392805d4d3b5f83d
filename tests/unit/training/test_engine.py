"""The replica contract: alone, in a stack, after a neighbour was dropped, after resume: the same result."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from rfe.data.folds import training_actors
from rfe.model.head_fusion import fuse_heads
from rfe.model.heads import presence_distribution
from rfe.training.build import Replica
from rfe.training.engine import Stack
from rfe.training.prediction import predict
from tests.unit.training.stacks import make_clips, make_replica, make_stack, train

SAME = 1e-4
"""Largest difference of probabilities after a full training, float32 on a CPU."""

VARIED = [
    make_replica(0, 0, 0),
    make_replica(1, 1, 0, pool=(0, 2), model={"rank_concat": True, "n_kept": 1}),
    make_replica(2, 2, 1, model={"rank_embedding": True, "geometric": True, "dropout": 0.5}),
    make_replica(3, 0, 0, model={"by_states": True, "gate_noise": 0.5, "n_kept": 3}, train={"class_balance": "class"}),
    make_replica(4, 1, 5, pool=(1,), model={"n_kept": 1}, train={"lr": 1e-3, "clip_norm": 0.5, "decoupled": False}),
    make_replica(5, 2, 0, model={"shuffled": True}, train={"ema_decay": 0.9, "balance_weight": 0.1}),
    make_replica(6, 0, 3, model={"random_scores": True, "straight_through": False}, train={"cosine": False}),
    make_replica(7, 0, 0, model={"sees_clip": False, "temperature": 0.5}, train={"data_seed": 4}),
    make_replica(8, 0, 0, model={"encoder_dropout": 0.4, "mixup": 0.3}, train={"label_smoothing": 0.1}),
    make_replica(9, 1, 0, model={"mixup": 1.0, "by_states": True}, train={"class_balance": "class"}),
    make_replica(13, 2, 1, model={"by_states": True, "pair_logits": True, "mixup": 0.5}),
    make_replica(10, 1, 0, model={"rank_concat": True, "shuffled_places": True, "n_kept": 3}),
    make_replica(11, 2, 0, model={"rank_concat": True, "shuffled_places": True, "random_scores": True}),
    make_replica(12, 0, 0, train={"training_actors": 4, "class_balance": "class"}),
    make_replica(14, 1, 0, model={"early": True, "late": False, "uniform": True, "n_kept": 3}),
    make_replica(15, 2, 0, pool=(0, 2), model={"early": True, "late": False, "rank_concat": True, "n_kept": 1}),
    make_replica(16, 0, 1, model={"early": True, "rank_embedding": True, "encoder_dropout": 0.3, "mixup": 0.4}),
    make_replica(17, 0, 0, pool=(1,), model={"early": True, "shuffled": True, "n_kept": 1}),
    make_replica(19, 2, 0, model={"auxiliary": True, "sees_predictions": True}, train={"lambda_auxiliary": 0.3}),
    make_replica(
        20,
        0,
        2,
        pool=(0, 2),
        model={"auxiliary": True, "residual": True, "by_states": True, "pair_logits": True, "mixup": 0.5},
        train={"lambda_auxiliary": 1.0, "class_balance": "class", "label_smoothing": 0.1},
    ),
    make_replica(
        21,
        1,
        0,
        model={"auxiliary": True, "sees_predictions": True, "sees_clip": False, "residual": True, "early": True},
    ),
    make_replica(
        22,
        2,
        1,
        model={"auxiliary": True, "sees_predictions": True, "shuffled": True, "encoder_dropout": 0.3},
        train={"lambda_auxiliary": 0.1, "training_actors": 4},
    ),
    make_replica(23, 0, 1, model={"by_states": True, "blend_logit": True, "mixup": 0.5}),
    make_replica(24, 1, 1, model={"by_states": True, "blend_logit": True, "pair_logits": True, "early": True}),
    make_replica(25, 1, 1, model={"pair_ratio": True, "mixup": 0.5}, train={"lambda_ratio": 1.0}),
    make_replica(
        26, 2, 0, model={"pair_ratio": True, "by_states": True}, train={"lambda_ratio": 0.3, "class_balance": "class"}
    ),
    make_replica(18, 1, 0, model={"early": True, "sees_clip": False, "rank_concat": True, "shuffled_places": True}),
]
ADAPTED = [
    make_replica(0, 0, 0, train={"adaptation": "coral", "adaptation_strength": 1.0, "n_drawn": 24}),
    make_replica(1, 1, 0, train={"adaptation": "mmd", "adaptation_strength": 0.5, "n_drawn": 24}),
    make_replica(
        2, 2, 0, model={"tells_domains": True}, train={"adaptation": "dann", "adaptation_strength": 0.3, "n_drawn": 24}
    ),
    make_replica(
        3,
        0,
        1,
        model={"n_actors": 11},
        train={"adaptation": "dann", "adaptation_strength": 0.3, "n_drawn": 24, "actors_as_domains": True},
    ),
    make_replica(4, 0, 0, train={"adaptation": "coral", "adaptation_strength": 1.0, "n_drawn": 24, "target": "test"}),
    make_replica(
        5,
        1,
        2,
        model={"mixup": 0.5, "encoder_dropout": 0.3},
        train={"adaptation": "coral", "adaptation_strength": 1.0, "n_drawn": 24},
    ),
    make_replica(
        6, 1, 0, train={"adaptation": "coral", "adaptation_strength": 1.0, "n_drawn": 24, "training_actors": 2}
    ),
]


@dataclass(frozen=True)
class Family:
    """Replicas that share a stack."""

    replicas: list[Replica]
    n_drawn: int = 0
    kind: str = "fusion"
    members: int = 1

    def stack(self, replicas: list[Replica]) -> Stack:
        return make_stack(replicas, self.n_drawn, kind=self.kind, members=self.members)


FAMILIES = {
    "plain": Family(VARIED),
    "adapted": Family(ADAPTED, 24),
    "baseline": Family(VARIED, kind="concat_mlp"),
    "members": Family(VARIED, members=3),
    "adapted members": Family(ADAPTED, 24, members=2),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


def test_alone_equals_in_a_stack(family: Family) -> None:
    stack = family.stack(family.replicas)
    train(stack, 4)
    together = predict(stack)
    for index, replica in enumerate(family.replicas):
        alone = family.stack([replica])
        train(alone, 4)
        outputs = predict(alone)
        np.testing.assert_allclose(outputs.fused[0], together.fused[index], atol=SAME, err_msg=f"replica {index}")
        np.testing.assert_array_equal(outputs.kept[0], together.kept[index])


def test_dropping_a_neighbour_changes_nothing(family: Family) -> None:
    whole = family.stack(family.replicas)
    train(whole, 4)
    thinned = family.stack(family.replicas)
    train(thinned, 2)
    kept = [index % 2 == 0 for index in range(len(family.replicas))]
    thinned.take(kept)
    train(thinned, 2)
    np.testing.assert_allclose(predict(thinned).fused, predict(whole).fused[kept], atol=SAME)


def test_resumed_in_another_stack_equals_uninterrupted(family: Family) -> None:
    replicas = family.replicas
    whole = family.stack(replicas)
    train(whole, 2)
    states = [whole.slices(index) for index in range(3)]
    train(whole, 2)
    other = family.stack([replicas[2], replicas[0]])
    other.restore(0, states[2])
    other.restore(1, states[0])
    train(other, 2)
    np.testing.assert_allclose(predict(other).fused, predict(whole).fused[[2, 0]], atol=SAME)


def test_a_late_joiner_does_not_need_its_neighbours_epoch() -> None:
    whole = make_stack([VARIED[0]])
    train(whole, 2)
    state = whole.slices(0)
    train(whole, 2)
    mixed = make_stack([VARIED[0], VARIED[1]])
    mixed.restore(0, state)
    train(mixed, 2)
    assert mixed.epoch == [4, 2]
    np.testing.assert_allclose(predict(mixed).fused[0], predict(whole).fused[0], atol=SAME)


def test_equal_seeds_reproduce_exactly_and_other_seeds_do_not() -> None:
    first, second = make_stack(VARIED[:3]), make_stack(VARIED[:3])
    train(first, 2)
    train(second, 2)
    np.testing.assert_array_equal(predict(first).fused, predict(second).fused)
    other = make_stack([replace(one, model=replace(one.model, seed=one.model.seed + 10)) for one in VARIED[:3]])
    train(other, 2)
    assert np.abs(predict(other).fused - predict(first).fused).max() > 0.01


def test_a_replica_that_diverges_leaves_its_neighbours_alone() -> None:
    wild = make_replica(9, 0, 0, train={"lr": 1e30, "decoupled": False})
    stack = make_stack([VARIED[0], wild, VARIED[1]])
    train(stack, 4)
    calm = make_stack([VARIED[0], VARIED[1]])
    train(calm, 4)
    outputs = predict(stack).fused
    assert not np.isfinite(outputs[1]).all()
    np.testing.assert_allclose(outputs[[0, 2]], predict(calm).fused, atol=SAME)


def test_held_out_and_target_labels_cannot_change_training() -> None:
    clips = make_clips()
    changed = clips.state.copy()
    hidden = clips.fold != 1  # everything but fold 1 trains when fold 1 is held out
    changed[~hidden] = (changed[~hidden] + 7) % 36
    changed[clips.n_source :] = 11
    replicas = [
        make_replica(0, 1, train={"adaptation": "coral", "adaptation_strength": 1.0, "n_drawn": 24}),
        make_replica(
            1,
            1,
            model={"tells_domains": True},
            train={
                "adaptation": "dann",
                "adaptation_strength": 1.0,
                "n_drawn": 24,
                "target": "test",
                "class_balance": "class",
            },
        ),
    ]
    results = []
    for state in (clips.state, changed):
        stack = make_stack(replicas, 24, replace(clips, state=state))
        train(stack, 2)
        results.append([stack.slices(index).arrays for index in range(2)])
    for index in range(2):
        for name, array in results[0][index].items():
            np.testing.assert_array_equal(array, results[1][index][name], err_msg=name)


def test_training_labels_do_change_training() -> None:
    """The counterpart of the test above: it would fail if labels were not read at all."""
    clips = make_clips()
    stacks = [make_stack([make_replica(0, 1)], clips=replace(clips, state=s)) for s in (clips.state, clips.state[::-1])]
    losses = [stack.train_epoch().loss for stack in stacks]
    assert not np.allclose(losses[0], losses[1])


@pytest.mark.parametrize(("settings", "n_drawn"), [({"class_balance": "class"}, 0), ({"adaptation": "mmd"}, 24)])
def test_actors_that_are_not_used_cannot_change_training(settings: dict[str, str], n_drawn: int) -> None:
    clips = make_clips()
    used = np.isin(clips.actor, training_actors(clips, 1, 4))
    changed = np.where(used, clips.state, (clips.state + 7) % 36)
    replica = make_replica(
        0, 1, train={**settings, "training_actors": 4, "adaptation_strength": 1.0, "n_drawn": n_drawn}
    )
    arrays = []
    for state in (clips.state, changed):
        stack = make_stack([replica], n_drawn, replace(clips, state=state))
        train(stack, 2)
        arrays.append(stack.slices(0).arrays)
        assert np.isin(stack.plan.order(0, 1, 0, 4), np.flatnonzero(used)).all()
    for name, array in arrays[0].items():
        np.testing.assert_array_equal(array, arrays[1][name], err_msg=name)


def test_a_model_of_permuted_places_starts_like_the_ordered_one() -> None:
    ordered, permuted = (
        make_stack([make_replica(model={"rank_concat": True, "shuffled_places": shuffled})])
        for shuffled in (False, True)
    )
    for name, value in ordered.model.values().items():
        torch.testing.assert_close(value, permuted.model.values()[name])
    np.testing.assert_array_equal(predict(permuted).fused, predict(permuted).fused)  # the same numbers at every call
    assert np.abs(predict(permuted).fused - predict(ordered).fused).max() > 0
    np.testing.assert_array_equal(predict(permuted).kept, predict(ordered).kept)


def test_learns_what_is_there() -> None:
    stack = make_stack([make_replica(0, 0, train={"epochs": 12}), make_replica(1, 1, train={"epochs": 12})])
    first = stack.train_epoch().loss
    train(stack, 10)
    assert (stack.train_epoch().loss < 0.8 * first).all()


def test_a_clip_without_an_encoder_never_keeps_it() -> None:
    stack = make_stack([make_replica(0, 0, model={"n_kept": 3})])
    train(stack, 1)
    kept = predict(stack).kept[0]  # [clip, encoder]
    missing = np.isin(stack.plan.held_out[0], (3, 50))
    assert missing.sum() == 1
    assert not kept[missing, 1].any()
    assert kept[~missing].all()


def _early_losses(replicas: list[Replica], n_drawn: int, device: str, low_precision: bool) -> np.ndarray:
    stack = make_stack(replicas, n_drawn, device=device, low_precision=low_precision)
    return np.array([stack.train_epoch().loss for _ in range(5)])  # 4 steps an epoch: the first 20 steps


@pytest.mark.parametrize(("replicas", "n_drawn"), [(VARIED, 0), (ADAPTED, 24)], ids=["plain", "adapted"])
def test_bf16_follows_float32_over_the_first_steps(replicas: list[Replica], n_drawn: int) -> None:
    full, low = (_early_losses(replicas, n_drawn, "cpu", precision) for precision in (False, True))
    assert np.abs(full - low).max() > 0
    np.testing.assert_allclose(low, full, rtol=1e-2)


@pytest.mark.gpu
@pytest.mark.parametrize(("replicas", "n_drawn"), [(VARIED, 0), (ADAPTED, 24)], ids=["plain", "adapted"])
def test_gpu_in_bf16_follows_the_cpu_over_the_first_steps(replicas: list[Replica], n_drawn: int) -> None:
    on_cpu = _early_losses(replicas, n_drawn, "cpu", False)
    on_gpu = _early_losses(replicas, n_drawn, "cuda", True)
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-2)


def test_the_only_encoder_of_a_clip_is_never_hidden() -> None:
    def fused(rate: float, pool: tuple[int, ...]) -> np.ndarray:
        stack = make_stack([make_replica(pool=pool, model={"encoder_dropout": rate, "n_kept": len(pool)})])
        train(stack, 2)
        return predict(stack).fused

    np.testing.assert_array_equal(fused(0.9, (0,)), fused(0.0, (0,)))
    assert not np.allclose(fused(0.9, (0, 2)), fused(0.0, (0, 2)), atol=1e-3)


def test_regularisers_have_streams_of_their_own() -> None:
    """Switched on by one replica, none changes what another draws, nor what is drawn for other purposes."""
    plain = make_replica(0, 0, 0)
    for model in ({"mixup": 1.0e-9}, {"encoder_dropout": 1.0e-9}):
        both = make_stack([plain, make_replica(1, 0, 0, model=model)])
        train(both, 2)
        first, second = predict(both).fused
        alone = make_stack([plain])
        train(alone, 2)
        np.testing.assert_allclose(first, predict(alone).fused[0], atol=SAME)
        if "encoder_dropout" in model:
            np.testing.assert_allclose(first, second, atol=SAME)


@pytest.mark.parametrize("model", [{}, {"by_states": True}, {"by_states": True, "pair_logits": True}])
def test_probabilities_keep_float32_where_products_do_not(model: dict[str, Any]) -> None:
    stack = make_stack([make_replica(model={"presence_weight": 1.0, **model})], low_precision=True)
    stack.train_epoch()
    clips = torch.arange(32).view(1, -1)
    with torch.no_grad(), stack.precision():
        features, available = stack.inputs.gather(clips, stack.inputs.rows([0]))
        output = stack.model(features, available, stack.inputs.prediction_noise("held out", 32))
    scalars = stack.model.scalars
    presence = presence_distribution(stack.model.sets, output.presence_logits, scalars.by_states, output.pair_logits)
    fused = fuse_heads(presence, output.log_salience, scalars.presence_weight, scalars.geometric)
    assert output.log_fused.dtype == torch.float32
    torch.testing.assert_close(output.log_fused, fused, rtol=1e-5, atol=1e-5)
