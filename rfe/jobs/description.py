"""Descriptions of Ray jobs, from a YAML file or a typed command, with all defaults filled in; sends nothing.

Source: Ray Jobs, https://docs.ray.io/en/latest/cluster/running-applications/job-submission/.
"""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from rfe.config.fields import problems_of
from rfe.config.reading import read_yaml
from rfe.config.schema import Section
from rfe.data.remote import SECRET_IN_URI, is_uri
from rfe.errors import ConfigError, gather
from rfe.jobs.typed_command import TypedCommand
from rfe.secrets import SECRET_NAME, SECRET_NAMES, carries_secret, redact_uri
from rfe.workspace import STUDY_NAME, tracking_uri

UPLOAD_LIMIT_MB = 20
"""Spaces and configurations go with a job; data does not."""
STOP_WAIT_S = 60
"""Between SIGTERM and SIGKILL. Ray's own 3 s are too few to end workers and MLflow runs."""
SECRETS_FILE = "rfe-secrets.sh"


class JobSpec(Section):
    """A job as its YAML file has it."""

    command: str | list[str]
    """An rfe command without `rfe`, as typed: `search everything --trials 200`. YAML files that it names go with it."""
    name: str | None = None
    """The submission id; the same again attaches. Left out: the study's name."""
    address: str | None = None
    """The cluster's dashboard, `http://HOST:8265`. Left out: RAY_API_SERVER_ADDRESS, else this machine's."""
    data: str | None = None
    """The data folder: a path that every node sees, or a URI (`s3://...`) that every node fetches once."""
    workspace: str | None = None
    """An absolute folder, seen by the cluster's head, that stays when the job has ended. Left out: RFE_WORKSPACE."""
    tracking_uri: str | None = None
    """Where MLflow keeps the runs. Left out: SQLite in the workspace."""
    upload: list[str] = Field(default_factory=list)
    """Further small files below this one's folder; the command finds them under the same relative path."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment of driver and workers. Ray shows it to all who may ask for the job, and logs it: nothing secret."""
    secrets_from_env: list[str] = Field(default_factory=list)
    """Names of environment variables whose values are taken from where the job is submitted, and are never shown."""
    python: str | None = None
    """The absolute interpreter that has rfe, on the cluster. Left out: that of the submitting rfe."""
    entrypoint_resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """What Ray reserves for the driver (CPU, GPU, memory in bytes, or the cluster's own); {}: it runs on the head."""
    pending_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """A job that no node has room for is given up after so long; Ray itself lists it as PENDING for longer."""


@dataclass(frozen=True)
class Job:
    """A complete job description. Secret values are in `secrets` only, which is never shown."""

    name: str
    study: str | None
    """None: the command makes no study."""
    address: str
    words: tuple[str, ...]
    """The command after `rfe`, as the job runs it."""
    python: str
    workspace: str
    mlflow_uri: str
    """As `Workspace.mlflow_uri`; without credentials."""
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    files: Mapping[str, Path]
    """Path in the job's working directory -> local file."""
    resources: Mapping[str, float]
    pending_timeout_s: float

    @property
    def entrypoint(self) -> str:
        """The shell line. `exec`, so that Ray's SIGTERM reaches the program and Ray sees it end."""
        program = shlex.join([self.python, "-m", "rfe", *self.words])
        read = f". ./{SECRETS_FILE} && rm -f {SECRETS_FILE} && " if self.secrets else ""
        return f"{read}exec {program}"

    def secrets_script(self, submission_id: str) -> str:
        """A shell script that sets the secrets.

        It goes with the uploaded files, because Ray shows and logs `env_vars`. The id makes each job's upload another
        one: Ray unpacks an upload once, and the script is removed when it was read.
        """
        lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(self.secrets.items())]
        lines.append(f"export {SECRET_NAMES}={shlex.quote(' '.join(sorted(self.secrets)))}")
        return "\n".join([f"# {submission_id}", *lines]) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """All of it for people: secrets by name only, URIs without credentials."""
        return {
            "name": self.name,
            "study": self.study,
            "address": redact_uri(self.address),
            "entrypoint": self.entrypoint,
            "workspace": self.workspace,
            "mlflow_uri": self.mlflow_uri,
            "env": dict(self.environment),
            "secrets_from_env": sorted(self.secrets),
            "upload": sorted(self.files),
            "entrypoint_resources": dict(self.resources),
            "pending_timeout_s": self.pending_timeout_s,
        }


def load_job(
    source: Path | Sequence[str],
    *,
    address: str | None = None,
    name: str | None = None,
    workspace: Path | None = None,
) -> Job:
    """The job of a YAML file, or of a command's words as typed after `rfe`; options win over the file.

    Args:
        source: the file, or the words.
        address, name, workspace: as the fields of `JobSpec`.

    Raises:
        ConfigError: every fault of the description at once; a space or configuration that it names is wrong.
    """
    if isinstance(source, Path):
        given, heading, folder = read_yaml(source), str(source), source.absolute().parent
    else:
        given, heading, folder = {"command": list(source)}, "rfe submit", Path.cwd()
        if uri := os.environ.get("MLFLOW_TRACKING_URI"):
            given["tracking_uri"] = uri
    options = {"address": address, "name": name, "workspace": None if workspace is None else str(workspace)}
    given |= {field: value for field, value in options.items() if value is not None}
    gather(problems_of(JobSpec, given), ConfigError, heading)
    return complete_job(JobSpec.model_validate(given), folder, heading)


def complete_job(spec: JobSpec, folder: Path, heading: str = "job") -> Job:
    """Fill in what `spec` leaves out.

    Args:
        folder: relative paths of `upload`, `data` and of the command's YAML files start here.
        heading: names the description in messages.

    Raises:
        ConfigError: as `load_job`.
    """
    problems: list[str] = []
    typed = TypedCommand.read(spec.command, folder, problems)
    files = _find_uploads(spec, folder, problems) | typed.files
    if sum(path.stat().st_size for path in files.values()) > UPLOAD_LIMIT_MB * 2**20:
        problems.append(
            f"upload: {len(files)} files of over {UPLOAD_LIMIT_MB} MB in all; put data where the nodes see it, "
            "and name it with data"
        )
    workspace = spec.workspace or typed.workspace or os.environ.get("RFE_WORKSPACE") or ""
    if not PurePosixPath(workspace).is_absolute():
        what = f"{workspace!r} is relative" if workspace else "is not given"
        problems.append(
            f"workspace: {what}, and a job's working directory is deleted when it ends; "
            "name an absolute folder of the cluster that stays, with workspace, --workspace or RFE_WORKSPACE"
        )
    address = spec.address or os.environ.get("RAY_API_SERVER_ADDRESS") or "http://127.0.0.1:8265"
    problems += address_problems(address)
    python = spec.python or sys.executable
    if not PurePosixPath(python).is_absolute():
        problems.append(f"python: {python!r} is relative; name the absolute path that the interpreter has on the head")
    if spec.data is not None and typed.data is not None:
        problems.append("data: is given twice, with data and in the command; leave one of the two out")
    data = _place_data(spec.data or typed.data, folder, problems)
    if data is not None and is_uri(data) and carries_secret(data):
        problems.append(f"data: {redact_uri(data)} {SECRET_IN_URI}, e.g. with secrets_from_env")
    problems += [
        f"env: {name} looks like a secret, and Ray shows env to all who may ask for the job; take it out, and name it "
        "under secrets_from_env"
        for name, value in spec.env.items()
        if SECRET_NAME.search(name) or carries_secret(value)
    ]
    uri = _tracking_uri(workspace, spec.tracking_uri, problems)
    secrets = _read_secrets(spec, problems)
    name = spec.name or typed.study or typed.kind
    if typed.words and not STUDY_NAME.fullmatch(name):
        problems.append(f"name: {name!r} must be at most 100 letters, digits, dots, dashes and underscores")
    gather(problems, ConfigError, heading)
    environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S), **spec.env, "RFE_WORKSPACE": workspace}
    # A URI may carry a password
    (environment if redact_uri(uri) == uri else secrets)["MLFLOW_TRACKING_URI"] = uri
    return Job(
        name=name,
        study=typed.study,
        address=address,
        words=(*typed.words, *(("--data", data) if data else ())),
        python=python,
        workspace=workspace,
        mlflow_uri=redact_uri(uri),
        environment=environment,
        secrets=secrets,
        files=files,
        resources=dict(spec.entrypoint_resources),
        pending_timeout_s=spec.pending_timeout_s,
    )


def address_problems(address: str) -> list[str]:
    """Why `address` cannot be that of a Ray dashboard, in a sentence; nothing if it can."""
    if address.startswith(("http://", "https://")):
        return []
    return [f"address: {address!r} is not the URL of a Ray dashboard; it looks like http://HOST:8265"]


def _find_uploads(spec: JobSpec, folder: Path, problems: list[str]) -> dict[str, Path]:
    found = {}
    for given in spec.upload:
        path = (folder / given).resolve()
        if not path.is_relative_to(folder.resolve()):
            problems.append(f"upload: {given} lies outside of {folder}; copy it there")
        elif not path.is_file():
            what = "is a folder; name its files" if path.is_dir() else "does not exist; check the path"
            problems.append(f"upload: {given} {what}")
        else:
            found[path.relative_to(folder.resolve()).as_posix()] = path
    return found


def _place_data(data: str | None, folder: Path, problems: list[str]) -> str | None:
    """The data as the cluster's nodes can find it."""
    if data is None or is_uri(data) or PurePosixPath(data).is_absolute():
        return data
    if (folder / data).is_dir():
        return str((folder / data).absolute())
    problems.append(f"data: {data!r} is relative; name the absolute folder that the cluster's nodes see, or a URI")
    return None


def _tracking_uri(workspace: str, given: str | None, problems: list[str]) -> str:
    try:
        return tracking_uri(Path(workspace), given or "")
    except ConfigError as error:
        problems.append(f"tracking_uri: {error}")
        return ""


def _read_secrets(spec: JobSpec, problems: list[str]) -> dict[str, str]:
    secrets = {}
    for name in spec.secrets_from_env:
        if name in spec.env:
            problems.append(f"secrets_from_env: {name} is also in env, where everybody sees it; take it out there")
        elif not name.isidentifier():
            problems.append(f"secrets_from_env: {name!r} is not the name of an environment variable")
        elif (value := os.environ.get(name)) is None:
            problems.append(f"secrets_from_env: {name} is not set here; set it where you submit")
        else:
            secrets[name] = value
    return secrets
