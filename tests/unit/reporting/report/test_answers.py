"""What is measured of answers: counted by hand on a few clips."""

import struct

import numpy as np
import pytest

from rfe.data.metadata import Clips
from rfe.reporting.report.answers import Answers, measure_actors, measure_confusion, measure_recalls
from rfe.reporting.report.document import Figure, Heat
from rfe.reporting.report.models import confusion_blocks
from rfe.reporting.report.static import draw
from rfe.task import BLEMORE, Task
from rfe.tracking.figures import say_clips

ANG, HAP = BLEMORE.state_index({"ang": 100}), BLEMORE.state_index({"hap": 100})
ANG_HAP, ANG_SAD = BLEMORE.state_index({"ang": 50, "hap": 50}), BLEMORE.state_index({"ang": 70, "sad": 30})
DISG_FEA = BLEMORE.state_index({"disg": 30, "fea": 70})


def _answers(truth: list[int], predicted: list[list[int]], actor: list[int], task: Task = BLEMORE) -> Answers:
    n = len(truth)
    clips = Clips(
        np.array([f"c{i}" for i in range(n)]),
        np.array(actor),
        tuple(f"A{i}" for i in range(max(actor) + 1)),
        np.array(actor) % 2,
        np.array(truth),
        n,
        task,
    )
    return Answers(clips, np.array(predicted))


def test_confusion_counts_sets_and_shared_emotions() -> None:
    truth = [ANG_HAP, ANG_HAP, ANG_HAP, ANG]
    confusion = measure_confusion(
        _answers(truth, [[ANG_HAP, ANG_SAD, DISG_FEA, ANG], [ANG_HAP, ANG, HAP, HAP]], [0, 1, 0, 1])
    )
    row = BLEMORE.set_names.index("ang+hap")
    assert confusion.counts.sum() == len(truth)
    assert confusion.counts[row, row] == 1
    # four wrong answers to the blend over two seeds, three of them with one of its emotions
    assert confusion.wrong_blends_sharing == pytest.approx(3 / 4)
    # all errors are equally common here, so they come in the order of the table
    assert confusion.commonest(1) == [("ang", "hap", 0.5, 0.5, False)]
    assert {(truth, answer): shared for truth, answer, _, _, shared in confusion.commonest()} == {
        ("ang", "hap"): False,
        ("ang+hap", "ang"): True,
        ("ang+hap", "hap"): True,
        ("ang+hap", "ang+sad"): True,
        ("ang+hap", "disg+fea"): False,
    }


@pytest.mark.parametrize(("seeds", "said"), [(1, "clips, colours"), (2, "clips (means over 2 seeds), colours")])
def test_a_part_of_a_clip_is_no_zero(seeds: int, said: str) -> None:
    predicted = [[ANG_HAP, HAP, HAP], [ANG_HAP, ANG, HAP]][:seeds]
    blocks = confusion_blocks(_answers([ANG_HAP, ANG, HAP], predicted, [0, 1, 0]), "")
    (figure,) = (block for block in blocks if isinstance(block, Figure))
    (heat,) = figure.panels[0].marks
    assert isinstance(heat, Heat)
    ang, hap = BLEMORE.set_names.index("ang"), BLEMORE.set_names.index("hap")
    assert heat.texts[ang][hap] == ("1" if seeds == 1 else "0.5")
    assert heat.texts[hap][ang] == ""
    assert said in figure.note


@pytest.mark.parametrize(("clips", "said"), [(0, ""), (0.2, "0.2"), (1 / 3, "0.33"), (9.96, "10"), (12.5, "12")])
def test_a_cell_says_its_clips(clips: float, said: str) -> None:
    assert say_clips(clips) == said


def test_recall_is_over_clips_that_show_the_emotion() -> None:
    answers = _answers([ANG_HAP, ANG, HAP, HAP], [[ANG, ANG, ANG_HAP, DISG_FEA]], [0, 0, 1, 1])
    by_name = {one.name: one for one in measure_recalls(answers)}
    assert set(by_name) == {"anger", "happiness"}
    assert (by_name["anger"].clips, by_name["anger"].recall.estimate) == (2, 1.0)
    assert by_name["anger"].precision == pytest.approx(2 / 3)
    assert (by_name["happiness"].clips, by_name["happiness"].recall.estimate) == (3, pytest.approx(1 / 3))


def test_actors_without_a_blend_have_no_score() -> None:
    truth = [ANG_HAP] * 3 + [ANG] * 3 + [ANG] * 6
    answers = _answers(truth, [[ANG_HAP] * 2 + [ANG] * 4 + [ANG] * 6], [0] * 6 + [1] * 6)
    [actor] = measure_actors(answers)
    assert (actor.actor, actor.clips) == ("A0", 6)
    assert actor.acc_presence == pytest.approx(5 / 6)
    assert actor.acc_salience == pytest.approx(2 / 3)
    assert actor.score == pytest.approx((5 / 6 + 2 / 3) / 2)


def test_a_task_without_ratios_scores_its_actors_by_presence() -> None:
    plain = Task("plain", ("low", "mid", "high"))
    answers = _answers([0] * 4 + [1] * 6, [[0] * 4 + [1] * 3 + [2] * 3], [0] * 5 + [1] * 5, plain)
    actors = measure_actors(answers)
    assert [(one.actor, one.score) for one in actors] == [("A1", pytest.approx(0.4)), ("A0", 1.0)]
    assert [one.name for one in measure_recalls(answers)] == ["low", "mid"]
    assert measure_confusion(answers).counts.shape == (3, 3)


def test_sixty_four_classes_are_drawn_without_numbers() -> None:
    wide = Task("wide", tuple(f"class_{index:02d}" for index in range(64)))
    truth = [index for index in range(64) for _ in range(3)]
    answers = _answers(truth, [truth[1:] + truth[:1]], [index % 4 for index in range(192)], wide)
    (figure,) = (block for block in confusion_blocks(answers, "") if isinstance(block, Figure))
    (heat,) = figure.panels[0].marks
    assert isinstance(heat, Heat)
    assert len(heat.rows) == len(heat.columns) == 64
    assert {text for row in heat.texts for text in row} == {""}
    assert "64 by 64" in figure.alt
    assert figure.note == "Colours are shares of the true set's clips."
    png, _ = draw(figure)
    width, height = struct.unpack(">II", png[16:24])
    assert 800 < width < 2400
    assert 1200 < height < 2400  # a row of each class is legible, and the page is not metres long
