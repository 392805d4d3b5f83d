"""What a local Ray needs of the machine."""

import resource
from pathlib import Path

import pytest

from rfe.errors import ConfigError
from rfe.search import preconditions
from rfe.search.preconditions import Finding, find_conditions

NO_LIMIT = resource.RLIM_INFINITY


@pytest.fixture(autouse=True)
def _plenty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which all is well."""
    monkeypatch.setattr(preconditions, "scratch_folder", lambda: tmp_path)
    monkeypatch.setattr(preconditions, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(preconditions, "process_limit", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    limit(monkeypatch, None, NO_LIMIT)


def limit(monkeypatch: pytest.MonkeyPatch, which: int | None, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (most, most) if kind == which else (NO_LIMIT, NO_LIMIT))


def found() -> dict[str, Finding]:
    return {one.what: one for one in find_conditions()}


def test_what_is_enough_is_fine() -> None:
    findings = found()
    assert {one.verdict for one in findings.values()} == {"fine"}
    assert {"temporary folder", "HOME", "open files", "processes and threads"} <= findings.keys()


@pytest.mark.parametrize(("most", "verdict"), [(100, "wrong"), (1024, "look"), (65536, "fine")])
def test_few_open_files_are_said(most: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, resource.RLIMIT_NOFILE, most)
    assert found()["open files"].verdict == verdict
    assert ("ulimit -n" in found()["open files"].remedy) == (verdict != "fine")


@pytest.mark.parametrize(
    ("own", "group", "remedy"), [(100, None, "ulimit -u"), (100, 90, "pids-limit"), (NO_LIMIT, 90, "pids-limit")]
)
def test_few_processes_are_said_with_who_limits_them(
    own: int, group: int | None, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    limit(monkeypatch, resource.RLIMIT_NPROC, own)
    monkeypatch.setattr(preconditions, "process_limit", lambda: group)
    finding = found()["processes and threads"]
    assert finding.verdict == "wrong"
    assert remedy in finding.remedy
    monkeypatch.setattr("os.getuid", lambda: 0)  # of whom the kernel counts none
    assert found()["processes and threads"].verdict == ("fine" if group is None else "wrong")


def test_a_limited_address_space_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, resource.RLIMIT_AS, 2**33)
    assert "ulimit -v" in found()["address space"].remedy


def test_a_home_that_is_missing_or_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HOME")
    assert (found()["HOME"].found, found()["HOME"].verdict) == ("is not set", "look")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert (found()["HOME"].found, found()["HOME"].verdict) == (f"{tmp_path}/file cannot be written", "look")


def test_without_a_temporary_folder_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Path:
        raise ConfigError("RAY_TMPDIR=/x: is full; name another folder, or unset RAY_TMPDIR")

    monkeypatch.setattr(preconditions, "scratch_folder", refuse)
    finding = found()["temporary folder"]
    assert finding == Finding(
        "temporary folder", "RAY_TMPDIR=/x: is full", "wrong", "name another folder, or unset RAY_TMPDIR"
    )


def test_a_tmpdir_that_is_passed_over_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/somewhere/else")
    assert "because TMPDIR=/somewhere/else is too long" in found()["temporary folder"].found


def test_little_shared_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preconditions, "OBJECT_STORE_BYTES", 2**60)
    (finding,) = [one for one in find_conditions() if one.verdict != "fine"]
    assert "--shm-size" in finding.remedy
