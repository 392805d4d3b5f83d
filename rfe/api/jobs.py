"""Commands as jobs on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.extras import needs

if TYPE_CHECKING:
    from rfe.jobs.client import JobState, Submission
    from rfe.jobs.description import Job


def plan_job(
    source: Path | Sequence[str],
    *,
    address: str | None = None,
    name: str | None = None,
    workspace: Path | None = None,
) -> Job:
    """Build the job that `submit` would submit, from a YAML file or a command's words; see `load_job`.

    Examples:
        >>> rfe.api.plan_job(["search", "everything", "--data", "/data"], name="first", workspace=Path("/results")).name
        'first'
    """
    from rfe.jobs.description import load_job

    return load_job(source, address=address, name=name, workspace=workspace)


@needs("search")
def submit(job: Job, *, new: bool = False) -> Submission:
    """Submit a job to its cluster, or attach to the one of its name, and wait until it runs.

    Args:
        job: as `plan_job` gives it.
        new: submit another one, under the name with the next free number.

    Raises:
        ConfigError: no cluster, or none with room for the job within its `pending_timeout_s`.
    """
    from dataclasses import replace

    from rfe.jobs.client import open_jobs

    jobs = open_jobs(job.address)
    submission = jobs.submit(job, new=new)
    return replace(submission, state=jobs.wait_started(submission.state.name, job.pending_timeout_s))


@needs("search")
def follow_job(name: str, write: Callable[[str], None], *, address: str | None = None) -> JobState:
    """Pass a job's output to `write`, from its beginning, until the job ends."""
    from rfe.jobs.client import open_jobs

    return open_jobs(address).follow(name, write)


@needs("search")
def list_jobs(*, address: str | None = None) -> list[JobState]:
    """List the jobs of a cluster, most recently submitted first."""
    from rfe.jobs.client import open_jobs

    return open_jobs(address).all()


@needs("search")
def show_job(name: str, *, address: str | None = None) -> JobState:
    """Return one job of a cluster."""
    from rfe.jobs.client import open_jobs

    return open_jobs(address).find(name)


@needs("search")
def job_logs(name: str, *, address: str | None = None) -> str:
    """Return a job's output so far."""
    from rfe.jobs.client import open_jobs

    return open_jobs(address).logs(name)


@needs("search")
def stop_job(name: str, *, address: str | None = None) -> JobState:
    """Stop a job as Ctrl-C would, and wait until it has ended; what it trained is kept."""
    from rfe.jobs.client import open_jobs

    return open_jobs(address).stop(name)
