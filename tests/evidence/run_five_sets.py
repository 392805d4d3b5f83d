"""The ensemble beside the best single configuration and every baseline, on three real and two simulated sets.

`python -m tests.evidence.run_five_sets [--tiny] [SETTING...]`; the folder of real data sets is `RFE_REAL_DATA`. A part
is a set and a row of its table, kept beside the report when it is done, so the script can be stopped and run again; the
report is made of the parts there are. The searches are `run_real_data`'s, and are taken as they are where they stand in
the workspace. `--tiny` runs everything small on simulated data, in a place of its own, to see that it runs.

The organisers' network is searched like the model, with half the trials: it has its row as a baseline, and its trials
are candidates of the ensemble too.
"""

import platform
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rfe.data.dataset import Dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import Decoding, Truth
from rfe.ensemble.candidates import load_outputs, read_candidates
from rfe.ensemble.prediction import fit_decoder
from rfe.ensemble.selection import Selection, WeightedTrials, select_single
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import Interval, difference_interval, score_interval
from rfe.metrics.score import fold_totals, score
from rfe.progress import SilentProgress
from rfe.reporting.report.answers import read_study_answers
from rfe.study.result import TrialTotals, score_selected
from rfe.task import BLEMORE
from rfe.writing import write_text
from tests.evidence.parts import hits_by_actor, make_part, read_parts, table_of
from tests.evidence.searched_sets import (
    FAST,
    HOURS,
    RIVAL,
    RIVAL_TRIALS,
    SETTINGS,
    SIMULATED,
    TRIALS,
    Place,
    Setting,
)
from tests.evidence.simulated import report_folder, simulated_truth, table

NAME = "five_sets"
SAMPLER = "tpe"
FAMILIES = ("late_fusion", "early_fusion", "logistic_regression", "gradient_boosting", "kernel_ridge")
ROWS = ("concat_mlp", *FAMILIES)
"""Baselines, a part each."""
HISTORY = "organisers' baseline as published (history; thresholds and epoch on the reported fold)"
LABELS = {
    "single": "**best single configuration**",
    "ensemble": "**ensemble**",
}
STATISTICS = {"selected": "hits", "confirmed": "confirmed_hits"}
"""Of a row -> the part's entry: each fold answered by what was chosen without its labels; the best one trained again
with fresh seeds. Every row has both but the ensemble, whose nested answers are of the first kind."""
TARGETS = {"hard": 0.33, "all": 0.55, "blemore_hicmae_known": 0.285, "blemore_hicmae_unknown": 0.24}
"""Score asked of the nested ensemble."""


def main(arguments: list[str]) -> None:
    tiny = "--tiny" in arguments
    names = [one for one in arguments if one != "--tiny"]
    known = (*SETTINGS, *SIMULATED)
    if unknown := set(names) - {one.name for one in known}:
        raise SystemExit(f"unknown set {', '.join(sorted(unknown))}; use {', '.join(one.name for one in known)}")
    chosen = [one for one in known if not names or one.name in names]
    place = Place(tiny)
    if absent := place.absent(chosen):
        print(f"left out: no {', '.join(absent)}; set RFE_REAL_DATA to the folder of the real data sets")
        chosen = [one for one in chosen if str(place.data(one)) not in absent]
    folder = report_folder(NAME, tiny=tiny)
    makers: dict[str, Callable[[Place, Setting], Any]] = {
        "search": _search,
        "rival": Place.search_rival,
        "ensemble": _ensemble,
        "single": _single,
        "concat_mlp": _rival,
        **{family: partial(_baseline, family) for family in FAMILIES},
    }
    for part, make in makers.items():
        for setting in chosen:
            make_part(folder / "parts" / f"{setting.name}-{part}.json", partial(make, place, setting))
            _write_report(tiny)
    print((folder / "README.md").read_text() if chosen else "nothing is run")


def _search(place: Place, setting: Setting) -> dict[str, Any]:
    found = place.search(setting, SAMPLER)
    dataset = place.dataset(setting)
    data = {"caveats": dataset.caveats, "clips": dataset.clips.n_source, "encoders": list(dataset.encoders)}
    return {"data": data, **{name: found[name] for name in ("trials", "confirmed", "score_best", "score_selected")}}


def _ensemble(place: Place, setting: Setting) -> list[dict[str, Any]]:
    dataset = place.dataset(setting)
    folders = [place.workspace.study(place.study(setting, kind)) for kind in (SAMPLER, RIVAL)]
    result = build_ensemble(folders, dataset, Selection(), SilentProgress())
    members = result.ensemble.members
    rivals = sum(one.weight for one in members if one.candidate.config.model.kind == RIVAL)
    about = {"members": len(members), "candidates": result.n_candidates, "weight of concat_mlp": round(rivals, 3)}
    row = _row("ensemble", "crossfit, nested", dataset, result.answers)
    row |= {"about": about, "optimistic": result.in_sample, "test": _test(place, setting, result.ensemble, "states")}
    return [row]


def _single(place: Place, setting: Setting) -> list[dict[str, Any]]:
    dataset = place.dataset(setting)
    record = read_candidates(place.workspace.study(place.study(setting, SAMPLER)))
    confirmed = [one for one in record.candidates if one.confirmed]
    best = select_single(confirmed)
    candidate = best.members[0].candidate
    selected, _ = _selected(place.study(setting, SAMPLER), place, dataset)
    row = _row("single", "crossfit", dataset, selected, read_study_answers(candidate, dataset).predicted)
    about = {"trial": candidate.number, "confirmed": len(confirmed), "seeds": len(candidate.confirmed)}
    return [row | {"about": about, "test": _test(place, setting, best, None)}]


def _rival(place: Place, setting: Setting) -> list[dict[str, Any]]:
    """The organisers' network as searched."""
    dataset = place.dataset(setting)
    name = place.study(setting, RIVAL)
    own, about = _selected(name, place, dataset)
    confirmed = [one for one in read_candidates(place.workspace.study(name)).candidates if one.confirmed]
    again = read_study_answers(select_single(confirmed).members[0].candidate, dataset).predicted if confirmed else None
    return [_row("concat_mlp", "crossfit", dataset, own, again) | {"about": about}]


def _selected(study: str, place: Place, dataset: Dataset) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Answers of a study's `score_selected`: each fold's of the trial that is best on the other folds."""
    clips = dataset.clips
    truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
    trials = read_candidates(place.workspace.study(study), confirmed=False).candidates
    answers = np.stack([read_study_answers(one, dataset).predicted for one in trials])  # [trial, seed, clip]
    hits = fold_totals(BLEMORE, truth, answers, fold, clips.folds)
    each = [hits[number].mean() for number in range(len(trials))]
    chosen = score_selected(TrialTotals.of(range(len(trials)), each)).trials
    own = answers[np.asarray(chosen)[np.searchsorted(clips.folds, fold)], :, np.arange(len(fold))].T
    return own, {"candidates": len(trials), "chosen": sorted({trials[one].number for one in chosen})}


def _baseline(family: str, place: Place, setting: Setting) -> list[dict[str, Any]]:
    dataset = place.dataset(setting)
    rows = []
    for one in place.baselines(setting, (family,)):
        row = _row(one.name, one.protocol, dataset, one.answers, one.confirmed_answers)
        rows.append(row | {"about": {"candidates": one.n_candidates, "chosen": sorted(set(one.chosen))}})
    return rows


def _history(setting: Setting) -> list[str] | None:
    """Cells of the organisers' own protocol on real data, from the part that `run_real_data` keeps; None without it."""
    part = read_parts(report_folder("real_data") / "parts").get(f"{setting.name}-concat_mlp", {"result": []})
    for row in part["result"]:
        if row["protocol"] == "official":
            return [HISTORY, *(f"{row[name]:.3f}" for name in ("score_selected", "acc_presence", "acc_salience")), ""]
    return None


def _row(
    name: str,
    protocol: str,
    dataset: Dataset,
    answers: NDArray[np.int64],
    confirmed: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    clips, source = dataset.clips, slice(dataset.clips.n_source)

    def hits(states: NDArray[np.int64]) -> dict[str, Any]:
        return hits_by_actor(clips.state[source], states, clips.actor[source], clips.fold[source])

    row = {"row": name, "protocol": protocol, "hits": hits(answers)}
    return row if confirmed is None else row | {"confirmed_hits": hits(confirmed)}


def _test(place: Place, setting: Setting, ensemble: WeightedTrials, decoding: Decoding | None) -> float | None:
    """Score on the simulated test actors; None where test clips have no labels."""
    if not setting.simulated:
        return None
    dataset = place.dataset(setting)
    labels = simulated_truth(place.data(setting))["test_labels"]
    answer = np.array([BLEMORE.state_index(labels[str(name)]) for name in dataset.clips.filename[dataset.clips.target]])
    outputs = [load_outputs(one.candidate, dataset) for one in ensemble.members]
    decoder = fit_decoder(ensemble.members, outputs, Truth.of(dataset), decoding)
    return score(BLEMORE, answer, decoder.decode([one.target for one in outputs]).state).score


def _write_report(tiny: bool) -> None:
    """`README.md` of the parts there are."""
    folder = report_folder(NAME, tiny=tiny)
    parts = read_parts(folder / "parts")
    sections = [
        "# The ensemble beside the best single configuration and every baseline",
        f"`RFE_REAL_DATA=... python -m tests.evidence.run_{NAME}`",
        f"`search_spaces/everything.yaml` with {', '.join(f'`{change}`' for change in FAST)}; {TRIALS} trials, at most "
        f"{60 * HOURS[SAMPLER]:.0f} minutes. Score, P(resence) and S(alience) with 95% intervals over actors, and "
        "seeds if there are several. Two statistics, which are compared each with its own. *Selected*: each fold is "
        "answered by the trial, or baseline's candidate (pool, learning rate or C, standardisation, decoder), that is "
        "best on the other folds. *Confirmed*: the best one trained again with fresh seeds, a little optimistic as the "
        "configuration was chosen on these clips. The ensemble's candidates are the "
        f"trials of that search and of one of `search_spaces/{RIVAL}.yaml` with {RIVAL_TRIALS} trials. It is nested: "
        "each fold is answered by one that was ranked, calibrated, chosen and weighted without its labels, of the "
        "models that the searches themselves trained. The difference "
        "is to the crossfit baseline with the highest Score of the same statistic, paired by clip; where its interval "
        "includes 0 it is no difference.",
    ]
    for setting in (*SETTINGS, *SIMULATED):
        mine = {
            name.removeprefix(f"{setting.name}-"): part
            for name, part in parts.items()
            if name.rpartition("-")[0] == setting.name
        }
        if mine:
            sections.append(_section(setting, mine))
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    sections.append(f"CPU ({platform.machine()}), two workers of one thread, float32, {versions}.")
    write_text(folder / "README.md", "\n\n".join(sections) + "\n")


def _section(setting: Setting, parts: dict[str, Any]) -> str:
    title = f"simulated, {setting.folder} shift of the test actors" if setting.simulated else setting.folder
    lines = [f"## {setting.name}: {title}, actors of held-out clips {setting.target_actors}"]
    data = parts["search"]["result"]["data"]
    lines += [f"*{caveat}*" for caveat in data["caveats"]]
    lines.append(f"{data['clips']} training clips; encoders {', '.join(data['encoders'])}.")
    rows = [row for part in (*ROWS, "single", "ensemble") for row in parts.get(part, {"result": []})["result"]]
    honest = [row for row in rows if row["row"] in ROWS]
    strongest = {
        hits: max(
            (row for row in honest if hits in row),
            key=lambda row, hits=hits: score_interval(table_of(row[hits])).estimate,  # type: ignore[misc]
            default=None,
        )
        for hits in STATISTICS.values()
    }
    shown = [
        _cells(setting, row, statistic, strongest[hits])
        for row in rows
        for statistic, hits in STATISTICS.items()
        if hits in row
    ]
    if history := _history(setting):
        shown.insert(0, [history[0], "", *history[1:], "", ""])
    header = ["model", "statistic", "Score", "P", "S", "less the strongest baseline's", "target"]
    if setting.simulated:
        header.append("Score on shifted test actors")
    lines.append(table(header, [cells[: len(header)] for cells in shown]))
    for statistic, hits in STATISTICS.items():
        if (best := strongest[hits]) is not None:
            lines.append(f"Strongest baseline, {statistic}: {best['row']}, of {len(honest)} that were run.")
    for row in rows:
        if row["row"] == "ensemble":
            about = row["about"]
            lines.append(
                f"The ensemble has {about['members']} members of {about['candidates']} candidates, with "
                f"{about['weight of concat_mlp']:.0%} of the weight on concat_mlp's; on the clips it was chosen by it "
                f"scores {row['optimistic']:.3f} (optimistic)."
            )
        elif row["row"] == "single":
            about = row["about"]
            again = f"{about['confirmed']} that were trained again with {about['seeds']} seeds"
            lines.append(f"The single configuration is the best of {again}.")
    times = (f"{name} {part['seconds'] / 60:.1f} min ({part['commit']})" for name, part in parts.items())
    lines.append(f"Wall time, and commit: {', '.join(times)}.")
    return "\n\n".join(lines)


def _cells(setting: Setting, row: dict[str, Any], statistic: str, strongest: dict[str, Any] | None) -> list[str]:
    hits = STATISTICS[statistic]
    own = table_of(row[hits])
    shown = "nested" if row["row"] == "ensemble" else statistic
    cells = [LABELS.get(row["row"], row["row"]), shown, *(_interval(score_interval(own, part)) for part in PARTS)]
    difference = ""
    if strongest is not None and row["row"] != strongest["row"]:
        mean, base = table_of(row[hits], over_seeds=True), table_of(strongest[hits], over_seeds=True)
        found = difference_interval(mean, base)
        low, high = found.bounds()
        difference = _interval(found) + (", no difference" if low <= 0 <= high else "")
    target = ""
    if row["row"] == "ensemble" and setting.name in TARGETS:
        reached = score_interval(own).estimate >= TARGETS[setting.name]
        target = f"{TARGETS[setting.name]:g}: {'reached' if reached else 'not reached'}"
    test = row.get("test") if shown in ("nested", "confirmed") else None
    return [*cells, difference, target, "" if test is None else f"{test:.3f}"]


def _interval(interval: Interval) -> str:
    sign = "+" if interval.paired else ""
    low, high = interval.bounds()
    return f"{interval.estimate:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


if __name__ == "__main__":
    main(sys.argv[1:])
