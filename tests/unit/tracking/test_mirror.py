"""A study's copy on another store: whole at any moment, put back where the study goes on, never in anyone's way."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import ConfigError, StudyError
from rfe.journal.events import TrialLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.study import StudyStore, read_definition, read_study
from rfe.tracking import mirror as module
from rfe.tracking.base import NullTracker
from rfe.tracking.mirror import Mirror, keep_mirror, open_mirror, pull_mirror
from rfe.workspace import StudyFolder, Workspace, open_workspace
from tests.integration.fakes import write_data
from tests.unit.search.tiny_study import ENDED, run_study
from tests.unit.tracking.logs import trial_log
from tests.unit.tracking.test_remote import files_of

STORAGE = "memory://bucket/studies"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("mirror") / "data"))


@pytest.fixture
def study(workspace: Workspace, dataset: Dataset) -> StudyFolder:
    system = fsspec.filesystem("memory")
    if system.exists("/bucket"):
        system.rm("/bucket", recursive=True)
    return run_study(workspace, dataset, NullTracker())


@pytest.fixture
def elsewhere(tmp_path: Path) -> StudyFolder:
    return open_workspace(tmp_path / "elsewhere").study("tiny")


def mirrored(name: str) -> bytes:
    return bytes(fsspec.filesystem("memory").cat_file(f"/bucket/studies/tiny/{name}"))


@pytest.mark.parametrize("where", ["uri", "path"])
def test_what_is_pulled_is_what_was_mirrored(
    where: str, study: StudyFolder, elsewhere: StudyFolder, tmp_path: Path
) -> None:
    storage = STORAGE if where == "uri" else str(tmp_path / "disk")
    with keep_mirror(open_mirror(study, storage), pytest.fail):
        pass
    pull_mirror(elsewhere, storage)
    assert files_of(elsewhere) == files_of(study)
    assert not [path for path in elsewhere.path.parent.iterdir() if path.name.startswith(".")]
    with StudyStore.open(elsewhere.path, read_definition(elsewhere.path)) as store:  # whoever goes on adopts the open
        states = {row.number: row.state for row in store.trials()}
    assert {number for number, state in states.items() if state != "running"} == set(range(ENDED))


@pytest.mark.parametrize("damage", ["line", "zeros", "tail", "bytes", "windows", "empty"])
def test_a_damaged_journal_is_brought_back(damage: str, study: StudyFolder, workspace: Workspace) -> None:
    """The sentence on a damaged line names `rfe studies pull`, which refused to replace what was no beginning of it."""
    Mirror(study, STORAGE).copy()
    whole = study.journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    content = {
        "line": b"".join([*lines[:3], lines[3][:50] + b"\n", *lines[4:]]),
        "zeros": b"".join([*lines[:3], b"\0" * 512 + b"\n", *lines[4:]]),
        "tail": whole[:-40],
        "bytes": whole.replace(b'"kind": "trial"', b'"kind": "\xff\xfe"', 1),
        "windows": whole.replace(b"\n", b"\r\n"),
        "empty": b"",
    }[damage]
    study.journal.write_bytes(content)
    if damage in ("line", "zeros", "bytes"):
        with pytest.raises(StudyError, match=r"journal.jsonl, line \d: not a journal record .*`rfe studies pull`"):
            list(read_events(study))
    elif damage == "windows":
        assert len(list(read_events(study))) > ENDED  # such lines are read as they are
    pull_mirror(study, STORAGE)
    assert study.journal.read_bytes() == whole


def test_only_changes_are_copied_and_what_was_dropped_is_removed(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Mirror(study, STORAGE).copy()
    again, written = Mirror(study, STORAGE), []
    again.copy()
    write = again._write
    monkeypatch.setattr(again, "_write", lambda name, content: (written.append(name), write(name, content)))
    with Journal(study) as journal:
        journal.record_trial(trial_log(ENDED))
    (study.trial(0) / "config.yaml").unlink()
    again.copy()
    assert set(written) == {
        "journal.jsonl",
        *(f"trials/{ENDED:05d}/{name}" for name in ("config.yaml", "confusion.csv", "weights.safetensors")),
    }
    assert not fsspec.filesystem("memory").exists("/bucket/studies/tiny/trials/00000/config.yaml")
    (study.trial(1) / "config.yaml").unlink()
    Mirror(study, STORAGE).copy()  # another command knows nothing of what this one copied
    assert not fsspec.filesystem("memory").exists("/bucket/studies/tiny/trials/00001/config.yaml")


def test_a_copy_that_was_cut_short_is_a_study_all_the_same(
    study: StudyFolder, elsewhere: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any file, the copy holds no trial whose files it lacks."""
    n_files = len(files_of(study))
    Mirror(study, STORAGE).copy()
    with Journal(study) as journal:
        journal.record_trial(trial_log(ENDED))
    for most in (0, 1, n_files // 2, n_files + 2, n_files + 3, n_files + 9):
        half = Mirror(study, STORAGE)
        write, left = half._write, [most]

        def until(name: str, content: bytes, write: Any = write, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(name, content)

        monkeypatch.setattr(half, "_write", until)
        with suppress(KeyboardInterrupt):
            half.copy()
        pull_mirror(elsewhere, STORAGE)
        ended = [event for event in read_events(elsewhere) if isinstance(event, TrialLog)]
        assert {log.number for log in ended} <= {row.number for row in read_study(elsewhere.path).trials}
        assert all(path.is_file() for log in ended for path in log.artifacts.values() if isinstance(path, Path))
    assert len(ended) == ENDED + 1


def test_a_store_that_goes_away_is_told_once_and_caught_up_with(
    study: StudyFolder, elsewhere: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MIRROR_S", 0.01)
    mirror = open_mirror(study, STORAGE)
    assert mirror is not None
    notes: list[str] = []
    away, came = {"now": True}, []
    copy = mirror.copy

    def flaky() -> None:
        came.append(1)
        if away["now"]:
            raise OSError("the bucket is on holiday")
        copy()

    monkeypatch.setattr(mirror, "copy", flaky)
    with keep_mirror(mirror, notes.append):
        while len(came) < 4:
            pass
        away["now"] = False
    assert len(notes) == 2
    assert "does not take the study's copy (the bucket is on holiday)" in notes[0]
    assert "again" in notes[1]
    pull_mirror(elsewhere, STORAGE)
    assert files_of(elsewhere) == files_of(study)


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("relative/folder", "is a relative path"),
        ("nosuch://user:hunter2@bucket", "cannot be used"),
        ("/proc/nowhere", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_starts(
    study: StudyFolder, storage: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refusal:
        open_mirror(study, storage)
    assert "hunter2" not in str(refusal.value)


def test_entries_that_are_missing_on_the_other_side_are_never_lost(study: StudyFolder, elsewhere: StudyFolder) -> None:
    Mirror(study, STORAGE).copy()
    pull_mirror(elsewhere, STORAGE)
    with Journal(elsewhere) as journal:
        journal.record("pool", workers=1)
    with pytest.raises(StudyError, match="entries that the pulled one does not have"):
        pull_mirror(elsewhere, STORAGE)
    Mirror(elsewhere, STORAGE).copy()
    with pytest.raises(ConfigError, match="`rfe studies pull tiny --storage"):
        open_mirror(study, STORAGE)
    pull_mirror(study, STORAGE)
    assert open_mirror(study, STORAGE) is not None


def test_a_study_that_is_not_there_is_refused(study: StudyFolder, elsewhere: StudyFolder) -> None:
    with pytest.raises(StudyError, match="has no study 'tiny'"):
        pull_mirror(elsewhere, STORAGE)
    assert not elsewhere.path.parent.exists() or not list(elsewhere.path.parent.iterdir())
