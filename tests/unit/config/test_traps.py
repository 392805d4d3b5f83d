"""Values that YAML reads as something else are refused, and what the refusal says to write is read as meant."""

import json
import re

import pytest

from rfe.config.load import load_config
from rfe.config.reading import parse_yaml, write_yaml
from rfe.errors import ConfigError
from rfe.search_space.load import load_space


def refuse(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "a.yaml")
    return str(caught.value)


NUMBERS = {
    "1e-3": "0.001",
    "1e-7": "1.0e-07",
    "1E5": "100000",
    "2.5e10": "25000000000",
    "1e300": "1.0e+300",
    "1e3": "1000",
    "010": "10",
    "0042": "42",
    "089": "89",
    "-007": "-7",
    "00": "0",
    "0x1F": "31",
    "0X1F": "31",
    "0b11": "3",
    "0o17": "15",
    "1_000": "1000",
    "1_000.5": "1000.5",
    "-.5": "-0.5",
    "+.5e1": "5",
}


@pytest.mark.parametrize(("written", "number"), NUMBERS.items())
def test_a_number_that_yaml_reads_otherwise_is_refused_with_both_ways_to_write_it(written: str, number: str) -> None:
    """`010` was 8 and `1_000` 1000 without a word; `1e3` was told to be written 1000.0, no whole number."""
    message = refuse(f"train:\n  lr: {written}\n")
    assert f"train.lr: YAML reads {written} as " in message
    assert f"write {number} for the number, or '{written}' for the text (line 2)" in message
    assert parse_yaml(f"a: [{number}, '{written}']", "a.yaml")["a"] == [float(number), written]


@pytest.mark.parametrize(("written", "read"), [("1:30", "90"), ("190:20:30", "685230"), ("1:30.5", "90.5")])
def test_base_60_is_refused(written: str, read: str) -> None:
    assert f"a: YAML reads {written} as the number {read} (base 60); write a plain number, or '{written}'" in refuse(
        f"a: {written}\n"
    )


@pytest.mark.parametrize("written", ["010", "0123", "1e3", "2026-11-30", "0x1F", "1_000", "089", "yes", "No"])
def test_a_study_can_be_named_as_the_refusal_says(written: str) -> None:
    """`study: 0123` was told to be text as it is no text (83), and `study: 1e3` to be written 1000.0."""
    rest = "budget: {trials: 1}\nspace: {train.lr: {float: [0.001, 0.01]}}\n"
    quoted = re.search(f"'{written}'", refuse(f"study: {written}\n{rest}"))
    assert quoted is not None
    space = load_space(parse_yaml(f"study: {quoted[0]}\n{rest}", "a.yaml"))
    assert space.study == written
    assert load_space(parse_yaml(f"study: x\n{rest}", "a.yaml"), [f"study={quoted[0]}"]).study == written


@pytest.mark.parametrize("written", ["12", "1.50", "true", "2024"])
def test_plain_numbers_in_the_place_of_text_are_told_to_be_quoted(written: str) -> None:
    """Told was only that it must be text."""
    rest = "budget: {trials: 1}\nspace: {train.lr: {float: [0.001, 0.01]}}\n"
    with pytest.raises(ConfigError, match=r"study: .* must be text.*; put quotes around text that looks like a number"):
        load_space(parse_yaml(f"study: {written}\n{rest}", "a.yaml"))
    with pytest.raises(ConfigError, match=r"pool: .*put quotes around text"):
        load_config(parse_yaml(f"pool: [{written}]", "a.yaml"))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *[("0", 0), ("-3", -3), ("+1", 1), ("12", 12), (".5", 0.5), ("1.", 1.0), ("1.50", 1.5), ("1.0e-3", 0.001)],
        *[("~", None), ("null", None), ("", None), ("true", True), ("all", "all"), ("v1.2.3", "v1.2.3")],
        *[("1-2", "1-2"), ("2026", 2026), ("0.1.2", "0.1.2"), ("10%", "10%"), ("e3", "e3"), ("0:30", "0:30")],
    ],
)
def test_what_is_read_as_it_looks_is_read(written: str, value: object) -> None:
    assert parse_yaml(f"a: {written}\n", "a.yaml") == {"a": value}


@pytest.mark.parametrize("written", ["1e400", "1.0e+400", "9" * 5000])
def test_a_number_beyond_all_is_refused(written: str) -> None:
    """`1e400` was told to be written inf, which is text."""
    assert "no number is as large" in refuse(f"a: {written}\n") or "quote it" in refuse(f"a: {written}\n")


@pytest.mark.parametrize("name", ["3", "~", "2026-11-30", "yes", "true", "on", "1:30", "010", "=", ".5"])
def test_a_name_that_is_no_text_is_refused_with_the_quoted_one(name: str) -> None:
    """A bare `yes` was told to be written true or false, which are no names either."""
    message = refuse(f"b: 1\n{name}: 2\n")
    assert "line 2: " in message
    assert f"write '{name}'" in message
    assert " or " not in message
    assert parse_yaml(f"'{name}': 2\n", "a.yaml") == {name: 2}


def test_a_name_that_only_looks_like_a_number_is_read() -> None:
    assert parse_yaml("standardize: {1e3: fold, 089: actor}\n", "a.yaml") == {
        "standardize": {"1e3": "fold", "089": "actor"}
    }


def test_a_merge_is_refused_with_what_can_be_written() -> None:
    """Told was to write '<<', which is an unknown field."""
    message = refuse("a: &a {b: 1}\nc:\n  <<: *a\n  d: 2\n")
    assert "line 3: YAML's merge key << is not read; write its fields out, or repeat a whole map" in message
    assert parse_yaml("a: &a {b: 1}\nc: *a\n", "a.yaml") == {"a": {"b": 1}, "c": {"b": 1}}
    assert "write '<<'" in refuse("a: <<\n")


def test_invisible_characters_are_named() -> None:
    """No-break spaces before a name, as web pages have them, made another name on the top level."""
    assert "the field name '\\xa0\\xa0lr' holds an invisible character (U+00A0 NO-BREAK SPACE)" in refuse(
        "train:\n\u00a0\u00a0lr: 0.1\n"
    )
    assert "a: 'tpe\\u200b' holds an invisible character (U+200B ZERO WIDTH SPACE)" in refuse("a: tpe\u200b\n")
    assert parse_yaml("\ufeffa: 'x\u200b'\n", "a.yaml") == {"a": "x\u200b"}


def test_half_a_character_is_refused() -> None:
    """JSON writes a character beyond the first 65,536 as two; a file of it could not be written afterwards."""
    assert "holds half a character" in refuse('a: "\\ud83d\\ude00"\n')


def test_json_is_read_as_yaml() -> None:
    given = {"study": "s", "base": {"train.lr": 0.001, "pool": ["a", "b"], "model.n_kept": "all"}, "x": [True, None]}
    assert parse_yaml(json.dumps(given, indent=2), "a.json") == given
    assert "indent with spaces" in refuse(json.dumps(given, indent="\t"))


@pytest.mark.parametrize("text", [*NUMBERS, "1:30", "2026-11-30", "yes", "~", "=", "<<", "", "a#b", "a: b", "1e400"])
def test_text_that_yaml_would_misread_is_written_so_that_it_is_read_back(text: str) -> None:
    """`089`, `0o17` and `-.5` were written bare."""
    value = {"a": text, "b": [text], "c": {"name": text}}
    assert parse_yaml(write_yaml(value), "a.yaml") == value
