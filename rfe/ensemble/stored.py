"""Stores ensembles in the workspace: `ensembles/NAME/` with `ensemble.json`, the nested answers, the trajectory."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import read_arrays
from rfe.ensemble.build import EnsembleResult
from rfe.ensemble.calibrated import Decoding, Float32
from rfe.ensemble.candidates import StudyRecord, read_candidates
from rfe.ensemble.selection import Member, WeightedTrials
from rfe.errors import DataError, StudyError
from rfe.suggestions import nearest, unknown
from rfe.workspace import Workspace
from rfe.writing import write_bytes, write_json, write_text

ENSEMBLE_FILE = "ensemble.json"
TRAJECTORY_FILE = "trajectory.csv"
NESTED_FILE = "nested.npz"
RUN_FILE = "mlflow.json"
_FORMER = {"score_optimistic": "score_in_sample", "lower_95": "low", "upper_95": "high"}
"""What earlier versions called what a file has."""
ENSEMBLE_SUFFIX = "-ensemble"
"""Of the name of an ensemble that was given none, after its first study's."""


@dataclass(frozen=True)
class StoredEnsemble:
    """A stored ensemble."""

    name: str
    folder: Path
    ensemble: WeightedTrials
    about: Mapping[str, Any]
    """All of `ensemble.json`."""

    @property
    def decoding(self) -> Decoding:
        """The decoding of its average."""
        stored = self.about["selection"]["decoding"]
        return next((one for one in get_args(Decoding) if one == stored), "states")

    @property
    def data(self) -> str:
        """The data it was chosen on."""
        return str(self.about["data"]["path"])

    @property
    def run_id(self) -> str | None:
        """Id of its MLflow run; None where MLflow did not answer."""
        try:
            return str(json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))["run_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def encoders(self) -> tuple[str, ...] | None:
        """Those taken of the data; None: all."""
        encoders = self.about["data"]["encoders"]
        return None if encoders is None else tuple(encoders)


@dataclass(frozen=True)
class NestedAnswers:
    """Each training clip as answered by what was chosen without its fold."""

    filename: NDArray[np.str_]
    """[clip]"""
    answers: NDArray[np.int64]
    """[clip] states."""
    states: Float32 | None
    """[clip, state] the distributions behind the answers; None where thresholds decode."""


def check_name(workspace: Workspace, name: str, studies: Sequence[str]) -> Path:
    """The folder that an ensemble of these studies would have.

    Raises:
        StudyError: the name is a study's, an ensemble's of other studies, or none.
    """
    if workspace.study(name).exists():
        raise StudyError(f"--name {name}: is a study's name; an ensemble needs another name, e.g. {name}-ensemble")
    folder = workspace.ensembles / name
    former = _about(folder).get("studies", studies)
    if set(former) != set(studies):
        raise StudyError(
            f"--name {name}: is an ensemble of {', '.join(former)}, not of {', '.join(studies)}; give another name, or "
            f"remove {folder}"
        )
    return folder


def write_ensemble(workspace: Workspace, name: str, result: EnsembleResult, data: Mapping[str, Any]) -> Path:
    """Store an ensemble; an earlier one of that name and the same studies is replaced.

    Args:
        workspace: where it is kept.
        name: of the ensemble; no study may have it.
        result: what was chosen.
        data: path, encoders, name, fingerprint and caveats of the data set.

    Returns:
        Its folder.

    Raises:
        StudyError: as `check_name`.
    """
    folder = check_name(workspace, name, result.studies)
    write_text(folder / TRAJECTORY_FILE, _trajectory_csv(result))
    write_bytes(folder / NESTED_FILE, _nested_npz(result))
    write_json(folder / ENSEMBLE_FILE, {"name": name, "data": dict(data), **result.to_dict()})
    return folder


def record_run(folder: Path, run_id: str | None) -> None:
    """Store the id of the ensemble's MLflow run; None: it has none (any more)."""
    if run_id is None:
        (folder / RUN_FILE).unlink(missing_ok=True)
    else:
        write_json(folder / RUN_FILE, {"run_id": run_id})


def ensemble_names(workspace: Workspace) -> tuple[str, ...]:
    """Names of the ensembles that are kept, sorted."""
    return tuple(sorted(path.parent.name for path in workspace.ensembles.glob(f"*/{ENSEMBLE_FILE}")))


def unknown_result(workspace: Workspace, name: str) -> str:
    """A message that no study or ensemble has the name, with the closest one."""
    studies = workspace.study_names()
    known = [*studies, *ensemble_names(workspace)]
    if not known:
        return f"no study {name!r}: {workspace.root} holds no studies; is this the right --workspace?"
    line = f"no study and no ensemble is called {name!r} in {workspace.root}"
    study = name.removesuffix(ENSEMBLE_SUFFIX)
    if study != name and study in studies and workspace.study(study).journal.is_file():
        return f"{line}; `rfe ensemble {study}` makes that one"
    guess = nearest(name, known)
    return f"{line}; did you mean {guess}?" if guess else f"{line}; there are {', '.join(sorted(known)[:12])}"


def ensembles_with(workspace: Workspace, study: str) -> tuple[str, ...]:
    """Names of the ensembles that have trials of a study as members."""
    return tuple(
        name
        for name in ensemble_names(workspace)
        if study in {one.get("study") for one in _about(workspace.ensembles / name).get("members", ())}
    )


def _about(folder: Path) -> dict[str, Any]:
    """The content of `ensemble.json`; empty where it is missing or cannot be read."""
    try:
        about = json.loads((folder / ENSEMBLE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def read_ensemble(workspace: Workspace, name: str) -> StoredEnsemble:
    """The ensemble called `name`, with its members as their studies have them now.

    Raises:
        StudyError: not found, its file is damaged, or a member's study or trial no longer exists.
    """
    workspace.study(name)  # a name that leads elsewhere is refused
    folder = workspace.ensembles / name
    path = folder / ENSEMBLE_FILE
    if not path.is_file():
        raise StudyError(unknown("ensemble", name, ensemble_names(workspace)))
    try:
        about = json.loads(path.read_text(encoding="utf-8"), object_hook=_with_new_names)
        studies = {str(entry["study"]) for entry in about["members"]}
        for study in sorted(studies):
            if not workspace.study(study).journal.is_file():
                raise StudyError(
                    f"ensemble {name!r}: has members of study {study!r}, which is not there any more; bring it back "
                    f"with `rfe studies pull {study}` where MLflow has it, or choose the ensemble again"
                )
        wanted = {study: {entry["trial"] for entry in about["members"] if entry["study"] == study} for study in studies}
        records = {study: read_candidates(workspace.study(study), numbers=wanted[study]) for study in studies}
        members = tuple(_member(records[str(entry["study"])], name, entry) for entry in about["members"])
        return StoredEnsemble(name, folder, WeightedTrials(members, about["method"]), about)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise StudyError(f"{path}: damaged ({problem}); choose the ensemble again with `rfe ensemble`") from None


def _with_new_names(values: dict[str, Any]) -> dict[str, Any]:
    return {_FORMER.get(name, name): value for name, value in values.items()}


def read_nested(stored: StoredEnsemble) -> NestedAnswers:
    """The nested answers behind an ensemble's headline.

    Raises:
        StudyError: the file is absent or broken.
    """
    path = stored.folder / NESTED_FILE
    try:
        kept = read_arrays(path)
        states = kept["states"].astype(np.float32) if "states" in kept else None
        return NestedAnswers(kept["filenames"], kept["predicted_state"].astype(np.int64), states)
    except (DataError, KeyError, ValueError) as problem:
        raise StudyError(f"{path}: cannot be used ({problem}); choose the ensemble again with `rfe ensemble`") from None


def _nested_npz(result: EnsembleResult) -> bytes:
    smallest = np.min_scalar_type(-1 - int(result.answers.max(initial=0)))  # that holds every answer, and -1
    arrays: dict[str, Any] = {"filenames": result.filename, "predicted_state": result.answers.astype(smallest)}
    if result.states is not None:
        arrays["states"] = result.states.astype(np.float16)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _member(record: StudyRecord, name: str, entry: Mapping[str, Any]) -> Member:
    for candidate in record.candidates:
        if candidate.number == entry["trial"] and candidate.config_id == entry["config_id"]:
            return Member(candidate, float(entry["weight"]), float(entry["ratio_weight"]))
    raise StudyError(
        f"ensemble {name!r}: its member, trial {entry['trial']} of study {entry['study']!r}, is not there any more; "
        "choose the ensemble again with `rfe ensemble`"
    )


def _trajectory_csv(result: EnsembleResult) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["models", "mean_negative_log_likelihood"])
    rows.writerows((result.trajectory_start + step, f"{loss:.6f}") for step, loss in enumerate(result.trajectory))
    return text.getvalue()
