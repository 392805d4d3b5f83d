"""Values as people read them."""

from typing import Any

import pytest

from rfe.formatting import SIGNED, format_bounds, format_value

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "", ""),
        (NAN, "", ""),
        (True, "", "yes"),
        (3, "", "3"),
        (0.0, "", "0.000"),
        (0.51234, "", "0.512"),
        (0.00051234, "", "0.000512"),
        (-123456.0, "", "-1.23e+05"),
        (0.00051234, ".3f", "0.001"),
        (-0.0001, SIGNED, "+0.000"),
        (["voice", 0.5, None, False], "", "voice, 0.500, , no"),
        ("concat", ".3f", "concat"),
    ],
)
def test_a_value_is_short_and_what_is_missing_is_nothing(value: Any, form: str, text: str) -> None:
    assert format_value(value, form) == text


def test_an_interval_that_was_not_measured_is_nothing() -> None:
    assert format_bounds(-0.01234, 0.0, SIGNED) == "-0.012 to +0.000"
    assert format_bounds(0.3, 0.41) == "0.300 to 0.410"
    assert format_bounds(None, None) == format_bounds(NAN, NAN) == format_bounds(0.1, None) == ""
