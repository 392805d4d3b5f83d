"""Candidates for the final predictor: a study's finished trials with the logged outputs of their fold models."""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.load import change_config, load_config
from rfe.config.schema import Config
from rfe.data.arrays import read_arrays
from rfe.data.dataset import Dataset
from rfe.decoding.base import Outputs
from rfe.errors import ConfigError, DataError, StudyError
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog, TrialLog
from rfe.journal.records import read_events
from rfe.task import Task
from rfe.training.record import TrialResult
from rfe.training.scoring import log_set_weights, n_presence_logits, n_salience_logits, presence_kind
from rfe.workspace import StudyFolder

CONFIG_FILE = "config.yaml"
OUTPUTS_FILE = "outputs.npz"

Float = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Candidate:
    """A finished configuration; where it was confirmed, its files are those of the retraining with fresh seeds."""

    study: str
    number: int
    config: Config
    """As the models were trained; a confirmed one has as many seeds as were confirmed, from the first fresh one."""
    config_id: str
    """Of the trial."""
    score: float
    """The search's score; optimistic for the best of many."""
    confirmed: tuple[float, ...] = ()
    """[seed] scores with seeds the search never used; empty if not confirmed."""
    confirmed_models: bool = False
    """Whether config, outputs and weights are those of the confirmation."""
    outputs: Path | None = None
    weights: Path | None = None
    seconds: float = math.nan
    """What the search's training took."""

    @property
    def rank_score(self) -> tuple[bool, float]:
        """The ranking key: confirmed candidates first, by their mean; the others by the search's score."""
        return (True, float(np.mean(self.confirmed))) if self.confirmed else (False, self.score)


@dataclass(frozen=True)
class ModelOutputs:
    """Raw outputs of one candidate's fold models."""

    source: Outputs
    """[seed, source clip, class] out-of-fold."""
    target: Outputs
    """[fold, seed, target clip, class] of every fold model; 0 clips where the data has no target."""
    set_offset: Float
    """[fold, set] log class-balance weight the fold's models were trained with."""
    folds: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class StudyRecord:
    """A study's candidates and metadata from its journal."""

    study: StudyLog
    candidates: tuple[Candidate, ...]
    """Finished trials by number; repetitions of another trial are left out."""
    scores: Mapping[str, float]
    """`score_best`, `score_selected` ... of the study as it last ended; empty while it has not."""


def read_candidates(
    folder: StudyFolder, *, confirmed: bool = True, numbers: Collection[int] | None = None
) -> StudyRecord:
    """Read a study's journal; of a trial or confirmation recorded more than once the last holds.

    Args:
        folder: the study's.
        confirmed: whether a confirmed trial stands with its retraining; False: with what the search itself trained.
        numbers: the trials that are wanted as candidates; None: all that are finished.

    Raises:
        StudyError: there is no such study, or its journal is damaged.
    """
    if not folder.journal.is_file():
        raise StudyError(f"study {folder.name!r}: no journal at {folder.journal}; see `rfe studies list` for the names")
    study = StudyLog(folder.name)
    trials: dict[int, TrialLog] = {}
    confirmations: dict[int, ConfirmationLog] = {}
    scores: Mapping[str, float] = {}
    for event in read_events(folder):
        if isinstance(event, StudyLog):
            study = event
        elif isinstance(event, TrialLog):
            trials[event.number] = event
        elif isinstance(event, ConfirmationLog):
            if confirmed:
                confirmations[event.number] = event
        elif isinstance(event, OutcomeLog):
            scores = event.scores
    finished = [
        _candidate(trial, confirmations.get(number))
        for number, trial in sorted(trials.items())
        if trial.score is not None and "duplicate_of" not in trial.tags and (numbers is None or number in numbers)
    ]
    return StudyRecord(study, tuple(finished), scores)


def load_outputs(candidate: Candidate, dataset: Dataset) -> ModelOutputs:
    """Read a candidate's logged outputs.

    Raises:
        StudyError: the file is absent, broken, or of other data.
    """
    with _usable_file(candidate) as path:
        return outputs_of(read_arrays(path), candidate.config, dataset)


def load_logits(candidate: Candidate, dataset: Dataset) -> Outputs:
    """The logits alone of a candidate's out-of-fold outputs, [seed, source clip, emotion]; the rest of the file is not
    read. Raises as `load_outputs`."""
    with _usable_file(candidate) as path:
        arrays = read_arrays(path, ("seeds", "presence_logits", "salience_logits"))
        task = dataset.clips.task
        arrays["fused"] = arrays["salience_logits"][..., : task.n_classes]  # unused: states need logits only
        return _part(arrays, "", (len(arrays["seeds"]), dataset.clips.n_source), task, candidate.config)


@contextmanager
def _usable_file(candidate: Candidate) -> Iterator[Path]:
    """The candidate's outputs; what goes wrong with them is a StudyError that names it, with the remedy."""
    path, where = candidate.outputs, f"study {candidate.study!r}, trial {candidate.number}"
    if path is None or not path.is_file():
        raise StudyError(f"{where}: its {OUTPUTS_FILE} was not kept; {_restore(candidate)}")
    try:
        yield path
    except (DataError, ValueError, TypeError, KeyError) as problem:
        raise StudyError(f"{where}: {path.name} cannot be used ({problem}); {_restore(candidate)}") from None


def _restore(candidate: Candidate) -> str:
    return (
        f"`rfe studies pull {candidate.study}` brings it back where MLflow or --storage has it, `rfe train --from "
        f"{candidate.study} --trial {candidate.number}` trains it again"
    )


def outputs_of(arrays: Mapping[str, NDArray[Any]] | TrialResult, config: Config, dataset: Dataset) -> ModelOutputs:
    """The outputs in a result, or in the arrays of an `outputs.npz`, which have the result's names.

    Raises:
        ValueError: the arrays are of other clips than the data set's, or of another kind of presence head.
    """
    if isinstance(arrays, TrialResult):
        arrays = vars(arrays)
    clips = dataset.clips
    seeds = tuple(int(seed) for seed in arrays["seeds"])
    source = _part(arrays, "", (len(seeds), clips.n_source), clips.task, config)
    target = _part(arrays, "target_", (len(clips.folds), len(seeds), clips.n_target), clips.task, config)
    return ModelOutputs(source, target, log_set_weights(config, clips), clips.folds, seeds)


def _part(
    arrays: Mapping[str, NDArray[Any]], prefix: str, shape: tuple[int, ...], task: Task, config: Config
) -> Outputs:
    names = [f"{prefix}{name}" for name in ("presence_logits", "salience_logits", "fused")]
    presence, salience, fused = (np.asarray(arrays[name], np.float32) for name in names)
    outputs = Outputs(presence, salience, fused, presence_kind(config))
    if outputs.fused.shape[:-1] != shape:
        raise ValueError(f"{names[-1]} has the shape {outputs.fused.shape[:-1]}, but the data and seeds are {shape}")
    if outputs.fused.shape[-1] != task.n_classes:
        raise ValueError(f"{names[-1]} has {outputs.fused.shape[-1]} classes, but the data's task has {task.n_classes}")
    if presence.shape[-1] != n_presence_logits(task, config):
        raise ValueError(
            f"{names[0]} has {presence.shape[-1]} logits for each clip, but loss.presence: {config.loss.presence} "
            f"has {n_presence_logits(task, config)}"
        )
    if salience.shape[-1] != n_salience_logits(task, config):
        raise ValueError(
            f"{names[1]} has {salience.shape[-1]} logits for each clip, but model.heads.ratio: "
            f"{config.model.heads.ratio} has {n_salience_logits(task, config)}"
        )
    return outputs


def _candidate(trial: TrialLog, confirmation: ConfirmationLog | None) -> Candidate:
    # Fresh seeds' models are the ones to hand in; where their files were not kept, the search's own remain.
    retrained = confirmation is not None and {CONFIG_FILE, OUTPUTS_FILE} <= set(confirmation.artifacts)
    log = confirmation if confirmation is not None and retrained else trial
    outputs = log.artifacts.get(OUTPUTS_FILE)
    return Candidate(
        study=trial.study,
        number=trial.number,
        config=_config(trial, confirmation if retrained else None),
        config_id=trial.config_id,
        score=trial.scores["score"],
        confirmed=confirmation.scores if confirmation is not None else (),
        confirmed_models=retrained,
        outputs=outputs if isinstance(outputs, Path) else None,
        weights=log.weights if isinstance(log.weights, Path) else None,
        seconds=trial.seconds,
    )


def _config(trial: TrialLog, confirmation: ConfirmationLog | None) -> Config:
    """The trial's configuration, with the seeds of its retraining where that is given."""
    if confirmation is None:
        return load_config(trial.config)
    path = confirmation.artifacts[CONFIG_FILE]
    with suppress(ConfigError, OSError, UnicodeDecodeError):
        if isinstance(path, Path):
            return load_config(path)
    first = confirmation.seeds[0]  # the file is lost or damaged: it differs by these
    changes = {"train.seed": first, "train.seeds": len(confirmation.seeds), "train.data_seed": first}
    return change_config(load_config(trial.config), changes)
