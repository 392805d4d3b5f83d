"""Checks whether the actors' designs agree, so that they predict how frequent each state is for a new actor."""

from rfe.data.dataset import Dataset
from rfe.data.domains import ActorKnowledge
from rfe.decoding.design import LARGEST_SPREAD, design_spread
from rfe.errors import ConfigError


def check_design(dataset: Dataset, setting: str, remedy: str) -> None:
    """Refuse the design decoder where the actors' designs do not predict one another.

    Args:
        dataset: the data set; of its labels only how frequent they are for each training actor is read.
        setting: what asks for it, e.g. `decode.design: actor`.
        remedy: what to do instead.

    Raises:
        ConfigError: actors are not known, or their designs differ by more than `LARGEST_SPREAD`.
    """
    clips = dataset.clips
    if not clips.source_has_actors:
        raise ConfigError(
            f"{setting}: answers each actor's clips together, so it needs video_id for all training clips, which "
            f"{dataset.path} lacks; add that column, or {remedy}"
        )
    source = slice(clips.n_source)
    spread = design_spread(clips.task, clips.state[source], clips.actor[source])
    if spread > LARGEST_SPREAD:
        raise ConfigError(
            f"{setting}: the training actors of {dataset.path} differ too much in how often they show each label to "
            f"tell what a new actor shows: their design spread is {spread:.2f}, and at most {LARGEST_SPREAD:g} is "
            f"allowed (0: equal designs, 1: independent draws); {remedy}"
        )


def check_design_actors(known: ActorKnowledge, setting: str, dataset: Dataset, remedy: str) -> None:
    """Refuse the design decoder where the actors of held-out and target clips are treated as unknown.

    Args:
        known: what is known of them; see `resolve_target_actors`.
        setting, dataset, remedy: as `check_design`.

    Raises:
        ConfigError: anything but `known`.
    """
    if known != "known":
        raise ConfigError(
            f"{setting}: answers each actor's clips together, but the actors of held-out and target clips of "
            f"{dataset.path} are taken as {known} (data.target_actors); set data.target_actors: known, which needs "
            f"video_id for all target clips, or {remedy}"
        )
