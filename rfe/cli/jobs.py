"""`rfe submit` and `rfe jobs`: commands as jobs on a Ray cluster."""

import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rfe import api
from rfe.cli.command import INTERRUPTED, Settings, command
from rfe.cli.options import AsJson, Dashboard
from rfe.cli.output import print_heading, print_json, print_lines, print_settings, print_table
from rfe.errors import ConfigError

if TYPE_CHECKING:
    from rfe.jobs.client import JobState, Submission
    from rfe.jobs.description import Job

group = typer.Typer(no_args_is_help=True, help="Jobs on a Ray cluster: list, look, stop.")
EXIT_CODES = {"SUCCEEDED": 0, "FAILED": 1, "STOPPED": INTERRUPTED}

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The job's name.")]


def register(app: typer.Typer) -> None:
    """Add the command and the group to the program."""
    app.command(
        epilog="Example: rfe submit --follow --workspace /shared/rfe -- search everything --data /shared/my-data"
    )(submit)
    app.add_typer(group, name="jobs")


@command
def submit(
    settings: Settings,
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB.yaml | -- COMMAND...",
            show_default=False,
            help="A job's file, or a command as typed after rfe, behind --.",
        ),
    ],
    address: Dashboard = None,
    name: Annotated[
        str | None, typer.Option("--name", show_default=False, help="Of the job; default the study's name.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what the job prints until it ends.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Submit a new job even if the name is taken.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be submitted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a training command to a Ray cluster as a job; running the same command again reattaches to it.

    The workspace must be an absolute folder of the cluster. Ctrl-C leaves the job running.
    """
    source = Path(words[0]) if len(words) == 1 and words[0].endswith((".yaml", ".yml")) else words
    job = api.plan_job(source, address=address, name=name, workspace=settings.workspace_path)
    _parse(context, job.words)
    if dry_run:
        print_json(job.to_dict()) if as_json else _print_job(job)
        return
    state = None
    try:
        submission = api.submit(job, new=new)
        state = submission.state
        if not as_json:
            _print_submission(submission)
        if follow:
            state = api.follow_job(state.name, _write_error if as_json else _write, address=job.address)
    except KeyboardInterrupt:
        submitted = state.name if state else job.name
        print_lines("", f"job {submitted} keeps running; stop it with: rfe jobs stop {submitted}{_at(job.address)}")
        raise typer.Exit(INTERRUPTED) from None
    print_json(state.to_dict()) if as_json else _print_next(state, job.address)
    if follow:
        raise typer.Exit(EXIT_CODES[state.status])


@group.command("list", epilog="Example: rfe jobs list")
@command
def list_(settings: Settings, address: Dashboard = None, as_json: AsJson = False) -> None:
    """List the jobs of a cluster, most recently submitted first."""
    jobs = api.list_jobs(address=address)
    if as_json:
        print_json([job.to_dict() for job in jobs])
    elif not jobs:
        print_lines("no jobs; start one with: rfe submit -- search everything --data DIR")
    else:
        rows = [[job.name, job.status, job.study, _time(job.started), _time(job.ended)] for job in jobs]
        print_table(["job", "state", "study", "submitted", "ended"], rows)


@group.command(epilog="Example: rfe jobs status everything")
@command
def status(settings: Settings, name: Name, address: Dashboard = None, as_json: AsJson = False) -> None:
    """Show one job."""
    job = api.show_job(name, address=address)
    print_json(job.to_dict()) if as_json else _print_state(job)


@group.command(epilog="Example: rfe jobs logs everything --follow")
@command
def logs(
    settings: Settings,
    name: Name,
    address: Dashboard = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends, with its exit code.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a job has printed."""
    if follow:
        state = api.follow_job(name, _write_error if as_json else _write, address=address)
        if as_json:
            print_json(state.to_dict())
        raise typer.Exit(EXIT_CODES[state.status])
    text = api.job_logs(name, address=address)
    print_json({"name": name, "logs": text}) if as_json else _write(text)


@group.command(epilog="Example: rfe jobs stop everything")
@command
def stop(settings: Settings, name: Name, address: Dashboard = None, as_json: AsJson = False) -> None:
    """Stop a job as Ctrl-C would: what it trained is kept, and submitting it again with --new resumes the work."""
    job = api.stop_job(name, address=address)
    print_json(job.to_dict()) if as_json else _print_state(job)


def _parse(context: typer.Context, words: tuple[str, ...]) -> None:
    """Have the program's own parser refuse a mistyped command here, and not on the cluster an hour later."""
    parser: Any = context.find_root().command
    rest = list(words)
    try:
        while hasattr(parser, "resolve_command"):
            _, parser, rest = parser.resolve_command(context, rest)
        parser.make_context(words[0], rest, parent=context)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what the parser raises for its users
            raise
        raise ConfigError(f"command: {error.format_message()}") from None


def _print_job(job: "Job") -> None:
    print_heading(f"job {job.name}: what would be submitted; nothing is started")
    shown = job.to_dict()
    shown["env"] = [f"{name}={value}" for name, value in job.environment.items()]
    shown["entrypoint_resources"] = [f"{amount:g} {name}" for name, amount in job.resources.items()]
    print_settings(shown)


def _print_submission(submission: "Submission") -> None:
    state = submission.state
    if not submission.attached:
        print_lines(f"job {state.name} is submitted, and {state.status}")
        return
    what = f"has ended with {state.status}; to run it again: --new" if state.has_ended else f"is {state.status} already"
    print_lines(f"job {state.name} {what}")
    if not submission.same_command:
        print_lines(f"it runs another command, {state.entrypoint}; for this one give another --name")


def _print_next(job: "JobState", address: str) -> None:
    """Print the job's state, where its results are, and the next commands."""
    if job.has_ended:
        print_lines(f"job {job.name}: {job.status}" + (f" ({job.message})" if job.status == "FAILED" else ""))
    else:
        print_lines(
            f"follow: rfe jobs logs {job.name} --follow{_at(address)}   stop: rfe jobs stop {job.name}{_at(address)}"
        )
    if job.mlflow_uri:
        print_lines(f"runs: rfe ui --tracking-uri {shlex.quote(job.mlflow_uri)}")
        if job.study:
            print_lines(f"study: rfe studies pull {job.study} --tracking-uri {shlex.quote(job.mlflow_uri)}")


def _print_state(job: "JobState") -> None:
    print_heading(f"job {job.name}: {job.status}")
    shown = {
        "study": job.study,
        "submitted": _time(job.started),
        "ended": _time(job.ended),
        "exit code": job.exit_code,
        "message": job.message,
        "workspace": job.workspace,
        "runs": job.mlflow_uri,
        "command": job.entrypoint,
    }
    print_settings({name: value for name, value in shown.items() if value not in (None, "")})


def _time(moment: float | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"


def _at(address: str) -> str:
    from rfe.secrets import redact_uri

    return f" --address {shlex.quote(redact_uri(address))}"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _write_error(text: str) -> None:
    """Write to standard error, as standard output is for JSON."""
    sys.stderr.write(text)
    sys.stderr.flush()
