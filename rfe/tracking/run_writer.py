"""How a study becomes runs on a tracking server: a run for the study, below it a run for every trial.

The runs are a function of the journal: they are looked up by their tags before they are created, one that shows what
the journal has is left alone, and writing the same story again (after a crash, or an outage) changes nothing.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rfe.errors import StudyError
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyEvent, StudyLog, TrialLog, TrialState, finite
from rfe.tracking.annotations import Annotations, annotations_shown
from rfe.tracking.best_files import show_best_files
from rfe.tracking.gaps import began, is_confirmed, is_ended_trial, is_of_study, trial_gap
from rfe.tracking.live import LIVE_TAG, SESSION_TAG, STOP_TAG, process_tags, read_live, request_stop
from rfe.tracking.names import Names
from rfe.tracking.presentation import (
    LONGEST_VALUE,
    NOTE,
    VIEW_TAG,
    batches,
    change_tags,
    confirmation_metrics,
    params,
    short,
    study_description,
    study_names,
    study_tags,
    trial_description,
    trial_metrics,
    trial_name,
    trial_tags,
    trial_view,
)
from rfe.tracking.run_server import BEGAN, RECORDED, STUDY_STATUS, TRIAL_STATUS, KnownRun, RunServer, RunStatus
from rfe.workspace import StudyFolder
from rfe.writing import write_json

STATES: tuple[TrialState, ...] = ("complete", "pruned", "failed")


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
    _began: str = ""
    _names: Names = field(default_factory=Names)
    _outcome: OutcomeLog | None = None
    _runs: dict[int, KnownRun] = field(default_factory=dict)
    _trials: dict[int, TrialLog] = field(default_factory=dict)
    _confirmations: dict[int, ConfirmationLog] = field(default_factory=dict)
    _n_ranked: int = 0
    _best: float = float("-inf")
    _uploaded: dict[Path, float] = field(default_factory=dict)
    _annotated: Annotations = field(default_factory=Annotations)
    """Note and tags as they were last written."""

    def tell(self, event: StudyEvent) -> None:
        """Set the number of pending entries on the study's run; thread-safe."""
        if isinstance(event, TrialLog):
            self._trials[event.number] = event
        elif isinstance(event, ConfirmationLog):
            self._confirmations[event.number] = event
        elif isinstance(event, OutcomeLog):
            self._outcome = event

    def open(self, log: StudyLog) -> None:
        """Find the existing runs, and set the study's run to RUNNING."""
        self.study, self._names, self._began = log, study_names(log), began(self.folder)
        self.experiment_id = self.server.find_experiment(log.study)
        self.server.tag_experiment(self.experiment_id, VIEW_TAG, trial_view(log))
        runs = [run for run in self.server.search(self.experiment_id, log.study) if is_of_study(run, self._began)]
        self._runs = {int(run.tags["rfe.trial"]): run for run in runs if "rfe.trial" in run.tags}
        former = [run for run in runs if "rfe.trial" not in run.tags]
        tags = (
            study_tags(log)
            | change_tags(log)
            | self._began_tag()
            | process_tags()
            | {SESSION_TAG: log.session, "rfe.state": "running"}
        )
        if former:
            own = min(former, key=lambda run: run.started_ms)
            self.server.set_status(own.run_id, "RUNNING")
        else:
            created = self.server.create(self.experiment_id, f"study {log.study}", tags | source_tags(log), time.time())
            own = KnownRun(created, "RUNNING", tags)
        # a logged setting cannot change; what a later start changes is in the description
        settings = [(name, value) for name, value in params(log.settings, self._names) if name not in own.params]
        for metrics, batch in batches((), settings):
            self.server.log(own.run_id, metrics, batch)
        self.server.log(own.run_id, tags=tags)
        self.study_run_id = own.run_id
        parent = {"mlflow.parentRunId": own.run_id}
        for run in self._runs.values():
            if run.status == "RUNNING":  # a process died while writing it; the journal has the rest
                self._end_run(run, "KILLED", {"rfe.state": "interrupted"})
            if not run.tags.items() >= parent.items():  # the study's former run was deleted
                self._tag(run, parent)

    def change(self, log: StudyLog) -> None:
        """Update the study's run with what users changed of the study."""
        self._opened().study = log
        self._log_study(change_tags(log))

    def write_trial(self, log: TrialLog) -> None:
        """Create the trial's run, complete and ended; does nothing if it exists."""
        self._opened()._trials[log.number] = log
        metrics, settings = trial_metrics(log, self._names), params(log.config, self._names)
        is_best = self._ranks_first(log)
        run = self._runs.get(log.number)
        if run is not None and not trial_gap(run, log):
            return
        note = trial_description(log, self.study, self._confirmations.get(log.number))
        tags = trial_tags(log, self.study) | self._began_tag() | {RECORDED: str(log.time), NOTE: note}
        if run is None:
            lasted_s = finite({"s": log.seconds}).get("s", 0.0)
            own = tags | source_tags(self.study) | {"mlflow.parentRunId": self.study_run_id}
            name = trial_name(log.number, log.tags.get("arm", ""))
            created = self.server.create(self.experiment_id, name, own, log.time - lasted_s)
            run = self._runs[log.number] = KnownRun(created, "RUNNING", own)
        new = [(name, value) for name, value in settings if name not in run.params]
        for some_metrics, some_settings in batches(metrics, new):
            self.server.log(run.run_id, some_metrics, some_settings, at_s=log.time)
        self.server.upload(run.run_id, _paths(log.artifacts))
        if is_best and log.score is not None:
            self.server.log(self.study_run_id, [("best_score", short(log.score), self._n_ranked)], at_s=log.time)
        # a run that was made just now has its tags
        self._end_run(run, TRIAL_STATUS[log.state], {k: v for k, v in tags.items() if run.tags.get(k) != v}, log.time)

    def write_confirmation(self, log: ConfirmationLog) -> None:
        """Add mean and spread over the fresh seeds to the trial's own run, where a table can sort by them."""
        self._confirmations[log.number] = log
        run, trial = self._runs.get(log.number), self._trials.get(log.number)
        if run is None or trial is None:
            raise StudyError(f"trial {log.number} was confirmed, but it was never logged")
        tags = {"rfe.confirmed": "true", NOTE: trial_description(trial, self.study, log)}
        if is_confirmed(run, log) and run.tags.get(NOTE) == tags[NOTE]:
            return
        self.server.upload(run.run_id, _paths({**log.artifacts, "weights": log.weights}), "confirmed")
        metrics = confirmation_metrics(log)
        self.server.log(run.run_id, metrics, tags=tags, at_s=log.time)
        run.tags.update(tags)
        run.metrics = {**run.metrics, **{name: value for name, value, _ in metrics}}

    def refresh(self, *, files: bool = True) -> None:
        """Bring the study's run and its files up to date, and with `files` the best trials' figures and weights."""
        if not self.study_run_id:
            return
        if not self.ended:
            self._log_study({})
        folder = self.folder
        lost = any(is_ended_trial(run) and number not in self._trials for number, run in self._runs.items())
        # the server's journal has results that this one lost: kept until they are there again, for `rfe studies pull`
        books = [path for path in folder.books if not (lost and path == folder.journal)]
        stamps = {path: path.stat().st_mtime for path in books if path.exists()}
        changed = {path: stamp for path, stamp in stamps.items() if self._uploaded.get(path) != stamp}
        self.server.upload(self.study_run_id, changed)
        code = {path: 0.0 for path in folder.code.glob("*.diff") if path not in self._uploaded}
        if code:
            self.server.upload(self.study_run_id, code, folder.code.name)
        self._uploaded |= changed | code
        self.save_runs()
        if files:
            show_best_files(
                self.server,
                dict(self._trials),
                self._runs,
                list(self._confirmations),
                self.keep_top,
                all_figures=self.ended,
            )

    def save_runs(self) -> None:
        """Keep the runs' ids in the study's folder."""
        write_json(
            self.folder.mlflow_runs,
            {
                "tracking_uri": self.shown_uri,
                "experiment_id": self.experiment_id,
                "study_run_id": self.study_run_id,
                "trial_run_ids": {str(number): run.run_id for number, run in sorted(self._runs.items())},
            },
        )

    def beat(self) -> None:
        """Write the driver's status to the run, and forward a stop request from the run to the driver."""
        if not self.study_run_id or self.ended:
            return
        if annotations_shown(self.folder) != self._annotated:
            self._log_study({})
        if (live := read_live(self.folder)) is not None:
            text = json.dumps(live.to_dict())
            if len(text) > LONGEST_VALUE:  # the configuration alone can be long
                text = json.dumps(live.without_config().to_dict())
            self.server.log(self.study_run_id, tags={LIVE_TAG: text, "rfe.refreshed": str(int(time.time()))})
        if self.server.tags(self.study_run_id).get(STOP_TAG) == self.study.session != "":
            request_stop(self.folder, self.study.session)

    def end(self, log: OutcomeLog | None) -> None:
        """End the study's run with the recorded outcome, or as interrupted if the process ended without one."""
        self._outcome = log
        self._opened()
        state = "interrupted" if log is None else log.state
        self._log_study({"rfe.state": state})
        self.server.set_status(self.study_run_id, STUDY_STATUS.get(state, "KILLED"))
        self.ended = True
        self.save_runs()

    def end_if_open(self) -> None:
        """End the study's run as interrupted unless it was ended already."""
        if not self.ended:
            self.end(None)

    def _log_study(self, tags: Mapping[str, str]) -> None:
        states = [log.state for log in list(self._trials.values())]
        counts: dict[str, int] = {state: states.count(state) for state in STATES}
        metrics: dict[str, float] = {f"trials_{state}": count for state, count in counts.items()}
        if self._outcome is not None:
            metrics |= finite(self._outcome.scores)
        annotations = annotations_shown(self.folder)
        note = study_description(self.study, counts, self._outcome, annotations.note)
        self.server.log(
            self.study_run_id,
            [(name, short(value), len(states)) for name, value in metrics.items()],
            tags={NOTE: note, "rfe.refreshed": str(int(time.time())), **annotations.run_tags(), **tags},
        )
        self._annotated = annotations

    def _opened(self) -> "RunWriter":
        if not self.study_run_id:
            raise StudyError("start_study comes before anything else")
        return self

    def _began_tag(self) -> dict[str, str]:
        return {BEGAN: self._began} if self._began else {}

    def _ranks_first(self, log: TrialLog) -> bool:
        """Whether it is the best of the trials so far, which come in the journal's order."""
        self._n_ranked += 1
        if log.score is None or "duplicate_of" in log.tags or log.score <= self._best:
            return False
        self._best = log.score
        return True

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
    """The tags that a server shows as a run's source."""
    tags = {"mlflow.source.name": "rfe", "mlflow.source.type": "LOCAL"}
    return tags | ({"mlflow.source.git.commit": log.git_commit} if log.git_commit else {})
