"""Two trials of a study side by side: what differs in them, and how sure the difference of their scores is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.load import flatten, load_config
from rfe.data.arrays import read_arrays
from rfe.data.caveats import TRANSDUCTIVE, is_transductive
from rfe.data.metadata import Clips, read_clips
from rfe.data.scores import answer_influence, answer_totals
from rfe.errors import ConfigError, DataError, StudyError
from rfe.journal.events import ConfirmationLog, TrialLog
from rfe.journal.study import StudyJournal
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import NO_TEST, difference_interval
from rfe.writing import PlainRecord

Named = re.compile(r"(\d+)(:confirmed)?")


@dataclass(frozen=True)
class ComparedTrial:
    """One of the two."""

    name: str
    """`12`, or `12:confirmed`."""
    config: Mapping[str, Any]
    """Effective configuration, dotted name -> value."""
    log: TrialLog | ConfirmationLog


@dataclass(frozen=True)
class PartDifference:
    """One score of both; differences are second minus first."""

    first: float
    second: float
    difference: float
    low: float | None = None
    """Of the 95% interval of the difference, over actors and seeds."""
    high: float | None = None
    p_value: float | None = None
    """Of no difference; None with one seed."""


@dataclass(frozen=True)
class TrialDifference(PlainRecord):
    """See the module."""

    study: str
    first: str
    second: str
    parameters: Mapping[str, tuple[Any, Any]]
    """Those that differ, dotted name -> values; None where it does not count."""
    scores: Mapping[str, PartDifference]
    """`score`, `acc_presence`, `acc_salience`."""
    folds: Mapping[int, tuple[float, float]]
    """Fold -> scores of both."""
    notes: tuple[str, ...]


def diff_trials(journal: StudyJournal, first: str, second: str, data: Path | None) -> TrialDifference:
    """Compare two trials or confirmations, named as `12` or `12:confirmed`.

    Args:
        journal: of the study.
        first, second: which; differences are second minus first.
        data: the study's data folder, whose labels and actors intervals need; None: unknown.

    Raises:
        ConfigError, StudyError: no such trial, or one that did not complete.
    """
    arms = [find_arm(journal, name) for name in (first, second)]
    before, after = (arm.config for arm in arms)
    parameters = {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }
    notes: tuple[str, ...] = ()
    scores: dict[str, PartDifference] = {}
    folds: dict[int, tuple[float, float]] = {}
    try:
        clips, answered = _read_answers(journal.study.study, arms, data)
        tables = [answer_influence(clips, one) for one in answered]
    except (StudyError, DataError) as error:
        notes = (f"no intervals: {error}",)
        rows = [_logged(arm) for arm in arms]
        for part in PARTS:
            if part in rows[0] and part in rows[1]:
                one, other = rows[0][part], rows[1][part]
                scores[part] = PartDifference(one, other, other - one)
        folds = _logged_folds(arms)
    else:
        said_already: tuple[str, ...] = ()
        if tables[0].n_seeds != tables[1].n_seeds:
            seeds = " and ".join(str(table.n_seeds) for table in tables)
            notes = (
                f"{seeds} seeds: means over seeds are compared, so the interval covers the actors only, and there is "
                "no p-value",
            )
            said_already = (NO_TEST,)
            tables = [table.mean_over_seeds() for table in tables]
        for part in PARTS:
            if not all(part in table.estimates for table in tables):
                continue
            values = [table.estimates[part] for table in tables]
            interval = difference_interval(tables[1], tables[0], part)
            low, high = interval.bounds()
            notes += tuple(note for note in interval.notes if note not in (*notes, *said_already))
            scores[part] = PartDifference(
                values[0], values[1], interval.estimate, _finite(low), _finite(high), interval.p_value
            )
        by_fold = [answer_totals(clips, one).mean().score_by_fold.tolist() for one in answered]
        folds = dict(zip(clips.folds, zip(*by_fold, strict=True), strict=True))
    if any(is_transductive(config) for config in (before, after)):
        notes += (TRANSDUCTIVE,)
    return TrialDifference(journal.study.study, arms[0].name, arms[1].name, parameters, scores, folds, notes)


def find_arm(journal: StudyJournal, name: str) -> ComparedTrial:
    """The trial or confirmation called so.

    Raises:
        ConfigError: not a name of either.
        StudyError: not found, or the trial did not complete.
    """
    found = Named.fullmatch(name)
    if found is None:
        raise ConfigError(f"trial {name!r}: name a trial by its number, 12, or its confirmation, 12:confirmed")
    trial = journal.find_trial(int(found[1]))
    if trial.score is None:
        raise StudyError(
            f"study {trial.study!r}, trial {trial.number}: it {trial.state}, so it has no score to compare"
        )
    if not found[2]:
        return ComparedTrial(name, trial.config, trial)
    confirmation = journal.confirmations.get(trial.number)
    if confirmation is None:
        known = ", ".join(f"{number}:confirmed" for number in sorted(journal.confirmations))
        raise StudyError(
            f"study {trial.study!r}: trial {trial.number} was not confirmed; confirmed are: {known or 'none'}"
        )
    config = confirmation.artifacts.get("config.yaml")
    known_config = config if isinstance(config, Path) and config.is_file() else None
    return ComparedTrial(name, flatten(load_config(known_config)) if known_config else trial.config, confirmation)


def _read_answers(study: str, arms: list[ComparedTrial], data: Path | None) -> tuple[Clips, list[NDArray[np.int64]]]:
    """The data folder's clips, and for each arm the states [seed, source clip] that it answered."""
    if data is None or not data.is_dir():
        raise StudyError(f"study {study!r}: its data folder {data or ''} is not here; name it with --data")
    clips = read_clips(data)
    return clips, [_predicted(study, arm, clips) for arm in arms]


def _predicted(study: str, arm: ComparedTrial, clips: Clips) -> NDArray[np.int64]:
    path = arm.log.artifacts.get("outputs.npz")
    if not isinstance(path, Path) or not path.is_file():
        raise StudyError(f"study {study!r}, trial {arm.name}: its outputs.npz is not here")
    filenames, states = read_arrays(path, ("filenames", "predicted_state")).values()
    if not np.array_equal(filenames, clips.filename[: clips.n_source]):
        raise StudyError(f"study {study!r}, trial {arm.name}: its clips are not those of the data folder")
    return states.astype(np.int64)


def _logged(arm: ComparedTrial) -> dict[str, float]:
    if isinstance(arm.log, ConfirmationLog):
        return {"score": arm.log.mean}
    return dict(arm.log.scores)


def _logged_folds(arms: list[ComparedTrial]) -> dict[int, tuple[float, float]]:
    rows = [arm.log.per_fold.get("score", {}) if isinstance(arm.log, TrialLog) else {} for arm in arms]
    return {fold: (rows[0][fold], rows[1][fold]) for fold in sorted(rows[0].keys() & rows[1].keys())}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
