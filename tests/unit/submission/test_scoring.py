"""Files are scored as the challenge scores them; what was chosen with the labels is called so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe.data.dataset import Dataset, load_dataset
from rfe.errors import DataError, SubmissionError
from rfe.metrics.intervals import FEW_ACTORS
from rfe.submission.scoring import FileScore, score_file
from rfe.submission.submission import write_submission
from rfe.task import BLEMORE
from tests.unit.data.folders import make_folder


def source_names(dataset: Dataset) -> list[str]:
    names: list[str] = dataset.clips.filename[dataset.clips.source].tolist()
    return names


def source_states(dataset: Dataset) -> NDArray[np.int64]:
    return dataset.clips.state[dataset.clips.source]


def estimates(score: FileScore, name: str) -> tuple[float, ...]:
    (rating,) = (rating for rating in score.ratings if rating.name == name)
    return tuple(rating.intervals[part].estimate for part in ("acc_presence", "acc_salience", "score"))


@pytest.mark.parametrize("form", [0, 1], ids=["json", "zip"])
def test_a_right_submission_scores_one(tmp_path: Path, dataset: Dataset, form: int) -> None:
    paths = write_submission(BLEMORE, tmp_path, source_names(dataset), source_states(dataset))
    score = score_file(paths[form], dataset)
    assert estimates(score, "submission") == pytest.approx((1.0, 1.0, 1.0))
    assert (score.n_clips, score.n_blends, score.n_actors) == (36, 18, 6)


def test_presence_counts_sets_and_salience_counts_blends(tmp_path: Path, dataset: Dataset) -> None:
    states = source_states(dataset).copy()
    states[2] -= 1  # a blend with the right pair and another ratio
    states[3] = 0  # a blend answered with a single
    states[0] = 1  # a single answered with another
    path, _ = write_submission(BLEMORE, tmp_path, source_names(dataset), states)
    presence, salience, total = estimates(score_file(path, dataset), "submission")
    assert presence == pytest.approx(34 / 36)
    assert salience == pytest.approx(16 / 18)
    assert total == pytest.approx((presence + salience) / 2)


def test_the_interval_is_over_actors(tmp_path: Path, dataset: Dataset) -> None:
    states = source_states(dataset).copy()
    states[:6] = 5  # one actor all wrong but for one clip
    path, _ = write_submission(BLEMORE, tmp_path, source_names(dataset), states)
    (rating,) = score_file(path, dataset).ratings
    low, high = rating.intervals["score"].bounds()
    assert low < rating.intervals["score"].estimate < high
    assert FEW_ACTORS in score_file(path, dataset).notes
    nobody = replace(dataset.clips, actor=np.full(len(dataset.clips), -1))
    score = score_file(path, replace(dataset, clips=nobody))
    assert any("too narrow: clips of one actor are alike" in note for note in score.notes)


def test_a_part_of_the_clips_is_scored_and_said(tmp_path: Path, dataset: Dataset) -> None:
    path, _ = write_submission(BLEMORE, tmp_path, source_names(dataset)[:12], source_states(dataset)[:12])
    score = score_file(path, dataset)
    assert score.n_clips == 12
    assert "24 labelled clips are not in the file and not counted" in score.notes


def test_refuses_what_cannot_be_scored(tmp_path: Path, dataset: Dataset) -> None:
    target = dataset.clips.filename[dataset.clips.target].tolist()
    path, _ = write_submission(BLEMORE, tmp_path / "target", target, [0] * len(target))
    with pytest.raises(SubmissionError, match="none of which has a label"):
        score_file(path, dataset)
    path, _ = write_submission(BLEMORE, tmp_path / "other", ["nobody_1"], [0])
    with pytest.raises(SubmissionError, match=r"nobody_1\.mov: not a clip of"):
        score_file(path, dataset)
    path.write_text(json.dumps({"predictions": {"A0_clip0.mov": [{"emotion": "ang", "salience": 1.0}]}}))
    with pytest.raises(SubmissionError, match="is a fraction"):
        score_file(path, dataset)
    answer = [{"emotion": "ang", "salience": 100}]
    path.write_text(json.dumps({"predictions": {"A0_clip0.mov": answer, "A0_clip0": answer}}))
    with pytest.raises(SubmissionError, match="A0_clip0 is answered twice"):
        score_file(path, dataset)


def test_simulated_target_clips_have_labels(tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "made-up"))
    target = dataset.clips.filename[dataset.clips.target].tolist()
    states = [clip % 8 for clip in range(len(target))]
    truth = {"test_labels": {name: BLEMORE.state_percents(state) for name, state in zip(target, states, strict=True)}}
    (dataset.path / "truth.json").write_text(json.dumps(truth))
    dataset = load_dataset(dataset.path)
    path, _ = write_submission(BLEMORE, tmp_path, target, states)
    score = score_file(path, dataset)
    assert estimates(score, "submission")[2] == pytest.approx(1.0)
    assert score.n_clips == len(target)
    assert not any("not counted" in note for note in score.notes)
    assert any("simulated" in note for note in score.notes)
    (dataset.path / "truth.json").write_text("{}")
    with pytest.raises(DataError, match="test_labels"):
        score_file(path, dataset)


def write_probabilities(path: Path, dataset: Dataset, noise: float = 0.0) -> Path:
    probabilities = BLEMORE.state_salience[source_states(dataset)] + 0.02
    probabilities = probabilities + noise * np.random.default_rng(0).random(probabilities.shape)
    probabilities /= probabilities.sum(-1, keepdims=True)
    np.savez(path, probabilities=probabilities, filenames=np.array(source_names(dataset)))
    return path


def test_probabilities_get_the_official_thresholds(tmp_path: Path, dataset: Dataset) -> None:
    score = score_file(write_probabilities(tmp_path / "p.npz", dataset), dataset)
    assert [rating.name for rating in score.ratings] == ["grid", "exact", "crossfit grid", "crossfit exact"]
    for name in ("grid", "exact", "crossfit grid", "crossfit exact"):
        assert estimates(score, name) == pytest.approx((1.0, 1.0, 1.0))
    for rating in score.ratings[:2]:
        assert rating.thresholds is not None
        assert "optimistic" in rating.note
    assert score.ratings[2].thresholds is None
    assert "other folds" in score.ratings[2].note


def test_the_exact_optimum_is_at_least_the_grid_and_crossfit_is_not_above_it(tmp_path: Path, dataset: Dataset) -> None:
    score = score_file(write_probabilities(tmp_path / "p.npz", dataset, noise=0.6), dataset)
    by_name = {rating.name: rating.intervals["score"].estimate for rating in score.ratings}
    assert by_name["grid"] <= by_name["exact"] < 1.0
    assert by_name["crossfit exact"] <= by_name["exact"]


def test_to_dict_is_json(tmp_path: Path, dataset: Dataset) -> None:
    score = score_file(write_probabilities(tmp_path / "p.npz", dataset, noise=0.6), dataset)
    values = json.loads(json.dumps(score.to_dict(), allow_nan=False))
    assert values["ratings"][0]["thresholds"].keys() == {"alpha", "beta"}
    assert values["ratings"][0]["score"].keys() >= {"estimate", "standard_error", "low", "high"}
    singles = np.flatnonzero(source_states(dataset) < 6)
    path, _ = write_submission(BLEMORE, tmp_path, np.array(source_names(dataset))[singles].tolist(), [0] * len(singles))
    values = json.loads(json.dumps(score_file(path, dataset).to_dict(), allow_nan=False))
    assert values["ratings"][0]["acc_salience"]["estimate"] is None


UNIFORM = np.full((2, 6), 1 / 6)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no filenames": ({"probabilities": UNIFORM}, "no array 'filenames' (it has: probabilities)"),
    "objects": ({"probabilities": UNIFORM, "filenames": np.array(["a", None])}, "only pickle could load"),
    "five emotions": ({"probabilities": UNIFORM[:, 1:], "filenames": ["a", "b"]}, "numbers [N, 6] in the order ang"),
    "one name": ({"probabilities": UNIFORM, "filenames": ["a"]}, "one row a file name"),
    "names as numbers": ({"probabilities": UNIFORM, "filenames": [1, 2]}, "filenames must be text"),
    "nan": ({"probabilities": UNIFORM * np.nan, "filenames": ["a", "b"]}, "are not finite for a, b"),
    "negative": ({"probabilities": UNIFORM - 1, "filenames": ["a", "b"]}, "are negative"),
    "logits": ({"probabilities": UNIFORM * 9, "filenames": ["a", "b"]}, "do not sum to 1"),
    "text": ({"probabilities": np.full((2, 6), "x"), "filenames": ["a", "b"]}, "must be numbers"),
}


@pytest.mark.parametrize(("arrays", "sentence"), BAD.values(), ids=BAD.keys())
def test_refuses_an_npz(tmp_path: Path, dataset: Dataset, arrays: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "p.npz"
    np.savez(path, **arrays)
    with pytest.raises(SubmissionError) as error:
        score_file(path, dataset)
    assert sentence in str(error.value)


def test_refuses_a_file_that_is_no_npz_or_absent(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(SubmissionError, match="no such file"):
        score_file(tmp_path / "p.npz", dataset)
    (tmp_path / "p.npz").write_bytes(b"no archive")
    with pytest.raises(SubmissionError, match="truncated or damaged"):
        score_file(tmp_path / "p.npz", dataset)


def test_what_lies_beside_a_submission_is_answered_with_where_it_is(tmp_path: Path, dataset: Dataset) -> None:
    write_submission(BLEMORE, tmp_path, source_names(dataset), source_states(dataset))
    (tmp_path / "predictions.csv").write_text("filename\n")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "none.json").write_text("{}")
    for name, sentence in (
        ("", r"is a folder; give the submission in it, .*submission\.json say"),
        ("predictions.csv", "is a table; give the submission written beside it"),
        ("empty.json", "is empty"),
        ("none.json", "but it has no keys"),
    ):
        with pytest.raises(SubmissionError, match=sentence):
            score_file(tmp_path / name, dataset)
