"""A search of everything on each real data set, beside random search and every baseline.

`python -m tests.evidence.run_real_data [SETTING...]`; the folder of data sets is `RFE_REAL_DATA`. Each part is kept
beside the report when it is done, so the script can be stopped and run again; the report is made of the parts there
are. Remove a part to have it made again.
"""

import platform
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from rfe.writing import write_text
from tests.evidence.parts import make_part, read_parts
from tests.evidence.searched_sets import FAST, HOURS, SETTINGS, TRIALS, Place, Setting
from tests.evidence.simulated import REPORTS, table

PARTS = REPORTS / "real_data" / "parts"
PLACE = Place()
QUICK_FAMILIES = ("single_encoder", "late_fusion", "mean_fusion", "logistic_regression")
SLOW_FAMILIES = ("concat_mlp", "concat_mlp_official")


def main(names: list[str]) -> None:
    chosen = [setting for setting in SETTINGS if not names or setting.name in names]
    if absent := PLACE.absent(chosen):
        print(f"nothing is run: no {', '.join(absent)}; set RFE_REAL_DATA to the folder of the real data sets")
        return
    parts: list[tuple[str, Callable[[Setting], Any]]] = [
        ("tpe", lambda setting: PLACE.search(setting, "tpe")),
        (QUICK_FAMILIES[0], lambda setting: _baselines(setting, QUICK_FAMILIES)),
        ("random", lambda setting: PLACE.search(setting, "random")),
        (SLOW_FAMILIES[0], lambda setting: _baselines(setting, SLOW_FAMILIES)),
    ]
    for part, make in parts:
        for setting in chosen:
            make_part(PARTS / f"{setting.name}-{part}.json", partial(make, setting))
            write_report()


def _baselines(setting: Setting, families: tuple[str, ...]) -> list[dict[str, Any]]:
    return [row.to_dict() for row in PLACE.baselines(setting, families)]


def write_report() -> None:
    """`reports/evidence/real_data/README.md` of the parts there are."""
    parts = read_parts(PARTS)
    sections = [
        "# A search on real data, beside every baseline",
        "`RFE_REAL_DATA=... python -m tests.evidence.run_real_data`",
        f"`search_spaces/everything.yaml` with {', '.join(f'`{change}`' for change in FAST)}; {TRIALS} trials, at most "
        f"{60 * HOURS['tpe']:.0f} minutes, two workers of one thread each. Random search has the same space and number "
        "of trials, without confirmation. Every number but those marked optimistic was chosen without the labels of "
        "the fold it is counted on. Each baseline "
        "has candidates (learning rate or C, standardisation, decoder) and is chosen by the study's own rule "
        "(`selected`). Differences below .02 on one data set are not evidence.",
    ]
    for setting in SETTINGS:
        mine = {name: part for name, part in parts.items() if name.startswith(f"{setting.name}-")}
        if mine:
            sections.append(_section(setting, mine))
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    sections.append(f"CPU ({platform.machine()}), two cores shared with other work, float32, {versions}.")
    write_text(REPORTS / "real_data" / "README.md", "\n\n".join(sections) + "\n")


def _section(setting: Setting, parts: dict[str, Any]) -> str:
    dataset = PLACE.dataset(setting)
    allowed = "known" if dataset.clips.target_has_actors else "unknown"
    lines = [f"## {setting.folder}: {setting.name}, actors of held-out clips {setting.target_actors}"]
    lines += [f"*{caveat}*" for caveat in dataset.caveats]
    lines.append(
        f"{dataset.clips.n_source} training clips; encoders {', '.join(dataset.encoders)}. The target "
        f"{'has' if allowed == 'known' else 'has no'} actor ids, so it allows `{allowed}`"
        + (
            "."
            if allowed == setting.target_actors
            else f": the table with `{setting.target_actors}` is for comparison."
        )
    )
    rows: list[list[str]] = []
    for sampler in ("tpe", "random"):
        part = parts.get(f"{setting.name}-{sampler}")
        if part is not None:
            rows += _study_rows(sampler, part)
    for families in (QUICK_FAMILIES, SLOW_FAMILIES):
        for row in parts.get(f"{setting.name}-{families[0]}", {"result": []})["result"]:
            official = row["protocol"] == "official"
            kind = "best (optimistic: thresholds and epoch on the reported fold)" if official else "selected"
            rows.append([row["baseline"], row["protocol"], kind, *_numbers(row), str(row["candidates"])])
            if row.get("score_confirmed") is not None:
                again = f"{row['score_confirmed']:.3f}"
                rows.append([row["baseline"], row["protocol"], "best confirmed, fresh seeds", again, "", "", ""])
    lines.append(table(["model", "protocol", "which", "Score", "P", "S", "trials"], rows))
    lines.append(
        "Wall time, and commit: "
        + ", ".join(
            f"{name.removeprefix(f'{setting.name}-')} {part['seconds'] / 60:.1f} min ({part['commit']})"
            for name, part in sorted(parts.items())
        )
        + ". (single_encoder: with the other quick baselines.)"
    )
    return "\n\n".join(lines)


def _study_rows(sampler: str, part: dict[str, Any]) -> list[list[str]]:
    result = part["result"]
    name = f"rfe search, {sampler}"
    trials = str(result["trials"]["complete"])
    rows = [
        [f"**{name}**", "crossfit", "**selected**", *_numbers(result["score_selected"], "score"), trials],
        [name, "crossfit", "best (optimistic)", *_numbers(result["score_best"], "score"), trials],
    ]
    if result["confirmed"]:
        best = result["confirmed"][0]
        n_confirmed, n_seeds = len(result["confirmed"]), len(best["seeds"])
        which = f"best of {n_confirmed} confirmed, mean of {n_seeds} fresh seeds (sd {best['sd']:.3f})"
        rows.append([name, "crossfit", which, f"{best['mean']:.3f}", "", "", ""])
    return rows


def _numbers(row: dict[str, Any], score: str = "score_selected") -> list[str]:
    return [f"{row[name]:.3f}" for name in (score, "acc_presence", "acc_salience")]


if __name__ == "__main__":
    main(sys.argv[1:])
