"""Stores a study's trials: asks Optuna for them, records them in the journal, tells Optuna when they end.

The journal is the truth. Optuna's study lives in memory and is made from it whenever the study is opened.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import Trial, TrialState

from rfe.errors import StudyError
from rfe.journal.asking import Origin, ScoreReport, ScoresReported, TrialsAsked, TrialsLearnt
from rfe.journal.events import TrialLog
from rfe.journal.journal import Journal
from rfe.search_space import ResolvedSpace
from rfe.search_space.dimensions import Value
from rfe.study.definition import (
    DEFINITION_FILE,
    StudyDefinition,
    read_definition,
    write_definition,
)
from rfe.study.distinct import FIXED, DistinctSampler, GridSampler, Known
from rfe.study.opening import check_not_lost, check_opening, describe_unrecorded, find_unrecorded, learn_again
from rfe.study.pruning import ScoreComparison
from rfe.study.rebuild import STATES, rebuild_study
from rfe.study.samplers import build_distributions, build_sampler, cohort_seed, sampler_state
from rfe.study.teaching import Teaching
from rfe.study.trials import AskedTrial, StudyHistory, TrialRow, end_row, read_history
from rfe.workspace import StudyFolder

LOST = "the study's journal does not hold its parameters"


class StudyStore:
    """The single writer of a study's trials; the journal's lock refuses a second one.

    Use `StudyStore.open`, and `close` (or `with`) when done.
    """

    def __init__(self, journal: Journal, definition: StudyDefinition, history: StudyHistory, note: str = "") -> None:
        self.journal, self.definition = journal, definition
        self.note = note
        """What the user should know of how the study was opened; "" for nothing."""
        self._learnt = history.learnt or ()
        self.n_earlier = len(self._learnt)
        """How many trials of another study the sampler learnt from before its own."""
        self._objectives = definition.space.objectives
        self._distributions = build_distributions(definition.resolved)
        self._known = Known(definition.resolved)
        self._teaching: Teaching | None = None
        """Of a narrowed space; None while the study's whole space is searched."""
        self._grid = self._grid_of(definition.resolved)
        self._rows = dict(history.rows)
        self.logs = list(history.logs)
        """How trials had ended when the study was opened, in the order of their ends."""
        self.lost = tuple(self._find_lost())
        """Trials whose parameters the journal, of an earlier version, does not hold: failed now."""
        self._rows |= {number: TrialRow(number, "failed", {}) for number in self.lost}
        self._comparison = self._compare_again(history)
        self._study, self._trials = rebuild_study(definition, history.learnt or (), self._rows, self._distributions)
        for number in self.lost:  # recorded once it is sure that the study can go on
            log = journal.record_trial(TrialLog(definition.space.study, number, "failed", "", {}, reason=LOST))
            self.logs.append(log)
            self._rows[number] = end_row(self._rows[number], log, self._objectives)
        self.unrecorded: list[int] = []
        """Trials that have results the journal does not have: trained again under their numbers."""
        self._enqueue_first_trials()
        self._none_waits = False
        """Whether all of the first trials were asked for: Optuna looks through all trials for those that wait."""
        for row in self._rows.values():
            if row.params.keys() == self._distributions.keys():
                self._known.add(dict(row.params))

    @classmethod
    def open(cls, folder: Path, definition: StudyDefinition, *, warm_start: Path | None = None) -> "StudyStore":
        """Create the study in `folder`, or resume it.

        Budget, limits, confirmation, sampler, pruner and cohort size may differ from the last time.

        Args:
            folder: the study's own.
            definition: of the study.
            warm_start: folder of a study whose trials the new one's sampler learns from before its own. They take the
                first numbers and are none of its trials.

        Raises:
            StudyError: the study there has another space, base, objective, seed or data (with the differences), another
                process works on it, it cannot learn from that study, or its journal is damaged or lost.
        """
        place = StudyFolder(folder)
        journal = Journal(place, definition.space.keep_top)
        try:
            definition, earlier = check_opening(folder, definition, warm_start)
            is_new = not (folder / DEFINITION_FILE).is_file()
            history = read_history(place, definition)
            if is_new and not history.is_empty:
                read_definition(folder)  # says that it is missing: another search could be mixed with this one
            if history.is_empty:
                check_not_lost(place)
            note = ""
            if is_new and earlier != (history.learnt or ()):
                history.learnt = earlier
                journal.record_learnt(TrialsLearnt(earlier))
            elif definition.warm_start and history.learnt is None:
                history.learnt, note = learn_again(folder, definition, history)
                journal.record_learnt(TrialsLearnt(history.learnt))
            store = cls(journal, definition, history, note)
            store.unrecorded = find_unrecorded(place, {log.number for log in store.logs})
            store.note = "; ".join(filter(None, (note, describe_unrecorded(place, store.unrecorded))))
            write_definition(folder, definition)  # last: a study that has one has learnt from what it names
            return store
        except BaseException:
            journal.close()
            raise

    def close(self) -> None:
        """Release the study's lock."""
        self.journal.close()

    def __enter__(self) -> "StudyStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, n: int, queued: Mapping[str, Mapping[str, Value]] | None = None) -> list[AskedTrial]:
        """The next `n` trials, one cohort; fewer when a grid is exhausted. They stay `running` until told, also over a
        restart.

        Args:
            n: how many.
            queued: points by id that come first, after the space's own first trials; what they leave open is sampled.
        """
        sampler = self._grid or self._cohort_sampler()
        taught = None
        if self._teaching is not None and self._grid is None:
            taught = self._teaching.open(self._rows.values(), self._learnt, sampler)
            sampler = RandomSampler(seed=0)  # every parameter is proposed already
        self._study.sampler = sampler
        waiting = list((queued or {}).items())
        asked: list[Trial] = []
        names: dict[int, str] = {}
        proposed: dict[int, Mapping[str, Any]] = {}
        origin: dict[int, Origin] = {}
        while len(asked) < n and (waiting or not self.exhausted):
            name, point = "", None
            first_trials_asked = not self._waiting()
            if waiting and first_trials_asked:
                name, point = waiting.pop(0)
            if taught is not None and first_trials_asked:
                point = taught.propose(point or {})
            if point is not None:  # the next one that is handed out, as none waits before it
                self._study.enqueue_trial(dict(point), user_attrs={FIXED: dict(point)})
            trial = self._study.ask(self._distributions)
            if taught is not None and first_trials_asked:
                proposed[trial.number] = taught.last_state()
            if name:
                names[trial.number] = name
            origin[trial.number] = _origin(trial, name, sampler)
            self._known.add(trial.params)
            asked.append(trial)
        if asked:
            frozen = self._study.get_trials(deepcopy=False)
            states = {
                one.number: sampler_state(frozen[one.number].system_attrs, one.number) for one in asked
            } | proposed
            rows = [
                TrialRow(one.number, "running", one.params, origin=origin[one.number], sampler=states[one.number])
                for one in asked
            ]
            params, kept = ({row.number: getattr(row, name) for row in rows} for name in ("params", "sampler"))
            event = TrialsAsked(params, kept, names, origin)
            self.journal.record_asked(event)
            self._rows |= {row.number: row for row in rows}
            self._trials |= {one.number: one for one in asked}
        return [AskedTrial(one.number, one.params, names.get(one.number, "")) for one in asked]

    def narrow(self, narrowed: ResolvedSpace, first: int) -> None:
        """Propose points of a smaller space from now on.

        Args:
            narrowed: the space; see `rfe.search_space.narrowing`.
            first: number of the first trial that was, or will be, asked for in it.
        """
        self._teaching = Teaching(narrowed, self.definition, first)
        self._grid = self._grid_of(narrowed)

    @property
    def grid_size(self) -> int | None:
        """How many configurations a grid has; None with another sampler, or if they are too many to count."""
        return None if self._grid is None else self._grid.size

    @property
    def exhausted(self) -> bool:
        """Whether every point of a grid was asked for; False with another sampler."""
        return self._grid is not None and self._grid.next_point() is None and not self._waiting()

    def report(self, scores: Sequence[tuple[int, int, float]]) -> list[bool]:
        """Record scores of running trials, and answer for each whether its trial should end as pruned.

        The answer for an epoch that was reported before (a trial that goes on from a checkpoint) is what it was. A
        score that is not finite is not kept, and prunes nothing: such a trial fails when it ends.

        Args:
            scores: number, epoch (at least 0) and score of each report, in the order in which they came.

        Raises:
            StudyError: there is no such trial.
        """
        answers, new = [], []
        for number, epoch, score in scores:
            row = self._row(number)
            if self._comparison is None or row.state != "running" or not math.isfinite(score):
                answers.append(False)
                continue
            if epoch not in row.reports:
                prunes = self._comparison.report(number, epoch, score)
                new.append(ScoreReport(number, epoch, score, prunes))
                pruned_at = epoch if prunes else row.pruned_at
                row = replace(row, reports={**row.reports, epoch: score}, pruned_at=pruned_at)
                self._rows[number] = row
            answers.append(row.pruned_at is not None and row.pruned_at <= epoch)
        if new:
            self.journal.record_reports(ScoresReported(tuple(new)))
        return answers

    def tell(self, log: TrialLog) -> TrialLog | None:
        """Finish a trial: in the journal, then in Optuna.

        Args:
            log: how it ended; a score that is not finite is a failure, not a value.

        Returns:
            The log as the journal has it; None if the trial had ended before, and then nothing is changed.

        Raises:
            StudyError: there is no such trial, or a complete trial without a finite value for each objective.
        """
        row = self._row(log.number)
        if row.state != "running":
            return None
        if log.state == "complete":
            values = [log.scores.get(name, math.nan) for name in self._objectives]
            if not all(map(math.isfinite, values)):
                raise StudyError(
                    f"trial {log.number} cannot be complete with values {values}; tell it as failed, with a reason"
                )
        stored = self.journal.record_trial(log)
        row = self._rows[log.number] = end_row(row, stored, self._objectives)
        trial = self._trials.pop(log.number)
        if log.state == "pruned" and self._objectives == ("score",):  # reports are scores
            for epoch, score in row.reports.items():
                trial.report(score, epoch)
        self._study.tell(trial, row.values if log.state == "complete" else None, state=STATES[log.state])
        if self._comparison is not None:
            self._comparison.end(log.number, log.state, stored.score)
        return stored

    def trials(self) -> list[TrialRow]:
        """All trials in the order of their numbers; those of a warm start are none of them."""
        return [self._rows[number] for number in sorted(self._rows)]

    def running(self) -> list[AskedTrial]:
        """Trials asked for and not told, of this process or an earlier one: they are trained under the same number."""
        return [AskedTrial(row.number, dict(row.params)) for row in self.trials() if row.state == "running"]

    def _row(self, number: int) -> TrialRow:
        if number not in self._rows:
            raise StudyError(
                f"study {self.definition.space.study} has no trial {number}; it has {self.n_earlier + len(self._rows)}"
            )
        return self._rows[number]

    def _cohort_sampler(self) -> DistinctSampler:
        first = self.n_earlier + len(self._rows)
        seed = cohort_seed(self.definition.seed, first)
        sampler = build_sampler(self.definition.space.sampler, seed)
        distributions = self._distributions if self._teaching is None else self._teaching.distributions
        return DistinctSampler(sampler, cohort_seed(seed, first), distributions, self._known)

    def _grid_of(self, resolved: ResolvedSpace) -> GridSampler | None:
        if self.definition.space.sampler.kind != "grid":
            return None
        return GridSampler(resolved, self._distributions, self._known)  # a narrower grid's points are in these too

    def _waiting(self) -> int:
        """How many of the first trials have not been asked for."""
        if self._none_waits:
            return 0
        n = len(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        self._none_waits = n == 0
        return n

    def _enqueue_first_trials(self) -> None:
        for params in self.definition.resolved.first_trials[len(self._rows) :]:
            self._study.enqueue_trial(params, user_attrs={FIXED: params})

    def _find_lost(self) -> Iterator[int]:
        """Trials below the last one that the journal does not know of, or not by their parameters: an earlier version
        asked for them, and its process died."""
        for number in range(self.n_earlier, 1 + max(self._rows, default=-1)):
            row = self._rows.get(number)
            if row is None or (row.state == "running" and row.params.keys() != self._distributions.keys()):
                yield number

    def _compare_again(self, history: StudyHistory) -> ScoreComparison | None:
        """The pruner, told all that was reported before; None if nothing is pruned."""
        if self.definition.space.pruner.kind == "none":
            return None
        comparison = ScoreComparison(self.definition.space.pruner)
        reported: set[int] = set()
        for event in history.order:
            if isinstance(event, ScoresReported):
                for one in event.reports:
                    reported.add(one.number)
                    comparison.replay(one.number, one.epoch, one.score)
            else:
                if event.number not in reported:  # of an earlier version, or it ended before any was compared
                    for epoch, score in self._rows[event.number].reports.items():
                        comparison.replay(event.number, epoch, score)
                comparison.end(event.number, event.state, event.score)
        return comparison


def _origin(trial: Trial, queued: str, sampler: BaseSampler) -> Origin:
    if queued:
        return "queued"
    if FIXED in trial.user_attrs:
        return "first"
    return "random" if isinstance(sampler, DistinctSampler) and sampler.drew_at_random else "sampler"
