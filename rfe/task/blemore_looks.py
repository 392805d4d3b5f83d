"""How BlEmoRE's emotions look and sound to the simulator, by code; `rfe.data.simulation.appearance` reads it.

The values were set by hand so that the organisers' baseline makes the errors on simulated data that it makes on the
real recordings; see `rfe.data.simulation.knobs`.
"""

LIKENESS: tuple[tuple[str, str, float], ...] = (
    ("ang", "sad", 1.0),
    ("fea", "sad", 1.0),
    ("ang", "fea", 0.5),
    ("ang", "disg", 0.4),
    ("disg", "sad", 0.4),
    ("disg", "fea", 0.3),
)
"""How alike two emotions look, relative to the most alike pairs; pairs that are left out are not alike."""
SIZE_KNOBS: dict[str, str] = {"hap": "happiness", "sad": "sadness", "neu": "neutral"}
"""Code -> the knob that holds the length of the emotion's content; others have length 1."""
STEADY = "neu"
"""Shown in situations, not in intensities."""
VISIBILITY: dict[str, dict[str, float]] = {
    "video": {"ang": -0.3, "disg": -0.8, "fea": -0.1, "hap": 1.0, "sad": 0.2, "neu": 0.0},
    "audio": {"ang": 0.4, "disg": 1.0, "fea": 0.1, "hap": -0.8, "sad": -0.4, "neu": -0.2},
    "audiovisual": {"ang": 0.1, "disg": 0.1, "fea": 0.0, "hap": 0.1, "sad": -0.1, "neu": -0.1},
}
"""Modality -> code -> how well an encoder sees the emotion: -1 to 1, scaled by `Knobs.contrast`."""
