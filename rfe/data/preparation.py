"""One encoder's features prepared for one fold: the recipe, and the pure function that follows it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.domains import ActorKnowledge, IdentitySpace, fit_identity_space, group_clips
from rfe.data.folds import ALL_TRAIN, held_out_clips, training_clips
from rfe.data.metadata import Clips
from rfe.data.standardize import UNGROUPED, Preprocessing, fit_preprocessing, standardize
from rfe.errors import DataError

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How features are prepared; equal recipes give equal values."""

    fold: int
    """The held-out fold; -1: every source clip trains."""
    target_actors: ActorKnowledge | None
    """What standardises held-out and target clips; None: nothing is standardised by actor."""
    clips_per_group: int | None
    """Expected clips of a pseudo-actor; None unless `target_actors` is `pseudo`."""
    reduce: int | None
    """PCA dimension, less than the encoder's own; None: not reduced."""
    training_actors: int | None = None
    """How many training actors everything is fitted on; None: all."""


def prepare(
    encoder: str, values: Float32, available: NDArray[np.bool_], clips: Clips, recipe: Recipe
) -> tuple[Float32, Preprocessing, IdentitySpace | None]:
    """Fit on the fold's training clips and apply to all clips.

    Args:
        encoder: its name, for messages.
        values: [clip, dim] raw features, anything where not available.
        available: [clip]

    Returns:
        [clip, dim or reduced dim] prepared features, 0 where not available; what was fitted; and the space in which
        pseudo-actors were found, if they were.

    Raises:
        DataError: if no training clip has features, or their actors are needed and not known.
    """
    train = training_clips(clips, recipe.fold, recipe.training_actors)
    train = train[available[train]]
    if not len(train):
        where = f"where fold {recipe.fold} is held out" if recipe.fold != ALL_TRAIN else "of the final models"
        few = f" of the {recipe.training_actors} training actors" if recipe.training_actors is not None else ""
        raise DataError(
            f"encoder {encoder!r} has no features of any training clip{few} {where}; compute them, or leave it out "
            "(data.encoders)"
        )
    group = np.full(len(clips), UNGROUPED, np.int64)
    space = None
    if recipe.target_actors is not None:
        part_actor = clips.actor if recipe.target_actors == "known" else np.zeros(len(clips), np.int64)
        if recipe.clips_per_group is not None:
            space, part_actor = _find_pseudo_actors(
                values, available, clips, train, recipe.fold, recipe.clips_per_group
            )
        group = group_clips(clips, recipe.fold, part_actor)
    preprocessing = fit_preprocessing(values[train], group[train], recipe.reduce)
    prepared = np.zeros((len(clips), preprocessing.width), np.float32)
    prepared[available] = preprocessing.apply(values[available], group[available])
    return prepared, preprocessing, space


@dataclass(frozen=True)
class Fitted:
    """What prepares one encoder's features of clips that come later."""

    preprocessing: Preprocessing
    target_actors: ActorKnowledge | None
    """What standardises the clips; None: the training clips' statistics alone."""
    identity: IdentitySpace | None = None
    """Where pseudo-actors are found; None unless `target_actors` is `pseudo`."""
    clips_per_group: int = 54
    """Expected clips of a pseudo-actor."""

    def apply(self, values: Float32, available: NDArray[np.bool_], actor: NDArray[np.int64]) -> Float32:
        """Prepare clips of actors that had no part in training, as `prepare` does target clips.

        Args:
            values: [clip, dim] raw features, anything where not available.
            available: [clip]
            actor: [clip] read where actors are `known` only.

        Returns:
            [clip, dim or reduced dim], 0 where not available.
        """
        fitted = self.preprocessing
        prepared = np.zeros((len(values), fitted.width), np.float32)
        seen = values[available]
        if not len(seen):
            return prepared
        if self.target_actors is None:
            group = np.full(len(seen), UNGROUPED, np.int64)
        elif self.target_actors == "known":
            group = actor[available]
        elif self.identity is not None:
            plain = standardize(seen, np.full(len(seen), UNGROUPED), fitted.mean, fitted.variance)
            group = self.identity.find_actors(plain, self.clips_per_group)
        else:
            group = np.zeros(len(seen), np.int64)
        prepared[available] = fitted.apply(seen, group)
        return prepared


def _find_pseudo_actors(
    values: Float32,
    available: NDArray[np.bool_],
    clips: Clips,
    train: NDArray[np.int64],
    fold: int,
    clips_per_group: int,
) -> tuple[IdentitySpace, NDArray[np.int64]]:
    """The identity space of the training actors and, [clip], the pseudo-actors of held-out and target clips in it."""
    plain = fit_preprocessing(values[train], np.full(len(train), UNGROUPED))

    def standardized(positions: NDArray[np.int64]) -> Float32:
        return standardize(values[positions], np.full(len(positions), UNGROUPED), plain.mean, plain.variance)

    space = fit_identity_space(standardized(train), clips.actor[train])
    pseudo = np.zeros(len(clips), np.int64)
    for part in (held_out_clips(clips, fold), clips.target):
        seen = part[available[part]]
        pseudo[seen] = space.find_actors(standardized(seen), clips_per_group)
    return space, pseudo
