"""A search as a user types it: how soon it answers and trains, and what everything beside training takes of it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rfe.data.simulate import SimulationSpec, simulate
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.workspace import open_workspace
from tests.benchmarks.around import seconds
from tests.benchmarks.noted_search import BEGUN, TAKEN
from tests.benchmarks.rows import Row

TRIALS = 100
STUDY = "searched"
SPACE = """
study: searched
base:
  model: {latent_dim: 64}
  train: {epochs: 20, batch_size: 64}
  data: {standardize: actor}
space:
  model.n_kept: {int: [1, 6]}
  model.dropout: {float: [0.0, 0.5]}
  model.head_fusion.presence_weight: {float: [0.0, 1.0]}
  train.lr: {float: [5.0e-4, 5.0e-3], log: true}
confirm: {top: 0}
"""
SHARE = 0.05


def search_rows() -> Iterator[Row]:
    """Rows of commands, and of one search of `TRIALS` trials (TPE, demo size, 5 folds x 20 epochs)."""
    for name, arguments in (("`rfe --help`", ("--help",)), ("a wrong command", ("serch",))):
        taken = seconds(lambda words=arguments: _rfe(*words), 5)
        yield Row(f"{name} answers", f"{taken:.2f} s", target="0.4 s", met=taken < 0.4)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate(SimulationSpec(), folder / "data")
        (folder / "space.yaml").write_text(SPACE)
        entered = time.time()
        command = [sys.executable, "-m", "tests.benchmarks.noted_search", scratch, str(TRIALS)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        whole_s, tracking_s = time.time() - entered, float(json.loads(done.stdout.splitlines()[-1])["tracking_s"])
        workspace = open_workspace(folder / "workspace")
        logs = [event for event in read_events(workspace.study(STUDY)) if isinstance(event, TrialLog)]
        what = f"a search of {len(logs)} trials on {os.cpu_count()} cores"
        for name, noted in (("its first trials run on a worker", TAKEN), ("their first epoch begins", BEGUN)):
            after_s = float((workspace.cache / noted).read_text()) - entered
            yield Row(f"{what}: {name} after Enter", f"{after_s:.1f} s", target="15 s", met=after_s < 15)
        n_cores = os.cpu_count() or 1
        parts = {"MLflow, processor time of its thread, of that of all cores": (tracking_s, n_cores * whole_s)}
        for part, words in (("`rfe report`", ("report", STUDY)), ("`rfe ensemble`", ("ensemble", STUDY))):
            began = time.perf_counter()
            _rfe(*words, "--workspace", str(folder / "workspace"), folder=folder)
            parts[part] = time.perf_counter() - began, whole_s
        for part, (taken, whole) in parts.items():
            yield Row(
                f"{what}, {whole_s:.0f} s from Enter to the end: {part}",
                f"{taken:.1f} s",
                ratio=f"{taken / whole:.1%}",
                target=f"{SHARE:.0%}",
                met=taken < SHARE * whole,
            )


def _rfe(*words: str, folder: Path | None = None) -> None:
    """The command in a process of its own; its answer does not matter."""
    command = [sys.executable, "-m", "rfe", *words]
    subprocess.run(command, cwd=folder, check=folder is not None, capture_output=True)
