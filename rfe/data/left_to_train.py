"""Checks what is left to train on when each fold is held out; otherwise training fails in the middle of a study."""

from collections.abc import Mapping

import numpy as np

from rfe.data.faults import Faults, list_names
from rfe.data.features import EncoderFile
from rfe.data.metadata import Clips


def report_folds(clips: Clips, encoders: Mapping[str, EncoderFile], faults: Faults) -> None:
    """Note encoders, blends and labels that no training clip of some fold has.

    Args:
        clips: with labels and folds.
        encoders: those that may be trained on.
        faults: told what is missing.
    """
    if len(clips.folds) < 2:
        return
    task, fold, state = clips.task, clips.fold[clips.source], clips.state[clips.source]
    for name, encoder in encoders.items():
        if encoder.available.any():  # of none at all something else is wrong, and said
            _report_encoder(name, encoder, clips, faults)
    blend_folds = np.unique(fold[task.state_is_blend[state]]).tolist()
    if len(blend_folds) == 1 and task.scores_saliences:
        faults.problem(
            f"fold: all blends are in fold {blend_folds[0]}, so none is left to train and to choose on when it is "
            "held out; put actors who show blends into at least two folds"
        )
    sets = {number: np.unique(task.state_set[state[fold == number]]) for number in clips.folds}
    for number in clips.folds:
        others = np.unique(np.concatenate([found for other, found in sets.items() if other != number]))
        if len(others) < 2:
            faults.warn(
                f"fold: when fold {number} is held out, all training clips show {task.set_names[others[0]]}; put "
                "clips of different labels into every fold",
                kind="one label",
                where=f"fold {number}",
            )
        elif alone := np.setdiff1d(sets[number], others).tolist():
            names = list_names([task.set_names[one] for one in alone])
            faults.warn(
                f"fold: only fold {number} has clips that show {names}, so no model that answers them has seen any",
                kind="label in one fold",
                where=f"fold {number}: {names}",
            )


def _report_encoder(name: str, encoder: EncoderFile, clips: Clips, faults: Faults) -> None:
    holding = np.unique(clips.fold[clips.source][encoder.available[clips.source]]).tolist()
    remedy = f"compute them, or leave {name} out (data.encoders)"
    if not holding:
        faults.problem(
            f"{encoder.path.name}: no training clip has features of {name}; {remedy}",
            kind="encoder of no training clip",
            where=encoder.path.name,
        )
    elif len(holding) == 1:
        faults.problem(
            f"{encoder.path.name}: when fold {holding[0]} is held out, no training clip has features of {name}: "
            f"only clips of that fold have any; {remedy}",
            kind="encoder in one fold",
            where=f"{encoder.path.name} (fold {holding[0]})",
        )
