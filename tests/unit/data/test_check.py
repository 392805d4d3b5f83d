import json
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
        "notes.docx is a stray file",
        "more is a stray folder",
        "probabilities.npz is a stray file",
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


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        check_folder(tmp_path / "nowhere")
