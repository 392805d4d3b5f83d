"""What `rfe doctor` finds, and what it makes of it."""

import importlib.metadata
import json
import py_compile
import socket
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from rfe import api, doctor
from rfe.doctor import examine
from rfe.search.preconditions import Finding, Verdict
from rfe.workspace import Workspace
from tests.unit.cli.invoke import invoke


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def found(workspace: Workspace) -> dict[str, Finding]:
    return {one.what: one for one in examine(workspace, start=False)}


def place(root: Path, uri: str | None = None) -> Workspace:
    return Workspace(root, uri or f"sqlite:///{root}/mlflow.db", root / "cache")


def test_a_machine_that_runs_these_tests_can_search_and_nothing_is_left_behind(tmp_path: Path) -> None:
    findings = found(place(tmp_path / "workspace"))
    assert not [one for one in findings.values() if one.verdict == "wrong"]
    assert {"Python", "torch", "ray", "optuna", "mlflow", "torch's build", "CPUs and memory"} <= findings.keys()
    assert {"workspace", "cache", "MLflow", "Ray cluster", "port 5000", "port 8265"} <= findings.keys()
    assert all(bool(one.remedy) == (one.verdict != "fine") for one in findings.values())
    assert list(tmp_path.iterdir()) == []


def test_what_stops_a_search_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", _refuse)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    findings = found(place(tmp_path / "workspace"))
    assert {what for what, one in findings.items() if one.verdict == "wrong"} == {"workspace", "cache", "Ray cluster"}
    assert "RFE_WORKSPACE" in findings["workspace"].remedy


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_libraries_that_do_not_go_with_us_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    required = ["torch<1", "no-such-package>=3", "numpy>=1", "pytest<1; extra == 'dev'"]
    required += ["no-such-sampler; extra == 'search'", "no-such-plot; extra == 'report'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    findings = {one.what: one for one in doctor._libraries()}
    assert findings["torch"].verdict == "look"
    assert findings["torch"].remedy == "pip install 'torch<1'"
    assert (findings["no-such-package"].verdict, findings["no-such-package"].found) == ("wrong", "is missing")
    assert findings.keys() == {"torch", "no-such-package", "no-such-sampler", "no-such-plot"}
    assert (findings["no-such-sampler"].verdict, findings["no-such-plot"].verdict) == ("wrong", "look")
    assert findings["no-such-sampler"].remedy.startswith("pip install '.[search]' in /")


def test_libraries_without_bytecode_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: Ray took many times as long to start in an image that was built without, and nothing said why."""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").touch()
    monkeypatch.setattr(doctor, "find_spec", lambda name: PathFinder.find_spec(name, [str(tmp_path)]))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert [one.what for one in doctor._python()] == ["Python"]  # written when first imported
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    [_, finding] = doctor._python()
    assert (finding.what, finding.verdict) == ("bytecode", "look")
    assert " -m compileall -q -j 0 " in finding.remedy
    py_compile.compile(str(tmp_path / "ray" / "__init__.py"))
    assert [one.what for one in doctor._python()] == ["Python"]


def test_a_taken_port_and_an_mlflow_that_is_away_stop_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 5000))
            taken.listen()
        except OSError:
            pass  # somebody else's then
        findings = found(place(tmp_path, "http://user:secret@127.0.0.1:9"))
    assert (findings["port 5000"].found, findings["port 5000"].verdict) == ("is taken", "look")
    assert findings["MLflow"].verdict == "look"
    assert "secret" not in findings["MLflow"].found


def test_an_mlflow_that_is_there_is_counted(tmp_path: Path, empty_database: Path) -> None:
    findings = {one.what: one for one in doctor._mlflow(place(tmp_path, f"sqlite:///{empty_database}"))}
    assert findings["MLflow"].found.endswith("mlflow.db, 0 studies")


@pytest.mark.parametrize(("verdict", "code"), [("fine", 0), ("look", 0), ("wrong", 1)])
def test_the_exit_code_says_whether_a_search_can_run(
    verdict: Verdict, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding("disk", "full", verdict, "" if verdict == "fine" else "make room")
    monkeypatch.setattr(api, "doctor", lambda workspace: [finding])
    ended = invoke("doctor")
    assert ended.exit_code == code
    assert ("disk: make room" in ended.stdout) == (verdict != "fine")
    ended = invoke("doctor", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)) == (code, [finding.to_dict()])


def test_an_mlflow_that_cannot_be_opened_is_a_finding(tmp_path: Path, empty_database: Path) -> None:
    """Before: `rfe doctor` ended in an internal error."""
    database = tmp_path / "mlflow.db"
    database.write_bytes(empty_database.read_bytes()[:200_000])
    [one] = doctor._mlflow(place(tmp_path))
    assert one.verdict == "look"  # a search goes on, and puts it aside
    assert "mlflow.db: MLflow cannot open it (database disk image is malformed)" in one.found
    assert "rfe studies repair" in one.remedy
    assert database.stat().st_size == 200_000


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("pass", ("fine", "starts, in", "")),
        (
            "import sys; print('noise\\nRay: too few files; raise it', file=sys.stderr); sys.exit(1)",
            ("wrong", "Ray: too few files", "raise it"),
        ),
        ("import os; os.abort()", ("wrong", "exit code -6", "look at its logs")),
        ("import time; time.sleep(60)", ("wrong", "none within 2 s", "end other programs")),
    ],
)
def test_a_local_ray_is_tried_where_no_cluster_is_named(
    code: str, finding: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: "all is well", where no search could start."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}"\n')
    program.chmod(0o755)
    monkeypatch.setattr(doctor, "TRY_S", 2.0 if "sleep" in code else 60.0)
    monkeypatch.setattr(sys, "executable", str(program))
    (*_, last) = doctor._ray(start=True)
    verdict, said, remedy = finding
    assert (last.what, last.verdict) == ("local Ray", verdict)
    assert last.found.startswith(said)
    assert last.remedy.startswith(remedy)


def test_nothing_is_tried_where_it_is_known_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Finding("open files", "at most 9", "wrong", "raise it")
    monkeypatch.setattr(doctor, "find_conditions", lambda: [wrong])
    monkeypatch.setattr(doctor, "try_local_ray", _refuse)
    assert wrong in list(doctor._ray(start=True))
