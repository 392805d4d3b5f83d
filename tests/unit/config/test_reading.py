"""What YAML reads differently from what was meant is answered, and nothing unsafe is read."""

from pathlib import Path

import pytest

from rfe.config.reading import parse_overrides, parse_yaml, read_yaml
from rfe.errors import ConfigError


def refuse(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "a.yaml")
    return str(caught.value)


def test_plain_values_are_read() -> None:
    text = "a: 1.0e-3\nb: [1, x, null]\nc: {d: true, e: 'off', f: '1e-3'}\n"
    assert parse_yaml(text, "a.yaml") == {"a": 0.001, "b": [1, "x", None], "c": {"d": True, "e": "off", "f": "1e-3"}}


@pytest.mark.parametrize(
    ("written", "remedy"),
    [("1e-3", "0.001"), ("1e-7", "1.0e-07"), ("1E5", "100000.0"), ("2.5e10", "25000000000.0"), ("1e300", "1.0e+300")],
)
def test_a_number_read_as_text_is_answered_with_one_that_is_not(written: str, remedy: str) -> None:
    message = refuse(f"train:\n  lr: {written}\n")
    assert f"train.lr: YAML reads {written} as text" in message
    assert f"write {remedy} (line 2)" in message
    assert parse_yaml(f"lr: {remedy}", "a.yaml")["lr"] == float(written)


@pytest.mark.parametrize("word", ["off", "no", "yes", "on", "Off", "NO"])
def test_a_word_read_as_a_boolean_is_answered(word: str) -> None:
    assert f"balance: YAML reads the bare word {word} as a boolean" in refuse(f"balance: {word}\n")
    assert f"the bare word {word}" in refuse(f"{word}: 1\n")
    assert f"the bare word {word}" in refuse(f"a: [x, {word}]\n")


def test_a_field_given_twice_is_named_with_both_lines() -> None:
    assert "train.lr is given twice, in lines 2 and 3" in refuse("train:\n  lr: 1.0\n  lr: 2.0\n")


def test_all_problems_are_listed_together() -> None:
    message = refuse("a: 1e-3\nb: off\na: 2\n")
    assert "3 problems" in message
    assert "a: YAML reads 1e-3" in message
    assert "b: YAML reads" in message
    assert "a is given twice" in message


def test_an_alias_that_contains_itself_ends() -> None:
    assert "an alias that holds itself" in refuse("&a [*a]\n")


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['true']\n", "a: [1\n", "a: b: c\n", "a: 1\n--- \nb: 2\n"]
)
def test_what_is_not_plain_yaml_is_refused(text: str) -> None:
    assert "a.yaml: not plain YAML" in refuse(text)


def test_the_top_is_a_map() -> None:
    assert "must be a map" in refuse("- a\n- b\n")
    assert "field name 3 is not text" in refuse("3: a\n")
    assert parse_yaml("# nothing\n", "a.yaml") == {}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: is not UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml")
    with pytest.raises(ConfigError, match="is a folder; give a YAML file"):
        read_yaml(tmp_path)


def test_overrides_read_numbers_as_typed() -> None:
    given = ["train.lr=1e-3", "pool=[a, b]", "model.n_kept=all", "adaptation.batch=null", "x=a=b", "y="]
    assert parse_overrides(given) == {
        "train.lr": 0.001,
        "pool": ["a", "b"],
        "model.n_kept": "all",
        "adaptation.batch": None,
        "x": "a=b",
        "y": None,
    }


def test_wrong_overrides_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["train.lr", "=3", "a=1", "a=2", "b=[1", "c=off"])
    message = str(caught.value)
    assert "5 problems" in message
    for part in ("'train.lr': write it as name=value", "a is set twice", "b: not plain YAML", "bare word off"):
        assert part in message
