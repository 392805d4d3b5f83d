"""A study as the subject of a report: what ran, its named scores, its best trials, its search, its best model."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import OUTPUTS_FILE, Candidate, StudyRecord
from rfe.ensemble.candidates import read_study as read_record
from rfe.ensemble.selection import select_single
from rfe.errors import StudyError
from rfe.metrics.intervals import Interval, score_interval
from rfe.reporting.report.answers import Answers, read_answers
from rfe.reporting.report.document import (
    Axis,
    Block,
    Colour,
    Column,
    Figure,
    Line,
    Panel,
    Points,
    Section,
    Table,
    Text,
)
from rfe.reporting.report.models import model_section
from rfe.reporting.report.searching import scored_trials, search_section
from rfe.reporting.report.subject import OPTIMISTIC, Data, Headline, Subject
from rfe.reporting.studies import StudyJournal, changed_settings, read_journal
from rfe.search.outcome import study_scores
from rfe.study import StudyScore, read_study
from rfe.tracking.base import TrialLog
from rfe.workspace import StudyFolder

TOP_TRIALS = 20
MOST_CURVES = 5
MOST_SEARCHED = 12
"""Columns of searched parameters in the table of trials; all are in the CSV of all trials."""
SHADES: tuple[Colour, ...] = ("blue", "orange", "green", "purple", "grey")


def study_subject(folder: StudyFolder, data: Data) -> Subject:
    """Everything that is said of a study.

    Raises:
        StudyError: its journal or definition cannot be read.
    """
    journal, record = read_journal(folder), read_record(folder)
    prefix = f"{folder.name}-"
    view = read_study(folder.path) if folder.definition.is_file() else None
    headlines = tuple(_headlines(journal, record, data.dataset))
    sections = [what_ran(folder, journal, data)]
    trials = scored_trials(journal)
    if trials:
        sections.append(Section("Best trials", tuple(trial_blocks(journal, prefix))))
    if view is not None:
        sections.append(search_section(journal, view.definition, view.trials, data, prefix))
    sections.append(Section("Learning curves", tuple(curve_blocks(trials, prefix))))
    if record.candidates:
        best = select_single(record.candidates).members[0].candidate
        sections.append(model_section(best, data, prefix, describe_candidate(best)))
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


def training_seconds(journal: StudyJournal) -> float | None:
    """Of all trials together; None where none was logged."""
    seconds = [log.seconds for log in journal.trials.values() if math.isfinite(log.seconds)]
    return float(sum(seconds)) if seconds else None


def what_ran(folder: StudyFolder, journal: StudyJournal, data: Data) -> Section:
    """Data, commit, seeds, cost."""
    log, logs = journal.study, list(journal.trials.values())
    states = [one.state for one in logs]
    copies = sum("duplicate_of" in one.tags for one in logs)
    counts = ", ".join(f"{states.count(name)} {name}" for name in ("complete", "pruned", "failed") if name in states)
    seconds = training_seconds(journal)
    memory = [one.memory_mb for one in logs if math.isfinite(one.memory_mb)]
    times = [one.time for one in logs if one.time]
    seeds = sorted({one.config.get("train.seeds", 1) for one in logs})
    rows: list[tuple[str, Any]] = [
        ("study", folder.name),
        ("data", log.data + (" (simulated)" if log.simulated else "")),
        ("data fingerprint", log.data_fingerprint),
        *_sizes(data.dataset),
        ("git commit", log.git_commit or "not known"),
        ("trials", f"{len(logs)}: {counts or 'none ended'}" + (f"; {copies} are copies of others" if copies else "")),
        ("seeds", f"study seed {log.settings.get('seed', 'not known')}; {_list(seeds)} training seeds for each trial"),
        ("confirmed", f"{len(journal.confirmations)} trials, with fresh seeds" if journal.confirmations else "none"),
        ("state", _state(journal)),
        ("cost", "not logged" if seconds is None else f"{_duration(seconds)} of training, all trials together"),
        ("time from start to end", _elapsed(folder)),
        ("most memory of a worker", f"{max(memory):,.0f} MiB" if memory else None),
        ("first and last trial ended", f"{_moment(min(times))}, {_moment(max(times))}" if times else None),
    ]
    rows += [(name, value) for name, value in sorted(log.settings.items()) if name not in ("seed", "data.path")]
    blocks: list[Block] = [
        Table(
            f"{folder.name}-what-ran",
            "What ran",
            (Column(""), Column("value")),
            tuple((name, value) for name, value in rows if value is not None),
        )
    ]
    failed = [(one.number, one.state, one.reason) for one in logs if one.state != "complete"]
    if failed:
        reasons: dict[tuple[str, str], int] = {}
        for _, state, reason in failed:
            reasons[state, reason] = reasons.get((state, reason), 0) + 1
        blocks.append(
            Table(
                f"{folder.name}-not-complete",
                "Trials without a score",
                (Column("state"), Column("reason"), Column("trials")),
                tuple((state, reason, n) for (state, reason), n in sorted(reasons.items(), key=lambda item: -item[1])),
            )
        )
    return Section("What ran", tuple(blocks))


def _sizes(dataset: Dataset | None) -> list[tuple[str, Any]]:
    if dataset is None:
        return []
    clips = dataset.clips
    actors = np.unique(clips.actor[: clips.n_source])
    target = f"{clips.n_target} clips, unlabelled" if clips.n_target else "none: nothing to adapt to or to hand in"
    return [
        ("training clips", f"{clips.n_source} of {int((actors >= 0).sum())} actors, in {len(clips.folds)} folds"),
        ("target", target),
        ("encoders", ", ".join(f"{name} ({file.dim})" for name, file in dataset.encoders.items())),
    ]


def _state(journal: StudyJournal) -> str:
    if journal.outcome is None or not journal.ended:
        return "has not ended: these are the trials so far"
    return journal.outcome.state


def _elapsed(folder: StudyFolder) -> str | None:
    try:
        return _duration(float(json.loads(folder.outcome.read_text(encoding="utf-8"))["elapsed_s"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _headlines(journal: StudyJournal, record: StudyRecord, dataset: Dataset | None) -> Iterator[Headline]:
    ended = journal.outcome.scores if journal.outcome is not None else {}
    trials = scored_trials(journal)
    _, selected = study_scores(trials, dataset) if dataset is not None and trials else (None, None)
    if selected is not None and dataset is not None:
        yield Headline(
            "score_selected",
            selected.score,
            selected.acc_presence,
            selected.acc_salience,
            _selected_interval(selected, journal, record, dataset),
            "the study's result: each fold is answered by the trial that is best on the other folds",
        )
    elif "score_selected" in ended:
        yield Headline("score_selected", ended["score_selected"], about="the study's result, as it last ended")
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
    if trials:
        log = max(trials, key=lambda one: (float(one.scores["score"]), -one.number))
        yield Headline(
            "score_best",
            float(log.scores["score"]),
            log.scores.get("acc_presence"),
            log.scores.get("acc_salience"),
            None,
            f"trial {log.number}, {OPTIMISTIC}",
        )


def _intervals(candidate: Candidate, dataset: Dataset | None) -> Mapping[Any, Interval] | None:
    if dataset is None:
        return None
    try:
        return read_answers(candidate, dataset).intervals()
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
            parts[number] = read_answers(replace(by_number[number], outputs=outputs), dataset)
    except (StudyError, KeyError):
        return None
    if len({len(part.predicted) for part in parts.values()}) != 1:
        return None
    predicted = np.empty_like(next(iter(parts.values())).predicted)
    for position, number in enumerate(selected.trials):
        mine = fold == clips.folds[position]
        predicted[:, mine] = parts[number].predicted[:, mine]
    return score_interval(Answers(clips, predicted).table()).bounds()


def trial_blocks(journal: StudyJournal, prefix: str) -> Iterator[Block]:
    """The best trials, with what was searched."""
    trials = sorted(scored_trials(journal), key=lambda log: (-float(log.scores["score"]), log.number))
    searched = _searched(journal, trials)
    confirmed = journal.confirmations

    def row(log: TrialLog, names: Sequence[str]) -> tuple[Any, ...]:
        confirmation = confirmed.get(log.number)
        return (
            log.number,
            float(log.scores["score"]),
            log.scores.get("score_se"),
            log.scores.get("acc_presence"),
            log.scores.get("acc_salience"),
            confirmation.mean if confirmation is not None else None,
            confirmation.sd if confirmation is not None and len(confirmation.scores) > 1 else None,
            log.seconds if math.isfinite(log.seconds) else None,
            *(_cell(log.config.get(name)) for name in names),
        )

    head = (
        Column("trial"),
        Column("Score"),
        Column("standard error"),
        Column("presence"),
        Column("salience"),
        Column("confirmed"),
        Column("sd over seeds"),
        Column("seconds", 1),
    )
    shown = searched[:MOST_SEARCHED]
    note = "Score and its halves are the search's own, and optimistic for the best; confirmed: mean over fresh seeds."
    if len(searched) > len(shown):
        note += f" {len(searched) - len(shown)} more parameters were searched; they are in {prefix}all-trials.csv."
    yield Table(
        f"{prefix}best-trials",
        f"The best {min(TOP_TRIALS, len(trials))} of {len(trials)} trials",
        (*head, *(Column(name) for name in shown)),
        tuple(row(log, shown) for log in trials[:TOP_TRIALS]),
        note,
    )
    best = (
        trials[0]
        if not confirmed
        else max(
            (log for log in trials if log.number in confirmed),
            key=lambda log: confirmed[log.number].mean,
            default=trials[0],
        )
    )
    settings = changed_settings(best.config)
    yield Table(
        f"{prefix}best-configuration",
        f"Configuration of trial {best.number}, where it differs from the defaults",
        (Column("field"), Column("value")),
        tuple((name, _cell(value)) for name, value in sorted(settings.items())),
    )


def _searched(journal: StudyJournal, trials: Sequence[TrialLog]) -> list[str]:
    """Fields that were searched and differ between trials."""
    names = [name for name in journal.study.space if not name.startswith("pool.")]
    if len(names) < len(journal.study.space):
        names = ["pool", *names]
    return [name for name in names if len({str(log.config.get(name)) for log in trials}) > 1]


def all_trials(journal: StudyJournal, prefix: str) -> Table:
    """Every trial that ended, with its whole configuration; for the CSV."""
    names = list(dict.fromkeys(name for log in journal.trials.values() for name in log.config))
    head = ("trial", "state", "score", "acc_presence", "acc_salience", "confirmed", "seconds", "duplicate_of", "reason")
    rows = []
    for log in journal.trials.values():
        confirmation = journal.confirmations.get(log.number)
        rows.append(
            (
                log.number,
                log.state,
                *(log.scores.get(name) for name in ("score", "acc_presence", "acc_salience")),
                confirmation.mean if confirmation is not None else None,
                log.seconds if math.isfinite(log.seconds) else None,
                log.tags.get("duplicate_of", ""),
                log.reason,
                *(_cell(log.config.get(name)) for name in names),
            )
        )
    return Table(f"{prefix}all-trials", "All trials", tuple(Column(name, 6) for name in (*head, *names)), tuple(rows))


def curve_blocks(trials: Sequence[TrialLog], prefix: str) -> Iterator[Block]:
    """Loss and Score by epoch of the best trials, with the spread over folds at the end."""
    best = sorted(trials, key=lambda log: (-float(log.scores["score"]), log.number))[:MOST_CURVES]
    panels = []
    for name, title in (
        ("score", "Score, out of fold"),
        ("train_loss", "training loss"),
        ("held_out_kl", "KL on held-out clips (nats)"),
    ):
        marks: list[Any] = []
        for log, colour in zip(best, SHADES, strict=False):
            curve = [(epoch, value) for epoch, value in log.curves.get(name, []) if math.isfinite(value)]
            if len(curve) < 2:
                continue
            marks.append(Line(f"trial {log.number}", [e for e, _ in curve], [v for _, v in curve], colour))
            if name == "score" and log.per_fold.get("score"):
                folds = log.per_fold["score"]
                marks.append(
                    Points(
                        f"folds of trial {log.number}",
                        [curve[-1][0]] * len(folds),
                        list(folds.values()),
                        colour,
                        "cross",
                        labels=[f"fold {fold}" for fold in folds],
                    )
                )
        if marks:
            panels.append(Panel(title, Axis("epoch", whole=True), Axis(title), tuple(marks)))
    if not panels:
        yield Text("Not shown: no trial logged a curve of at least two epochs.")
        return
    spread = [
        float(np.std(list(log.per_fold["score"].values()), ddof=1))
        for log in best
        if len(log.per_fold.get("score", {})) > 1
    ]
    words = f"The best {len(best)} trials." if len(best) > 1 else "The trial."
    if spread:
        words += (
            f" Folds of one trial differ by a standard deviation of {np.mean(spread):.3f} in Score (crosses at the "
            "last epoch): they hold other actors."
        )
    yield Text(words)
    yield Figure(
        f"{prefix}curves",
        "Learning curves of the best trials",
        "Curves by epoch of " + ", ".join(f"trial {log.number}" for log in best),
        tuple(panels),
        "Curves are pooled over folds. A result is that of the last epoch; none was chosen by looking at these curves.",
    )


def _remarks(journal: StudyJournal, record: StudyRecord) -> Iterator[str]:
    official = [one for one in record.candidates if one.config.protocol == "official"]
    if official:
        yield (
            f"{journal.study.study}: {len(official)} trials used protocol `official`, which chooses thresholds and "
            "epoch on the reported fold: comparable with published validation numbers only, and optimistic."
        )
    if journal.outcome is None or not journal.ended:
        yield f"{journal.study.study}: has not ended; its numbers are those of the trials so far."


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _list(values: Sequence[Any]) -> str:
    return " or ".join(str(value) for value in values) or "1"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
