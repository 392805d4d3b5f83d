"""The part of a manifest that a bundle is used by, as a schema: a bundle may come from anyone."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rfe.config.fields import problems_of
from rfe.data.task import parse_task
from rfe.errors import ConfigError, SubmissionError
from rfe.task import BLEMORE, Task

BUNDLE_VERSION = 4
"""Of what is written; 4 added the task."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class EncoderForm(_Form):
    dim: Annotated[int, Field(ge=1)]
    sha256: str


class DataForm(_Form):
    encoders: Annotated[dict[str, EncoderForm], Field(min_length=1)]
    caveats: list[str]
    source_clips: Annotated[int, Field(ge=0)]


class MemberForm(_Form):
    folder: str
    folds: Annotated[list[Annotated[int, Field(ge=-1, lt=2**31)]], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)]
    target_actors: Literal["known", "pseudo", "unknown"] | None


class SubmissionForm(_Form):
    clips: Annotated[int, Field(ge=0)]
    extension: str


class ManifestForm(_Form):
    ensemble: str | None = None
    study: str | None = None
    trial: int | None = None
    data: DataForm
    members: Annotated[list[MemberForm], Field(min_length=1)]
    submission: SubmissionForm | None = None


def bundle_task(manifest: Mapping[str, Any], name: str) -> Task:
    """The task of a bundle's models: its manifest's; BlEmoRE's in bundles of formats before 4, which name none.

    Args:
        manifest: of the bundle.
        name: of the manifest, for messages.

    Raises:
        SubmissionError: what it holds is no task.
    """
    if "task" not in manifest and manifest.get("format_version", BUNDLE_VERSION) < BUNDLE_VERSION:
        return BLEMORE
    value = manifest.get("task")
    if not isinstance(value, dict):
        raise SubmissionError(f"{name}: 'task' must say which labels the models answer; export the bundle again")
    try:
        return parse_task(value, f"{name}: task")
    except ConfigError as problem:
        raise SubmissionError(str(problem)) from None


def form_problems(manifest: Mapping[str, Any]) -> list[str]:
    """List what a manifest lacks, or has in a form that the predictor cannot read."""
    problems = problems_of(ManifestForm, dict(manifest))
    if not problems and manifest.get("ensemble") is None and None in (manifest.get("study"), manifest.get("trial")):
        problems.append("names neither an ensemble nor a study and its trial")
    return problems
