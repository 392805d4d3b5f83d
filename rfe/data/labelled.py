"""Reads labels only, which is all that scoring needs, from a data folder or a CSV file."""

from dataclasses import dataclass
from pathlib import Path

from rfe.data.caveats import Description, describe
from rfe.data.dataset import list_encoders
from rfe.data.faults import Faults
from rfe.data.metadata import Clips, collect_clips
from rfe.errors import DataError
from rfe.task import Task


@dataclass(frozen=True)
class LabelledClips:
    """Clips with what they show; features may be missing, and so may folds and actors."""

    path: Path
    """The folder or file."""
    name: str
    clips: Clips
    """Clips without label have the state -1; all are of fold 0 where not every labelled clip has one."""
    simulated: bool
    caveats: tuple[str, ...]


def read_labelled_clips(source: Path) -> LabelledClips:
    """Read labels to score against.

    Args:
        source: a data folder, of which its metadata are read (labels of target clips are not), or a CSV file with
            `filename`, `emotion_1`, `emotion_2` and their saliences, of which all rows are.

    Raises:
        DataError: with every fault of the labels.
    """
    faults = Faults()
    clips = collect_clips(_existing(source), faults, need_source=False, need_folds=False)
    description = Description(source.name, simulated=False, caveats=())
    if source.is_dir():
        description = describe(source, list_encoders(source), faults)
    faults.refuse(str(source))
    assert clips is not None  # None comes with a problem
    return LabelledClips(source.resolve(), description.name, clips, description.simulated, description.caveats)


@dataclass(frozen=True)
class AnsweredClips:
    """Clips to predict."""

    names: list[str]
    task: Task


def read_answered_clips(source: Path) -> AnsweredClips:
    """Read the clips to predict: the target clips, or all where there are none.

    Args:
        source: a data folder, of which its metadata are read, or a CSV file with `filename`.

    Raises:
        DataError: with every fault of the names.
    """
    faults = Faults()
    clips = collect_clips(_existing(source), faults, need_source=False, need_labels=False)
    faults.refuse(str(source))
    assert clips is not None  # None comes with a problem
    names: list[str] = clips.filename[clips.target if clips.n_target else clips.source].tolist()
    return AnsweredClips(names, clips.task)


def _existing(source: Path) -> Path:
    if not source.exists():
        raise DataError(f"{source}: no such folder or file; give the data folder, or a CSV file of its clips")
    return source
