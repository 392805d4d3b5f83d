"""What is measured of answers: counted by hand on a few clips."""

import numpy as np
import pytest

from rfe.data.metadata import Clips
from rfe.labels import SET_NAMES, state_index
from rfe.reporting.report.answers import Answers, measure_actors, measure_confusion, measure_recalls
from rfe.reporting.report.document import Figure, Heat
from rfe.reporting.report.models import confusion_blocks
from rfe.tracking.figures import say_clips

ANG, HAP = state_index({"ang": 100}), state_index({"hap": 100})
ANG_HAP, ANG_SAD = state_index({"ang": 50, "hap": 50}), state_index({"ang": 70, "sad": 30})
DISG_FEA = state_index({"disg": 30, "fea": 70})


def _answers(truth: list[int], predicted: list[list[int]], actor: list[int]) -> Answers:
    n = len(truth)
    clips = Clips(
        np.array([f"c{i}" for i in range(n)]),
        np.array(actor),
        tuple(f"A{i}" for i in range(max(actor) + 1)),
        np.array(actor) % 2,
        np.array(truth),
        n,
    )
    return Answers(clips, np.array(predicted))


def test_confusion_counts_sets_and_shared_emotions() -> None:
    truth = [ANG_HAP, ANG_HAP, ANG_HAP, ANG]
    confusion = measure_confusion(
        _answers(truth, [[ANG_HAP, ANG_SAD, DISG_FEA, ANG], [ANG_HAP, ANG, HAP, HAP]], [0, 1, 0, 1])
    )
    row = SET_NAMES.index("ang+hap")
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
    ang, hap = SET_NAMES.index("ang"), SET_NAMES.index("hap")
    assert heat.texts[ang][hap] == ("1" if seeds == 1 else "0.5")
    assert heat.texts[hap][ang] == ""
    assert said in figure.note


@pytest.mark.parametrize(("clips", "said"), [(0, ""), (0.2, "0.2"), (1 / 3, "0.33"), (9.96, "10"), (12.5, "12")])
def test_a_cell_says_its_clips(clips: float, said: str) -> None:
    assert say_clips(clips) == said


def test_recall_is_over_clips_that_show_the_emotion() -> None:
    answers = _answers([ANG_HAP, ANG, HAP, HAP], [[ANG, ANG, ANG_HAP, DISG_FEA]], [0, 0, 1, 1])
    by_name = {one.emotion: one for one in measure_recalls(answers)}
    assert set(by_name) == {"ang", "hap"}
    assert (by_name["ang"].clips, by_name["ang"].recall.estimate) == (2, 1.0)
    assert by_name["ang"].precision == pytest.approx(2 / 3)
    assert (by_name["hap"].clips, by_name["hap"].recall.estimate) == (3, pytest.approx(1 / 3))


def test_actors_without_a_blend_have_no_score() -> None:
    truth = [ANG_HAP] * 3 + [ANG] * 3 + [ANG] * 6
    answers = _answers(truth, [[ANG_HAP] * 2 + [ANG] * 4 + [ANG] * 6], [0] * 6 + [1] * 6)
    [actor] = measure_actors(answers)
    assert (actor.actor, actor.clips) == ("A0", 6)
    assert actor.acc_presence == pytest.approx(5 / 6)
    assert actor.acc_salience == pytest.approx(2 / 3)
    assert actor.score == pytest.approx((5 / 6 + 2 / 3) / 2)
