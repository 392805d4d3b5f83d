"""The spaces and baselines that come with the project load, and run on any data."""

import random
from pathlib import Path

import pytest

from rfe.config.load import load_config
from rfe.search_space import effective_config, load_space, normalize, resolve, sample_params

FOLDER = Path(__file__).parents[3] / "search_spaces"
NAMES = {
    "fusion",
    "top_n",
    "encoder_pool",
    "head_fusion",
    "joint_fusion",
    "adaptation",
    "everything",
    "demo",
    "kernel",
    "kinds",
}


def test_each_question_has_a_space() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} >= NAMES


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("encoders", [("x", "y"), ("a", "b", "c", "d", "e", "f", "g", "h", "i")])
def test_it_fits_any_data(path: Path, encoders: tuple[str, ...]) -> None:
    resolved = resolve(load_space(path), encoders)
    assert resolved.first_trials
    rng = random.Random(0)
    for _ in range(20):
        config = effective_config(resolved, sample_params(resolved, rng))
        assert set(config.pool) <= set(encoders)


@pytest.mark.parametrize("path", sorted((FOLDER / "baselines").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_baseline_is_a_configuration(path: Path) -> None:
    config = load_config(path, ["pool=[x]"] if path.stem == "single_encoder" else [])
    assert normalize(config, ("x", "y")).pool in (["x"], ["x", "y"])
