"""What a bundle predicts: what its models said in training, the same bits again; sentences where data does not fit."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.decoding.base import Outputs
from rfe.errors import DataError, SubmissionError
from rfe.submission.archive import open_bundle
from rfe.submission.clips import NewClips
from rfe.submission.member import run_member
from rfe.submission.predictor import Predictor
from rfe.submission.reading import read_submission
from rfe.submission.table import column_names, predictions_csv
from rfe.submission.use import predict_folder, write_files
from rfe.submission.verification import read_manifest
from rfe.task import BLEMORE
from tests.unit.data.folders import draw_features, make_folder, make_rows, names, write_csv, write_features
from tests.unit.submission.bundles import configure, export_trained

VARIETY: dict[str, tuple[dict[str, object], str]] = {
    "known": ({"train__seeds": 2}, "folds"),
    "final": ({"train__seeds": 2}, "final"),
    "pseudo, reduced": ({"data__target_actors": "pseudo", "data__reduce": 3, "loss__balance": "class"}, "folds"),
    "unknown, adapted": ({"data__target_actors": "unknown", "adaptation__kind": "dann"}, "final"),
    "actors apart": ({"adaptation__kind": "dann", "adaptation__domains": "actors"}, "final"),
    "by fold, thresholds": ({"data__standardize": "fold", "decode__kind": "official", "pool": ["voice"]}, "folds"),
    "pairs": ({"loss__presence": "sets", "train__seeds": 2, "decode__kind": "decoupled"}, "folds"),
    "baseline": ({"model__kind": "concat_mlp", "data__standardize": {"face": "actor"}}, "final"),
    "early": ({"model__fusion__stage": "early", "model__fusion__kind": "rank_concat"}, "folds"),
    "members": ({"model__members": 2, "loss__presence": "states", "model__fusion__stage": "both"}, "folds"),
    "members, adapted": ({"model__members": 2, "adaptation__kind": "dann"}, "final"),
    "agreement": (
        {"model__gate": {"inputs": "both"}, "model__fusion__residual": "predictions", "loss__lambda_auxiliary": 0.3},
        "folds",
    ),
    "blend head": ({"model__heads__blend": "own", "loss__presence": "states"}, "folds"),
    "pair ratio": ({"model__heads__ratio": "pair", "decode__kind": "decoupled"}, "folds"),
    "pair ratio, members": ({"model__heads__ratio": "pair", "model__members": 2, "train__seeds": 2}, "final"),
    "kernel": ({"model__kind": "kernel", "train__seeds": 2, "loss__balance": "class"}, "folds"),
    "kernel, final": (
        {"model__kind": "kernel", "model__kernel__weighting": "alignment", "model__kernel__landmarks": 20},
        "final",
    ),
    "gated kernel": ({"model__kind": "gated_kernel", "train__seeds": 2, "loss__balance": "class"}, "folds"),
    "gated kernel, one encoder": (
        {"model__kind": "gated_kernel", "model__gated_kernel__gate": "fixed", "pool": ["voice"]},
        "final",
    ),
    "boosting": (
        {"model__kind": "boosting", "model__boosting__iterations": 3, "model__boosting__min_clips": 2},
        "final",
    ),
    "shuffled": ({"model__gate": {"kind": "shuffled"}, "train__average": "ema", "model__n_kept": 1}, "folds"),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    rows = make_rows()
    folder = make_folder(tmp_path_factory.mktemp("data") / "made-up", rows)
    write_features(folder / "voice_static_features.npz", draw_features(rows, 6, 1)[2:-1], names(rows)[2:-1])
    return load_dataset(folder)


@pytest.fixture(scope="module")
def bundle(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Standardised by known actors."""
    folder = tmp_path_factory.mktemp("bundle")
    return export_trained(folder, dataset, configure(train__seeds=2), output=folder / "bundle.zip")[0]


def outputs_in(bundle: Path, dataset: Dataset) -> Outputs:
    predictor = Predictor(bundle, read_manifest(bundle))
    (member,) = predictor._members
    return run_member(member, predictor.dims, predictor.task, NewClips.of_dataset(dataset))


@pytest.mark.parametrize("case", VARIETY)
def test_a_bundle_says_what_its_models_said_in_training(case: str, dataset: Dataset, tmp_path: Path) -> None:
    changes, kind = VARIETY[case]
    gate = {f"model__gate__{name}": value for name, value in changes.pop("model__gate", {}).items()}  # type: ignore[attr-defined]
    bundle, trained = export_trained(tmp_path, dataset, configure(**changes, **gate), kind=kind)
    outputs = outputs_in(bundle, dataset)
    np.testing.assert_allclose(outputs.fused, trained.target_fused, atol=1e-4)
    np.testing.assert_allclose(outputs.presence_logits, trained.target_presence_logits, atol=1e-3)
    answered = predict_folder(bundle, dataset.path)
    assert predictions_csv(BLEMORE, answered.prediction) == (bundle / "predictions.csv").read_text()
    np.testing.assert_allclose(answered.prediction.probabilities.sum(1), 1.0, atol=1e-6)


def test_the_bundles_own_data_is_answered_with_the_same_bits(bundle: Path, dataset: Dataset, tmp_path: Path) -> None:
    files = write_files(predict_folder(bundle, dataset.path), tmp_path / "answers")
    assert [path.name for path in files] == ["predictions.csv", "submission.json", "submission.zip"]
    with open_bundle(bundle) as folder:
        assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in files)
    (table,) = write_files(predict_folder(bundle, dataset.path), tmp_path / "only.csv")
    header, first, *_ = table.read_text().splitlines()
    assert tuple(header.split(",")) == ("filename", *column_names(BLEMORE))
    assert header.split(",")[-6:] == [f"p_{emotion}" for emotion in BLEMORE.classes]
    assert first.split(",")[0] == dataset.clips.filename[dataset.clips.n_source]


def new_folder(
    folder: Path, encoders: dict[str, int], clips_per_actor: int = 9, spoil: Any = None, actor: str | None = None
) -> Path:
    """Target clips only, of two new actors, or all of `actor`."""
    rows = [row for row in make_rows(2, clips_per_actor, 2) if row["split"] == "test"]
    for row in rows:
        row["video_id"] = f"new-{row['video_id']}" if actor is None else actor
    folder.mkdir()
    for encoder, dim in encoders.items():
        write_features(folder / f"{encoder}.npz", draw_features(rows, dim), names(rows))
    if spoil is not None:
        spoil(rows)
    write_csv(folder / "metadata.csv", rows)
    return folder


def test_new_actors_and_new_encoders(bundle: Path, tmp_path: Path) -> None:
    answered = predict_folder(bundle, new_folder(tmp_path / "new", {"face": 5, "voice": 6, "other": 3}))
    assert len(answered.prediction.filename) == 18
    assert (answered.prediction.state >= 0).all()
    assert answered.prediction.notes == ()


def test_a_clip_is_standardised_by_its_own_actor_alone(bundle: Path, tmp_path: Path) -> None:
    """Another actor's clips change nothing; another actor's name does."""
    folder = new_folder(tmp_path / "new", {"face": 5, "voice": 6})
    whole = NewClips.of_dataset(load_dataset(folder, need_source=False))
    with open_bundle(bundle) as place:
        predictor = Predictor(place, read_manifest(place))
        together = predictor.predict(whole).probabilities
        first = whole.actor == whole.actor[0]
        alone = replace(
            whole,
            filename=tuple(np.array(whole.filename)[first]),
            actor=whole.actor[first],
            features={name: values[first] for name, values in whole.features.items()},
            available={name: mask[first] for name, mask in whole.available.items()},
        )
        np.testing.assert_allclose(predictor.predict(alone).probabilities, together[first], atol=1e-6)
        mixed = predictor.predict(replace(whole, actor=np.zeros_like(whole.actor))).probabilities
    assert np.abs(mixed - together).max() > 1e-3


def test_a_missing_encoder_is_masked(bundle: Path, tmp_path: Path) -> None:
    answered = predict_folder(bundle, new_folder(tmp_path / "new", {"face": 5}))
    assert answered.prediction.notes == ("encoder voice is missing: masked",)
    assert (answered.prediction.state >= 0).all()


def test_clips_that_an_encoder_lacks_are_noted(bundle: Path, tmp_path: Path) -> None:
    """They were masked without a word, also where their names are only spelt in another way."""
    folder = new_folder(tmp_path / "new", {"face": 5, "voice": 6})
    with np.load(folder / "voice.npz") as stored:
        filenames, values = stored["filenames"].tolist(), stored["X"]
    write_features(folder / "voice.npz", values, [name.upper() for name in filenames[:2]] + filenames[2:])
    (note,) = predict_folder(bundle, folder).prediction.notes
    assert note == f"encoder voice has no features of 2 clips: masked there ({filenames[0]}, {filenames[1]})"


def test_features_of_another_scale_are_noted_once_for_each_encoder(bundle: Path, tmp_path: Path) -> None:
    """Answers to standardised features, or to those of another unit, looked like any others."""
    folder = new_folder(tmp_path / "new", {"face": 5, "voice": 6}, clips_per_actor=40)
    assert predict_folder(bundle, folder).prediction.notes == ()
    with np.load(folder / "voice.npz") as stored:
        filenames, values = stored["filenames"].tolist(), stored["X"]
    write_features(folder / "voice.npz", values * 1000, filenames)
    (note,) = predict_folder(bundle, folder).prediction.notes
    assert note.startswith("encoder voice: its features are far off those of training (typically ")
    write_features(folder / "voice.npz", values / 1000, filenames)
    (note,) = predict_folder(bundle, folder).prediction.notes
    assert "and spread 0.00" in note


def test_labels_are_not_looked_at_and_labelled_clips_of_others_can_be_asked(bundle: Path, tmp_path: Path) -> None:
    labelled = make_folder(tmp_path / "labelled", make_rows(n_actors=4, n_target_actors=0))
    other = make_folder(
        tmp_path / "other",
        make_rows(n_actors=4, n_target_actors=0),
        spoil=lambda rows: [row.update(emotion_1="sad") for row in rows if not row["emotion_2"]],
    )
    first, second = (predict_folder(bundle, folder).prediction for folder in (labelled, other))
    assert len(first.filename) == 24
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


@pytest.mark.parametrize("split", [None, "", "train"])
def test_clips_without_split_labels_and_folds_can_be_asked(split: str | None, bundle: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "labelled", make_rows(n_actors=4, n_target_actors=0))
    expected = predict_folder(bundle, folder).prediction
    rows = [{name: row[name] for name in ("filename", "video_id")} for row in make_rows(4, n_target_actors=0)]
    write_csv(folder / "metadata.csv", rows if split is None else [row | {"split": split} for row in rows])
    found = predict_folder(bundle, folder).prediction
    assert found.filename == expected.filename
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_what_does_not_fit_is_told_in_a_sentence(bundle: Path, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="encoder 'face' has 7 features, but the models were trained on 5"):
        predict_folder(bundle, new_folder(tmp_path / "wide", {"face": 7, "voice": 6}))
    with pytest.raises(DataError, match=r"has the encoders body, but the models read face, voice"):
        predict_folder(bundle, new_folder(tmp_path / "others", {"body": 4}))
    anonymous = new_folder(tmp_path / "anonymous", {"face": 5}, spoil=lambda r: [row.update(video_id="") for row in r])
    with pytest.raises(DataError, match=r"video_id: empty for .*fill it in"):
        predict_folder(bundle, anonymous)
    with pytest.raises(DataError, match="is not a folder"):
        predict_folder(bundle, tmp_path / "nowhere")
    with pytest.raises(SubmissionError, match="no such bundle"):
        predict_folder(tmp_path / "nothing.zip", dataset.path)


def test_the_clips_it_was_trained_on_are_refused(tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "no-target", make_rows(n_target_actors=0)))
    bundle, _ = export_trained(tmp_path, dataset, configure(data__target_actors="unknown"))
    with pytest.raises(DataError, match="those that the models were trained on"):
        predict_folder(bundle, dataset.path)


def test_predicts_without_ray_mlflow_and_optuna(bundle: Path, dataset: Dataset, tmp_path: Path) -> None:
    block = "import sys\nfor name in ('ray', 'mlflow', 'optuna'): sys.modules[name] = None\n"
    code = f"{block}from rfe.cli import main\nmain()"
    words = ["predict", str(bundle), "--data", str(dataset.path), "-o", str(tmp_path / "answers"), "--json"]
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with open_bundle(bundle) as folder:
        assert (tmp_path / "answers/predictions.csv").read_bytes() == (folder / "predictions.csv").read_bytes()
        own = read_submission(folder / "submission.zip")
    assert read_submission(tmp_path / "answers/submission.zip") == own
