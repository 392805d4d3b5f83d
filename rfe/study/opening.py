"""Checks before a study is opened, and what it learns from another one; writes nothing."""

import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rfe.errors import StudyError
from rfe.journal.asking import LearntTrial
from rfe.study.definition import DEFINITION_FILE, StudyDefinition, check_unchanged, read_definition
from rfe.study.trials import StudyHistory, read_study
from rfe.study.warm_start import earlier_trials
from rfe.workspace import StudyFolder


def check_opening(
    folder: Path, definition: StudyDefinition, warm_start: Path | None
) -> tuple[StudyDefinition, tuple[LearntTrial, ...]]:
    """Check that the study can be opened in `folder`, and return its definition.

    Args:
        folder: the study's own; need not be there.
        definition: of the study.
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
                + "; leave the option out to resume it, or give the new study another name (--study NAME)"
            )
        return replace(definition, warm_start=kept), ()
    if warm_start is None:
        return definition, ()
    source = read_study(warm_start)
    earlier = earlier_trials(source.definition, source.trials, definition)
    return replace(definition, warm_start=warm_start.name), earlier


def describe_opening(folder: Path, definition: StudyDefinition, warm_start: Path | None) -> str:
    """Describe what the study learns from another one; "" where nothing. Raises as `check_opening`."""
    definition, earlier = check_opening(folder, definition, warm_start)
    if definition.warm_start is None:
        return ""
    if not earlier:
        return f"{definition.warm_start}, when the study was begun"
    return f"{definition.warm_start}: {len(earlier)} complete trials that this space holds too"


def check_not_lost(folder: StudyFolder) -> None:
    """Refuse a study whose trials left files, and whose journal knows none of them.

    Raises:
        StudyError: with the remedy.
    """
    if not any(folder.path.glob("trials/*")):
        return
    raise StudyError(
        f"{folder.journal}: {'holds no trials' if folder.journal.is_file() else 'is missing'}, and {folder.path} has "
        f"results of some; bring it back with `rfe studies pull {folder.name}` where MLflow or --storage has it, or "
        f"delete the study with `rfe studies delete {folder.name}` and search again"
    )


def find_unrecorded(folder: StudyFolder, recorded: Collection[int]) -> list[int]:
    """Trials of which this folder has files, or MLflow was given runs, and that are not among the `recorded` ones.

    A journal that lost its last lines leaves them. So does a process that was killed between a trial's files and its
    record, of the one trial that it was about to record.
    """
    found = {int(path.name) for path in folder.path.glob("trials/*/") if path.name.isdigit() and any(path.iterdir())}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # what is damaged says nothing
        found |= {int(number) for number in json.loads(folder.mlflow_runs.read_text("utf-8"))["trial_run_ids"]}
    return sorted(found.difference(recorded))


def describe_unrecorded(folder: StudyFolder, numbers: Collection[int]) -> str:
    """Describe what `find_unrecorded` found; "" where nothing."""
    if not numbers:
        return ""
    return (
        f"{folder.journal}: has no result of {name_trials(numbers)}, of which trials/ has files or MLflow has runs "
        "(its last lines are lost, or a process was killed before it wrote them): they are trained again; where MLflow "
        f"has the whole journal, `rfe studies pull {folder.name}` into another --workspace brings the results back"
    )


def name_trials(numbers: Iterable[int], most: int = 8) -> str:
    """`trials 1, 2, 3 and 4 more`.

    Examples:
        >>> name_trials([3, 1]), name_trials(range(12), most=3)
        ('trials 1, 3', 'trials 0, 1, 2 and 9 more')
    """
    ordered = sorted(numbers)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return f"trial{'s' * (len(ordered) != 1)} {', '.join(map(str, ordered[:most]))}{more}"


def learn_again(
    folder: Path, definition: StudyDefinition, history: StudyHistory
) -> tuple[tuple[LearntTrial, ...], str]:
    """What a study of an earlier version learnt, which its journal does not say; and a note if some of it is gone."""
    name = str(definition.warm_start)
    n = min(history.rows, default=0)
    found: tuple[LearntTrial, ...] = ()
    with suppress(StudyError):  # it was deleted
        source = read_study(folder.parent / name)
        found = earlier_trials(source.definition, source.trials, definition)
    if history.is_empty:
        return found, ""
    lost = n - len(found[:n])
    note = f"{lost} of the {n} trials learnt from study {name} are no longer known: the sampler continues without them"
    return found[:n] + (LearntTrial(f"{name}/lost", {}, None),) * lost, note if lost else ""
