"""Synthetic journals of searched studies, of any size, written without training."""

import json
import math
import random
from pathlib import Path
from typing import Any

from rfe.config.load import flatten
from rfe.search_space import effective_config, load_space
from rfe.study import define_study
from rfe.study.definition import write_definition
from rfe.workspace import StudyFolder, open_workspace

ENCODERS = ("clip", "face", "voice", "wavlm")
SPACE: dict[str, Any] = {
    "pool": {"subset": "all", "min_size": 1},
    "model.n_kept": {"int": [1, 4]},
    "adaptation.kind": {"choice": ["none", "coral", "mmd"]},
    "adaptation.strength": {"float": [1.0e-3, 3.0], "log": True, "when": {"adaptation.kind": ["coral", "mmd"]}},
    "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
    "model.dropout": {"float": [0.0, 0.5]},
}
MADE = 60
"""Configurations that are made truly; later trials vary their learning rate and dropout."""
REASON = "the loss is no longer finite at epoch 3 <b>&amp;</b>"
START = 1.79e9


def write_study(workspace: Path, n: int, name: str = "big") -> StudyFolder:
    """A study of `n` ended trials: one in 16 pruned, one in 25 failed; score rises with the learning rate."""
    folder = open_workspace(workspace).study(name)
    space = load_space({"study": name, "space": SPACE, "budget": {"trials": n + 10}})
    definition = define_study(space, ENCODERS, seed=1, fingerprint="f")
    folder.path.mkdir(parents=True)
    write_definition(folder.path, definition)
    stream = random.Random(n)
    described = {one.name: one.describe() for one in definition.resolved.dimensions}
    settings = {"objective": "score", "budget.trials": n + 10}
    study = {"data": "sim", "simulated": True, "caveats": ["saliences are guessed."], "settings": settings}
    append(folder, [line(folder, "study", session="s", space=described, **study)])
    configs: list[dict[str, Any]] = []
    lines = []
    for number in range(n):
        drawn = {"train.lr": 10 ** stream.uniform(-4, -2), "model.dropout": stream.uniform(0, 0.5)}
        if number < MADE:
            params = {one.name: stream.choice(one.corners()) for one in definition.resolved.dimensions} | drawn
            configs.append(dict(flatten(effective_config(definition.resolved, params))))
        lines.append(trial_line(folder, number, configs[number % MADE] | drawn, stream))
    append(folder, lines)
    return folder


def trial_line(folder: StudyFolder, number: int, config: dict[str, Any], stream: random.Random) -> str:
    """One trial's record."""
    state = "failed" if number % 25 == 3 else "pruned" if number % 16 == 9 else "complete"
    score = 0.3 + 0.05 * math.log10(config["train.lr"] / 1e-4) + stream.gauss(0, 0.005)
    scores = {"score": score, "score_se": 0.01, "acc_presence": score + 0.1} if state == "complete" else {}
    took = {"seconds": 2.0 + number % 3, "memory_mb": 100.0, "gpu_memory_mb": None, "gpu_percent": None, "wait_s": 0.5}
    worker = f"workers0-{number % 3}-abcdef0{number % 3}@host"
    reason = REASON if state == "failed" else ""
    fields = {
        "state": state,
        "config_id": f"{number}",
        "config": config,
        "scores": scores,
        "tags": {},
        "reason": reason,
    }
    return line(folder, "trial", number, **fields, **took, worker=worker, per_fold={}, curves={}, artifacts={})


def line(folder: StudyFolder, kind: str, number: int | None = None, **data: Any) -> str:
    """Any record."""
    when = START + 4.0 * (number or 0)
    return json.dumps({"time": when, "worked_s": 1.0, "study": folder.name, "number": number, "kind": kind} | data)


def append(folder: StudyFolder, lines: list[str]) -> None:
    with folder.journal.open("a", encoding="utf-8") as file:
        file.write("".join(one + "\n" for one in lines))
