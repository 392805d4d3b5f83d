"""The queue: what is to be trained, who has it on lease, what came back. Plain logic; Ray is in `work_queue_actor`.

Cohorts of items are offered; workers take items of one tensor shape, as many as fit, across cohorts. A lease lives by
its worker's heartbeat; one that expires goes back to the front of the queue, with its last checkpoint. A cohort ends
when all its items have.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import ceil, inf

from rfe.search.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint
from rfe.search.lease import Entry, Holder
from rfe.search.packing import pack_stack
from rfe.search.work import Assignment, ItemResult, Report, Updates, WorkItem, WorkQueueStatus, over_time, study_of
from rfe.training.record import Checkpoint, FoldPart, TrialResult

LEASE_S = 60.0
"""A worker not heard of for so long has lost its leases; a busy machine keeps a living one silent for half of that. One
that was replaced in its place is known to be gone at once."""
FAILED_STARTS = 6
"""So many workers in a row that fail in one place, while none works anywhere, are no accident."""
HANG_GRACE_S = 60.0
"""Seconds past its limit after which an item's worker counts as hanging."""
CALLS_PER_S = 100
"""So many heartbeats, and so many questions of idle workers, the queue wants in a second: Ray takes about a millisecond
for each, and a thousand workers at their usual intervals would keep it busy with nothing else."""
LONGEST_PAUSE_S = 10.0
"""Between two heartbeats, however many workers there are: they learn from them what was cancelled, or that they go."""


class WorkQueue:
    """See the module.

    Args:
        lease_s: how long a lease outlives its last heartbeat.
        clock: seconds that only grow.
    """

    def __init__(self, lease_s: float = LEASE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_s, self._clock = lease_s, clock
        self._entries: dict[str, Entry] = {}
        self._waiting: list[str] = []
        self._cohorts: dict[str, set[str]] = {}
        """Those that are open: their items that are yet to end or to be settled."""
        self._ended_cohorts: set[str] = set()
        self._next_sweep = inf
        """Before this no lease can have expired: with a thousand workers it takes long to look at them in each call."""
        self._workers: dict[str, Holder] = {}
        self._closed_runs: set[str] = set()
        self._cancelled: dict[str, WorkItem] = {}
        """Cancelled items whose training a later run can resume."""
        self._results: dict[str, list[ItemResult]] = {}
        self._reports: dict[str, list[Report]] = {}
        self._n_ended = 0
        self._epochs: dict[str, int] = {}
        self._weight_thresholds: dict[str, float] = {}
        self._failed_starts: dict[str, int] = {}
        """Slot -> workers in a row that failed there before one took anything anywhere."""
        self._why_failed = ""
        self._stopped = False
        self._retired: frozenset[str] = frozenset()
        self._draining: frozenset[str] = frozenset()
        self._gone: set[str] = set()
        """Workers that were told to go, and went."""
        self._scores: dict[str, float] = {}
        self._idle_s = 0.0

    # ---- called by the driver

    def offer(self, cohort: str, items: Sequence[WorkItem]) -> None:
        """Put a cohort's items at the end of the queue, those that are `ahead` at its front; a cohort that was offered
        before is left as it is.

        Args:
            cohort: the name of the run it belongs to (a search, say), a slash, and its own name.
            items: what to train.
        """
        if cohort in self._cohorts or cohort in self._ended_cohorts or _run_of(cohort) in self._closed_runs:
            return
        self._cohorts[cohort] = {item.key for item in items}
        self._close_ended([cohort])  # one without items
        new = [item for item in items if item.key not in self._entries]
        for item in new:
            self._entries[item.key] = Entry(item, self._clock())
            self._cancelled.pop(item.key, None)
        self._waiting[:0] = [item.key for item in new if item.ahead]
        self._waiting += [item.key for item in new if not item.ahead]

    def is_open(self, cohort: str) -> bool:
        """Whether items of the cohort are yet to be offered, to end or to be settled; False where cancelled."""
        if self._stopped or _run_of(cohort) in self._closed_runs:
            return False
        return cohort not in self._ended_cohorts

    def has_news(self, study: str) -> bool:
        """Whether `collect` would return anything."""
        self._sweep()
        return bool(self._results.get(study) or self._reports.get(study))

    def collect(self, study: str) -> Updates:
        """Which items of the study ended, and which scores were reported, since the last call."""
        results, reports = self._results.pop(study, []), self._reports.pop(study, [])
        hopeless = max(self._failed_starts.values(), default=0) >= FAILED_STARTS
        works = any(worker.has_taken for worker in self._workers.values())
        return Updates(tuple(results), tuple(reports), self._why_failed if hopeless and not works else "")

    def decide(self, verdicts: Mapping[str, str]) -> None:
        """The study compared what was reported of these items: key -> why it is to end, "" to go on."""
        for key, reason in verdicts.items():
            entry = self._entries.get(key)
            if entry is None:
                continue
            entry.undecided, entry.pruned = False, reason
            if reason and key in self._waiting:
                self._end(ItemResult(key, "pruned", reason, _so_far(entry.item, reason), lost=entry.lost))

    def prune(self, reasons: Mapping[str, str]) -> None:
        """End these items, whatever their scores: key -> why. Those that have ended, or are yet to come, are passed
        over."""
        self.decide({key: reason for key, reason in reasons.items() if key in self._entries})

    def retire(self, groups: Sequence[str]) -> None:
        """Have the workers of these groups save what they train, give it back, and go."""
        self._retired = frozenset(groups)

    def drain(self, nodes: Sequence[str]) -> None:
        """These nodes are about to go: their workers save what they train, give it back, and get nothing more."""
        self._draining = frozenset(nodes)

    def settle(self, keys: Sequence[str], thresholds: Mapping[str, float] | None = None) -> None:
        """The driver has recorded these: requests for their cohorts are answered from now on.

        Args:
            keys: items that ended.
            thresholds: by study, from which score on it wants weights.
        """
        for cohort in self._cohorts.values():
            cohort.difference_update(keys)
        self._close_ended(list(self._cohorts))
        self._weight_thresholds.update(thresholds or {})

    def stop(self) -> None:
        """Hand out nothing more; workers leave their stacks and go."""
        self._stopped = True

    def cancel(self, run: str) -> None:
        """Cancel this run's items: they end without a result, also those in training, and what
        is yet to be offered of it is refused. Their checkpoints stay for a run that offers them again."""
        self._closed_runs.add(run)
        cancelled = [cohort for cohort in self._cohorts if _run_of(cohort) == run]
        for cohort in cancelled:
            for key in self._cohorts[cohort] & self._entries.keys():
                self._cancelled[key] = self._entries[key].item
                self._remove(key)
            self._cohorts[cohort].clear()
        self._close_ended(cancelled)

    def status(self) -> WorkQueueStatus:
        now = self._clock()
        alive = [worker for worker in self._workers.values() if now - worker.heard <= self._lease_s]
        idle = sum(now - worker.idle_since for worker in alive if worker.idle_since is not None)
        leased = sum(len(worker.leases) for worker in self._workers.values())
        seconds = {
            key: (now - start) / max(1, worker.stack)
            for worker in self._workers.values()
            for key, start in worker.leases.items()
        }
        return WorkQueueStatus(
            len(self._waiting),
            leased,
            self._n_ended,
            len(alive),
            dict(self._epochs),
            self._idle_s + idle,
            dict(self._scores),
            seconds,
        )

    # ---- workers

    def register(self, worker: str, slot: str, node: str = "") -> None:
        """A worker starts in `slot` (its place in the worker group), on `node`: one that was there before is gone."""
        for name, other in list(self._workers.items()):
            if other.slot == slot:
                self._lose(name, f"worker {name} was replaced")
        self._add(worker, Holder(slot, self._clock(), node=node))

    def fail_start(self, worker: str, reason: str) -> bool:
        """The worker cannot start, and one that Ray starts in its place may fare no better; True: it is to go quietly,
        as nothing is handed out any more."""
        if (holder := self._workers.pop(worker, None)) is not None:
            self._failed_starts[holder.slot] = self._failed_starts.get(holder.slot, 0) + 1
            self._why_failed = reason
        return self._stopped

    def take(self, worker: str, memory_bytes: float, n: int) -> Assignment:
        """Lease up to `n` items of one shape that fit `memory_bytes` together; at least one if any is waiting.

        The oldest item decides the shape. Where several workers have nothing to do, none takes more than its share.
        A worker that asks trains nothing: what it still has on lease never reached it, or came back half said.
        """
        self._sweep()
        self._failed_starts.clear()
        holder = self._hear(worker)
        holder.has_taken = True
        self._waiting[:0] = holder.leases
        holder.leases.clear()
        if self._stopped or self._leaves(holder):
            if self._is_retired(holder):
                self._workers.pop(worker, None)
                self._gone.add(worker)
            return self._assignment(holder)
        if n > 1:
            others = [one for one in self._workers.values() if not (one is holder or self._leaves(one))]
            idle = sum(not other.leases for other in others) + 1
            n = max(1, min(n, ceil(len(self._waiting) / idle)))
        taken = pack_stack((self._entries[key] for key in self._waiting), memory_bytes, n)
        now = self._clock()
        if taken and holder.idle_since is not None:
            self._idle_s += now - holder.idle_since
        holder.idle_since = None if taken else (holder.idle_since or now)
        holder.stack = len(taken)
        chosen = set(taken)
        self._waiting = [key for key in self._waiting if key not in chosen]
        entries = [self._entries[key] for key in taken]
        for key, entry in zip(taken, entries, strict=True):
            holder.leases[key] = now
            entry.wait_s = now - entry.offered if entry.wait_s is None else entry.wait_s
            self._next_sweep = min(self._next_sweep, self._latest_end(key, holder))
        items = tuple(replace(entry.item, checkpoint=load_checkpoint(entry.item)) for entry in entries)
        if items:
            return replace(self._assignment(holder), items=items)
        idle = sum(not one.leases for one in self._workers.values())
        return replace(self._assignment(holder), pause_s=_pause(idle))

    def heartbeat(
        self, worker: str, epochs: Mapping[str, int], scores: Mapping[str, float] | None = None
    ) -> Assignment:
        """Keep the worker's leases alive; `epochs` says how far each item in its stack is, `scores` how it scored."""
        self._sweep()
        holder = self._hear(worker)
        self._epochs.update({key: epoch for key, epoch in epochs.items() if key in holder.leases})
        self._scores.update({key: score for key, score in (scores or {}).items() if key in holder.leases})
        return replace(self._assignment(holder, epochs), pause_s=_pause(len(self._workers)))

    def report(self, worker: str, reports: Sequence[Report]) -> Assignment:
        """Scores of the worker's items, for the study to compare."""
        holder = self._hear(worker)
        for report in reports:
            if report.key in holder.leases:
                self._entries[report.key].undecided = True
                self._reports.setdefault(study_of(report.key), []).append(report)
        return self._assignment(holder, [report.key for report in reports])

    def save(self, worker: str, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Keep how far the worker's items are; the next worker that leases them resumes there."""
        holder = self._hear(worker)
        for key, checkpoint in checkpoints.items():
            if key in holder.leases:
                save_checkpoint(self._entries[key].item, checkpoint)
            elif key in self._cancelled:
                save_checkpoint(self._cancelled[key], checkpoint)

    def finish(self, worker: str, key: str, result: TrialResult) -> None:
        """The result of an item, or of its first folds. Only the first one counts."""
        self._hear(worker)
        entry = self._entries.get(key)
        if entry is None:
            return
        wanted = {*(entry.item.part.folds if entry.item.part else ()), *_former_folds(entry.item)}
        if result.state == "complete" and wanted and wanted != {*result.folds.tolist()}:
            return  # of the first folds, by a worker that lost its lease while another one trained them
        if result.state == "complete" and entry.item.rest:
            self._await_rest(entry, result)
        else:
            self._end(ItemResult(key, result.state, result.reason, result, worker, entry.lost))

    def lose(self, worker: str, reason: str) -> None:
        """The worker's process cannot go on and ends: its items go to others, as those of a silent one."""
        if worker in self._workers:
            self._lose(worker, reason)

    def return_stack(self, worker: str, keys: Sequence[str], reason: str) -> None:
        """The worker's stack raised an error: its items are tried again in smaller stacks, a single one fails."""
        holder = self._hear(worker)
        self._split(worker, [key for key in keys if key in holder.leases], ceil(len(keys) / 2), reason)

    # ---- inner workings

    def _hear(self, worker: str) -> Holder:
        if worker in self._gone:  # its last heartbeat, under way when it left
            return Holder(worker, self._clock())
        holder = self._workers.get(worker)
        if holder is None:
            holder = self._add(worker, Holder(worker, self._clock()))
        holder.heard = self._clock()
        return holder

    def _add(self, worker: str, holder: Holder) -> Holder:
        self._workers[worker] = holder
        self._next_sweep = min(self._next_sweep, holder.heard + self._lease_s)
        return holder

    def _latest_end(self, key: str, holder: Holder) -> float:
        """When the worker counts as hanging if it has not ended the item."""
        limit = self._entries[key].item.limit_s
        return inf if limit is None else holder.leases[key] + (limit + HANG_GRACE_S) * max(1, holder.stack)

    def _close_ended(self, cohorts: Iterable[str]) -> None:
        for cohort in [one for one in cohorts if not self._cohorts[one]]:
            del self._cohorts[cohort]
            self._ended_cohorts.add(cohort)

    def _assignment(self, holder: Holder, training: Iterable[str] = ()) -> Assignment:
        dropped = frozenset(training) - (frozenset() if self._stopped else holder.leases.keys())
        entries = {key: self._entries[key] for key in holder.leases}
        pruned = {key: entry.pruned for key, entry in entries.items() if entry.pruned}
        undecided = any(entry.undecided for entry in entries.values())
        stop = self._stopped or self._is_retired(holder)
        back = holder.node in self._draining
        return Assignment((), dropped, pruned, undecided, dict(self._weight_thresholds), stop, back, holder.leave)

    def _is_retired(self, holder: Holder) -> bool:
        return holder.slot.rpartition("-")[0] in self._retired

    def _leaves(self, holder: Holder) -> bool:
        """Whether a worker gets nothing more."""
        return self._is_retired(holder) or holder.node in self._draining

    def _await_rest(self, entry: Entry, first: TrialResult) -> None:
        """The first folds are trained: the others wait for the study to compare the score on these."""
        item = entry.item
        remove_checkpoint(item)
        entry.item = replace(item, part=FoldPart(item.rest, first), rest=(), compared=False, rungs=())
        entry.undecided = True
        for worker in self._workers.values():
            worker.leases.pop(item.key, None)
        # it waits already where its worker was given up, and the result was only late
        self._waiting = [item.key, *(key for key in self._waiting if key != item.key)]
        epochs = max((epoch for epoch, _ in first.curves.get("score", [])), default=0)
        self._reports.setdefault(item.study, []).append(Report(item.key, epochs, first.score))

    def _sweep(self) -> None:
        """Take back what a silent worker holds, and end what is far over its time."""
        now = self._clock()
        if now <= self._next_sweep:
            return
        for name, worker in list(self._workers.items()):
            if now > worker.heard + self._lease_s:
                self._lose(name, f"worker {name} was not heard of for {self._lease_s:.0f} s")
                continue
            for key in worker.leases:
                if now > self._latest_end(key, worker):
                    worker.leave = True
                    # an epoch that does not end keeps all of the stack: whose it is shows in smaller ones
                    reason = over_time(self._entries[key].item.limit_s or 0.0)
                    self._split(name, list(worker.leases), ceil(worker.stack / 2), reason)
                    break
        silent = (worker.heard + self._lease_s for worker in self._workers.values())
        ends = (self._latest_end(key, worker) for worker in self._workers.values() for key in worker.leases)
        self._next_sweep = min(chain(silent, ends), default=inf)

    def _split(self, name: str, keys: Sequence[str], largest: int, reason: str) -> None:
        """These items of the worker's stack go on in stacks of at most `largest`; one that was alone fails."""
        worker = self._workers[name]
        for key in keys:
            del worker.leases[key]
            self._epochs.pop(key, None)
            if worker.stack <= 1:
                self._end(ItemResult(key, "failed", reason, worker=name, lost=self._entries[key].lost))
            else:
                self._entries[key].largest_stack = largest
        if worker.stack > 1:
            self._waiting[:0] = keys

    def _lose(self, name: str, reason: str) -> None:
        worker = self._workers.pop(name)
        back: list[str] = []
        for key in worker.leases:
            entry = self._entries[key]
            entry.lost += 1
            entry.undecided = False
            self._epochs.pop(key, None)
            if entry.lost > entry.item.retries:
                times = "once" if entry.lost == 1 else f"{entry.lost} times"
                self._end(ItemResult(key, "failed", f"lost its worker {times}, at last: {reason}", lost=entry.lost))
            else:
                if entry.lost == entry.item.retries:
                    entry.largest_stack = 1  # the last try: its neighbours may be what ends its workers
                back.append(key)
        self._waiting[:0] = back

    def _end(self, item_result: ItemResult) -> None:
        entry = self._entries[item_result.key]
        item_result = replace(item_result, wait_s=entry.wait_s)
        self._results.setdefault(study_of(item_result.key), []).append(item_result)
        remove_checkpoint(entry.item)
        self._remove(item_result.key)

    def _remove(self, key: str) -> None:
        self._n_ended += 1
        self._epochs.pop(key, None)
        self._scores.pop(key, None)
        del self._entries[key]
        if key in self._waiting:
            self._waiting.remove(key)
        for worker in self._workers.values():
            worker.leases.pop(key, None)


def _so_far(item: WorkItem, reason: str) -> TrialResult | None:
    """What an item that waits got to before it was pruned, in its first folds or up to its checkpoint; else None."""
    former = (item.part and item.part.former) or load_checkpoint(item)
    if former is None:
        return None
    return TrialResult("", "pruned", reason, curves=former.curves, seconds=former.seconds)


def _pause(n_workers: int) -> float:
    """Seconds between two calls of each of so many workers."""
    return min(n_workers / CALLS_PER_S, LONGEST_PAUSE_S)


def _former_folds(item: WorkItem) -> list[int]:
    return item.part.former.folds.tolist() if item.part and item.part.former else []


def _run_of(cohort: str) -> str:
    return cohort.partition("/")[0]
