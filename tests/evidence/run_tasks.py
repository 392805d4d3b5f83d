"""The whole path on four tasks: simulated, checked, searched, ablated, ensembled, exported, scored, reported.

Two of them are open in one process at once. `--tiny` shows in a few minutes that the script works.
"""

import argparse
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import rfe
from rfe import api
from rfe.data.simulate import SimulationSpec, default_clips_per_actor
from rfe.task import BLEMORE, Task
from rfe.workspace import open_workspace
from tests.evidence.simulated import SCRATCH, table, write_report

COMPOUND = Task(
    "compound",
    ("ang", "con", "disg", "fea", "hap", "sad", "sur"),
    pairs=((0, 2), (0, 6), (2, 6), (3, 6), (4, 6), (5, 6), (1, 5)),
    alone=(False,) * 7,
    metric="macro_f1",
)
"""Seven classes that occur in seven pairs only, whose ratio is not asked."""
EIGHT = Task(
    "eight",
    ("joy", "awe", "ang", "disg", "fea", "sad", "pride", "neu"),
    pairs=tuple(combinations(range(7), 2)),
    ratios_percent=(80, 65, 50, 35, 20),
    metric="salience_mae",
)
"""Eight emotions, seven of which blend at five ratios."""
PLAIN = Task("plain", ("neg", "low", "mid", "high"), metric="accuracy")
"""One class for each clip."""
TASKS = (BLEMORE, COMPOUND, EIGHT, PLAIN)
CLIPS_PER_ACTOR = 24
"""Fewer where a task has fewer different clips, and then more actors."""


@dataclass(frozen=True)
class Size:
    """How much is simulated and searched."""

    actors: int
    trials: int
    epochs: int


FULL, TINY = Size(20, 30, 15), Size(6, 4, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a quick run that is not kept")
    tiny = parser.parse_args().tiny
    rows = [_walk(task, TINY if tiny else FULL, tiny) for task in TASKS]
    header = ["task", "classes", "sets", "states", "metric", "one answer", "selected", "nested", "test", "arms", "min"]
    n_trials = (TINY if tiny else FULL).trials
    body = f"""Each task through `rfe data simulate --task`, `check`, `search demo` of {n_trials} trials,
`ablate two_heads`, `ensemble`, `export`, `verify`, `predict`, `score` and `report`. *One answer* is the best that a
single answer to every clip scores on the training clips; *selected* and *nested* are the search's and the ensemble's
headline on them; *test* is the submission's score on the simulated test actors, whose labels are known.

{table(header, rows)}

{_side_by_side(tiny)}"""
    print(write_report("tasks", "Four tasks through the whole path", body, tiny=tiny).read_text())


def _place(task: Task, tiny: bool) -> Path:
    return SCRATCH / ("tasks-tiny" if tiny else "tasks") / task.name


def _walk(task: Task, size: Size, tiny: bool) -> list[str]:
    """A row of the table."""
    place = _place(task, tiny)
    workspace, data, began = open_workspace(place / "workspace"), place / "data", time.monotonic()
    if not (data / "truth.json").exists():
        clips = min(CLIPS_PER_ACTOR, default_clips_per_actor(task))
        actors = size.actors * CLIPS_PER_ACTOR // clips  # as many clips of each task
        api.simulate_data(SimulationSpec(actors=actors, test_actors=10, clips_per_actor=clips, task=task), data)
    check = api.check_data(data)
    assert not check.problems, check.problems
    overrides = (f"train.epochs={size.epochs}", "confirm.top=1", "confirm.seeds=2")
    outcome = api.search(
        "demo", data, study="search", trials=size.trials, workers=2, overrides=overrides, workspace=workspace
    )
    ablation = api.ablate("two_heads", from_study="search", name="heads", seeds=3, workers=2, workspace=workspace)
    built = api.ensemble(["search"], name="final", workspace=workspace)
    bundle = api.export("final", output=place / "bundle", workspace=workspace)
    manifest = api.verify(bundle, data)
    files = api.write_predictions(api.predict(bundle, data), place / "answers")
    scored = api.score(next(path for path in files if path.name.startswith("submission")), data)
    report = api.report(["search", "heads", "final"], output=place / "report", workspace=workspace)
    assert outcome.score_selected is not None
    assert ablation is not None
    assert manifest["task"]["name"] == task.name
    assert report.html.is_file()
    print(task.name, "done", flush=True)
    from rfe.data.dataset import load_dataset
    from rfe.search.outcome import constant_score

    return [
        task.name,
        *(str(one) for one in (task.n_classes, task.n_sets, task.n_states)),
        task.metric,
        f"{constant_score(load_dataset(data))[0]:.3f}",
        f"{outcome.score_selected.score:.3f}",
        _interval(built.result.nested["score"]),
        _interval(scored.ratings[0].intervals["score"]),
        str(len(ablation.rows)),
        f"{(time.monotonic() - began) / 60:.1f}",
    ]


def _interval(interval: Any) -> str:
    low, high = interval.bounds()
    return f"{interval.estimate:.3f} [{low:.3f}, {high:.3f}]"


def _side_by_side(tiny: bool) -> str:
    """Two tasks in one process, their data, studies and answers used in turns."""
    opened = {task.name: rfe.load_data(str(_place(task, tiny) / "data")) for task in (BLEMORE, EIGHT)}
    lines = []
    for task in (BLEMORE, EIGHT, BLEMORE, EIGHT):
        answers = api.predict(_place(task, tiny) / "bundle", _place(task, tiny) / "data")
        assert opened[task.name].dataset.clips.task == task
        lines.append(f"{task.name}: {len(answers.prediction.filename)} clips answered")
    return "Two tasks in one process, in turns: " + "; ".join(lines) + "."


if __name__ == "__main__":
    main()
