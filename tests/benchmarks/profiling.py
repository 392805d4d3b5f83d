"""Where a step's time goes: torch's own profile of a demo stack, and its largest items in words."""

from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from rfe.training.allocator import keep_freed_memory
from tests.benchmarks.stacks import DEMO, MadeUpFeatures, StackTrainer, make_clips

STEPS = 20
LARGEST = 3
FREE_NUMBERS = 240_000_000
"""The profiler's own records lie between a step's tensors: without free pages enough their memory is mapped anew at
every step, which no training does."""
WORDS = {
    "aten::bmm": "matrix products: of the gate forwards, and of projection and gate for every gradient",
    "aten::baddbmm": "the projections' matrix products with their bias",
    "aten::mul": "elementwise products: weights times latent vectors, gains, dropout factors, and their ways back",
    "aten::sum": "sums over slots, clips or the latent axis: contexts, weighted sums, gradients of gains and biases",
    "aten::gelu": "GELU of every encoder's latent vector, an error function each",
    "aten::gelu_backward": "the slope of GELU, an error function and an exponential each",
    "aten::sigmoid": "the gate's squashing, an exponential each",
    "aten::sigmoid_backward": "the slope of the gate's squashing",
    "aten::_fused_adamw_": "AdamW: reads and writes parameters and both moments once, bound by memory",
    "aten::copy_": "copies into a layout that a product or the optimiser wants",
    "aten::cat": "the projections of all encoders put side by side",
    "aten::index_select": "each clip's features and dropout noise gathered",
    "aten::native_layer_norm_backward": "LayerNorm's way back",
}


def profile_step(output: Path) -> list[str]:
    """Lines that explain the largest items; the whole table goes to `step-profile.txt` in `output`."""
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.zeros(FREE_NUMBERS)  # let go at once
    clips = make_clips()
    trainer = StackTrainer(DEMO, 8, MadeUpFeatures(DEMO, len(clips.filename), torch.device("cpu")), clips)
    trainer.train(STEPS)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        trainer.train(STEPS)
    events = sorted(found.key_averages(), key=lambda one: -one.self_cpu_time_total)
    whole = sum(one.self_cpu_time_total for one in events)
    output.mkdir(parents=True, exist_ok=True)
    text = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=40, max_name_column_width=60)
    (output / "step-profile.txt").write_text(
        f"{STEPS} steps of a stack of {trainer.n_replicas}, demo size, one thread\n{text}"
    )
    return [
        f"{one.key}: {one.self_cpu_time_total / whole:.0%} of a step, {one.count / STEPS:.0f} calls: "
        f"{WORDS.get(one.key, 'see step-profile.txt')}"
        for one in events[:LARGEST]
    ]
