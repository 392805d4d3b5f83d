"""One suite over every reader of files that may come from anyone.

Whatever stands in them, a reader returns or says one sentence of ours: no traceback, no hang. What only claims to be
large is refused before anything is allocated: `test_untrusted_sizes`. Nothing is unpickled: `test_no_pickle`.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rfe import api
from rfe.ablation.plan import load_plan
from rfe.ablation.study import read_arms
from rfe.config.load import load_config
from rfe.data.check import check_folder
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.series import read_series
from rfe.ensemble.candidates import load_outputs, read_candidates
from rfe.ensemble.stored import read_ensemble
from rfe.errors import RfeError
from rfe.jobs.description import load_job
from rfe.search_space import load_space, resolve
from rfe.study.definition import read_definition
from rfe.submission.bundle import seal
from rfe.submission.layout import MANIFEST
from rfe.submission.scoring import known_states, read_probabilities
from rfe.submission.submission import write_submission
from rfe.task import BLEMORE
from rfe.tracking.base import NullTracker
from rfe.tracking.live import read_live
from rfe.workspace import StudyFolder, Workspace
from rfe.writing import write_json
from tests.contract.damage import damaged_bytes, damaged_json, damaged_text
from tests.unit.data.folders import make_folder
from tests.unit.search.tiny_study import run_study
from tests.unit.submission.bundles import configure, export_trained

CONFIG = "model: {latent_dim: 8, fusion: {kind: weighted_sum}}\ntrain: {lr: 0.001, epochs: 3}\npool: [face, voice]\n"
SPACE = "study: s\nbudget: {trials: 2, hours: 1.5}\nspace:\n  pool: {subset: all}\n  train.lr: {float: [0.1, 0.2]}\n"
PLAN = "name: n\nseeds: 3\ncomponents: all\nsweeps: {model.n_kept: [1, 2]}\ncustom: {odd: {train.lr: 0.1}}\n"
JOB = "command: search everything\ndata: /d\nworkspace: /w\nenv: {A: b}\nentrypoint_resources: {CPU: 1}\n"
DESCRIPTION = "name: made-up\nsimulated: true\ncaveats: [Not real., 'Nor: this.']\n"
MEMBER = "members/fusion-v1-0"
ENSEMBLE = "w/ensembles/final/ensemble.json"
Damage = Callable[[bytes], st.SearchStrategy[bytes]]


@dataclass(frozen=True)
class Place:
    """Sound files of every kind, made once."""

    root: Path
    dataset: Dataset
    workspace: Workspace

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"

    @property
    def study(self) -> StudyFolder:
        return self.workspace.study("tiny")

    def ask_bundle(self, _: Path) -> None:
        api.verify(self.bundle)
        api.predict(self.bundle, self.dataset.path)

    def reseal_bundle(self, path: Path) -> None:
        """As someone would who means it: with hashes that are right again."""
        manifest = json.loads((self.bundle / MANIFEST).read_text())
        seal(self.bundle, {name: value for name, value in manifest.items() if name != "files"})
        self.ask_bundle(path)

    def show(self, _: Path) -> None:
        api.list_studies(self.workspace)
        api.show_study("tiny", self.workspace)

    def tabulate(self, _: Path) -> None:
        api.page_data("tiny", self.workspace)
        api.study_table("tiny", self.workspace, parameters="all")
        read_candidates(self.study)

    def change(self, _: Path) -> None:
        api.change_study("tiny", trials=20, workspace=self.workspace)

    def rebuild(self, _: Path) -> None:
        output = self.root / "optuna.log"
        output.unlink(missing_ok=True)
        api.export_optuna("tiny", output, self.workspace)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("untrusted")
    dataset = load_dataset(make_folder(root / "data"))
    place = Place(root, dataset, Workspace(root / "w", "sqlite:///none.db", root / "cache"))
    run_study(place.workspace, dataset, NullTracker())
    api.add_trial("tiny", {"train.lr": 0.001}, workspace=place.workspace)
    api.change_study("tiny", trials=14, workspace=place.workspace)
    export_trained(root / "trained", dataset, configure(), output=place.bundle)
    for name, text in (("config", CONFIG), ("space", SPACE), ("plan", PLAN), ("job", JOB)):
        (root / f"{name}.yaml").write_text(text)
    (dataset.path / "dataset.yaml").write_text(DESCRIPTION)
    labels = {str(name): {"ang": 100} for name in dataset.clips.filename[dataset.clips.target]}
    write_json(dataset.path / "truth.json", {"test_labels": labels})
    np.save(root / "series.npy", np.ones((4, 1, 3), np.float32))
    (root / "series.csv").write_text("frame,a,b\n1,0.5,2\n2,,3\n")
    np.savez_compressed(root / "p.npz", probabilities=np.full((2, 6), 1 / 6), filenames=["a", "b"])
    write_submission(BLEMORE, root / "answers", ["a", "b"], [0, 7])
    api_zip = shutil.make_archive(str(root / "packed"), "zip", place.bundle)
    assert api.verify(Path(api_zip))
    candidate = read_candidates(place.study).candidates[0]
    member = {"study": "tiny", "trial": candidate.number, "config_id": candidate.config_id}
    about = {
        "members": [{**member, "weight": 1.0, "ratio_weight": 1.0}],
        "method": "greedy",
        "recalibration": {"slope": 1.0, "blend_bias": 0.0},
        "blend_share": 0.5,
    }
    write_json(place.workspace.root / "ensembles" / "final" / "ensemble.json", about)
    part = {"name": "base", "config_id": "0" * 12, "choice": {"folds": [], "trial": None, "values": {}}}
    arm = {"name": "base", "family": "base", "changes": {}, "cell": [], "curve": "", "value": None, "parts": [part]}
    plan = load_plan(root / "plan.yaml").model_dump(mode="json")
    write_json(place.study.arms, {"plan": plan, "arms": [arm], "left_out": {}, "order": []})
    live = {"session": "a", "host": "h", "pid": 1, "time": 1.0, "stage": "search", "search": None}
    write_json(place.study.live, live)
    return place


def load_outputs_of(place: Place, _: Path) -> None:
    load_outputs(read_candidates(place.study).candidates[0], place.dataset)


READERS: dict[str, tuple[str, Damage, Callable[[Place, Path], object]]] = {
    "configuration": ("config.yaml", damaged_text, lambda _, path: load_config(path, [])),
    "space": ("space.yaml", damaged_text, lambda _, path: resolve(load_space(path), ("face", "voice"))),
    "plan": ("plan.yaml", damaged_text, lambda _, path: load_plan(path)),
    "job": ("job.yaml", damaged_text, lambda _, path: load_job(path)),
    "description": ("data/dataset.yaml", damaged_text, lambda place, _: load_dataset(place.root / "data")),
    "metadata": ("data/metadata.csv", damaged_bytes, lambda place, _: check_folder(place.root / "data")),
    "features": ("data/face_static_features.npz", damaged_bytes, lambda place, _: load_dataset(place.root / "data")),
    "truth": ("data/truth.json", damaged_json, lambda place, _: known_states(load_dataset(place.root / "data"))),
    "series": ("series.npy", damaged_bytes, lambda _, path: read_series(path)),
    "frames": ("series.csv", damaged_bytes, lambda _, path: read_series(path)),
    "probabilities": ("p.npz", damaged_bytes, lambda _, path: read_probabilities(BLEMORE, path)),
    "submission": ("answers/submission.json", damaged_json, lambda _, path: api.verify(path)),
    "packed submission": ("answers/submission.zip", damaged_bytes, lambda _, path: api.verify(path)),
    "packed bundle": ("packed.zip", damaged_bytes, lambda _, path: api.verify(path)),
    "manifest": (f"bundle/{MANIFEST}", damaged_json, Place.ask_bundle),
    "manifest as text": (f"bundle/{MANIFEST}", damaged_bytes, lambda place, _: api.verify(place.bundle)),
    "decoder": ("bundle/decoder.json", damaged_json, Place.reseal_bundle),
    "bundle's configuration": (f"bundle/{MEMBER}/config.yaml", damaged_text, Place.reseal_bundle),
    "weights": (f"bundle/{MEMBER}/weights/fold1.safetensors", damaged_bytes, Place.reseal_bundle),
    "preprocessing": (f"bundle/{MEMBER}/preprocessing/fold0/face.safetensors", damaged_bytes, Place.reseal_bundle),
    "ensemble": (ENSEMBLE, damaged_json, lambda place, _: read_ensemble(place.workspace, "final")),
    "definition": ("w/studies/tiny/definition.json", damaged_json, lambda place, _: read_definition(place.study.path)),
    "journal": ("w/studies/tiny/journal.jsonl", damaged_json, Place.show),
    "journal of the table": ("w/studies/tiny/journal.jsonl", damaged_json, Place.tabulate),
    "journal of a change": ("w/studies/tiny/journal.jsonl", damaged_json, Place.change),
    "journal of the sampler": ("w/studies/tiny/journal.jsonl", damaged_json, Place.rebuild),
    "torn journal of a change": ("w/studies/tiny/journal.jsonl", damaged_bytes, Place.change),
    "journal as text": ("w/studies/tiny/journal.jsonl", damaged_bytes, Place.show),
    "arms": ("w/studies/tiny/ablation.json", damaged_json, lambda place, _: read_arms(place.study)),
    "outputs": ("w/studies/tiny/trials/00000/confirmed/outputs.npz", damaged_bytes, load_outputs_of),
    "live": ("w/studies/tiny/live.json", damaged_json, lambda place, _: read_live(place.study)),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_sound_file_is_read(name: str, place: Place) -> None:
    """Else the others below prove nothing."""
    file, _, read = READERS[name]
    read(place, place.root / file)


@contextmanager
def spoilt(place: Place, path: Path) -> Iterator[bytes]:
    """The sound content of a file that may be overwritten; all is as it was afterwards."""
    whole = {one: one.read_bytes() for one in (path, *place.bundle.rglob("*")) if one.is_file()}
    try:
        yield whole[path]
    finally:
        for one, content in whole.items():
            one.write_bytes(content)


def answer(read: Callable[[Place, Path], object], place: Place, path: Path) -> str | None:
    """What the reader says; None: it found nothing wrong."""
    try:
        read(place, path)
    except RfeError as error:
        return str(error)
    return None


def stumble(name: str, place: Place, examples: int) -> None:
    """Give a reader so many damaged files; anything but an error of ours fails."""
    file, damage, read = READERS[name]
    path = place.root / file
    with spoilt(place, path) as sound:

        @settings(
            max_examples=examples, deadline=None, derandomize=True, database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )  # fmt: skip
        @given(damage(sound))
        def check(wrong: bytes) -> None:
            path.write_bytes(wrong)
            said = answer(read, place, path)
            assert said is None or 0 < len(said) < 20_000

        check()


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_answered_in_a_sentence(name: str, place: Place) -> None:
    stumble(name, place, 12)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_answered_in_a_sentence(name: str, place: Place) -> None:
    stumble(name, place, 400)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"\x80\x04K\x01.", b"[" * 5000],
    ids=["empty", "zip", "pickle", "nested"],
)
@pytest.mark.parametrize("name", READERS)
def test_no_such_file_at_all(name: str, content: bytes, place: Place) -> None:
    """Each reader is given what another one reads."""
    file, _, read = READERS[name]
    path = place.root / file
    with spoilt(place, path):
        path.write_bytes(content)
        assert answer(read, place, path) != ""


@pytest.mark.parametrize(
    ("sound", "damage"),
    [
        (b"\x93NUMPY and some bytes more", damaged_bytes),
        (b"a: 1\nb: x y\n", damaged_text),
        (b'{"a": [1, {"b": 2}]}', damaged_json),
    ],
)
def test_the_damage_is_such(sound: bytes, damage: Damage) -> None:
    """What is drawn is another file, nearly always."""
    drawn: list[bytes] = []

    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(damage(sound))
    def draw(wrong: bytes) -> None:
        drawn.append(wrong)

    draw()
    assert sum(one != sound for one in drawn) > 0.8 * len(drawn)
    assert len(set(drawn)) > 10
