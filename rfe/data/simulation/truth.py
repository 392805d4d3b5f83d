"""`truth.json`: everything that was planted, for tests and for scores on the simulated test clips."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.appearance import Appearance
from rfe.data.simulation.content import SHIFT_DISPLAY, SHIFT_EXPRESSIVITY, Performers
from rfe.data.simulation.encoders import SHIFT_GAIN, SHIFT_OFFSET, EncoderView, describe_visibility
from rfe.data.simulation.knobs import Knobs
from rfe.data.simulation.oracle import fit_oracle, score_answers
from rfe.data.simulation.skeleton import Skeleton
from rfe.data.simulation.spec import SimulationSpec
from rfe.task import BLEMORE


def plan_of(spec: SimulationSpec, knobs: Knobs) -> dict[str, Any]:
    """The part of `truth.json` that says what was asked for, every encoder written out."""
    plan = asdict(spec) | {"encoders": [asdict(encoder) for encoder in spec.encoder_specs]}
    del plan["task"]
    if spec.task != BLEMORE:
        plan["task"] = spec.task.to_dict()
    return {"spec": plan, "knobs": asdict(knobs)}


def describe_truth(
    spec: SimulationSpec,
    knobs: Knobs,
    look: Appearance,
    skeleton: Skeleton,
    content: NDArray[np.float64],
    performers: Performers,
    views: list[EncoderView],
) -> dict[str, Any]:
    """What `truth.json` holds; all of it plain JSON.

    Args:
        look: of the classes.
        content: [clip, coordinate] m.
        views: of each encoder, in the order of `spec`.
    """
    task = spec.task
    oracle = fit_oracle(skeleton.cells, look, knobs, spec.seed)
    train, test = slice(0, skeleton.n_train), slice(skeleton.n_train, None)
    state = skeleton.state
    answer = None if oracle is None else oracle.answer(content)
    return {
        "simulated": True,
        "note": "Simulated data with a known truth; no number made from it says anything about real recordings.",
        **plan_of(spec, knobs),
        "encoders": {
            view.spec.name: {
                "kind": view.spec.kind,
                "modality": view.spec.modality,
                "copies": view.spec.copies,
                "dim": view.spec.dim,
                "strength": view.strength,
                "visibility": describe_visibility(view, task.classes),
            }
            for view in views
        },
        "geometry": {"emotions": list(task.classes), "class_means": _plain(look.geometry(knobs))},
        "shift": {
            "name": spec.shift,
            "encoder_with_changed_gain": spec.encoder_specs[0].name,
            "gain": SHIFT_GAIN[spec.shift],
            "offset_moved_and_widened": list(SHIFT_OFFSET[spec.shift]),
            "expressivity_moved_and_widened": list(SHIFT_EXPRESSIVITY[spec.shift]),
            "display_widened": SHIFT_DISPLAY[spec.shift],
        },
        "oracle": None
        if answer is None
        else {
            "sees": "the content m of each clip, without any encoder's noise; knows the actors' population only",
            "train": score_answers(task, state[train], answer[train]),
            "test": score_answers(task, state[test], answer[test]),
        },
        "actors": {
            "name": list(skeleton.actor_names),
            "fold": skeleton.actor_fold.tolist(),
            "expressivity": _plain(performers.expressivity),
        },
        "clips": {
            "filename": list(skeleton.filename),
            "video_id": [skeleton.actor_names[actor] for actor in skeleton.actor],
            "state": state.tolist(),
            "reliability": {view.spec.name: _plain(view.reliability) for view in views},
        },
        "test_labels": {
            skeleton.filename[clip]: task.state_percents(int(state[clip]))
            for clip in range(skeleton.n_train, len(skeleton.filename))
        },
    }


def _plain(values: NDArray[np.float64]) -> list[Any]:
    """Nested lists of four decimals."""
    plain: list[Any] = np.round(values, 4).tolist()
    return plain
