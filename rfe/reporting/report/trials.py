"""The trials of a study as tables, and the learning curves of the best."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rfe.journal.events import TrialLog
from rfe.journal.study import StudyJournal
from rfe.reporting.report.document import (
    Axis,
    Block,
    Colour,
    Column,
    Figure,
    Line,
    Panel,
    Points,
    Table,
    Text,
    say,
)
from rfe.reporting.studies import changed_settings

TOP_TRIALS = 20
MOST_CURVES = 5
MOST_SEARCHED = 12
"""Searched parameters in the table of trials; all are in the CSV of all trials."""
KEPT_ALL = ' Where model.n_kept is "all", the gate keeps every encoder of the trial\'s pool.'
SHADES: tuple[Colour, ...] = ("blue", "orange", "green", "purple", "grey")


def scored_trials(journal: StudyJournal) -> list[TrialLog]:
    """Complete trials that are no copies, by number."""
    return [log for log in journal.trials.values() if log.score is not None and "duplicate_of" not in log.tags]


def trial_blocks(journal: StudyJournal, prefix: str) -> Iterator[Block]:
    """The best trials, with what was searched."""
    trials = sorted(scored_trials(journal), key=lambda log: (-float(log.scores["score"]), log.number))
    confirmed, top = journal.confirmations, trials[:TOP_TRIALS]

    def row(log: TrialLog) -> tuple[Any, ...]:
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
        )

    yield Table(
        f"{prefix}best-trials",
        f"The best {len(top)} of {len(trials)} trials",
        (
            Column("trial"),
            Column("Score"),
            Column("standard error"),
            Column("presence"),
            Column("salience"),
            Column("confirmed"),
            Column("sd over seeds"),
            Column("seconds", 1),
        ),
        tuple(row(log) for log in top),
        "Score and its halves are the search's own, and optimistic for the best; confirmed: mean over fresh seeds.",
    )
    searched = _searched(journal, trials)
    shown = searched[:MOST_SEARCHED]
    if "pool" in searched[MOST_SEARCHED:]:
        shown[-1] = "pool"
    if shown:
        more = f" {len(searched) - len(shown)} more parameters were searched." if len(searched) > len(shown) else ""
        kept_all = KEPT_ALL if any(log.config.get("model.n_kept") == "all" for log in top) else ""
        yield Table(
            f"{prefix}best-parameters",
            "What the best trials are made of",
            (Column("trial"), Column("Score"), *(Column(name, None) for name in shown)),
            tuple((log.number, float(log.scores["score"]), *(log.config.get(name) for name in shown)) for log in top),
            f"Effective values.{kept_all}{more} All trials with all fields: tables/{prefix}all-trials.csv.",
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
        tuple((name, say(value, Column("", None))) for name, value in sorted(settings.items())),
    )


def _searched(journal: StudyJournal, trials: Sequence[TrialLog]) -> list[str]:
    """Fields that were searched and differ between trials."""
    names = [name for name in journal.study.space if not name.startswith("pool.")]
    if len(names) < len(journal.study.space):
        names = [*names, "pool"]
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
                *(log.config.get(name) for name in names),
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
                        in_legend=False,
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
