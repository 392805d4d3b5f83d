"""`rfe score` and `rfe verify`, as typed, with labels or names alone."""

from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import Dataset
from rfe.submission.submission import write_submission
from rfe.task import BLEMORE
from tests.unit.cli.invoke import invoke


@pytest.fixture
def labels(dataset: Dataset, tmp_path: Path) -> Path:
    """The data's labels, without what else its metadata hold."""
    lines = (dataset.path / "metadata.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines]
    kept = [index for index, name in enumerate(cells[0]) if name == "filename" or name.startswith("emotion")]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(",".join(row[index] for index in kept) for row in cells[:37]) + "\n")
    return path


def test_a_submission_is_scored_with_labels_alone(dataset: Dataset, labels: Path, tmp_path: Path) -> None:
    """Wanted were feature files, folds and actors."""
    clips = dataset.clips
    path, _ = write_submission(BLEMORE, tmp_path, clips.filename[clips.source].tolist(), clips.state[clips.source])
    told = invoke("score", path, "--data", labels)
    assert told.exit_code == 0, told.output
    assert "36 clips, 18 of them blends" in " ".join(told.output.split())
    assert "1.000" in told.output
    assert "too narrow: clips of one actor are alike" in " ".join(told.output.split())
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "metadata.csv").write_bytes((dataset.path / "metadata.csv").read_bytes())
    told = invoke("score", path, "--data", tmp_path / "metadata")
    assert "36 clips of 6 actors" in " ".join(told.output.split())


def test_probabilities_without_folds_are_scored_and_it_is_said(dataset: Dataset, labels: Path, tmp_path: Path) -> None:
    clips = dataset.clips
    shares = BLEMORE.state_salience[clips.state[clips.source]] + 0.02
    names = clips.filename[clips.source]
    np.savez(tmp_path / "p.npz", probabilities=shares / shares.sum(-1, keepdims=True), filenames=names)
    told = " ".join(invoke("score", tmp_path / "p.npz", "--data", labels).output.split())
    assert "the labels name no two folds" in told
    assert "crossfit" not in told
    told = " ".join(invoke("score", tmp_path / "p.npz", "--data", dataset.path).output.split())
    assert "name no two folds" not in told
    assert "crossfit grid" in told


def test_a_submission_is_verified_with_names_alone(dataset: Dataset, tmp_path: Path) -> None:
    """Wanted were labels, folds and a split, and of a folder without target clips every answer was one too many."""
    names = dataset.clips.filename[:4].tolist()
    path, _ = write_submission(BLEMORE, tmp_path, names, [0] * 4)
    (tmp_path / "names.csv").write_text("filename\n" + "\n".join(names) + "\n")
    told = invoke("verify", path, "--data", tmp_path / "names.csv")
    assert (told.exit_code, "a valid submission of 4 clips" in told.output) == (0, True)
    (tmp_path / "names.csv").write_text("filename\n" + "\n".join([*names, "more"]) + "\n")
    told = invoke("verify", path, "--data", tmp_path / "names.csv")
    assert told.exit_code == 2
    assert "more.mov: no answer (1 of 5 target clips)" in " ".join(told.output.split())
