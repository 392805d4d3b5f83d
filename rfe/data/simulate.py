"""A data set like the challenge's, with a known truth: `metadata.csv`, one feature file per encoder and `truth.json`;
of a task other than BlEmoRE's, `task.yaml` too.

What is planted is written in the modules of `rfe.data.simulation`; how hard it is, in its `knobs`. The generator knows
nothing of the model: it plants content, actors, reliability and noise, not gates or heads.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.caveats import TRUTH_FILE
from rfe.data.features import feature_file
from rfe.data.simulation.appearance import Appearance, appearance_of
from rfe.data.simulation.content import Performers, draw_content, draw_performers
from rfe.data.simulation.encoders import EncoderSpec, EncoderView, build_view, draw_lengths, iterate_features
from rfe.data.simulation.files import write_features, write_metadata
from rfe.data.simulation.knobs import KNOBS, Knobs
from rfe.data.simulation.room import check_room
from rfe.data.simulation.skeleton import Skeleton, build_skeleton, list_cells
from rfe.data.simulation.spec import SimulationSpec, check_spec, default_clips_per_actor
from rfe.data.simulation.streams import open_stream
from rfe.data.simulation.truth import describe_truth, plan_of
from rfe.data.task import TASK_FILE, write_task
from rfe.errors import ConfigError
from rfe.progress import Progress, SilentProgress
from rfe.task import BLEMORE
from rfe.writing import check_folder_place, fill_folder, write_text

__all__ = ["EncoderSpec", "Knobs", "SimulationSpec", "World", "build_world", "default_clips_per_actor", "simulate"]


@dataclass(frozen=True)
class World:
    """Everything that is drawn before the frames."""

    look: Appearance
    skeleton: Skeleton
    performers: Performers
    content: NDArray[np.float64]
    """[clip, coordinate] m."""
    lengths: NDArray[np.int64]
    """[clip] frames."""
    views: tuple[EncoderView, ...]
    """How each encoder sees the clips."""


def build_world(spec: SimulationSpec, knobs: Knobs = KNOBS, progress: Progress | None = None) -> World:
    """Draw actors, clips, contents and what each encoder sees of them.

    Args:
        spec: what to simulate.
        knobs: sizes of what is planted.
        progress: told each actor, then each encoder; one step each.

    Raises:
        ConfigError: for impossible values, all of them in one message.
    """
    check_spec(spec)
    progress = progress or SilentProgress()
    actors = spec.actors + spec.test_actors
    progress.start(f"laying out {actors * spec.clips_per_actor:,} clips", actors + len(spec.encoder_specs))
    task, cells = spec.task, list_cells(spec.task)
    look = appearance_of(task, knobs, spec.seed)
    skeleton = build_skeleton(cells, spec.actors, spec.test_actors, spec.clips_per_actor, spec.seed, progress.update)
    performers = draw_performers(task, look, skeleton.actor_fold < 0, spec.shift, knobs, spec.seed)
    stream = open_stream(spec.seed, "content")
    content = draw_content(skeleton.cell, skeleton.actor, cells, look, performers, knobs, stream)
    by_name = {encoder.name: encoder for encoder in spec.encoder_specs}
    first = spec.encoder_specs[0].name
    views: list[EncoderView] = []
    for encoder in spec.encoder_specs:
        source = by_name[encoder.copies or encoder.name]
        # The encoder whose gain changes on test clips is the first one, and what copies it.
        shifted = source.name == first
        views.append(build_view(look, encoder, source, content, skeleton, knobs, spec.shift, shifted, spec.seed))
        progress.update(actors + len(views))
    lengths = draw_lengths(len(skeleton.filename), spec.seed)
    return World(look, skeleton, performers, content, lengths, tuple(views))


def simulate(spec: SimulationSpec, output: Path, progress: Progress | None = None, knobs: Knobs = KNOBS) -> Path:
    """Write a simulated data folder.

    Args:
        spec: what to simulate; equal specs give equal files.
        output: the data folder to make; new, empty, or one that holds the same simulated set already.
        progress: told what is laid out, then each encoder's file and the truth; one step each.
        knobs: sizes of what is planted; the default is the calibrated table.

    Returns:
        `output`.

    Raises:
        ConfigError: for impossible values, all of them in one message, a data set that is larger than what is free on
            the disk or in memory, or an `output` that holds something else.
    """
    check_spec(spec)
    place = output.absolute()
    check_folder_place(place)
    if place.is_dir() and any(place.iterdir()):
        if _planned(place) == json.loads(json.dumps(plan_of(spec, knobs))):
            lacking = [name for name in files_of(spec) if not (place / name).is_file()]
            if lacking:
                raise ConfigError(f"{output}: lacks {', '.join(lacking)} of this set; remove it to make it again")
            return output
        what = "something else" if _planned(place) is None else "another simulated data set"
        raise ConfigError(f"{output}: holds {what}; name another folder, or remove that one")
    check_room(spec, output)
    progress = progress or SilentProgress()
    world = build_world(spec, knobs, progress)
    progress.start(f"simulating {len(world.skeleton.filename):,} clips", len(world.views) + 1)
    with fill_folder(place) as scratch:
        for done, view in enumerate(world.views, start=1):
            name = view.spec.name
            present = open_stream(spec.seed, "missing", name).random(len(world.lengths)) >= spec.missing
            features = iterate_features(view, world.lengths, spec.seed)
            filenames = np.array(world.skeleton.filename)
            write_features(scratch / feature_file(name), features, present, filenames, view.spec.dim)
            progress.update(done)
        write_metadata(scratch / "metadata.csv", world.skeleton, spec.anonymous_actors)
        if spec.task != BLEMORE:
            write_task(scratch / TASK_FILE, spec.task)
        truth = describe_truth(
            spec, knobs, world.look, world.skeleton, world.content, world.performers, list(world.views)
        )
        write_text(scratch / TRUTH_FILE, json.dumps(truth))
    progress.update(len(world.views) + 1)
    return output


def files_of(spec: SimulationSpec) -> tuple[str, ...]:
    """Names of all files of a simulated set."""
    own = () if spec.task == BLEMORE else (TASK_FILE,)
    return (*own, "metadata.csv", *(feature_file(one.name) for one in spec.encoder_specs), TRUTH_FILE)


def _planned(folder: Path) -> Any:
    """The plan of the simulated set in a folder; None if it has none."""
    try:
        truth = json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8"))
        return {name: truth[name] for name in ("spec", "knobs")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
