"""What helps to write files: their JSON Schema, and a folder to begin with."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Any, Literal, get_args

from rfe.errors import ConfigError
from rfe.suggestions import unknown
from rfe.writing import write_bytes, write_json, write_text

SchemaKind = Literal["config", "space", "plan", "job", "mapping", "task"]
KINDS: tuple[SchemaKind, ...] = get_args(SchemaKind)
TEMPLATES = Path(__file__).parents[1] / "scaffold"
SCAFFOLD = {"space.yaml": "space.yaml", "plan.yaml": "plan.yaml", "job.yaml": "job.yaml"} | {
    "README.md": "README.md",
    ".gitignore": "gitignore",
}
"""File of a new project -> its template."""
JOBS = TEMPLATES / "jobs"
"""In a checkout a link to the folder at its top; in an installed package a copy of it."""


def schema(kind: str = "space") -> dict[str, Any]:
    """JSON Schema (2020-12) of the file of a configuration, a search space, an ablation plan, a job, an import, a task.

    Raises:
        ConfigError: `kind` is none of these.

    Examples:
        >>> rfe.api.schema("space")["title"]
        'A search space of rfe'
    """
    if kind == "config":
        from rfe.config.json_schema import config_schema

        return config_schema()
    if kind == "space":
        from rfe.search_space.json_schema import space_schema

        return space_schema()
    if kind == "plan":
        return _plan_schema()
    if kind == "job":
        from rfe.config.json_schema import model_schema
        from rfe.jobs.description import JobSpec

        return model_schema(JobSpec, "A job of rfe")
    if kind == "mapping":
        from rfe.config.json_schema import model_schema
        from rfe.data.mapping import ImportMapping

        return model_schema(ImportMapping, "A mapping of rfe data import")
    if kind == "task":
        from rfe.config.json_schema import model_schema
        from rfe.task import TaskFile

        return model_schema(TaskFile, "A task of rfe")
    raise ConfigError(unknown("kind of file", kind, KINDS))


def _plan_schema() -> dict[str, Any]:
    from rfe.ablation.plan import Plan
    from rfe.config.json_schema import CONFIG, field_schemas, model_schema, refer
    from rfe.search_space.json_schema import searched_definitions, searched_fields

    def several(name: str) -> dict[str, Any]:
        return {"type": "array", "items": refer(name)}

    parts = {
        "base": {"anyOf": [refer("StudyBase"), {"type": "string"}, refer(CONFIG)]},
        "fixed": refer(CONFIG),
        "retune_space": searched_fields(),
        "sweeps": field_schemas(lambda name: {"anyOf": [{"const": "all"}, several(name)]}),
        "factorial": field_schemas(several),
        "custom": {"type": "object", "additionalProperties": field_schemas(refer)},
    }
    return model_schema(Plan, "A plan of ablations of rfe", parts, **searched_definitions())


def init(folder: Path | str) -> list[Path]:
    """Create a project folder: a space, a plan, a job, ready jobs for clusters (`jobs/`), schemas for editors, a
    `.gitignore`, and a README with the next commands.

    Args:
        folder: made if need be; its name becomes the study's.

    Returns:
        The files that were written.

    Raises:
        ConfigError: the folder is a file, or has one of the files already; nothing is written then.

    Examples:
        >>> _ = rfe.api.init(Path("my-project"))
        >>> Path("my-project/space.yaml").is_file()
        True
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; name a folder")
    there = [name for name in (*SCAFFOLD, *_job_files(), *_schema_files()) if (folder / name).exists()]
    if there:
        raise ConfigError(f"{folder}: has {', '.join(there)} already; name another folder, or move them away")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.absolute().name).strip("-._")[:60] or "fusion"
    for file, template in SCAFFOLD.items():
        text = Template((TEMPLATES / template).read_text(encoding="utf-8"))
        write_text(folder / file, text.substitute(name=name, folder=folder.absolute()))
    for file, job in _job_files().items():
        write_bytes(folder / file, job.read_bytes())
    for file, kind in _schema_files().items():
        write_json(folder / file, schema(kind))
    return [folder / file for file in (*SCAFFOLD, *_job_files(), *_schema_files())]


def _job_files() -> dict[str, Path]:
    return {f"jobs/{path.name}": path for path in sorted(JOBS.iterdir()) if path.is_file()}


def _schema_files() -> dict[str, SchemaKind]:
    return {f"schemas/{kind}.json": kind for kind in KINDS}
