"""A study as the subject of a report: what ran, its named scores, its best trials, its search, its best model."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import OUTPUTS_FILE, Candidate, StudyRecord
from rfe.ensemble.candidates import read_candidates as read_record
from rfe.ensemble.selection import select_single
from rfe.errors import StudyError
from rfe.journal.study import StudyJournal, read_journal
from rfe.metrics.intervals import Interval, score_interval
from rfe.reporting.report.answers import Answers, read_study_answers
from rfe.reporting.report.document import (
    ReportSection,
)
from rfe.reporting.report.models import model_section
from rfe.reporting.report.runs import training_seconds, what_ran
from rfe.reporting.report.searching import search_section
from rfe.reporting.report.subject import OPTIMISTIC, Headline, ReportData, Subject
from rfe.reporting.report.trials import all_trials, curve_blocks, scored_trials, trial_blocks
from rfe.search.outcome import study_scores
from rfe.study import StudyScore, read_definition, read_study
from rfe.workspace import StudyFolder

SELECTED = "the study's result: each fold is answered by the trial that is best on the other folds"
NOT_CHOSEN = "one trial, cross-validated: nothing was chosen by it"


def study_subject(folder: StudyFolder, data: ReportData) -> Subject:
    """Build the report's sections on a study.

    Raises:
        StudyError: its journal or definition cannot be read.
    """
    journal, record = read_journal(folder), read_record(folder)
    prefix = f"{folder.name}-"
    definition = read_definition(folder.path) if folder.definition.is_file() else None
    headlines = tuple(_headlines(journal, record, data.dataset))
    sections = [what_ran(folder, journal, data)]
    trials = scored_trials(journal)
    if trials:
        sections.append(ReportSection("Best trials", tuple(trial_blocks(journal, prefix))))
    if definition is not None:
        sections.append(search_section(journal, definition, read_study(folder.path).trials, data, prefix))
    sections.append(ReportSection("Learning curves", tuple(curve_blocks(trials, prefix))))
    if record.candidates:
        best = select_single(record.candidates).members[0].candidate
        chosen = len(journal.trials) > 1
        sections.append(model_section(best, data, prefix, describe_candidate(best), chosen=chosen))
    return Subject(
        folder.name,
        "study",
        journal.study.data,
        journal.study.data_fingerprint,
        journal.study.simulated,
        journal.study.caveats,
        headlines,
        tuple(sections),
        len(trials),
        training_seconds(journal),
        (all_trials(journal, prefix),),
        tuple(_remarks(journal, record)),
    )


def describe_candidate(candidate: Candidate) -> str:
    """`trial 12, retrained with 5 fresh seeds`."""
    if candidate.confirmed_models:
        return f"trial {candidate.number}, retrained with {len(candidate.confirmed)} fresh seeds,"
    return f"trial {candidate.number}"


def _headlines(journal: StudyJournal, record: StudyRecord, dataset: Dataset | None) -> Iterator[Headline]:
    ended = journal.outcome.scores if journal.outcome is not None else {}
    trials, alone = scored_trials(journal), len(journal.trials) == 1
    _, selected = study_scores(trials, dataset) if dataset is not None and trials else (None, None)
    if selected is not None and dataset is not None:
        yield Headline(
            "score_selected",
            selected.score,
            selected.acc_presence,
            selected.acc_salience,
            _selected_interval(selected, journal, record, dataset),
            NOT_CHOSEN if alone else SELECTED,
        )
    elif "score_selected" in ended:
        yield Headline(
            "score_selected",
            ended["score_selected"],
            about=NOT_CHOSEN if alone else "the study's result, as it last ended",
        )
    confirmed = [one for one in record.candidates if one.confirmed]
    if confirmed:
        top = select_single(confirmed).members[0].candidate
        intervals = _intervals(top, dataset) if top.confirmed_models else None
        yield Headline(
            "confirmed",
            float(np.mean(top.confirmed)),
            intervals["acc_presence"].estimate if intervals else None,
            intervals["acc_salience"].estimate if intervals else None,
            intervals["score"].bounds() if intervals else None,
            f"trial {top.number}, mean of {len(top.confirmed)} seeds that the search never used; the best of "
            f"{len(confirmed)} so trained, a little optimistic by that",
        )
    if trials and not (alone and (selected is not None or "score_selected" in ended)):
        log = max(trials, key=lambda one: (float(one.scores["score"]), -one.number))
        yield Headline(
            "score_best",
            float(log.scores["score"]),
            log.scores.get("acc_presence"),
            log.scores.get("acc_salience"),
            None,
            NOT_CHOSEN if alone else f"trial {log.number}, {OPTIMISTIC}",
        )


def _intervals(candidate: Candidate, dataset: Dataset | None) -> Mapping[Any, Interval] | None:
    if dataset is None:
        return None
    try:
        return read_study_answers(candidate, dataset).intervals()
    except StudyError:
        return None


def _selected_interval(
    selected: StudyScore, journal: StudyJournal, record: StudyRecord, dataset: Dataset
) -> tuple[float, float] | None:
    """95%, over actors; of the search's own runs, not of confirmations."""
    clips = dataset.clips
    fold = clips.fold[: clips.n_source]
    by_number = {one.number: one for one in record.candidates}
    parts: dict[int, Answers] = {}
    try:
        for number in set(selected.trials):
            own = journal.trials[number].artifacts.get(OUTPUTS_FILE)  # a confirmed candidate's are the confirmation's
            outputs = own if isinstance(own, Path) else None
            parts[number] = read_study_answers(replace(by_number[number], outputs=outputs), dataset)
    except (StudyError, KeyError):
        return None
    if len({len(part.predicted) for part in parts.values()}) != 1:
        return None
    predicted = np.empty_like(next(iter(parts.values())).predicted)
    for position, number in enumerate(selected.trials):
        mine = fold == clips.folds[position]
        predicted[:, mine] = parts[number].predicted[:, mine]
    return score_interval(Answers(clips, predicted).table()).bounds()


def _remarks(journal: StudyJournal, record: StudyRecord) -> Iterator[str]:
    official = [one for one in record.candidates if one.config.protocol == "official"]
    if official:
        yield (
            f"{journal.study.study}: {len(official)} trials used protocol `official`, which chooses thresholds and "
            "epoch on the reported fold: comparable with published validation numbers only, and optimistic."
        )
    if journal.outcome is None or not journal.ended:
        yield f"{journal.study.study}: has not ended; its numbers are those of the trials so far."
