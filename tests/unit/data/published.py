"""A small published record on disk, as its archives unpack; broken where a test wants it."""

from pathlib import Path

import numpy as np

from tests.unit.data.folders import draw_features, make_rows, names, write_csv, write_features

ROWS = make_rows()
TRAIN, TEST = ROWS[:36], ROWS[36:]
FRAMES = "emotion_index,gaze_yaw,gaze_pitch,AU01"
SHAPES = {
    "ImageBind": (6, 5),
    "VideoMAEv2": (3, 1, 4),
    "WavLM_large": (8, 3),
    "HiCMAE": (2, 6),
    "OpenFace_3": (7, 4),
}
"""Encoder -> shape of a clip's series."""
DIMS = {encoder.lower(): 7 * shape[-1] for encoder, shape in SHAPES.items()}


def write_published(root: Path, encoders: dict[str, tuple[int, ...]] | None = None, seed: int = 0) -> Path:
    """Metadata, series of five encoders (OpenFace as tables of frames), and statistics made before of a sixth."""
    stream = np.random.default_rng(seed)
    for encoder, shape in (encoders or SHAPES).items():
        for split, rows in (("train", TRAIN), ("test", TEST)):
            folder = root / f"pre_extracted_{split}_data" / f"{encoder}_{split}"
            folder.mkdir(parents=True)
            for name in names(rows):
                series = stream.normal(size=shape).astype(np.float32)
                if encoder.startswith("OpenFace"):
                    lines = [FRAMES, *(",".join(map(str, frame)) for frame in series)]
                    (folder / f"{name}.csv").write_text("\n".join(lines))
                else:
                    np.save(folder / f"{name}.npy", series)
    write_features(root / "hubert_static_features.npz", draw_features(ROWS), names(ROWS))
    columns = [column for column in TRAIN[0] if column != "split"]
    write_csv(root / "train_metadata.csv", [{column: row[column] for column in columns} for row in TRAIN])
    write_csv(root / "test_metadata.csv", [{"filename": f"{name}.mov"} for name in names(TEST)])
    return root


def break_clips(root: Path) -> None:
    """One clip of ImageBind is gone, one truncated, one of objects; OpenFace found no face in one; a stray each."""
    imagebind = root / "pre_extracted_train_data" / "ImageBind_train"
    (imagebind / "A0_clip0.npy").unlink()
    (imagebind / "A0_clip1.npy").write_bytes((imagebind / "A0_clip2.npy").read_bytes()[:-8])
    np.save(imagebind / "A1_clip0.npy", np.array([{}], object), allow_pickle=True)
    np.save(imagebind / "A0_clip0 (copy).npy", np.zeros((6, 5)))
    (imagebind / "Thumbs.db").touch()
    openface = root / "pre_extracted_test_data" / "OpenFace_3_test"
    (openface / "T0_clip3.csv").write_text(f"{FRAMES}\n,,,\n,,,\n")
