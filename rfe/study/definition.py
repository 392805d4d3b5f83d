"""Study definitions: what may not change when a study is resumed, and the files that hold it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.errors import RfeError, StudyError
from rfe.search_space import ResolvedSpace, SearchSpace, resolve
from rfe.writing import write_json, write_text

DEFINITION_FILE = "definition.json"
SPACE_FILE = "space.yaml"
JOURNAL_FILE = "journal.jsonl"
NOT_KEPT = {"notify"}
"""Of a space. `notify` holds a command, and a study's folder may be pulled from others: to resume it must not run what
they wrote."""
_RESTORE = "restore it with `rfe studies pull`, or delete the study's folder and search again"


@dataclass(frozen=True)
class StudyDefinition:
    """A search space over one data set's encoders, with a seed."""

    space: SearchSpace
    resolved: ResolvedSpace
    seed: int
    fingerprint: str
    """Of the data set."""
    warm_start: str | None = None
    """The study whose trials its sampler learnt from before its own; it cannot be changed later."""

    def identity(self) -> dict[str, Any]:
        """The values that identify the study: changing any of them makes another study.

        Budget, limits, confirmation, sampler, pruner and cohort size are left out: they may change when a study is
        resumed.
        """
        resolved = self.resolved
        parts = {
            "study": self.space.study,
            "objective": self.space.objective,
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "base": flatten(resolved.base),
            "space": {one.name: {k: v for k, v in asdict(one).items() if k != "name"} for one in resolved.dimensions},
            "min_size": resolved.min_size,
            "first_trials": list(resolved.first_trials),
            **({"arms": {name: dict(changes) for name, changes in resolved.arms.items()}} if resolved.arms else {}),
        }
        plain: dict[str, Any] = json.loads(json.dumps(parts))
        return plain


def define_study(space: SearchSpace, encoders: tuple[str, ...], *, seed: int, fingerprint: str) -> StudyDefinition:
    """The study of `space` on a data set with these encoders and this fingerprint.

    Raises:
        ConfigError: as `rfe.search_space.resolve`.

    Examples:
        >>> from rfe.search_space import load_space
        >>> space = load_space({"study": "first", "space": {"model.n_kept": {"int": [1, 3]}}})
        >>> define_study(space, ("face", "voice"), seed=0, fingerprint="").resolved.encoders
        ('face', 'voice')
    """
    return StudyDefinition(space, resolve(space, encoders), seed, fingerprint)


def write_definition(folder: Path, definition: StudyDefinition) -> None:
    """Keep the definition (as resolved) and the space (as given) in the study's folder."""
    content = {
        "identity": definition.identity(),
        "encoders": list(definition.resolved.encoders),
        "settings": definition.space.model_dump(mode="json", by_alias=True, exclude=NOT_KEPT),
        "warm_start": definition.warm_start,
    }
    write_text(folder / SPACE_FILE, definition.space.source)
    write_json(folder / DEFINITION_FILE, content)


def read_definition(folder: Path) -> StudyDefinition:
    """The definition a study was last opened with.

    Raises:
        StudyError: the folder holds no study, or its definition cannot be read.
    """
    content = _read(folder)
    try:
        settings = {name: value for name, value in content["settings"].items() if name not in NOT_KEPT}
        space = SearchSpace.model_validate(settings)
        identity = content["identity"]
        definition = define_study(
            space, tuple(content["encoders"]), seed=identity["seed"], fingerprint=identity["fingerprint"]
        )
        definition = replace(definition, warm_start=content.get("warm_start"))
    except (KeyError, TypeError, ValueError, AttributeError, RfeError) as error:
        raise StudyError(
            f"{folder / DEFINITION_FILE}: cannot be read as a study's definition: {error}; {_RESTORE}"
        ) from None
    source = folder / SPACE_FILE
    if not source.is_file():
        return definition
    return replace(definition, space=space.with_source(source.read_text(encoding="utf-8", errors="replace")))


def check_unchanged(folder: Path, definition: StudyDefinition) -> None:
    """Refuse to resume the study in `folder` under another definition; a new study always passes.

    Raises:
        StudyError: with every difference.
    """
    if not (folder / DEFINITION_FILE).is_file():
        return
    content = _read(folder)
    former = content.get("identity", {})
    if not isinstance(former, dict):
        raise StudyError(f"{folder / DEFINITION_FILE}: identity is no map; {_RESTORE}")
    if isinstance(base := former.get("base"), dict):  # a field that was added since then had no effect
        former = {**former, "base": {**json.loads(json.dumps(flatten(Config()))), **base}}
    found = differences(former, definition.identity())
    if not found:
        return
    if former.get("fingerprint") != definition.fingerprint:
        found.append(f"data: was {_data_of(content.get('settings'))}, now {definition.space.data.path}")
    raise StudyError(
        f"study {definition.space.study} in {folder} was started differently; what is searched, on which data and with "
        "which seed cannot change:\n"
        + "\n".join(f"  - {one}" for one in found)
        + "\nUndo the change to resume it, or give the changed study another name: --study NAME, or --name NAME of "
        f"`rfe ablate`. A search learns from this one's trials with --warm-start {definition.space.study}."
    )


def _data_of(settings: Any) -> str:
    """The location of a study's data."""
    try:
        return str(settings["data"]["path"])
    except (KeyError, TypeError):
        return "elsewhere"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each value in which two nested mappings differ: `base.train.lr: was 0.001, now 0.01`.

    Examples:
        >>> differences({"train": {"lr": 0.001}}, {"train": {"lr": 0.01, "epochs": 5}})
        ['train.epochs: is new, 5', 'train.lr: was 0.001, now 0.01']
    """
    before, after = _flat(old), _flat(new)
    lines = []
    for name in sorted(before | after):
        if name not in after:
            lines.append(f"{name}: was {before[name]!r}, now left out")
        elif name not in before:
            lines.append(f"{name}: is new, {after[name]!r}")
        elif before[name] != after[name]:
            lines.append(f"{name}: was {before[name]!r}, now {after[name]!r}")
    return lines


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, one in value.items():
        if isinstance(one, Mapping):
            flat |= _flat(one, f"{prefix}{name}.")
        else:
            flat[prefix + name] = one
    return flat


def _read(folder: Path) -> dict[str, Any]:
    path = folder / DEFINITION_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / JOURNAL_FILE).is_file():
            raise StudyError(f"{path}: is missing; {_RESTORE}") from None
        raise StudyError(f"{folder} holds no study ({DEFINITION_FILE} is missing); check its name") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); {_RESTORE}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: is no study's definition; {_RESTORE}")
    return content
