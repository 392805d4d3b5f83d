"""Comparisons of hand-made hit tables."""

import numpy as np
import pytest

from rfe.ablation.arms import Arm
from rfe.ablation.compare import (
    adjust,
    compare_arms,
    describe_verdicts,
    interactions,
    judge,
    row_dict,
    smallest_detectable,
)
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import InfluenceTable, Interval, difference_interval

N_ACTORS, N_FOLDS, N_SEEDS, CLIPS = 20, 5, 5, 10
ACTOR = np.repeat(np.arange(N_ACTORS), CLIPS)


def table(rate: float, seed: int = 0) -> InfluenceTable:
    """Hits with common clips: an arm of a higher rate hits all that one of a lower rate does."""
    rng = np.random.default_rng(seed)
    hits = (rng.random((N_SEEDS, len(ACTOR))) < rate).astype(float)
    each = [InfluenceTable.of_hits(part, hits, ACTOR, ACTOR % N_FOLDS) for part in PARTS]
    estimates = {part: value for one in each for part, value in one.estimates.items()}
    influences = {part: value for one in each for part, value in one.influences.items()}
    return InfluenceTable(estimates, influences, ACTOR, ACTOR % N_FOLDS)


ARMS = (
    Arm("base", "base"),
    Arm("worse", "component"),
    Arm("better", "component"),
    Arm("same", "control"),
    Arm("other luck", "custom"),
    Arm("without a", "encoder"),
    Arm("n_kept 1", "sweep", curve="n_kept", value=1),
    Arm("first 1: a", "order", curve="encoders in order", value=1),
)
TABLES = {
    "base": table(0.5),
    "worse": table(0.3),
    "better": table(0.7),
    "same": table(0.5),
    "other luck": table(0.5, seed=1),
    "without a": table(0.45),
    "n_kept 1": table(0.2),
    "first 1: a": table(0.2),
}


def test_verdicts() -> None:
    verdicts = {row.arm.name: row.verdict for row in compare_arms(TABLES, ARMS)}
    assert verdicts == {
        "base": "base",
        "worse": "loss",
        "better": "gain",
        "same": "no loss",
        "other luck": "undecided",
        "without a": "loss",
        "n_kept 1": "",
        "first 1: a": "",
    }


def test_differences_are_those_of_the_hits() -> None:
    rows = {row.arm.name: row for row in compare_arms(TABLES, ARMS)}
    for name in ("worse", "better", "n_kept 1"):
        difference = rows[name].difference
        assert difference is not None
        assert difference.estimate == pytest.approx(TABLES[name].estimates["score"] - TABLES["base"].estimates["score"])
        assert difference.probability_better == pytest.approx(float(name == "better"), abs=1e-4)


def test_holm_is_over_the_tested_arms_only() -> None:
    rows = {row.arm.name: row for row in compare_arms(TABLES, ARMS)}
    tested = ["worse", "better", "same", "other luck", "without a"]
    p = sorted(rows[name].difference.p_value for name in tested)  # type: ignore[union-attr, type-var]
    adjusted = sorted(rows[name].p_holm for name in tested)  # type: ignore[type-var]
    assert adjusted[0] == pytest.approx(5 * p[0])  # type: ignore[operator]
    assert rows["n_kept 1"].p_holm is None
    fewer = {row.arm.name: row for row in compare_arms(TABLES, ARMS[:2])}
    assert fewer["worse"].p_holm == fewer["worse"].difference.p_value  # type: ignore[union-attr]


def test_holm_steps_down_and_leaves_out_what_was_not_tested() -> None:
    assert adjust([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert adjust([0.5, None, 0.6, float("nan")]) == [1.0, None, 1.0, None]
    assert adjust([]) == []


def interval(estimate: float, error: float) -> Interval:
    return Interval(estimate, error, 20.0, True, 5, 20)


def test_no_loss_needs_the_whole_interval() -> None:
    assert judge(interval(0.0, 0.004), 0.9) == "no loss"  # 90%: +-.007
    assert judge(interval(0.0, 0.007), 0.9) == "undecided"  # 90%: +-.012
    assert judge(interval(0.006, 0.004), 0.9) == "undecided"  # reaches .013
    assert judge(interval(-0.05, 0.004), 0.01) == "loss"
    assert judge(interval(-0.05, 0.004), None) == ""


def test_the_smallest_detectable_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(3)
    one = interval(0.0, 0.01)
    drawn = one.smallest_detectable + 0.01 * rng.standard_normal(4000)
    reach = one.bounds()[1]
    assert np.mean(np.abs(drawn) > reach) == pytest.approx(0.8, abs=0.04)
    rows = compare_arms(TABLES, ARMS)
    assert smallest_detectable(rows) > 0
    assert row_dict(rows[1])["difference"]["smallest_detectable"] > 0


def test_an_interaction_is_a_difference_of_differences() -> None:
    cells = {("fold", "none"): 0.3, ("fold", "coral"): 0.5, ("actor", "none"): 0.6, ("actor", "coral"): 0.6}
    arms = [Arm("base", "base"), *(Arm(" ".join(cell), "factorial", cell=cell) for cell in cells)]
    tables = {" ".join(cell): table(rate) for cell, rate in cells.items()}
    [found] = interactions(tables, arms, ("data.standardize", "adaptation.kind"))
    means = {cell: tables[" ".join(cell)].estimates["score"] for cell in cells}
    gain = (means["actor", "coral"] - means["actor", "none"]) - (means["fold", "coral"] - means["fold", "none"])
    assert found.interval.estimate == pytest.approx(gain)
    assert found.values == (("fold", "actor"), ("none", "coral"))
    assert found.p_holm == found.interval.p_value
    del tables["actor coral"]
    assert interactions(tables, arms, ("data.standardize", "adaptation.kind")) == ()


def test_an_arm_without_a_table_has_no_row() -> None:
    rows = compare_arms({"base": TABLES["base"], "worse": TABLES["worse"]}, ARMS)
    assert [row.arm.name for row in rows] == ["base", "worse"]
    assert rows[1].difference == difference_interval(TABLES["worse"], TABLES["base"])


def test_a_sentence_says_what_helped_and_keeps_names_as_they_are() -> None:
    found = [
        ("base", "base"),
        ("without WavLM", "loss"),
        ("A", "undecided"),
        ("no dropout", "no loss"),
        ("n_kept 1", ""),
    ]
    said = describe_verdicts(found)  # type: ignore[arg-type]
    assert said == "Worse than the base: without WavLM; no loss: no dropout; undecided: 1 arm."
    assert describe_verdicts([("base", "base")]) == "No arm was tested."
