"""Whose statistics standardise a clip: its actor's, a pseudo-actor's, or those of a crowd of unknown actors.

Training clips always use their true actors. Held-out clips and target clips are treated alike, by what is known of
the target's actors, so that crossfit knows no more than the target tells:

- `known`: each clip's own actor;
- `pseudo`: clips are clustered in a space in which training actors stand apart, a cluster being an actor. Never in
  the raw features: their clusters are emotions, and standardising by them removes what is to be predicted;
- `unknown`: all held-out clips are one group, all target clips another.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rfe.data.folds import held_out_clips
from rfe.data.metadata import Clips
from rfe.errors import DataError

ActorKnowledge = Literal["known", "pseudo", "unknown"]
_KNOWLEDGE: tuple[ActorKnowledge, ...] = ("known", "pseudo", "unknown")
_IDENTITY_COMPONENTS = 100
"""PCA width before LDA: its within-actor covariance must be estimable from some dozens of clips an actor."""


def resolve_target_actors(value: str, clips: Clips) -> ActorKnowledge:
    """`auto` becomes `known` where the target clips carry `video_id`, else `unknown`; the others stay.

    Raises:
        DataError: `known` where there are target clips without `video_id`, or a value that is none of the four.
    """
    if value == "auto":
        return "known" if clips.target_has_actors else "unknown"
    if value == "known" and clips.n_target and not clips.target_has_actors:
        raise DataError(
            "data.target_actors: known, but the target clips carry no video_id, so a model that relies on their actors "
            "could not be used on them; set it to pseudo or unknown"
        )
    for knowledge in _KNOWLEDGE:
        if value == knowledge:
            return knowledge
    raise DataError(f"data.target_actors: {value!r} is none of auto, {', '.join(_KNOWLEDGE)}")


@dataclass(frozen=True)
class IdentitySpace:
    """An affine map to a space in which clips of one actor lie close and actors apart."""

    offset: NDArray[np.float32]
    """[dim]"""
    projection: NDArray[np.float32]
    """[dim, axis]"""

    def find_actors(self, values: NDArray[np.float32], clips_per_group: int) -> NDArray[np.int64]:
        """Cluster clips into pseudo-actors.

        Args:
            values: [clip, dim] features standardised by the training clips' statistics.
            clips_per_group: how many clips an actor is expected to have.

        Returns:
            [clip] the number of its pseudo-actor, from 0; about clips / clips_per_group of them.
        """
        from sklearn.cluster import KMeans  # most of a second, which most workers do without

        if not len(values):
            return np.zeros(0, np.int64)
        n_groups = min(len(values), max(1, round(len(values) / clips_per_group)))
        positions = (values - self.offset) @ self.projection  # [clip, dim] -> [clip, axis]
        clusters = KMeans(n_groups, n_init=10, random_state=0).fit_predict(positions)
        return np.asarray(clusters, np.int64)


def fit_identity_space(values: NDArray[np.float32], actor: NDArray[np.int64]) -> IdentitySpace:
    """Learn where actors stand apart: PCA, then LDA with the actor as class.

    Args:
        values: [clip, dim] standardised features of training clips.
        actor: [clip] their true actors, at least two.
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    n_clips, dim = values.shape
    n_actors = len(np.unique(actor))
    width = max(1, min(_IDENTITY_COMPONENTS, dim, n_clips - n_actors))
    pca = PCA(width, random_state=0).fit(values)
    discriminant = LinearDiscriminantAnalysis().fit(pca.transform(values), actor)
    axes = discriminant.scalings_[:, : n_actors - 1]  # [component, axis]
    offset = pca.mean_ + discriminant.xbar_ @ pca.components_
    return IdentitySpace(offset.astype(np.float32), (pca.components_.T @ axes).astype(np.float32))


def group_clips(clips: Clips, fold: int, part_actor: NDArray[np.int64]) -> NDArray[np.int64]:
    """[clip] the group whose statistics standardise the clip when `fold` is held out (-1: every source clip trains).

    Groups never cross the three parts (training, held-out, target), even where an actor does.

    Args:
        part_actor: [clip] who a held-out or target clip is taken to show: its actor, a pseudo-actor, or 0 for all;
            from 0. Not read for training clips, which use their true actors.

    Raises:
        DataError: if training clips have no actors.
    """
    if not clips.source_has_actors:
        raise DataError(
            "data.standardize: actor needs video_id for all training clips, which this data lacks; set it to fold"
        )
    group = clips.actor.copy()
    n_groups = len(clips.actor_names)
    for part in (held_out_clips(clips, fold), clips.target):
        group[part] = part_actor[part] + n_groups
        n_groups += int(part_actor[part].max(initial=-1)) + 1
    return group
