"""Optuna's study made from the journal's trials, through Optuna's public calls alone: in memory, or in a file."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from rfe.errors import ConfigError, StudyError
from rfe.journal.asking import LearntTrial
from rfe.study.definition import StudyDefinition, read_definition
from rfe.study.samplers import build_distributions, sampler_state
from rfe.study.trials import TrialRow, read_history
from rfe.workspace import StudyFolder
from rfe.writing import write_bytes

STATES: dict[str, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
SOURCE = "warm_start"
"""User attribute of a trial that came from another study: `STUDY/NUMBER`."""
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")

Distributions = Mapping[str, BaseDistribution]


def create_study(
    definition: StudyDefinition, storage: BaseStorage | str | None = None, sampler: BaseSampler | None = None
) -> optuna.Study:
    """An empty study of Optuna's with the definition's name and objectives; None: in memory."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        study_name=definition.space.study,
        storage=storage,
        sampler=sampler,
        directions=["maximize"] * len(definition.space.objectives),
    )


def rebuild_study(
    definition: StudyDefinition,
    learnt: Iterable[LearntTrial],
    rows: Mapping[int, TrialRow],
    distributions: Distributions,
) -> tuple[optuna.Study, dict[int, optuna.Trial]]:
    """Rebuild Optuna's study in memory, as the last process that searched it left it.

    Args:
        definition: of the study.
        learnt: trials of another study, which have the first numbers.
        rows: its own trials by number, without gaps.
        distributions: of all parameters.

    Returns:
        The study, and its running trials by number.

    Raises:
        StudyError: the journal lacks what a trial needs.
    """
    study = create_study(definition, sampler=RandomSampler(seed=0))  # each cohort has its own sampler
    study.add_trials(freeze_learnt(one, distributions) for one in learnt)
    running: dict[int, optuna.Trial] = {}
    for number, row in sorted(rows.items()):
        if row.state == "running":
            # A trial that waits with all its parameters is handed out as it is. Optuna offers no other way to the
            # object of a running trial, by which scores are reported.
            study.add_trial(freeze_trial(row, definition, distributions, TrialState.WAITING))
            running[number] = study.ask()
        else:
            study.add_trial(freeze_trial(row, definition, distributions))
    return study, running


def freeze_trial(
    row: TrialRow, definition: StudyDefinition, distributions: Distributions, state: TrialState | None = None
) -> FrozenTrial:
    """The trial as Optuna has it, to be added to a study; `state` replaces the trial's own.

    Raises:
        StudyError: the journal, of an earlier version, lacks the trial's parameters.
    """
    reports_count = definition.space.objectives == ("score",)  # of other objectives they are no values
    params = dict(row.params)
    if row.state == "failed" and params.keys() != distributions.keys():
        params = {}  # samplers do not learn from failed trials
    try:
        if row.state != "failed" and params.keys() != distributions.keys():
            raise ValueError(f"it has {', '.join(params) or 'none'}, and the space {', '.join(distributions)}")
        trial = optuna.trial.create_trial(
            state=state or STATES[row.state],
            params=params,
            distributions={name: distributions[name] for name in params},
            values=row.values,
            user_attrs=dict(row.user_attrs),
            system_attrs=sampler_state(row.sampler, row.number),
            intermediate_values=dict(row.reports) if row.state == "pruned" and reports_count else None,
        )
    except ValueError as error:
        name = definition.space.study
        raise StudyError(
            f"study {name}: its journal does not hold what Optuna needs of trial {row.number} ({error}), so the study "
            "cannot go on. If an earlier version wrote it, search again under another name (--study NAME); else "
            f"restore it with `rfe studies pull {name}`. Its results can be shown and used as they are"
        ) from None
    if row.ended is not None:
        trial.datetime_start, trial.datetime_complete = row.started, row.ended
    return trial


def freeze_learnt(one: LearntTrial, distributions: Distributions) -> FrozenTrial:
    """A trial of another study, as a finished trial of this one; a failed one where only its number is known."""
    known = one.values is not None
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE if known else TrialState.FAIL,
        params=dict(one.params) if known else {},
        distributions=dict(distributions) if known else {},
        values=one.values,
        user_attrs={SOURCE: one.source},
    )


def write_optuna(folder: StudyFolder, file: Path) -> int:
    """Write the study as a storage file of Optuna's, for its dashboard and other tools.

    Args:
        folder: of the study, which may be worked on meanwhile.
        file: where to; `.db`, `.sqlite` and `.sqlite3` make a SQLite database, other suffixes Optuna's journal file.

    Returns:
        How many trials it holds, those of a warm start too.

    Raises:
        ConfigError: the file is there already.
        StudyError: there is no study, or its journal is damaged.
    """
    if file.exists():
        raise ConfigError(f"--output {file}: already exists; delete it, or name another file")
    definition = read_definition(folder.path)
    history = read_history(folder, definition)
    distributions = build_distributions(definition.resolved)
    trials = [freeze_learnt(one, distributions) for one in history.learnt or ()]
    trials += [freeze_trial(history.rows[number], definition, distributions) for number in sorted(history.rows)]
    with TemporaryDirectory() as scratch:  # of a plain name, as an address of SQLite needs it
        made = Path(scratch) / f"study{file.suffix}"
        _write_trials(definition, trials, made)
        write_bytes(file, made.read_bytes())
    return len(trials)


def _write_trials(definition: StudyDefinition, trials: Iterable[FrozenTrial], file: Path) -> None:
    if file.suffix in SQLITE_SUFFIXES:
        create_study(definition, f"sqlite:///{file}").add_trials(trials)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        create_study(definition, JournalStorage(JournalFileBackend(str(file)))).add_trials(trials)
