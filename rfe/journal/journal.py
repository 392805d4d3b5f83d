"""The journal of a study: an append-only file of JSON lines. A result is on disk before anything else uses it.

It is the one truth of a study: Optuna's study in memory and MLflow's runs are made from it. Each line is one record:
`time`, `study`, `number` (the trial, or null), `kind`, and what belongs to the kind. Arrays and files stand in
`trials/NNNNN/` and are named by the record.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import Timeout
from numpy.typing import NDArray
from safetensors.numpy import save

from rfe.errors import StudyError
from rfe.journal.asking import ASK, LEARN, REPORT, ScoresReported, TrialsAsked, TrialsLearnt
from rfe.journal.events import (
    KEEP_TOP,
    ConfirmationLog,
    OutcomeLog,
    StudyLog,
    TrialLog,
    best_trials,
    finite,
)
from rfe.journal.records import Record, as_json, explained, own_fields, read_records
from rfe.locking import acquire_lock
from rfe.workspace import StudyFolder
from rfe.writing import cut_torn_line, make_folder, sync_folder, write_bytes, write_files

LOCK_FILE = "study.lock"
LOCK_WAIT_S = 1.0
"""How long a status check may hold the lock."""
WEIGHTS = "weights.safetensors"
TIME_S = 60.0
"""At most so much of a killed command's time is lost."""
CONFIRMED = "confirmed"
"""Subfolder of a trial for the files of its confirmation."""


class Journal:
    """Writes the journal of one study, and the files its records name. One process at a time may have it open: a second
    one is kept out by a lock that ends with the process. The file is created by the first record.

    The weights of all but the `keep_top` best trials, the confirmed ones and those tagged `keep: weights` are deleted
    as better ones come.

    Raises:
        StudyError: another process has the study open, or a line in the middle of the file is damaged.
    """

    def __init__(self, folder: StudyFolder, keep_top: int = KEEP_TOP) -> None:
        self._folder, self._keep_top = folder, keep_top
        make_folder(folder.path)
        try:
            self._lock = acquire_lock(folder.path / LOCK_FILE, LOCK_WAIT_S)
        except Timeout:
            raise StudyError(
                f"study {folder.name} in {folder.path} is being worked on by another process; wait for it, stop it "
                f"with `rfe studies stop {folder.name}`, or give this study another name (--study NAME)"
            ) from None
        try:
            cut_torn_line(folder.journal)
            self._scores: dict[int, float] = {}
            self._pinned: set[int] = set()
            for record in read_records(folder.journal):
                with explained(record):
                    self._account(record)
            self._holding = set(self._scores)
            """Trials that may have weights on the disk."""
            self._drop_weights()
            self._file: FileIO | None = None
            self._opened = self._recorded = time.monotonic()
        except BaseException:
            self._lock.release()
            raise

    def record(self, kind: str, number: int | None = None, **data: Any) -> Record:
        """Append one record and wait until it is on disk.

        Beside the time of day it gets `worked_s`, the seconds since the journal was opened: they pass neither while the
        machine sleeps nor faster or backwards when its clock is set.
        """
        record = self._record(kind, number, data, sync=True)
        self._account(record)
        if number is not None and kind == "trial":
            self._holding.add(number)
            self._drop_weights()
        return record

    def record_asked(self, event: TrialsAsked) -> None:
        """Append the trials that were asked for."""
        self._record(ASK, None, event.to_record(), sync=True)

    def record_reports(self, event: ScoresReported) -> None:
        """Append compared scores. They reach the disk with the next other record: a trial whose report a power failure
        takes away goes on from an earlier checkpoint, and reports again."""
        self._record(REPORT, None, event.to_record(), sync=False)

    def record_learnt(self, event: TrialsLearnt) -> None:
        """Append the trials of another study that this one learns from."""
        self._record(LEARN, None, event.to_record(), sync=True)

    def keep_time(self) -> None:
        """Append a record if there was none for `TIME_S`: how long the study was worked on survives kill -9."""
        if time.monotonic() - self._recorded >= TIME_S:
            self.record("time")

    def record_study(self, log: StudyLog) -> StudyLog:
        """Append that the study starts or is resumed."""
        self.record("study", **own_fields(log))
        return log

    def record_trial(self, log: TrialLog) -> TrialLog:
        """Write the trial's files, then its record; returns the log with the files' paths in place of their content.

        The record comes last, so a record's files are always whole. A trial recorded again replaces the former one.
        """
        folder = self._folder.trial(log.number)
        artifacts = self._write_files(folder, log.artifacts)
        stored = replace(
            log,
            artifacts=artifacts,
            weights=self._write_weights(folder, log.weights) if self._ranks(log) else None,
            scores=finite(log.scores),
            per_fold={metric: finite(folds) for metric, folds in log.per_fold.items()},
            kept_frequency=finite(log.kept_frequency),
        )
        return replace(stored, time=self.record("trial", log.number, **self._relative(own_fields(stored))).time)

    def record_confirmation(self, log: ConfirmationLog) -> ConfirmationLog:
        """Write the files of the confirmation to the trial's subfolder `confirmed`, then the record."""
        folder = self._folder.trial(log.number) / CONFIRMED
        artifacts = self._write_files(folder, log.artifacts)
        weights = self._write_weights(folder, log.weights)
        stored = replace(log, artifacts=artifacts, weights=weights)
        return replace(stored, time=self.record("confirmation", log.number, **self._relative(own_fields(stored))).time)

    def record_outcome(self, log: OutcomeLog) -> OutcomeLog:
        """Append how the study ended."""
        return replace(log, time=self.record("outcome", **own_fields(replace(log, scores=finite(log.scores)))).time)

    def records(self) -> Iterator[Record]:
        """All records so far, oldest first."""
        return read_records(self._folder.journal)

    def close(self) -> None:
        """Release the lock, so that another process can open the study."""
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _record(self, kind: str, number: int | None, data: Mapping[str, Any], *, sync: bool) -> Record:
        self._recorded = time.monotonic()
        worked_s = round(self._recorded - self._opened, 3)
        record = Record(time.time(), self._folder.name, number, kind, data, worked_s)
        line = {name: getattr(record, name) for name in ("time", "worked_s", "study", "number", "kind")} | dict(data)
        self._append(json.dumps(as_json(line), allow_nan=False, ensure_ascii=False).encode() + b"\n", sync)
        return record

    def _append(self, line: bytes, sync: bool) -> None:
        if self._file is None:
            self._file = self._folder.journal.open("ab", buffering=0)
            sync_folder(self._folder.path)  # the file may be new
        end = os.fstat(self._file.fileno()).st_size
        try:
            self._file.write(line)
            if sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            error.filename = error.filename or str(self._folder.journal)
            # a full disk may have taken half a line; the next record must not continue it
            os.ftruncate(self._file.fileno(), end)
            raise

    def _account(self, record: Record) -> None:
        """Keep the ranking up to date."""
        if record.number is None:
            return
        if record.kind == "confirmation":
            self._pinned.add(record.number)
        elif record.kind == "trial" and record.data["state"] == "complete":
            if record.data["tags"].get("keep") == "weights":
                self._pinned.add(record.number)
            score = record.data["scores"].get("score")
            if score is not None and "duplicate_of" not in record.data["tags"]:
                self._scores[record.number] = score

    def _ranks(self, log: TrialLog) -> bool:
        """Whether the trial is among the best so far, and so may keep its weights."""
        if log.score is None or "duplicate_of" in log.tags:
            return False
        if log.tags.get("keep") == "weights":
            return True
        return log.number in best_trials({**self._scores, log.number: log.score}, self._keep_top)

    def _drop_weights(self) -> None:
        """Delete the weights of trials that fell out of the ranking."""
        kept = self._pinned.union(best_trials(self._scores, self._keep_top))
        for number in [one for one in self._holding if one in self._scores and one not in kept]:
            (self._folder.trial(number) / WEIGHTS).unlink(missing_ok=True)
            self._holding.remove(number)

    def _write_files(self, folder: Path, artifacts: Mapping[str, bytes | Path]) -> dict[str, bytes | Path]:
        new = {name: content for name, content in artifacts.items() if content != folder / name}
        write_files(folder, {name: one if isinstance(one, bytes) else one.read_bytes() for name, one in new.items()})
        return {name: folder / name for name in artifacts}

    def _write_weights(self, folder: Path, weights: Mapping[str, NDArray[np.float32]] | Path | None) -> Path | None:
        path = folder / WEIGHTS
        if weights is None or weights == path:
            return weights
        content = (
            weights.read_bytes()
            if isinstance(weights, Path)
            else save({name: np.ascontiguousarray(value) for name, value in weights.items()})
        )
        write_bytes(path, content)
        return path

    def _relative(self, data: dict[str, Any]) -> dict[str, Any]:
        """Paths as text relative to the study's folder, so that the folder can be moved."""
        base = self._folder.path
        data["artifacts"] = {name: path.relative_to(base).as_posix() for name, path in data["artifacts"].items()}
        data["weights"] = None if data["weights"] is None else data["weights"].relative_to(base).as_posix()
        return data
