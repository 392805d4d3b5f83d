"""Which columns are channels: chosen by name, pattern or range; what is known to be something else is left out."""

import pytest
import yaml

from rfe.data.columns import choose_columns, is_known, is_ours, list_columns, write_list

NAMES = ["file", "start", "F0_mean", "F0_std", "mfcc_sma[1]_mean", "mfcc_sma[2]_mean", "x_0", "X_0", "ratio:a", "label"]


def chosen(*given: str, without: tuple[str, ...] = ()) -> list[str]:
    return [NAMES[index] for index in choose_columns(NAMES, given, without)[0]]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("F0_std", "F0_mean"), ["F0_std", "F0_mean"]),
        (("F0*",), ["F0_mean", "F0_std"]),
        (("f0*",), ["F0_mean", "F0_std"]),
        (("mfcc_sma[1]_mean",), ["mfcc_sma[1]_mean"]),
        (("mfcc_sma[?]*",), ["mfcc_sma[1]_mean", "mfcc_sma[2]_mean"]),
        (("F0_std:mfcc_sma[2]_mean", "F0_std"), ["F0_std", "mfcc_sma[1]_mean", "mfcc_sma[2]_mean"]),
        (("x_0",), ["x_0"]),
        (("X_0",), ["X_0"]),
        (("ratio:a",), ["ratio:a"]),
        (("F0_mean:ratio:a",), NAMES[2:9]),
        (("f0 mean",), ["F0_mean"]),
        (("label", "start"), ["label", "start"]),
        (("*",), NAMES[2:9]),
        (("file:F0_mean",), ["F0_mean"]),
    ],
)
def test_columns_are_chosen_by_name_pattern_and_range(given: tuple[str, ...], found: list[str]) -> None:
    assert chosen(*given) == found


def test_some_are_left_out() -> None:
    assert chosen() == NAMES[2:9]
    assert chosen(without=("mfcc*", "x_0:ratio:a")) == ["F0_mean", "F0_std"]
    assert chosen("F0*", without=("F0_std",)) == ["F0_mean"]
    assert choose_columns(NAMES)[1] == [0, 1, 9]
    assert choose_columns(NAMES, ["F0*"])[1] == []
    assert choose_columns(NAMES, ["file:F0_mean"])[1] == [0, 1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("F0_maen", "no column F0_maen; did you mean F0_mean?"),
        ("G*", "no column fits G*"),
        ("F0_mean:nothing_like_it", "no column nothing_like_it"),
        ("F0_std:F0_mean", "ends before it begins"),
        ("X__0", "2 columns are called X__0"),
    ],
)
def test_what_is_not_there_is_said(given: str, said: str) -> None:
    with pytest.raises(LookupError) as caught:
        choose_columns(NAMES, [given])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            "Unnamed: 0",
            "Unnamed: 0_level_0",
            "index",
            "frame",
            "Frame Number",
            "frameTime",
            "frame_time_in_ms",
        ),
        *(
            "timestamp",
            "start",
            "end",
            "segment_id",
            "subject_id",
            "Speaker",
            "face_id",
            "label",
            "emotion_1_id",
            "mix",
        ),
        *("fold", "emotion_1_salience", "Video_ID", "confidence", "success", "file", "name", "FaceScore", "partition"),
    ],
)
def test_known_names_are_no_channels(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize(
    "name",
    ["emotion_index", "gaze_yaw", "AU01_r", "0", "pitch", "F0_mean", "x_0", "音高", "mfcc[0]", "valence", "anger"],
)
def test_others_are(name: str) -> None:
    assert not is_known(name)


def test_the_metadatas_own_are_known_in_any_spelling() -> None:
    assert is_ours("Emotion 1 Salience")
    assert not is_ours("label")


def test_many_names_fit_a_sentence() -> None:
    assert list_columns(["a", *(f"x_{i}_r" for i in range(68)), "b", "b"]) == "a, x_0_r to x_67_r, b, b"
    assert list_columns(["q", "w", "e"], 2) == "q, w and 1 more"
    assert list_columns(["", "a1", "a2"]) == "(without a name), a1, a2"


def test_names_are_written_as_yaml_reads_them() -> None:
    names = ["a", "0", "no", "x: y", "it's", "[1]", "1e3", "AU01_r"]
    assert yaml.safe_load(write_list(names, 20)) == names
