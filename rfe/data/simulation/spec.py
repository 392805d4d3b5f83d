"""What to simulate, and the check that it can be."""

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal

from rfe.config.schema import LARGEST_SEED
from rfe.data.simulation.appearance import MODALITIES
from rfe.data.simulation.encoders import DEMO_ENCODERS, FULL_ENCODERS, SHIFT_GAIN, EncoderSpec, latent_width
from rfe.data.simulation.skeleton import N_FOLDS, list_cells
from rfe.errors import ConfigError, gather
from rfe.task import BLEMORE, Task

Shift = Literal["none", "mild", "strong"]
Size = Literal["demo", "full"]
ENCODERS: dict[str, tuple[EncoderSpec, ...]] = {"demo": DEMO_ENCODERS, "full": FULL_ENCODERS}
KINDS: tuple[str, ...] = ("strong", "medium", "weak", "redundant", "noise")
SMALLEST_CLIPS_PER_ACTOR = 2


@dataclass(frozen=True)
class SimulationSpec:
    """What to simulate. The defaults are the official skeleton at the demo's width.

    Examples:
        >>> SimulationSpec(actors=10, clips_per_actor=20).missing
        0.0
    """

    actors: int = 47
    """Training actors, 5 or more (there are five folds)."""
    test_actors: int = 11
    """Test actors; 100 of them make a test score worth comparing with."""
    clips_per_actor: int = 54
    """2 to as many as the task has cells, BlEmoRE's 54. Only 47 actors with 54 clips have the official gaps and second
    takes (2,456 training clips)."""
    size: Size = "demo"
    """`demo`: six encoders of 63 features. `full`: seven encoders as wide as the published ones (about 600 MB)."""
    shift: Shift = "mild"
    """How far the test actors differ from the training actors."""
    missing: float = 0.0
    """Part of the clips that each encoder's file lacks, drawn for each encoder on its own."""
    anonymous_actors: bool = False
    """Leave out `video_id` of the test clips."""
    seed: int = 0
    encoders: tuple[EncoderSpec, ...] = ()
    """Encoders to simulate; empty: those of `size`."""
    task: Task = BLEMORE
    """Which labels there are."""

    @property
    def encoder_specs(self) -> tuple[EncoderSpec, ...]:
        """The encoders: those of `size` unless given; the demo's are as wide as the task's latent series."""
        if self.encoders or self.size != "demo":
            return self.encoders or ENCODERS[self.size]
        width = latent_width(self.task.n_classes)
        return tuple(replace(encoder, channels=width) for encoder in DEMO_ENCODERS)


def default_clips_per_actor(task: Task) -> int:
    """One clip of each cell, or BlEmoRE's 54 where there are more cells.

    Examples:
        >>> default_clips_per_actor(BLEMORE), default_clips_per_actor(Task("ab", ("a", "b")))
        (54, 8)
    """
    return min(SimulationSpec.clips_per_actor, len(list_cells(task)))


def check_spec(spec: SimulationSpec) -> None:
    """Raise a ConfigError that lists everything impossible about `spec`."""
    problems = []
    if spec.actors < N_FOLDS:
        problems.append(f"actors: {spec.actors} cannot fill {N_FOLDS} folds; use {N_FOLDS} or more")
    if spec.test_actors < 0:
        problems.append(f"test_actors: {spec.test_actors} is negative; use 0 for no test clips")
    n_cells = len(list_cells(spec.task))
    if not min(SMALLEST_CLIPS_PER_ACTOR, n_cells) <= spec.clips_per_actor <= n_cells:
        allowed = f"{SMALLEST_CLIPS_PER_ACTOR} to {n_cells}"
        problems.append(f"clips_per_actor: {spec.clips_per_actor} is impossible; use {allowed}")
    if spec.size not in ENCODERS:
        problems.append(f"size: {spec.size!r} is unknown; use {' or '.join(ENCODERS)}")
    if spec.shift not in SHIFT_GAIN:
        problems.append(f"shift: {spec.shift!r} is unknown; use {', '.join(SHIFT_GAIN)}")
    if not 0 <= spec.missing < 1:
        problems.append(f"missing: {spec.missing:g} is not a part of the clips; use 0 or more and less than 1")
    if not isinstance(spec.seed, Integral) or not 0 <= spec.seed <= LARGEST_SEED:
        problems.append(f"seed: {spec.seed} is not a whole number from 0 to {LARGEST_SEED}")
    problems += _check_encoders(spec.encoders)
    gather(problems, ConfigError, "simulation")


def _check_encoders(encoders: tuple[EncoderSpec, ...]) -> list[str]:
    """One sentence for each impossible encoder."""
    problems = []
    names = [encoder.name for encoder in encoders]
    kinds = {encoder.name: encoder.kind for encoder in encoders}
    for encoder in encoders:
        name = f"encoders.{encoder.name}"
        if names.count(encoder.name) > 1:
            problems.append(f"{name}: named twice; names must differ")
        if not encoder.name or not encoder.name.replace("_", "").replace("-", "").isalnum():
            problems.append(f"{name}: {encoder.name!r} cannot be a file's name; use letters, digits, _ and -")
        if encoder.kind not in KINDS:
            problems.append(f"{name}.kind: {encoder.kind!r} is unknown; use {', '.join(KINDS)}")
        if encoder.modality not in MODALITIES:
            problems.append(f"{name}.modality: {encoder.modality!r} is unknown; use {', '.join(MODALITIES)}")
        if encoder.channels < 1:
            problems.append(f"{name}.channels: {encoder.channels} is not a width; use 1 or more")
        if (encoder.kind == "redundant") != (encoder.copies is not None):
            problems.append(f"{name}.copies: must name an encoder where kind is redundant, and only there")
        elif encoder.copies is not None and kinds.get(encoder.copies, "redundant") == "redundant":
            others = [other for other in names if kinds[other] != "redundant"]
            problems.append(f"{name}.copies: {encoder.copies!r} is not one of {', '.join(others) or 'the encoders'}")
    return list(dict.fromkeys(problems))
