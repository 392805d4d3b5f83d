"""What a study is opened with: whether it may be, and what it learns from another one. Nothing is written here."""

from dataclasses import replace
from pathlib import Path

from optuna.trial import FrozenTrial

from rfe.errors import StudyError
from rfe.study.definition import DEFINITION_FILE, StudyDefinition, check_unchanged, read_definition
from rfe.study.trials import read_trials
from rfe.study.warm_start import earlier_trials


def check_opening(
    folder: Path, definition: StudyDefinition, warm_start: Path | None
) -> tuple[StudyDefinition, list[FrozenTrial]]:
    """The study as it would be opened in `folder`.

    Args:
        folder: the study's own; need not be there.
        definition: what it is.
        warm_start: folder of a study that it is to learn from.

    Returns:
        The definition, which names the study that it learns or learnt from; and the trials it learns from now, if it is
        new.

    Raises:
        StudyError: the study is there and was started differently, or as `earlier_trials`.
    """
    check_unchanged(folder, definition)
    name = definition.space.study
    if (folder / DEFINITION_FILE).is_file():
        kept = read_definition(folder).warm_start
        if warm_start is not None and kept != warm_start.name:
            raise StudyError(
                f"--warm-start {warm_start.name}: study {name} was begun "
                + (f"from {kept}" if kept else "without one")
                + "; leave the option out to go on with it, or give the new study another name (--study NAME)"
            )
        return replace(definition, warm_start=kept), []
    if warm_start is None:
        return definition, []
    earlier = earlier_trials(read_definition(warm_start), read_trials(warm_start), definition)
    return replace(definition, warm_start=warm_start.name), earlier


def describe_opening(folder: Path, definition: StudyDefinition, warm_start: Path | None) -> str:
    """What the study learns from another one, in words; "" where from none. Raises as `check_opening`."""
    definition, earlier = check_opening(folder, definition, warm_start)
    if definition.warm_start is None:
        return ""
    if not earlier:
        return f"{definition.warm_start}, when the study was begun"
    return f"{definition.warm_start}: {len(earlier)} complete trials that this space holds too"
