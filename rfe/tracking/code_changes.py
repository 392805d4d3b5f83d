"""Records the code that a search was started from: its commit and uncommitted changes."""

import hashlib
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from rfe.secrets import find_secret
from rfe.workspace import StudyFolder
from rfe.writing import write_bytes

MOST_BYTES = 2**20
"""A larger diff is not kept."""
MOST_UNTRACKED = 100
"""So many names of files that git does not know are listed above the diff."""
GIT_S = 10.0
"""How long git may take for each question; a search does not wait longer for it."""
# no program that the repository names is run, and no lock of it is taken
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false")


@dataclass(frozen=True)
class CodeState:
    """The code in the working directory when a search starts."""

    commit: str = ""
    """Of its git repository; "" outside of one."""
    diff: str = ""
    """The file with the uncommitted changes, relative to the study's folder; "" where there are none, or are not
    kept."""
    note: str = ""
    """Why they are not kept, in a sentence."""


def keep_code(folder: StudyFolder, place: Path) -> CodeState:
    """Keep what differs from the last commit of the git repository around `place` in the study's folder `code`.

    Equal changes are kept once. The contents of files that git does not know are not kept, only their names. Nothing
    here raises: a study can do without.
    """
    try:
        top = _git(place, "rev-parse", "--show-toplevel").decode().rstrip("\n")
        commit = _git(place, "rev-parse", "HEAD").decode().strip()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return CodeState()  # no repository, no commit yet, no git
    try:
        changes = _git(Path(top), "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv", most=MOST_BYTES + 1)
        untracked = _git(Path(top), "ls-files", "--others", "--exclude-standard", "-z", most=MOST_BYTES).split(b"\0")
    except (OSError, subprocess.SubprocessError) as error:
        return CodeState(commit, note=f"code: git did not say what is changed in {top} ({type(error).__name__})")
    names = [name for name in untracked if name]
    if not changes and not names:
        return CodeState(commit)
    remedy = "commit them, or the study cannot say what code it ran"
    if len(changes) > MOST_BYTES:
        return CodeState(
            commit, note=f"code: the uncommitted changes in {top} are over 1 MiB and are not kept; {remedy}"
        )
    if kind := find_secret(changes.decode(errors="replace")):
        return CodeState(
            commit, note=f"code: the uncommitted changes in {top} hold {kind}, so they are not kept with the study"
        )
    listed = [b"# not in git: " + name.replace(b"\n", b"?") for name in names[:MOST_UNTRACKED]]
    if len(names) > MOST_UNTRACKED:
        listed.append(f"# and {len(names) - MOST_UNTRACKED} more".encode())
    head = [f"# changes since commit {commit}".encode(), *listed]
    content = b"\n".join(head) + b"\n" + changes
    path = folder.code / f"{hashlib.sha256(content).hexdigest()[:12]}.diff"
    if not path.exists():
        write_bytes(path, content)
    return CodeState(commit, path.relative_to(folder.path).as_posix())


def _git(place: Path, *words: str, most: int = 2**16) -> bytes:
    """What git answers, at most `most` bytes of it.

    Raises:
        OSError, subprocess.SubprocessError: there is no git, it refuses, or takes too long.
    """
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    command = [*_GIT, *words]
    with subprocess.Popen(
        command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as process:
        watchdog = _kill_later(process)
        assert process.stdout is not None
        try:
            answer = process.stdout.read(most)
            if len(answer) == most:
                process.kill()  # the rest is not wanted
                return answer
            if process.wait(GIT_S):
                raise subprocess.CalledProcessError(process.returncode, command)
            return answer
        finally:
            watchdog.cancel()


def _kill_later(process: "subprocess.Popen[bytes]") -> threading.Timer:
    timer = threading.Timer(GIT_S, process.kill)
    timer.daemon = True
    timer.start()
    return timer
