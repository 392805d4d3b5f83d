"""A study becomes a bundle that verifies, says what it is, and is refused where it would promise too much."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from rfe.config.load import change_config, load_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.candidates import Candidate
from rfe.ensemble.selection import Member, Selection
from rfe.ensemble.stored import read_ensemble, record_run, write_ensemble
from rfe.errors import StudyError, SubmissionError
from rfe.progress import SilentProgress
from rfe.submission.export import export_ensemble, export_study
from rfe.submission.models import describe_training
from rfe.submission.reading import read_submission
from rfe.submission.verification import verify_bundle
from rfe.training.record import TrialResult
from rfe.workspace import Workspace
from rfe.writing import write_json
from tests.unit.data.folders import make_folder, make_rows
from tests.unit.ensemble.studies import (
    CONFIG,
    make_artifacts,
    make_confirmation,
    make_outputs,
    make_trial,
    make_weights,
    write_study,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work", "sqlite:///none.db", tmp_path / "cache")


def test_the_bundle_of_the_best_trial(workspace: Workspace, dataset: Dataset) -> None:
    folder = write_study(
        workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3), make_trial(dataset, 1, 0.4)
    )
    write_json(folder.mlflow_runs, {"trial_run_ids": {"1": "run-of-trial-1"}})
    bundle = export_study(workspace, "fusion-v1", dataset)
    assert bundle == workspace.root / "bundles" / "fusion-v1-trial-1"
    manifest = verify_bundle(bundle, dataset.clips.filename[dataset.clips.target].tolist())
    assert manifest["trial"] == 1
    assert manifest["members"][0]["mlflow_run_id"] == "run-of-trial-1"
    assert manifest["members"][0]["git_commit"] == "abc123"
    assert manifest["data"]["fingerprint"] == dataset.fingerprint
    assert manifest["data"]["target_actors"] == ["known"]
    assert {name: manifest["scores"][name] for name in ("score", "score_best", "score_selected")} == {
        "score": 0.4,
        "score_best": 0.5,
        "score_selected": 0.4,
    }
    for part in ("score", "acc_presence", "acc_salience"):
        low, value, high = (manifest["scores"][f"{part}_crossfit{ending}"] for ending in ("_low", "", "_high"))
        assert low <= value <= high
    assert manifest["models"] == "folds"
    assert "no model was trained on all labelled clips" in manifest["answered_by"]
    assert manifest["versions"]["numpy"] == np.__version__
    assert load_config(bundle / "config.yaml") == CONFIG
    assert {path.relative_to(bundle).as_posix() for path in bundle.rglob("*.safetensors")} == {
        *(f"members/fusion-v1-1/weights/fold{fold}.safetensors" for fold in range(3)),
        *(
            f"members/fusion-v1-1/preprocessing/fold{fold}/{encoder}.safetensors"
            for fold in range(3)
            for encoder in ("face", "voice")
        ),
    }
    np.testing.assert_array_equal(
        load_file(bundle / "members/fusion-v1-1/weights/fold2.safetensors")["seed0.presence.weight"],
        make_weights(dataset)["fold2.seed0.presence.weight"],
    )
    assert load_file(bundle / "members/fusion-v1-1/preprocessing/fold0/voice.safetensors")["mean"].shape == (6,)
    assert set(read_submission(bundle / "submission.zip")) == {
        f"{name}.mov" for name in dataset.clips.filename[dataset.clips.target]
    }
    readme = (bundle / "MODEL_CARD.md").read_text()
    for part in ("## Protocol", "## Caveats", "## Intended use", "## Out of scope", "no model was trained on all"):
        assert part in readme
    assert "score_selected" in readme


def test_a_confirmed_trial_is_exported_with_its_fresh_models(workspace: Workspace, dataset: Dataset) -> None:
    write_study(
        workspace.study("fusion-v1"),
        dataset,
        make_trial(dataset, 0, 0.3),
        make_trial(dataset, 1, 0.4),
        make_confirmation(dataset, 0, (0.2, 0.25)),
    )
    bundle = export_study(workspace, "fusion-v1", dataset)
    manifest = verify_bundle(bundle)
    assert (manifest["trial"], manifest["members"][0]["seeds"]) == (0, [100, 101])
    assert manifest["scores"]["score_confirmed"] == pytest.approx(0.225)
    tensors = load_file(bundle / "members/fusion-v1-0/weights/fold1.safetensors")
    assert {name.split(".")[0] for name in tensors} == {"seed100", "seed101"}
    assert load_config(bundle / "config.yaml").train.seed == 100


def test_exporting_again_gives_the_same_answer_and_replaces(workspace: Workspace, dataset: Dataset) -> None:
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3))
    answers = [export_study(workspace, "fusion-v1", dataset).joinpath("submission.zip").read_bytes() for _ in "ab"]
    assert answers[0] == answers[1]
    assert [path.name for path in (workspace.root / "bundles").iterdir()] == ["fusion-v1-trial-0"]


def test_without_target_clips_there_is_no_submission(workspace: Workspace, tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "no-target", make_rows(n_target_actors=0)))
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3))
    bundle = export_study(workspace, "fusion-v1", dataset)
    manifest = verify_bundle(bundle)
    assert manifest["submission"] is None
    assert not list(bundle.glob("submission*"))
    assert "holds no submission" in manifest["no_submission"]
    assert "holds no submission" in (bundle / "MODEL_CARD.md").read_text()


def test_simulated_data_says_so(workspace: Workspace, dataset: Dataset) -> None:
    simulated = replace(dataset, simulated=True, caveats=("simulated data: not real",))
    write_study(workspace.study("fusion-v1"), simulated, make_trial(dataset, 0, 0.3))
    bundle = export_study(workspace, "fusion-v1", simulated)
    assert verify_bundle(bundle)["data"]["simulated"] is True
    assert "> simulated data: not real" in (bundle / "MODEL_CARD.md").read_text()


def test_weights_that_were_not_kept_are_trained_again(workspace: Workspace, dataset: Dataset) -> None:
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3, weights=None))
    with pytest.raises(StudyError, match=r"weights were not kept.*--from fusion-v1 --trial 0"):
        export_study(workspace, "fusion-v1", dataset)
    asked: list[tuple[Config, Any]] = []

    def train(config: Config, folds: tuple[int, ...] | None) -> TrialResult:
        asked.append((config, folds))
        outputs: dict[str, Any] = make_outputs(dataset, seed=9)
        return TrialResult("id", "complete", weights=make_weights(dataset), **outputs)

    notes: list[str] = []
    bundle = export_study(workspace, "fusion-v1", dataset, train=train, note=notes.append)
    assert asked == [(CONFIG, None)]
    n_folds = len(dataset.clips.folds)
    assert notes == [
        f"first training {n_folds} models again (its fold models' outputs or weights were not kept), which may take "
        "minutes"
    ]
    assert "trained again" in verify_bundle(bundle)["members"][0]["source"]

    with pytest.raises(StudyError, match="failed: no memory"):
        export_study(workspace, "fusion-v1", dataset, train=lambda *_: TrialResult("id", "failed", "no memory"))


def test_final_models_are_trained_on_all_clips_with_the_seeds_of_the_outputs(
    workspace: Workspace, dataset: Dataset
) -> None:
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3))
    asked: list[tuple[int, Any]] = []

    def train(config: Config, folds: tuple[int, ...] | None) -> TrialResult:
        asked.append((config.train.seeds, folds))
        seeds = range(config.train.seed, config.train.seed + config.train.seeds)
        outputs: dict[str, Any] = {} if folds else make_outputs(dataset, len(seeds), seed=9)
        return TrialResult("id", "complete", weights=make_weights(dataset, seeds, folds=folds), **outputs)

    bundle = export_study(workspace, "fusion-v1", dataset, kind="final", train=train)
    manifest = verify_bundle(bundle, dataset.clips.filename[dataset.clips.target].tolist())
    assert asked == [(1, (-1,))]  # the decoder is fitted to the logged outputs of as many models
    assert (manifest["models"], manifest["members"][0]["folds"]) == ("final", [-1])
    assert "preview" not in (bundle / "MODEL_CARD.md").read_text().lower()
    assert "trained on all labelled clips" in manifest["answered_by"]
    names = {path.relative_to(bundle / "members/fusion-v1-0").as_posix() for path in bundle.rglob("*.safetensors")}
    assert names == {
        "weights/all.safetensors",
        "preprocessing/all/face.safetensors",
        "preprocessing/all/voice.safetensors",
    }
    asked.clear()
    more = export_study(workspace, "fusion-v1", dataset, kind="final", seeds=3, train=train)
    assert asked == [(3, None), (3, (-1,))]  # other outputs are needed for an average of three
    assert verify_bundle(more)["members"][0]["seeds"] == [0, 1, 2]
    with pytest.raises(StudyError, match="weights were not kept"):
        export_study(workspace, "fusion-v1", dataset, kind="final")


def test_what_is_trained_first_is_counted_and_timed() -> None:
    """Twelve members were trained again for minutes, without a word before."""

    def member(seconds: float = 60.0, seeds: int = 1, **kept: Any) -> Member:
        config = change_config(CONFIG, {"train.seeds": seeds})
        return Member(Candidate("s", 0, config, "id", 0.3, seconds=seconds, **kept), 0.5, 0.5)

    whole = {"outputs": Path("o"), "weights": Path("w")}
    assert describe_training([member(**whole)], "folds", None, 5) == ""
    said = describe_training([member(**whole), member(), member(outputs=Path("o"), seeds=2)], "folds", None, 5)
    assert said.startswith("first training 15 models again (the outputs or weights of 2 members' fold models")
    assert "about 2 min" in said
    final = describe_training([member(**whole), member(weights=Path("w"))], "final", None, 5)
    assert final.startswith("first training 5 models again (the outputs or weights of 1 member's")
    assert "and 2 models on all clips, about 84 s" in final
    assert "again" not in describe_training([member(outputs=Path("o"))], "final", None, 5)
    assert "15 models again" in describe_training([member(**whole)], "final", 3, 5)


def test_refuses_weights_that_lack_a_fold_or_are_broken(workspace: Workspace, dataset: Dataset) -> None:
    weights = {name: value for name, value in make_weights(dataset).items() if not name.startswith("fold1")}
    folder = write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3, weights=weights))
    with pytest.raises(StudyError, match="no weights of fold 1, seed 0"):
        export_study(workspace, "fusion-v1", dataset)
    (folder.trial(0) / "weights.safetensors").write_bytes(b"no tensors")
    with pytest.raises(StudyError, match="not a safetensors file"):
        export_study(workspace, "fusion-v1", dataset)


def test_refuses_other_data_and_the_official_protocol(workspace: Workspace, dataset: Dataset) -> None:
    official = change_config(CONFIG, {"protocol": "official", "decode.kind": "official"})
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3, official))
    with pytest.raises(SubmissionError, match="protocol: official"):
        export_study(workspace, "fusion-v1", dataset)
    with pytest.raises(StudyError, match="fingerprint"):
        export_study(workspace, "fusion-v1", replace(dataset, fingerprint="other"))


def test_actors_play_no_part_where_nothing_is_standardised_by_actor(workspace: Workspace, dataset: Dataset) -> None:
    config = change_config(CONFIG, {"data.standardize": {"voice": "actor"}, "pool": ["face"]})
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3, config))
    bundle = export_study(workspace, "fusion-v1", dataset)
    manifest = verify_bundle(bundle)
    assert manifest["data"]["target_actors"] == []
    assert manifest["pool"] == ["face"]
    assert not list(bundle.rglob("voice*"))
    assert "actors play no part" in (bundle / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("standardize", ["actor", {"face": "actor"}])
def test_refuses_a_crossfit_that_knew_more_than_the_target_tells(
    workspace: Workspace, dataset: Dataset, standardize: Any
) -> None:
    config = change_config(CONFIG, {"data.target_actors": "known", "data.standardize": standardize})
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3, config))
    export_study(workspace, "fusion-v1", dataset)
    anonymous = replace(dataset.clips, actor=np.where(dataset.clips.state < 0, -1, dataset.clips.actor))
    with pytest.raises(SubmissionError, match="promises more than the target can keep"):
        export_study(workspace, "fusion-v1", replace(dataset, clips=anonymous))


def test_outputs_that_are_not_finite_leave_no_bundle(workspace: Workspace, dataset: Dataset) -> None:
    weights = make_weights(dataset)
    weights["fold1.seed0.presence.bias"] = np.full(6, np.nan, np.float32)
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3, weights=weights))
    with pytest.raises(StudyError, match="12 target clips have outputs that are not finite"):
        export_study(workspace, "fusion-v1", dataset)
    assert not list((workspace.root / "bundles").iterdir())


def test_the_place_and_the_extension_are_options(workspace: Workspace, dataset: Dataset, tmp_path: Path) -> None:
    write_study(workspace.study("fusion-v1"), dataset, make_trial(dataset, 0, 0.3))
    bundle = export_study(workspace, "fusion-v1", dataset, trial=0, output=tmp_path / "mine", extension="")
    assert bundle == tmp_path / "mine"
    answers = json.loads((bundle / "submission.json").read_text())["predictions"]
    assert list(answers) == dataset.clips.filename[dataset.clips.target].tolist()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(SubmissionError, match="is no bundle"):
        export_study(workspace, "fusion-v1", dataset, output=tmp_path / "taken")
    assert (tmp_path / "taken" / "thesis.txt").exists()


def test_the_bundle_of_an_ensemble_holds_all_members(workspace: Workspace, dataset: Dataset) -> None:
    configs = [change_config(CONFIG, {"train.seed": number}) for number in range(3)]
    trials = [
        make_trial(
            dataset,
            number,
            0.3 + 0.01 * number,
            config,
            artifacts=make_artifacts(config, make_outputs(dataset, seed=number, noise=0.1, first_seed=number)),
            weights=make_weights(dataset, range(number, number + 1), config),
        )
        for number, config in enumerate(configs)
    ]
    folder = write_study(workspace.study("fusion-v1"), dataset, *trials)
    result = build_ensemble([folder], dataset, Selection(method="top_k", members=2), SilentProgress())
    about = {"path": str(dataset.path), "encoders": None, "fingerprint": dataset.fingerprint}
    write_ensemble(workspace, "final", result, about)
    record_run(workspace.root / "ensembles" / "final", "run-of-final")
    stored = read_ensemble(workspace, "final")
    bundle = export_ensemble(workspace, stored, dataset)
    assert bundle == workspace.root / "bundles" / "final"
    manifest = verify_bundle(bundle, dataset.clips.filename[dataset.clips.target].tolist())
    assert (manifest["ensemble"], manifest["mlflow_run_id"]) == ("final", "run-of-final")
    assert [member["weight"] for member in manifest["members"]] == [0.5, 0.5]
    numbers = {member["trial"] for member in manifest["members"]}
    assert {path.name for path in (bundle / "members").iterdir()} == {f"fusion-v1-{number}" for number in numbers}
    assert manifest["scores"]["score_nested_low"] <= manifest["scores"]["score_nested"]
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "score_nested" in card
    assert "of 2 configurations" in card
    assert json.loads((bundle / "decoder.json").read_text())["kind"] == "ensemble"
    # decoded by thresholds, the bundle answers with its own fused probabilities
    by_thresholds = build_ensemble(
        [folder], dataset, Selection(method="top_k", members=2, decoding="official"), SilentProgress()
    )
    write_ensemble(workspace, "by-thresholds", by_thresholds, about)
    other = export_ensemble(workspace, read_ensemble(workspace, "by-thresholds"), dataset)
    assert verify_bundle(other, dataset.clips.filename[dataset.clips.target].tolist())["decoding"] == "official"
    assert json.loads((other / "decoder.json").read_text())["kind"] == "averaged"
    # another ensemble does not take its place
    write_ensemble(workspace, "other", result, about)
    with pytest.raises(SubmissionError, match="holds the bundle of ensemble final"):
        export_ensemble(workspace, read_ensemble(workspace, "other"), dataset, output=bundle)
    assert {path.stat().st_mode & 0o777 for path in bundle.rglob("*") if path.is_file()} == {0o644}
