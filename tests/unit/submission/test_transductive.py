"""A bundle that answers all clips of an actor together says so everywhere, and refuses what it cannot answer."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.data.caveats import TRANSDUCTIVE
from rfe.data.dataset import Dataset, load_dataset
from rfe.decoding.design import match_design
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.prediction import MatchedDecoder
from rfe.ensemble.selection import Selection
from rfe.ensemble.stored import read_ensemble, write_ensemble
from rfe.errors import DataError, SubmissionError
from rfe.progress import SilentProgress
from rfe.submission.clips import NewClips
from rfe.submission.export import export_ensemble, export_study
from rfe.submission.member import run_member
from rfe.submission.predictor import Predictor
from rfe.submission.pyfunc import clips_of_table, example_table
from rfe.submission.table import predictions_csv
from rfe.submission.use import predict_folder
from rfe.submission.verification import read_manifest
from rfe.task import BLEMORE
from rfe.workspace import Workspace
from tests.unit.data.folders import Row, make_folder
from tests.unit.ensemble.studies import make_artifacts, make_outputs, make_trial, write_study
from tests.unit.submission.bundles import configure, export_trained
from tests.unit.submission.test_predictor import new_folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(make_folder(tmp_path_factory.mktemp("data") / "planned"))


@pytest.fixture(scope="module")
def bundle(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Standardised by fold: actors are needed by the decoder alone."""
    config = configure(decode__design="actor", data__target_actors="known", data__standardize="fold")
    return export_trained(tmp_path_factory.mktemp("bundle"), dataset, config)[0]


def new_clips(folder: Path, clips_per_actor: int, actor: str | None = None) -> Path:
    return new_folder(folder, {"face": 5, "voice": 6}, clips_per_actor, actor=actor)


def test_card_manifest_and_answers_say_transductive(bundle: Path, dataset: Dataset) -> None:
    manifest = json.loads((bundle / "MANIFEST.json").read_text())
    assert manifest["transductive"] is True
    assert TRANSDUCTIVE in manifest["data"]["caveats"]
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "## Scores (transductive)" in card
    assert "**Transductive**: all clips of an actor are answered together" in card
    answered = predict_folder(bundle, dataset.path)
    assert predictions_csv(BLEMORE, answered.prediction) == (bundle / "predictions.csv").read_text()
    assert answered.prediction.notes[0].startswith("transductive: the clips of each of 2 actors were answered together")
    assert TRANSDUCTIVE in answered.caveats


def test_new_clips_are_matched_actor_by_actor(bundle: Path, tmp_path: Path) -> None:
    clips = NewClips.of_dataset(load_dataset(new_clips(tmp_path / "new", 6), need_source=False))
    predictor = Predictor(bundle, read_manifest(bundle))
    decoder = predictor._decoder
    assert isinstance(decoder, MatchedDecoder)
    assert decoder.design.sum() == 6
    states = decoder.ensemble.states([run_member(predictor._members[0], predictor.dims, BLEMORE, clips)])
    matched = match_design(states, clips.actor, decoder.design[None])
    found = predictor.predict(clips).probabilities
    np.testing.assert_allclose(found, matched @ BLEMORE.state_salience, rtol=1e-6)


def test_clips_without_person_or_without_their_set_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"video_id: empty for .*the bundle is transductive: .*; fill it in"):
        predict_folder(bundle, new_clips(tmp_path / "nobody", 6, actor=""))
    with pytest.raises(
        DataError,
        match=r"the actor of T0_clip0 has 2 clips, where a training actor has 6 \(2 of 2 actors are so\), but .*; give "
        "all of their clips, or a bundle without the design decoder",
    ):
        predict_folder(bundle, new_clips(tmp_path / "some", 2))


def test_the_example_of_a_registered_model_is_an_actors_whole_set(bundle: Path) -> None:
    """MLflow answers it when the model is logged: two clips would be refused."""
    predictor = Predictor(bundle, read_manifest(bundle))
    table = example_table(predictor)
    assert len(table) == predictor.set_size == 6
    assert (predictor.predict(clips_of_table(table, predictor.pool)).state >= 0).all()


def test_a_target_without_actors_cannot_be_handed_in_with_it(tmp_path: Path) -> None:
    def hide_target(rows: list[Row]) -> None:
        for row in rows:
            row["video_id"] = row["video_id"] if row["split"] == "train" else ""

    dataset = load_dataset(make_folder(tmp_path / "hidden", spoil=hide_target))
    config = configure(decode__design="actor", data__standardize="fold")
    plain = configure(data__standardize="fold")
    artifacts = make_artifacts(config, make_outputs(dataset))
    trial = make_trial(dataset, 0, 0.4, plain, artifacts=artifacts)  # its weights; the configuration is in the files
    workspace = Workspace(tmp_path / "work", "sqlite:///none.db", tmp_path / "cache")
    trial = trial.__class__(**{**vars(trial), "config": {**trial.config, "decode.design": "actor"}})
    write_study(workspace.study("fusion-v1"), dataset, trial)
    with pytest.raises(
        SubmissionError, match=r"trial 0: decode.design: actor: .* target clips of .* carry no video_id"
    ):
        export_study(workspace, "fusion-v1", dataset)


def test_an_ensemble_by_design_becomes_a_bundle_that_says_so(dataset: Dataset, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work", "sqlite:///none.db", tmp_path / "cache")
    folder = write_study(workspace.study("fusion-v1"), dataset, *(make_trial(dataset, n, 0.4 - n / 50) for n in (0, 1)))
    how = Selection(method="top_k", members=2, decoding="design")
    about = {"path": str(dataset.path), "encoders": None, "fingerprint": dataset.fingerprint}
    write_ensemble(workspace, "final", build_ensemble([folder], dataset, how, SilentProgress()), about)
    stored = read_ensemble(workspace, "final")
    assert stored.decoding == "design"
    bundle = export_ensemble(workspace, stored, dataset)
    manifest = json.loads((bundle / "MANIFEST.json").read_text())
    assert (manifest["transductive"], manifest["decoding"]) == (True, "design")
    assert json.loads((bundle / "decoder.json").read_text())["kind"] == "design"
    assert predict_folder(bundle, dataset.path).prediction.notes[0].startswith("transductive")
    clips = dataset.clips
    hidden = replace(dataset, clips=replace(clips, actor=np.where(clips.fold < 0, -1, clips.actor)))
    with pytest.raises(SubmissionError, match=r"ensemble 'final': --decode design: .* carry no video_id"):
        export_ensemble(workspace, stored, hidden)


def test_a_bundle_that_is_not_does_not_say_so(dataset: Dataset, tmp_path: Path) -> None:
    bundle, _ = export_trained(tmp_path, dataset, configure())
    assert json.loads((bundle / "MANIFEST.json").read_text())["transductive"] is False
    assert "ransductive" not in (bundle / "MODEL_CARD.md").read_text()
