"""A training clip's label: which columns hold it, and which state of the task they name."""

from rfe.data.table import Row
from rfe.task import Task

_COLUMNS = ("emotion_1", "emotion_2", "emotion_1_salience", "emotion_2_salience")
_NO_LABEL = "a training clip needs its label (clips without one are test clips)"


def label_columns(task: Task) -> dict[str, str]:
    """Column that training clips of the task must have -> what to do where it is not there.

    Examples:
        >>> list(label_columns(Task("ab", ("a", "b")))), list(label_columns(Task("ab", ("a", "b"), pairs=((0, 1),))))
        (['emotion_1'], ['emotion_1', 'emotion_2'])
    """
    return dict.fromkeys(_COLUMNS[: 4 if task.has_ratios else 2 if task.pairs else 1], _NO_LABEL)


def parse_state(task: Task, row: Row) -> int:
    """The state a training row's columns name; saliences are not read where the task asks no ratio.

    Raises:
        ValueError: with a sentence that begins with the column.
    """
    first, second = row["emotion_1"], row["emotion_2"]
    for column, code in (("emotion_1", first), ("emotion_2", second)):
        if code and code not in task.classes:
            raise ValueError(f"{column}: {unknown_class(task, code)}")
    if not first:
        raise ValueError("emotion_1 is empty; a training clip needs a label")
    if first == second:
        raise ValueError(f"emotion_2 repeats emotion_1 ({first}); leave it empty for a single class")
    mix = row.number("mix")
    if mix is not None and bool(mix) != bool(second):
        raise ValueError(f"mix is {mix:g} but emotion_2 is {second or 'empty'}; the two contradict each other")
    if not task.ratios_percent:
        return _checked_state(task, {first: 50.0, second: 50.0} if second else {first: 100.0})
    percents = [row.number("emotion_1_salience"), row.number("emotion_2_salience")]
    if not second:
        if percents[1]:
            raise ValueError(f"emotion_2_salience is {percents[1]:g} but emotion_2 is empty")
        percent = 100.0 if percents[0] is None else percents[0]
        return _checked_state(task, {first: percent})
    if not task.has_ratios and percents == [None, None]:
        percents = [50.0, 50.0]  # the only ratio there is
    if percents[0] is None or percents[1] is None:
        raise ValueError("emotion_1_salience and emotion_2_salience must both be given for a blend (e.g. 30 and 70)")
    return _checked_state(task, {first: percents[0], second: percents[1]})


def _checked_state(task: Task, saliences_percent: dict[str, float]) -> int:
    try:
        return task.state_index(saliences_percent)
    except ValueError as error:
        raise ValueError(f"emotions and saliences: {error}") from None


def unknown_class(task: Task, code: str) -> str:
    """`unknown class 'joy'; this task has ang, disg`, or which code was meant by a class's name.

    Examples:
        >>> task = Task("ab", ("ang", "hap"), ("anger", "happiness"))
        >>> unknown_class(task, "joy"), unknown_class(task, "anger")
        ("unknown class 'joy'; this task has ang, hap", "unknown class 'anger'; write ang")
    """
    for known, name in zip(task.classes, task.class_names, strict=True):
        if code.lower() in (known.lower(), name.lower()):
            return f"unknown class {code!r}; write {known}"
    return f"unknown class {code!r}; this task has {', '.join(task.classes)}"
