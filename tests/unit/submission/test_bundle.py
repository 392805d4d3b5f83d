"""A bundle is whole or absent; whatever is changed, dropped, added or smuggled in is refused with its own sentence."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from rfe.config.schema import Config
from rfe.errors import SubmissionError
from rfe.submission.bundle import seal, write_bundle
from rfe.submission.submission import write_submission
from rfe.submission.verification import MANIFEST, verify_bundle
from rfe.task import BLEMORE

MEMBER = "members/fusion-v1-4"
NAMES = ["test_0001", "test_0002", "test_0003"]
ABOUT: dict[str, Any] = {
    "study": "fusion-v1",
    "trial": 4,
    "task": BLEMORE.to_dict(),
    "members": [{"folder": "members/fusion-v1-4", "folds": [0, 1]}],
    "submission": {"clips": 3, "extension": ".mov"},
}


def fill(folder: Path, states: tuple[int, ...] = (0, 7, 5)) -> None:
    (folder / "MODEL_CARD.md").write_text("# A bundle\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(Config().model_dump(mode="json")))
    (folder / "decoder.json").write_text("{}")
    member = folder / MEMBER
    (member / "weights").mkdir(parents=True)
    (member / "config.yaml").write_text(yaml.safe_dump(Config().model_dump(mode="json")))
    (folder / "ensemble.yaml").write_text("members: []\n")
    for fold in (0, 1):
        save_file({"seed0.heads.weight": np.ones((2, 3), np.float32)}, member / f"weights/fold{fold}.safetensors")
    write_submission(BLEMORE, folder, NAMES, states)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    with write_bundle(tmp_path / "bundle", ABOUT) as folder:
        fill(folder)
    return tmp_path / "bundle"


def faults(bundle: Path, names: list[str] | None = None) -> str:
    with pytest.raises(SubmissionError) as error:
        verify_bundle(bundle, names)
    return str(error.value)


def test_a_whole_bundle_passes(bundle: Path) -> None:
    manifest = verify_bundle(bundle, NAMES)
    assert manifest["study"] == "fusion-v1"
    assert set(manifest["files"]) == {
        path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file() and path.name != MANIFEST
    }
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with write_bundle(tmp_path / "bundle", ABOUT) as folder:
            fill(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_verify_is_not_left(tmp_path: Path) -> None:
    def forget_a_fold() -> None:
        with write_bundle(tmp_path / "bundle", ABOUT) as folder:
            fill(folder)
            (folder / "members/fusion-v1-4/weights/fold1.safetensors").unlink()

    with pytest.raises(SubmissionError, match="fold1"):
        forget_a_fold()
    assert list(tmp_path.iterdir()) == []


def test_replaces_the_bundle_of_the_same_trial_only(bundle: Path) -> None:
    with write_bundle(bundle, ABOUT) as folder:
        fill(folder, (1, 7, 5))
    assert '"disg"' in (bundle / "submission.json").read_text()
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    with pytest.raises(SubmissionError, match="study fusion-v1, trial 4"), write_bundle(bundle, ABOUT | {"trial": 5}):
        pass
    (bundle / MANIFEST).unlink()
    with pytest.raises(SubmissionError, match="is no bundle"), write_bundle(bundle, ABOUT):
        pass


def test_flipped_byte(bundle: Path) -> None:
    path = bundle / "members/fusion-v1-4/weights/fold0.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert "members/fusion-v1-4/weights/fold0.safetensors: its content was changed" in faults(bundle)


def test_dropped_file(bundle: Path) -> None:
    (bundle / "decoder.json").unlink()
    assert "decoder.json: named in MANIFEST.json but not there" in faults(bundle)


def test_shortened_file(bundle: Path) -> None:
    path = bundle / "submission.zip"
    path.write_bytes(path.read_bytes()[:-5])
    assert "bytes, but MANIFEST.json says" in faults(bundle)


def test_added_file_and_added_link(bundle: Path) -> None:
    (bundle / "extra.json").write_text("{}")
    (bundle / "etc").symlink_to("/etc")
    text = faults(bundle)
    assert "extra.json: not in MANIFEST.json" in text
    assert "etc: not in MANIFEST.json" in text


def test_link_in_place_of_a_file(bundle: Path, tmp_path: Path) -> None:
    (bundle / "MODEL_CARD.md").rename(tmp_path / "elsewhere.md")
    (bundle / "MODEL_CARD.md").symlink_to(tmp_path / "elsewhere.md")
    assert "MODEL_CARD.md: is a link" in faults(bundle)


def test_link_in_place_of_a_folder(bundle: Path, tmp_path: Path) -> None:
    (bundle / MEMBER / "weights").rename(tmp_path / "elsewhere")
    (bundle / MEMBER / "weights").symlink_to(tmp_path / "elsewhere")
    assert "members/fusion-v1-4/weights/fold0.safetensors: is a link or lies behind one" in faults(bundle)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "weights/../../secret.json"])
def test_path_outside(bundle: Path, name: str) -> None:
    rewrite(bundle, lambda manifest: manifest["files"].update({name: {"sha256": "0", "bytes": 1}}))
    text = faults(bundle)
    assert "leads outside its folder" in text or "is absolute" in text


def test_other_version_and_no_manifest(bundle: Path) -> None:
    rewrite(bundle, lambda manifest: manifest.update(format_version=99))
    assert "format_version 99" in faults(bundle)
    (bundle / MANIFEST).write_text("{")
    assert "not JSON" in faults(bundle)
    (bundle / MANIFEST).write_text('{"format": "other"}')
    assert "not the manifest of a bundle" in faults(bundle)
    (bundle / MANIFEST).unlink()
    assert "no bundle" in faults(bundle)


@pytest.mark.parametrize("kind", ["pickle", "npz", "text"])
def test_no_safetensors_in_place_of_weights(bundle: Path, kind: str) -> None:
    npz = io.BytesIO()
    np.savez(npz, a=np.ones(3))
    content = {"pickle": pickle.dumps({"a": 1}), "npz": npz.getvalue(), "text": b"weights"}[kind]
    (bundle / "members/fusion-v1-4/weights/fold0.safetensors").write_bytes(content)
    seal(bundle, ABOUT)
    expected = "not a safetensors file" if kind == "text" else "loading it could run code"
    assert expected in faults(bundle)


def test_whole_weights_whose_first_byte_is_a_pickles(bundle: Path) -> None:
    """The file begins with its header's length, a multiple of 8: one in 32 ends in the byte that pickles begin with."""
    path = bundle / "members/fusion-v1-4/weights/fold0.safetensors"
    for n_letters in range(1, 300):
        save_file({"a" * n_letters: np.ones((2, 3), np.float32)}, path)
        if path.read_bytes()[:1] == b"\x80":
            break
    assert path.read_bytes()[:1] == b"\x80"
    seal(bundle, ABOUT)
    verify_bundle(bundle, NAMES)


def test_forbidden_kind_of_file(bundle: Path) -> None:
    (bundle / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    seal(bundle, ABOUT)
    assert "model.pkl: a bundle holds" in faults(bundle)


def test_a_configuration_that_train_would_refuse(bundle: Path) -> None:
    (bundle / "config.yaml").write_text("train: {epoch: 3}\n")
    seal(bundle, ABOUT)
    text = faults(bundle)
    assert "config.yaml" in text
    assert "epoch" in text


def test_a_submission_that_would_score_zero(bundle: Path) -> None:
    path = bundle / "submission.json"
    path.write_text(path.read_text().replace("100", "1.0"))
    seal(bundle, ABOUT)
    assert "fraction" in faults(bundle)


def test_a_submission_of_other_clips(bundle: Path) -> None:
    assert "no answer (1 of 4 target clips)" in faults(bundle, [*NAMES, "test_0004"])
    seal(bundle, ABOUT | {"submission": {"clips": 4, "extension": ".mov"}})
    assert "answers 3 clips, but the manifest says 4" in faults(bundle)


def test_two_forms_that_differ_or_are_not_both_there(bundle: Path, tmp_path: Path) -> None:
    other, _ = write_submission(BLEMORE, tmp_path / "other", NAMES, [1, 2, 3])
    (bundle / "submission.json").write_bytes(other.read_bytes())
    seal(bundle, ABOUT)
    assert "give different answers" in faults(bundle)
    (bundle / "submission.json").unlink()
    seal(bundle, ABOUT)
    assert "submission.json: missing" in faults(bundle)
    seal(bundle, ABOUT | {"submission": None})
    assert "submission.zip: the manifest says there is no submission" in faults(bundle)


def test_without_a_submission(tmp_path: Path) -> None:
    about = ABOUT | {"submission": None}
    with write_bundle(tmp_path / "bundle", about) as folder:
        fill(folder)
        (folder / "submission.json").unlink()
        (folder / "submission.zip").unlink()
    assert verify_bundle(tmp_path / "bundle")["submission"] is None


def rewrite(bundle: Path, change: Any) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    change(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest))
