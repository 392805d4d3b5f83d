"""Logs of a made-up study for the tests of tracking."""

from pathlib import Path
from typing import Any

import numpy as np

from rfe.journal.events import ConfirmationLog, StudyLog, TrialLog
from rfe.workspace import StudyFolder

CONFUSION = b"truth,ang,disg\nang,3,1\ndisg,0,4\n"


def study_folder(tmp_path: Path, name: str = "s") -> StudyFolder:
    return StudyFolder(tmp_path / "studies" / name)


def study_log(**changes: Any) -> StudyLog:
    values: dict[str, Any] = {
        "study": "s",
        "data": "demo",
        "data_fingerprint": "0123456789abcdef",
        "git_commit": "c0ffee",
        "simulated": True,
        "caveats": ("Votes, not acted blends.",),
        "settings": {"seed": 3, "sampler.kind": "tpe"},
        "space": {"train.lr": "float 1e-4 .. 5e-3, log", "pool.clip": "in or out"},
    }
    return StudyLog(**{**values, **changes})


def trial_log(number: int = 0, score: float = 0.25, **changes: Any) -> TrialLog:
    values: dict[str, Any] = {
        "study": "s",
        "number": number,
        "state": "complete",
        "config_id": f"{number:012x}",
        "config": {"pool": ["clip", "wavlm"], "model.n_kept": 2, "train.lr": 1.5e-3, "data.reduce": None},
        "scores": {"score": score, "score_se": 0.01, "acc_presence": 0.4, "acc_salience": float("nan")},
        "per_fold": {"score": {0: 0.2, 1: 0.3}, "acc_salience": {0: float("nan"), 1: 0.1}},
        "curves": {"score": [(5, 0.1), (10, 0.2)], "train_loss": [(1, 2.0), (2, float("nan")), (10, 0.5)]},
        "kept_frequency": {"clip": 0.75, "wavlm": 1.0},
        "seconds": 2.5,
        "memory_mb": 100.0,
        "artifacts": {"config.yaml": b"train: {lr: 1.5e-3}\n", "confusion.csv": CONFUSION},
        "weights": {"fold0.seed0.w": np.arange(6, dtype=np.float32).reshape(2, 3)},
    }
    return TrialLog(**{**values, **changes})


def failed_log(number: int, reason: str = "the loss is NaN at epoch 3") -> TrialLog:
    return trial_log(number, state="failed", reason=reason, scores={}, per_fold={}, weights=None)


def confirmation_log(number: int = 0) -> ConfirmationLog:
    return ConfirmationLog("s", number, scores=(0.2, 0.3, 0.25), seeds=(100, 101, 102))
