from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rfe
from rfe.errors import DataError
from tests.unit.data.folders import draw_features, make_folder, make_rows, names


def test_a_folder_becomes_tables(tmp_path: Path) -> None:
    rows = make_rows()
    data = rfe.load_data(make_folder(tmp_path / "data", rows))
    assert list(data.clips.index) == names(rows)
    train = data.clips[data.clips["split"] == "train"]
    assert len(train) == 36
    assert train.loc["A0_clip2", ["ang", "hap", "sad"]].tolist() == [30, 70, 0]
    assert data.clips.loc["T0_clip0", ["fold", "emotions", "ang"]].isna().all()
    assert data.encoders["dim"].to_dict() == {"face": 5, "voice": 6}
    assert np.array_equal(data.features("face").to_numpy(), draw_features(rows, 5, 0))
    with pytest.raises(DataError, match="did you mean voice"):
        data.features("voices")


def test_it_shows_itself(tmp_path: Path) -> None:
    data = rfe.load_data(make_folder(tmp_path / "data"), encoders=["voice"])
    assert "36 training clips of 6 actors, 12 test clips" in repr(data)
    html = data._repr_html_()
    assert html.count("<table") == 1
    assert "voice" in html
    assert "face" not in html


def test_tables_become_a_folder(tmp_path: Path) -> None:
    rows = make_rows()
    metadata = pd.DataFrame(rows).set_index("filename")
    voice = pd.DataFrame(draw_features(rows, 6, 1), index=metadata.index).iloc[3:]
    given = {"face": draw_features(rows, 5, 0), "voice": voice}
    data = rfe.load_data(metadata, given, folder=tmp_path / "data")
    assert data.path == tmp_path / "data"
    assert np.array_equal(data.features("face").to_numpy(), given["face"])
    assert data.features("voice").iloc[:3].isna().all(axis=None)
    pd.testing.assert_frame_equal(
        data.features("voice").iloc[3:], voice, check_index_type=False, check_dtype=False, check_names=False
    )
    again = rfe.load_data(metadata, given, folder=tmp_path / "data")
    assert again.dataset.fingerprint == data.dataset.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_what_is_no_data_is_answered(tmp_path: Path) -> None:
    for given in (42, pd.DataFrame(make_rows())):
        with pytest.raises(DataError, match=r"is neither a data folder .* nor what rfe\.load_data returned"):
            rfe.search("everything", given, workspace=tmp_path)  # type: ignore[arg-type]


def test_tables_that_do_not_fit_leave_nothing(tmp_path: Path) -> None:
    rows = make_rows()
    metadata, face = pd.DataFrame(rows), draw_features(rows)
    wrong = [
        ((metadata, {"face": face[1:]}), "shape is \\(47, 5\\)"),
        ((metadata, {"face": np.full((48, 5), "x")}), "not all numbers"),
        ((metadata, {}), "at least one encoder"),
        ((metadata.drop(columns="filename"), {"face": face}), "no column filename"),
        ((metadata.drop(columns="fold"), {"face": face}), "fold"),
        ((metadata, {"a b/c": face}), "features: 'a b/c' cannot name an encoder and its file; use at most 100 letters"),
        ((metadata, {3: face}), "features: 3 cannot name an encoder"),
        ((metadata, face), "at least one encoder"),
        ((metadata, {"face": face.astype(float) * 1e300}), r"features.face: X holds values beyond 3.4e\+38"),
        ((42, {"face": face}), "load_data: 42 is neither a data folder"),
        ((metadata, None), "features=\\{...\\} and folder="),
    ]
    for given, said in wrong:
        with pytest.raises(DataError, match=said):
            rfe.load_data(*given, folder=tmp_path / "data")
    assert not list(tmp_path.iterdir())
    rfe.load_data(metadata, {"face": face}, folder=tmp_path / "data")
    with pytest.raises(DataError, match="holds something else"):
        rfe.load_data(metadata, {"face": face + 1}, folder=tmp_path / "data")
    with pytest.raises(DataError, match="leave them out"):
        rfe.load_data(tmp_path / "data", folder=tmp_path / "other")
