"""Ensembles of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.errors import ConfigError
from rfe.progress import Progress, SilentProgress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.ensemble.build import EnsembleResult
    from rfe.ensemble.selection import Selection


@dataclass(frozen=True)
class BuiltEnsemble:
    """What `ensemble` chose, and where it is kept."""

    name: str
    folder: Path
    result: EnsembleResult
    caveats: tuple[str, ...]
    run_id: str | None
    """Of its MLflow run; None where MLflow did not answer."""
    note: str = ""
    """Why there is no run."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "mlflow_run_id": self.run_id,
            "caveats": list(self.caveats),
            **self.result.to_dict(),
        }


def ensemble(
    studies: Sequence[str],
    data: Path | str | None = None,
    *,
    name: str | None = None,
    selection: Selection | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> BuiltEnsemble:
    """Choose an ensemble among the trials of studies on the same data; see `rfe.ensemble.build`.

    Args:
        studies: their names.
        data: the data folder; None: where it was when the first was searched.
        name: of the ensemble; None: `STUDY-ensemble`, of the first.
        selection: how members are chosen.
        workspace: holds the studies, and keeps the ensemble under `ensembles/NAME`.
        progress: told how far it is.

    Raises:
        ConfigError: no study is named.
        StudyError: no such study, other data, nothing to choose from, or an ensemble of other studies has the name.

    Examples:
        >>> rfe.api.ensemble(["first"], selection=Selection(method="nnls"))  # doctest: +SKIP
    """
    from rfe.data.caveats import TRANSDUCTIVE
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.ensemble.build import build_ensemble
    from rfe.ensemble.selection import Selection
    from rfe.ensemble.stored import ENSEMBLE_SUFFIX, check_name, read_ensemble, record_run, write_ensemble
    from rfe.journal.study import study_source
    from rfe.tracking.ensembles import draw_trajectory
    from rfe.workspace import find_study

    if not studies:
        raise ConfigError("ensemble: name at least one study (`rfe studies list` shows them)")
    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    studies = list(dict.fromkeys(studies))
    folders = [find_study(workspace, study) for study in studies]
    name = name or f"{studies[0]}{ENSEMBLE_SUFFIX}"
    check_name(workspace, name, studies)
    source, encoders = study_source(folders[0])
    place = str(data or source)
    dataset = load_dataset(local_folder(place, workspace.cache), encoders)
    about: dict[str, Any] = {
        "path": place if "://" in place else str(Path(place).absolute()),
        "encoders": None if encoders is None else list(encoders),
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "simulated": dataset.simulated,
    }
    result = build_ensemble(folders, dataset, selection or Selection(), progress)
    caveats = (*dataset.caveats, *([TRANSDUCTIVE] if result.is_transductive else []))
    about["caveats"] = list(caveats)
    folder = write_ensemble(workspace, name, result, about)
    stored = read_ensemble(workspace, name)
    draw_trajectory(folder, stored.about)
    record_run(folder, None)  # of an earlier one of that name
    run_id, note = _log(workspace, folder, stored.about)
    record_run(folder, run_id)
    return BuiltEnsemble(name, folder, result, caveats, run_id, note)


def _log(workspace: Workspace, folder: Path, about: Any) -> tuple[str | None, str]:
    """A tracking server that is away is no reason to lose an ensemble."""
    from rfe.tracking.ensembles import log_ensemble
    from rfe.tracking.mlflow_server import one_line, retrying_server

    try:
        return log_ensemble(retrying_server(workspace), workspace, folder, about), ""
    except Exception as error:  # of any kind the server's client has
        return None, f"not shown in MLflow: {one_line(error, workspace.mlflow_uri)}"
