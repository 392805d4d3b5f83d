"""What each part of the model is worth: on simulated data whose effects are planted, and on real data.

`python -m tests.evidence.run_ablations [--tiny] [PART...]`; the folder of real data sets is `RFE_REAL_DATA`. Each part
is kept beside the report when it is done, and an interrupted one goes on, so the script can be stopped and run again;
the report is made of the parts there are. Beside it stand tables and figures of `rfe report`; the page itself, under
the scratch folder, stays there: it names the actors of real data. `--tiny` runs everything small, in a place of its
own, to see that it runs.
"""

import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rfe import api
from rfe.ablation.compare import describe_verdicts
from rfe.ablation.result import RESULT_FILE
from rfe.config.reading import write_yaml
from rfe.workspace import Workspace, open_workspace
from rfe.writing import write_bytes, write_text
from tests.evidence.ablation_tables import arms_table, interval_cells
from tests.evidence.simulated import REPORTS, SCRATCH, simulated_set, table

HARD = ["contour", "logmel", "mfcc", "modspec"]
BASE: dict[str, Any] = {
    "model.latent_dim": 64,
    "model.n_kept": 2,
    "model.fusion.kind": "rank_concat",
    "model.dropout": 0.3,
    "loss.presence": "states",
    "train.epochs": 20,
    "train.batch_size": 128,
    "train.lr": 3.0e-3,
    "train.weight_decay": 0.05,
}
"""Fixed beforehand for all data sets: nothing of it was chosen on the reported clips."""
NULL: dict[str, dict[str, Any]] = {
    "null: other seeds": {"train.seed": 20_000, "train.data_seed": 20_000},
    "null: still other seeds": {"train.seed": 30_000, "train.data_seed": 30_000},
    "null: adaptation of no strength": {"adaptation.kind": "coral", "adaptation.strength": 1.0e-9},
}
"""Arms that are the base in all but luck."""
PLANTED = ("standardise by fold", "noise alone", "audio_weak alone", "without the strong ones")
"""On simulated data: actors' offsets are larger than anything an emotion does, one encoder carries nothing, one little,
and the strong ones (with the copy of one of them) carry most. Each is worth .04 or more."""
PARTS_OF_MODEL: dict[str, Any] = {"components": "all", "controls": "all", "leave_one_encoder_out": True}
FULL: dict[str, Any] = {
    **PARTS_OF_MODEL,
    "each_encoder_alone": True,
    "encoders_in_order": "value",
    "encoder_value": True,
}
STRONG = ["video_strong", "audio_strong", "video_copy"]
CURVES: dict[str, Any] = {
    "sweeps": {"model.n_kept": "all", "data.training_actors": "all"},
    "factorial": {"data.standardize": ["fold", "actor"], "adaptation.kind": ["none", "coral", "mmd", "dann"]},
}
RETUNED: dict[str, Any] = {
    "components": ["gate uniform", "no selection", "fusion weighted_sum", "no salience head", "no probability fusion"],
    "custom": {name: NULL[name] for name in list(NULL)[2:]},
    "retune": 20,
}
COST: dict[str, Any] = {
    "components": [
        *("gate uniform", "gate static", "no selection", "kept weights only in the gradient", "fusion weighted_sum"),
        *("fusion rank_embedding", "no salience head", "no presence head", "no probability fusion"),
        *("head fusion geometric", "no presence loss", "no salience loss", "no fused loss", "presence loss bce"),
        *("adaptation coral", "adaptation mmd", "adaptation dann", "standardise by fold", "decoder official"),
        "no dropout",
    ]
}
"""Twenty arms, for the time they take: five minutes at most on two cores with nothing beside."""


@dataclass(frozen=True)
class Part:
    """One ablation."""

    name: str
    data: str
    """`simulated`, or a folder of the real data sets."""
    fields: dict[str, Any]
    base: dict[str, Any] = field(default_factory=dict)


def _real(name: str, folder: str, encoders: list[str] | None, actors: str) -> Part:
    chosen = {} if encoders is None else {"encoders": encoders}
    return Part(name, folder, {**FULL, **chosen, "custom": NULL}, {"data.target_actors": actors})


PARTS = (
    Part(
        "simulated",
        "simulated",
        {**FULL, "leave_groups_out": {"the strong ones": STRONG}, "custom": NULL},
    ),
    Part("simulated-curves", "simulated", {**CURVES, "sweeps_without": {"noise": ["noise"]}}),
    Part("simulated-retuned", "simulated", RETUNED),
    Part("simulated-cost", "simulated", COST),
    _real("hard", "cremad_votes", HARD, "known"),
    Part("hard-curves", "cremad_votes", {**CURVES, "encoders": HARD}, {"data.target_actors": "known"}),
    _real("all", "cremad_votes", None, "known"),
    _real("blemore_hicmae", "blemore_hicmae", None, "unknown"),
    Part("blemore_hicmae-curves", "blemore_hicmae", CURVES, {"data.target_actors": "unknown"}),
)
TINY: dict[str, Any] = {"train.epochs": 1, "model.latent_dim": 4}


def main(arguments: list[str]) -> None:
    tiny = "--tiny" in arguments
    names = [name for name in arguments if name != "--tiny"]
    scratch = SCRATCH / ("ablations-tiny" if tiny else "ablations")
    place = scratch if tiny else REPORTS / "ablations"
    for part in PARTS:
        if names and part.name not in names:
            continue
        data = _data(part, tiny)
        if not data.is_dir():
            print(f"{part.name} is not run: no {data}; set RFE_REAL_DATA to the folder of the real data sets")
            continue
        path = place / "parts" / f"{part.name}.json"
        if not path.exists():
            started = time.monotonic()
            result = _run(part, data, scratch, tiny)
            seconds = time.monotonic() - started
            write_text(path, json.dumps({"seconds": seconds, "result": result}))
            print(f"{part.name}: {seconds:.0f} s", flush=True)
        write_report(place)
    workspace = _workspace(tiny)
    for part in PARTS:
        if (workspace.study(part.name).path / RESULT_FILE).is_file():
            written = api.report([part.name], output=scratch / "reports" / part.name, workspace=workspace)
            for path in (*written.tables, *written.figures):
                if path.suffix in (".csv", ".png") and path.stem != f"{part.name}-actors":
                    write_bytes(place / path.parent.name / path.name, path.read_bytes())
    write_report(place)


def _workspace(tiny: bool) -> Workspace:
    return open_workspace(SCRATCH / ("workspace-tiny" if tiny else "workspace"))


def _data(part: Part, tiny: bool) -> Path:
    if part.data == "simulated":
        size = {"actors": 10, "test_actors": 0, "clips_per_actor": 12} if tiny else {}
        return simulated_set(seed=14, **size)[0].path
    return Path(os.environ.get("RFE_REAL_DATA", "../shared/data")).absolute() / part.data


def _run(part: Part, data: Path, scratch: Path, tiny: bool) -> dict[str, Any]:
    base = {**BASE, **part.base, **(TINY if tiny else {})}
    fields = {**part.fields, **({"retune": 2} if tiny and "retune" in part.fields else {})}
    plan = scratch / f"{part.name}.yaml"
    write_text(plan, write_yaml({"name": part.name, "seeds": 3 if tiny else 5, "base": base, **fields}))
    workspace = _workspace(tiny)
    result = api.ablate(plan, data, workers=1 if tiny else 2, workspace=workspace)
    if result is None:
        raise SystemExit(f"{part.name}: interrupted; the same command goes on with it")
    plain: dict[str, Any] = json.loads((workspace.study(part.name).path / RESULT_FILE).read_text())
    return plain


def write_report(place: Path) -> None:
    """`README.md` of the parts there are."""
    parts = {path.stem: json.loads(path.read_text()) for path in (place / "parts").glob("*.json")}
    settings = ", ".join(f"`{name}: {value}`" for name, value in BASE.items())
    sections = [
        "# What each part is worth",
        "`RFE_REAL_DATA=... python -m tests.evidence.run_ablations`",
        f"The base was fixed beforehand: {settings}; else the defaults. Five seeds that nothing was chosen by. "
        "A row's difference is the arm less the base, in Score, paired by clip and seed, with a 95% interval over "
        "actors and seeds. Verdicts by Holm's correction within a table; `no loss`: the 90% interval lies within .01 "
        "of 0. Rows without a verdict are described pointwise. Null arms are the base with other seeds, or with an "
        "adaptation of no strength: they must not be significant.",
    ]
    for part in PARTS:
        if part.name in parts:
            sections.append(_section(place, part, parts[part.name]))
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    sections.append(f"CPU ({platform.machine()}), two workers of one thread, float32, {versions}.")
    write_text(place / "README.md", "\n\n".join(sections) + "\n")


def _section(place: Path, part: Part, found: dict[str, Any]) -> str:
    result, seconds = found["result"], found["seconds"]
    lines = [f"## {part.name}: {part.data}", *(f"*{caveat}*" for caveat in result["caveats"])]
    lines.append(
        f"{result['clips']} clips of {result['actors']} actors, {result['seeds']} seeds, {seconds / 60:.1f} min. "
        f"Smallest difference that one test would have found four times in five: {result['smallest_detectable']:.3f}."
    )
    lines += result["notes"][1:]
    arms = {row["arm"]: row for row in result["arms"]}
    if part.name == "simulated":
        lines.append(_planted(arms))
    lines.append(describe_verdicts((row["arm"], row["verdict"]) for row in result["arms"]))
    lines += [f"![{path.stem}](figures/{path.name})" for path in _figures(place, part)]
    lines.append(arms_table(result))
    if result["interactions"]:
        rows = [
            [
                " x ".join(" to ".join(map(str, pair)) for pair in one["values"]),
                *interval_cells(one),
                f"{one['p_holm']:.3f}",
            ]
            for one in result["interactions"]
        ]
        lines.append(table(["interaction", "difference", "95% interval", "p (Holm)"], rows))
    if result["encoders"]:
        rows = [
            [
                one["encoder"],
                f"{one['kept_frequency']:.2f}",
                "" if one["mean_weight"] is None else f"{one['mean_weight']:.2f}",
                *interval_cells(one["lost_masked"]),
                *interval_cells(one["lost_permuted"]),
            ]
            for one in result["encoders"]
        ]
        header = ["encoder", "kept", "mean weight", "lost masked", "95% interval", "lost permuted", "95% interval"]
        lines.append(table(header, rows))
    lines += [f"No result: {arm}: {reason}" for arm, reason in result["failed"].items()]
    return "\n\n".join(lines)


def _figures(place: Path, part: Part) -> list[Path]:
    """Arms against the base, curves, and what the gate kept."""
    folder = place / "figures"
    return [
        path
        for kind in ("arms", "sweep-*", "encoders-in-order", "factorial", "gate")
        for path in sorted(folder.glob(f"{part.name}-{kind}.png"))
    ]


def _planted(arms: dict[str, dict[str, Any]]) -> str:
    found = [name for name in PLANTED if arms[name]["verdict"] == "loss"]
    wrong = [name for name in NULL if arms[name]["verdict"] in ("loss", "gain")]
    return (
        f"Planted effects found: {len(found)} of {len(PLANTED)} ({', '.join(PLANTED)}). Null arms called significant: "
        f"{len(wrong)} of {len(NULL)} ({', '.join(NULL)})."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
