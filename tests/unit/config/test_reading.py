"""What YAML reads differently from what was meant is answered, and nothing unsafe is read."""

import shlex
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


@pytest.mark.parametrize("word", ["off", "no", "yes", "on", "Off", "NO"])
def test_a_word_read_as_a_boolean_is_answered(word: str) -> None:
    assert f"balance: YAML reads the bare word {word} as a boolean" in refuse(f"balance: {word}\n")
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
    ("text", "remedy"),
    [
        ("a: [1\n", "(line 2, column 1)"),
        ("a: b: c\n", "quote a value that holds a colon"),
        ("a: 1\n--- \nb: 2\n", "remove what follows the second line of ---"),
        ("a:1\nb: 2\n", "write `field: value`"),
        ("a: 1\nb:2\n", "with a blank after the colon"),
        ("a:\n\tb: 1\n", "indent with spaces"),
        ('a: "C:\\data"\n', "use single quotes"),
        ("a: @b\n", "quote a value that begins with this sign"),
        ("a: *.npz\n", "quote a value that begins with *"),
        ("a: *b\n", "quote a value that begins with *"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_what_to_do(text: str, remedy: str) -> None:
    """Told before was PyYAML's message alone, over several lines."""
    message = refuse(text)
    assert message.startswith("a.yaml: not plain YAML")
    assert remedy in message
    assert "unicode string" not in message


def test_tags_are_refused() -> None:
    """`!!int '010'` was 8, in spite of its quotes."""
    for tag in ("!!python/object/apply:os.system", "!!int", "!!set", "!own"):
        assert f"line 2: the tag {tag} has no meaning here" in refuse(f"b: 1\na: {tag} ['010']\n")
    assert parse_yaml("a: 'wow!'\nb: oh! yes!\n", "a.yaml") == {"a": "wow!", "b": "oh! yes!"}


def test_the_top_is_a_map() -> None:
    assert "must be a map" in refuse("- a\n- b\n")
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
    given = [
        "train.lr=1e-3",
        "train.epochs=2e1",
        "pool=[a, b]",
        "model.n_kept=all",
        "adaptation.batch=null",
        "x=a=b",
        "y=",
    ]
    assert parse_overrides(given) == {
        "train.lr": 0.001,
        "train.epochs": 20,
        "pool": ["a", "b"],
        "model.n_kept": "all",
        "adaptation.batch": None,
        "x": "a=b",
        "y": None,
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [("010", "8"), ("1:30", "90"), ("2026-11-30", "a date"), ("yes", "boolean"), ("089", "text"), ("=", "sign")],
)
def test_an_override_is_refused_with_one_that_a_shell_leaves_whole(written: str, read: str) -> None:
    """The quotes that a file needs are taken away by a shell: `--set study='010'` was 8 again."""
    with pytest.raises(ConfigError) as caught:
        parse_overrides([f"study={written}"])
    assert read in str(caught.value)
    advice = str(caught.value).partition("(in a shell: --set ")[2].removesuffix(")")
    assert parse_overrides(shlex.split(advice)) == {"study": written}


def test_an_override_is_read_whole() -> None:
    """What follows # was dropped as a comment, and a second line as another field; `x=#3` was null."""
    for text in ("#3", "clip #3", "clip\nb: 3"):
        with pytest.raises(ConfigError, match="put quotes around the whole value"):
            parse_overrides([f"x={text}"])
        assert parse_overrides([f"x='{text}'"])["x"].split() == text.split()
    assert parse_overrides(["x=a#b", "y=[1, 2] ", "z={a: 1}"]) == {"x": "a#b", "y": [1, 2], "z": {"a": 1}}


def test_wrong_overrides_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["train.lr", "=3", "a=1", "a=2", "b=[1", "c=off"])
    message = str(caught.value)
    assert "5 problems" in message
    for part in ("'train.lr': write it as name=value", "a is set twice", "b: not plain YAML", "bare word off"):
        assert part in message
