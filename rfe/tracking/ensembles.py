"""An ensemble as a run on the tracking server: its scores, its members and their runs."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rfe.tracking.figures import trajectory_figure
from rfe.tracking.live import process_tags
from rfe.tracking.presentation import NOTE
from rfe.tracking.run_server import RECORDED, RunServer
from rfe.workspace import Workspace
from rfe.writing import write_bytes

EXPERIMENT = "ensembles"
FIGURE = "trajectory.png"


def draw_trajectory(folder: Path, about: Mapping[str, Any]) -> None:
    """`trajectory.png` beside the ensemble; nothing where there was no forward selection."""
    if about["trajectory"]:
        of = "the set" if about["selection"]["separate_heads"] else "the state"
        write_bytes(folder / FIGURE, trajectory_figure(about["trajectory"], int(about["trajectory_start"]), of))


def log_ensemble(server: RunServer, workspace: Workspace, folder: Path, about: Mapping[str, Any]) -> str:
    """Write one run for the ensemble into the experiment `ensembles`; every call writes another.

    Args:
        server: the tracking server.
        workspace: holds the members' studies.
        folder: the ensemble's, whose files become artifacts.
        about: what `ensemble.json` says.

    Returns:
        The run's id.
    """
    experiment = server.find_experiment(EXPERIMENT)
    runs = {(entry["study"], entry["trial"]): _run_of(workspace, entry) for entry in about["members"]}
    tags = {
        "rfe.ensemble": about["name"],
        # by these it is found where the answer to its making was lost, and ended where this process is killed
        "rfe.study": about["name"],
        RECORDED: str(time.time()),
        **process_tags(),
        "rfe.data_fingerprint": about["data"]["fingerprint"],
        "rfe.simulated": str(about["data"]["simulated"]).lower(),
        **({"rfe.transductive": "true"} if about["selection"].get("decoding") == "design" else {}),
        **{f"rfe.member.{study}.{trial}": run for (study, trial), run in runs.items() if run},
        NOTE: _note(about, runs),
    }
    run = server.create(experiment, f"ensemble {about['name']}", tags, time.time())
    scores = about["scores"]
    metrics = []
    for name, value in scores.items():
        if isinstance(value, Mapping):
            metrics += [(name, value["estimate"], 0), (f"{name}_se", value["standard_error"], 0)]
        else:
            metrics.append((name, value, 0))
    metrics.append(("members", float(len(about["members"])), 0))
    metrics += [("mean_negative_log_likelihood", loss, step) for step, loss in enumerate(about["trajectory"])]
    settings = [(f"selection.{name}", str(value)) for name, value in about["selection"].items()]
    finite = [metric for metric in metrics if metric[1] == metric[1]]
    server.log(run, finite, settings)
    server.upload(run, sorted(path for path in folder.iterdir() if path.is_file()))
    server.set_status(run, "FINISHED")
    return run


def _run_of(workspace: Workspace, entry: Mapping[str, Any]) -> str | None:
    try:
        runs = json.loads(workspace.study(entry["study"]).mlflow_runs.read_text(encoding="utf-8"))
        return str(runs["trial_run_ids"][str(entry["trial"])])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(about: Mapping[str, Any], runs: Mapping[tuple[str, int], str | None]) -> str:
    nested, single = about["scores"]["score_nested"], about["scores"]["score_single_nested"]
    how = " (transductive)" if about["selection"].get("decoding") == "design" else ""
    lines = [*(f"> {caveat}\n" for caveat in about["data"]["caveats"])]
    lines += [
        f"Score, nested{how}: **{nested['estimate']:.3f}** [{nested['low']:.3f}, {nested['high']:.3f}]; best "
        f"single trial, nested: {single['estimate']:.3f}; on the clips it was chosen by (in-sample): "
        f"{about['scores']['score_in_sample']:.3f}.",
        "",
        "| member | weight | run |",
        "|---|---|---|",
    ]
    for entry in about["members"]:
        run = runs[entry["study"], entry["trial"]]
        lines.append(f"| {entry['study']}, trial {entry['trial']} | {entry['weight']:.3f} | {run or ''} |")
    return "\n".join(lines)
