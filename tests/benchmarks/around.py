"""What happens around training: fitting decoders, selecting an ensemble, intervals."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np

from rfe.decoding.base import Outputs
from rfe.decoding.fitting import build_decoder
from rfe.ensemble.calibrated import FoldView
from rfe.ensemble.selection import Selection, select_weights
from rfe.metrics.intervals import InfluenceTable, difference_interval
from rfe.task import BLEMORE
from tests.benchmarks.rows import Row

CLIPS = 522
"""Of the largest official fold."""
REPLICAS = 1000
CANDIDATES, CANDIDATE_CLIPS = 1000, 3000
DECODERS = (("official", "grid"), ("official", "exact"), ("decoupled", "exact"), ("valid_states", "grid"))


def around_rows(rounds: int) -> Iterator[Row]:
    """Rows of everything but training."""
    for kind, thresholds in DECODERS:
        yield from decoder_rows(kind, thresholds, rounds)
    yield ensemble_row()
    yield interval_row(rounds)


def decoder_rows(kind: str, thresholds: str, rounds: int) -> Iterator[Row]:
    """Fitting one decoder on a fold's clips, and a thousand in one call."""
    stream = np.random.default_rng(0)
    truth = stream.integers(0, BLEMORE.n_states, CLIPS)
    logits = stream.normal(0, 2, (2, REPLICAS, CLIPS, 6)).astype(np.float32)
    fused = np.exp(logits[1]) / np.exp(logits[1]).sum(-1, keepdims=True)
    many = Outputs(logits[0], logits[1], fused, "bce")
    one = Outputs(logits[0, 0], logits[1, 0], fused[0], "bce")
    fit = build_decoder(BLEMORE, kind, thresholds).fit
    name = kind if kind == "valid_states" else f"{kind}, {thresholds} thresholds"
    timed = kind != "valid_states"  # the targets are those of threshold fits
    alone = seconds(partial(fit, one, truth), max(rounds, 5))
    yield Row(
        f"decoder fit, {CLIPS} clips: {name}",
        f"{1e3 * alone:.2f} ms",
        target="1 ms" if timed else "",
        met=alone < 1e-3 if timed else None,
    )
    together = seconds(partial(fit, many, truth), 3)
    yield Row(
        f"{REPLICAS:,} decoders in one call, {CLIPS} clips: {name}",
        f"{together:.3f} s",
        target="0.2 s" if timed else "",
        met=together < 0.2 if timed else None,
    )


def ensemble_row() -> Row:
    """Bagged greedy selection among all candidates."""
    stream = np.random.default_rng(1)
    truth = stream.integers(0, BLEMORE.n_states, CANDIDATE_CLIPS)
    shape = (CANDIDATES, CANDIDATE_CLIPS)
    sets = stream.uniform(0.01, 1.0, shape).astype(np.float32)
    ratios = np.where(BLEMORE.state_is_blend[truth], stream.uniform(0.1, 1.0, shape), 1.0).astype(np.float32)
    view = FoldView(sets, ratios, np.log(sets).mean(1).astype(np.float64), lambda index: np.empty(0, np.float32))
    how = Selection("greedy", candidates=CANDIDATES)
    taken = seconds(lambda: select_weights(BLEMORE, view, np.ones(CANDIDATE_CLIPS, bool), truth, how), 3)
    return Row(
        f"ensemble selection, {CANDIDATES:,} candidates x {CANDIDATE_CLIPS:,} clips, {how.bags} bags of "
        f"{how.members} steps",
        f"{taken:.1f} s",
        target="5 s",
        met=taken < 5,
    )


def interval_row(rounds: int) -> Row:
    """A paired difference over five seeds with its interval."""
    stream = np.random.default_rng(2)
    truth = stream.integers(0, BLEMORE.n_states, 2456)
    actor, fold = np.arange(2456) % 47, np.arange(2456) % 47 % 5
    arm, base = (
        InfluenceTable.of_answers(BLEMORE, truth, stream.integers(0, BLEMORE.n_states, (5, 2456)), actor, fold)
        for _ in range(2)
    )
    taken = seconds(lambda: difference_interval(arm, base), max(rounds, 5))
    return Row("a paired difference with its interval, 2,456 clips, 5 seeds", f"{1e3 * taken:.1f} ms")


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median after one warm-up."""
    call()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return median(taken)
