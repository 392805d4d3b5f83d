"""A search of 60 trials during which everything that can be asked of a running study is asked, in random order, twice.

`python -m tests.evidence.run_while_it_runs [SEED...]`; the search is a process of its own, as a user's, with stand-in
training. It is stopped, warned by SIGTERM and killed, once each. At the end the books must agree: journal, Optuna and
MLflow.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from rfe import api
from rfe.errors import RfeError
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events, read_records
from rfe.search.answering import PRUNED_BY_HAND
from rfe.search.changes import StudyChanges
from rfe.tracking.annotations import read_annotations
from rfe.tracking.gaps import find_gaps
from rfe.workspace import Workspace, open_workspace
from rfe.writing import write_text
from tests.evidence.simulated import REPORTS, conditions, table
from tests.integration import fakes

MESSAGES = "messages.txt"
"""In the workspace: what `notify` was told."""
STUDY, TRIALS, MORE = "busy", 60, 66
SEEDS = (1, 2)
WHERE = "score < .5 and epoch > 3"
SLOW_STACK_S = 30.0
STACK_S = 1.0
"""How long a stand-in trains a stack."""
LOWEST = 1.0e-3
"""Of the narrowed space."""
INSIDE = (2.0e-3, 9.0e-3)
"""Learning rates that every space holds."""
LONGEST_WAIT_S = 180.0
FAILS_AT = 1.0
"""The learning rate at which the stand-in fails."""


@dataclass
class Search:
    """The search in its own process, and its study as anyone sees it."""

    workspace: Workspace
    data: Path
    chance: random.Random
    process: "subprocess.Popen[bytes] | None" = None
    expected: dict[str, object] = field(default_factory=dict)
    """What the actions promise of the books at the end."""

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.evidence.run_while_it_runs", "--search", self.data, self.workspace.root]
        self.process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)

    def wait(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not reached():
            assert time.monotonic() < deadline, f"waited too long for {what}"
            time.sleep(0.1)

    def end(self) -> int:
        assert self.process is not None
        return self.process.wait(LONGEST_WAIT_S)

    def changes(self) -> StudyChanges:
        journal = self.workspace.study(STUDY).journal
        return StudyChanges.read(read_records(journal)) if journal.exists() else StudyChanges()

    def logs(self) -> dict[int, TrialLog]:
        events = read_events(self.workspace.study(STUDY))
        return {event.number: event for event in events if isinstance(event, TrialLog)}

    def open_trials(self) -> list[int]:
        ended, changes = self.logs(), self.changes()
        return [number for number in sorted(changes.asked) if number not in ended and number not in changes.pruned]


# ---- what is done; another action is another function in ACTIONS


def add(search: Search) -> str:
    lr = search.chance.uniform(*INSIDE)
    search.expected.setdefault("added", []).append(lr)  # type: ignore[attr-defined]
    return api.add_trial(STUDY, {"train.lr": lr}, workspace=search.workspace).said


def add_first(search: Search) -> str:
    lr = search.chance.uniform(*INSIDE)
    search.expected.setdefault("added", []).append(lr)  # type: ignore[attr-defined]
    return api.add_trial(STUDY, {"train.lr": lr}, first=True, workspace=search.workspace).said


def add_config(search: Search) -> str:
    """A whole configuration, from a file."""
    lr = search.chance.uniform(*INSIDE)
    search.expected.setdefault("added", []).append(lr)  # type: ignore[attr-defined]
    file = search.workspace.root / "mine.yaml"
    file.write_text(f"train: {{lr: {lr!r}}}\nmodel: {{n_kept: 2}}\n")
    return api.add_trial(STUDY, config=file, workspace=search.workspace).said


def prune(search: Search) -> str:
    for _ in range(20):  # one may end between the look and the request
        try:
            number = search.chance.choice([one for one in search.open_trials() if one] or [0])
            said = api.prune_trials(STUDY, [number], workspace=search.workspace).said
        except RfeError:
            time.sleep(0.3)
            continue
        search.expected.setdefault("pruned", []).append(number)  # type: ignore[attr-defined]
        return said
    raise AssertionError("no trial was open in 20 looks")


def prune_where(search: Search) -> str:
    pace = search.workspace.cache / fakes.SLEEP
    write_text(pace, str(SLOW_STACK_S))  # workers tell of epochs and scores every 2 s: stacks of 1 s end untold
    try:
        for _ in range(200):  # what trains now may end before it is told of
            said = api.prune_trials(STUDY, where=WHERE, workspace=search.workspace).said
            if "nothing changed" not in said:
                return said
            time.sleep(0.2)
    finally:
        write_text(pace, str(STACK_S))
    raise AssertionError(f"no open trial matched {WHERE!r} in 200 looks")


def more_trials(search: Search) -> str:
    search.expected["trials"] = MORE
    return api.change_study(STUDY, trials=MORE, workspace=search.workspace).said


def more_hours(search: Search) -> str:
    search.expected["hours"] = 5
    return api.change_study(STUDY, hours=5, workspace=search.workspace).said


def fewer_workers(search: Search) -> str:
    search.expected["workers"] = 1
    return api.change_study(STUDY, workers=1, workspace=search.workspace).said


def two_workers(search: Search) -> str:
    search.expected["workers"] = 2
    return api.change_study(STUDY, workers=2, workspace=search.workspace).said


def narrow(search: Search) -> str:
    line = f"space.train.lr={{float: [{LOWEST}, 1.0], log: true}}"
    return api.narrow_study(STUDY, None, [line], workspace=search.workspace).said


def retry(search: Search) -> str:
    """Trial 0 fails by design, and fails again."""
    search.wait(lambda: 0 in search.logs(), "trial 0")
    return api.retry_trials(STUDY, failed=True, workspace=search.workspace).said


def note(search: Search) -> str:
    search.expected["note"] = text = f"noted after {len(search.logs())} trials"
    api.note_study(STUDY, text, search.workspace)
    return "noted"


def tag(search: Search) -> str:
    api.tag_study(STUDY, ["evidence"], search.workspace)
    search.expected["tags"] = ["evidence"]
    return "tagged"


def untag(search: Search) -> str:
    api.tag_study(STUDY, ["passing"], search.workspace)
    api.tag_study(STUDY, ["passing"], search.workspace, remove=True)
    return "tagged, and the tag removed"


def archive(search: Search) -> str:
    api.archive_study(STUDY, search.workspace)
    search.expected["archived"] = True
    return "archived"


def unarchive(search: Search) -> str:
    api.archive_study(STUDY, search.workspace)
    api.archive_study(STUDY, search.workspace, undo=True)
    search.expected["archived"] = False
    return "archived, and taken back"


def write_table_file(search: Search) -> str:
    before, file = len(search.logs()), search.workspace.root / "trials.csv"
    written = api.write_study_table(STUDY, file, search.workspace)
    rows = pd.read_csv(file)
    assert before <= len(rows) == written.rows == rows["trial"].nunique(), "the file has other trials than the journal"
    return f"a file of {len(rows)} trials"


def write_table(search: Search) -> str:
    """Its rows are the trials that have ended, no fewer than a moment before."""
    before = len(search.logs())
    rows = api.study_table(STUDY, search.workspace)
    assert before <= len(rows) == rows["trial"].nunique(), "the table has other trials than the journal"
    return f"a table of {len(rows)} trials"


def look_at_page(search: Search) -> str:
    state = api.page_data(STUDY, search.workspace)["state"]
    return f"the live page says: {state}"


def stop_and_resume(search: Search) -> str:
    search.wait(lambda: _runs(search), "a search that can be stopped")
    api.stop_study(STUDY, search.workspace, wait=True)
    code = search.end()
    search.start()
    return f"stopped with exit code {code}; started again"


def terminate_and_resume(search: Search) -> str:
    """As Slurm and spot instances do before they take the node."""
    search.wait(lambda: _runs(search), "a search that can be stopped")
    assert search.process is not None
    search.process.send_signal(signal.SIGTERM)
    code = search.end()
    assert code == 130, f"SIGTERM: exit code {code}"
    search.start()
    return f"SIGTERM: exit code {code}; started again"


def kill_and_resume(search: Search) -> str:
    assert search.process is not None
    search.process.send_signal(signal.SIGKILL)
    search.process.wait()
    search.start()
    return "killed with SIGKILL; started again"


ACTIONS: tuple[Callable[[Search], str], ...] = (
    add,
    add_first,
    add_config,
    prune,
    prune_where,
    more_trials,
    more_hours,
    fewer_workers,
    two_workers,
    narrow,
    retry,
    note,
    tag,
    untag,
    archive,
    unarchive,
    write_table,
    write_table_file,
    look_at_page,
    stop_and_resume,
    terminate_and_resume,
    kill_and_resume,
)


# ---- what the books must say; each returns what is wrong


def find_faults(search: Search) -> list[str]:
    """Where journal, Optuna, MLflow and what was promised disagree."""
    from rfe.study import read_study

    folder = search.workspace.study(STUDY)
    faults = []
    ends = [event for event in read_events(folder) if isinstance(event, TrialLog)]
    logs, changes = search.logs(), search.changes()
    if twice := [number for number, n in Counter(one.number for one in ends).items() if n > 1]:
        faults.append(f"trials {twice} ended more than once")
    if sorted(logs) != sorted(changes.asked) or sorted(logs) != list(range(len(logs))):
        faults.append(f"asked for {sorted(changes.asked)}, ended {sorted(logs)}")
    n = search.expected.get("trials", TRIALS)
    if len(logs) != n:
        faults.append(f"{len(logs)} trials, not {n}")
    rows = {row.number: row.state for row in read_study(folder.path).trials}
    if rows != {number: log.state for number, log in logs.items()}:
        faults.append("Optuna has other states than the journal")
    runs = mlflow_runs(search.workspace)
    names = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    if {number: status for number, (status, _) in runs.items()} != {n: names[log.state] for n, log in logs.items()}:
        faults.append("MLflow has other states than the journal")
    for number, (_, tags) in runs.items():
        log = logs[number]
        said = {"queued": log.tags.get("queued"), "retry_of": log.tags.get("retry_of"), "reason": log.reason or None}
        if said != {name: tags.get(f"rfe.{name}") for name in said}:
            faults.append(f"MLflow has another origin or reason of trial {number} than the journal")
    for lr in search.expected.get("added", ()):  # type: ignore[attr-defined]
        mine = [log for log in logs.values() if log.config.get("train.lr") == lr]
        if [log.tags.get("queued") for log in mine] != ["user"]:
            faults.append(f"the configuration that was added with train.lr {lr} was tried {len(mine)} times")
    for number in search.expected.get("pruned", ()):  # type: ignore[attr-defined]
        fails = logs[number].config["train.lr"] == FAILS_AT  # which may come first
        if logs[number].state not in ("pruned", "complete", *(["failed"] if fails else [])):
            faults.append(f"trial {number} was pruned by the user and is {logs[number].state}")
    reasons = [log.reason for log in logs.values() if log.state == "pruned"]
    if not any(reason.startswith(PRUNED_BY_HAND) for reason in reasons):
        ended = {number: (logs[number].state, logs[number].reason) for number in changes.pruned}
        faults.append(f"no trial says {PRUNED_BY_HAND!r}: {ended}")
    if not any(reason.endswith(WHERE) for reason in changes.pruned.values()):
        faults.append("no trial matched the condition")
    late = [log for number, log in logs.items() if number >= changes.narrowed_at and log.config_id]
    if outside := [log.number for log in late if not LOWEST <= log.config["train.lr"] <= 1.0]:
        faults.append(f"trials {outside} lie outside of the narrowed space")
    if not changes.ranges or not any(log.number < changes.narrowed_at for log in logs.values()):
        faults.append("the space was not narrowed on the way")
    again = [log.tags["retry_of"] for log in logs.values() if "retry_of" in log.tags]
    if again != ["0"]:
        faults.append(f"tried again: {again}")
    wanted = {name: search.expected[name] for name in ("trials", "hours", "workers")}
    if changes.changed != wanted:
        faults.append(f"changed: {changes.changed}, not {wanted}")
    kept = read_annotations(folder)
    said_last = tuple(search.expected[name] for name in ("note", "tags", "archived"))
    if (kept.note, list(kept.tags), kept.archived) != said_last:
        faults.append(f"the study's note, tags or archive: {kept}")
    if gaps := find_gaps(search.workspace, folder):
        faults.append(f"MLflow: {'; '.join(gaps)}")
    if len(api.study_table(STUDY, search.workspace)) != len(logs):
        faults.append("the table has other trials than the journal")
    told = (search.workspace.root / MESSAGES).read_text().split()
    faults += [f"no message told of the {event}" for event in ("end", "best") if event not in told]
    if list(folder.requests.glob("*")):
        faults.append("requests are left in the folder")
    return faults


def mlflow_runs(workspace: Workspace) -> dict[int, tuple[str, dict[str, str]]]:
    """Trial -> (status, tags) of its run, one run for each."""
    from mlflow import MlflowClient

    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`rfe.trial` LIKE '%'")
    assert len({run.data.tags["rfe.trial"] for run in runs}) == len(runs), "a trial has two runs"
    return {int(run.data.tags["rfe.trial"]): (run.info.status, dict(run.data.tags)) for run in runs}


# ---- the run


def run(seed: int, scratch: Path) -> tuple[list[list[str]], list[str]]:
    """(rows of the table, faults) of one search during which all is done in a random order."""
    data = scratch / "data"
    if not data.exists():
        fakes.write_data(data)
    workspace = open_workspace(scratch / f"workspace{seed}")
    workspace.cache.mkdir(parents=True)
    (workspace.cache / fakes.SLEEP).write_text(str(STACK_S))
    search = Search(workspace, data, random.Random(seed))
    order = list(ACTIONS)
    search.chance.shuffle(order)
    rows = []
    search.start()
    for index, action in enumerate(order):
        due = 2 + index * (TRIALS - 20) // len(order)
        search.wait(lambda due=due: len(search.logs()) >= due, f"{due} trials")  # type: ignore[misc]
        before = len(search.logs())
        said = action(search)
        rows.append([str(seed), str(before), action.__name__.replace("_", " "), said])
        print(*rows[-1], sep=" | ", flush=True)
    code = search.end()
    faults = find_faults(search)
    if code != 0:
        faults.append(f"the search ended with exit code {code}")
    return rows, faults


def _runs(search: Search) -> bool:
    from rfe.reporting.running import find_running

    live = find_running(search.workspace.study(STUDY))
    return live is not None and bool(live.session) and live.search is not None


def search_once(data: Path, root: Path) -> int:
    """The search itself: what a user would have typed."""
    from rfe.search.driver import run_search
    from rfe.search.options import RunOptions
    from rfe.search_space import load_space
    from rfe.tracking.mlflow_tracker import MlflowTracker

    workspace = open_workspace(root)
    lines = {"train.lr": {"float": [1.0e-4, 1.0], "log": True}, "model.n_kept": {"int": [1, 3]}}
    given = {"study": STUDY, "space": lines, "budget": {"trials": TRIALS}, "confirm": {"top": 1, "seeds": 2}}
    given["notify"] = {"command": ["sh", "-c", 'echo "$RFE_EVENT" >> "$0"', str(root / MESSAGES)], "best_minutes": 0}
    given |= {"first_trials": [{"train.lr": FAILS_AT}]}
    tracker = MlflowTracker(workspace, workspace.study(STUDY))
    fakes.train_with(fakes.TRAIN, stack=2)
    try:
        outcome = run_search(load_space(given), data, workspace, RunOptions(workers=2), tracker=tracker)
    finally:
        tracker.close()
    return 130 if outcome.state == "stopped" else 0


def main(seeds: Sequence[int]) -> int:
    rows: list[list[str]] = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rfe-") as scratch:
        for seed in seeds:
            found, wrong = run(seed, Path(scratch))
            rows += found
            faults += [f"seed {seed}: {one}" for one in wrong]
    text = f"""# While it runs

`python -m tests.evidence.run_while_it_runs`

A search of {TRIALS} trials with two workers on a local Ray and stand-in training, in a process of its own, beside
MLflow. While it runs, each of these is done once, in an order drawn at random; then the books are compared: each trial
asked for has ended once, under numbers without a gap, in the same state in journal, Optuna and MLflow, and each request
has had its effect.

{table(["seed", "trials ended before", "done", "answer"], rows)}

Faults found: {"; ".join(faults) or "none"}.

{conditions()}
"""
    folder = REPORTS / "while_it_runs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(text)
    print(text)
    return len(faults)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--search"]:
        sys.exit(search_once(Path(sys.argv[2]), Path(sys.argv[3])))
    sys.exit(main([int(one) for one in sys.argv[1:]] or SEEDS))
