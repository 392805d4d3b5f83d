"""The loop of one study: trials are asked for, trained, settled and confirmed, until something ends it."""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from math import inf
from threading import Condition
from typing import Any
from uuid import uuid4

from ray.exceptions import RayError

from rfe.errors import TrialError
from rfe.journal.events import ConfirmationLog, StudyState
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.progress import Progress
from rfe.search.answering import TrialProgress
from rfe.search.budget import EXHAUSTED, Budget
from rfe.search.confirm import confirm_best
from rfe.search.control import changes_study
from rfe.search.fleet import Fleet, describe_failed_starts
from rfe.search.interrupt import Interrupt
from rfe.search.open_trials import OpenTrials, plan_open_trials
from rfe.search.outcome import StudyOutcome, build_outcome
from rfe.search.status import search_status, trial_progress
from rfe.search.trial_tracker import TrialTracker
from rfe.search.tuner import Cohort, CohortTuner
from rfe.search.work import ItemResult, WorkQueueStatus
from rfe.search_space import SearchSpace
from rfe.tracking.base import Tracker
from rfe.writing import DISK_FULL, write_json

INTERRUPTED = "interrupted"
POLL_S = 0.3
"""How long the driver waits for results before it looks at limits and progress."""
TURN_S = 0.1
"""Shortest turn: what ends meanwhile is collected and settled in one call each."""
ROOM_S = 0.2
"""How long Tune waits for room for another cohort before it looks at its trials."""
JOIN_S = 10.0
"""How long Tune is waited for at the end of a search; with Ray it ends, which the program's end waits for."""
GROW_S = 10.0
"""How often the driver looks whether the cluster grew."""
RESIZE_S = 1.0
"""As `GROW_S`, while workers are to take the place of others that go."""
NO_WORKER_S = 60.0
"""After so long without any worker the user is told."""


class StudyRun:
    """The loop of `run_search`.

    Args:
        space, budget: what is searched, and for how long.
        trial_tracker, journal, tracker: record the study's trials.
        find_fleet: called once, when there is something to train.
        progress: told how it goes.
        interrupt: asked whether the user wants an end.
        began: `time.monotonic` when the command began.
        spent_s: seconds that former commands spent on the study.
    """

    def __init__(
        self,
        space: SearchSpace,
        budget: Budget,
        trial_tracker: TrialTracker,
        journal: Journal,
        tracker: Tracker,
        find_fleet: Callable[[], Fleet],
        progress: Progress,
        interrupt: Interrupt,
        began: float,
        spent_s: float,
    ) -> None:
        self.space, self.trial_tracker, self.journal, self.tracker = space, trial_tracker, journal, tracker
        self.planned, self.budget = budget, trial_tracker.changes.budget(budget)
        self.find_fleet, self.progress, self.interrupt = find_fleet, progress, interrupt
        self.began, self.spent_s = began, spent_s
        self.resumed = len(trial_tracker.logs)
        self.open_trials = OpenTrials(1, 1)  # until the fleet is known
        self.run_id = uuid4().hex[:8]
        """Tells this command's cohorts from those of another one on the same study."""
        self.stopping = ""
        """Why no more trials are asked for; "" while they are."""
        self.ending = False
        """Whether nothing more will be asked for, whatever users change."""
        self.n_requests = 0
        """Requests taken up so far."""
        self.failed = False
        self.cannot_start = ""
        self.room = Condition()
        self.next_turn = self.next_look = 0.0
        """When the queue is asked again for what ended, and for how far its workers are."""
        self.next_growth = time.monotonic() + GROW_S
        self.lonely_since: float | None = time.monotonic()
        """Since when there is no worker; None while there is one, or after the user was told."""

    @cached_property
    def fleet(self) -> Fleet:
        """What trains; started when it is first needed."""
        fleet = self.find_fleet()
        if fleet.session.note:
            self.progress.note(fleet.session.note)
        return fleet

    @property
    def elapsed_s(self) -> float:
        """Of the whole study."""
        return self.spent_s + time.monotonic() - self.began

    def run(self) -> StudyOutcome:
        """Search, confirm, write the outcome."""
        try:
            while True:
                n_requests = self.n_requests
                confirmed = self._go_on()
                self._take_up({})
                # what users asked for meanwhile may have given it more to do
                if self.interrupt.asked or self.failed or self.n_requests == n_requests:
                    break
        except RayError as error:
            if self.interrupt.asked:  # what stops a whole job ends Ray's processes with it
                self.stopping = INTERRUPTED
                return self._conclude(tuple(self._confirmed().values()))
            raise TrialError(
                f"study {self.space.study}: Ray was lost ({str(error).splitlines()[0]}); what finished is kept, "
                "the same command goes on"
            ) from error
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise TrialError(
                f"study {self.space.study}: the disk of {self.trial_tracker.folder.path} is full; what finished is "
                "kept: free some space, then run the same command to resume"
            ) from error
        return self._conclude(confirmed)

    def _go_on(self) -> tuple[ConfirmationLog, ...]:
        """Search while there is something to search, then confirm."""
        trial_tracker = self.trial_tracker
        self.stopping = self.budget.end(self.elapsed_s, trial_tracker.since_best, trial_tracker.copies_in_a_row)
        if not self.stopping and trial_tracker.exhausted and not trial_tracker.n_adoptable:
            self.stopping = EXHAUSTED
        if not self.stopping and (
            trial_tracker.n_adoptable or self.budget.left(trial_tracker.n_asked) != 0 or trial_tracker.n_queued
        ):
            if trial_tracker.n_adoptable:
                self.progress.note(f"{trial_tracker.n_adoptable} trials of an interrupted run are trained again")
            self._search()
        return self._confirm()

    # ---- what users ask for

    def _take_up(self, progress: Mapping[int, TrialProgress]) -> None:
        """Take up what users asked for since the last turn; `progress` is of the trials in training."""
        for answer in self.trial_tracker.take_up(progress):
            self.n_requests += 1
            self.progress.note(f"asked by the user: {answer.said}")
            change = answer.effects.get("change", {})
            if change:
                self._change(change)
            if changes_study([answer]):
                self.trial_tracker.record_changes()

    def _change(self, change: Mapping[str, Any]) -> None:
        self.budget = self.trial_tracker.changes.budget(self.planned)
        if not (self.failed or self.interrupt.asked):
            self.stopping = ""  # decided again in this turn
        if "workers" in change and "fleet" in self.__dict__:  # else nothing has been started
            n = self.fleet.resize(change["workers"])
            if n < change["workers"]:
                self.progress.note(f"this Ray has room for {n} workers")
            self.next_growth = time.monotonic()
            self._plan_cohorts()

    # ---- searching

    def _search(self) -> None:
        self._plan_cohorts()
        self.run_id, self.ending = uuid4().hex[:8], False
        self.progress.start(f"search {self.space.study}", self.budget.trials)
        tuner = CohortTuner(self._next_cohort, self.fleet.settings.queue, self.fleet.folder / self.run_id)
        tuner.start()
        self.fleet.queue.settle([], self._weight_threshold())
        try:
            while not (tuner.ended and not self.trial_tracker.n_open):
                tune_ended = tuner.ended
                n_settled = self._settle()
                status = None
                if not n_settled or time.monotonic() >= self.next_look:
                    self.next_look = time.monotonic() + POLL_S
                    status = self.fleet.queue.status()
                    self._take_up(trial_progress(status, self.space.study))
                    self._end_pruned()
                self._check(tuner)
                if status is not None:
                    self._grow()
                    self._watch_nodes()
                    self._show(status)
                    self.journal.keep_time()
                if self.interrupt.asked or self.failed:
                    break
                if status is not None and tune_ended and not (n_settled or status.waiting or status.leased):
                    self._fail_open("Ray Tune ended before its cohort was offered")
        finally:
            self.stopping, self.ending = self.stopping or "the search ended", True
            self.fleet.queue.cancel(self.run_id)
            status = self.fleet.queue.status()
            self.journal.record("pool", idle_s=status.idle_s, finished=status.finished, workers=status.workers)
            tuner.join(JOIN_S)
        if self.fleet.ended:
            self._fail_open(self.stopping)

    def _plan_cohorts(self) -> None:
        """For the current workers and budget."""
        self.open_trials = plan_open_trials(
            self.space,
            self.budget.trials,
            n_workers=max(1, self.fleet.n_expected),
            stack=self.fleet.stack,
            prefetch=self.fleet.prefetch,
        )

    def _grow(self) -> None:
        """Use what joined the cluster."""
        if time.monotonic() < self.next_growth:
            return
        self.next_growth = time.monotonic() + (RESIZE_S if self.fleet.resizing else GROW_S)
        if n := self.fleet.grow():
            self.progress.note(f"{n} more worker{'s' * (n > 1)}: the cluster has room for {self.fleet.n_workers} now")
            self._plan_cohorts()

    def _end_pruned(self) -> None:
        """Have the queue end what users ended, in each turn until it has: an item may be on its way there."""
        if reasons := self.trial_tracker.pruned_keys():
            self.fleet.queue.prune(reasons)

    def _watch_nodes(self) -> None:
        """Act on Ray's warning that nodes are about to go: what they train is saved and given back."""
        nodes = self.fleet.drain()
        if self.fleet.session.here in nodes and not self.interrupt.asked:
            self.progress.note("Ray is about to take this search's own node: it stops here and can be resumed")
            self.interrupt.ask()

    def _fail_open(self, reason: str) -> None:
        """Cancel all open trials: no worker is left to train them."""
        for key in self.trial_tracker.open_keys():
            self.trial_tracker.settle(ItemResult(key, "failed", reason))

    def _settle(self) -> int:
        """Record ended items, so that their cohort may end and another be asked for. Returns how many ended."""
        time.sleep(max(0.0, self.next_turn - time.monotonic()))
        updates = self.fleet.queue.collect(self.space.study, POLL_S)
        self.next_turn = time.monotonic() + TURN_S
        for item_result in updates.results:
            self.trial_tracker.settle(item_result)
        if updates.reports:
            self.fleet.queue.decide(self.trial_tracker.compare(updates.reports))
        self.cannot_start = updates.cannot_start
        if updates.results:
            self.fleet.queue.settle([item_result.key for item_result in updates.results], self._weight_threshold())
            with self.room:
                self.room.notify_all()
        return len(updates.results)

    def _weight_threshold(self) -> dict[str, float]:
        """Weights are wanted of trials that would be among the best."""
        keep = self.space.keep_top
        best = self.trial_tracker.ranking()[:keep]
        return {self.space.study: inf if not keep else -inf if len(best) < keep else best[-1].score or 0.0}

    def _check(self, tuner: CohortTuner) -> None:
        """Look whether anything ends the search."""
        failure = self.budget.failure(self.trial_tracker.failures_in_a_row, self.trial_tracker.commonest_failure())
        if self.interrupt.asked:
            self.stopping, self.ending = INTERRUPTED, True
        elif failure:
            self.stopping, self.failed = failure, True
        elif self.cannot_start:
            self.stopping, self.failed = describe_failed_starts(self.cannot_start), True
        elif self.fleet.ended:
            self.stopping, self.failed = self.fleet.why_ended(), True
        elif not self.stopping:
            self.stopping = self.budget.end(
                self.elapsed_s, self.trial_tracker.since_best, self.trial_tracker.copies_in_a_row
            )
        if tuner.ended:
            tuner.raise_error()

    def _next_cohort(self) -> Cohort | None:
        """What Tune's thread asks: see `tuner.NextCohort`."""
        while not self.ending:
            queued, adoptable, n_open = (
                self.trial_tracker.n_queued,
                self.trial_tracker.n_adoptable,
                self.trial_tracker.n_open,
            )
            n = 0 if self.stopping else queued or self._n_next(adoptable)
            full = bool(n_open) and not queued and n_open + n > self.open_trials.most
            if full or (not n and n_open):  # while something is open, users may ask for more
                with self.room:
                    self.room.wait(ROOM_S)
                return None
            if not n:
                break
            limits = self.space.limits
            items = self.trial_tracker.next_items(n, limit_s=60 * limits.trial_minutes, retries=limits.retries)
            if items:
                return Cohort(f"{self.run_id}/{items[0].key}", tuple(items))
        raise StopIteration

    def _n_next(self, adoptable: int) -> int:
        """How many trials to ask for next; 0: none."""
        if not adoptable and self.trial_tracker.exhausted:
            if not self.trial_tracker.n_open:
                self.stopping = EXHAUSTED
            return 0
        left = self.budget.left(self.trial_tracker.n_asked)
        cohort = self.open_trials.cohort
        return min(cohort, adoptable or (cohort if left is None else left))

    def _show(self, status: WorkQueueStatus) -> None:
        now = time.monotonic()
        if status.workers:
            self.lonely_since = None
        elif self.lonely_since is not None and now - self.lonely_since > NO_WORKER_S:
            self.lonely_since = None
            self.progress.note(f"no worker after {NO_WORKER_S:.0f} s: {self.fleet.why_none()}")
        hours = self.budget.hours
        left_s = None if hours is None else max(0.0, 3600 * hours - self.elapsed_s)
        elapsed_s, trial_tracker = now - self.began, self.trial_tracker
        running = search_status(
            self.space, self.budget, trial_tracker, status, elapsed_s=elapsed_s, left_s=left_s, resumed=self.resumed
        )
        self.progress.update(running)

    # ---- the end

    def _confirm(self) -> tuple[ConfirmationLog, ...]:
        known = self._confirmed()
        best = [log for log in self.trial_tracker.ranking()[: self.space.confirm.top] if log.number not in known]
        if best and not (self.interrupt.asked or self.failed):
            for log in confirm_best(best, self.space, self.trial_tracker, self.fleet, self.progress, self._interrupted):
                stored = self.journal.record_confirmation(log)
                self.tracker.log_confirmation(stored)
                known[stored.number] = stored
        return tuple(known.values())

    def _interrupted(self) -> bool:
        self.journal.keep_time()
        self._take_up({})
        return self.interrupt.asked

    def _confirmed(self) -> dict[int, ConfirmationLog]:
        """By trial, what is confirmed already."""
        return {one.number: one for one in read_events(self.trial_tracker.folder) if isinstance(one, ConfirmationLog)}

    def _conclude(self, confirmations: tuple[ConfirmationLog, ...]) -> StudyOutcome:
        trial_tracker = self.trial_tracker
        state: StudyState = "stopped" if self.interrupt.asked else "failed" if self.failed else "finished"
        used_up = self.budget.left(trial_tracker.n_asked) == 0
        outcome = build_outcome(
            trial_tracker.folder,
            trial_tracker.logs,
            confirmations,
            trial_tracker.dataset,
            self.space.objectives,
            None if self.space.sampler.kind == "grid" else trial_tracker.origins(),
            state=state,
            reason="" if state == "finished" and used_up else self.stopping,
            trials=trial_tracker.counts(),
            elapsed_s=self.elapsed_s,
        )
        write_json(trial_tracker.folder.outcome, outcome.to_dict())
        self.tracker.finish_study(self.journal.record_outcome(outcome.log()))
        if outcome.state == "failed":
            why = self.stopping or trial_tracker.commonest_failure() or "no trial finished"
            raise TrialError(f"study {self.space.study}: {why}; its trials are in {trial_tracker.folder.path}")
        return outcome
