"""Where temporary files go when TMPDIR, HOME or another user are in the way."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rfe import scratch
from rfe.errors import ConfigError


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short path in the place of /tmp. pytest's own folders are too long for sockets."""
    folder = Path(os.path.relpath(tmp_path_factory.mktemp("s")))
    monkeypatch.chdir(folder)
    (Path.cwd() / "t").mkdir()
    monkeypatch.setattr(scratch, "LONGEST_TAIL", 10)
    monkeypatch.setattr(scratch, "USUAL", (Path.cwd() / "t",))
    for name in ("RAY_TMPDIR", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    return Path.cwd() / "t"


def test_it_is_this_users_alone(short: Path) -> None:
    folder = scratch.scratch_folder()
    assert folder == short / f"rfe-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    folder.chmod(0o777)  # as a former version, or a careless user, left it
    assert stat.S_IMODE(scratch.scratch_folder().stat().st_mode) == 0o700


def test_a_tmpdir_that_is_too_long_or_cannot_be_written_is_passed_over(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: Ray raised "AF_UNIX path length cannot exceed 107 bytes", an internal error."""
    for tmpdir in ("x" * 60, "missing/deeper"):
        monkeypatch.setenv("TMPDIR", str(short / tmpdir))
        if len(tmpdir) == 60:
            (short / tmpdir).mkdir()
        assert scratch.scratch_folder().parent == short
    (short / "own").mkdir()
    monkeypatch.setenv("TMPDIR", str(short / "own"))
    assert scratch.scratch_folder().parent == short / "own"


def test_ray_tmpdir_is_used_or_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(short / ("x" * 60)))
    with pytest.raises(ConfigError, match=r"RAY_TMPDIR=.*too long: Ray's sockets have room for \d+ .*unset RAY_TMPDIR"):
        scratch.scratch_folder()
    (short / "f").touch()
    monkeypatch.setenv("RAY_TMPDIR", str(short / "f"))
    with pytest.raises(ConfigError, match="not a directory"):
        scratch.scratch_folder()
    (short / "ray").mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(short / "ray"))
    assert scratch.scratch_folder().parent == short / "ray"


def test_a_name_that_another_took_is_not_used(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In /tmp any user can make our folder's name first, as a link or with access of his own."""
    (short / "elsewhere").mkdir()
    own = short / f"rfe-{os.getuid()}"
    own.symlink_to(short / "elsewhere")
    with pytest.raises(ConfigError, match="is no folder"):
        scratch.scratch_folder()
    own.unlink()
    own.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda real=os.getuid(): real)
    monkeypatch.setattr(scratch, "_own_folder", lambda parent, own=own: own)
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    with pytest.raises(ConfigError, match=f"belongs to user {uid}, and this process runs as {uid + 1}"):
        scratch.scratch_folder()


def test_a_full_disk_and_one_without_sockets_are_passed_over(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: Ray's processes ended without a word, and the search after 30 s with an internal error."""
    monkeypatch.setattr(scratch, "LEAST_ROOM", 2**62)
    with pytest.raises(ConfigError, match=r"no folder for temporary files .*is full: \d+ MB free.*RAY_TMPDIR"):
        scratch.scratch_folder()
    monkeypatch.setattr(scratch, "LEAST_ROOM", 1)

    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(1, "Operation not permitted") if address is None else OSError(95, "Not supported")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ConfigError, match="not supported"):
        scratch.scratch_folder()


def test_a_user_without_home_gets_one(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: `import ray.tune` raised "Could not determine home directory", as a raw traceback of a thread."""
    monkeypatch.setattr(Path, "home", _no_home)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    scratch.provide_home()
    home = Path(os.environ["HOME"])
    assert home == scratch.scratch_folder() / "home"
    assert home.is_dir()
    assert "MPLCONFIGDIR" not in os.environ  # it can be written


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_home_that_cannot_be_written_stays_and_matplotlib_writes_elsewhere(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / "file").touch()
    monkeypatch.setenv("HOME", str(short / "file" / "home"))
    scratch.provide_home()
    assert os.environ["HOME"] == str(short / "file" / "home")
    assert os.environ.pop("MPLCONFIGDIR") == str(scratch.scratch_folder() / "matplotlib")
    (short / "home").mkdir()
    monkeypatch.setenv("HOME", str(short / "home"))
    scratch.provide_home()
    assert "MPLCONFIGDIR" not in os.environ


def test_the_tail_is_as_long_as_what_ray_appends() -> None:
    """Of a real session's name, with a process id of seven digits."""
    code = "from ray._private.node import Node; import inspect; print(inspect.getsource(Node.__init__))"
    source = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'f"session_{date_str}_{os.getpid()}"' in source
    assert '"%Y-%m-%d_%H-%M-%S_%f"' in source
