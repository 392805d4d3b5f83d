"""Nothing is unpickled that lies in a data folder, a cache, a study or a bundle; it would run whatever it says."""

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe import api
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.series import read_series
from rfe.ensemble.candidates import load_outputs, read_candidates
from rfe.errors import RfeError
from rfe.search.checkpoints import load_checkpoint
from rfe.search.work import WorkItem
from rfe.study import StudyStore
from rfe.study.rebuild import write_optuna
from rfe.submission.scoring import read_probabilities
from rfe.task import BLEMORE
from rfe.tracking.base import NullTracker
from rfe.workspace import StudyFolder, open_workspace
from tests.contract.test_samplers import CONTINUOUS, define, run
from tests.unit.data.folders import make_folder
from tests.unit.search.tiny_study import run_study
from tests.unit.submission.bundles import configure, export_trained
from tests.unit.submission.test_corruption import WEIGHTS, reseal


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """The file that a trap touches."""
    return tmp_path / "sprung"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(make_folder(tmp_path / "data"))


def raw(sprung: Path) -> bytes:
    return pickle.dumps(Trap(sprung))


def npy(sprung: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(sprung), None], object), allow_pickle=True)
    return buffer.getvalue()


def npz(sprung: Path, *names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", npy(sprung))
    return buffer.getvalue()


def torch_file(sprung: Path) -> bytes:
    """As `torch.save` lays it out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", raw(sprung))
        archive.writestr("archive/version", "3")
    return buffer.getvalue()


def test_the_trap_springs(sprung: Path) -> None:
    """Else the others prove nothing."""
    for content in (npy(sprung), npz(sprung, "X")):
        loaded = np.load(io.BytesIO(content), allow_pickle=True)
        assert loaded["X"] is not None if isinstance(loaded, np.lib.npyio.NpzFile) else len(loaded)
        assert sprung.exists()
        sprung.unlink()


@pytest.mark.parametrize("make", [raw, npy, torch_file, lambda sprung: npz(sprung, "X", "filenames")])
def test_in_a_data_folder(make: Callable[[Path], bytes], sprung: Path, dataset: Dataset, tmp_path: Path) -> None:
    (dataset.path / "face_static_features.npz").write_bytes(make(sprung))
    (tmp_path / "clip.npy").write_bytes(make(sprung))
    (tmp_path / "p.npz").write_bytes(make(sprung))
    for read in (
        lambda: load_dataset(dataset.path),
        lambda: read_series(tmp_path / "clip.npy"),
        lambda: read_probabilities(BLEMORE, tmp_path / "p.npz"),
    ):
        with suppress(RfeError):
            read()
        assert not sprung.exists()


@pytest.mark.parametrize("make", [raw, npy, torch_file])
def test_in_a_cache_where_it_is_built_again(
    make: Callable[[Path], bytes], sprung: Path, dataset: Dataset, tmp_path: Path
) -> None:
    cache = FeatureCache(dataset, tmp_path / "cache")
    before = cache.prepared("face", 0)
    values = np.array(before.values)
    for path in (tmp_path / "cache").rglob("values.npy"):
        path.unlink()
        path.write_bytes(make(sprung))
    np.testing.assert_array_equal(FeatureCache(dataset, tmp_path / "cache").prepared("face", 0).values, values)
    (before.path / "preprocessing.npz").write_bytes(npz(sprung, "mean", "variance", "components", "center"))
    with pytest.raises(RfeError, match="only pickle could load"):
        _ = cache.prepared("face", 0).preprocessing
    assert not sprung.exists()


def test_in_a_study(sprung: Path, dataset: Dataset, tmp_path: Path) -> None:
    folder = run_study(open_workspace(tmp_path / "w"), dataset, NullTracker())
    names = ("seeds", "presence_logits", "salience_logits", "fused")
    candidate = read_candidates(folder).candidates[0]
    assert candidate.outputs is not None
    candidate.outputs.write_bytes(npz(sprung, *names))
    with pytest.raises(RfeError, match="only pickle could load"):
        load_outputs(candidate, dataset)
    checkpoint = tmp_path / "3.npz"
    checkpoint.write_bytes(npz(sprung, "about"))
    assert load_checkpoint(WorkItem("s/3", {}, "/data", checkpoint_file=str(checkpoint))) is None
    assert not sprung.exists()


def test_in_a_journal_where_cmaes_kept_its_distribution(sprung: Path, tmp_path: Path) -> None:
    """Optuna's sampler unpickles it, before it looks at anything else; it did when trials were next asked for."""
    definition = define("cmaes", CONTINUOUS)
    run(tmp_path / "s", definition, 3, 6)
    journal = tmp_path / "s" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        for number in line["trials"] if line["kind"] == "ask" else ():
            line.setdefault("sampler", {})[number] = {"cma:generation": 1, "cma:optimizer:0": raw(sprung).hex()}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with StudyStore.open(tmp_path / "s", definition) as store:
        assert len(store.ask(2)) == 2
    assert not sprung.exists()
    write_optuna(StudyFolder(tmp_path / "s"), tmp_path / "optuna.log")
    assert raw(sprung).hex() not in (tmp_path / "optuna.log").read_text()


@pytest.mark.parametrize("make", [raw, npy, torch_file])
def test_in_a_bundle(make: Callable[[Path], bytes], sprung: Path, dataset: Dataset, tmp_path: Path) -> None:
    whole, _ = export_trained(tmp_path, dataset, configure(), output=tmp_path / "whole")
    for file in (WEIGHTS, "members/fusion-v1-0/preprocessing/fold0/face.safetensors", "decoder.json"):
        bundle = Path(shutil.copytree(whole, tmp_path / "bundle"))
        (bundle / file).write_bytes(make(sprung))
        reseal(bundle)
        for use in (lambda bundle=bundle: api.verify(bundle), lambda bundle=bundle: api.predict(bundle, dataset.path)):
            with pytest.raises(RfeError):
                use()
        assert json.loads((bundle / "MANIFEST.json").read_text())["files"][file]
        shutil.rmtree(bundle)
    assert not sprung.exists()


def test_no_reader_of_ours_could() -> None:
    """`np.load` refuses pickle where it is asked to, and `torch.load` and `pickle` are not used at all."""
    source = Path(api.__file__).parents[1]
    texts = {path: path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    for path, text in texts.items():
        assert "torch.load(" not in text, path
        assert "import pickle" not in text, path
        assert "yaml.load(" not in text, path
        assert "allow_pickle=True" not in text, path
        for call in text.split("np.load(")[1:]:
            assert "allow_pickle=False" in call.split("\n")[0], path
