"""Conditions on trials: what they select, and that nothing but a comparison gets through."""

from typing import Any

import pytest

from rfe.errors import ConfigError
from rfe.study.selection_expression import parse_selection

TRIAL: dict[str, Any] = {
    "number": 3,
    "score": 0.25,
    "epoch": 6,
    "seconds": 12.5,
    "train.lr": 0.001,
    "model.fusion.kind": "weighted_sum",
    "data.standardize.wav2vec-2": "fold",
    "model.n_kept": "all",
    "pool": ["a", "b"],
    "adaptation.batch": None,
}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("score < .3 and epoch > 5", True),
        ("score < .3 and epoch > 6", False),
        ("score > .3 or epoch == 6", True),
        ("not score > .3", True),
        (".2 < score <= .25", True),
        (".2 < score < .25", False),
        ("train.lr >= 1e-3", True),
        ("model.fusion.kind == 'weighted_sum'", True),
        ("model.fusion.kind in ['rank_concat', 'weighted_sum']", True),
        ("model.fusion.kind not in ('rank_concat',)", True),
        ("'a' in pool", True),
        ('data.standardize["wav2vec-2"] != "fold"', False),
        ("adaptation.batch == None", True),
        ("model.n_kept == 'all'", True),
        ("number in [1, 2]", False),
        ("score > -1", True),
        ("(score > 1 or seconds > 12) and number == 3", True),
    ],
)
def test_trials_are_selected(text: str, selected: bool) -> None:
    assert parse_selection(text).matches(TRIAL) is selected


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("score < .3", False),
        ("not score < .3", False),  # not known is not the same as not so
        ("score < .3 or epoch > 5", True),
        ("score < .3 and epoch > 5", False),
        ("not (score < .3 and epoch > 9)", True),
        ("score == None", False),
    ],
)
def test_what_is_not_known_decides_nothing(text: str, selected: bool) -> None:
    assert parse_selection(text).matches({"epoch": 6}) is selected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "score.__class__ == 1",
        "(lambda: 1)() < 2",
        "[x for x in pool] == 1",
        "score < (1 if epoch else 2)",
        "score < epoch ** 999999999",
        "score < [1, [2]]",
        "score < {1}",
        "score < b'1'",
        "score < 1j",
        "score is None",
        "(score := 1) < 2",
        "f'{score}' == '1'",
        "score < ...",
        "score",
        "1",
        "True",
        "",
        "score <",
        "score < .3; epoch > 1",
        "score = .3",
        "(" * 900 + "score < 1" + ")" * 20,
        "not " * 240 + "score < 1 and",
        "score < 1 and " * 100 + "score < 1",
        "score < 1\0",
    ],
)
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="--where"):
        parse_selection(text)


@pytest.mark.parametrize(("text", "meant"), [("scor < 1", "score"), ("epochs > 1", "epoch"), ("train.lrr < 1", "lr")])
def test_a_mistyped_name_is_answered_with_the_nearest(text: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean .*{meant}"):
        parse_selection(text)


def test_values_that_cannot_be_compared_are_named_whatever_stands_beside_them() -> None:
    with pytest.raises(ConfigError, match=r"compares 'weighted_sum' with 0.3; compare values of one type"):
        parse_selection("score > 1 and model.fusion.kind < .3").matches(TRIAL)
