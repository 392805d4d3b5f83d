"""Imports a folder of metadata and per-clip files as a data folder; resumes an interrupted import.

The data folder appears whole or not at all. Until then, what is done lies beside it in `.NAME.partial`; an import that
is interrupted or killed leaves it there, and running the same import again resumes from it.
"""

import csv
import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import Timeout

from rfe.data.aggregation import Aggregation, SeriesFiles, aggregate_files
from rfe.data.caveats import DESCRIPTION_FILE, TRUTH_FILE
from rfe.data.check import CheckReport, check_folder
from rfe.data.faults import list_names
from rfe.data.features import feature_file
from rfe.data.layout import Layout, read_published
from rfe.data.mapping import read_mapping
from rfe.data.metadata import Clips, clip_key, read_clips
from rfe.data.task import TASK_FILE, write_task
from rfe.errors import DataError
from rfe.locking import hold_lock
from rfe.progress import Progress, SilentProgress
from rfe.suggestions import nearest
from rfe.writing import DISK_FULL

NO_FILE = "no file"
NOT_A_CLIP = "no clip of the metadata"
_KEPT = "completed parts are kept in {}; the same command resumes from them"


@dataclass(frozen=True)
class ImportReport:
    """What was imported, and the check of the resulting folder."""

    output: Path
    aggregated: tuple[Aggregation, ...]
    copied: tuple[str, ...]
    """Feature files taken over as they were."""
    notes: tuple[str, ...]
    check: CheckReport

    @property
    def resumed(self) -> int:
        """Clips (of all encoders) that an earlier, interrupted import had completed."""
        return sum(one.resumed for one in self.aggregated)


def import_folder(
    folder: Path,
    output: Path,
    *,
    mapping: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Make a data folder, test clips included.

    A clip whose file is missing or cannot be used is skipped, and reported with the reason: it will be masked. What the
    metadata have wrong is refused before any series is read.

    Args:
        folder: above the published files, at any depth; or what `mapping` describes.
        output: the data folder to make; must not exist, or be empty.
        mapping: a YAML file (`rfe.data.mapping`) that says where a folder of another layout has what.
        workers: processes; default as many as pay, at most four. Each has one clip in memory at a time.

    Raises:
        DataError: no metadata or faults in it, no features, the same file in two places, an encoder without one usable
            clip or without a width that most clips have, a full disk, or another import that writes `output`.
        ConfigError: faults of the mapping.
    """
    folder, output = Path(folder), Path(output)
    progress = progress or SilentProgress()
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one that the published files were unpacked into")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} exists and is not empty; give a new folder, or remove it")
    layout = read_published(folder) if mapping is None else read_mapping(mapping, folder)
    with _open_partial(output, progress) as partial:
        made = partial / "data"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        notes = _write_metadata(layout, made)
        _write_task(layout, made)
        clips = _read_metadata(layout, made, folder, notes)
        for name, path in {**layout.features, **_what_it_says(layout)}.items():
            shutil.copyfile(path, made / name)
        aggregated = []
        for files in layout.series:
            path = made / feature_file(files.encoder)
            parts = partial / "parts" / files.encoder
            one = aggregate_files(_match_clips(files, clips), path, parts, workers=workers, progress=progress)
            aggregated.append(replace(one, path=output / path.name))
        made.replace(output)
        shutil.rmtree(partial / "parts", ignore_errors=True)
    return ImportReport(output, tuple(aggregated), tuple(layout.features), notes, check_folder(output))


def _what_it_says(layout: Layout) -> dict[str, Path]:
    """Name -> file that says beside the metadata what the data are: simulated, say, or with which caveats."""
    beside = {path.parent / name for path in layout.metadata.values() for name in (DESCRIPTION_FILE, TRUTH_FILE)}
    return {path.name: path for path in sorted(beside) if path.is_file()}


@contextmanager
def _open_partial(output: Path, progress: Progress) -> Iterator[Path]:
    """The folder of what is done; when the block ends it stays only if it holds finished parts."""
    partial = output.absolute().with_name(f".{output.absolute().name}.partial")
    made = [parent for parent in partial.parents if not parent.exists()]
    partial.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(partial / "lock", 0.0, instead="--output"):
            try:
                yield partial
            except (DataError, OSError) as error:
                sentence = str(error)
                if isinstance(error, OSError):
                    if error.errno not in DISK_FULL:
                        raise
                    sentence = f"{output}: the disk is full; make room"
                raise DataError(sentence + (f"\n{_KEPT.format(partial)}" if _has_parts(partial) else "")) from None
            except KeyboardInterrupt:
                if _has_parts(partial):
                    progress.note(_KEPT.format(partial))
                raise
            finally:
                if not _has_parts(partial):
                    shutil.rmtree(partial, ignore_errors=True)
                    for parent in made:
                        with suppress(OSError):  # the data folder is in it
                            parent.rmdir()
    except Timeout:
        raise DataError(f"another import is writing {output}; wait for its end, or give another folder") from None


def _has_parts(partial: Path) -> bool:
    return any(partial.glob("parts/*/*.npz"))


def _write_metadata(layout: Layout, made: Path) -> tuple[str, ...]:
    """Where no metadata names the test clips, their series do; returns notes that say so."""
    notes: tuple[str, ...] = ()
    for name, path in layout.metadata.items():
        optional = frozenset(layout.columns) - {"filename"} if name == "test_metadata.csv" else frozenset[str]()
        notes += _copy_table(path, made / name, layout.columns, optional)
    if "metadata.csv" in layout.metadata or "test_metadata.csv" in layout.metadata:
        return notes
    names = layout.test_clips
    if not names:
        return (
            *notes,
            "no test_metadata.csv and no series of test clips: the data folder has no target clips",
        )
    with (made / "test_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["filename"], *([name] for name in names)])
    return (
        *notes,
        f"no test_metadata.csv: its {len(names)} clips were taken from the names of the test series",
    )


def _write_task(layout: Layout, made: Path) -> None:
    """The mapping's task, or a `task.yaml` that stands beside the metadata."""
    if layout.task is not None:
        write_task(made / TASK_FILE, layout.task)
        return
    for path in (metadata.parent / TASK_FILE for metadata in layout.metadata.values()):
        if path.is_file():
            shutil.copyfile(path, made / TASK_FILE)


def _read_metadata(layout: Layout, made: Path, folder: Path, notes: Sequence[str]) -> Clips:
    """The clips; what is wrong is said of the files that were given, and not of their copies."""
    try:
        return read_clips(made, need_source=False)
    except DataError as error:
        sentence = str(error).replace(str(made), str(folder))
        for name, path in layout.metadata.items():
            sentence = sentence.replace(name, path.name)
        raise DataError("\n".join((sentence, *notes))) from None


def _copy_table(path: Path, target: Path, columns: Mapping[str, str], optional: Set[str]) -> tuple[str, ...]:
    """Copy a CSV file under our names of columns.

    Args:
        path: the file.
        target: the copy.
        columns: ours -> what it calls them.
        optional: those of ours that it may lack, as test clips have no labels.

    Returns:
        Notes on its own columns that mapped ones replace.
    """
    if not columns:
        shutil.copyfile(path, target)
        return ()
    try:
        with (
            path.open(encoding="utf-8-sig", newline="") as file,
            target.open("w", encoding="utf-8", newline="") as into,
        ):
            reader, writer = csv.reader(file, strict=True), csv.writer(into)
            header = [name.strip() for name in next(reader, [])]
            places = _place_columns(path, header, columns, optional)
            writer.writerow([name for name, _ in places])
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    into.write("\n")  # messages name lines
                    continue
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(cells)} fields where the header has {len(header)}"
                    )
                writer.writerow([cells[place] for _, place in places])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a UTF-8 CSV file ({error})") from None
    return tuple(
        f"{path.name}: its own column {name} is not used, as the mapping takes {columns[name.lower()]} for it"
        for name in header
        if name.lower() in columns and name not in columns.values()
    )


def _place_columns(
    path: Path, header: Sequence[str], columns: Mapping[str, str], optional: Set[str]
) -> list[tuple[str, int]]:
    """(name, position in the file) of each column of the copy: a mapped one replaces one of ours that is there."""
    there = {name: theirs for name, theirs in columns.items() if theirs in header or name not in optional}
    lacking = [theirs for theirs in there.values() if theirs not in header]
    if lacking:
        guess = nearest(lacking[0], header)
        raise DataError(
            f"{path} has no column {', '.join(lacking)} (metadata.columns); it has: {', '.join(header)}"
            + (f"; did you mean {guess}?" if guess else "")
        )
    for theirs in columns.values():
        if header.count(theirs) > 1:
            raise DataError(f"{path} has {header.count(theirs)} columns {theirs} (metadata.columns); keep one of them")
    mapped = set(columns.values())
    kept = [(name, place) for place, name in enumerate(header) if name.lower() not in columns and name not in mapped]
    return [*((name, header.index(theirs)) for name, theirs in there.items()), *kept]


def _match_clips(files: SeriesFiles, clips: Clips) -> SeriesFiles:
    """Only files of clips that the metadata know are read; clips without any are counted.

    Raises:
        DataError: no file is of a clip of the metadata.
    """
    names = clips.filename.tolist()
    known = {clip_key(name) for name in names}
    wanted = {clip: paths for clip, paths in files.clips.items() if clip_key(clip) in known}
    if files.clips and not wanted:
        folded = {name.casefold() for name in known}
        alike = any(clip_key(clip).casefold() in folded for clip in files.clips)
        raise DataError(
            f"{files.encoder}: none of its {len(files.clips)} clips is one of the metadata "
            f"({list_names(list(files.clips))} against {list_names(names)}); "
            + ("they differ in capital letters: " if alike else "")
            + "make the names agree"
        )
    have = {clip_key(clip) for clip in wanted}
    missing = tuple(name for name in names if clip_key(name) not in have)
    strays = tuple(clip for clip in files.clips if clip not in wanted)
    skipped = {reason: names for reason, names in ((NO_FILE, missing), (NOT_A_CLIP, strays)) if names}
    return replace(files, clips=wanted, skipped=skipped)
