"""How a study becomes runs on a tracking server: a run for the study, below it a run for every trial.

Runs are looked up by their tags before they are created, and a run that is whole is left alone, so writing the same
story again (after a crash, or an outage) changes nothing.
"""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from rfe.errors import StudyError
from rfe.tracking.base import ConfirmationLog, OutcomeLog, StudyLog, TrialLog, TrialState, best_trials, finite
from rfe.tracking.live import LIVE_TAG, SESSION_TAG, STOP_TAG, process_tags, read_live, request_stop
from rfe.tracking.presentation import (
    LONGEST_VALUE,
    VIEW_TAG,
    Metric,
    batches,
    confirmation_metrics,
    params,
    short,
    study_description,
    study_tags,
    trial_description,
    trial_metrics,
    trial_name,
    trial_table,
    trial_tags,
)
from rfe.workspace import StudyFolder
from rfe.writing import write_json

RunStatus = Literal["RUNNING", "FINISHED", "KILLED", "FAILED"]
STATES: tuple[TrialState, ...] = ("complete", "pruned", "failed")
TRIAL_STATUS: dict[TrialState, RunStatus] = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
STUDY_STATUS: dict[str, RunStatus] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
NOTE = "mlflow.note.content"
SHOWN = "rfe.shown"
"""Of a trial's run: which of its figures and weights are among the run's files."""
DRAWN_ON_THE_WAY = 3
"""Of so many best trials figures are drawn while the search runs."""


@dataclass
class KnownRun:
    """A run that the server has."""

    run_id: str
    status: str
    tags: dict[str, str]
    params: frozenset[str] = frozenset()
    started_ms: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


class RunServer(Protocol):
    """The few things a tracking server is asked to do. All may raise when it is away, and all may be repeated."""

    def find_experiment(self, name: str) -> str:
        """Id of the experiment, created or restored if need be."""

    def tag_experiment(self, experiment_id: str, name: str, value: str) -> None: ...

    def search(self, experiment_id: str, study: str) -> Iterator[KnownRun]:
        """The runs that are tagged with the study."""

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str], start_s: float) -> str: ...

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        settings: Sequence[tuple[str, str]] = (),
        tags: Mapping[str, str] | None = None,
        at_s: float | None = None,
    ) -> None:
        """Log all in one call; at most 1,000 metrics and 100 settings."""

    def upload(self, run_id: str, paths: Iterable[Path], folder: str = "") -> None:
        """Copy those files that exist."""

    def delete(self, run_id: str, artifact: str) -> None:
        """Remove one file."""

    def set_status(self, run_id: str, status: RunStatus, at_s: float | None = None) -> None: ...

    def tags(self, run_id: str) -> Mapping[str, str]: ...


@dataclass
class RunWriter:
    """Writes one study. Each method may be run again after it failed half-way."""

    server: RunServer
    folder: StudyFolder
    keep_top: int
    shown_uri: str
    """The server's address, without secrets."""

    study: StudyLog = field(init=False)
    experiment_id: str = ""
    study_run_id: str = ""
    ended: bool = False
    _outcome: OutcomeLog | None = None
    _runs: dict[int, KnownRun] = field(default_factory=dict)
    _creating: set[int] = field(default_factory=set)
    _trials: dict[int, TrialLog] = field(default_factory=dict)
    _confirmations: dict[int, ConfirmationLog] = field(default_factory=dict)
    _uploaded: dict[Path, float] = field(default_factory=dict)

    def open(self, log: StudyLog) -> None:
        """Learn which runs there are and have the study's run RUNNING."""
        self.study = log
        self.experiment_id = self.server.find_experiment(log.study)
        self.server.tag_experiment(self.experiment_id, VIEW_TAG, trial_table(log))
        former = self._learn_runs()
        tags = study_tags(log) | process_tags() | {SESSION_TAG: log.session, "rfe.state": "running"}
        if former:
            own = min(former, key=lambda run: run.started_ms)
            self.server.set_status(own.run_id, "RUNNING")
        else:
            name = f"study {log.study}"
            created = self.server.create(self.experiment_id, name, tags | source_tags(log), time.time())
            own = KnownRun(created, "RUNNING", tags)
        # a logged setting cannot change; what a later start sets anew stands in the description
        settings = [(name, value) for name, value in params(log.settings) if name not in own.params]
        for metrics, batch in batches((), settings):
            self.server.log(own.run_id, metrics, batch)
        self.server.log(own.run_id, tags=tags)
        self.study_run_id = own.run_id
        for run in self._runs.values():
            if run.status == "RUNNING":  # a process died while writing it; the journal has the rest
                self._end_run(run, "KILLED", {"rfe.state": "interrupted"})

    def write_trial(self, log: TrialLog) -> None:
        """Create the trial's run, whole and ended; nothing if it is there."""
        self._opened()._trials[log.number] = log
        if log.number in self._creating:  # the server may have done it although its answer was lost
            self._learn_runs()
        run = self._runs.get(log.number)
        status = TRIAL_STATUS[log.state]
        if run is not None and (run.status, run.tags.get("rfe.state")) == (status, log.state):
            return
        note = trial_description(log, self.study, self._confirmations.get(log.number))
        tags = trial_tags(log, self.study) | {NOTE: note}
        if run is None:
            lasted_s = finite({"s": log.seconds}).get("s", 0.0)
            own = tags | source_tags(self.study) | {"mlflow.parentRunId": self.study_run_id}
            self._creating.add(log.number)
            created = self.server.create(
                self.experiment_id, trial_name(log.number, log.tags.get("arm", "")), own, log.time - lasted_s
            )
            run = self._runs[log.number] = KnownRun(created, "RUNNING", tags)
        self._creating.discard(log.number)
        for metrics, settings in batches(trial_metrics(log), params(log.config)):
            self.server.log(run.run_id, metrics, settings, at_s=log.time)
        self.server.upload(run.run_id, _paths(log.artifacts))
        if log.score is not None and best_trials(self._scores(), 1) == [log.number]:
            self.server.log(self.study_run_id, [("best_score", short(log.score), len(self._trials))], at_s=log.time)
        # a run that was made just now has its tags
        self._end_run(run, status, {k: v for k, v in tags.items() if run.tags.get(k) != v}, log.time)

    def write_confirmation(self, log: ConfirmationLog) -> None:
        """Add mean and spread over the fresh seeds to the trial's own run, where a table can sort by them."""
        self._confirmations[log.number] = log
        run, trial = self._runs.get(log.number), self._trials.get(log.number)
        if run is None or trial is None:
            raise StudyError(f"trial {log.number} was confirmed, but it was never logged")
        tags = {"rfe.confirmed": "true", NOTE: trial_description(trial, self.study, log)}
        if run.tags.get(NOTE) == tags[NOTE]:
            return
        self.server.upload(run.run_id, _paths({**log.artifacts, "weights": log.weights}), "confirmed")
        self.server.log(run.run_id, confirmation_metrics(log), tags=tags, at_s=log.time)
        run.tags.update(tags)

    def refresh(self) -> None:
        """Bring the study's run, its files, and the best trials' figures and weights up to date."""
        if not self.study_run_id:
            return
        self._show_best()
        states = [log.state for log in self._trials.values()]
        counts: dict[str, int] = {state: states.count(state) for state in STATES}
        metrics: dict[str, float] = {f"trials_{state}": count for state, count in counts.items()}
        if self._outcome is not None:
            metrics |= finite(self._outcome.scores)
        self.server.log(
            self.study_run_id,
            [(name, short(value), len(states)) for name, value in metrics.items()],
            tags={
                NOTE: study_description(self.study, counts, self._outcome),
                "rfe.refreshed": str(int(time.time())),
            },
        )
        folder = self.folder
        stamps = {path: path.stat().st_mtime for path in folder.books if path.exists()}
        changed = {path: stamp for path, stamp in stamps.items() if self._uploaded.get(path) != stamp}
        self.server.upload(self.study_run_id, changed)
        self._uploaded |= changed
        write_json(
            folder.mlflow_runs,
            {
                "tracking_uri": self.shown_uri,
                "experiment_id": self.experiment_id,
                "study_run_id": self.study_run_id,
                "trial_run_ids": {str(number): run.run_id for number, run in sorted(self._runs.items())},
            },
        )

    def beat(self) -> None:
        """Show what the driver says of itself, and pass on to it that somebody elsewhere asked it to stop."""
        if not self.study_run_id or self.ended:
            return
        if (live := read_live(self.folder)) is not None:
            text = json.dumps(live.to_dict())
            if len(text) > LONGEST_VALUE:  # the configuration alone can be long
                text = json.dumps(live.without_config().to_dict())
            self.server.log(self.study_run_id, tags={LIVE_TAG: text, "rfe.refreshed": str(int(time.time()))})
        if self.server.tags(self.study_run_id).get(STOP_TAG) == self.study.session != "":
            request_stop(self.folder, self.study.session)

    def end(self, log: OutcomeLog | None) -> None:
        """End the study's run: as told, or as interrupted when the process ends without a word."""
        self._outcome = log
        self._opened().refresh()
        state = "interrupted" if log is None else log.state
        self._end_run(
            KnownRun(self.study_run_id, "RUNNING", {}), STUDY_STATUS.get(state, "KILLED"), {"rfe.state": state}
        )
        self.ended = True

    def end_if_open(self) -> None:
        """End the study's run as interrupted unless it was ended as told."""
        if not self.ended:
            self.end(None)

    def _learn_runs(self) -> list[KnownRun]:
        """Ask the server for the trials' runs; returns the other runs of the study."""
        runs = list(self.server.search(self.experiment_id, self.study.study))
        self._runs = {int(run.tags["rfe.trial"]): run for run in runs if "rfe.trial" in run.tags}
        return [run for run in runs if "rfe.trial" not in run.tags]

    def _opened(self) -> "RunWriter":
        if not self.study_run_id:
            raise StudyError("start_study comes before anything else")
        return self

    def _scores(self) -> dict[int, float]:
        logs = self._trials.values()
        return {log.number: log.score for log in logs if log.score is not None and "duplicate_of" not in log.tags}

    def _show_best(self) -> None:
        """Weights and figures for the best and the confirmed trials; weights that fell out of them are removed.

        A trial's figures take a processor a third of a second, and the best change: until the end few are drawn.
        """
        from rfe.tracking.figures import trial_figures  # and matplotlib, which takes half a second

        wanted = {*best_trials(self._scores(), self.keep_top), *self._confirmations}
        drawn = wanted
        if self._outcome is None:
            drawn = {*best_trials(self._scores(), min(self.keep_top, DRAWN_ON_THE_WAY)), *self._confirmations}
        for number, trial in self._trials.items():
            run = self._runs[number]
            former = {what for what in ("figures", "weights") if what in run.tags.get(SHOWN, "")}
            shown = set(former)
            if number in drawn and "figures" not in shown:
                with tempfile.TemporaryDirectory() as scratch:
                    for name, picture in trial_figures(trial):
                        Path(scratch, name).write_bytes(picture)
                    self.server.upload(run.run_id, sorted(Path(scratch).iterdir()), "figures")
                shown.add("figures")
            if number in wanted and "weights" not in shown:
                self.server.upload(run.run_id, _paths({"weights": trial.weights}))
                shown.add("weights")
            elif number not in wanted and "weights" in shown:
                if isinstance(trial.weights, Path):
                    self.server.delete(run.run_id, trial.weights.name)
                shown.remove("weights")
            if shown != former:
                self._tag(run, {SHOWN: " and ".join(sorted(shown)) or "nothing"})

    def _tag(self, run: KnownRun, tags: dict[str, str]) -> None:
        self.server.log(run.run_id, tags=tags)
        run.tags.update(tags)

    def _end_run(self, run: KnownRun, status: RunStatus, tags: dict[str, str], at_s: float | None = None) -> None:
        if tags:
            self._tag(run, tags)
        self.server.set_status(run.run_id, status, at_s)
        run.status = status


def _paths(files: Mapping[str, object]) -> list[Path]:
    return [path for path in files.values() if isinstance(path, Path)]


def source_tags(log: StudyLog) -> dict[str, str]:
    """What a server shows as a run's origin."""
    tags = {"mlflow.source.name": "rfe", "mlflow.source.type": "LOCAL"}
    return tags | ({"mlflow.source.git.commit": log.git_commit} if log.git_commit else {})
