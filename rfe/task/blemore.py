"""The task of the BlEmoRE challenge: six emotions, ten pairs (neutral never blends) at 70/30, 50/50 and 30/70.

Source: arXiv 2601.13225 and its organisers' index order.
"""

from itertools import combinations

from rfe.task.task import Task

BLEMORE = Task(
    name="blemore",
    classes=("ang", "disg", "fea", "hap", "sad", "neu"),
    class_names=("anger", "disgust", "fear", "happiness", "sadness", "neutral"),
    pairs=tuple(combinations(range(5), 2)),
    ratios_percent=(70, 50, 30),
    metric="blemore",
    submission="blemore",
)
"""What a data folder without a `task.yaml` has."""
