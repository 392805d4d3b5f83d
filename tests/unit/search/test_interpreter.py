"""An interpreter in a path with a blank, wherever Ray is told of one; Ray's own start is replaced."""

import shlex
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import ray

from rfe.jobs.client import Jobs
from rfe.search import session
from rfe.search.interpreter import driver_environment, quoted_interpreter
from tests.unit.jobs.test_client import JOB, FakeClient

PATH = "/a b/it's/python"


def test_only_a_path_that_needs_quotes_gets_them() -> None:
    assert quoted_interpreter("/usr/bin/python3") == {}
    assert shlex.split(quoted_interpreter(PATH)["py_executable"]) == [PATH]


@pytest.mark.parametrize("address", [None, "head:6379"])
def test_a_search_gives_it_quoted_to_a_local_ray_and_to_a_cluster(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: a cluster was not told; the search waited without end for its first worker."""
    asked: list[dict[str, Any]] = []

    @contextmanager
    def open_ray(*given: Any) -> Any:
        asked.append(given[-1])
        yield

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.setattr(session, "local_ray", open_ray)
    monkeypatch.setattr(session, "connected_cluster", open_ray)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "nodes", list)
    monkeypatch.setattr(ray, "available_resources", dict)

    class Context:
        def get_node_id(self) -> str:
            return ""

    monkeypatch.setattr(ray, "get_runtime_context", Context)
    monkeypatch.setattr(session, "plan_session", lambda *_, local, here: session.Session(local, 1, 0.0, 1))
    for path in ("/usr/bin/python3", PATH):
        monkeypatch.setattr(sys, "executable", path)
        with session.open_session(address):
            pass
    assert "runtime_env" not in asked[0]
    assert shlex.split(asked[1]["runtime_env"]["py_executable"]) == [PATH]


def test_a_job_gives_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: a job on such a cluster never left PENDING. Ray refuses a driver that repeats what its job has."""
    client = FakeClient()
    jobs = Jobs(client, JOB.address)
    jobs.submit(JOB)
    jobs.submit(replace(JOB, name="other", python=PATH))
    plain, quoted = (given["runtime_env"] for given in client.submitted)
    assert "py_executable" not in plain
    assert shlex.split(quoted["py_executable"]) == [PATH]
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert driver_environment(PATH) == {}
