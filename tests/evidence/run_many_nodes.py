"""How the search itself scales: simulated nodes whose trials sleep, so that nothing but rfe and Ray works.

`python -m tests.evidence.run_many_nodes [WORKERS...]`; each size runs in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.evidence.queue_process import find_queue_process
from tests.evidence.simulated import REPORTS, conditions, table

SIZES = (1, 8, 32)
EACH = 20
"""Configurations for each worker, one to a lease."""


def main(sizes: list[int]) -> None:
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in sizes:
            result = Path(scratch) / f"{size}.json"
            subprocess.run([sys.executable, "-m", __spec__.name, "--size", str(size), scratch, str(result)], check=True)
            found.append(json.loads(result.read_text()))
            print(found[-1], flush=True)
    write_report(found)


def write_report(found: list[dict[str, Any]]) -> None:
    alone = found[0]["rate"]
    rows = [
        [
            str(one["workers"]),
            str(one["trials"]),
            f"{one['seconds']:.1f}",
            f"{one['rate'] / (alone * one['workers'] / found[0]['workers']):.2f}",
            f"{1000 * one['driver_s'] / one['trials']:.1f}",
            f"{1000 * one['queue_s'] / one['trials']:.1f}",
        ]
        for one in found
    ]
    header = ["nodes", "trials", "seconds", "efficiency", "driver, ms of CPU per lease", "queue, ms of CPU per lease"]
    text = f"""# Many nodes

`python -m tests.evidence.run_many_nodes`

A cluster of simulated nodes on one machine, a worker of one CPU on each. A trial sleeps 2 s and answers from its
configuration; one configuration per lease, {EACH} for each worker, random sampler, the journal on
disk, no MLflow. Seconds are counted from the moment at which all workers had started to the last result in the
journal; efficiency is the rate of trials beside so many times that of the first row.

{table(header, rows)}

{conditions()}
"""
    folder = REPORTS / "many_nodes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(text)
    print(text)


def measure(size: int, scratch: Path) -> dict[str, Any]:
    """One search on a cluster of `size` nodes."""
    import psutil
    import ray
    from ray.cluster_utils import Cluster

    from rfe.journal.records import read_records
    from rfe.search.driver import run_search
    from rfe.search.options import RunOptions
    from rfe.search_space import load_space
    from rfe.workspace import open_workspace
    from tests.evidence import cluster_stand_ins
    from tests.integration.fakes import train_with, write_data

    data = scratch / "data"
    if not data.exists():
        write_data(data)
    workspace = open_workspace(scratch / f"workspace{size}")
    workspace.cache.mkdir(parents=True)
    (workspace.cache / cluster_stand_ins.WORKERS).write_text(str(size))
    space = load_space(
        {
            "study": "nodes",
            "space": {"train.lr": {"float": [1.0e-4, 1.0e-2], "log": True}},
            "sampler": {"kind": "random"},
            "budget": {"trials": EACH * size},
            "confirm": {"top": 0},
        }
    )
    store = {"object_store_memory": 80 * 2**20}
    # All nodes have one address here, so Tune's light trials, pinned to the driver's, may land on any; Ray places them
    # where most is free, and that must not be a worker's only CPU
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3, "include_dashboard": False, **store})
    for _ in range(size):
        cluster.add_node(num_cpus=1, **store)
    used: dict[str, float] = {}

    def watch() -> None:
        """CPU seconds of this process and of the queue's, since all workers had started."""
        while len(list(workspace.cache.glob("started-*"))) < size:
            time.sleep(0.05)
        used["began"] = time.time()
        driver, queue = psutil.Process(), find_queue_process()
        before = _cpu_s(driver), _cpu_s(queue)
        # Counted in the raw text: reading the records in this process would cost more than the driver does
        while workspace.study("nodes").journal.read_bytes().count(b'"kind": "trial"') < EACH * size:
            used["driver_s"], used["queue_s"] = _cpu_s(driver) - before[0], _cpu_s(queue) - before[1]
            time.sleep(0.5)

    def _ends(workspace: Any) -> list[float]:
        return [record.time for record in read_records(workspace.study("nodes").journal) if record.kind == "trial"]

    from threading import Thread

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        train_with("tests.evidence.cluster_stand_ins:sleep_stack", stack=1)
        run_search(space, data, workspace, RunOptions(workers=size, address=cluster.address))
        watcher.join(10)
        ends = _ends(workspace)
    finally:
        ray.shutdown()
        cluster.shutdown()
    seconds = max(ends) - used["began"]
    return {"workers": size, "trials": len(ends), "seconds": seconds, "rate": len(ends) / seconds, **used}


def _cpu_s(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--size"]:
        Path(sys.argv[4]).write_text(json.dumps(measure(int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main([int(one) for one in sys.argv[1:]] or list(SIZES))
