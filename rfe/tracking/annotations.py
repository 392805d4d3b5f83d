"""User annotations of a study: a note, tags, whether it is archived.

They are kept in a small file of their own in the study's folder, not in the journal, which only the study's driver
writes: so a study can be annotated while a search works on it. MLflow shows them with the study's run.
"""

import json
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import Timeout

from rfe.errors import ConfigError, StudyError
from rfe.locking import hold_lock
from rfe.secrets import find_secret
from rfe.suggestions import unknown
from rfe.workspace import StudyFolder
from rfe.writing import write_bytes, write_json

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=/-]{0,49}")
MOST_TAGS = 50
LONGEST_NOTE = 5000
"""Characters; the note is a tag in MLflow, which cuts longer ones."""
LOCK_S = 10.0
"""How long another annotation of the same study is waited for; it takes milliseconds."""
TAGS_TAG, NOTE_TAG, ARCHIVED_TAG = "rfe.tags", "rfe.note", "rfe.archived"
"""Tags of the study's run in MLflow."""


@dataclass(frozen=True)
class Annotations:
    """Of one study."""

    note: str = ""
    tags: tuple[str, ...] = ()
    """In the order in which they were given."""
    archived: bool = False
    changed: float = 0.0
    """Seconds since 1970; 0 of a study that was never annotated."""

    def run_tags(self) -> dict[str, str]:
        """As tags of the study's run; none of a study that was never annotated."""
        if not self.changed:
            return {}
        archived = "true" if self.archived else "false"
        return {TAGS_TAG: ", ".join(self.tags), NOTE_TAG: self.note, ARCHIVED_TAG: archived}


def read_annotations(folder: StudyFolder) -> Annotations:
    """The study's annotations; empty ones where there is no file.

    Raises:
        StudyError: the file is damaged.
    """
    path = folder.annotations
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        note, tags, archived, changed = (values[name] for name in ("note", "tags", "archived", "changed"))
        right = isinstance(note, str) and isinstance(archived, bool) and isinstance(changed, int | float)
        if (
            not right
            or not isinstance(tags, list)
            or not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in tags)
        ):
            raise ValueError("a value of the wrong type")
    except FileNotFoundError:
        return Annotations()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StudyError(
            f"{path}: cannot be read as a study's note and tags ({type(error).__name__}: {error}); delete the file and "
            f"annotate the study again"
        ) from None
    return Annotations(note, tuple(tags), archived, float(changed))


def annotations_shown(folder: StudyFolder) -> Annotations:
    """As `read_annotations`, but empty for a damaged file, which must not end a search."""
    try:
        return read_annotations(folder)
    except StudyError:
        return Annotations()


def set_note(folder: StudyFolder, text: str) -> Annotations:
    """Replace the study's note; "" removes it.

    Raises:
        ConfigError: the note is too long, or holds a secret, which MLflow would show.
        StudyError: as `read_annotations`, or the file stays locked.
    """
    text = text.strip()
    if len(text) > LONGEST_NOTE:
        raise ConfigError(f"the note has {len(text):,} characters, and at most {LONGEST_NOTE:,} are kept; shorten it")
    if "\0" in text or (not text.isprintable() and any(not one.isprintable() and one not in "\n\t" for one in text)):
        raise ConfigError("the note has control characters; write plain text")
    if kind := find_secret(text):
        raise ConfigError(f"the note holds {kind}, and MLflow shows notes to all who may look; take it out")
    return _change(folder, lambda old: replace(old, note=text))


def add_tags(folder: StudyFolder, tags: Iterable[str]) -> Annotations:
    """Add tags to the study; existing tags stay.

    Raises:
        ConfigError: a tag has other letters than a tag may have, or there are too many.
        StudyError: as `set_note`.
    """
    tags = list(tags)
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise ConfigError(
                f"tag {tag!r}: use at most 50 letters, digits and . _ : = / -, beginning with a letter or digit"
            )
        if kind := find_secret(tag):
            raise ConfigError(f"a tag holds {kind}, and MLflow shows tags to all who may look; take it out")

    def add(old: Annotations) -> Annotations:
        all_tags = tuple(dict.fromkeys((*old.tags, *tags)))
        if len(all_tags) > MOST_TAGS:
            raise ConfigError(f"study {folder.name!r} would have {len(all_tags)} tags; at most {MOST_TAGS} are kept")
        return replace(old, tags=all_tags)

    return _change(folder, add)


def remove_tags(folder: StudyFolder, tags: Iterable[str]) -> Annotations:
    """Remove tags from the study.

    Raises:
        StudyError: it does not have one of them; or as `set_note`.
    """
    tags = list(tags)

    def remove(old: Annotations) -> Annotations:
        for tag in tags:
            if tag not in old.tags:
                has = unknown("tag", tag, old.tags) if old.tags else f"it has no tags, so not {tag!r}"
                raise StudyError(f"study {folder.name!r}: {has}")
        return replace(old, tags=tuple(tag for tag in old.tags if tag not in tags))

    return _change(folder, remove)


def set_archived(folder: StudyFolder, archived: bool) -> Annotations:
    """Hide the study from lists, or show it again. Nothing is moved or deleted.

    Raises:
        StudyError: as `set_note`.
    """
    return _change(folder, lambda old: replace(old, archived=archived))


def keep_later_annotations(place: StudyFolder, pulled: StudyFolder) -> None:
    """Have the folder `pulled`, which is about to replace `place`, keep annotations that were made later here."""
    with suppress(OSError):
        if annotations_shown(place).changed > annotations_shown(pulled).changed:
            write_bytes(pulled.annotations, place.annotations.read_bytes())


def _change(folder: StudyFolder, change: Callable[[Annotations], Annotations]) -> Annotations:
    path = folder.annotations
    try:
        with hold_lock(lock_path(path), LOCK_S):
            old = read_annotations(folder)
            new = change(old)
            if replace(new, changed=0.0) == replace(old, changed=0.0):
                return old
            new = replace(new, changed=time.time())
            content: dict[str, Any] = asdict(new) | {"tags": list(new.tags)}
            write_json(path, content)
            return new
    except Timeout:
        raise StudyError(f"{path}: another process has been changing it for {LOCK_S:g} s; try again") from None


def lock_path(path: Path) -> Path:
    """The lock of the file of annotations."""
    return path.with_name(f".{path.stem}.lock")
