"""Names that a person takes for the same are paired, with what differs."""

import pytest

from rfe.data.lookalikes import describe_difference, find_lookalikes, list_pairs


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ("Clip1", "clip1", "capital letters"),
        ("001", "1", "leading zeros"),
        ("s01_c007", "s1_c7", "leading zeros"),
        ("M\u00fcller", "Mu\u0308ller", "Unicode form"),
        ("clip\u200b1", "clip1", "blanks or invisible characters"),
        ("clip1 ", "clip1", "blanks or invisible characters"),
        ("clip\u00a01", "clip 1", "blanks or invisible characters"),
        ("\ufeffclip1", "clip1", "blanks or invisible characters"),
        ("a  b", "a b", "blanks or invisible characters"),
        ("\uff11", "1", "Unicode form"),
        ("CLIP_01", "clip_1", "capital letters and leading zeros"),
        ("Stra\u00dfe", "STRASSE", "capital letters"),
    ],
)
def test_what_differs_is_named(one: str, other: str, difference: str) -> None:
    assert find_lookalikes([one, "x", other]) == [(one, other)]
    assert describe_difference(one, other) == difference


@pytest.mark.parametrize(
    "names",
    [["a1", "a10", "a100"], ["clip_1", "clip1"], ["0", "00x1", "10"], ["a", "a"], ["1.5", "15"], ["a-b", "a_b"]],
)
def test_other_names_do_not_look_alike(names: list[str]) -> None:
    assert find_lookalikes(names) == []


def test_pairs_are_shown_so_that_they_can_be_told_apart() -> None:
    assert list_pairs([("M\u00fc", "m\u00fc")]) == "'M\u00fc' and 'm\u00fc' (capital letters)"
    assert list_pairs([("a\u200b", "a")]) == r"'a\u200b' and 'a' (blanks or invisible characters)"
    assert list_pairs([(f"A{index}", f"a{index}") for index in range(9)]).endswith("and 6 more")
