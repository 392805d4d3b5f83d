"""The replica engine beside the plain loop: one core, the same features, batch, steps and precision."""

from collections.abc import Iterator

import torch

from rfe.training.allocator import keep_freed_memory
from tests.benchmarks.rows import Row, ratio_text
from tests.benchmarks.stacks import (
    DEMO,
    FULL,
    FULL_PCA,
    WIDE,
    WIDE_PCA,
    MadeUpFeatures,
    PlainTrainer,
    Size,
    SklearnTrainer,
    StackTrainer,
    make_clips,
)
from tests.benchmarks.turns import Turns, take_turns

CLIPS = make_clips()
CPU = torch.device("cpu")
# (size, configurations of five folds in a stack, steps of the stack and of the plain loop each turn, target)
AGAINST_PLAIN = (
    (DEMO, 8, 4, 60, 3.0),
    (WIDE, 8, 2, 30, 1.5),
    (WIDE_PCA, 8, 4, 60, 2.0),
    (FULL, 1, 2, 6, 1.5),
    (FULL_PCA, 8, 4, 60, 2.0),
)


def engine_rows(rounds: int) -> Iterator[Row]:
    """Rows of the engine, one core."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    for size, n_configs, steps, plain_steps, target in AGAINST_PLAIN:
        yield against_plain(size, n_configs, steps, plain_steps, target, rounds)
    yield against_sklearn(rounds)
    yield least_work(rounds)
    yield pca_against_none(rounds)
    yield small_pool_against_all(rounds)


def against_plain(size: Size, n_configs: int, steps: int, plain_steps: int, target: float, rounds: int) -> Row:
    """Replica-epochs per second."""
    features = MadeUpFeatures(size, len(CLIPS.filename), CPU)
    stack = StackTrainer(size, n_configs, features, CLIPS)
    plain = PlainTrainer(size, features, CLIPS)
    epoch = stack.steps_per_epoch
    turns = take_turns({"rfe": lambda: stack.train(steps), "plain": lambda: plain.train(plain_steps)}, rounds)
    each = {  # seconds of one replica's epoch
        "rfe": [epoch * one / steps / stack.n_replicas for one in turns.seconds["rfe"]],
        "plain": [epoch * one / plain_steps for one in turns.seconds["plain"]],
    }
    fair = Turns(each)
    ratio = fair.ratio("plain", "rfe")
    return Row(
        f"replica-epochs per second, {size.name} ({sum(size.dims):,} dimensions), one core, stack of "
        f"{stack.n_replicas}, against the plain loop",
        f"{1 / fair.median('rfe'):.2f}",
        f"{1 / fair.median('plain'):.2f}",
        ratio_text(ratio),
        f"{target:g}x",
        ratio[0] >= target,
    )


def against_sklearn(rounds: int) -> Row:
    """The organisers' network, one hidden layer on all features, without dropout, which scikit-learn's lacks."""
    features, epochs = MadeUpFeatures(DEMO, len(CLIPS.filename), CPU), 3
    stack = StackTrainer(DEMO, 8, features, CLIPS, kind="concat_mlp", dropout=0.0)
    peer = SklearnTrainer(DEMO, features, CLIPS, epochs)
    turns = take_turns({"rfe": lambda: stack.train(stack.steps_per_epoch), "peer": peer.train}, rounds)
    each = {
        "rfe": [one / stack.n_replicas for one in turns.seconds["rfe"]],
        "peer": [one / epochs for one in turns.seconds["peer"]],
    }
    fair = Turns(each)
    return Row(
        f"replica-epochs per second, the organisers' network, {DEMO.name}, one core, stack of {stack.n_replicas}, "
        "against scikit-learn's MLPClassifier",
        f"{1 / fair.median('rfe'):.1f}",
        f"{1 / fair.median('peer'):.1f}",
        ratio_text(fair.ratio("peer", "rfe")),
    )


def least_work(rounds: int) -> Row:
    """What no way of training full-size features can do without, against the plain loop's whole step."""
    plain = PlainTrainer(FULL, MadeUpFeatures(FULL, len(CLIPS.filename), CPU), CLIPS)
    layers = []
    for dim in FULL.dims:
        features, gradient = torch.randn(FULL.batch, dim), torch.randn(FULL.batch, FULL.latent)
        weights = [torch.full((dim, FULL.latent), 1e-3) for _ in range(4)]  # value, gradient, both moments
        layers.append((features, gradient, weights))
    one = torch.ones(())

    def work() -> None:
        for features, gradient, (value, of_value, first, second) in layers:
            features @ value
            torch.mm(features.T, gradient, out=of_value)
            torch._fused_adamw_(
                *([tensor] for tensor in (value, of_value, first, second)),
                [],
                [one],
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=1e-6,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )

    turns = take_turns({"least": lambda: [work() for _ in range(4)], "plain": lambda: plain.train(4)}, rounds)
    ratio = turns.ratio("plain", "least")
    return Row(
        f"{FULL.name} ({sum(FULL.dims):,} dimensions): the projections' two products and Adam's update of their "
        "weights alone, against the plain loop's whole step: more than this is not to be had",
        f"{1e3 * turns.median('least') / 4:.1f} ms",
        f"{1e3 * turns.median('plain') / 4:.1f} ms",
        ratio_text(ratio),
    )


def pca_against_none(rounds: int) -> Row:
    """A step of full-size features against the same after PCA, one configuration of five folds each."""
    reduced = StackTrainer(FULL_PCA, 1, MadeUpFeatures(FULL_PCA, len(CLIPS.filename), CPU), CLIPS)
    whole = StackTrainer(FULL, 1, MadeUpFeatures(FULL, len(CLIPS.filename), CPU), CLIPS)
    turns = take_turns({"reduced": lambda: reduced.train(4), "whole": lambda: whole.train(4)}, rounds)
    ratio = turns.ratio("whole", "reduced")
    return Row(
        f"a step of {FULL.name} size with PCA to {sum(FULL_PCA.dims)} dimensions against none, stack of 5",
        f"{1e3 * turns.median('reduced') / 4:.0f} ms",
        f"{1e3 * turns.median('whole') / 4:.0f} ms",
        ratio_text(ratio),
        "8x",
        ratio[0] >= 8,
    )


def small_pool_against_all(rounds: int) -> Row:
    """Two encoders of six in every pool."""
    features = MadeUpFeatures(DEMO, len(CLIPS.filename), CPU)
    two, all_six = StackTrainer(DEMO, 8, features, CLIPS, pool=(1, 4)), StackTrainer(DEMO, 8, features, CLIPS)
    turns = take_turns({"two": lambda: two.train(4), "all": lambda: all_six.train(4)}, rounds)
    ratio = turns.ratio("all", "two")
    return Row(
        "a pool of 2 of 6 encoders against all 6, demo, stack of 40",
        f"{1e3 * turns.median('two') / 4:.0f} ms a step",
        f"{1e3 * turns.median('all') / 4:.0f} ms a step",
        ratio_text(ratio),
        "2x",
        ratio[0] >= 2,
    )
