"""The real folders load as they are; their values stay where they are."""

import os
from pathlib import Path

import pytest

from rfe.data.cache import FeatureCache
from rfe.data.check import check_folder
from rfe.data.dataset import load_dataset

ROOT = Path(os.environ.get("RFE_REAL_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(("name", "knows_target"), [("cremad_votes", True), ("blemore_hicmae", False)])
def test_loads_and_prepares(tmp_path: Path, name: str, knows_target: bool) -> None:
    if not (ROOT / name).is_dir():
        pytest.skip(f"no {ROOT / name}; set RFE_REAL_DATA to the folder of the real data sets")
    dataset = load_dataset(ROOT / name)
    assert check_folder(ROOT / name).usable
    assert len(dataset.clips.folds) == 5
    assert dataset.clips.target_has_actors is knows_target
    assert len(dataset.caveats) == 1
    narrow = min(dataset.encoders.values(), key=lambda encoder: encoder.dim)
    assert narrow.available.all()
    prepared = FeatureCache(dataset, tmp_path).prepared(narrow.name, 0)
    assert prepared.values.shape == (len(dataset.clips), narrow.dim)
    assert abs(prepared.values).max() < 100
