"""What no fold but one has is refused before anything trains, with its name and the fold."""

from pathlib import Path

import numpy as np
import pytest

from rfe.data.cache import FeatureCache
from rfe.data.check import check_folder
from rfe.data.dataset import load_dataset
from rfe.errors import DataError
from tests.unit.data.folders import Row, draw_features, make_folder, make_rows, names, write_features

REMEDY = "compute them, or leave {} out (data.encoders)"


def test_an_encoder_of_one_fold_is_refused_with_its_name_and_the_fold(tmp_path: Path) -> None:
    """`check` said usable, and training: an encoder has no features of any training clip when fold 0 is held out."""
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    kept = [index for index, row in enumerate(rows) if row["fold"] == "1" or row["split"] == "test"]
    write_features(folder / "gaze.npz", draw_features(rows)[kept], [names(rows)[index] for index in kept])
    sentence = (
        "gaze.npz: when fold 1 is held out, no training clip has features of gaze: only clips of that fold have any; "
        + REMEDY.format("gaze")
    )
    assert check_folder(folder).problems == (sentence,)
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    assert sentence in str(caught.value)
    assert set(load_dataset(folder, ["face", "voice"]).encoders) == {"face", "voice"}
    target = [index for index, row in enumerate(rows) if row["split"] == "test"]
    write_features(folder / "gaze.npz", draw_features(rows)[target], [names(rows)[index] for index in target])
    assert check_folder(folder).problems == (
        f"gaze.npz: no training clip has features of gaze; {REMEDY.format('gaze')}",
    )
    assert load_dataset(folder, ["gaze", "face"], need_labels=False).encoders.keys() == {"gaze", "face"}


def test_many_such_encoders_make_one_sentence(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    kept = [index for index, row in enumerate(rows) if row["fold"] == "2"]
    for number in range(6):
        values = draw_features(rows, seed=number)[kept]
        write_features(folder / f"gaze{number}.npz", values, [names(rows)[index] for index in kept])
    (problem,) = check_folder(folder).problems
    assert problem.endswith("; also gaze1.npz (fold 2), gaze2.npz (fold 2), gaze3.npz (fold 2) and 2 more")


def test_blends_of_one_fold_are_refused(tmp_path: Path) -> None:
    """`check` said usable, and baselines: the folds hold no blend, so there is no salience to score."""

    def spoil(rows: list[Row], folds: tuple[str, ...]) -> None:
        for row in rows:
            if row["fold"] in folds:
                row |= {"emotion_2": "", "emotion_1_salience": "", "emotion_2_salience": ""}

    report = check_folder(make_folder(tmp_path / "one", spoil=lambda rows: spoil(rows, ("0", "1"))))
    assert len(report.problems) == 1
    assert "fold: all blends are in fold 2" in report.problems[0]
    report = check_folder(make_folder(tmp_path / "two", spoil=lambda rows: spoil(rows, ("1",))))
    assert report.usable


def test_labels_of_one_fold_are_said(tmp_path: Path) -> None:
    def rename(rows: list[Row]) -> None:
        for row in rows:
            if row["fold"] == "2" and row["emotion_1"] == "fea":
                row["emotion_1"] = "hap"

    report = check_folder(make_folder(tmp_path / "a", spoil=rename))
    assert report.usable
    assert any("only fold 2 has clips that show hap, so no model" in warning for warning in report.warnings)

    def flatten(rows: list[Row]) -> None:
        for row in rows:
            if row["fold"] in ("0", "1"):
                row |= {"emotion_1": "ang", "emotion_2": "", "emotion_1_salience": "", "emotion_2_salience": ""}

    warnings = check_folder(make_folder(tmp_path / "b", spoil=flatten)).warnings
    assert any("when fold 2 is held out, all training clips show ang" in warning for warning in warnings)


def test_an_encoder_without_the_training_actors_that_were_asked_for_is_named(tmp_path: Path) -> None:
    """An encoder has no features of any training clip: which, was not said."""
    rows = make_rows(n_actors=12)
    folder = make_folder(tmp_path / "data", rows)
    kept = [index for index, row in enumerate(rows) if row["video_id"] in ("A0", "A1")]
    write_features(folder / "gaze.npz", draw_features(rows)[kept], [names(rows)[index] for index in kept])
    cache = FeatureCache(load_dataset(folder), tmp_path / "cache")
    told = []
    for fold in (0, 1, 2):
        try:
            cache.prepared("gaze", fold, standardize="fold", training_actors=2)
        except DataError as error:
            told.append(str(error))
    assert told
    assert all("encoder 'gaze' has no features of any training clip of the 2 training actors" in one for one in told)
    assert np.isfinite(cache.prepared("gaze", 2, standardize="fold").values).all()
