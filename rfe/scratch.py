"""A short, private folder for files that only this user's processes need, and a substitute for a missing HOME.

Unix sockets have names of at most 107 bytes, Ray's among them, and it keeps them in its temporary folder: below a long
TMPDIR (macOS, batch systems) it cannot start. Nor can it where another user's Ray made `/tmp/ray` first.
"""

import os
import shutil
import socket
import stat
import sys
from pathlib import Path

from rfe.errors import ConfigError

SOCKET_NAME = 107 if sys.platform.startswith("linux") else 103
"""Longest path of a Unix socket, in bytes: sun_path without its NUL; see unix(7)."""
LONGEST_TAIL = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.1")
"""What Ray appends to its temporary folder."""
LEAST_ROOM = 64 * 2**20
"""Bytes: Ray's logs and the state of a search take some megabytes."""
USUAL = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
"""Where to look when TMPDIR is of no use; the last one is left in containers whose root is read-only."""


def scratch_folder() -> Path:
    """This user's own folder (mode 0700) in RAY_TMPDIR, else in the first of TMPDIR, /tmp, /var/tmp and /dev/shm that
    can hold it; made if missing.

    Raises:
        ConfigError: RAY_TMPDIR cannot hold it, or no folder can.
    """
    given = os.environ.get("RAY_TMPDIR")
    if given:
        place = _own_folder(Path(given))
        if problem := _problem(place):
            raise ConfigError(f"RAY_TMPDIR={given}: {problem}; name another folder, or unset RAY_TMPDIR")
        return place
    places = [Path(os.environ["TMPDIR"])] if os.environ.get("TMPDIR") else []
    problems = []
    for parent in (*places, *USUAL):
        place = _own_folder(parent.absolute())
        problem = _problem(place)
        if not problem:
            return place
        problems.append(f"{parent}: {problem}")
    raise ConfigError(
        f"no folder for temporary files ({'; '.join(problems)}); name one with RAY_TMPDIR: a short path, that this "
        f"process may write, with {LEAST_ROOM >> 20} MB free"
    )


def provide_home() -> None:
    """Support libraries that write below HOME where it is missing, by setting the variables that they read instead.

    Where neither HOME nor an entry in the password file tells a home, libraries raise errors as soon as they are
    imported: HOME is then a folder of `scratch_folder`. One that cannot be written stays, because credentials may be
    read from it; only what matplotlib keeps there is put elsewhere. Of no effect where HOME can be written.

    Raises:
        ConfigError: as `scratch_folder`, where it is needed.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = scratch_folder() / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(home)
    if "MPLCONFIGDIR" not in os.environ:
        folders = [Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")]
        folders += [Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")]
        if not all(is_writable(folder / "matplotlib") for folder in folders):
            os.environ["MPLCONFIGDIR"] = str(scratch_folder() / "matplotlib")


def is_writable(folder: Path) -> bool:
    """Whether this process may make and fill the folder."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_folder(parent: Path) -> Path:
    return parent / f"rfe-{os.getuid()}"


def _problem(folder: Path) -> str:
    """Why the folder cannot be used; "" if it can, and then it is there."""
    if len(os.fsencode(folder)) + LONGEST_TAIL > SOCKET_NAME:
        most = SOCKET_NAME - LONGEST_TAIL - len(os.fsencode(folder.name)) - 1
        return f"is too long: Ray's sockets have room for {most} characters"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if problem := _ownership_problem(folder):
            return problem
        if (free := shutil.disk_usage(folder).free) < LEAST_ROOM:
            return f"is full: {free >> 20} MB free"
        _bind_socket(folder)
    except PermissionError:
        return f"belongs to user {folder.parent.stat().st_uid}, and this process (user {os.getuid()}) may not write it"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _ownership_problem(folder: Path) -> str:
    """In a folder that others may write to, the name may have been taken: by a link, or with access for others."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder.name} in it is no folder"
    if found.st_uid != os.getuid():
        return f"{folder.name} in it belongs to user {found.st_uid}, and this process runs as {os.getuid()}"
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
    return ""


def _bind_socket(folder: Path) -> None:
    """Raises OSError on file systems without sockets."""
    path = folder / f"socket-{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(os.fspath(path))
    finally:
        path.unlink(missing_ok=True)
