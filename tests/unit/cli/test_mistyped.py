"""Every name that can be mistyped is answered with the nearest, before anything starts (commands: `test_program`)."""

from pathlib import Path

import pytest

from tests.integration import fakes
from tests.unit.cli.invoke import invoke


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_data(tmp_path_factory.mktemp("mistyped") / "tiny")


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study, an ensemble, and a space in which a word and an encoder are misspelt."""
    (tmp_path / "studies" / "first").mkdir(parents=True)
    (tmp_path / "ensembles" / "final").mkdir(parents=True)
    (tmp_path / "ensembles" / "final" / "ensemble.json").write_text("{}")
    (tmp_path / "word.yaml").write_text("study: s\nsampler: {kind: randm}\n")
    (tmp_path / "encoder.yaml").write_text("study: s\nbudget: {trials: 1}\nspace: {pool: {subset: [god, weak]}}\n")
    (tmp_path / "job.yaml").write_text("comand: search everything\n")
    (tmp_path / "mapping.yaml").write_text("encoders: {face: {fils: 'face/{clip}.npy'}}\n")
    monkeypatch.setattr(
        "rfe.search.driver.import_module", lambda name: None
    )  # Ray, in a thread that outlives the error
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RFE_WORKSPACE", str(tmp_path))


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("search everythin --data DATA", "everything"),
        ("search everything --data DATA --set train.lrr=1", "train.lr"),
        ("search word.yaml --data DATA", "random"),
        ("search encoder.yaml --data DATA --dry-run", "good"),
        ("search everything --data DATA --set pool=[wek]", "weak"),
        ("search everything --data DATA --warm-start frist", "first"),
        ("train baselines/concat_mpl --data DATA", "baselines/concat_mlp"),
        ("train --from frist --trial 0", "first"),
        ("ablate componets --data DATA", "components"),
        ("baselines --data DATA --only logistic_regresion", "logistic_regression"),
        ("baselines --data DATA --encoder wek", "weak"),
        ("ensemble frist", "first"),
        ("ensemble first --method gredy", "greedy"),
        ("export fist", "first"),
        ("export finl", "final"),
        ("export first --models fold", "folds"),
        ("submit job.yaml", "command"),
        ("schema spac", "space"),
        ("data import DATA -o out --mapping mapping.yaml", "encoders.face.files"),
    ],
)
def test_the_nearest_is_named(line: str, meant: str, data: Path) -> None:
    ended = invoke(*line.replace("DATA", str(data)).split())
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"did you mean {meant}?" in ended.stderr
