"""Mirrors a study's folder to another disk or an object store while the study runs.

Files are copied whole, and in an order that makes the copy a study at any moment: the journal is read first and written
last, so that everything it names is there before it says so. A store that does not answer delays the copy only.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from rfe.errors import ConfigError, StudyError
from rfe.journal.journal import LOCK_FILE
from rfe.secrets import redact_text, redact_uri
from rfe.threads import BackgroundThread
from rfe.tracking.annotations import keep_later_annotations
from rfe.workspace import StudyFolder
from rfe.writing import cut_torn_line, replace_folder

MIRROR_S = 60.0
"""How often what changed is copied."""
PROBE = ".probe"


class Mirror:
    """The copy of one study's folder, `STORAGE/NAME`.

    Args:
        folder: the study's.
        storage: a path, or an fsspec URI whose file system is installed; its credentials come from the environment.

    Raises:
        ConfigError: there is no file system for the URI.
    """

    def __init__(self, folder: StudyFolder, storage: str) -> None:
        import fsspec  # a study without a mirror does without

        self.folder, self.storage = folder, storage
        try:
            self._system, root = fsspec.core.url_to_fs(storage, skip_instance_cache=True)  # its transactions are ours
        except Exception as error:  # each file system has its own
            raise ConfigError(self.sentence("cannot be used", error)) from error
        self._root = f"{str(root).rstrip('/')}/{folder.name}"
        self._copied: dict[str, tuple[int, int] | None] | None = None
        """State of each file as it was copied, None of one that an earlier command copied; None: not looked yet."""

    def check(self) -> None:
        """Refuse storage that cannot be written, or that holds entries which this study's folder lacks.

        Raises:
            ConfigError: with the remedy.
        """
        try:
            self._write(PROBE, b"")
            self._system.rm_file(self._path(PROBE))
            mirrored = self._read(self.folder.journal.name)
        except Exception as error:
            raise ConfigError(self.sentence("cannot be written", error)) from error
        here = self.folder.journal.read_bytes() if self.folder.journal.is_file() else b""
        if not here.startswith(mirrored):
            raise ConfigError(
                f"storage: {redact_uri(self.storage)} holds a study {self.folder.name} with entries that "
                f"{self.folder.path} does not have; `rfe studies pull {self.folder.name} --storage ...` brings them "
                "here, or choose another --study name"
            )

    def copy(self) -> None:
        """Update the copy; errors of the file system propagate."""
        journal = self.folder.journal.read_bytes() if self.folder.journal.is_file() else b""
        journal = journal[: journal.rfind(b"\n") + 1]
        if self._copied is None:
            self._copied = dict.fromkeys(self._names())
        present = {path.relative_to(self.folder.path).as_posix(): path for path in _own_files(self.folder.path)}
        for name, path in present.items():
            try:
                stat = path.stat()
                state = (stat.st_mtime_ns, stat.st_size)
                if path != self.folder.journal and self._copied.get(name) != state:
                    self._write(name, path.read_bytes())
                    self._copied[name] = state
            except FileNotFoundError:  # weights of a trial that is no longer among the best
                continue
        if journal:
            self._write(self.folder.journal.name, journal)
        for name in self._copied.keys() - present.keys():
            self._system.rm_file(self._path(name))
            del self._copied[name]

    def fetch(self, beside: Path) -> None:
        """Copy the mirror into the new folder `beside`.

        Raises:
            StudyError: there is no study of that name, or it cannot be read.
        """
        try:
            names = self._names()
            if self.folder.journal.name not in names:
                raise StudyError(
                    f"--storage {redact_uri(self.storage)}: has no study {self.folder.name!r}; check the name, and "
                    "that its search has `storage` set"
                )
            for name in names:
                if ".." in PurePosixPath(name).parts:
                    raise StudyError(f"--storage {redact_uri(self.storage)}: {name} is outside the study's folder")
                local = beside / name
                local.parent.mkdir(parents=True, exist_ok=True)
                self._system.get_file(self._path(name), str(local))
        except StudyError:
            raise
        except Exception as error:
            raise StudyError(self.sentence("cannot be read", error)) from error

    def _names(self) -> list[str]:
        """The copy's files, relative to it."""
        self._system.invalidate_cache()
        return [
            str(PurePosixPath(path).relative_to(PurePosixPath(self._root))) for path in self._system.find(self._root)
        ]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _read(self, name: str) -> bytes:
        self._system.invalidate_cache()
        path = self._path(name)
        return bytes(self._system.cat_file(path)) if self._system.exists(path) else b""

    def _write(self, name: str, content: bytes) -> None:
        path = self._path(name)
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        with self._system.transaction, self._system.open(path, "wb") as file:  # whole or not at all
            file.write(content)

    def sentence(self, what: str, error: Exception) -> str:
        """A message on an error of the storage, and what to check."""
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return (
            f"storage: {redact_uri(self.storage)} {what} ({redact_text(reason, self.storage)}); check the path or URI, "
            "its file system's package and the credentials"
        )


def open_mirror(folder: StudyFolder, storage: str | None) -> Mirror | None:
    """Open the mirror of a study before a search; None where it has none.

    Raises:
        ConfigError: see `Mirror.check`.
    """
    if storage is None:
        return None
    if "://" not in storage and not Path(storage).is_absolute():
        raise ConfigError(f"storage: {storage!r} is a relative path; name an absolute one, or a URI")
    mirror = Mirror(folder, storage)
    mirror.check()
    return mirror


@contextmanager
def keep_mirror(mirror: Mirror | None, note: Callable[[str], None]) -> Iterator[None]:
    """Keep the copy up to date while the block runs, and update it once more at its end.

    Args:
        mirror: of a study whose lock this process holds; None: nothing is copied.
        note: told, once each time, that the store stopped or began to answer.
    """
    if mirror is None:
        yield
        return
    done = threading.Event()
    thread = BackgroundThread(target=_follow, args=(mirror, done, note), name="mirror")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def pull_mirror(folder: StudyFolder, storage: str) -> None:
    """Rebuild a study's folder from its mirror. The caller checks that no process searches it.

    The folder is written beside its place and renamed. One that is there is replaced if its journal is the beginning of
    the mirrored one.

    Raises:
        StudyError: there is no such mirror, it cannot be read, or the folder here has entries that the mirror lacks.
    """
    beside = StudyFolder(folder.path.with_name(f".{folder.name}.mirrored") / folder.name)
    shutil.rmtree(beside.path.parent, ignore_errors=True)  # of a pull that was killed
    try:
        Mirror(folder, storage).fetch(beside.path)
        cut_torn_line(beside.journal)
        check_replaceable(folder, beside)
        keep_later_annotations(folder, beside)
        replace_folder(beside.path, folder.path)
    finally:
        shutil.rmtree(beside.path.parent, ignore_errors=True)


def check_replaceable(place: StudyFolder, pulled: StudyFolder) -> None:
    """Refuse to replace a study's folder with `pulled` if the folder has entries that `pulled` lacks.

    Raises:
        StudyError: with the remedy.
    """
    if not place.exists():
        return
    here, there = (_entries(one.journal) for one in (place, pulled))
    if not here <= there:
        raise StudyError(
            f"study {place.name!r} is in {place.path} already, with entries that the pulled one does not have; pull "
            "into another --workspace, or delete the one here with `rfe studies delete`"
        )


def _entries(journal: Path) -> set[bytes]:
    """The lines that can be read: a damaged one is none that the other journal might lack."""
    if not journal.is_file():
        return set()
    found = set()
    for line in journal.read_bytes().splitlines(keepends=True):
        with suppress(ValueError, RecursionError):
            if line.endswith(b"\n") and isinstance(json.loads(line), dict):
                found.add(line.rstrip())
    return found


def _follow(mirror: Mirror, done: threading.Event, note: Callable[[str], None]) -> None:
    answered = True
    last = False
    while not last:
        last = done.wait(MIRROR_S)
        try:
            mirror.copy()
        except Exception as error:  # each file system has its own, and the study goes on
            if answered or last:
                note(mirror.sentence("does not take the study's copy", error))
            answered = False
        else:
            if not answered:
                note(f"storage: {redact_uri(mirror.storage)} takes the study's copy again")
            answered = True


def _own_files(folder: Path) -> Iterator[Path]:
    """Files of the folder that stay: not locks, not what is being written, not what a running process says of
    itself."""
    passing: set[Path] = {StudyFolder(folder).live, StudyFolder(folder).stop_request, folder / LOCK_FILE}
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        waits = path.parent == StudyFolder(folder).requests
        if not (hidden or waits) and path not in passing and path.is_file():
            yield path
