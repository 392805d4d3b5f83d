"""`rfe export`, `verify` and `predict`, as typed."""

import json
from pathlib import Path

import pytest

from rfe.data.dataset import Dataset, load_dataset
from tests.unit.cli.invoke import invoke
from tests.unit.data.folders import make_folder
from tests.unit.submission.bundles import configure, export_trained


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(make_folder(tmp_path_factory.mktemp("data") / "made-up"))


@pytest.fixture(scope="module")
def bundle(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return export_trained(folder, dataset, configure(), output=folder / "bundle")[0]


def test_final_models_in_an_archive_that_predicts(bundle: Path, dataset: Dataset, tmp_path: Path) -> None:
    work, archive, data = str(bundle.parent / "work"), str(tmp_path / "final.zip"), str(dataset.path)
    told = invoke("export", "fusion-v1", "-d", data, "--workspace", work, "--models", "final", "-o", archive, "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert (found["manifest"]["models"], found["registered"]) == ("final", None)
    assert "whole" in invoke("verify", archive, "--data", data).output
    told = invoke("predict", archive, "--data", data, "-o", str(tmp_path / "answers.csv"))
    assert told.exit_code == 0, told.output
    assert "12 clips answered" in told.output
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 13
    told = invoke("predict", archive, "--data", data, "-o", str(tmp_path / "answers"), "--json")
    assert [Path(path).name for path in json.loads(told.stdout)["files"]] == [
        "predictions.csv",
        "submission.json",
        "submission.zip",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--models", "best"], "known are final, folds"),
        (["--models", "folds", "--seeds", "3"], "the fold models have the seeds they were trained with"),
        (["--model-name", "blends"], "add --register"),
    ],
)
def test_options_that_do_not_fit(words: list[str], sentence: str, bundle: Path, dataset: Dataset) -> None:
    work = str(bundle.parent / "work")
    told = invoke("export", "fusion-v1", "--data", str(dataset.path), "--workspace", work, *words)
    assert told.exit_code == 2
    assert sentence in " ".join(told.output.split())


def test_predicting_with_what_is_no_bundle(dataset: Dataset, tmp_path: Path) -> None:
    told = invoke("predict", str(tmp_path / "nothing"), "--data", str(dataset.path))
    assert told.exit_code == 2
    assert "no such bundle" in " ".join(told.output.split())
