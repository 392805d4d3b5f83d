"""Whether one driver and one queue keep a thousand workers busy: simulated workers, the real queue and the real driver.

`python -m tests.evidence.run_thousand_workers [WORKERS...]`; each size runs in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

import matplotlib as mpl

from tests.evidence.queue_process import find_queue_process
from tests.evidence.simulated import report_folder, table, write_report
from tests.evidence.simulated_workers import EPOCHS, PER_PROCESS, SPREAD, ClientGroup

SIZES = (100, 300, 1000)
TRIAL_S = 30.0
ROUNDS = 5
"""Trials for each worker."""
BINS = 100
"""Moments of the figure."""


def main(sizes: list[int]) -> None:
    """Measure each size, then write the report."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in sizes:
            result = Path(scratch) / f"{size}.json"
            told = ["--size", str(size), "random", str(result)]
            subprocess.run([sys.executable, "-m", __spec__.name, *told], check=True)
            found.append(json.loads(result.read_text()))
    write(found)


def write(found: list[dict[str, Any]]) -> None:
    """The report and its figure."""
    draw(found, report_folder("thousand_workers") / "busy.png")
    rows = [
        [
            f"{one['workers']:,}",
            str(one["trials"]),
            f"{one['seconds']:.0f}",
            f"{one['trials'] / one['seconds']:.1f}",
            f"{one['busy']:.2f}",
            f"{1000 * one['driver'] / one['trials']:.1f}",
            f"{1000 * one['queue'] / one['trials']:.1f}",
        ]
        for one in found
    ]
    header = ["workers", "trials", "seconds", "trials per second", "busy", "driver, ms of CPU", "queue, ms of CPU"]
    body = f"""Simulated workers: threads in client processes, {PER_PROCESS} in each. They run the real loop of a worker
with its heartbeats against the real queue actor, while the real driver searches with its own Ray. Training alone is a
stand-in: it sleeps, {TRIAL_S:.0f} s on average and up to {100 * SPREAD:.0f} % less or more by the configuration, with
{EPOCHS} epochs, and answers from the configuration. One configuration to a lease, {ROUNDS} for each worker, random
sampler, the journal on disk, no MLflow.

*Busy* is the time trained over the workers' time between the start of the first lease and the start of the last: the
rise at the beginning counts, what comes before it and the end of the search, when nothing is left to lease, do not.
Milliseconds are of CPU, user and system, for each trial, from the study's first record to its end. They hold all that
driver and queue do, heartbeats of workers (one in 2 s, fewer with more than 200 workers) and Ray Tune too, so that they
depend on how long a trial takes and are no cost of a trial alone; see `many_nodes` for trials of 2 s.

Not simulated: the queue, the driver, Ray's calls between them and the workers. Not shown: a network, processes and
devices of a thousand workers, results of real size, lost workers. Driver, queue and clients share one machine.

{table(header, rows)}

![workers in training](busy.png)"""
    print(write_report("thousand_workers", "A thousand workers", body).read_text())


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """The share of the workers that train, over time."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5))
    for one in found:
        seconds = [one["seconds"] * (index + 0.5) / BINS for index in range(BINS)]
        axes.plot(seconds, one["timeline"], label=f"{one['workers']:,} workers: {one['busy']:.2f} busy")
    axes.axhline(0.9, color="grey", linestyle=":", label="0.9")
    axes.set(xlabel="seconds since the first lease", ylabel="share of workers in training", ylim=(0, 1.05))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def measure(size: int, scratch: Path, sampler: str) -> dict[str, Any]:
    """One search with `size` simulated workers."""
    import psutil
    import ray

    from rfe.search.driver import run_search
    from rfe.search.fleet import Fleet
    from rfe.search.options import RunOptions
    from rfe.search.session import open_session
    from rfe.search.work_queue_actor import start_queue
    from rfe.search.worker import WorkerSettings
    from rfe.search_space import load_space
    from rfe.workspace import open_workspace
    from tests.integration.fakes import write_data

    data, books = scratch / "data", scratch / "books"
    write_data(data)
    books.mkdir()
    workspace = open_workspace(scratch / "workspace")
    workspace.cache.mkdir(parents=True, exist_ok=True)
    space = load_space(
        {
            "study": "many",
            "space": {"train.lr": {"float": [1.0e-4, 1.0e-2], "log": True}},
            "sampler": {"kind": sampler},
            "budget": {"trials": ROUNDS * size},
            "confirm": {"top": 0},
        }
    )
    with open_session(workers=1) as session:
        address = ray.get_runtime_context().gcs_address
        queue = start_queue("queue")
        group = ClientGroup(size)
        fleet = Fleet(session, queue, WorkerSettings("queue", workspace.cache, 1), scratch / "tune", groups=[group])
        group.start(fleet, address, TRIAL_S, books)
        while queue.status().workers < size:
            time.sleep(0.5)
        processes = {"driver": psutil.Process(), "queue": find_queue_process()}
        done, used = Event(), {}

        def watch() -> None:
            journal = workspace.study("many").journal
            while not journal.exists():
                time.sleep(0.05)
            before = {name: _cpu_s(one) for name, one in processes.items()}
            while not done.is_set():
                used.update({name: _cpu_s(one) - before[name] for name, one in processes.items()})
                done.wait(0.5)

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            run_search(space, data, workspace, RunOptions(), fleet=fleet)
        finally:
            done.set()
            watcher.join()
            fleet.dismiss()
    leases = [lease for path in books.glob("*.json") for lease in json.loads(path.read_text())]
    return {"workers": size, "sampler": sampler, "trials": len(leases), **busy(leases, size), **used}


def busy(leases: list[list[float]], size: int) -> dict[str, Any]:
    """The share of the workers' time that was trained, between the first lease and the last."""
    first, last = min(one[0] for one in leases), max(one[0] for one in leases)
    trained = sum(max(0.0, min(ended, last) - began) for began, ended, _ in leases)
    step = (last - first) / BINS
    at = [first + step * (index + 0.5) for index in range(BINS)]
    timeline = [sum(began <= now < ended for began, ended, _ in leases) / size for now in at]
    return {"seconds": last - first, "busy": trained / (size * (last - first)), "timeline": timeline}


def _cpu_s(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--size"]:
        with tempfile.TemporaryDirectory() as scratch:
            Path(sys.argv[4]).write_text(json.dumps(measure(int(sys.argv[2]), Path(scratch), sys.argv[3])))
    else:
        main([int(one) for one in sys.argv[1:]] or list(SIZES))
