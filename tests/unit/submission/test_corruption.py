"""Ten ways to spoil a bundle: each is refused, by verify and by predict, with a sentence of its own."""

import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rfe import api
from rfe.data.dataset import Dataset
from rfe.errors import SubmissionError
from rfe.submission.archive import open_bundle, pack
from rfe.submission.bundle import seal
from rfe.submission.layout import MANIFEST
from tests.unit.submission.bundles import configure, export_trained

WEIGHTS = "members/fusion-v1-0/weights/fold1.safetensors"


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return export_trained(folder, dataset, configure(), output=folder / "bundle")[0]


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def flip_a_byte(bundle: Path) -> None:
    raw = bytearray((bundle / WEIGHTS).read_bytes())
    raw[len(raw) // 2] ^= 1
    (bundle / WEIGHTS).write_bytes(raw)


def cut_a_file_short(bundle: Path) -> None:
    (bundle / WEIGHTS).write_bytes((bundle / WEIGHTS).read_bytes()[:-7])


def drop_a_file(bundle: Path) -> None:
    (bundle / WEIGHTS).unlink()


def drop_a_member(bundle: Path) -> None:
    shutil.rmtree(bundle / "members/fusion-v1-0/weights")
    reseal(bundle)


def another_version(bundle: Path) -> None:
    rewrite(bundle, lambda text: text.replace('"format_version": 4', '"format_version": 7'))


def a_path_outside(bundle: Path) -> None:
    (bundle.parent / "secret.json").write_text("{}")
    rewrite(bundle, lambda text: text.replace('"config.yaml": {', '"../secret.json": {', 1))


def a_pickle_for_weights(bundle: Path) -> None:
    (bundle / WEIGHTS).write_bytes(pickle.dumps({"seed0.presence.weight": [1.0]}))
    reseal(bundle)


def a_link_for_a_file(bundle: Path) -> None:
    (bundle / "decoder.json").rename(bundle.parent / "elsewhere.json")
    (bundle / "decoder.json").symlink_to(bundle.parent / "elsewhere.json")


def a_file_too_many(bundle: Path) -> None:
    (bundle / "setup.json").write_text("{}")


def a_program(bundle: Path) -> None:
    (bundle / "model.py").write_text("print('hello')\n")
    reseal(bundle)


def other_answers(bundle: Path) -> None:
    path = bundle / "submission.json"
    predictions = json.loads(path.read_text())["predictions"]
    predictions[next(iter(predictions))] = [{"emotion": "neu", "salience": 1.0}]
    path.write_text(json.dumps({"predictions": predictions}))
    reseal(bundle)


def no_manifest(bundle: Path) -> None:
    (bundle / MANIFEST).unlink()


def a_configuration_nobody_knows(bundle: Path) -> None:
    (bundle / "members/fusion-v1-0/config.yaml").write_text("train: {epoch: 3}\n")
    reseal(bundle)


def reseal(bundle: Path) -> None:
    """As someone would who means it: with hashes that are right again."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    seal(bundle, {name: value for name, value in manifest.items() if name != "files"})


def rewrite(bundle: Path, change: Callable[[str], str]) -> None:
    before = (bundle / MANIFEST).read_text()
    (bundle / MANIFEST).write_text(change(before))
    assert (bundle / MANIFEST).read_text() != before


CASES: dict[Callable[[Path], None], str] = {
    flip_a_byte: f"{WEIGHTS}: its content was changed",
    cut_a_file_short: f"{WEIGHTS}: .* bytes, but MANIFEST.json says",
    drop_a_file: f"{WEIGHTS}: named in MANIFEST.json but not there",
    drop_a_member: f"{WEIGHTS}: missing; the manifest counts 3 files of weights",
    another_version: "format_version 7, but this rfe reads versions 3 and 4",
    a_path_outside: r"'\.\./secret.json' leads outside its folder",
    a_pickle_for_weights: "a pickle or an archive in place of safetensors; loading it could run code",
    a_link_for_a_file: "decoder.json: is a link or lies behind one",
    a_file_too_many: "setup.json: not in MANIFEST.json; remove it",
    a_program: "model.py: a bundle holds .* files only",
    other_answers: "salience 1 is a fraction; write percents",
    no_manifest: "no bundle; a bundle is a folder with a MANIFEST.json",
    a_configuration_nobody_knows: "config.yaml.*epoch",
}


@pytest.mark.parametrize("spoil", CASES, ids=lambda case: case.__name__)
def test_refused_with_its_own_sentence(spoil: Callable[[Path], None], bundle: Path, dataset: Dataset) -> None:
    api.verify(bundle)
    spoil(bundle)
    for use in (lambda: api.verify(bundle), lambda: api.predict(bundle, dataset.path)):
        with pytest.raises(SubmissionError) as refused:
            use()
        assert refused.match(CASES[spoil])
        others = [text for case, text in CASES.items() if case is not spoil]
        assert not [text for text in others if re.search(text, str(refused.value))]


def test_weights_of_another_model_are_refused_by_predict(bundle: Path, dataset: Dataset) -> None:
    """Whole files that do not fit each other: verify cannot know, predict can."""
    tensors = load_file(bundle / WEIGHTS)
    tensors["seed0.presence.weight"] = np.zeros((3, 6), np.float32)
    save_file(tensors, bundle / WEIGHTS)
    reseal(bundle)
    with pytest.raises(
        SubmissionError, match=r"seed0.presence.weight has the shape \[3, 6\], but .* asks for \[8, 6\]"
    ):
        api.predict(bundle, dataset.path)


def test_equal_folders_give_equal_archives_that_hold_the_same(bundle: Path, dataset: Dataset) -> None:
    first, second = bundle.parent / "a.zip", bundle.parent / "b.zip"
    pack(bundle, first)
    (bundle / "config.yaml").touch()
    pack(bundle, second)
    assert first.read_bytes() == second.read_bytes()
    assert api.verify(first, dataset.path) == api.verify(bundle)
    with open_bundle(first) as folder:
        assert {path.relative_to(folder) for path in folder.rglob("*")} == {
            path.relative_to(bundle) for path in bundle.rglob("*")
        }


def escape(archive: zipfile.ZipFile) -> None:
    archive.writestr("../evil.json", "{}")


def link(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("members/link.json")
    member.external_attr = 0o120777 << 16
    archive.writestr(member, "/etc/passwd")


def repeat(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.yaml", "{}")


def bomb(archive: zipfile.ZipFile) -> None:
    archive.writestr("zeros.json", bytes(64 * 2**20), zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("add", "sentence"),
    [
        (escape, "leads outside its folder"),
        (link, "members/link.json is a link"),
        (repeat, "config.yaml is in it twice"),
        (bomb, "claim to unpack to"),
    ],
)
def test_archives_that_would_do_harm(
    add: Callable[[zipfile.ZipFile], None], sentence: str, bundle: Path, dataset: Dataset
) -> None:
    path = bundle.parent / "bundle.zip"
    pack(bundle, path)
    with zipfile.ZipFile(path, "a") as archive:
        add(archive)
    for use in (lambda: api.verify(path), lambda: api.predict(path, dataset.path)):
        with pytest.raises(SubmissionError, match=sentence):
            use()
    assert not (bundle.parent.parent / "evil.json").exists()


def test_a_damaged_archive(bundle: Path, dataset: Dataset) -> None:
    path = bundle.parent / "bundle.zip"
    pack(bundle, path)
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda one: one.compress_size)
    raw[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 255
    path.write_bytes(raw)
    with pytest.raises(SubmissionError, match=r"the archive is damaged|its content was changed"):
        api.verify(path)
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(SubmissionError, match=r"the archive is damaged|not a zip file"):
        api.predict(path, dataset.path)


def test_an_archive_takes_no_other_bundles_place(dataset: Dataset, tmp_path: Path) -> None:
    config = configure()
    (tmp_path / "mine.zip").write_bytes(b"not a bundle")
    with pytest.raises(SubmissionError, match="is no bundle; choose another place"):
        export_trained(tmp_path, dataset, config, output=tmp_path / "mine.zip")
    assert (tmp_path / "mine.zip").read_bytes() == b"not a bundle"
    (tmp_path / "mine.zip").unlink()
    for _ in range(2):  # the same trial's is replaced
        export_trained(tmp_path / "second", dataset, config, output=tmp_path / "mine.zip")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mine.zip"]
