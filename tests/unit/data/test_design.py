"""Which data sets tell what a new actor shows, and the sentence where they do not."""

import re
from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import load_dataset
from rfe.data.design import check_design, check_design_actors
from rfe.errors import ConfigError
from tests.unit.data.folders import LABELS, Row, make_folder

FIELDS = ("emotion_1", "emotion_2", "emotion_1_salience", "emotion_2_salience")


def draw_labels(rows: list[Row]) -> None:
    """Each training clip's label by itself: actors have shares of their own."""
    stream = np.random.default_rng(2)
    for row in rows:
        if row["split"] == "train":
            row.update(zip(FIELDS, LABELS[stream.integers(len(LABELS))], strict=True))


def test_a_corpus_recorded_to_a_plan_is_allowed(tmp_path: Path) -> None:
    check_design(load_dataset(make_folder(tmp_path / "planned")), "decode.design: actor", "leave it out")


def test_free_shares_are_refused_with_the_measure_and_the_remedy(tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "free", spoil=draw_labels))
    with pytest.raises(ConfigError) as caught:
        check_design(dataset, "decode.design: actor", "set decode.design: none")
    said = str(caught.value)
    assert said.startswith(f"decode.design: actor: the training actors of {dataset.path} differ too much in how often")
    assert re.search(r"their design spread is (1\.\d\d|0\.[5-9]\d), and at most 0\.5 is allowed", said)
    assert said.endswith("; set decode.design: none")


def test_actors_must_be_known(tmp_path: Path) -> None:
    unknown = load_dataset(make_folder(tmp_path / "un", spoil=lambda rows: [row.pop("video_id") for row in rows]))
    with pytest.raises(
        ConfigError, match=r"needs video_id for all training clips, which .* lacks; add that column, or"
    ):
        check_design(unknown, "decode.design: actor", "leave it out")
    check_design_actors("known", "decode.design: actor", unknown, "leave it out")
    with pytest.raises(ConfigError, match=r"taken as pseudo \(data.target_actors\); set data.target_actors: known"):
        check_design_actors("pseudo", "decode.design: actor", unknown, "leave it out")
