"""Bundles of other tasks than BlEmoRE's: exported, verified, used and scored; other data refused, older ones read."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.data.simulate import SimulationSpec, default_clips_per_actor, simulate
from rfe.data.task import write_task
from rfe.errors import DataError, SubmissionError
from rfe.submission.form import bundle_task
from rfe.submission.scoring import score_file
from rfe.submission.use import predict_folder, write_files
from rfe.submission.verification import MANIFEST, verify_bundle
from rfe.task import BLEMORE, Task
from tests.tasks import COMPOUND, EIGHT, OTHERS
from tests.unit.data.folders import make_folder
from tests.unit.submission.bundles import configure, export_trained


def data_of(task: Task, folder: Path) -> Dataset:
    size = min(default_clips_per_actor(task), 12)
    return load_dataset(simulate(SimulationSpec(actors=5, test_actors=1, clips_per_actor=size, task=task), folder))


@pytest.mark.parametrize("task", OTHERS, ids=lambda task: task.name)
def test_a_bundle_of_any_task_answers_in_its_own_classes(task: Task, tmp_path: Path) -> None:
    dataset = data_of(task, tmp_path / "data")
    bundle, _ = export_trained(tmp_path, dataset, configure())
    manifest = verify_bundle(bundle, dataset.clips.filename[dataset.clips.target].tolist())
    assert bundle_task(manifest, MANIFEST) == task
    assert (bundle / "submission.csv").is_file()
    assert not (bundle / "submission.zip").exists()
    assert task.name in (bundle / "MODEL_CARD.md").read_text()
    answered = predict_folder(bundle, dataset.path)
    assert answered.task == task
    files = write_files(answered, tmp_path / "answers")
    assert [path.name for path in files] == ["predictions.csv", "submission.csv"]
    assert all(path.read_bytes() == (bundle / path.name).read_bytes() for path in files)
    with files[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class_1"] for row in rows} <= set(task.classes)
    assert all(sum(float(row[f"p_{code}"]) for code in task.classes) == pytest.approx(1) for row in rows)
    assert task.state_possible[answered.prediction.state].all()
    found = score_file(files[1], dataset)  # the simulator knows the target's labels
    assert found.n_clips == dataset.clips.n_target
    assert 0 <= found.ratings[0].intervals["acc_presence"].estimate <= 1


@pytest.fixture(scope="module")
def compound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    folder = tmp_path_factory.mktemp("compound")
    dataset = data_of(COMPOUND, folder / "data")
    return export_trained(folder, dataset, configure())[0], dataset


def test_data_of_another_task_are_refused(compound: tuple[Path, Dataset], tmp_path: Path) -> None:
    bundle, dataset = compound
    other = tmp_path / "other"
    shutil.copytree(dataset.path, other)
    write_task(other / "task.yaml", EIGHT)
    sentence = "labels of task 'eight', but the models answer those of 'compound' .*; give data of that task"
    with pytest.raises(DataError, match=sentence):
        predict_folder(bundle, other)
    (other / "task.yaml").unlink()  # labels without a task are BlEmoRE's
    with pytest.raises(DataError, match="labels of task 'blemore'"):
        predict_folder(bundle, other)
    renamed = replace(COMPOUND, name="mine", metric="macro_f1", submission="blemore")
    write_task(other / "task.yaml", renamed)
    assert predict_folder(bundle, other).task == COMPOUND


def test_clips_without_labels_need_no_task(compound: tuple[Path, Dataset], tmp_path: Path) -> None:
    bundle, dataset = compound
    other = tmp_path / "other"
    shutil.copytree(dataset.path, other, ignore=shutil.ignore_patterns("task.yaml", "truth.json"))
    with (other / "metadata.csv").open(newline="") as file:
        clips = [row for row in csv.DictReader(file) if row["split"] == "test"]
    with (other / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["filename", "video_id"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(clips)
    again, first = predict_folder(bundle, other), predict_folder(bundle, dataset.path)
    assert again.prediction.state.tolist() == first.prediction.state.tolist()


def test_a_submission_of_another_form_is_refused(compound: tuple[Path, Dataset]) -> None:
    bundle, dataset = compound
    (bundle.parent / "answer.zip").write_bytes(b"PK")
    with pytest.raises(SubmissionError, match=r"is no \.csv, but answers of the task 'compound'"):
        score_file(bundle.parent / "answer.zip", dataset)


def test_probabilities_are_scored_where_two_thresholds_can_tell_the_ratios(tmp_path: Path) -> None:
    dataset = data_of(EIGHT, tmp_path / "data")
    clips = dataset.clips
    probabilities = EIGHT.state_salience[clips.state[clips.source]]
    np.savez(tmp_path / "p.npz", probabilities=probabilities, filenames=clips.filename[clips.source])
    with pytest.raises(SubmissionError, match=r"cannot tell the ratios of task 'eight' apart .*; score its"):
        score_file(tmp_path / "p.npz", dataset)


def test_a_manifest_without_or_with_a_wrong_task_is_refused() -> None:
    with pytest.raises(SubmissionError, match="'task' must say which labels"):
        bundle_task({"format_version": 4}, MANIFEST)
    for wrong, sentence in (
        ({"name": "x", "classes": ["a"]}, "MANIFEST.json: task: classes: there are 1; a task has 2 to 64"),
        ({"name": "x", "classes": ["a", "b"], "blends": [["a", "b", "a"]]}, "has 3 classes"),
        ([], "'task' must say"),
    ):
        with pytest.raises(SubmissionError, match=sentence):
            bundle_task({"format_version": 4, "task": wrong}, MANIFEST)


def test_a_bundle_of_the_format_before_is_blemores(tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "data"))
    bundle, _ = export_trained(tmp_path, dataset, configure())
    before = predict_folder(bundle, dataset.path).prediction
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["task"]
    (bundle / MANIFEST).write_text(json.dumps(manifest | {"format_version": 3}))
    assert bundle_task(verify_bundle(bundle), MANIFEST) == BLEMORE
    after = predict_folder(bundle, dataset.path)
    assert after.task == BLEMORE
    assert after.prediction.state.tolist() == before.state.tolist()
