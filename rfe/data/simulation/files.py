"""The files of a simulated folder, in the challenge's shapes; each appears whole or not at all."""

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.skeleton import Skeleton, is_steady
from rfe.writing import write_beside, write_text

METADATA_FIELDS: tuple[str, ...] = (
    "filename",
    "video_id",
    "gender",
    "mix",
    "emotion_1",
    "version",
    "intensity_level",
    "situation",
    "emotion_2",
    "emotion_1_salience",
    "emotion_2_salience",
    "fold",
    "split",
)


def write_metadata(path: Path, skeleton: Skeleton, anonymous_actors: bool) -> None:
    """`metadata.csv` with a `split` column; of a test clip it has the name and, unless anonymous, the actor."""
    cells, task = skeleton.cells, skeleton.cells.task
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, METADATA_FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for clip, filename in enumerate(skeleton.filename):
        actor = skeleton.actor[clip]
        row: dict[str, object] = {"filename": filename}
        if clip >= skeleton.n_train:
            row |= {"split": "test", "video_id": "" if anonymous_actors else skeleton.actor_names[actor]}
            writer.writerow(row)
            continue
        state, level = int(cells.state[skeleton.cell[clip]]), int(cells.level[skeleton.cell[clip]])
        row |= {
            "video_id": skeleton.actor_names[actor],
            "gender": skeleton.gender[actor],
            "version": int(skeleton.version[clip]),
            "fold": int(skeleton.actor_fold[actor]),
            "split": "train",
        }
        if task.state_is_blend[state]:
            (first, share), (second, other) = task.state_percents(state).items()
            row |= {"mix": 1, "emotion_1": first, "emotion_2": second}
            if task.ratios_percent:
                row |= {"emotion_1_salience": share, "emotion_2_salience": other}
        else:
            field = "situation" if is_steady(task, state) else "intensity_level"
            row |= {"mix": 0, "emotion_1": task.classes[state], field: level}
        writer.writerow(row)
    write_text(path, buffer.getvalue())


def write_features(
    path: Path,
    pieces: Iterable[NDArray[np.float32]],
    present: NDArray[np.bool_],
    filenames: NDArray[np.str_],
    dim: int,
) -> None:
    """An npz with `X` float32 [clip, dim] and `filenames`, streamed: `X` is never whole in memory.

    Args:
        pieces: [some clips, dim] each, in clip order.
        present: [clip] False for clips to leave out.
        filenames: [clip].
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": (int(present.sum()), dim)}
    # ZipInfo carries a fixed date: equal data are equal bytes.
    with write_beside(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(zipfile.ZipInfo("X.npy"), "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            start = 0
            for piece in pieces:
                kept = piece[present[start : start + len(piece)]]
                member.write(np.ascontiguousarray(kept, "<f4").tobytes())
                start += len(piece)
        with archive.open(zipfile.ZipInfo("filenames.npy"), "w", force_zip64=True) as member:
            np.lib.format.write_array(member, filenames[present], allow_pickle=False)
