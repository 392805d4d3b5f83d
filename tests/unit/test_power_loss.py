"""A small study whose power fails at any moment: what is left opens, goes on, and has all that was acknowledged."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.journal.events import TrialLog
from rfe.journal.journal import Journal
from rfe.journal.records import Record, read_events, read_records
from rfe.tracking.base import NullTracker
from rfe.workspace import Workspace
from rfe.writing import fill_folder, replace_folder, write_json
from tests.integration.fakes import write_data
from tests.unit.power import Moment, PowerRecorder, Tree, lay, read
from tests.unit.search.tiny_study import run_study

STUDY = "tiny"


def disks(moment: Moment, following: Moment | None) -> list[Tree]:
    """What may be left at a moment; also that only a part of what is appended to a file next has arrived."""
    found = [moment.least, moment.most]
    for name, content in (following.most if following else {}).items():
        before = moment.most.get(name)
        if content and before is not None and len(content) > len(before) and content.startswith(before):
            found.append({**moment.most, name: content[: (len(before) + len(content)) // 2]})
    return found


def place(root: Path) -> Workspace:
    return Workspace(root, f"sqlite:///{root}/mlflow.db", root / "cache")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_data(tmp_path_factory.mktemp("power") / "data", actors=3))


def test_whatever_moment_the_power_fails_a_study_opens_goes_on_and_has_what_was_acknowledged(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: at most moments the journal itself was gone, as its folder's names were never put on disk."""
    root = tmp_path / "whole"
    root.mkdir()
    acknowledged: list[object] = []
    original = Journal._record

    def record(self: Journal, *arguments: Any, **data: Any) -> Any:
        acknowledged.append(done := original(self, *arguments, **data))
        return done

    recorder = PowerRecorder(root, lambda: len(acknowledged))
    with recorder.recording(monkeypatch), monkeypatch.context() as patched:
        patched.setattr(Journal, "_record", record)
        run_study(place(root), dataset, NullTracker(), STUDY)
    whole = list(read_records(place(root).study(STUDY).journal))
    assert len(whole) == len(acknowledged)
    assert len(recorder.moments) > 40
    final = read(root)
    kept: dict[tuple[tuple[str, bytes | None], ...], int] = {}
    """Disk -> how many records it has; many moments leave the same."""
    resumed: set[tuple[int, int]] = set()
    for moment, following in zip(recorder.moments, [*recorder.moments[1:], None], strict=True):
        for number, disk in enumerate(disks(moment, following)):
            at = f"{moment.call}, disk {number}, {moment.acknowledged} acknowledged"
            key = tuple(sorted(disk.items()))
            if key not in kept:
                lay(disk, left := tmp_path / "left")
                records = read_after(left)
                assert records == whole[: len(records)], at
                assert all(final.get(name) == content for name, content in named_files(left).items()), at
                if (kind := (len(records), number)) not in resumed:
                    resumed.add(kind)
                    run_study(place(left), dataset, NullTracker(), STUDY)
                    assert read_after(left)[: len(records)] == records, at
                kept[key] = len(records)
                shutil.rmtree(left)
            assert kept[key] >= moment.acknowledged, at
    assert len(kept) > 40
    assert len(resumed) > 10


def read_after(root: Path) -> list[Record]:
    """The study's records, as its next command finds them."""
    with Journal(place(root).study(STUDY)) as journal:
        return list(journal.records())


def named_files(root: Path) -> Tree:
    """The files that the records of trials name, which must be whole."""
    trials = [event for event in read_events(place(root).study(STUDY)) if isinstance(event, TrialLog)]
    paths = [path for one in trials for path in (*one.artifacts.values(), one.weights) if isinstance(path, Path)]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("kind", ["file", "filled", "replaced"])
def test_what_was_written_whole_is_whole_after_a_power_failure(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: the name of what had been written and reported could be gone, or lead to an empty file."""
    root = tmp_path / "root"
    root.mkdir()
    done: list[int] = []

    def file(version: int) -> None:
        write_json(root / "a" / "b" / "value.json", {"version": version})

    def filled(version: int) -> None:
        with fill_folder(root / str(version)) as scratch:
            (scratch / "inner").mkdir()
            (scratch / "inner" / "value.json").write_text(f'{{"version": {version}}}')

    def replaced(version: int) -> None:
        beside = root / "beside"
        beside.mkdir()
        (beside / "value.json").write_text(f'{{"version": {version}}}')
        replace_folder(beside, root / "folder")

    write: Callable[[int], None] = {"file": file, "filled": filled, "replaced": replaced}[kind]
    recorder = PowerRecorder(root, lambda: len(done))
    with recorder.recording(monkeypatch):
        for version in (1, 2):
            write(version)
            done.append(version)
    wanted = {"file": "a/b/value.json", "filled": "{}/inner/value.json", "replaced": "folder/value.json"}[kind]
    for moment in recorder.moments:
        for disk in (moment.least, moment.most):
            if moment.acknowledged:
                content = disk.get(wanted.format(moment.acknowledged))
                former = disk.get(".folder.replaced/value.json")  # between the two renames
                assert (content or former or b"").startswith(b"{"), moment.call
    assert recorder.moments[-1].least.get(wanted.format(2), b"") == recorder.moments[-1].most[wanted.format(2)]
