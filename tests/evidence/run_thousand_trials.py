"""A study of thousands of trials of a trivial model: the driver's memory, the time for each trial, MLflow's lag.

`python -m tests.evidence.run_thousand_trials [TRIALS]`
"""

import io
import sys
import tempfile
import threading
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import psutil

from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.search.driver import run_search
from rfe.search.options import RunOptions
from rfe.search_space import load_space
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import open_workspace
from tests.evidence.simulated import REPORTS, table, write_report
from tests.integration.fakes import train_with, write_data

TRIALS = 2000
BIN = 200


def main(trials: int = TRIALS) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        data = write_data(Path(scratch) / "data")
        workspace = open_workspace(Path(scratch) / "workspace")
        folder = workspace.study("thousand")
        space = load_space(
            {
                "study": "thousand",
                "space": {
                    "pool": {"subset": "all"},
                    "model.n_kept": {"int": [1, 3]},
                    "model.dropout": {"float": [0.0, 0.5]},
                    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
                },
                "budget": {"trials": trials},
                "confirm": {"top": 0},
            }
        )
        memory: list[tuple[float, float]] = []
        done = threading.Event()

        def watch() -> None:
            process = psutil.Process()
            while not done.wait(0.5):
                memory.append((time.time(), process.memory_full_info().uss / 2**20))

        threading.Thread(target=watch, daemon=True).start()
        tracker = MlflowTracker(workspace, folder, print)
        train_with("tests.evidence.cluster_stand_ins:answer_stack", stack=4)
        try:
            run_search(space, data, workspace, RunOptions(workers=1), tracker=tracker)
        finally:
            shown, ended = shown_trials(workspace.mlflow_uri), time.monotonic()
            left = tracker.close(1200)
            lag_s = time.monotonic() - ended
            done.set()
        ends = np.array(sorted(event.time for event in read_events(folder) if isinstance(event, TrialLog)))
    moments, mebibytes = np.array(memory).T
    at_trial = np.interp(ends, moments, mebibytes)
    seconds = np.diff(ends, prepend=ends[0])
    rows = [
        [
            f"{first + 1} to {first + BIN}",
            f"{1000 * seconds[first : first + BIN].mean():.0f}",
            f"{at_trial[first : first + BIN].mean():.0f}",
        ]
        for first in range(0, len(ends), BIN)
    ]
    _draw(seconds, at_trial, REPORTS / "thousand_trials" / "flat.png")
    body = f"""A trivial model (a stand-in that answers at once), one worker, stacks of 4, TPE, the journal
and MLflow (SQLite) written as in any search.

![time and memory](flat.png)

Every two minutes the tracker draws the best trials' figures; the first time loads matplotlib, which is a step in
memory.

{table(["trials", "ms for each", "driver's private memory, MiB"], rows)}

The {trials} trials took {ends[-1] - ends[0]:.0f} s. When the search ended MLflow showed {shown} of them; it had
everything {lag_s:.0f} s later. {left}"""
    print(write_report("thousand_trials", "Thousands of trials of a trivial model", body).read_text())


def shown_trials(uri: str) -> int:
    """Trials whose runs have ended in MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("thousand")
    assert experiment is not None
    ended, page = 0, None
    while page != "":
        runs = client.search_runs([experiment.experiment_id], "tags.`rfe.trial` LIKE '%'", page_token=page)
        ended += sum(run.info.status != "RUNNING" for run in runs)
        page = runs.token or ""
    return ended


def _draw(seconds: np.ndarray, mebibytes: np.ndarray, path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 5), sharex=True)
    numbers = np.arange(1, len(seconds) + 1)
    above.plot(numbers, 1000 * np.convolve(seconds, np.ones(25) / 25, "same"), color="tab:blue")
    above.set_ylabel("ms per trial\n(mean of 25)")
    above.set_ylim(bottom=0)
    below.plot(numbers, mebibytes, color="tab:orange")
    below.set_ylabel("driver's private\nmemory, MiB")
    below.set_ylim(bottom=0)
    below.set_xlabel("finished trials")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120)
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
