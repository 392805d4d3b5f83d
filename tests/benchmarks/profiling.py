"""Where a step's time goes: torch's own profile of a stack, and its largest items in words."""

from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from rfe.training.allocator import keep_freed_memory
from tests.benchmarks.stacks import DEMO, MadeUpFeatures, Size, StackTrainer, make_clips

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


def profile_step(output: Path, device: torch.device, size: Size = DEMO, n_configs: int = 8) -> str:
    """A paragraph on the largest items; the whole table goes to `output`, an own file for a GPU."""
    on_gpu = device.type == "cuda"
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.zeros(FREE_NUMBERS)  # let go at once
    clips = make_clips()
    features = MadeUpFeatures(size, len(clips.filename), device)
    trainer = StackTrainer(size, n_configs, features, clips, device=device)
    trainer.train(STEPS)
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as found:
        trainer.train(STEPS)
    time_of = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    events = sorted(found.key_averages(), key=lambda one: -float(getattr(one, time_of)))
    whole = sum(getattr(one, time_of) for one in events)
    where = torch.cuda.get_device_name(device) if on_gpu else "one thread"
    what = f"{size.name} size, stack of {trainer.n_replicas}, {where}"
    name = "step-profile-gpu.txt" if on_gpu else "step-profile.txt"
    table = found.key_averages().table(sort_by=time_of, row_limit=40, max_name_column_width=60)
    output.mkdir(parents=True, exist_ok=True)
    (output / name).write_text(f"{STEPS} steps: {what}\n{table}")
    largest = [
        f"{one.key}: {getattr(one, time_of) / whole:.0%} of a step, {one.count / STEPS:.0f} calls: "
        f"{WORDS.get(one.key, f'see {name}')}"
        for one in events[:LARGEST]
    ]
    return f"The largest items of a step ({what}; the others in `{name}`): {'; '.join(largest)}."
