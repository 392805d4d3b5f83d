"""What is done of an import: whole, and of these very files, or not there."""

import os
from pathlib import Path

import numpy as np
import pytest

from rfe.data import parts
from rfe.data.parts import ClipPart, find_part, make_part, read_rows, split_clips
from rfe.data.reading import Reading
from rfe.data.series import NO_FRAME
from rfe.data.statistics import clip_statistics


@pytest.fixture
def clips(tmp_path: Path) -> dict[str, tuple[Path, ...]]:
    """Three sound clips of which one is wider, and one that is all holes."""
    shapes = {"a": (4, 3), "b": (5, 3), "holes": (4, 3), "wide": (3, 4)}
    for name, shape in shapes.items():
        values = np.random.default_rng(len(name)).normal(size=shape).astype(np.float32)
        np.save(tmp_path / f"{name}.npy", np.full(shape, np.nan) if name == "holes" else values)
    return {name: (tmp_path / f"{name}.npy",) for name in shapes}


def only_part(clips: dict[str, tuple[Path, ...]], folder: Path, reading: Reading | None = None) -> ClipPart:
    [part] = split_clips(clips, reading or Reading(), folder)
    return part


def test_a_part_keeps_rows_and_reasons(clips: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    part = only_part(clips, tmp_path / "parts")
    assert find_part(part) is None
    made = make_part(part)
    assert (made.names, made.dims, made.skipped) == (["a", "b", "wide"], [21, 21, 28], {NO_FRAME: ["holes"]})
    assert find_part(part) == made
    for name, row in zip(made.names, read_rows(part), strict=True):
        np.testing.assert_array_equal(row, clip_statistics(np.load(clips[name][0])))


def test_a_part_without_rows(clips: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    part = only_part({"holes": clips["holes"]}, tmp_path / "parts")
    made = make_part(part)
    assert (find_part(part), made.names, read_rows(part)) == (made, [], [])


def test_another_file_or_reading_is_another_part(clips: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    first = only_part(clips, tmp_path)
    assert only_part(clips, tmp_path).path == first.path
    assert only_part(clips, tmp_path, Reading("vector")).path != first.path
    status = clips["a"][0].stat()
    os.utime(clips["a"][0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert only_part(clips, tmp_path).path != first.path


@pytest.mark.parametrize("left", [0, 10, -1])
def test_a_damaged_part_is_not_taken_for_done(left: int, clips: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    part = only_part(clips, tmp_path / "parts")
    make_part(part)
    content = part.path.read_bytes()
    part.path.write_bytes(content[:left])
    assert find_part(part) is None
    assert not part.path.exists()


def test_a_part_of_other_content_is_not_taken_for_done(clips: dict[str, tuple[Path, ...]], tmp_path: Path) -> None:
    part = only_part(clips, tmp_path)
    summary = '{"names": ["a"], "dims": [21], "lengths": [4], "header": [0], "headers": []}'
    for content in ({"values": np.zeros(21, np.float32)}, {"values": np.zeros(3, np.float32), "summary": summary}):
        np.savez(part.path, **content)
        assert find_part(part) is None


def test_parts_hold_all_clips_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CLIPS_PER_PART", 3)
    clips = {f"c{index}": (tmp_path / f"c{index}.npy",) for index in range(7)}
    made = split_clips(clips, Reading(), tmp_path)
    assert [len(part.clips) for part in made] == [3, 3, 1]
    assert [name for part in made for name, _ in part.clips] == list(clips)
