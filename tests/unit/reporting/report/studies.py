"""A searched study on disk with made-up outputs: journal, definition and Optuna's log, without training."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rfe.config.identity import config_id
from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.decoding.base import Outputs
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog, TrialLog
from rfe.journal.journal import Journal
from rfe.metrics.score import fold_totals
from rfe.search_space import effective_config, load_space
from rfe.study import StudyStore, define_study
from rfe.task import BLEMORE
from rfe.tracking.contents import confusion_csv
from rfe.workspace import StudyFolder, Workspace, open_workspace
from tests.unit.data.folders import make_folder, make_rows
from tests.unit.ensemble.studies import make_confirmation, make_outputs

SPACE = {
    "study": "first",
    "space": {
        "pool": {"subset": "all", "min_size": 1},
        "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
        "model.dropout": {"float": [0.0, 0.5]},
        "adaptation.kind": {"choice": ["none", "coral"]},
        "adaptation.strength": {"float": [0.01, 1.0], "when": {"adaptation.kind": ["coral"]}},
    },
    "sampler": {"kind": "random"},
    "base": {"decode.kind": "valid_states"},
}


def make_workspace(path: Path, *, n_trials: int = 24, simulated: bool = True) -> tuple[Workspace, Dataset]:
    """A workspace with the study `first`: Score rises with log lr, and nothing else matters much."""
    rows = make_rows(n_actors=9, clips_per_actor=12)
    dataset = load_dataset(make_folder(path / "data", rows))
    workspace = open_workspace(path / "workspace")
    folder = workspace.study("first")
    definition = define_study(load_space(SPACE), tuple(dataset.encoders), seed=3, fingerprint=dataset.fingerprint)
    with StudyStore.open(folder.path, definition) as store:
        journal = store.journal
        journal.record_study(_study_log(dataset, simulated))
        for asked in store.ask(n_trials):
            config = effective_config(definition.resolved, asked.params)
            lr = float(asked.params["train.lr"] or 0)
            log = make_trial(dataset, asked.number, config, noise=4 - 1.4 * float(np.log10(lr / 1e-4)))
            store.tell(log)
        if n_trials:
            journal.record_confirmation(_confirmation(dataset, config))
            journal.record_outcome(OutcomeLog("first", "finished", scores={"score_best": 0.5, "score_selected": 0.4}))
    return workspace, dataset


def make_trial(dataset: Dataset, number: int, config: Config, *, noise: float) -> TrialLog:
    """A complete trial whose logits show the truth through noise, answered by the best of its fused state."""
    arrays = make_outputs(dataset, config.train.seeds, number, noise)
    arrays |= gate_arrays(dataset, arrays, number)
    truth = dataset.clips.state[: dataset.clips.n_source]
    fold = dataset.clips.fold[: dataset.clips.n_source]
    hits = fold_totals(BLEMORE, truth, arrays["predicted_state"], fold)
    mean, pooled = hits.mean(), hits.pooled()
    folds = dataset.clips.folds
    return TrialLog(
        "first",
        number,
        "complete",
        config_id(config),
        flatten(config),
        {"score": pooled.score, "acc_presence": pooled.acc_presence, "acc_salience": pooled.acc_salience},
        per_fold={part: dict(zip(folds, mean.by_fold(part).tolist(), strict=True)) for part in mean.metrics},
        totals={part: dict(zip(folds, sums.tolist(), strict=True)) for part, sums in mean.totals.items()},
        curves={"score": [(1, 0.1), (2, pooled.score)], "train_loss": [(1, 2.0), (2, 1.0)]},
        kept_frequency={name: float(arrays["kept"][..., i].mean()) for i, name in enumerate(dataset.encoders)},
        seconds=1.5,
        memory_mb=100.0,
        artifacts={
            "config.yaml": _yaml(config),
            "outputs.npz": npz(arrays),
            "confusion.csv": confusion_csv(BLEMORE, truth, arrays["predicted_state"]),
        },
    )


def gate_arrays(dataset: Dataset, arrays: dict[str, Any], seed: int) -> dict[str, Any]:
    """Answers, and a gate that keeps `voice` on half of the clips and `face` on the other."""
    n_seeds, n = arrays["fused"].shape[:2]
    outputs = Outputs(arrays["presence_logits"], arrays["salience_logits"], arrays["fused"])
    guess = np.where(outputs.fused.max(-1) > 0.75, outputs.fused.argmax(-1), -1)
    truth = dataset.clips.state[: dataset.clips.n_source]
    stream = np.random.default_rng(seed)
    answer = np.where(guess >= 0, guess, np.where(stream.random((n_seeds, n)) < 0.5, truth, 20)) % BLEMORE.n_states
    kept = np.zeros((n_seeds, n, len(dataset.encoders)), bool)
    kept[:, ::2, 0], kept[:, 1::2, 1] = True, True
    return {
        "filenames": dataset.clips.filename[:n],
        "encoders": np.array(list(dataset.encoders), np.str_),
        "folds": np.array(dataset.clips.folds),
        "predicted_state": answer.astype(np.int8),
        "kept": kept,
        "gate_scores": np.where(kept, 1.0, -1.0).astype(np.float16),
    }


def npz(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _study_log(dataset: Dataset, simulated: bool) -> StudyLog:
    return StudyLog(
        "first",
        dataset.name,
        dataset.fingerprint,
        git_commit="c0ffee",
        simulated=simulated,
        caveats=("saliences are guessed.",),
        settings={"objective": "score", "seed": 3, "data.path": str(dataset.path)},
        space={"pool.face": "False, True", "pool.voice": "False, True", "train.lr": "1e-4 to 1e-2 (log)"},
    )


def _confirmation(dataset: Dataset, config: Config) -> ConfirmationLog:
    made = make_confirmation(dataset, 0, (0.4, 0.42, 0.41))
    arrays = make_outputs(dataset, 3, 7, 2.0, first_seed=100)
    arrays |= gate_arrays(dataset, arrays, 7)
    return replace(
        made, study="first", artifacts={"config.yaml": made.artifacts["config.yaml"], "outputs.npz": npz(arrays)}
    )


def _yaml(config: Config) -> bytes:
    from rfe.config.load import dump_config

    return dump_config(config).encode()


def empty_study(workspace: Workspace) -> StudyFolder:
    """A study that was begun, and no trial of which has ended."""
    folder = workspace.study("begun")
    with Journal(folder) as journal:
        journal.record_study(StudyLog("begun", "none"))
    return folder
