"""What a study of thousands of trials takes to be listed, shown, reported and made into an ensemble.

`python -m tests.benchmarks.large_study FOLDER [--trials 2000] [PART...]`

The first call makes the study in FOLDER: a real journal and outputs, with made-up trials. Then each part
runs in a process of its own; wall clock and CPU seconds are printed, and the hash of what it wrote.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

PARTS: dict[str, list[str]] = {
    "list": ["studies", "list"],
    "show": ["studies", "show", "large"],
    "ensemble": ["ensemble", "large", "--bags", "5"],
    "report": ["report", "large"],
}
WRITES = {"ensemble": "ensembles/large-ensemble/ensemble.json"}
EPOCHS = 20
SPACE: dict[str, Any] = {
    "pool": {"subset": "all", "min_size": 2},
    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
    "train.weight_decay": {"float": [1.0e-4, 1.0e-1], "log": True},
    "model.dropout": {"float": [0.0, 0.5]},
    "model.latent_dim": {"choice": [32, 64, 128]},
    "adaptation.kind": {"choice": ["none", "coral"]},
    "adaptation.strength": {"float": [0.1, 1.0], "when": {"adaptation.kind": "coral"}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; none: all of them")
    parser.add_argument("--trials", type=int, default=2000)
    chosen = parser.parse_intermixed_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not (chosen.folder / "studies" / "large").is_dir():
        make_study(chosen.folder, chosen.trials)
    for part in chosen.parts or PARTS:
        print(f"{part}: {measure(chosen.folder, part)}", flush=True)


def measure(folder: Path, part: str) -> str:
    """Run a command of the program on the study: its seconds, and the hash of what it wrote."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "rfe", *PARTS[part]]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"RFE_WORKSPACE": str(folder)})
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = (folder / WRITES[part]).read_bytes() if part in WRITES else b""
    hashed = f", sha256 {hashlib.sha256(written).hexdigest()[:16]}" if written else ""
    return f"{time.perf_counter() - began:.1f} s, {cpu:.1f} s of CPU{hashed}"


def make_study(folder: Path, n_trials: int) -> None:
    """A study of made-up trials, better or worse by chance."""

    from rfe.config.identity import config_id
    from rfe.config.load import dump_config, flatten
    from rfe.data.dataset import load_dataset
    from rfe.journal.events import OutcomeLog, StudyLog, TrialLog
    from rfe.metrics.score import fold_totals
    from rfe.search_space import effective_config, load_space
    from rfe.study import StudyStore, define_study
    from rfe.task import BLEMORE
    from rfe.tracking.contents import describe_trial
    from rfe.training.record import TrialResult
    from rfe.workspace import open_workspace
    from tests.integration.fakes import write_data
    from tests.unit.ensemble.studies import make_outputs

    os.fsync = lambda descriptor: None  # type: ignore[assignment]  # a study that is lost is made again
    dataset = load_dataset(write_data(folder / "data", actors=20, folds=5))
    clips, study = dataset.clips, open_workspace(folder).study("large")
    space = load_space(
        {"study": "large", "space": SPACE, "sampler": {"kind": "random"}, "budget": {"trials": n_trials}}
    )
    definition = define_study(space, tuple(dataset.encoders), seed=0, fingerprint=dataset.fingerprint)
    settings = {"data.path": str(dataset.path), "data.encoders": list(dataset.encoders), "objective": "score"}
    dimensions = {one.name: one.describe() for one in definition.resolved.dimensions}
    truth = clips.state[: clips.n_source]
    with StudyStore.open(study.path, definition) as store:
        journal = store.journal
        journal.record("session", host="here", pid=1, trials=n_trials, hours=None)
        journal.record_study(
            StudyLog("large", dataset.name, dataset.fingerprint, settings=settings, space=dimensions, simulated=True)
        )
        for first in range(0, n_trials, 20):
            asked = store.ask(min(20, n_trials - first))
            for one in asked:
                config = effective_config(definition.resolved, one.params)
                rng = np.random.default_rng(one.number)
                arrays = make_outputs(dataset, seed=one.number, noise=float(rng.uniform(2.0, 6.0)))
                right = rng.random((1, len(truth))) < rng.uniform(0.2, 0.5)
                predicted = np.where(right, truth, rng.integers(0, 36, (1, len(truth))))
                hits = fold_totals(BLEMORE, truth, predicted, clips.fold[: clips.n_source], clips.folds).mean()
                scores = hits.pooled()
                result = TrialResult(
                    config_id=config_id(config),
                    state="complete",
                    folds=np.array(clips.folds),
                    **arrays,
                    set_offset=np.zeros((len(clips.folds), 16), np.float32),
                    predicted_state=predicted,
                    totals=dict(hits.totals),
                    score=scores.score,
                    acc_presence=scores.acc_presence,
                    acc_salience=scores.acc_salience,
                    curves={
                        "train_loss": [(epoch, 2.0 / epoch) for epoch in range(1, EPOCHS + 1)],
                        "score": [(epoch, scores.score * epoch / EPOCHS) for epoch in range(2, EPOCHS + 1, 2)],
                    },
                    kept_frequency=dict.fromkeys(config.pool, 1.0),
                    gate_scores=rng.normal(size=(1, len(truth), len(dataset.encoders))).astype(np.float16),
                    kept=np.ones((1, len(truth), len(dataset.encoders)), np.bool_),
                    seconds=1.0,
                    memory_mb=100.0,
                )
                log: TrialLog = describe_trial(
                    "large",
                    one.number,
                    result,
                    flatten(config),
                    dump_config(config),
                    clips,
                    tuple(dataset.encoders),
                    errors={"score": 0.01},
                )
                store.tell(log)
        journal.record_outcome(OutcomeLog("large", "finished", scores={"score_best": 0.5, "score_selected": 0.4}))


if __name__ == "__main__":
    main()
