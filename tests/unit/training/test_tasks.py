"""Tasks that are not BlEmoRE's, from a stack's heads to a scored result."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.metrics.presence import presence_hits
from rfe.model.heads import SetTensors, presence_distribution, presence_loss
from rfe.task import BLEMORE, Task
from rfe.training.balance import set_weights
from rfe.training.classical import answer_classical, boosted, logistic
from rfe.training.configurations import train_configurations
from rfe.training.losses import smoothed
from rfe.training.prediction import predict
from rfe.training.record import TrialResult
from rfe.training.scoring import n_presence_logits
from tests.integration.fakes import write_data
from tests.tasks import COMPOUND, EIGHT, HALF_ALONE, OTHERS, PAIRS_ONLY, PLAIN, TWO_WAYS, WIDE, with_task
from tests.unit.training.stacks import make_clips, make_replica, make_stack, train

every_task = pytest.mark.parametrize("task", OTHERS, ids=lambda task: task.name)
KINDS = [
    {},
    {"by_states": True},
    {"by_states": True, "pair_logits": True},
    {"geometric": True, "by_states": True},
    {"by_states": True, "blend_logit": True},
    {"pair_ratio": True},
    {"by_states": True, "pair_logits": True, "auxiliary": True, "sees_predictions": True, "residual": True},
]


@pytest.mark.parametrize("kind", ["fusion", "concat_mlp"])
@every_task
def test_a_stack_learns_any_task(task: Task, kind: str) -> None:
    settings = {"class_balance": "class", "label_smoothing": 0.05, "epochs": 12, "lr": 1e-2}
    replicas = [make_replica(index, index % 3, model=model, train=settings) for index, model in enumerate(KINDS)]
    stack = make_stack(replicas, clips=make_clips(task=task), kind=kind)
    first = stack.train_epoch().loss
    train(stack, 11)
    last = stack.train_epoch().loss
    assert np.isfinite(last).all()
    assert (last < first).all()
    found = predict(stack)
    assert found.fused.shape[-1] == task.n_classes
    np.testing.assert_allclose(found.fused.sum(-1), 1, atol=1e-5)
    for replica, one in enumerate(replicas):
        weights = stack.weights(replica)
        head = weights["output.weight" if kind == "concat_mlp" else "presence.weight"]
        assert head.shape == (16, task.n_classes)
        has_pairs = kind == "fusion" and one.model.pair_logits and task.n_pairs > 0
        assert ("pairs.weight" in weights) == has_pairs
        if has_pairs:
            assert weights["pairs.weight"].shape == (16, task.n_pairs)


def test_without_pairs_their_logits_change_nothing() -> None:
    """`loss.presence: sets` is then `states`; before, a head without columns was in the way."""
    clips = make_clips(task=PLAIN)
    both = [make_replica(0, 0, model={"by_states": True, "pair_logits": own}) for own in (False, True)]
    alone = []
    for replica in both:
        stack = make_stack([replica], clips=clips)
        train(stack, 2)
        alone.append(predict(stack))
    np.testing.assert_array_equal(alone[0].presence_logits, alone[1].presence_logits)
    sets = change_config(Config(), {"loss.presence": "sets"})
    assert n_presence_logits(PLAIN, sets) == n_presence_logits(PLAIN, Config()) == 4


@pytest.mark.parametrize("task", [COMPOUND, PAIRS_ONLY, HALF_ALONE], ids=lambda task: task.name)
def test_sets_that_no_clip_shows_have_no_probability_and_cost_nothing(task: Task) -> None:
    sets = SetTensors.of(task, torch.device("cpu"))
    assert sets.impossible is not None
    logits = torch.randn(1, 30, task.n_classes, generator=torch.Generator().manual_seed(0)).requires_grad_()
    by_states = torch.tensor([True])
    blends = torch.softmax(sets.possible_logits(logits, None), -1)
    assert (blends[..., sets.impossible] == 0).all()
    presence = presence_distribution(sets, logits, by_states)
    torch.testing.assert_close(presence.sum(-1), torch.ones(1, 30))
    hard = torch.eye(task.n_sets)[np.arange(30) % task.n_pairs + task.n_classes].unsqueeze(0)
    soft = smoothed(hard, torch.tensor([0.2]), sets.impossible)
    assert (soft[..., sets.impossible] == 0).all()
    torch.testing.assert_close(soft.sum(-1), torch.ones(1, 30))
    loss = presence_loss(sets, logits, soft, by_states)
    assert (loss < 20).all()  # 0 times the logarithm of 0 is 0
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.isfinite(gradient).all()


def test_a_task_whose_classes_all_occur_alone_has_no_mask() -> None:
    assert SetTensors.of(BLEMORE, torch.device("cpu")).impossible is None


@every_task
def test_class_balance_has_mean_one_over_the_training_clips(task: Task) -> None:
    clips = make_clips(task=task)
    for kind in ("class", "single_vs_blend"):
        weights = set_weights(clips, 0, kind)
        used = task.state_set[clips.state[(clips.fold != 0) & (clips.state >= 0)]]
        assert weights.shape == (task.n_sets,)
        assert weights[used].mean() == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def blemore(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("tasks") / "data", clips_per_actor=60))


@every_task
def test_configurations_are_trained_and_answered(task: Task, blemore: Dataset, tmp_path: Path) -> None:
    dataset = with_task(blemore, task)
    clips, cache = dataset.clips, FeatureCache(dataset, tmp_path)
    base = {"train.epochs": 2, "model.latent_dim": 8, "data.standardize": "fold", "data.target_actors": "unknown"}
    configs = [
        change_config(Config(), {**base, **changes})
        for changes in (
            {},
            {"loss.presence": "sets", "loss.balance": "class"},
            {"model.members": 2, "loss.presence": "states", "model.fusion.stage": "both"},
            {"model.gate.inputs": "both", "loss.lambda_auxiliary": 0.3, "model.fusion.residual": "predictions"},
            {"loss.presence": "states", "model.heads.blend": "own", "model.members": 2},
            {"loss.presence": "sets", "model.heads.blend": "own"},
            {"model.heads.ratio": "pair"},
            {"model.heads.ratio": "pair", "model.members": 2, "train.mixup": 0.3},
            {"decode.kind": "official"},
        )
    ]
    *results, official = train_configurations(configs, dataset, cache, threads=1)
    if task in (EIGHT, TWO_WAYS):
        assert official.state == "failed"
        assert "use decode.kind: valid_states" in official.reason
    else:
        results.append(official)
    for result in results:
        assert result.state == "complete", result.reason
        assert task.state_possible[result.predicted_state].all()
        assert result.fused.shape == (1, clips.n_source, task.n_classes)
        assert result.set_offset.shape == (3, task.n_sets)
        truth = clips.state[: clips.n_source]
        assert result.acc_presence == pytest.approx(presence_hits(task, truth, result.predicted_state).mean())
        assert all(np.isfinite(value) for _, value in result.curves["held_out_kl"])


@pytest.mark.parametrize("model", [logistic(0.1), boosted(0.2, 3)], ids=["logistic", "boosted"])
@every_task
def test_scikit_learn_answers_what_a_clip_can_show(task: Task, model: object, blemore: Dataset, tmp_path: Path) -> None:
    dataset = with_task(blemore, task)
    answers = answer_classical(
        dataset,
        FeatureCache(dataset, tmp_path),
        dict.fromkeys(dataset.clips.folds, ("good",)),
        model,  # type: ignore[arg-type]
        standardize="fold",
        target_actors="unknown",
        reduce=None,
    )
    assert task.state_possible[answers].all()


def test_sixty_four_classes_are_trained() -> None:
    stack = make_stack([make_replica(model={"by_states": True, "pair_logits": True})], clips=make_clips(task=WIDE))
    train(stack, 1)
    assert predict(stack).presence_logits.shape[-1] == WIDE.n_sets


def test_two_tasks_in_one_process_at_once_do_not_notice_each_other(tmp_path: Path) -> None:
    """Each is trained and scored in a thread of its own, and gives what it gives alone."""
    base = Config.model_validate({"model": {"latent_dim": 8}, "train": {"epochs": 3, "batch_size": 32}})
    opened = {}
    for task in (EIGHT, PLAIN):
        dataset = with_task(load_dataset(write_data(tmp_path / task.name)), task)
        opened[task.name] = (dataset, FeatureCache(dataset, tmp_path / "cache"))

    def trained(name: str) -> TrialResult:
        dataset, cache = opened[name]
        return train_configurations([base], dataset, cache, keep_weights=False)[0]

    alone = {name: trained(name) for name in opened}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            for name, found in zip(opened, pool.map(trained, opened), strict=True):
                assert found.score == alone[name].score
                np.testing.assert_array_equal(found.predicted_state, alone[name].predicted_state)
                np.testing.assert_allclose(found.fused, alone[name].fused, atol=1e-6)
