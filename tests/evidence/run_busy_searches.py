"""Searches one after another on a machine that four other programs keep busy, and two whose output is closed.

Of each: its exit status, whether its study stands FINISHED in MLflow with all that the journal holds, and what was said
where it does not. `--tiny` runs two of them; `--others 0` starts no programs, where others keep the machine busy. It
can be stopped and run again: searches that were made are taken as they are.
"""

import argparse
import json
import os
import pty
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rfe import api
from rfe.data.simulate import SimulationSpec
from rfe.workspace import open_workspace
from rfe.writing import write_text
from tests.evidence.simulated import SCRATCH, table, write_report

BUSY = 4
SPIN = "while True: pass"
SETTINGS = ("--trials", "4", "--set", "train.epochs=2", "--set", "confirm.top=0")
TO_COME = "will reach MLflow"
LIMIT_S = 900


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a quick run that is not kept")
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--others", type=int, default=BUSY, help="programs to start that never rest")
    arguments = parser.parse_args()
    count = 2 if arguments.tiny else arguments.searches
    place = SCRATCH / ("busy_searches-tiny" if arguments.tiny else "busy_searches")
    data = place / "data"
    if not (data / "truth.json").exists():
        api.simulate_data(SimulationSpec(actors=6, test_actors=2, clips_per_actor=20), data)
    searches = [(f"busy-{number:02d}", in_order) for number in range(count)]
    searches += [("closed-terminal", with_closed_terminal), ("closed-stderr", with_closed_stderr)]
    rows = []
    with keep_busy(arguments.others):
        for name, run in searches:
            kept = place / "rows" / f"{name}.json"
            if not kept.exists():
                write_text(kept, json.dumps(run(place, data, name)))
            rows.append(json.loads(kept.read_text()))
            print(*rows[-1], sep=" | ", flush=True)
    beside = f"{arguments.others} processes that never rest" if arguments.others else "programs that train and test"
    loads = sorted(float(row[-1]) for row in rows[:count])
    times = sorted(float(row[2]) for row in rows[:count])
    ends = Counter((row[1], row[3], row[4]) for row in rows[:count])
    summary = "; ".join(f"{n} ended with {code}, {status}, {gaps}" for (code, status, gaps), n in ends.items())
    took = f"Median {times[len(times) // 2]:.0f} s, longest {times[-1]:.0f} s"
    body = f"""`rfe search demo --trials 4`, {count} times in a row, beside {beside}, on
{os.cpu_count()} cores (load average {loads[0]:.0f} to {loads[-1]:.0f}): {summary}. {took}. Then one whose
terminal is closed after its first trial, and one that has no standard error (`2>&-`).

{table(["search", "exit", "s", "in MLflow", "not as the journal", "said to come", "load"], rows)}"""
    print(write_report("busy_searches", "Searches on a busy machine", body, tiny=arguments.tiny).read_text())


@contextmanager
def keep_busy(n: int) -> Iterator[None]:
    """Processes that take all they get while the block runs."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(n)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def command(place: Path, data: Path, study: str) -> list[str]:
    program = str(Path(sys.executable).with_name("rfe"))
    where = ("--data", str(data), "--study", study, "--workspace", str(place / "workspace"))
    return [program, "search", "demo", *where, *SETTINGS]


def in_order(place: Path, data: Path, study: str) -> list[str]:
    """A row of the table: a search that nothing disturbs."""
    began = time.monotonic()
    ended = subprocess.run(command(place, data, study), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if ended.returncode:
        print(ended.stdout[-2000:], ended.stderr[-2000:], flush=True)
    return row(place, study, ended.returncode, time.monotonic() - began, TO_COME in ended.stdout + ended.stderr)


def with_closed_stderr(place: Path, data: Path, study: str) -> list[str]:
    """A row of the table: `2>&-`."""
    began = time.monotonic()
    line = ["sh", "-c", '"$@" 2>&-', "sh", *command(place, data, study)]
    ended = subprocess.run(line, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False)
    return row(place, study, ended.returncode, time.monotonic() - began, TO_COME in ended.stdout)


def with_closed_terminal(place: Path, data: Path, study: str) -> list[str]:
    """A row of the table: the window is closed after the first trial, and the same command goes on elsewhere."""
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        line = command(place, data, study)
        os.execv(line[0], line)
    journal = open_workspace(place / "workspace").study(study).journal
    with os.fdopen(terminal, "rb", buffering=0) as shown:
        while not (journal.exists() and '"complete"' in journal.read_text()):
            os.set_blocking(terminal, False)
            shown.read(65536)
            time.sleep(0.5)
            if time.monotonic() - began > LIMIT_S:
                raise TimeoutError(study)
    _, status = os.waitpid(pid, 0)  # closing the terminal sent SIGHUP
    stopped = row(place, study, os.waitstatus_to_exitcode(status), time.monotonic() - began, said=False)
    resumed = in_order(place, data, study)
    return [study, f"{stopped[1]}, then {resumed[1]}", f"{time.monotonic() - began:.0f}", *resumed[3:]]


def row(place: Path, study: str, code: int, seconds: float, said: bool) -> list[str]:
    from mlflow import MlflowClient

    from rfe.tracking.gaps import find_gaps

    workspace = open_workspace(place / "workspace")
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name(study)
    runs = [] if experiment is None else list(client.search_runs([experiment.experiment_id], max_results=100))
    status = [run.info.status for run in runs if "rfe.trial" not in run.data.tags]
    n_gaps = len(find_gaps(workspace, workspace.study(study)))
    return [
        study, str(code), f"{seconds:.0f}", f"{' '.join(status) or 'no run'}, {len(runs) - len(status)} trials",
        str(n_gaps) if n_gaps else "none", "yes" if said else "-", f"{os.getloadavg()[0]:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
