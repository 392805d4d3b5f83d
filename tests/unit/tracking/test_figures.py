import struct

import pytest

from rfe.tracking.figures import trial_figures
from tests.unit.tracking.logs import failed_log, trial_log


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_a_whole_trial_has_three_figures() -> None:
    figures = dict(trial_figures(trial_log(0)))
    assert list(figures) == ["confusion.png", "learning_curve.png", "gate.png"]
    for png in figures.values():
        width, height = size(png)
        assert width > 300
        assert height > 150


@pytest.mark.filterwarnings("error")
def test_what_is_missing_is_left_out() -> None:
    assert list(trial_figures(trial_log(0, artifacts={}, curves={}, kept_frequency={}))) == []
    only_nan = trial_log(
        0, artifacts={}, kept_frequency={}, curves={"train_loss": [(1, float("nan")), (2, float("nan"))]}
    )
    assert list(trial_figures(only_nan)) == []
    names = [name for name, _ in trial_figures(failed_log(1))]
    assert "learning_curve.png" in names
