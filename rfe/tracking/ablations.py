"""Writes an ablation's comparison to the runs of its arms and its study on the tracking server."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rfe.formatting import SIGNED, format_bounds, format_value
from rfe.journal.events import finite
from rfe.tracking.presentation import NOTE, VIEW_TAG, Metric, arm_table, readable, short
from rfe.tracking.run_server import RunServer
from rfe.workspace import StudyFolder

TABLE_HEADING = "Arms against the base:"


def log_ablation(
    server: RunServer,
    folder: StudyFolder,
    about: Mapping[str, Any],
    trials: Mapping[str, Sequence[int]],
    files: Sequence[Path],
) -> None:
    """Put differences on the arms' runs, where a table can sort by them, and the table on the study's run.

    Args:
        server: the tracking server, which has the study's runs.
        folder: of the study.
        about: what `AblationResult.to_dict` says.
        trials: arm -> its trials; a trial that several arms share shows the first of them.
        files: attached to the study's run.

    Raises:
        OSError: the study's runs are not known here.
    """
    known = json.loads(folder.mlflow_runs.read_text(encoding="utf-8"))
    shown: set[int] = set()
    for row in about["arms"]:
        tags = {"rfe.family": row["family"], "rfe.verdict": row["verdict"], "rfe.curve": row["curve"]}
        for number in trials.get(row["arm"], ()):
            run = known["trial_run_ids"].get(str(number))
            if run is None or number in shown:
                continue
            shown.add(number)
            server.log(run, _metrics(row), tags={name: value for name, value in tags.items() if value})
    parent = known["study_run_id"]
    note = server.tags(parent).get(NOTE, "").split(TABLE_HEADING)[0].rstrip()
    server.log(
        parent,
        [(name, short(v), 0) for name, v in finite({"smallest_detectable": about["smallest_detectable"]}).items()],
        tags={"rfe.ablation": "true", NOTE: readable(f"{note}\n\n{TABLE_HEADING}\n\n{_table(about['arms'])}")},
    )
    server.upload(parent, files)
    server.tag_experiment(known["experiment_id"], VIEW_TAG, arm_table())


def _metrics(row: Mapping[str, Any]) -> list[Metric]:
    one = row["difference"]
    if one is None:
        return []
    values = {
        "difference": one["estimate"],
        "difference_se": one["standard_error"],
        "difference_lower_95": one["low"],
        "difference_upper_95": one["high"],
        "p": one["p_value"],
        "p_holm": row["p_holm"],
        "probability_better": one["probability_better"],
        "difference_presence": row["difference_presence"]["estimate"],
        "difference_salience": row["difference_salience"]["estimate"],
    }
    known = {name: value for name, value in values.items() if value is not None}
    return [(name, short(value), 0) for name, value in finite(known).items()]


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| arm | Score | difference | 95% interval | p (Holm) | verdict |", "|---|---|---|---|---|---|"]
    for row in rows:
        one, arm = row["difference"], row["arm"].replace("|", "\\|")
        if one is None:
            lines.append(f"| {arm} | {row['score']['estimate']:.3f} | | | | |")
            continue
        difference, bounds = format_value(one["estimate"], SIGNED), format_bounds(one["low"], one["high"], SIGNED)
        p, verdict = format_value(row["p_holm"], ".3f"), row["verdict"]
        lines.append(f"| {arm} | {row['score']['estimate']:.3f} | {difference} | {bounds} | {p} | {verdict} |")
    return "\n".join(lines)
