"""Simulated sets of tasks other than BlEmoRE's: read again by the task.yaml that stands beside the metadata."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.data.check import check_folder
from rfe.data.dataset import load_dataset
from rfe.data.frames import clip_table
from rfe.data.simulate import SimulationSpec, default_clips_per_actor, simulate
from rfe.data.task import read_task, write_task
from rfe.errors import ConfigError, DataError
from rfe.task import BLEMORE, Task
from tests.tasks import COMPOUND, EIGHT, OTHERS, PAIRS_ONLY, PLAIN, WIDE_RATIOS
from tests.unit.cli.invoke import invoke


def spec_of(task: Task) -> SimulationSpec:
    size = min(default_clips_per_actor(task), 20)
    return SimulationSpec(actors=5, test_actors=2, clips_per_actor=size, task=task)


@pytest.mark.parametrize("task", [*OTHERS, WIDE_RATIOS], ids=lambda task: task.name)
def test_a_simulated_set_is_read_by_its_own_task(task: Task, tmp_path: Path) -> None:
    folder = simulate(spec_of(task), tmp_path / "sim")
    assert read_task(folder / "task.yaml") == task
    report = check_folder(folder)
    assert report.usable, report.problems
    assert report.to_dict()["task"] == task.to_dict()
    assert len(report.sets) == int(task.set_possible.sum())
    assert len(report.states) == int(task.state_possible.sum())
    clips = load_dataset(folder).clips
    assert clips.task == task
    assert len(set(clips.filename.tolist())) == len(clips)
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["clips"]["state"][: clips.n_source] == clips.state[: clips.n_source].tolist()
    answers = [task.state_index(label) for label in truth["test_labels"].values()]
    assert answers == truth["clips"]["state"][clips.n_source :]
    assert task.state_possible[clips.state[: clips.n_source]].all()


def test_saliences_are_written_only_where_they_are_asked(tmp_path: Path) -> None:
    folder = simulate(spec_of(PAIRS_ONLY), tmp_path / "sim")
    with (folder / "metadata.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert {row["emotion_1_salience"] for row in rows} == {""}
    assert all(row["emotion_2"] for row in rows)  # no class occurs alone
    without = [{name: row[name] for name in row if not name.endswith("_salience")} for row in rows]
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(without[0]))
        writer.writeheader()
        writer.writerows(without)
    assert load_dataset(folder).clips.n_source == len(rows)


@pytest.mark.parametrize("task", [COMPOUND, EIGHT, PLAIN], ids=lambda task: task.name)
def test_the_oracle_does_better_than_chance_and_not_perfectly(task: Task, tmp_path: Path) -> None:
    spec = SimulationSpec(actors=6, test_actors=6, clips_per_actor=min(default_clips_per_actor(task), 54), task=task)
    truth = json.loads((simulate(spec, tmp_path / "sim") / "truth.json").read_text())
    scores = truth["oracle"]["train"]
    assert 2 / task.n_sets < scores["acc_presence"] <= 1
    assert (scores["acc_salience"] is None) == (not task.has_ratios)
    assert scores["score"] is not None


def test_equal_specs_give_equal_files_and_another_task_others(tmp_path: Path) -> None:
    first, again = (simulate(spec_of(EIGHT), tmp_path / name) for name in ("first", "again"))
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    assert simulate(spec_of(EIGHT), first) == first
    with pytest.raises(ConfigError, match="holds another simulated data set"):
        simulate(replace(spec_of(EIGHT), task=replace(EIGHT, metric="salience_mae")), first)


def test_clips_of_an_actor_are_bounded_by_the_tasks_cells(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clips_per_actor: 54 is impossible; use 2 to 6"):
        simulate(SimulationSpec(task=PAIRS_ONLY), tmp_path / "sim")


def test_the_command_takes_a_task(tmp_path: Path) -> None:
    write_task(tmp_path / "mine.yaml", PLAIN)
    options = ("--task", tmp_path / "mine.yaml", "--actors", 5, "--test-actors", 1)
    ended = invoke("data", "simulate", "-o", tmp_path / "sim", *options)
    assert ended.exit_code == 0, ended.stderr
    shown = invoke("data", "check", tmp_path / "sim").stdout
    assert "task plain: 4 classes (no, low, mid, high); no blends; metric accuracy, submission csv" in " ".join(
        shown.split()
    )
    assert "80 training clips of 5 actors" in shown
    (tmp_path / "mine.yaml").write_text("{name: x, classes: [a]}")
    ended = invoke("data", "simulate", "-o", tmp_path / "other", *options)
    assert ended.exit_code == 2
    assert "mine.yaml: classes: there are 1; a task has 2 to 64" in " ".join(ended.stderr.split())
    assert not (tmp_path / "other").exists()


def test_a_label_of_another_task_is_refused_by_name(tmp_path: Path) -> None:
    folder = simulate(spec_of(PLAIN), tmp_path / "sim")
    text = (folder / "metadata.csv").read_text()
    (folder / "metadata.csv").write_text(text.replace(",low,", ",joy,"))
    with pytest.raises(DataError, match="unknown class 'joy'; this task has no, low, mid, high"):
        load_dataset(folder)
    (folder / "metadata.csv").write_text(text)
    (folder / "task.yaml").unlink()
    with pytest.raises(DataError, match=r"unknown class '(no|low)'; this task has ang, disg, fea, hap, sad, neu"):
        load_dataset(folder)
    (folder / "task.yaml").write_text("{name: x, classes: [low, mid, high], metric: f2}")
    report = check_folder(folder)
    assert report.task is None
    assert report.problems[0].startswith("task.yaml: metric: 'f2' is unknown; use")


def test_a_fingerprint_tells_tasks_apart_but_not_their_names(tmp_path: Path) -> None:
    folder = simulate(spec_of(EIGHT), tmp_path / "sim")
    prints = []
    for task in (EIGHT, replace(EIGHT, name="other", submission="blemore"), replace(EIGHT, metric="accuracy")):
        write_task(folder / "task.yaml", task)
        prints.append(load_dataset(folder).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_a_blemore_folder_has_no_task_file_and_its_own_in_words_changes_nothing(tmp_path: Path) -> None:
    folder = simulate(spec_of(BLEMORE), tmp_path / "sim")
    assert not (folder / "task.yaml").exists()
    before = load_dataset(folder).fingerprint
    write_task(folder / "task.yaml", BLEMORE)
    assert load_dataset(folder).fingerprint == before


def test_blends_are_needed_where_the_metric_compares_saliences(tmp_path: Path) -> None:
    folder = simulate(spec_of(EIGHT), tmp_path / "sim")
    with (folder / "metadata.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["emotion_2"] == ""]
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(DataError, match="no training clip is a blend, so ACC_salience and Score are not defined"):
        load_dataset(folder)
    write_task(folder / "task.yaml", replace(EIGHT, metric="accuracy"))
    assert np.all(load_dataset(folder).clips.state < EIGHT.n_classes)


def test_the_clip_table_has_a_column_for_each_class(tmp_path: Path) -> None:
    folder = simulate(spec_of(PAIRS_ONLY), tmp_path / "sim")
    table = clip_table(load_dataset(folder))
    assert set(PAIRS_ONLY.classes) <= set(table.columns)
    assert set(table.loc[table["split"] == "train", list(PAIRS_ONLY.classes)].sum(axis=1)) == {100}
