"""Tracks the trials of one study: which were asked for, which are open, how each ended.

An ended trial goes to the study's journal first, then to the tracker. Only the driver's process tracks trials.
"""

import threading
from bisect import insort
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from rfe.config.identity import config_id
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.errors import ConfigError
from rfe.journal.events import TrialLog
from rfe.search.answering import Answer, StudyState, TrialProgress
from rfe.search.changes import StudyChanges
from rfe.search.control import record_changes, take_up
from rfe.search.open_trial import OpenTrial, copy_log, log_of_result
from rfe.search.requests import waiting_requests
from rfe.search.work import ItemResult, Report, WorkItem, trial_of
from rfe.search_space import ARM, effective_config
from rfe.study import AskedTrial, StudyStore, covers, rungs
from rfe.tracking.base import Tracker
from rfe.training.build import memory_bytes, shape_key
from rfe.training.record import FoldPart
from rfe.workspace import StudyFolder


class TrialTracker:
    """See the module. Asking, comparing and settling may happen in different threads; the store bears one at a time.

    Args:
        folder: the study's.
        store: the study's trials.
        tracker: shows them.
        dataset: what is trained on.
        encoders: those the user limited the data to; None: all.
        source: the data's path or URI, as every node can open it; None: the dataset's path.
        changes: what users' requests have made of the study; None: as the journal has them.
    """

    def __init__(
        self,
        folder: StudyFolder,
        store: StudyStore,
        tracker: Tracker,
        dataset: Dataset,
        encoders: tuple[str, ...] | None = None,
        source: str | None = None,
        changes: StudyChanges | None = None,
    ) -> None:
        self.changes = StudyChanges.read(store.journal.records()) if changes is None else changes
        self.folder, self.dataset = folder, dataset
        self._source = source or str(dataset.path)
        self._store, self._tracker = store, tracker
        self._encoders = encoders
        self._lock = threading.RLock()
        self._open: dict[int, OpenTrial] = {}
        self._waiting_for: dict[str, list[OpenTrial]] = {}
        """Configuration id -> trials that wait for another trial of the same configuration."""
        self._logs: dict[int, TrialLog] = {}
        self._trained: dict[str, int] = {}
        """Configuration id -> the first complete trial that has it."""
        self._adopted: deque[AskedTrial] = deque()
        self._failures_in_a_row = 0
        self._ranked: list[tuple[float, int]] = []
        """(-score, number) of the complete trials that are no copies, in order: sorting them in each turn takes long.
        """
        self._front: list[tuple[float, ...]] = []
        """The objectives' values of the trials that no other is better than; the best score, if that is the one."""
        self._since_best = 0
        self.copies_in_a_row = 0
        """Trials that repeated a configuration since the last that did not."""
        self._recover()

    # ---- what is known

    @property
    def n_asked(self) -> int:
        """Trials asked for in the whole study, those to be adopted included."""
        return len(self._logs) + len(self._open) + len(self._adopted)

    @property
    def n_open(self) -> int:
        return len(self._open)

    def open_keys(self) -> list[str]:
        """Keys of the items that were handed out and have not ended."""
        return [self._key(number) for number in list(self._open)]

    @property
    def n_adoptable(self) -> int:
        """Trials of a process that died, yet to be given out again."""
        return len(self._adopted)

    @property
    def n_queued(self) -> int:
        """Configurations that users asked for, yet to be tried."""
        return len(self.changes.queue)

    @property
    def grid_size(self) -> int | None:
        """How many configurations a grid has; None with another sampler, or if they are too many to count."""
        return self._store.grid_size

    @property
    def exhausted(self) -> bool:
        """Whether every point of a grid was asked for."""
        with self._lock:
            return self._store.exhausted

    def origins(self) -> dict[int, str]:
        """Number -> where the trial's parameters came from."""
        with self._lock:
            return {row.number: row.origin for row in self._store.trials()}

    @property
    def logs(self) -> Mapping[int, TrialLog]:
        """How each trial ended, by number."""
        return self._logs

    @property
    def failures_in_a_row(self) -> int:
        return self._failures_in_a_row

    @property
    def since_best(self) -> int:
        """Complete and pruned trials since the best one so far, or since the Pareto front changed."""
        return self._since_best

    def counts(self) -> dict[str, int]:
        """Trials by state; `duplicates` are counted under their state as well."""
        logs = list(self._logs.values())
        states = Counter(log.state for log in logs)
        duplicates = sum("duplicate_of" in log.tags for log in logs)
        return {state: states[state] for state in ("complete", "pruned", "failed")} | {"duplicates": duplicates}

    def ranking(self) -> list[TrialLog]:
        """Complete trials that are no copies, best first."""
        return [self._logs[number] for _, number in list(self._ranked)]  # asking may add copies meanwhile

    def commonest_failure(self) -> str:
        """The reason that most failed trials share; "" without failures."""
        reasons = Counter(log.reason for log in list(self._logs.values()) if log.state == "failed")
        return reasons.most_common(1)[0][0] if reasons else ""

    # ---- asking

    def next_items(self, n: int, **limits: Any) -> list[WorkItem]:
        """Up to `n` configurations to train: first what users queued, then what a dead process left, then new ones.

        Trials whose configuration is known already end here, as copies, and are not among them.

        Args:
            n: how many trials to ask for.
            limits: `limit_s` and `retries` of the items.
        """
        with self._lock:
            queued = {one.id: one.params for one in self.changes.queue[:n]}
            asked = [] if queued else [self._adopted.popleft() for _ in range(min(n, len(self._adopted)))]
            if not asked:
                asked = self._store.ask(len(queued), queued) if queued else self._store.ask(n)
                self.changes.take(asked)
            limits["ahead"] = bool(queued)
            items = []
            for one in asked:
                trial = self._effective(one)
                if trial is not None and not (self._is_pruned(trial) or self._is_copy(trial)):
                    self._open[trial.number] = trial
                    options = {**self._pruning(trial), **limits, "keep_weights": self._keeps_weights(trial)}
                    items.append(self.work_item(self._key(trial.number), trial.config, **options))
            return items

    def work_item(self, key: str, config: Config, **options: Any) -> WorkItem:
        """The item that trains `config` on the study's data."""
        return WorkItem(
            key,
            config.model_dump(),
            self._source,
            self._encoders,
            f"{self.dataset.fingerprint}/{shape_key(config, self.dataset)}",
            memory_bytes(config, self.dataset),
            checkpoint_file=str(self.folder.checkpoints / f"{key.partition('/')[2].replace('/', '-')}.npz"),
            **options,
        )

    def _pruning(self, trial: OpenTrial) -> dict[str, Any]:
        """How an item takes part in pruning."""
        pruner, folds = self._store.definition.space.pruner, self.dataset.clips.folds
        if pruner.kind == "none":
            return {}
        options: dict[str, Any] = {"compared": True, "rungs": rungs(pruner, trial.config.train.epochs)}
        if pruner.folds_first is not None:
            options |= {"part": FoldPart(folds[: pruner.folds_first]), "rest": folds[pruner.folds_first :]}
        return options

    def _keeps_weights(self, trial: OpenTrial) -> bool:
        return trial.arm in self._store.definition.space.keep_arms

    def _key(self, number: int) -> str:
        return f"{self.folder.name}/{number}"

    def _effective(self, asked: AskedTrial) -> OpenTrial | None:
        """The trial's configuration; None (and a failed trial) if its values do not go together."""
        try:
            config = effective_config(self._store.definition.resolved, asked.params)
            shape_key(config, self.dataset)
        except ConfigError as error:
            self._record(TrialLog(self.folder.name, asked.number, "failed", "", dict(asked.params), reason=str(error)))
            return None
        origin = self.changes.origins.get(asked.number)
        tags = {} if origin is None else origin.tags()
        return OpenTrial(asked.number, config, config_id(config), str(asked.params.get(ARM, "")), tags)

    def _is_pruned(self, trial: OpenTrial) -> bool:
        """Whether a user ended a trial that is yet to be given out; it ends here."""
        reason = self.changes.pruned.get(trial.number)
        if reason is None:
            return False
        self._record(self._ended(trial, ItemResult(self._key(trial.number), "pruned", reason)))
        return True

    def _is_copy(self, trial: OpenTrial) -> bool:
        if trial.config_id in self._trained:
            self._record(copy_log(self._logs[self._trained[trial.config_id]], trial.number))
            return True
        if any(other.config_id == trial.config_id for other in self._open.values()):
            self._open[trial.number] = trial
            self._waiting_for.setdefault(trial.config_id, []).append(trial)
            return True
        return False

    # ---- what users ask for

    def take_up(self, progress: Mapping[int, TrialProgress]) -> list[Answer]:
        """Take up what users asked for; `progress` is of the trials in training."""
        if not waiting_requests(self.folder):
            return []
        with self._lock:  # nothing is asked for while the queue and the space change
            state = StudyState(self._store.definition, self.changes, self._logs, progress)
            answers = take_up(self.folder, self._store.journal, lambda: state)
            if any("ranges" in answer.effects for answer in answers):
                self._narrow()
            return answers

    def record_changes(self) -> None:
        """Have journal and tracker say what is searched now, and for how long."""
        state = StudyState(self._store.definition, self.changes, self._logs)
        if (changed := record_changes(self.folder, self._store.journal, state)) is not None:
            self._tracker.change_study(changed)

    def _narrow(self) -> None:
        """Have the sampler propose points of the space as users narrowed it."""
        if self.changes.ranges:
            narrowed = self.changes.space(self._store.definition.resolved)
            self._store.narrow(narrowed, self.changes.narrowed_at)

    def pruned_keys(self) -> dict[str, str]:
        """Key -> reason of the open items that users ended; copies that only wait for another trial end here."""
        with self._lock:
            chosen = {n: reason for n, reason in self.changes.pruned.items() if n in self._open}
            for copies in self._waiting_for.values():
                for copy in [one for one in copies if one.number in chosen]:
                    copies.remove(copy)
                    reason = chosen.pop(copy.number)
                    self._record(self._ended(copy, ItemResult(self._key(copy.number), "pruned", reason)))
            return {self._key(number): reason for number, reason in chosen.items()}

    # ---- comparing

    def compare(self, reports: Sequence[Report]) -> dict[str, str]:
        """Key -> why the trial is to end, going by its scores beside other trials'; "" to go on with it.

        Args:
            reports: scores of open trials, in the order in which they came; others are passed over.
        """
        kind = self._store.definition.space.pruner.kind
        verdicts = {report.key: "" for report in reports}
        with self._lock:
            known = [report for report in reports if trial_of(report.key) in self._open]
            answers = self._store.report([(trial_of(one.key), one.epoch, one.score) for one in known])
        for report, prunes in zip(known, answers, strict=True):
            if prunes and not verdicts[report.key]:
                verdicts[report.key] = f"pruned ({kind}) at epoch {report.epoch} with score {report.score:.3f}"
        return verdicts

    # ---- settling

    def settle(self, item_result: ItemResult) -> TrialLog | None:
        """Record how an item and its copies ended; None for an item that is not an open trial of this study."""
        with self._lock:
            trial = self._open.get(trial_of(item_result.key))
            if trial is None:
                return None
            log = self._record(self._ended(trial, item_result))
            for copy in self._waiting_for.pop(trial.config_id, []):
                self._record(copy_log(log, copy.number))
            return log

    def _ended(self, trial: OpenTrial, item_result: ItemResult) -> TrialLog:
        return log_of_result(
            self.folder.name, trial, item_result, self.dataset, keep_weights=self._keeps_weights(trial)
        )

    def _record(self, log: TrialLog) -> TrialLog:
        stored = self._store.tell(log)
        assert stored is not None, f"trial {log.number} had ended"
        self._tracker.log_trial(stored)
        self._account(stored)
        return stored

    def _values(self, log: TrialLog) -> tuple[float, ...]:
        return tuple(log.scores[name] for name in self._store.definition.space.objectives)

    def _account(self, log: TrialLog) -> None:
        self._open.pop(log.number, None)
        if log.number in self._logs:  # the last record of a trial holds
            self._ranked = [one for one in self._ranked if one[1] != log.number]
        self._logs[log.number] = log
        if log.score is not None and "duplicate_of" not in log.tags:
            insort(self._ranked, (-log.score, log.number))
        self.copies_in_a_row = self.copies_in_a_row + 1 if "duplicate_of" in log.tags else 0
        if log.score is not None:
            self._trained.setdefault(log.config_id, log.number)
            values = self._values(log)
            if not any(covers(one, values) for one in self._front):
                self._since_best = -1
                self._front = [one for one in self._front if not covers(values, one)] + [values]
        if log.state != "failed":
            self._since_best += 1
        if log.state != "failed":
            self._failures_in_a_row = 0
        elif "duplicate_of" not in log.tags:
            self._failures_in_a_row += 1

    # ---- after a restart

    def _recover(self) -> None:
        """Account for the trials that ended before, and find those that a dead process left."""
        for log in self._store.logs:
            self._account(log)
        self._failures_in_a_row = 0  # a restart implies that the cause was handled
        self._adopted = deque(self._store.running())
        self._narrow()
