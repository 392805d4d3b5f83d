"""`rfe export`, `verify` and `predict`, as typed."""

import errno
import json
import re
from pathlib import Path

import pytest

from rfe.data.dataset import Dataset
from tests.unit.cli.invoke import invoke
from tests.unit.submission.bundles import configure, export_trained
from tests.unit.submission.test_signing import write_keys


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


def test_places_that_answers_do_not_go_to(bundle: Path, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place, sentence in (
        (tmp_path / "file", "it is a file; name another folder"),
        (tmp_path / "file" / "deeper", "is a file; name another folder"),
        (dataset.path, "is a data folder; name another one"),
    ):
        told = invoke("predict", bundle, "--data", dataset.path, "-o", place)
        assert told.exit_code == 2
        assert sentence in " ".join(told.output.split())
    assert (tmp_path / "file").read_text() == "mine"


def test_answers_are_written_together_or_not_at_all(
    bundle: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    monkeypatch.setattr("rfe.submission.json_form.write_submission", fill_the_disk)
    assert invoke("predict", bundle, "--data", dataset.path, "-o", tmp_path / "answers").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_submission_is_no_bundle_and_a_tar_no_archive(bundle: Path, dataset: Dataset, tmp_path: Path) -> None:
    told = invoke("predict", bundle / "submission.zip", "--data", dataset.path)
    assert told.exit_code == 2
    assert "submission.zip: no bundle, MANIFEST.json is not in it" in " ".join(told.output.split())
    work = ("--data", dataset.path, "--workspace", bundle.parent / "work")
    told = invoke("export", "fusion-v1", *work, "-o", tmp_path / "b.tar")
    assert told.exit_code == 2
    assert "an archive NAME.zip" in " ".join(told.output.split())


def test_a_manifest_is_printed_for_people(bundle: Path) -> None:
    told = invoke("verify", bundle)
    assert "members" in told.output
    assert re.search(r"members +fusion-v1 \d", told.output)
    assert "{" not in told.output


def test_a_signed_export_is_verified_and_a_later_one_without_key_leaves_no_old_signature(
    bundle: Path, dataset: Dataset, tmp_path: Path
) -> None:
    pytest.importorskip("model_signing", reason="the extra `sign` is not installed")
    private, public = write_keys(tmp_path)
    path, work = str(tmp_path / "signed.zip"), str(bundle.parent / "work")
    words = ("export", "fusion-v1", "-d", str(dataset.path), "--workspace", work, "-o", path)
    told = invoke(*words, "--sign", str(tmp_path / "absent.pem"))
    assert (told.exit_code, list(tmp_path.glob("signed*"))) == (2, [])
    assert "--sign" in told.stderr
    assert invoke(*words, "--sign", str(private)).exit_code == 0
    told = invoke("verify", path, "--key", str(public))
    assert told.exit_code == 0, told.output
    assert f"signed by {public}" in told.output
    assert invoke(*words).exit_code == 0
    told = invoke("verify", path, "--key", str(public))
    assert (told.exit_code, "is not signed" in told.stderr) == (2, True)
