"""All trials of a study as one table: a row each, with parameters, scores, folds, cost and confirmation."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from rfe.data.caveats import is_transductive
from rfe.errors import ConfigError
from rfe.journal.events import ConfirmationLog, TrialLog
from rfe.journal.study import StudyJournal
from rfe.reporting.watch.values import find_value, plain_value, shown_parameters
from rfe.writing import write_beside

Parameters = Literal["searched", "all"]
SUFFIXES = (".csv", ".parquet")
ABOUT = (
    *("trial", "state", "ended", "seconds", "wait_s", "memory_mb", "gpu_memory_mb", "gpu_percent", "worker"),
    *("config_id", "duplicate_of", "arm", "reason", "confirmed_mean", "confirmed_sd", "confirmed_seeds"),
)
"""Columns that every table has, in this order, before scores, folds and parameters:

`trial`: its number. `state`: complete, pruned or failed. `ended`: time, UTC. `seconds`: of training, its share of its
stack's. `wait_s`: seconds until a worker took it. `memory_mb`, `gpu_memory_mb`: peaks in MiB. `gpu_percent`: mean use.
`worker`: WORKER@HOST. `config_id`: equal for equal configurations. `duplicate_of`: the trial whose result this one
copies. `arm`: of an ablation. `reason`: why it failed or was pruned. `confirmed_...`: mean, standard deviation and
number of fresh seeds, of confirmed trials.
"""
NUMBERS = ("seconds", "wait_s", "memory_mb", "gpu_memory_mb", "gpu_percent", "confirmed_mean", "confirmed_sd")
TEXTS = ("state", "worker", "config_id", "reason", "arm")


def trial_table(journal: StudyJournal, parameters: Parameters = "searched") -> pd.DataFrame:
    """A row for each trial that has ended, by number.

    Args:
        journal: of the study.
        parameters: `searched`: what the study searches; `all`: every field of the effective configurations.

    Returns:
        Columns `ABOUT`; each score by its name (`score`, `acc_presence` ..., `..._se`: standard error; `score_sd`:
        standard deviation over the trial's own seeds, where it has several); each fold's (`score_fold0` ...);
        `transductive`, where a trial is (see `rfe.decoding.design`); each parameter by its dotted
        name. A parameter that did not count in a trial is missing there, as is a score that it does not have.
    """
    trials = list(journal.trials.values())
    rows = [_about(one, journal.confirmations.get(one.number)) for one in trials]
    table = pd.DataFrame(rows, columns=list(ABOUT))
    scores = _names(one.scores for one in trials if one.state == "complete")
    folds = sorted({(metric, fold) for one in trials for metric, values in one.per_fold.items() for fold in values})
    wanted = shown_parameters(list(journal.study.space))
    if parameters == "all" or not wanted:
        wanted = _names(one.config for one in trials)
    columns: dict[str, pd.Series[Any]] = {}
    for name in scores:
        columns[name] = _numbers(one.scores.get(name) if one.state == "complete" else None for one in trials)
    for metric, fold in folds:
        columns[f"{metric}_fold{fold}"] = _numbers(one.per_fold.get(metric, {}).get(fold) for one in trials)
    if any(is_transductive(one.config) for one in trials):
        columns["transductive"] = pd.Series([is_transductive(one.config) for one in trials], dtype="boolean")
    for name in wanted:
        values = _parameter(trials, name)
        if values.notna().any():
            columns[name] = values
    typed = {
        "trial": table["trial"].astype("int64"),
        "ended": pd.to_datetime(table["ended"], unit="s", utc=True),
        **{name: table[name].astype("float64") for name in NUMBERS},
        **{name: table[name].astype("string") for name in TEXTS},
        **{name: table[name].astype("Int64") for name in ("duplicate_of", "confirmed_seeds")},
    }
    return pd.DataFrame({**{name: typed[name] for name in ABOUT}, **columns})


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as its file's name says, whole or not at all.

    Raises:
        ConfigError: as `check_table_file`.
    """
    check_table_file(path)
    with write_beside(path) as beside:
        if path.suffix.lower() == ".csv":
            table.to_csv(beside, index=False, lineterminator="\n")
        else:
            table.to_parquet(beside, index=False)


def check_table_file(path: Path) -> None:
    """Refuse a file that no table can be written to, before the journal is read.

    Raises:
        ConfigError: its name ends with neither .csv nor .parquet, it is a folder, or Parquet is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--output {path}: a table is written as {' or '.join(SUFFIXES)}; end the name with one")
    if path.is_dir():
        raise ConfigError(f"--output {path}: is a folder; name a file in it")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ModuleNotFoundError:
            raise ConfigError(
                f"--output {path}: Parquet needs pyarrow, which is not installed; pip install pyarrow, or write .csv"
            ) from None


def _about(trial: TrialLog, confirmation: ConfirmationLog | None) -> dict[str, Any]:
    known: dict[str, Any] = {
        "trial": trial.number,
        "ended": trial.time or None,
        "duplicate_of": _whole(trial.tags.get("duplicate_of")),
        "arm": trial.tags.get("arm"),
    }
    for name in ABOUT:
        if name not in known and hasattr(trial, name):
            known[name] = getattr(trial, name)
    if confirmation is not None:
        known |= {
            "confirmed_mean": confirmation.mean,
            "confirmed_sd": confirmation.sd if len(confirmation.scores) > 1 else None,
            "confirmed_seeds": len(confirmation.scores),
        }
    return {name: None if value == "" else value for name, value in known.items()}


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _names(many: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """All keys, in the order in which they come first."""
    return tuple(dict.fromkeys(name for one in many for name in one))


def _numbers(values: Iterable[float | None]) -> "pd.Series[Any]":
    return pd.Series([math.nan if value is None else float(value) for value in values], dtype="float64")


def _parameter(trials: Sequence[TrialLog], name: str) -> "pd.Series[Any]":
    """One column of one type: whole numbers, numbers, or text."""
    values: list[Any] = []
    for one in trials:
        try:
            values.append(plain_value(find_value(one.config, name)))
        except (KeyError, TypeError):
            values.append(None)
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return pd.Series(values, dtype="Int64")
    if kinds <= {int, float}:
        return _numbers(values)
    return pd.Series([None if value is None else str(value) for value in values], dtype="string")
