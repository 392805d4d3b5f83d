"""Reads a command as typed after `rfe`, as far as a job needs: its study, its data, the files it names."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rfe.config.load import load_config
from rfe.errors import ConfigError, RfeError
from rfe.search_space.load import load_space
from rfe.search_space.ready_made import find_space, ready_made

NOT_IN_A_JOB = ("submit", "jobs", "ui")


@dataclass(frozen=True)
class TypedCommand:
    """See the module; use `read`."""

    words: tuple[str, ...] = ()
    """As the job runs them: without data and workspace, local YAML files under the name they are uploaded by."""
    study: str | None = None
    data: str | None = None
    workspace: str | None = None
    files: dict[str, Path] = field(default_factory=dict)
    """Name in the job's working directory -> local file."""

    @property
    def kind(self) -> str:
        """The command's own name."""
        return self.words[0] if self.words else ""

    @classmethod
    def read(cls, command: str | Sequence[str], folder: Path, problems: list[str]) -> "TypedCommand":
        """Read `command`; sentences on what is wrong with it go to `problems`.

        Args:
            folder: relative paths start here.
        """
        try:
            words = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            problems.append(f"command: {command!r} cannot be read ({error}); check its quotes")
            return cls()
        words = words[1:] if words[:1] == ["rfe"] else words
        if not words or words[0].startswith("-") or words[0] in NOT_IN_A_JOB:
            problems.append(
                f"command: {' '.join(words) or 'nothing'!r} cannot be a job; give a command that trains, "
                "e.g. search everything --data DIR"
            )
            return cls()
        workspace, words = _take(words, "--workspace")
        data, words = _take(words, "--data", "-d")
        address, words = _take(words, "--address")
        if address is not None:
            problems.append("command: --address belongs to the job: put it before -- (or use the field address)")
        files: dict[str, Path] = {}
        source = None
        for index, word in enumerate(words[1:], 1):
            path = folder / word
            if word.endswith((".yaml", ".yml")) and path.is_file():
                path = path.resolve()
                inside = path.is_relative_to(folder.resolve())
                words[index] = path.relative_to(folder.resolve()).as_posix() if inside else path.name
                if files.setdefault(words[index], path) != path:
                    problems.append(f"command: two files would both be {words[index]} in the job; rename one")
                source = source or path
            elif source is None and word in ready_made():
                source = find_space(word)
        return cls(tuple(words), _study(words, source, problems), data, workspace, files)


def _study(words: list[str], source: Path | None, problems: list[str]) -> str | None:
    """The name of the study that the command makes; its space or configuration is checked on the way."""
    study, rest = _take(words, "--study")
    former, rest = _take(rest, "--from")
    trial, rest = _take(rest, "--trial")
    overrides = []
    while True:
        override, rest = _take(rest, "--set", "-s")
        if override is None:
            break
        overrides.append(override)
    try:
        if words[0] == "search":
            return study or load_space(source or find_space(_first(rest)), overrides).study
        if words[0] == "train" and former is None:
            load_config(source or find_space(_first(rest)), overrides)
            return study or (source or Path(_first(rest))).stem
        if words[0] == "train":
            return study or f"{former}-trial-{trial}"
    except RfeError as error:
        problems.append(f"command: {error}")
    return study


def _first(words: list[str]) -> str:
    positional = [word for word in words[1:] if not word.startswith("-")]
    if not positional:
        raise ConfigError(f"{words[0]} needs a YAML file or the name of a ready-made one, e.g. everything")
    return positional[0]


def _take(words: list[str], *names: str) -> tuple[str | None, list[str]]:
    """(value of the first of these options, the words without it); `--name value` and `--name=value` alike."""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name not in names:
            continue
        if equals:
            return value, words[:index] + words[index + 1 :]
        return (words[index + 1] if index + 1 < len(words) else ""), words[:index] + words[index + 2 :]
    return None, words
