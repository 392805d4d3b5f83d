"""The grid: each effective configuration once, always in the same order, every value one of the dimension's."""

import itertools
from typing import Any

from rfe.config.identity import config_id
from rfe.search_space import ResolvedSpace, effective_config, grid_points, load_space, resolve

ENCODERS = ("a", "b")
LINES: dict[str, Any] = {
    "pool": {"subset": "all"},
    "model.n_kept": {"int": [1, 5], "step": 2},
    "model.dropout": {"float": [0.1, 0.4], "step": 0.1},
    "adaptation.kind": {"choice": ["none", "coral", "mmd"]},
    "adaptation.strength": {"float": [0.5, 1.0], "step": 0.5, "when": {"adaptation.kind": ["coral", "mmd"]}},
}


def space(lines: dict[str, Any]) -> ResolvedSpace:
    return resolve(load_space({"study": "s", "space": lines, "sampler": {"kind": "grid"}}), ENCODERS)


def test_it_holds_what_the_product_of_all_values_comes_to() -> None:
    resolved = space(LINES)
    points = list(grid_points(resolved))
    ids = [identity for _, identity in points]
    assert len(set(ids)) == len(ids)
    values = [(False, True)] * 2 + [(1, 3, 5), (0.1, 0.2, 0.3, 0.4), ("none", "coral", "mmd"), (0.5, 1.0)]
    names = [dimension.name for dimension in resolved.dimensions]
    by_name = dict(zip(["pool.a", "pool.b", *list(LINES)[1:]], values, strict=True))
    every = {
        config_id(effective_config(resolved, dict(zip(names, point, strict=True))))
        for point in itertools.product(*(by_name[name] for name in names))
    }
    assert set(ids) == every
    # pools a, b and both; one of a single encoder keeps one, of both one or all; 4 rates; none, 2 x coral, 2 x mmd
    assert len(ids) == (1 + 1 + 2) * 4 * 5


def test_every_point_is_a_whole_one_of_the_dimensions_own_values() -> None:
    resolved = space(LINES)
    for params, identity in grid_points(resolved):
        assert params.keys() == {dimension.name for dimension in resolved.dimensions}
        assert all(dimension.holds(params[dimension.name]) for dimension in resolved.dimensions)
        assert config_id(effective_config(resolved, params)) == identity
        assert params["model.dropout"] in (0.1, 0.2, 0.3, 0.4)


def test_its_order_is_fixed_and_the_last_dimension_is_the_fastest() -> None:
    resolved = space({"model.dropout": {"float": [0.0, 0.2], "step": 0.1}, "train.epochs": {"int": [3, 4]}})
    points = [tuple(params.values()) for params, _ in grid_points(resolved)]
    assert points == [(0.0, 3), (0.0, 4), (0.1, 3), (0.1, 4), (0.2, 3), (0.2, 4)]
    assert list(grid_points(resolved)) == list(grid_points(resolved))


def test_a_space_of_nothing_is_the_base_alone() -> None:
    assert [params for params, _ in grid_points(space({}))] == [{}]
