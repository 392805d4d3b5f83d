"""Tasks beside BlEmoRE's that the tests try everything on."""

from itertools import combinations

from rfe.task import Task

COMPOUND = Task(
    name="compound",
    classes=("ang", "con", "disg", "fea", "hap", "sad", "sur"),
    class_names=("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"),
    pairs=((0, 2), (0, 6), (2, 6), (3, 6), (4, 6), (5, 6), (1, 5)),
    alone=(False,) * 7,
)
"""Compound expressions: seven classes that occur in seven pairs only, whose ratio is not asked."""
EIGHT = Task(
    name="eight",
    classes=("joy", "awe", "ang", "disg", "fea", "sad", "pride", "neu"),
    pairs=tuple(combinations(range(7), 2)),
    ratios_percent=(80, 65, 50, 35, 20),
    metric="blemore",
)
"""Eight emotions, of which seven blend at five ratios."""
PLAIN = Task(name="plain", classes=("low", "mid", "high"), metric="macro_f1")
"""One label for each clip."""
EVEN = Task(name="even", classes=("a", "b", "c", "d"), pairs=((0, 1), (1, 2), (2, 3)), ratios_percent=(50,))
"""Blends of two equal halves."""
WIDE = Task(
    name="wide",
    classes=tuple(f"class_{index:02d}" for index in range(64)),
    pairs=tuple(combinations(range(0, 64, 8), 2)),
    ratios_percent=(90, 80, 70, 60, 50, 40, 30, 20, 10),
    metric="salience_mae",
)
"""As many classes and ratios as a task may have."""
TASKS = (COMPOUND, EIGHT, PLAIN, EVEN)
