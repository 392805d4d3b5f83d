import re
import subprocess
from typing import Any

import pytest

from rfe.tracking import provenance


def test_commit_is_empty_or_a_hash() -> None:
    assert re.fullmatch(r"([0-9a-f]{40}(\+changes)?)?", provenance.git_commit())


@pytest.mark.parametrize(
    ("tracked", "changed", "commit"),
    [("errors.py", "", "c0ffee"), ("errors.py", " M x", "c0ffee+changes"), ("", "", "")],
)
def test_commit_of_a_checkout(monkeypatch: pytest.MonkeyPatch, tracked: str, changed: str, commit: str) -> None:
    answers = {"rev-parse": "c0ffee", "ls-files": tracked, "status": changed}
    monkeypatch.setattr(provenance, "_git", lambda folder, command, *rest: answers[command])
    assert provenance.git_commit() == commit


def test_no_git_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert provenance.git_commit() == ""


def test_versions_name_what_is_installed() -> None:
    assert {"torch", "mlflow", "optuna"} <= provenance.versions().keys()
