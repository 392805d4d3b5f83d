"""Notes, tags and the archive: what people say of studies, also while a search works on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rfe.workspace import StudyFolder, Workspace, open_workspace
from rfe.writing import PlainRecord

if TYPE_CHECKING:
    from rfe.tracking.annotations import Annotations


@dataclass(frozen=True)
class AnnotatedStudy(PlainRecord):
    """A study's annotations after a change."""

    study: str
    note: str
    tags: tuple[str, ...]
    archived: bool
    left: str = ""
    """Why MLflow does not show them yet, in a sentence; "" where it does."""


def note_study(name: str, text: str, workspace: Workspace | None = None) -> AnnotatedStudy:
    """Replace a study's note, which lists, `show` and MLflow show; "" removes it.

    Raises:
        StudyError: there is no such study.
        ConfigError: the note is too long, or holds a secret.

    Examples:
        >>> rfe.api.note_study("first", "baseline of the paper, table 2").note
        'baseline of the paper, table 2'
    """
    from rfe.tracking.annotations import set_note

    return _annotate(name, workspace, lambda folder: set_note(folder, text))


def tag_study(
    name: str, tags: Sequence[str], workspace: Workspace | None = None, *, remove: bool = False
) -> AnnotatedStudy:
    """Add tags to a study, or remove them.

    Raises:
        StudyError: there is no such study, or it does not have a tag that is to be removed.
        ConfigError: a tag has letters that a tag cannot have.

    Examples:
        >>> rfe.api.tag_study("first", ["paper", "gpu"]).tags
        ('paper', 'gpu')
    """
    from rfe.tracking.annotations import add_tags, remove_tags

    change = remove_tags if remove else add_tags
    return _annotate(name, workspace, lambda folder: change(folder, tags))


def archive_study(name: str, workspace: Workspace | None = None, *, undo: bool = False) -> AnnotatedStudy:
    """Hide a study from `list_studies`, or show it again. Nothing is moved or deleted.

    Raises:
        StudyError: there is no such study.

    Examples:
        >>> rfe.api.archive_study("first").archived
        True
    """
    from rfe.tracking.annotations import set_archived

    return _annotate(name, workspace, lambda folder: set_archived(folder, not undo))


def _annotate(name: str, workspace: Workspace | None, change: Callable[[StudyFolder], Annotations]) -> AnnotatedStudy:
    from rfe.reporting.running import find_running
    from rfe.tracking.annotated_run import update_run
    from rfe.workspace import find_folder

    workspace = workspace or open_workspace()
    folder = find_folder(workspace, name)
    new = change(folder)
    left = "" if find_running(folder) is not None else update_run(workspace, folder)
    return AnnotatedStudy(name, new.note, new.tags, new.archived, left)
