"""Tables of frames as programs write them: each is read as it is meant, or refused with file, line and value."""

from pathlib import Path

import numpy as np
import pytest

from rfe.data.reading import Reading, Series, SeriesError
from rfe.data.series import NO_DETECTION, NO_FRAME, NOT_UTF8, read_row, read_series

VALUES = [[0.5, -1.5], [0.25, 2.0]]


def read(path: Path, content: str | bytes, reading: Reading | None = None) -> Series:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_series(path, reading)


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n0.5,-1.5\n0.25,2\n",
        "a,b\r\n0.5,-1.5\r\n\r\n0.25,2\r\n\r\n",
        "\ufeffa;b\n0.5;-1.5\n0.25;2\n",
        "a\tb\n0.5\t-1.5\n0.25\t2\n",
        "a|b\n0.5|-1.5\n0.25|2\n",
        "sep=;\na;b\n0.5;-1.5\n0.25;2\n",
        '"a","b"\n"0.5","-1.5"\n"0.25","2"\n',
        "# a,b\n0.5,-1.5\n0.25,2\n",
        "a, b\n 0.5, -1.5\n 0.25 , 2\n",
        "a,b\n0.5,-1.5\n0.25,2\n".encode("utf-16"),
        "name;frameTime;a;b\n'unknown';0.000000;0.5;-1.5\n'unknown';0.010000;0.25;2\n",
        ",a,b\n0,0.5,-1.5\n1,0.25,2\n",
        "Unnamed: 0,a,b\n0,0.5,-1.5\n1,0.25,2\n",
        "frame, timestamp, confidence, success, a, b\n1,0,0.98,1,0.5,-1.5\n2,0.04,0.98,1,0.25,2\n",
        "file,start,end,a,b\nx.wav,0 days 00:00:00,0 days 00:00:01,0.5,-1.5\nx.wav,0 days,0 days,0.25,2\n",
        "timestamp,segment_id,subject_id,label,fold,emotion_1_salience,mix,a,b\n"
        "0,7,3,ang,0,70,1,0.5,-1.5\n500,7,3,ang,0,70,1,0.25,2\n",
    ],
)
def test_a_table_has_two_channels(content: str | bytes, tmp_path: Path) -> None:
    series = read(tmp_path / "clip.csv", content)
    assert series.columns == ("a", "b")
    np.testing.assert_array_equal(series.values, VALUES)


@pytest.mark.parametrize("content", ["0.5,-1.5\n0.25,2\n", "0.5 -1.5\n0.25 2\n", "5.0e-01\t-1.5\n0.25\t2\n"])
def test_without_a_header_the_first_frame_is_one(content: str, tmp_path: Path) -> None:
    series = read(tmp_path / "clip.csv", content)
    assert series.columns == ("0", "1")
    np.testing.assert_array_equal(series.values, VALUES)
    np.testing.assert_array_equal(read_series(tmp_path / "clip.csv", Reading(columns=("1",))).values, [[-1.5], [2]])


def test_a_first_frame_may_have_a_gap(tmp_path: Path) -> None:
    series = read(tmp_path / "clip.csv", "nan,0.5\n1,2\n")
    assert len(series.values) == 2


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("0,1,2,3\n0.5,-1.5,1,1\n0.25,2,1,1\n", ("0", "1", "2", "3")),
        (",0,1\n0,0.5,-1.5\n1,0.25,2\n", ("0", "1")),
        (",0,1\nx.wav,0.5,-1.5\nx.wav,0.25,2\n", ("0", "1")),
    ],
)
def test_columns_without_names_are_numbered(content: str, columns: tuple[str, ...], tmp_path: Path) -> None:
    series = read(tmp_path / "clip.csv", content)
    assert series.columns == columns
    np.testing.assert_array_equal(series.values[:, :2], VALUES)


@pytest.mark.parametrize("first", ["1,2", "0.0,1.0", "0", "0,1", "0,1,2", ",0"])
def test_what_may_be_a_header_or_not_must_be_said(first: str, tmp_path: Path) -> None:
    """A first frame of `0` (a pitch, say) or `0,1` was taken for a header and lost."""
    path = tmp_path / "clip.csv"
    frame = ",".join("0.5" for _ in first.split(","))
    with pytest.raises(SeriesError, match=r"clip.csv: .* say header: true or header: false in the mapping"):
        read(path, f"{first}\n{frame}\n")
    assert len(read_series(path, Reading(header=True)).values) == 1
    assert len(read_series(path, Reading(header=False)).values) == 2


@pytest.mark.parametrize("first", ["0.5", "0,0", "1,0", "0,,1", ",0.0", "nan,0"])
def test_a_first_line_of_other_numbers_is_a_frame(first: str, tmp_path: Path) -> None:
    frame = ",".join("0.5" for _ in first.split(","))
    assert len(read(tmp_path / "clip.csv", f"{first}\n{frame}\n").values) == 2


def test_a_headerless_vector_of_two_lines_is_two_vectors(tmp_path: Path) -> None:
    (tmp_path / "clip.csv").write_text("0.5,-1.5\n0.25,2\n")
    with pytest.raises(SeriesError, match=r"several rows, not one vector; .*2 rows"):
        read_row([tmp_path / "clip.csv"], Reading("vector"))
    (tmp_path / "clip.csv").write_text("0.5,-1.5\n")
    np.testing.assert_array_equal(read_row([tmp_path / "clip.csv"], Reading("vector")).values, [0.5, -1.5])


def test_left_out_columns_are_named(tmp_path: Path) -> None:
    series = read(tmp_path / "clip.csv", "index,time,a,person_id\n0,0,1,7\n")
    assert (series.columns, series.left_out) == (("a",), ("index", "time", "person_id"))
    series = read_series(tmp_path / "clip.csv", Reading(columns=("a", "time"), without=("a",)))
    assert (series.columns, series.left_out) == (("time",), ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NA",
        "None",
        "#N/A",
        "-nan(ind)",
        "NaN",
        "N/A",
        "null",
        "<NA>",
        "1.#QNAN",
        "-1.#IND",
        "?",
        "inf",
        '"NA"',
    ],
)
def test_a_gap_costs_its_frame_only(text: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.csv"
    path.write_text(f"a,b\n1,2\n3,{text}\n5,6\n")
    row = read_row([path], Reading())
    assert row.incomplete == 1
    np.testing.assert_array_equal(row.values[:2], [3, 4])
    bare = text.strip('" ')
    assert row.series.gap in {f"{path}, line 3: b is {shown!r}" for shown in (bare, text.strip())}


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (
            "a,b\n1,2\n3,happy\n",
            "column b holds what is no number; leave it out with without: [b]",
            "line 3: b is 'happy'",
        ),
        ("a,id_of\n1,01_02\n", "column id_of holds what is no number", "line 2: id_of is '01_02'"),
        ("a;b\n0,5;1\n", "decimal commas; save the numbers with decimal points", "line 2: a is '0,5'"),
        ('a,b\n"0,5",1\n', "decimal commas", "line 2: a is '0,5'"),
        ("a,b\n1,2,\n", "a line with more or fewer fields than the header", "line 2 has 3 fields, the header 2"),
        ("a,b,a\n1,2,3\n", "a header with the same column twice", "a"),
        (
            "frame,label\n1,2\n",
            "no column but those that number, time, name, rate or label a frame; name the channels",
            "it has: frame, label",
        ),
        (
            "mix,fold\n1,2\n",
            "no column but those that number, time, name, rate or label a frame, so no channels",
            "mix",
        ),
        ("@relation x\n@data\n1,2\n", "an ARFF file; save it as CSV", ""),
        ("größe,b\n1,2\n".encode("latin-1"), NOT_UTF8, ""),
    ],
)
def test_what_cannot_be_read_is_shown(content: str | bytes, reason: str, detail: str, tmp_path: Path) -> None:
    with pytest.raises(SeriesError) as caught:
        read(tmp_path / "clip.csv", content)
    assert reason in caught.value.reason
    assert "clip.csv" not in caught.value.reason
    assert caught.value.example.startswith(f"{tmp_path / 'clip.csv'}")
    assert detail in caught.value.example


def test_frames_in_which_nothing_was_found_are_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "clip.csv"
    path.write_text("frame, success, a\n1,1,2\n2,0,0\n3,0.0,0\n4,1,4\n5,,0\n")
    row = read_row([path], Reading())
    assert (row.values[0], row.series.undetected, row.incomplete) == (3, 3, 0)
    assert read_row([path], Reading(columns=("a",))).series.undetected == 3
    assert read_row([path], Reading(columns=("success",))).series.undetected == 0
    path.write_text("frame, success, a\n1,0,0\n2,0,0\n")
    with pytest.raises(SeriesError, match="of 2") as caught:
        read_row([path], Reading())
    assert caught.value.reason == NO_DETECTION


def test_a_channel_without_any_value_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.csv"
    path.write_text("a,iris\n1,\n2,\n")
    with pytest.raises(SeriesError, match="channel iris has no value in any frame") as caught:
        read_row([path], Reading())
    assert caught.value.reason == NO_FRAME


def test_faces_are_counted(tmp_path: Path) -> None:
    table = "face_id, success, a\n0,1,2\n1,1,3\n2,0,0\n"
    assert read(tmp_path / "clip.csv", table).faces == 2
    assert read(tmp_path / "clip.csv", "face_id,a\n0,2\n0,3\n").faces == 1
    assert read(tmp_path / "clip.csv", "a\n0\n").faces == 0
