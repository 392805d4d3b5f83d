"""The loop of one study: trials are asked for, trained, settled and confirmed, until something ends it."""

import time
from collections.abc import Callable
from functools import cached_property
from math import ceil, inf
from threading import Condition
from uuid import uuid4

from ray.exceptions import RayError

from rfe.errors import TrialError
from rfe.progress import Progress
from rfe.search.budget import EXHAUSTED, Budget
from rfe.search.confirm import confirm_best
from rfe.search.fleet import Fleet, describe_failed_starts
from rfe.search.interrupt import Interrupt
from rfe.search.ledger import Ledger
from rfe.search.outcome import StudyOutcome, build_outcome
from rfe.search.status import search_status
from rfe.search.tuner import Cohort, CohortTuner
from rfe.search.work import Delivery, PoolStatus
from rfe.search_space import SearchSpace
from rfe.tracking.base import ConfirmationLog, StudyState, Tracker
from rfe.tracking.journal import Journal
from rfe.tracking.records import read_events
from rfe.writing import DISK_FULL, write_json

COHORTS_AT_ONCE = 4
"""Into so many cohorts at least the trials in training are divided, so that a sampler learns between them."""
INTERRUPTED = "interrupted"
POLL_S = 0.3
"""How long the driver waits for results before it looks at limits and progress."""
ROOM_S = 0.2
"""How long Tune waits for room for another cohort before it looks at its trials."""
JOIN_S = 10.0
"""How long Tune is waited for at the end."""
GROW_S = 10.0
"""How often the driver looks whether the cluster grew."""
NO_WORKER_S = 60.0
"""After so long without any worker the user is told."""


class StudyRun:
    """The loop of `run_search`.

    Args:
        space, budget: what is searched, and for how long.
        ledger, journal, tracker: the study's books.
        find_fleet: called once, when there is something to train.
        progress: told how it goes.
        interrupt: asked whether the user wants an end.
        prefetch: as `run_search`.
        began: `time.monotonic` when the command began.
        spent_s: seconds that former commands spent on the study.
    """

    def __init__(
        self,
        space: SearchSpace,
        budget: Budget,
        ledger: Ledger,
        journal: Journal,
        tracker: Tracker,
        find_fleet: Callable[[], Fleet],
        progress: Progress,
        interrupt: Interrupt,
        prefetch: int,
        began: float,
        spent_s: float,
    ) -> None:
        self.space, self.budget, self.ledger, self.journal, self.tracker = space, budget, ledger, journal, tracker
        self.find_fleet, self.progress, self.interrupt = find_fleet, progress, interrupt
        self.began, self.spent_s = began, spent_s
        self.resumed = len(ledger.logs)
        self.prefetch = prefetch
        self.cohort = self.most_open = 1  # until the fleet is known
        self.run_id = uuid4().hex[:8]
        """Tells this command's cohorts from those of another one on the same study."""
        self.stopping = ""
        """Why no more trials are asked for; "" while they are."""
        self.failed = False
        self.cannot_start = ""
        self.room = Condition()
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
        ledger = self.ledger
        self.stopping = self.budget.end(self.elapsed_s, ledger.since_best, ledger.copies_in_a_row)
        try:
            if not self.stopping and ledger.exhausted and not ledger.n_adoptable:
                self.stopping = EXHAUSTED
            if not self.stopping and (ledger.n_adoptable or self.budget.left(ledger.n_asked) != 0):
                if ledger.n_adoptable:
                    self.progress.note(f"{ledger.n_adoptable} trials of an interrupted run are trained again")
                self._search()
            confirmed = self._confirm()
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
                f"study {self.space.study}: the disk of {self.ledger.folder.path} is full; what finished is kept: make "
                "room, and the same command goes on"
            ) from error
        return self._conclude(confirmed)

    # ---- searching

    def _search(self) -> None:
        self._plan_cohorts()
        self.progress.start(f"search {self.space.study}", self.budget.trials)
        tuner = CohortTuner(self._next_cohort, self.fleet.settings.pool, self.fleet.folder / self.run_id)
        tuner.start()
        self._set_bar()
        try:
            while not (tuner.ended and not self.ledger.n_open):
                tune_ended = tuner.ended
                n_settled = self._settle()
                status = self.fleet.pool.status()
                self._check(tuner)
                self._grow()
                self._show(status)
                self.journal.keep_time()
                if self.interrupt.asked or self.failed:
                    break
                if tune_ended and not (n_settled or status.waiting or status.leased):
                    self._fail_open("Ray Tune ended before its cohort was offered")
        finally:
            self.stopping = self.stopping or "the search ended"
            self.fleet.pool.withdraw(self.run_id)
            status = self.fleet.pool.status()
            self.journal.record("pool", idle_s=status.idle_s, finished=status.finished, workers=status.workers)
            tuner.join(JOIN_S)
        if self.fleet.ended:
            self._fail_open(self.stopping)

    def _plan_cohorts(self) -> None:
        """How many trials are asked for at a time, and how many may be open: enough that no worker waits."""
        n_workers, stack = self.fleet.n_workers, self.fleet.stack
        # Tune takes a tenth of a second for a cohort, whatever its size
        self.cohort = self.space.cohort or stack * ceil(n_workers / COHORTS_AT_ONCE)
        spare = max(self.cohort, stack * ceil(n_workers / 2))
        self.most_open = stack * n_workers + self.prefetch * spare if self.prefetch else self.cohort * n_workers

    def _grow(self) -> None:
        """Use what joined the cluster."""
        if time.monotonic() < self.next_growth:
            return
        self.next_growth = time.monotonic() + GROW_S
        if n := self.fleet.grow():
            self.progress.note(f"{n} more worker{'s' * (n > 1)}: the cluster has room for {self.fleet.n_workers} now")
            self._plan_cohorts()

    def _fail_open(self, reason: str) -> None:
        """Nobody is left to train what is open, and nobody should wait for it."""
        for key in self.ledger.open_keys():
            self.ledger.settle(Delivery(key, "failed", reason))

    def _settle(self) -> int:
        """Book what ended; then its cohort may end, and another be asked for. Returns how many ended."""
        news = self.fleet.pool.collect(self.space.study, POLL_S)
        for delivery in news.deliveries:
            self.ledger.settle(delivery)
        verdicts: dict[str, str] = {}
        for report in news.reports:
            verdicts[report.key] = verdicts.get(report.key) or self.ledger.compare(report)
        if verdicts:
            self.fleet.pool.decide(verdicts)
        self.cannot_start = news.cannot_start
        if news.deliveries:
            self.fleet.pool.settle([delivery.key for delivery in news.deliveries])
            self._set_bar()
            with self.room:
                self.room.notify_all()
        return len(news.deliveries)

    def _set_bar(self) -> None:
        """Weights are wanted of trials that would be among the best."""
        keep = self.space.keep_top
        best = self.ledger.ranking()[:keep]
        bar = inf if not keep else -inf if len(best) < keep else best[-1].score or 0.0
        self.fleet.pool.set_bar(self.space.study, bar)

    def _check(self, tuner: CohortTuner) -> None:
        """Look whether anything ends the search."""
        failure = self.budget.failure(self.ledger.failures_in_a_row, self.ledger.commonest_failure())
        if self.interrupt.asked:
            self.stopping = INTERRUPTED
        elif failure:
            self.stopping, self.failed = failure, True
        elif self.cannot_start:
            self.stopping, self.failed = describe_failed_starts(self.cannot_start), True
        elif self.fleet.ended:
            self.stopping, self.failed = self.fleet.why_ended(), True
        elif not self.stopping:
            self.stopping = self.budget.end(self.elapsed_s, self.ledger.since_best, self.ledger.copies_in_a_row)
        if tuner.ended:
            tuner.raise_error()

    def _next_cohort(self) -> Cohort | None:
        """What Tune's thread asks: see `tuner.NextCohort`."""
        while not self.stopping:
            left, adoptable = self.budget.left(self.ledger.n_asked), self.ledger.n_adoptable
            n = min(self.cohort, adoptable or (self.cohort if left is None else left))
            if not adoptable and self.ledger.exhausted:
                self.stopping = EXHAUSTED
                break
            if not n:
                break
            if self.ledger.n_open and self.ledger.n_open + n > self.most_open:
                with self.room:
                    self.room.wait(ROOM_S)
                return None
            limits = self.space.limits
            items = self.ledger.next_items(n, limit_s=60 * limits.trial_minutes, retries=limits.retries)
            if items:
                return Cohort(f"{self.run_id}/{items[0].key}", tuple(items))
        raise StopIteration

    def _show(self, status: PoolStatus) -> None:
        now = time.monotonic()
        if status.workers:
            self.lonely_since = None
        elif self.lonely_since is not None and now - self.lonely_since > NO_WORKER_S:
            self.lonely_since = None
            self.progress.note(f"no worker after {NO_WORKER_S:.0f} s: {self.fleet.why_none()}")
        hours = self.budget.hours
        left_s = None if hours is None else max(0.0, 3600 * hours - self.elapsed_s)
        elapsed_s, books = now - self.began, self.ledger
        running = search_status(
            self.space, self.budget, books, status, elapsed_s=elapsed_s, left_s=left_s, resumed=self.resumed
        )
        self.progress.update(running)

    # ---- the end

    def _confirm(self) -> tuple[ConfirmationLog, ...]:
        known = self._confirmed()
        best = [log for log in self.ledger.ranking()[: self.space.confirm.top] if log.number not in known]
        if best and not (self.interrupt.asked or self.failed):
            for log in confirm_best(best, self.space, self.ledger, self.fleet, self.progress, self._interrupted):
                stored = self.journal.record_confirmation(log)
                self.tracker.log_confirmation(stored)
                known[stored.number] = stored
        return tuple(known.values())

    def _interrupted(self) -> bool:
        self.journal.keep_time()
        return self.interrupt.asked

    def _confirmed(self) -> dict[int, ConfirmationLog]:
        """By trial, what is confirmed already."""
        return {one.number: one for one in read_events(self.ledger.folder) if isinstance(one, ConfirmationLog)}

    def _conclude(self, confirmations: tuple[ConfirmationLog, ...]) -> StudyOutcome:
        ledger = self.ledger
        state: StudyState = "stopped" if self.interrupt.asked else "failed" if self.failed else "finished"
        used_up = self.budget.left(ledger.n_asked) == 0
        outcome = build_outcome(
            ledger.folder,
            ledger.logs,
            confirmations,
            ledger.dataset,
            self.space.objectives,
            state=state,
            reason="" if state == "finished" and used_up else self.stopping,
            trials=ledger.counts(),
            elapsed_s=self.elapsed_s,
        )
        write_json(ledger.folder.outcome, outcome.to_dict())
        self.tracker.finish_study(self.journal.record_outcome(outcome.log()))
        if outcome.state == "failed":
            why = self.stopping or ledger.commonest_failure() or "no trial finished"
            raise TrialError(f"study {self.space.study}: {why}; its trials are in {ledger.folder.path}")
        return outcome
