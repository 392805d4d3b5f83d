"""Does the gate see which encoder is reliable for a clip?

`python -m tests.evidence.run_gate_reliability [--tiny] [planted] [SETTING...]`; the folder of real data sets is
`RFE_REAL_DATA`. `planted`: rank correlation of gate scores with what was simulated. A setting of `searched_sets`: the
Score with the features of a random part of each encoder's clips swapped for those of another clip of the same actor
(`rfe.data.corruption`), against an oracle for which the same features are masked. Where nothing is named: `planted`,
`all` and `simulated_mild`. Each part (an arm at a share of a setting) is kept beside the report when it is done, so the
script can be stopped and run again. `--tiny` runs everything small, in a place of its own, to see that it runs.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from rfe.ablation.components import COMPONENTS, CONTROLS
from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.corruption import CorruptionSpec, Mode, corrupt
from rfe.data.dataset import Dataset, load_dataset
from rfe.metrics.intervals import Interval, difference_interval, score_interval
from rfe.training.configurations import train_configurations
from tests.evidence.parts import hits_by_actor, make_part, read_parts, table_of
from tests.evidence.run_model_parts import PLAN, TINY
from tests.evidence.searched_sets import SETTINGS, SIMULATED, Place, Setting
from tests.evidence.simulated import SCRATCH, report_folder, simulated_set, table, write_report

NAME = "gate_reliability"
PLANTED = "planted"
CHOSEN = (PLANTED, "all", "simulated_mild")
GATES = ("attention", "static", "shuffled")
SEEDS = 5
SHARES = (0.0, 0.1, 0.3, 0.5)
RIDGE, BY_CLIP = "kernel ridge", "kernel ridges, weighted by clip"
ARMS: dict[str, dict[str, Any]] = {
    "attention": {},
    "gate of predictions": COMPONENTS["gate sees predictions"],
    "uniform": COMPONENTS["gate uniform"],
    "static": COMPONENTS["gate static"],
    "shuffled": CONTROLS["gate shuffled"],
    "concat_mlp": CONTROLS["concat_mlp"],
    "early fusion": CONTROLS["early fusion of all features"],
    RIDGE: {"model.kind": "kernel", "model.kernel.kind": "laplace"},
    "kernel ridges, fixed weights": {"model.kind": "gated_kernel", "model.gated_kernel.gate": "fixed"},
    BY_CLIP: {"model.kind": "gated_kernel"},
}
"""The base is that of the plan `model_parts`, fixed beforehand; kernels are Laplace's with the default bandwidth."""
LEAST_GAP = 0.005
"""Of Score between `uniform` and the oracle, of which a share is told."""
ORACLE = "oracle"
"""`attention` with the swapped features masked: it is told which are wrong."""


def main(arguments: list[str]) -> None:
    tiny = "--tiny" in arguments
    settings = {one.name: one for one in (*SETTINGS, *SIMULATED)}
    names = [one for one in arguments if one != "--tiny"] or list(CHOSEN)
    if unknown := set(names) - {PLANTED, *settings}:
        raise SystemExit(f"unknown {', '.join(sorted(unknown))}; use {', '.join((PLANTED, *settings))}")
    place, parts = Place(tiny), report_folder(NAME, tiny=tiny) / "parts"
    if PLANTED in names:
        make_part(parts / f"{PLANTED}.json", partial(_planted, tiny))
        _write_report(tiny)
    for setting in (settings[name] for name in names if name != PLANTED):
        if absent := place.absent([setting]):
            print(f"left out: no {', '.join(absent)}; set RFE_REAL_DATA to the folder of the real data sets")
            continue
        for share in SHARES:
            for arm in (*ARMS, *([ORACLE] if share else [])):
                make_part(parts / f"{setting.name}-{share:g}-{arm}.json", partial(_arm, setting, share, arm, place))
            _write_report(tiny)
    print((parts.parent / "README.md").read_text() if parts.is_dir() else "nothing is run")


def _arm(setting: Setting, share: float, arm: str, place: Place) -> dict[str, Any]:
    """Hits by actor of one arm on a setting with a share of each encoder's clips wrong."""
    dataset = _corrupted(setting, share, "mask" if arm == ORACLE else "swap", place)
    base = {**PLAN["base"], **PLAN["fixed"], "train.seeds": 2 if place.tiny else SEEDS, **(TINY if place.tiny else {})}
    config = change_config(Config(), {**base, "data.target_actors": setting.target_actors, **ARMS.get(arm, {})})
    cache = FeatureCache(dataset, place.workspace.cache)
    (result,) = train_configurations([config], dataset, cache, threads=1, keep_weights=False)
    if result.state != "complete":
        raise SystemExit(f"{setting.name}, {share:g}, {arm}: {result.state}: {result.reason}")
    clips, source = dataset.clips, slice(dataset.clips.n_source)
    hits = hits_by_actor(clips.state[source], result.predicted_state, clips.actor[source], clips.fold[source])
    return hits | {"caveats": list(dataset.caveats)}


def _corrupted(setting: Setting, share: float, mode: Mode, place: Place) -> Dataset:
    """The setting's data with a share of features wrong, made once; equal seeds alter equal clips in both modes."""
    if not share:
        return place.dataset(setting)
    folder = SCRATCH / "data" / f"{place.data(setting).name}-{mode}-{share:g}{'-tiny' if place.tiny else ''}"
    if not folder.is_dir():
        corrupt(place.data(setting), folder, CorruptionSpec(share, seed=7, mode=mode, within="actor"))
    return load_dataset(Path(folder), None if place.tiny else setting.encoders)


def _planted(tiny: bool) -> dict[str, Any]:
    """Rank correlations within each encoder, and scores."""
    size = {"actors": 10, "test_actors": 0, "clips_per_actor": 12} if tiny else {}
    dataset, cache, truth = simulated_set(seed=11, **size)
    clips, seeds = dataset.clips, 2 if tiny else SEEDS
    fixed = {
        "model.n_kept": 2,
        "train.seeds": seeds,
        "train.epochs": 1 if tiny else 30,
        "train.batch_size": 128,
        "train.weight_decay": 0.1,
        "model.dropout": 0.5,
        "loss.presence": "states",
    }
    configs = [change_config(Config(), {**fixed, "model.gate.kind": gate}) for gate in GATES]
    results = dict(zip(GATES, train_configurations(configs, dataset, cache, threads=1), strict=True))
    fold = clips.fold[: clips.n_source]
    rows = []
    for index, name in enumerate(dataset.encoders):
        planted = np.asarray(truth["clips"]["reliability"][name])[: clips.n_source]
        row = [name, truth["encoders"][name]["kind"]]
        for gate in GATES:
            scores = results[gate].gate_scores.astype(np.float64)
            if gate == "shuffled":  # what the fusion used: another clip's scores
                generator = np.random.default_rng(0)
                scores = scores.copy()
                for k in clips.folds:
                    scores[:, fold == k] = scores[:, generator.permutation(np.flatnonzero(fold == k))]
            each = [
                _correlation(scores[s, fold == k, index], planted[fold == k]) for s in range(seeds) for k in clips.folds
            ]
            row.append(f"{np.mean(each):+.3f} ({np.std(each):.3f})")
        rows.append([*row, f"{results['attention'].kept_frequency[name]:.2f}"])
    return {"rows": rows, "scores": {gate: one.score for gate, one in results.items()}, "seeds": seeds}


def _correlation(score: np.ndarray, planted: np.ndarray) -> float:
    """0 where either side is constant: no order, no correlation."""
    if np.ptp(score) == 0 or np.ptp(planted) == 0:
        return 0.0
    return float(spearmanr(score, planted).statistic)


def _write_report(tiny: bool) -> None:
    parts = {name: one["result"] for name, one in read_parts(report_folder(NAME, tiny=tiny) / "parts").items()}
    sections = [_planted_section(parts[PLANTED])] if PLANTED in parts else []
    sections += [_curve_section(one, parts) for one in (*SETTINGS, *SIMULATED) if f"{one.name}-0-attention" in parts]
    write_report(
        NAME,
        "Does the gate see which encoder is reliable for a clip?",
        "\n\n".join(sections),
        tiny=tiny,
        data="Five seeds.",
    )


def _planted_section(found: dict[str, Any]) -> str:
    return f"""## Gate scores and planted reliability

Within each encoder: Spearman's rank correlation over held-out clips between the gate's score and the planted
reliability rho, mean (sd) over {found["seeds"]} seeds x 5 folds, computed within a fold. A static gate cannot depend on
the clip; a shuffled gate uses another clip's scores. The last column is how often the attention gate kept the encoder
(two of six are kept). A noise encoder has rho = 0 for every clip, so no correlation is defined.

{table(["encoder", "kind", *GATES, "kept"], found["rows"])}

Crossfit score, mean of the seeds: {", ".join(f"{gate} {score:.3f}" for gate, score in found["scores"].items())}."""


def _curve_section(setting: Setting, parts: dict[str, Any]) -> str:
    """Scores by share, paired differences from `attention`, and how much of the way to the oracle it went."""
    hits = {(share, arm): parts.get(f"{setting.name}-{share:g}-{arm}") for share in SHARES for arm in (*ARMS, ORACLE)}
    tables = {key: table_of(one) for key, one in hits.items() if one is not None}
    shares = [share for share in SHARES if any(of == share for of, _ in tables)]

    def less(share: float, arm: str, than: str) -> str:
        if (share, arm) not in tables or (share, than) not in tables:
            return ""
        return _cell(difference_interval(tables[share, arm], tables[share, than]))

    header = ["arm", *(f"{share:.0%} swapped" for share in shares)]
    scores = [
        [arm, *(_cell(score_interval(tables[share, arm])) if (share, arm) in tables else "" for share in shares)]
        for arm in (*ARMS, ORACLE)
    ]
    differences = {
        than: [[arm, *(less(share, arm, than) for share in shares)] for arm in (*ARMS, ORACLE) if arm != than]
        for than in ("attention", BY_CLIP)
    }
    closed = []
    for share in shares:
        known = {arm: tables[share, arm].estimates["score"] for arm in (*ARMS, ORACLE) if (share, arm) in tables}
        gap = known.get(ORACLE, 0.0) - known.get("uniform", np.inf)
        if gap > LEAST_GAP:
            gates = [arm for arm in ("attention", "gate of predictions", RIDGE, BY_CLIP) if arm in known]
            told = ", ".join(f"{arm} {(known[arm] - known['uniform']) / gap:.0%}" for arm in gates)
            closed.append(f"{share:.0%} swapped: {gap:+.3f}, of which {told}")
    lines = [
        f"## {setting.name}: features swapped within the actor",
        *(f"*{caveat}*" for caveat in parts[f"{setting.name}-{shares[0]:g}-attention"]["caveats"]),
        "Score with 95% intervals over actors and seeds. The oracle is `attention` with the swapped features masked.",
        table(header, scores),
        "Less `attention`, paired by clip and seed:",
        table(header, differences["attention"]),
        f"Less `{BY_CLIP}`:",
        table(header, differences[BY_CLIP]),
    ]
    return "\n\n".join([*lines, *([f"From uniform to the oracle: {'; '.join(closed)}."] if closed else [])])


def _cell(one: Interval) -> str:
    sign = "+" if one.paired else ""
    low, high = one.bounds()
    return f"{one.estimate:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


if __name__ == "__main__":
    main(sys.argv[1:])
