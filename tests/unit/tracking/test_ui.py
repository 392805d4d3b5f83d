import socket
from pathlib import Path

import pytest

from rfe.errors import ConfigError
from rfe.tracking import ui
from rfe.tracking.access import LOOPBACK
from rfe.workspace import open_workspace
from rfe.writing import write_json


def test_a_taken_port_is_answered_with_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < ui.free_port(port) < port + ui.PORTS_TRIED


def test_no_free_port_is_the_users_to_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "PORTS_TRIED", 1)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        with pytest.raises(ConfigError, match="--port"):
            ui.free_port(taken.getsockname()[1])


def test_a_server_has_its_own_page(tmp_path: Path) -> None:
    notes: list[str] = []
    ui.serve_ui(open_workspace(tmp_path), tracking_uri="https://me:secret@host", note=notes.append)
    assert notes == ["a tracking server has its own page: open https://***@host"]


def test_a_ui_that_does_not_start_says_where_its_messages_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui.sys, "executable", "/bin/false")
    with pytest.raises(ConfigError, match=r"did not start.*ui\.log"), ui.open_ui(open_workspace(tmp_path), note=str):
        pass


def test_pages_of_the_studies_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = open_workspace(tmp_path)
    shown = {"tracking_uri": workspace.mlflow_uri, "experiment_id": "4"}
    write_json(workspace.study("here").mlflow_runs, shown)
    write_json(workspace.study("elsewhere").mlflow_runs, {**shown, "tracking_uri": "http://host"})
    workspace.study("new").path.mkdir()
    for name, content in (("cut", b'{"tracking_uri": "sql'), ("nul", b"\0" * 9), ("list", b"[]"), ("part", b"{}")):
        workspace.study(name).path.mkdir()  # before, the page ended in an internal error
        workspace.study(name).mlflow_runs.write_bytes(content)
    assert list(ui.study_pages(workspace, "http://127.0.0.1:5000")) == [
        (
            "here",
            "http://127.0.0.1:5000/#/experiments/4/runs?workflowType=machine_learning&viewStateShareKey=trials",
        )
    ]
