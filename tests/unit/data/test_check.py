import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rfe.data.caveats import NO_ACTORS
from rfe.data.check import check_folder
from rfe.data.dataset import load_dataset
from rfe.errors import DataError
from tests.unit.data.folders import Row, draw_features, make_folder, make_rows, names, write_csv, write_features


def test_describes_a_sound_folder(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine")
    report = check_folder(folder)
    assert report.usable
    assert report.fingerprint == load_dataset(folder).fingerprint
    assert (report.source_clips, report.target_clips, report.source_actors, report.target_actors) == (36, 12, 6, 2)
    assert [(row.fold, row.clips, row.actors, row.single, row.blend) for row in report.folds] == [
        (fold, 12, 2, 6, 6) for fold in (0, 1, 2)
    ]
    assert report.sets["ang"] == 6
    assert report.sets["ang+hap"] == 6
    assert sum(report.sets.values()) == sum(report.states.values()) == 36
    assert report.states["ang 30 + hap 70"] == 6
    assert [(row.name, row.dim, row.source_coverage, row.target_coverage) for row in report.encoders] == [
        ("face", 5, 1.0, 1.0),
        ("voice", 6, 1.0, 1.0),
    ]
    assert json.loads(json.dumps(report.to_dict()))["usable"] is True


def test_counts_what_a_person_should_see(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    values = draw_features(rows)
    values[:, 1] = 4.0
    values[4, 2] = np.nan
    kept = [*range(9), *range(18, 48)]
    write_features(folder / "gaze.npz", values[[*kept, 0]], [*names(rows)[:9], *names(rows)[18:], "x"])
    (folder / "copy.npz").write_bytes((folder / "face_static_features.npz").read_bytes())
    (folder / "notes.docx").touch()
    (folder / "more").mkdir()
    np.savez(folder / "probabilities.npz", probabilities=values)
    report = check_folder(folder)
    gaze = report.encoders[2]
    assert (gaze.name, gaze.rows, gaze.constant_columns, gaze.non_finite_values) == ("gaze", 40, 1, 1)
    assert (gaze.source_coverage, gaze.target_coverage) == (0.75, 1.0)
    warnings = "\n".join(report.warnings)
    for part in (
        "gaze.npz has no features of some clips: masked (9 clips: A1_clip3",
        "gaze.npz has rows of clips that the metadata does not know: ignored (1 clip: x)",
        "gaze.npz: 1 of 5 columns are constant",
        "same content as another one: copy, face",
        "notes.docx is a stray file: not read; also probabilities.npz",
        "more is a stray folder",
        "no training clip shows disg, hap, sad and 7 more",
    ):
        assert part in warnings
    assert len(report.problems) == 1
    assert "NaN or infinity for 1 clip" in report.problems[0]
    assert report.fingerprint is None
    assert not report.usable


def test_encoders_are_described_even_while_the_metadata_cannot_be_read(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "metadata.csv").unlink()
    (folder / "voice_static_features.npz").write_bytes(b"")
    report = check_folder(folder)
    assert [row.name for row in report.encoders] == ["face"]
    assert report.encoders[0].source_coverage is None
    assert len(report.problems) == 2
    assert report.folds == ()
    assert (report.source_clips, report.target_clips, report.source_actors, report.target_actors) == (None,) * 4


def test_an_actor_in_two_folds_and_in_both_domains(tmp_path: Path) -> None:
    def spoil(rows: list[Row]) -> None:
        rows[0]["fold"] = "1"

    assert "actor A0 (folds 0, 1)" in check_folder(make_folder(tmp_path / "a", spoil=spoil)).problems[0]

    def share(rows: list[Row]) -> None:
        rows[-1]["video_id"] = "A3"

    report = check_folder(make_folder(tmp_path / "b", spoil=share))
    assert report.usable
    assert "actor A3 has both training and test clips" in report.warnings[0]


def test_says_what_the_target_lacks(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    write_csv(folder / "metadata.csv", rows[:36] + [row | {"video_id": ""} for row in rows[36:]])
    report = check_folder(folder)
    assert report.target_actors == 0
    assert any("target clips carry no video_id" in warning for warning in report.warnings)
    write_csv(folder / "metadata.csv", rows[:36])
    assert any("no target clips" in warning for warning in check_folder(folder).warnings)


def test_says_what_unknown_actors_mean(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, spoil=lambda rows: [row.pop("video_id") for row in rows])
    report = check_folder(folder)
    assert report.usable
    assert report.caveats == load_dataset(folder).caveats == (NO_ACTORS,)
    assert NO_ACTORS not in load_dataset(folder, need_source=False, need_labels=False).caveats


def test_columns_that_tell_the_label_are_said_with_encoder_and_number(tmp_path: Path) -> None:
    """They passed as features."""
    rows = make_rows(n_actors=12)
    folder = make_folder(tmp_path, rows)
    assert not any("column" in warning for warning in check_folder(folder).warnings)
    emotions = [row["emotion_1"] for row in rows]
    codes = {
        "mix": [float(bool(row["emotion_2"])) for row in rows],
        "emotion_1_id": [float(sorted(set(emotions)).index(one)) for one in emotions],
        "subject_id": [float(row["video_id"][1:]) + 100 * (row["split"] == "test") for row in rows],
    }
    for encoder in ("face", "voice"):
        path = folder / f"{encoder}_static_features.npz"
        values = np.column_stack([draw_features(rows), *codes.values()]).astype(np.float32)
        write_features(path, values, names(rows))
    warnings = check_folder(folder).warnings
    assert (
        "face_static_features.npz, X: columns 5, 6 (counted from 0) tell the label of every training clip, as no "
        "features do; leave labels out of the features; also voice_static_features.npz (columns 5, 6)"
    ) in warnings
    assert any("column 7 (counted from 0) tells the actor of every training clip" in one for one in warnings)


def test_test_clips_of_another_scale_are_said(tmp_path: Path) -> None:
    """A file whose test rows were standardised, or are of another unit, was usable."""
    rows = make_rows(n_target_actors=4)
    folder = make_folder(tmp_path, rows)
    assert not any("far off" in warning for warning in check_folder(folder).warnings)
    values = draw_features(rows)
    values[36:] *= 1000
    write_features(folder / "face_static_features.npz", values, names(rows))
    (warning,) = (one for one in check_folder(folder).warnings if "far off" in one)
    assert warning.startswith("face_static_features.npz: the features of test clips are far off those of training")


def test_ids_that_look_alike_are_said(tmp_path: Path) -> None:
    """An actor with two spellings was two actors, in two folds."""

    def respell(rows: list[Row]) -> None:
        for row in rows[6:12]:  # of actor A1 in fold 1
            row["video_id"] = "a0"
        rows[0]["filename"], rows[6]["filename"] = "clip_7", "clip_07"
        rows[12]["filename"] += "\u200b"

    warnings = check_folder(make_folder(tmp_path, spoil=respell)).warnings
    for part in (
        "video_id: 'A0' and 'a0' (capital letters) look alike; are they one actor",
        "filename: 'clip_7' and 'clip_07' (leading zeros) look alike; are they the same clip?",
        r"filename: invisible characters in 'A2_clip0\u200b' (U+200B ZERO WIDTH SPACE); remove them",
    ):
        assert any(part in warning for warning in warnings), warnings


def test_feature_rows_whose_names_only_look_like_a_clips_are_said(tmp_path: Path) -> None:
    """They were masked and ignored, in two warnings that did not name the cause."""
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    spelt = [name.upper() if index < 4 else name for index, name in enumerate(names(rows))]
    write_features(folder / "face_static_features.npz", draw_features(rows), spelt)
    hint = "'A0_CLIP0' and 'A0_clip0' (capital letters), 'A0_CLIP1' and 'A0_clip1' (capital letters)"
    assert any(hint in warning for warning in check_folder(folder).warnings)
    write_features(folder / "face_static_features.npz", draw_features(rows), [f"{one}\u00a0" for one in names(rows)])
    (problem,) = check_folder(folder).problems
    assert r"'A0_clip0\xa0' and 'A0_clip0' (blanks or invisible characters)" in problem


def test_a_column_of_subnormal_numbers_counts_as_constant(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    values = draw_features(rows)
    values[:, 3] *= 1e-41
    write_features(folder / "face_static_features.npz", values, names(rows))
    report = check_folder(folder)
    assert report.encoders[0].constant_columns == 1
    assert any("1 of 5 columns are constant, or differ by less than float32" in one for one in report.warnings)


@pytest.mark.filterwarnings("error")
def test_single_values_far_beyond_the_rest_are_said(tmp_path: Path) -> None:
    """A column of the largest float, for missing, was usable; the baselines ended in an internal error."""
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    assert not any("values" in one for one in check_folder(folder).warnings)
    values = draw_features(rows)
    values[:, 1] = np.where(np.arange(48) % 2, 3e38, -3e38)
    values[7, 3] = -np.finfo(np.float32).max
    values[:, 2] *= np.float32(1e-29)
    values[6:12, 2] = 1e10  # of actor A1 alone
    write_features(folder / "face_static_features.npz", values, names(rows))
    report = check_folder(folder)
    assert report.usable
    assert (
        "face_static_features.npz, X: columns 1, 3 (counted from 0) hold values beyond 1e+30, e.g. -3.4e+38 of "
        "A1_clip1, as programs write what is missing; leave these clips' rows out (a clip without features is masked), "
        "or replace the values"
    ) in report.warnings
    assert (
        "face_static_features.npz, X: column 2 (counted from 0) holds values more than 1e+06 standard deviations off "
        "the training clips of the other folds, which no model can use; repair these values, or leave the column out"
    ) in report.warnings


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda lines: [lines[0], *(f"{line}," for line in lines[1:])],
            "line 2: 9 fields where the header has 8; remove",
        ),
        (lambda lines: ["sep=,", *lines], "begins with the line 'sep=,'"),
        (lambda lines: ["# made by hand", *lines], "begins with a comment ('# made by hand')"),
        (lambda lines: [line for row in lines for line in (row, "# a comment")], "line 2: is a comment"),
        (
            lambda lines: [line.replace("train", "dev 1").replace("test", "dev 2") for line in lines],
            "split: 'dev 1' is",
        ),
        (
            lambda lines: [line.replace(",0,train", f",{n}.5,train") for n, line in enumerate(lines)],
            "fold: '1.5' is not",
        ),
        (lambda lines: [lines[0], *(line.replace("ang", f"e{n}") for n, line in enumerate(lines[1:]))], "class 'e0'"),
        (lambda lines: [line.replace("30,70", f"{n},{n}") for n, line in enumerate(lines)], "saliences: "),
    ],
)
def test_a_fault_in_every_row_makes_one_sentence(
    spoil: Callable[[list[str]], list[str]], said: str, tmp_path: Path
) -> None:
    """Each row made one, or each value."""
    folder = make_folder(tmp_path)
    path = folder / "metadata.csv"
    path.write_text("\n".join(spoil(path.read_text().splitlines())) + "\n")
    problems = check_folder(folder).problems
    assert len(problems) <= 2, problems
    assert any(said in problem for problem in problems), problems


def test_a_fault_of_every_encoder_makes_one_sentence(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    for number in range(8):
        np.savez(folder / f"bad{number}.npz", X=draw_features(rows).astype(str), filenames=np.array(names(rows)))
        values = draw_features(rows)
        values[number, 0] = np.nan
        write_features(folder / f"nan{number}.npz", values, names(rows))
    problems = check_folder(folder).problems
    assert len(problems) == 2
    assert problems[0].endswith("features are real numbers; also bad1.npz, bad2.npz, bad3.npz and 4 more")
    assert problems[1].endswith("; also nan1.npz (1 clip), nan2.npz (1 clip), nan3.npz (1 clip) and 4 more")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        check_folder(tmp_path / "nowhere")
