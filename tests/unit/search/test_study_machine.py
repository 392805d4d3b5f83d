"""Journal, Optuna's study and MLflow under whatever happens to a search: crashes anywhere, lost answers, repairs.

Hypothesis plays sequences of these and looks at the books after each step. To play more of them than the default suite
does, see `tests/machines.py`.
"""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog, TrialLog
from rfe.journal.records import read_events, read_records
from rfe.progress import SilentProgress
from rfe.search.repair import repair_study
from rfe.search.trial_tracker import TrialTracker
from rfe.search.work import ItemResult, Report, WorkItem, trial_of
from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.study.samplers import sampler_state
from rfe.tracking.mlflow_tracker import MlflowTracker, find_gaps
from rfe.training.record import TrialResult
from rfe.workspace import Workspace
from tests.integration.fakes import fake_result, write_data
from tests.machines import machine_settings
from tests.unit.search.inline_tracking import CrashError, CrashingServer, InlineOutbox, use_inline_tracking

PICK = st.integers(0, 99)
"""Chooses among what there is at the moment."""
WIDE: dict[str, Any] = {
    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
    "model.dropout": {"float": [0.0, 0.6]},
}
FEW: dict[str, Any] = {"train.lr": {"choice": [0.001, 0.003, 0.01, 1.0]}}
"""Most trials are copies of others."""
SAMPLERS = {
    "tpe": (WIDE, {"kind": "tpe", "startup_trials": 3}),
    "nsga2": (WIDE, {"kind": "nsga2", "population": 4}),
    "cmaes": (WIDE, {"kind": "cmaes", "startup_trials": 2, "population": 4}),
    "copies": (FEW, {"kind": "random"}),
}
PRUNERS = {
    "none": {"kind": "none"},
    "asha": {"kind": "asha", "min_epochs": 1},
    "median": {"kind": "median", "startup_trials": 1},
}
VOLATILE = ("rfe.session", "rfe.refreshed", "rfe.pid", "rfe.pid_start", "rfe.shown", "mlflow.parentRunId")
"""Tags that say when, by which process, and under which id a run was written."""


@cache
def dataset() -> Dataset:
    folder = Path(tempfile.mkdtemp(prefix="rfe-machine-"))
    try:
        return load_dataset(write_data(folder / "data", actors=3, clips_per_actor=10, targets=2))
    finally:
        shutil.rmtree(folder)


class StudyMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="rfe-machine-"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(os, "fsync", lambda number: None)
        self.server = CrashingServer()
        self.outboxes = use_inline_tracking(self.patch, self.server)
        self.workspace = Workspace(self.root, "http://mlflow.invalid", self.root / "cache")
        self.folder = self.workspace.study("s")
        self.sessions = 0
        self.is_open = False
        self.compared_at = 0
        """The journal's size when the study was last compared with it."""
        self.items: dict[int, WorkItem] = {}
        """Trials in training."""
        self.ended: dict[int, tuple[str, float | None]] = {}
        """Trials of which the search was told that they had ended: state and score."""

    @initialize(sampler=st.sampled_from(sorted(SAMPLERS)), pruner=st.sampled_from(sorted(PRUNERS)))
    def begin(self, sampler: str, pruner: str) -> None:
        lines, settings = SAMPLERS[sampler]
        given = {"study": "s", "space": lines, "sampler": settings, "pruner": PRUNERS[pruner], "keep_top": 2}
        self.definition = define_study(load_space(given), tuple(dataset().encoders), seed=1, fingerprint="f")
        self.open()

    # ---- the search

    @precondition(lambda self: not self.is_open)
    @rule()
    def open(self) -> None:
        """As `run_search` does."""
        self.sessions += 1
        self.store = StudyStore.open(self.folder.path, self.definition)
        self.tracker = MlflowTracker(self.workspace, self.folder, keep_top=2)
        log = StudyLog("s", "data", "f", session=f"session {self.sessions}", settings={"budget.trials": 9})
        self.tracker.start_study(self.store.journal.record_study(log))
        events = list(read_events(self.folder))
        self.trials = TrialTracker(self.folder, self.store, self.tracker, dataset())
        self.tracker.replay(events)
        self.items = {}
        self.is_open = True
        assert self.ended.items() <= self._logged().items(), "the journal lost an end that it had taken"

    @precondition(lambda self: self.is_open)
    @rule(n=st.integers(1, 4))
    def ask(self, n: int) -> None:
        adopts = bool(self.trials.n_adoptable)
        known = {row.number for row in self.store.trials()}
        with self._rebuilt() as rebuilt:
            expected = [] if adopts else [(one.number, one.params) for one in rebuilt.ask(n)]
        items = self.trials.next_items(n)
        asked = [(row.number, row.params) for row in self.store.trials() if row.number not in known]
        assert asked == expected, "the study read from its journal would have asked for other trials"
        self.items |= {trial_of(item.key): item for item in items}

    @precondition(lambda self: self.is_open and self.items)
    @rule(pick=PICK, epoch=st.integers(1, 3), score=st.sampled_from([0.1, 0.2, 0.3, float("nan")]))
    def report(self, pick: int, epoch: int, score: float) -> None:
        number = self._one(list(self.items), pick)
        with self._rebuilt() as rebuilt:
            (expected,) = rebuilt.report([(number, epoch, score)])
        verdict = self.trials.compare([Report(f"s/{number}", epoch, score)])
        assert bool(verdict[f"s/{number}"]) == expected, "the study read from its journal would have decided otherwise"

    @precondition(lambda self: self.is_open and self.items)
    @rule(pick=PICK, how=st.sampled_from(["complete", "complete", "pruned", "failed"]))
    def end(self, pick: int, how: str) -> None:
        number = self._one(list(self.items), pick)
        log = self.trials.settle(self._result(self.items.pop(number), how))
        assert log is not None
        assert log.number == number

    @precondition(lambda self: self.is_open and self.ended)
    @rule(pick=PICK)
    def end_again(self, pick: int) -> None:
        """A result that comes twice."""
        number = self._one(list(self.ended), pick)
        assert self.trials.settle(ItemResult(f"s/{number}", "failed", "late")) is None

    @precondition(lambda self: self.is_open and self._complete())
    @rule(pick=PICK)
    def confirm(self, pick: int) -> None:
        number = self._one(self._complete(), pick)
        log = ConfirmationLog("s", number, (0.3, 0.3 + pick / 100), (1000, 1001))
        self.tracker.log_confirmation(self.store.journal.record_confirmation(log))

    @precondition(lambda self: self.is_open)
    @rule(state=st.sampled_from(["finished", "stopped"]))
    def stop(self, state: Any) -> None:
        self.tracker.finish_study(
            self.store.journal.record_outcome(OutcomeLog("s", state, "well", {"score_best": len(self.ended) / 100}))
        )
        assert self.tracker.close() == ""
        self._leave()

    # ---- what goes wrong

    @precondition(lambda self: self.is_open)
    @rule()
    def crash(self) -> None:
        self._leave()

    @precondition(lambda self: self.is_open)
    @rule(
        pick=PICK,
        share=st.floats(0, 0.99, allow_subnormal=False),
        step=st.sampled_from(["ask", "report", "end", "open"]),
        after=st.integers(0, 2),
    )
    def crash_while_the_journal_is_written(self, pick: int, share: float, step: str, after: int) -> None:
        """The line that is written `after` others is torn."""
        from rfe.journal.journal import Journal

        whole, left = Journal._append, after

        def tear(journal: Journal, line: bytes, sync: bool) -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                return whole(journal, line, sync)
            with self.folder.journal.open("ab") as file:
                file.write(line[: int(share * len(line))])
            raise CrashError

        if step == "open":
            self._leave()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Journal, "_append", tear)
            try:
                if step == "open":
                    self.store = StudyStore.open(self.folder.path, self.definition)
                    self.store.journal.record("time")
                elif step == "ask" or not self.items:
                    self.trials.next_items(1 + pick % 3)
                elif step == "report":
                    self.trials.compare([Report(f"s/{self._one(list(self.items), pick)}", 1, share)])
                else:
                    self.trials.settle(self._result(self.items[self._one(list(self.items), pick)], "complete"))
            except CrashError:
                pass
        self._leave()

    @precondition(lambda self: self.is_open and self._outbox.actions)
    @rule(most=st.integers(1, 9), fails=st.lists(st.booleans(), max_size=3))
    def mlflow_catches_up(self, most: int, fails: list[bool]) -> None:
        """Some requests, or their answers, are lost on the way."""
        self.server.fails.extend(fails)
        self._outbox.go_on(most)
        self.server.fails.clear()

    @precondition(lambda self: self.is_open and self._outbox.actions)
    @rule(requests=st.integers(0, 25))
    def crash_while_mlflow_is_written(self, requests: int) -> None:
        self.server.crash_in = requests
        with suppress(CrashError):
            self._outbox.go_on(-1)
        self.server.crash_in = None
        self._leave()

    @precondition(lambda self: self.server.runs)
    @rule(pick=PICK)
    def delete_a_run_in_mlflow(self, pick: int) -> None:
        if not self.is_open:
            del self.server.runs[self._one(list(self.server.runs), pick)]

    @precondition(lambda self: not self.is_open)
    @rule()
    def repair(self) -> None:
        ended = self._logged()
        report = repair_study(self.workspace, self.folder, SilentProgress())
        assert report.left == ""
        assert self._logged() == ended
        assert {one.done for one in report.repairs} <= {"cut off", "written from the journal"}, report.repairs
        assert find_gaps(self.workspace, self.folder, 2) == []
        self._compare_with_a_new_projection()
        again = repair_study(self.workspace, self.folder, SilentProgress())
        assert again.repairs == (), "a second repair finds something"

    # ---- what holds at any moment

    @invariant()
    def nothing_is_recorded_twice(self) -> None:
        if not self.folder.journal.exists():
            return
        kinds = Counter((record.kind, record.number) for record in read_records(self.folder.journal))
        assert max((n for (kind, _), n in kinds.items() if kind == "trial"), default=1) == 1
        self.server.story()  # raises where a run stands twice
        assert not any(outbox.refused for outbox in self.outboxes), [outbox.refused for outbox in self.outboxes]
        if self.is_open:
            self.ended |= self._logged()

    @invariant()
    def the_study_is_a_function_of_its_journal(self) -> None:
        if not self.is_open or self.compared_at == (size := self.folder.journal.stat().st_size):
            return
        self.compared_at = size
        with self._rebuilt() as rebuilt:
            assert rebuilt.trials() == self.store.trials()
            assert _seen(rebuilt) == _seen(self.store)
        logs = self.trials.logs
        assert {number: log.state for number, log in logs.items()} == {
            row.number: row.state for row in self.store.trials() if row.state != "running"
        }
        assert self.items.keys().isdisjoint(logs)

    # ---- the end: the search goes on undisturbed

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self._finish()
        finally:
            if self.is_open:
                self.store.close()
            self.patch.undo()
            shutil.rmtree(self.root)

    def _finish(self) -> None:
        if not self.is_open:
            self.open()
        while self.trials.n_adoptable:
            self.ask(4)
        for number in sorted(self.items):
            self.trials.settle(self._result(self.items.pop(number), "complete"))
        self.stop("finished")
        self.repair()
        with StudyStore.open(self.folder.path, self.definition) as store:
            assert [row.state for row in store.trials()].count("running") == 0
            assert {row.number for row in store.trials()} == self._logged().keys()

    # ---- inner workings

    @property
    def _outbox(self) -> InlineOutbox:
        return self.outboxes[-1]

    def _leave(self) -> None:
        """The process is gone, and with it its lock and what it had not sent."""
        self.store.close()
        self.is_open = False

    @contextmanager
    def _rebuilt(self) -> Iterator[StudyStore]:
        """The study read from a copy of its journal."""
        copy = self.root / "copy" / "s"
        copy.mkdir(parents=True)
        for file in (self.folder.journal, self.folder.definition):
            shutil.copy(file, copy)
        try:
            with StudyStore.open(copy, self.definition) as store:
                yield store
        finally:
            shutil.rmtree(copy)

    def _logged(self) -> dict[int, tuple[str, float | None]]:
        events = read_events(self.folder)
        return {event.number: (event.state, event.score) for event in events if isinstance(event, TrialLog)}

    def _complete(self) -> list[int]:
        return [number for number, (state, _) in self.ended.items() if state == "complete"]

    def _result(self, item: WorkItem, how: str) -> ItemResult:
        if how == "complete":
            result = fake_result(Config.model_validate(item.config), dataset())
            return ItemResult(item.key, result.state, result.reason, result)
        return ItemResult(item.key, how, "because", TrialResult("c", how, "because"))  # type: ignore[arg-type]

    def _compare_with_a_new_projection(self) -> None:
        """MLflow shows what it would show if it were empty and were written from the journal."""
        written = CrashingServer()
        with pytest.MonkeyPatch.context() as patch:
            use_inline_tracking(patch, written)
            tracker = MlflowTracker(self.workspace, self.folder, keep_top=2)
            tracker.replay(read_events(self.folder))
            assert tracker.close() == ""
        shown, expected = _shown(self.server), _shown(written)
        assert shown.keys() >= expected.keys()
        for name, run in expected.items():
            if name == "study s":  # MLflow keeps the scores of a former end
                run["metrics"] = shown[name]["metrics"] | run["metrics"]
            else:  # and the figures of trials that were among the best for a while
                run["files"] |= {file for file in shown[name]["files"] if file.startswith("figures/")}
            for part in run:
                assert shown[name][part] == run[part], (name, part, shown[name][part], run[part])

    def _one(self, among: Sequence[Any], pick: int) -> Any:
        return among[pick % len(among)]


def _seen(store: StudyStore) -> list[Any]:
    """What Optuna's samplers see of the study."""
    return [
        (
            one.number,
            one.state,
            one.params,
            one.values,
            one.intermediate_values,
            sampler_state(one.system_attrs, one.number),
        )
        for one in store._study.get_trials(deepcopy=False)
    ]


def _shown(server: CrashingServer) -> dict[str, Any]:
    return {
        name: {**run, "tags": {key: value for key, value in run["tags"].items() if key not in VOLATILE}}
        for name, run in server.story().items()
    }


TestStudy: Callable[..., Any] = StudyMachine.TestCase
TestStudy.settings = machine_settings(examples=12, steps=25)
