"""Paths of the workspace: its folder, study folders and cache."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from rfe.errors import ConfigError, StudyError
from rfe.suggestions import unknown

SQLITE = "sqlite:///"
STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME_LETTERS = "letters, digits, dots, dashes and underscores, beginning with a letter or digit"
"""What names of studies and ablations are made of, which are names of folders."""


def member_problem(name: str) -> str | None:
    """Why a relative name inside an archive, manifest or listing may not be opened; None when it may."""
    if "\\" in name or "\0" in name:
        return f"the name {name!r} has a backslash or a NUL; names use /"
    member = PurePosixPath(name)
    if member.is_absolute() or (len(name) > 1 and name[1] == ":"):
        return f"the name {name!r} is absolute; names inside are relative"
    if ".." in member.parts or not member.parts:
        return f"the name {name!r} leads outside its folder"
    return None


def sqlite_uri(file: Path) -> str:
    """The MLflow URI of a database's file; `?` and `%` would mean something else in it."""
    return SQLITE + str(file).replace("%", "%25").replace("?", "%3F")


def database_file(uri: str) -> Path | None:
    """The file that an MLflow URI names; None for a server, another database, or one in memory."""
    path = unquote(uri.removeprefix(SQLITE).partition("?")[0])
    return Path(path) if uri.startswith(SQLITE) and path not in ("", ":memory:") else None


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study; nothing is created until someone writes."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def space(self) -> Path:
        """The search space as it was given."""
        return self.path / "space.yaml"

    @property
    def definition(self) -> Path:
        """JSON: what the study is, its space as resolved for the data's encoders included."""
        return self.path / "definition.json"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def outcome(self) -> Path:
        """The study's result, written when it ends."""
        return self.path / "outcome.json"

    @property
    def arms(self) -> Path:
        """JSON: an ablation's plan, and which of its arms is which trial; not there in other studies."""
        return self.path / "ablation.json"

    @property
    def books(self) -> tuple[Path, ...]:
        """The files that a study is rebuilt from, apart from its trials' files."""
        return self.space, self.definition, self.journal, self.outcome, self.arms, self.annotations

    @property
    def code(self) -> Path:
        """A file for each state of uncommitted code that the study was started from."""
        return self.path / "code"

    @property
    def annotations(self) -> Path:
        """JSON: the study's note and tags, and whether it is archived."""
        return self.path / "annotations.json"

    @property
    def mlflow_runs(self) -> Path:
        """JSON: tracking URI (redacted), experiment, parent run, and each trial's run id."""
        return self.path / "mlflow.json"

    @property
    def live(self) -> Path:
        """JSON: what the process that works on the study says of itself; gone when it ends well."""
        return self.path / "live.json"

    @property
    def stop_request(self) -> Path:
        """JSON: which session is asked to stop."""
        return self.path / "stop.json"

    @property
    def requests(self) -> Path:
        """One JSON file for each thing that is asked of the study and was not taken up yet."""
        return self.path / "requests"

    @property
    def checkpoints(self) -> Path:
        """How far unfinished trials are."""
        return self.path / "checkpoints"

    def trial(self, number: int) -> Path:
        """The folder of trial `number`'s artifacts."""
        return self.path / "trials" / f"{number:05d}"

    def exists(self) -> bool:
        return self.path.is_dir()


@dataclass(frozen=True)
class Workspace:
    """Everything a user's work leaves behind, under one absolute folder."""

    root: Path
    mlflow_uri: str
    """Where MLflow keeps runs; may carry credentials, so show `redact_uri` of it."""
    cache: Path
    """Prepared features, by content; local to the node."""

    @property
    def ensembles(self) -> Path:
        """A folder for each ensemble, by its name."""
        return self.root / "ensembles"

    @property
    def artifacts(self) -> Path:
        """Files of MLflow runs, where MLflow is a database and not a server."""
        return self.root / "artifacts"

    @property
    def studies(self) -> Path:
        return self.root / "studies"

    def study(self, name: str) -> StudyFolder:
        """The folder of study `name`, existing or not.

        Raises:
            StudyError: the name is not one plain folder name.
        """
        if not (isinstance(name, str) and STUDY_NAME.fullmatch(name)):
            raise StudyError(f"study name {name!r}: use at most 100 {NAME_LETTERS}")
        return StudyFolder(self.studies / name)

    def study_names(self) -> tuple[str, ...]:
        """Names of the studies that have a folder, sorted."""
        if not self.studies.is_dir():
            return ()
        folders = (folder.name for folder in self.studies.iterdir() if folder.is_dir())
        return tuple(sorted(name for name in folders if STUDY_NAME.fullmatch(name)))

    def tracked_at(self, uri: str | None) -> "Workspace":
        """The same folder with runs at `uri`, an MLflow tracking URI; None: as it is.

        Raises:
            ConfigError: as `tracking_uri`.
        """
        return self if uri is None else Workspace(self.root, tracking_uri(self.root, uri, "--tracking-uri"), self.cache)


def open_workspace(path: Path | None = None) -> Workspace:
    """The workspace at `path`, else at `RFE_WORKSPACE`, else at `./rfe-workspace`; folders are made when needed.

    `MLFLOW_TRACKING_URI` and `RFE_CACHE` are respected.

    Raises:
        ConfigError: the folder is relative inside a Ray job, whose working directory is temporary; it is a file; or
            the tracking URI is one that MLflow no longer takes.
    """
    given = path if path is not None else Path(os.environ.get("RFE_WORKSPACE") or "rfe-workspace")
    given = given.expanduser()
    if not given.is_absolute() and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        raise ConfigError(
            f"workspace {str(given)!r} is relative, and a Ray job's working directory is deleted when the job ends; "
            "set RFE_WORKSPACE to an absolute folder that stays"
        )
    root = given.absolute()
    if root.exists() and not root.is_dir():
        raise ConfigError(f"workspace {root} is a file; name a folder with RFE_WORKSPACE")
    cache = Path(os.environ.get("RFE_CACHE") or root / "cache").expanduser().absolute()
    return Workspace(root, tracking_uri(root, os.environ.get("MLFLOW_TRACKING_URI", "")), cache)


def node_cache(cache: Path) -> Path:
    """The cache on this node: where its own `RFE_CACHE` says, else the driver's path `cache`."""
    return Path(os.environ.get("RFE_CACHE") or cache).expanduser().absolute()


def tracking_uri(root: Path, given: str, named: str = "MLFLOW_TRACKING_URI") -> str:
    """The MLflow tracking URI: `given`, with a relative SQLite path made absolute, or SQLite in the workspace.

    Raises:
        ConfigError: `given` is a folder or a `file:` URI, as MLflow has no file store any more; or it has a bare `?`.
    """
    if not given:
        return sqlite_uri(root / "mlflow.db")
    if (file := database_file(given)) is not None:
        options = given.partition("?")[2]
        if options and "=" not in options:
            raise ConfigError(
                f"{named}={given!r}: in an address `?` begins options, which are NAME=VALUE; write %3F for a `?` in a "
                "folder's name, and %25 for a `%`"
            )
        return sqlite_uri(file.absolute()) + (f"?{options}" if options else "")
    if "://" not in given and given not in ("databricks", "uc"):
        raise ConfigError(
            f"{named}={given!r} is a folder, and MLflow keeps no runs in folders any more; "
            "use http://HOST:PORT, sqlite:///PATH, or leave it unset"
        )
    if given.startswith("file:"):
        raise ConfigError(
            f"{named}={given!r}: MLflow keeps no runs in folders any more; "
            "use http://HOST:PORT, sqlite:///PATH, or leave it unset"
        )
    return given


def find_study(workspace: Workspace, name: str) -> StudyFolder:
    """The folder of an existing study.

    Raises:
        StudyError: not found; suggests the closest name.
    """
    folder = find_folder(workspace, name)
    if not folder.journal.is_file():
        raise StudyError(
            f"study {name!r}: {folder.journal} is missing, and with it the trials' results; `rfe studies pull {name}` "
            f"brings it back where MLflow or --storage has it; else `rfe studies delete {name}`, and search again"
        )
    return folder


def find_folder(workspace: Workspace, name: str) -> StudyFolder:
    """The folder of a study whose journal may be missing.

    Raises:
        StudyError: not found; suggests the closest name.
    """
    folder = workspace.study(name)
    if any(path.is_file() for path in folder.books):
        return folder
    names = [one for one in workspace.study_names() if one != name]
    if (workspace.ensembles / name).is_dir():
        raise StudyError(f"{name!r} is an ensemble, not a study; it is kept in {workspace.ensembles / name}")
    if not names:
        raise StudyError(f"no study {name!r}: {workspace.root} holds no studies; is this the right --workspace?")
    raise StudyError(f"{unknown('study', name, names)} (`rfe studies list` shows all of {workspace.root})")
