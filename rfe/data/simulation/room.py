"""Whether a data set fits on the disk and into memory, before any of it is drawn."""

import shutil
from pathlib import Path

from rfe.data.simulation.spec import ENCODERS, SimulationSpec
from rfe.errors import ConfigError
from rfe.resources import free_memory

NAME_BYTES = 110
"""Of a clip's name, in each feature file."""
CLIP_BYTES, VIEW_BYTES = 2700, 100
"""Of a clip, and of what one encoder sees of it: the peak that was measured at 12,000 actors. All clips are laid out,
and answered by the oracle, at once; features are written piece by piece."""


def check_room(spec: SimulationSpec, output: Path) -> None:
    """Refuse a data set that is larger than what is free.

    Args:
        spec: a possible one; see `check_spec`.
        output: the folder it is for, made or not.

    Raises:
        ConfigError: naming what makes it so large, what it needs and what there is.
    """
    clips = (spec.actors + spec.test_actors) * spec.clips_per_actor
    there = next(parent for parent in (output.absolute(), *output.absolute().parents) if parent.exists())
    memory = free_memory()
    needs = [
        (_written(spec, clips), shutil.disk_usage(there).free, f"on the disk of {there}"),
        (clips * (CLIP_BYTES + VIEW_BYTES * len(spec.encoder_specs)), memory, "of memory"),
    ]
    lacking = [
        f"{_size(needed)} {where}, of which {_size(free)} is free"
        for needed, free, where in needs
        if free is not None and needed > free
    ]
    if lacking:
        name = "actors" if spec.actors >= spec.test_actors else "test_actors"
        narrower = ", or size demo" if not spec.encoders and spec.encoder_specs != ENCODERS["demo"] else ""
        raise ConfigError(
            f"simulation: {name}: {getattr(spec, name)} makes {clips:,} clips with {spec.clips_per_actor} of each "
            f"actor, which need {', and '.join(lacking)}; use fewer actors or clips_per_actor{narrower}"
        )


def _written(spec: SimulationSpec, clips: int) -> int:
    """Bytes of all feature files."""
    return int(clips * (1 - spec.missing) * sum(4 * encoder.dim + NAME_BYTES for encoder in spec.encoder_specs))


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB"
