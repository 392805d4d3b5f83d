"""Jobs on a Ray cluster, through the Ray Jobs API: submit, wait, follow, stop, look.

Token authentication is Ray's own: RAY_AUTH_MODE=token with RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, on both sides.
"""

import asyncio
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

from rfe.errors import ConfigError
from rfe.jobs.description import SECRETS_FILE, STOP_WAIT_S, Job, address_problems
from rfe.search.interpreter import quoted_interpreter
from rfe.secrets import redact_text, redact_uri
from rfe.suggestions import nearest
from rfe.writing import PlainRecord

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
POLL_S = 0.5
STOP_SLACK_S = 15.0
"""What Ray may take to notice a stop, beside the wait that the job has for its end."""
MARK = "rfe"
"""Key of the metadata under which a job says what `JobState` tells of it."""
NOT_FOUND = 127
"""What a shell ends with when the interpreter is not there."""
OWN_NAMES = {"CPU": "entrypoint_num_cpus", "GPU": "entrypoint_num_gpus", "memory": "entrypoint_memory"}
"""Resources that Ray takes by arguments of their own."""


@dataclass(frozen=True)
class JobState(PlainRecord):
    """The state of a job on the cluster."""

    name: str
    """Its submission id."""
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    message: str
    """Ray's, in one line."""
    entrypoint: str
    started: float | None
    """Unix time; when it was submitted."""
    ended: float | None
    exit_code: int | None
    study: str | None = None
    workspace: str | None = None
    mlflow_uri: str | None = None
    family: str | None = None
    """The name it was submitted under, which `--new` numbers; None: no job of rfe."""

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class Submission:
    """The result of submitting a job."""

    state: JobState
    attached: bool
    """The job was there already; nothing was submitted."""
    same_command: bool = True
    """Whether the job that was there runs the command asked for."""


class Jobs:
    """The jobs of one cluster.

    Args:
        client: a `ray.job_submission.JobSubmissionClient`.
        address: shown in messages.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client, self.address = client, redact_uri(address)

    # ---- looking

    def all(self) -> list[JobState]:
        """List all submitted jobs, most recently submitted first."""
        with self._answered():
            found = [_state(one) for one in self._client.list_jobs() if one.submission_id]
        return sorted(found, key=lambda job: -(job.started or 0.0))

    def find(self, name: str) -> JobState:
        """Find the job of that name.

        Raises:
            ConfigError: not found.
        """
        jobs = self.all()
        for job in jobs:
            if job.name == name:
                return job
        guess = nearest(name, [job.name for job in jobs])
        raise ConfigError(
            f"no job {name!r} at {self.address}; " + (f"did you mean {guess}?" if guess else "see `rfe jobs list`")
        )

    def logs(self, name: str) -> str:
        """Return the job's output so far."""
        self.find(name)
        with self._answered():
            return str(self._client.get_job_logs(name))

    # ---- submitting

    def submit(self, job: Job, *, new: bool = False) -> Submission:
        """Submit `job`, or attach to the last one submitted under its name.

        Args:
            new: submit another one, under the name with the next free number.
        """
        jobs = self.all()
        family = [one for one in jobs if one.name == job.name or one.family == job.name]
        if family and not new:
            return Submission(family[0], True, family[0].entrypoint == job.entrypoint)
        taken, name, number = {one.name for one in jobs}, job.name, 1
        while name in taken:
            number += 1
            name = f"{job.name}-{number}"
        mark = {"study": job.study, "workspace": job.workspace, "mlflow_uri": job.mlflow_uri, "family": job.name}
        resources = {OWN_NAMES[key]: value for key, value in job.resources.items() if key in OWN_NAMES}
        if "entrypoint_memory" in resources:
            resources["entrypoint_memory"] = int(resources["entrypoint_memory"])
        with self._answered(), _working_dir(job, name) as folder:
            self._client.submit_job(
                entrypoint=job.entrypoint,
                submission_id=name,
                runtime_env={
                    "env_vars": dict(job.environment),
                    **quoted_interpreter(job.python),
                    **({"working_dir": folder} if folder else {}),
                },
                metadata={MARK: json.dumps(mark)},
                entrypoint_resources={k: v for k, v in job.resources.items() if k not in OWN_NAMES} or None,
                **resources,
            )
        return Submission(self.find(name), False)

    def wait_started(self, name: str, timeout_s: float) -> JobState:
        """Wait until the job is no longer PENDING.

        Raises:
            ConfigError: it still is after `timeout_s`; Ray was asked to stop it.
        """
        deadline = time.monotonic() + timeout_s
        while (job := self.find(name)).status == "PENDING":
            if time.monotonic() > deadline:
                with self._answered():
                    self._client.stop_job(name)
                raise ConfigError(
                    f"job {name}: was still PENDING after {timeout_s:g} s, and Ray is told to stop it (it lists it as "
                    f"PENDING until a node has room): {job.message or 'no node has room'} Lower entrypoint_resources, "
                    "or raise pending_timeout_s"
                )
            time.sleep(POLL_S)
        return job

    def follow(self, name: str, write: Callable[[str], None]) -> JobState:
        """Pass on the job's output, from its beginning, until it ends; reconnects when the connection is lost."""
        seen = 0
        unheard: BaseException | None = None

        async def tail() -> None:
            nonlocal seen, unheard
            skip = seen
            async for text in self._client.tail_job_logs(name):
                fresh = text[skip:]
                skip = max(0, skip - len(text))
                seen += len(fresh)
                try:
                    write(fresh)
                except BaseException as error:
                    unheard = error
                    raise

        while True:
            try:
                asyncio.run(tail())
            except Exception as error:  # of Ray's web libraries; `find` says whether the cluster is still there
                if error is unheard:
                    raise
                time.sleep(POLL_S)
            job = self.find(name)
            if job.has_ended:
                return job

    def stop(self, name: str) -> JobState:
        """End the job as Ctrl-C would, and wait for its end; a job that has ended is left as it is."""
        job = self.find(name)
        if job.has_ended:
            return job
        with self._answered():
            self._client.stop_job(name)
        deadline = time.monotonic() + STOP_WAIT_S + STOP_SLACK_S
        while not (job := self.find(name)).has_ended and time.monotonic() < deadline:
            if job.status == "PENDING":  # nothing of it runs, and Ray ends it only when a node has room for it
                break
            time.sleep(POLL_S)
        return job

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Turn errors of the connection and the cluster into one sentence."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ConfigError(f"the Ray cluster at {self.address} did not do it: {redact_text(reason)}") from error


def open_jobs(address: str | None = None) -> Jobs:
    """The jobs of the cluster whose dashboard is at `address`, else at RAY_API_SERVER_ADDRESS, else on this machine.

    Raises:
        ConfigError: no answer there, or not without another token.
    """
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or "http://127.0.0.1:8265"
    for problem in address_problems(address):
        raise ConfigError(problem)
    for logger in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    shown = redact_uri(address)
    try:
        with _only_address(address):
            return Jobs(JobSubmissionClient(address), address)
    except AuthenticationError:
        raise ConfigError(
            f"the Ray cluster at {shown} wants another token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH "
            "(or RAY_AUTH_TOKEN) to the cluster's"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"no Ray dashboard answers at {shown} ({redact_text(reason, address)}); start one with `ray start --head`, "
            "or say where it is with --address http://HOST:8265"
        ) from None


@contextmanager
def _only_address(address: str) -> Iterator[None]:
    """Ray's client prefers these variables to the address that it is given."""
    names = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
    former = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(former)


@contextmanager
def _working_dir(job: Job, name: str) -> Iterator[str | None]:
    """A folder with what goes with the job; None if nothing does. Gone after the block."""
    if not job.files and not job.secrets:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="rfe-job-") as folder:
        for relative, path in job.files.items():
            target = Path(folder) / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(path, target)
        if job.secrets:
            (Path(folder) / SECRETS_FILE).write_text(job.secrets_script(name))
        yield folder


def _state(details: Any) -> JobState:
    """Of Ray's `JobDetails`; its `runtime_env` is left out, as people put secrets there."""
    try:
        mark = json.loads((details.metadata or {}).get(MARK, "{}"))
    except ValueError:  # metadata of another program's job
        mark = {}
    exit_code = details.driver_exit_code
    message = " ".join((details.message or "").split("\n")[0].split())
    if exit_code == NOT_FOUND:
        message = (
            f"the interpreter is not there on the cluster's head; name the one that has rfe with python ({message})"
        )
    return JobState(
        name=details.submission_id,
        status=str(getattr(details.status, "value", details.status)),
        message=message,
        entrypoint=details.entrypoint,
        started=None if details.start_time is None else details.start_time / 1000,
        ended=None if details.end_time is None else details.end_time / 1000,
        exit_code=exit_code,
        **{key: mark.get(key) for key in ("study", "workspace", "mlflow_uri", "family")},
    )
