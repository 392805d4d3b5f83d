"""What an ablation's comparison adds to its runs."""

import json
from pathlib import Path
from typing import Any

from rfe.journal.events import OutcomeLog
from rfe.journal.journal import Journal
from rfe.tracking.ablations import log_ablation
from rfe.tracking.presentation import NOTE, VIEW_TAG
from rfe.tracking.run_writer import RunWriter
from rfe.writing import write_text
from tests.unit.tracking.logs import study_folder, study_log, trial_log
from tests.unit.tracking.test_run_writer import MemoryServer


class Server(MemoryServer):
    """Also remembers the view of the experiment."""

    view = ""

    def tag_experiment(self, experiment_id: str, name: str, value: str) -> None:
        assert name == VIEW_TAG
        self.view = value


def interval(estimate: float) -> dict[str, Any]:
    return {
        "estimate": estimate,
        "standard_error": 0.01,
        "low": estimate - 0.02,
        "high": estimate + 0.02,
        "p_value": 0.01,
        "probability_better": 0.1,
    }


def row(arm: str, family: str, difference: float | None) -> dict[str, Any]:
    found = None if difference is None else interval(difference)
    return {
        "arm": arm,
        "family": family,
        "verdict": "base" if found is None else "loss",
        "curve": "",
        "score": interval(0.3),
        "difference": found,
        "difference_presence": found,
        "difference_salience": found,
        "p_holm": None if found is None else 0.03,
    }


def test_arms_are_named_grouped_and_can_be_sorted_by_their_difference(tmp_path: Path) -> None:
    folder, server = study_folder(tmp_path), Server()
    writer = RunWriter(server, folder, keep_top=0, shown_uri="memory")
    writer.open(study_log())
    with Journal(folder, keep_top=0) as journal:
        for number, arm in enumerate(("base", "gate uniform", "fusion a|b (fold 1)")):
            writer.write_trial(journal.record_trial(trial_log(number, tags={"arm": arm})))
    writer.end(OutcomeLog("s", "finished", "All arms."))
    about = {
        "smallest_detectable": 0.021,
        "arms": [
            row("base", "base", None),
            row("gate uniform", "component", -0.05),
            row("fusion a|b", "component", -0.01),
            row("n_kept 3", "sweep", 0.0),
        ],
    }
    table = folder.path / "ablation.csv"
    write_text(table, "arm\n")
    trials = {"base": (0,), "gate uniform": (1,), "fusion a|b": (2, 9), "n_kept 3": (0,)}
    for _ in range(2):  # the second time changes nothing
        log_ablation(server, folder, about, trials, [table, folder.path / "absent.json"])  # type: ignore[arg-type]
    runs = {run["name"]: run for run in server.runs.values()}
    assert set(runs) == {"study s", "base", "gate uniform", "fusion a|b (fold 1)"}
    uniform = runs["gate uniform"]
    assert (uniform["tags"]["rfe.arm"], uniform["tags"]["rfe.family"]) == ("gate uniform", "component")
    assert uniform["metrics"]["difference"] == -0.05
    assert uniform["metrics"]["difference_lower_95"] == -0.07
    assert uniform["metrics"]["p_holm"] == 0.03
    assert runs["fusion a|b (fold 1)"]["metrics"]["difference"] == -0.01
    assert runs["base"]["tags"]["rfe.family"] == "base"  # not of the point of a curve that is the base, too
    assert "difference" not in runs["base"]["metrics"]
    parent = runs["study s"]
    assert "ablation.csv" in parent["files"]
    assert parent["metrics"]["smallest_detectable"] == 0.021
    assert parent["tags"][NOTE].count("| gate uniform | 0.300 | -0.050 |") == 1
    assert "All arms." in parent["tags"][NOTE]
    assert json.loads(json.loads(server.view)["state"])["orderByKey"] == "metrics.`difference`"
