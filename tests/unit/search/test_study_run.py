"""How the loop of a study ends when Ray does; no Ray is started."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from rfe.errors import TrialError
from rfe.search.study_run import StudyRun


def ended_with_ray(monkeypatch: pytest.MonkeyPatch, *, asked: bool) -> Any:
    """What `run` comes to where Ray is lost in the search."""

    def lose_ray(self: StudyRun) -> None:
        raise RayActorError

    monkeypatch.setattr(StudyRun, "_search", lose_ray)
    monkeypatch.setattr(StudyRun, "_confirmed", lambda self: {})
    monkeypatch.setattr(StudyRun, "_conclude", lambda self, confirmed: (self.stopping, confirmed))
    study = object.__new__(StudyRun)
    study.trial_tracker = SimpleNamespace(n_adoptable=1, exhausted=False, n_asked=0, since_best=0, copies_in_a_row=0)  # type: ignore[assignment]
    study.budget = SimpleNamespace(end=lambda *known: "")  # type: ignore[assignment]
    study.progress = SimpleNamespace(note=lambda line: None)  # type: ignore[assignment]
    study.interrupt = SimpleNamespace(asked=asked)  # type: ignore[assignment]
    study.space = SimpleNamespace(study="s")  # type: ignore[assignment]
    study.stopping, study.n_requests, study.spent_s, study.began = "", 0, 0.0, time.monotonic()
    return study.run()


def test_a_signal_that_ends_ray_too_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: "Ray was lost", exit code 1, and no outcome: a batch system sends SIGTERM to all processes of a job."""
    assert ended_with_ray(monkeypatch, asked=True) == ("interrupted", ())


def test_a_ray_that_is_lost_unasked_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrialError, match="study s: Ray was lost"):
        ended_with_ray(monkeypatch, asked=False)
