"""The trials of an ablation's study: found by configuration, their answers put together for an arm."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.ablation.study import ArmPart, read_arms
from rfe.data.arrays import read_arrays
from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import Candidate, read_candidates
from rfe.errors import StudyError
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.workspace import StudyFolder


def read_trials(folder: StudyFolder, dataset: Dataset) -> tuple[dict[str, Candidate], dict[str, str]]:
    """Configuration id -> its trial; configuration id -> why it has none."""
    record = read_candidates(folder)
    if record.study.data_fingerprint not in ("", dataset.fingerprint):
        raise StudyError(f"ablation {folder.name!r}: was run on other data than {dataset.path}; give its own --data")
    reasons = {
        event.config_id: event.reason or event.state
        for event in read_events(folder)
        if isinstance(event, TrialLog) and event.state != "complete"
    }
    return {candidate.config_id: candidate for candidate in record.candidates}, reasons


def arm_states(
    parts: Sequence[ArmPart], by_id: Mapping[str, Candidate], dataset: Dataset, where: str
) -> NDArray[np.int64]:
    """[seed, source clip] states, each fold's of the configuration that answers it."""
    whole: NDArray[np.int64] | None = None
    for part in parts:
        states = read_outputs(by_id[part.config_id], where)["predicted_state"].astype(np.int64)
        whole = states if whole is None else np.where(fold_rows(dataset, part.choice.folds), states, whole)
    assert whole is not None  # an arm has at least one configuration
    return whole


def arm_gate(
    parts: Sequence[ArmPart], by_id: Mapping[str, Candidate], dataset: Dataset, where: str
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Gate scores and what was kept, both [seed, source clip, encoder], each fold's of the configuration answering it.

    Raises:
        StudyError: they were not kept.
    """
    gates = [read_outputs(by_id[part.config_id], where) for part in parts]
    scores, kept = gates[0]["gate_scores"], gates[0]["kept"]
    for part, gate in zip(parts[1:], gates[1:], strict=True):
        rows = fold_rows(dataset, part.choice.folds)[:, None]
        scores, kept = np.where(rows, gate["gate_scores"], scores), np.where(rows, gate["kept"], kept)
    return scores, np.asarray(kept, np.bool_)


def read_outputs(candidate: Candidate, where: str) -> dict[str, NDArray[Any]]:
    """`predicted_state`, `gate_scores` and `kept` of a trial.

    Raises:
        StudyError: they were not kept.
    """
    if candidate.outputs is None or not candidate.outputs.is_file():
        raise StudyError(f"{where}: its outputs were not kept; run the ablation again under another --name")
    return read_arrays(candidate.outputs, ("predicted_state", "gate_scores", "kept"))


def fold_rows(dataset: Dataset, folds: Sequence[int]) -> NDArray[np.bool_]:
    """[source clip] whether the clip is of one of `folds`; none named: of any."""
    fold = dataset.clips.fold[: dataset.clips.n_source]
    return np.isin(fold, folds) if len(folds) else np.ones(len(fold), np.bool_)


def arm_trials(folder: StudyFolder) -> dict[str, tuple[int, ...]]:
    """Arm -> the numbers of its trials, as far as they finished."""
    numbers = {candidate.config_id: candidate.number for candidate in read_candidates(folder).candidates}
    parts = read_arms(folder).parts
    return {arm: tuple(numbers[p.config_id] for p in mine if p.config_id in numbers) for arm, mine in parts.items()}
