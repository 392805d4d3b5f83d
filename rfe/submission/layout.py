"""Names of a bundle's files."""

from typing import Literal

from rfe.data.folds import ALL_TRAIN

MANIFEST = "MANIFEST.json"
PREDICTIONS_NAME = "predictions.csv"
"""The answers with probabilities; `submission.json` holds the answers alone."""

ModelKind = Literal["final", "folds"]
"""Which models a bundle holds: trained on all clips, or the cross-validation's."""


def part_name(fold: int) -> str:
    """What a model was trained on, as its files are called: `fold3` was trained without fold 3, `all` on every clip.

    Examples:
        >>> part_name(3), part_name(-1)
        ('fold3', 'all')
    """
    return "all" if fold == ALL_TRAIN else f"fold{fold}"
