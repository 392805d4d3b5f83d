"""Importance and bounds on planted responses."""

from dataclasses import replace

import numpy as np
import pytest

from rfe.errors import StudyError
from rfe.search_space import load_space
from rfe.study import StudyDefinition, TrialRow, define_study
from rfe.study.bounds import find_bound_hits
from rfe.study.importance import MOST_FOR_FANOVA, Point, _spread_evenly, measure_importance, scored_points

SPACE = {
    "study": "s",
    "space": {
        "pool": {"subset": "all"},
        "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
        "model.dropout": {"float": [0.0, 0.5]},
        "model.n_kept": {"int": [1, 3]},
        "adaptation.kind": {"choice": ["none", "coral"]},
        "adaptation.strength": {"float": [0.01, 1.0], "when": {"adaptation.kind": ["coral"]}},
    },
}


@pytest.fixture
def definition() -> StudyDefinition:
    return define_study(load_space(SPACE), ("a", "b", "c"), seed=0, fingerprint="f")


def _rows(n: int) -> list[TrialRow]:
    stream = np.random.default_rng(0)
    return [
        TrialRow(
            number,
            "complete",
            {
                "pool.a": True,
                "pool.b": bool(stream.random() < 0.5),
                "pool.c": bool(stream.random() < 0.5),
                "train.lr": float(10 ** stream.uniform(-4, -2)),
                "model.dropout": float(stream.uniform(0, 0.5)),
                "model.n_kept": int(stream.integers(1, 4)),
                "adaptation.kind": str(stream.choice(["none", "coral"])),
                "adaptation.strength": float(stream.uniform(0.01, 1)),
            },
            (0.0,),
            {},
        )
        for number in range(n)
    ]


def _by(rows: list[TrialRow], name: str) -> dict[int, float]:
    return {row.number: float(np.log(float(row.params[name] or 0))) for row in rows}


def test_of_many_trials_fanova_sees_some_spread_evenly(definition: StudyDefinition) -> None:
    """Its time grows with their square: it took most of a report's minutes for 2,000 trials."""
    rows = _rows(MOST_FOR_FANOVA + 150)
    points = scored_points(definition, rows, _by(rows, "train.lr"))
    ped, fanova = measure_importance(definition, points)
    assert (ped.n_trials, fanova.n_trials) == (len(points), MOST_FOR_FANOVA)
    assert next(iter(fanova.shares)) == "train.lr"
    some = _spread_evenly(points, 100)
    gaps = np.diff([point.number for point in some])
    assert (some[0].number, some[-1].number, len(some)) == (0, len(points) - 1, 100)
    assert max(gaps) - min(gaps) <= 1
    assert _spread_evenly(points, len(points)) is points


def test_both_evaluators_name_the_parameter_that_made_the_score(definition: StudyDefinition) -> None:
    rows = _rows(60)
    both = measure_importance(definition, scored_points(definition, rows, _by(rows, "train.lr")))
    assert [one.evaluator for one in both] == ["PED-ANOVA", "fANOVA"]
    for one in both:
        assert next(iter(one.shares)) == "train.lr"
        assert sum(one.shares.values()) == pytest.approx(1)
        assert "adaptation.strength" in one.shares


def test_points_hold_what_counts(definition: StudyDefinition) -> None:
    rows = _rows(30)
    for row, point in zip(rows, scored_points(definition, rows, dict.fromkeys(range(30), 0.1)), strict=True):
        pool = sum(bool(row.params[f"pool.{name}"]) for name in "abc")
        assert ("adaptation.strength" in point.counted) == (row.params["adaptation.kind"] == "coral")
        assert point.counted["model.n_kept"] == min(int(row.params["model.n_kept"] or 0), pool)
        assert point.drawn == row.params
    assert len(scored_points(definition, rows, {3: 0.1, 4: float("nan")})) == 1


def test_too_little_to_tell_is_said(definition: StudyDefinition) -> None:
    rows = _rows(12)
    with pytest.raises(StudyError, match="9 different scored trials"):
        measure_importance(definition, scored_points(definition, rows[:9], _by(rows, "train.lr")))
    with pytest.raises(StudyError, match="the same score"):
        measure_importance(definition, scored_points(definition, rows, dict.fromkeys(range(12), 0.2)))


def test_an_optimum_on_a_bound_is_found(definition: StudyDefinition) -> None:
    rows = _rows(80)
    crowded = [replace(row, params=row.params | {"train.lr": 9.9e-3}) if row.number < 8 else row for row in rows]
    [hit] = find_bound_hits(definition.resolved, scored_points(definition, crowded, _by(crowded, "train.lr")))
    assert (hit.name, hit.side, hit.bound, hit.natural) == ("train.lr", "upper", 1e-2, False)
    assert hit.n_at >= hit.n_best / 2
    middle = {row.number: -abs(np.log10(float(row.params["train.lr"] or 1)) + 3) for row in rows}
    assert find_bound_hits(definition.resolved, scored_points(definition, rows, middle)) == ()


def test_a_bound_where_the_field_ends_is_called_natural(definition: StudyDefinition) -> None:
    rows = [replace(row, params=row.params | {"model.dropout": 0.0}) if row.number < 8 else row for row in _rows(80)]
    scores = {row.number: -float(row.params["model.dropout"] or 0) for row in rows}
    points: tuple[Point, ...] = scored_points(definition, rows, scores)
    assert [(hit.name, hit.side, hit.natural) for hit in find_bound_hits(definition.resolved, points)] == [
        ("model.dropout", "lower", True)
    ]
