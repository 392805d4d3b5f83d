"""The bundle as an MLflow model: a table in, a table out; registered, and served over HTTP."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rfe.data.dataset import Dataset
from rfe.errors import DataError
from rfe.submission.clips import NewClips
from rfe.submission.pyfunc import (
    ALIAS,
    BundleModel,
    RegisteredBundle,
    clips_of_table,
    core_requirements,
    register_bundle,
)
from rfe.submission.table import column_names
from rfe.task import BLEMORE
from rfe.workspace import Workspace
from tests.integration.ports import free_port
from tests.unit.submission.bundles import configure, export_trained


@pytest.fixture(scope="module")
def bundle(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return export_trained(folder, dataset, configure(), output=folder / "bundle")[0]


@pytest.fixture(scope="module")
def table(dataset: Dataset) -> pd.DataFrame:
    """The target clips, each encoder a column of lists."""
    clips = NewClips.of_dataset(dataset)
    columns = {name: [row.astype(float).tolist() for row in values] for name, values in clips.features.items()}
    return pd.DataFrame({"filename": clips.filename, "video_id": [f"a{actor}" for actor in clips.actor], **columns})


def test_a_table_is_answered_as_the_data_folder_is(bundle: Path, dataset: Dataset, table: pd.DataFrame) -> None:
    answered = BundleModel(bundle).predict(table)
    stored = pd.read_csv(bundle / "predictions.csv")
    assert tuple(answered.columns) == ("filename", *column_names(BLEMORE))
    pd.testing.assert_frame_equal(answered, stored, check_dtype=False, check_exact=True)


def test_missing_encoders_and_rows_are_masked(bundle: Path, table: pd.DataFrame) -> None:
    model = BundleModel(bundle)
    without = model.predict(table.drop(columns="voice"))
    emptied = table.assign(voice=[[]] * len(table))
    pd.testing.assert_frame_equal(model.predict(emptied), without)
    some = table.assign(voice=[row if index % 2 else None for index, row in enumerate(table["voice"])])
    assert len(model.predict(some)) == len(table)


def test_what_does_not_fit_is_told_in_a_sentence(bundle: Path, table: pd.DataFrame) -> None:
    model = BundleModel(bundle)
    with pytest.raises(DataError, match="it needs filename"):
        model.predict(table.drop(columns="filename"))
    with pytest.raises(DataError, match="the input: filename in its index and in its column differ"):
        model.predict(table.set_axis(pd.Index([f"other_{row}" for row in range(len(table))], name="filename")))
    with pytest.raises(DataError, match="video_id: empty for"):
        model.predict(table.drop(columns="video_id"))
    with pytest.raises(DataError, match="face: rows of 2, 5 numbers"):
        model.predict(table.assign(face=[[1.0, 2.0], *table["face"][1:]]))
    with pytest.raises(DataError, match="row 0 holds a value that is not finite"):
        model.predict(table.assign(face=[[float("nan")] * 5, *table["face"][1:]]))
    with pytest.raises(DataError, match="each row is a list of numbers"):
        clips_of_table(table.assign(face=[["a"]] * len(table)), ["face"])


def test_requirements_are_the_core_with_its_bounds() -> None:
    lines = core_requirements()
    assert {"numpy", "torch", "safetensors"} <= {line.split("<")[0].split(">")[0] for line in lines}
    assert all(">=" in line and "<" in line for line in lines)
    assert not [line for line in lines if line.startswith(("ray", "optuna", "mlflow"))]


@pytest.fixture(scope="module")
def registered(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, RegisteredBundle]:
    root = tmp_path_factory.mktemp("work")
    workspace = Workspace(root, f"sqlite:///{root / 'mlflow.db'}", root / "cache")
    register_bundle(bundle, "blend", workspace)
    return workspace, register_bundle(bundle, "blend", workspace)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_registered_as_the_champion(
    registered: tuple[Workspace, RegisteredBundle],
    bundle: Path,
    table: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    workspace, found = registered
    client = mlflow.MlflowClient(workspace.mlflow_uri, workspace.mlflow_uri)
    assert found.version == "2"
    champion = client.get_model_version_by_alias("blend", ALIAS)
    assert str(champion.version) == "2"
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert "score_crossfit" in run.data.metrics
    assert run.data.tags["rfe.bundle"] == "study fusion-v1, trial 0"
    assert "MLFLOW_TRACKING_URI" not in os.environ  # as it was
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workspace.mlflow_uri)
    model = mlflow.pyfunc.load_model(found.uri)
    assert model.metadata.signature is not None
    assert {"filename", "video_id", "face", "voice"} == set(model.metadata.signature.inputs.input_names())
    answered = model.predict(table)
    pd.testing.assert_frame_equal(
        answered, pd.read_csv(bundle / "predictions.csv"), check_dtype=False, check_exact=True
    )
    assert len(model.predict(model.input_example)) == 2


def environment(workspace: Workspace) -> dict[str, str]:
    """As in an activated environment: MLflow starts its server by name."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return os.environ | {
        "PATH": path,
        "MLFLOW_TRACKING_URI": workspace.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_mlflow_models_predict(
    registered: tuple[Workspace, RegisteredBundle], bundle: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    workspace, found = registered
    asked, answered = tmp_path / "in.json", tmp_path / "out.json"
    asked.write_text(json.dumps({"dataframe_split": table.to_dict(orient="split")}))
    words = ["models", "predict", "-m", found.uri, "-i", asked, "-o", answered, "--env-manager", "local"]
    subprocess.run(
        [sys.executable, "-m", "mlflow", *map(str, words)], env=environment(workspace), check=True, cwd=tmp_path
    )
    check_answers(json.loads(answered.read_text())["predictions"], bundle)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_mlflow_models_serve_answers_over_http(
    registered: tuple[Workspace, RegisteredBundle], bundle: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    workspace, found = registered
    port = free_port()
    words = ["models", "serve", "-m", found.uri, "-h", "127.0.0.1", "-p", port, "--env-manager", "local", "-w", "1"]
    log = (tmp_path / "serve.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *map(str, words)],
        env=environment(workspace),
        cwd=tmp_path,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/ping", server, tmp_path / "serve.log")
        body = json.dumps({"dataframe_split": table.to_dict(orient="split")}).encode()
        request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as reply:
            check_answers(json.loads(reply.read())["predictions"], bundle)
        records = json.dumps({"dataframe_records": table.drop(columns="voice").to_dict(orient="records")}).encode()
        request = urllib.request.Request(f"{address}/invocations", records, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as reply:
            assert len(json.loads(reply.read())["predictions"]) == len(table)
    finally:
        with suppress(ProcessLookupError):  # it never came up
            os.killpg(server.pid, 15)
        server.wait(60)
        log.close()


def check_answers(rows: list[dict[str, object]], bundle: Path) -> None:
    stored = pd.read_csv(bundle / "predictions.csv")
    answered = pd.DataFrame(rows)
    assert answered["filename"].tolist() == stored["filename"].tolist()
    assert answered["set"].tolist() == stored["set"].tolist()
    chances = [name for name in column_names(BLEMORE) if name.startswith("p_")]
    np.testing.assert_allclose(answered[chances].astype(float), stored[chances], rtol=0, atol=1e-12)


def wait_for(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=5) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text())
