"""`task.yaml`: what it may say, what it says by leaving out, and a sentence on each thing that is wrong."""

from pathlib import Path

import pytest
import yaml

from rfe.config.fields import problems_of
from rfe.data.task import parse_task, read_task, write_task
from rfe.errors import ConfigError
from rfe.task import BLEMORE, Task, TaskFile
from tests.unit.task.test_task import COMPOUND, MANY, PLAIN

WIDE = Task("wide", tuple(f"c{index}" for index in range(64)), pairs=((0, 63), (5, 7)), ratios_percent=(75, 25))


def read(folder: Path, text: str) -> Task:
    path = folder / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return read_task(path)


@pytest.mark.parametrize("task", [BLEMORE, MANY, PLAIN, COMPOUND, WIDE], ids=lambda task: task.name)
def test_what_is_written_is_read_back(task: Task, tmp_path: Path) -> None:
    write_task(tmp_path / "task.yaml", task)
    assert read_task(tmp_path / "task.yaml") == task
    assert problems_of(TaskFile, task.to_dict()) == []


def test_the_shorthands_give_blemore(tmp_path: Path) -> None:
    text = """
        name: blemore
        classes: {ang: anger, disg: disgust, fea: fear, hap: happiness, sad: sadness, neu: neutral}
        blends: all
        never_blend: [neu]
        ratios: [70/30, 50/50, 30/70]
        submission: blemore
    """
    assert read(tmp_path, text) == BLEMORE


def test_a_plain_task_needs_a_name_and_its_classes(tmp_path: Path) -> None:
    task = read(tmp_path, "{name: plain, classes: [a, b]}")
    assert task == PLAIN
    assert (task.metric, task.submission) == ("accuracy", "csv")


def test_a_blend_without_ratio_is_scored_by_its_set(tmp_path: Path) -> None:
    task = read(tmp_path, "{name: compound, classes: [a, b, c], blends: [[b, a], [c, b]], alone: none}")
    assert task == COMPOUND
    assert task.metric == "accuracy"
    assert not task.has_ratios


def test_two_ratios_are_scored_as_blemore_s(tmp_path: Path) -> None:
    assert read(tmp_path, "{name: two, classes: [a, b], blends: all, ratios: [60, 40]}").metric == "blemore"
    assert read(tmp_path, "{name: one, classes: [a, b], blends: all, ratios: [50]}").metric == "accuracy"


WRONG = {
    "name: x": "classes: is missing; it must be a list, each text, or a map from name to text",
    "{name: x, classes: [a]}": "classes: there are 1; a task has 2 to 64",
    "{name: x, classes: [a, b, a]}": "classes: 'a' occurs more than once; codes must differ",
    "{name: x, classes: [1, 2]}": "classes: [1, 2] is not allowed; it must be a list, each text, or a map",
    "{name: x, clases: [a, b]}": "clases: unknown field 'clases'; did you mean classes?",
    "{name: x, classes: [joy, awe], blends: [[joy, aw]]}": "blends: 'aw' is no class of this task; did you mean awe?",
    "{name: x, classes: [a, b, c], blends: [[a, b, c]]}": (
        "blends: [a, b, c] has 3 classes; a clip shows one or two, so name pairs such as [a, b]"
    ),
    "{name: x, classes: [a, b, c], blends: [[a, b], [b, a]]}": "blends: [b, a] occurs more than once",
    "{name: x, classes: [a, b], blends: [[a, a]]}": "blends: [a, a] is no pair; name two different classes",
    "{name: x, classes: [a, b], blends: some}": "blends: 'some' is not allowed; it must be one of all, none, or a list",
    "{name: x, classes: [a, b, c], blends: [[a, b]], never_blend: [c]}": "never_blend: is read with blends: all only",
    "{name: x, classes: [a, b, c], blends: all, never_blend: [d]}": (
        "never_blend: 'd' is no class of this task; the classes are a, b, c"
    ),
    "{name: x, classes: [a, b], alone: [a]}": "classes: 'b' neither occurs alone nor blends; leave it out",
    "{name: x, classes: [a, b], blends: all, ratios: [70, 50]}": (
        "ratios: 70 is there and 30 is not; a pair can lean either way, so add it"
    ),
    "{name: x, classes: [a, b], blends: all, ratios: [80/30, 20/80]}": (
        "ratios: '80/30' sums to 110, not to 100 (percent); write e.g. '80/20'"
    ),
    "{name: x, classes: [a, b], blends: all, ratios: [0.7]}": "ratios: [0.7] is not allowed; it must be a list, each",
    "{name: x, classes: [a, b], blends: all, ratios: [thirty]}": "ratios: 'thirty' is no ratio; write percents as 80",
    "{name: x, classes: [a, b], ratios: [50]}": "ratios: there are no blends that could have one",
    "{name: x, classes: [a, b], metric: f2}": "metric: 'f2' is unknown; use blemore, accuracy",
    "{name: x, classes: [a, b], metric: blemore}": "metric: blemore scores saliences, but this task has no blends",
    "{name: x, classes: [a, b], submission: xml}": "submission: 'xml' is unknown; use blemore or csv",
    "{name: x, classes: [yes, no]}": "YAML reads the bare word yes as a boolean; write 'yes' for the word",
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.items(), ids=range(len(WRONG)))
def test_a_wrong_file_gets_its_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "task.yaml"))
    assert sentence in str(caught.value)


def test_what_is_far_too_large_is_refused_before_it_is_looked_at() -> None:
    many = [f"c{index}" for index in range(200_000)]
    for value, sentence in (
        ({"classes": many, "blends": "all"}, "classes: there are 200000; a task has 2 to 64"),
        (
            {"classes": ["a", "b"], "blends": [["x", one] for one in many]},
            "blends: there are 200000; 2 classes have",
        ),
        ({"classes": ["a", "b"], "alone": many}, "alone: there are 200000; 2 classes have at most 2"),
        ({"classes": ["a", "b"], "blends": "all", "ratios": [50] * 20}, "ratios: there are 20; a task has at most 9"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            parse_task({"name": "x", **value}, "task")


def test_several_faults_come_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task\.yaml: 3 problems"):
        read(tmp_path, "{name: x, classes: [a, b], blends: [[a, c]], alone: [d], ratios: [x]}")


def test_plain_values_are_read_under_their_heading() -> None:
    value = yaml.safe_load("{name: x, classes: [a, b], blends: [[a, b, c]]}")
    with pytest.raises(ConfigError, match=r"^mapping\.yaml: task: blends: "):
        parse_task(value, "mapping.yaml: task")
