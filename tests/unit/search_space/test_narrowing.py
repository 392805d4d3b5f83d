"""What is a narrower space, parameter by parameter, and which points lie inside it."""

from typing import Any

import pytest

from rfe.errors import ConfigError
from rfe.search_space import ResolvedSpace, SearchSpace, effective_config, load_space, resolve
from rfe.search_space.narrowed_lines import narrowed_lines
from rfe.search_space.narrowing import fill_pool, kept_encoders, lies_inside, narrow_space, range_dict, with_ranges

ENCODERS = ("a", "b", "c", "d")
WIDE: dict[str, Any] = {
    "pool": {"subset": "all", "min_size": 2},
    "adaptation.kind": {"choice": ["none", "coral", "mmd"]},
    "adaptation.strength": {"float": [0.01, 1.0], "log": True, "when": {"adaptation.kind": ["coral", "mmd"]}},
    "train.lr": {"float": [0.001, 0.01], "log": True},
    "train.epochs": {"int": [10, 50], "step": 10},
    "model.dropout": {"float": [0.0, 0.5]},
}


def resolved(lines: dict[str, Any]) -> ResolvedSpace:
    return resolve(load_space({"study": "s", "space": lines}), ENCODERS)


def changed(base: dict[str, Any] | None = None, **lines: Any) -> SearchSpace:
    """The wide space with other lines; None takes one out."""
    named = {name.replace("__", "."): line for name, line in lines.items()}
    kept = {name: one for name, one in (WIDE | named).items() if one is not None}
    return load_space({"study": "t", "space": kept, "base": base or {}})


POINT: dict[str, Any] = {
    "pool.a": True,
    "pool.b": False,
    "pool.c": True,
    "pool.d": False,
    "adaptation.kind": "coral",
    "adaptation.strength": 0.1,
    "train.lr": 0.003,
    "train.epochs": 20,
    "model.dropout": 0.25,
}


@pytest.mark.parametrize(
    ("wanted", "inside"),
    [
        (changed(train__lr={"float": [0.002, 0.01], "log": True}), True),
        (changed(train__lr={"float": [0.004, 0.01], "log": True}), False),
        (changed({"train.lr": 0.003}, train__lr=None), True),
        (changed({"train.lr": 0.004}, train__lr=None), False),
        (changed(train__epochs={"int": [20, 40], "step": 20}), True),
        (changed(train__epochs={"int": [30, 50], "step": 10}), False),
        (changed(model__dropout={"float": [0.0, 0.5], "step": 0.25}), True),
        (changed(model__dropout={"float": [0.0, 0.5], "step": 0.1}), False),
        (changed(pool={"subset": ["a", "b", "c"], "min_size": 2}), True),
        (changed(pool={"subset": ["a", "b", "d"], "min_size": 2}), False),
        (changed({"pool": ["a", "c"]}, pool=None), True),
        (changed({"pool": "all"}, pool=None), False),
        (
            changed(
                adaptation__kind={"choice": ["coral", "none"]},
                adaptation__strength={"float": [0.01, 1.0], "log": True, "when": {"adaptation.kind": "coral"}},
            ),
            True,
        ),
        (changed({"adaptation.kind": "none"}, adaptation__kind=None, adaptation__strength=None), False),
        (
            changed(
                {"adaptation.kind": "coral"},
                adaptation__kind=None,
                adaptation__strength={"float": [0.01, 1.0], "log": True},
            ),
            True,
        ),
    ],
)
def test_a_narrower_space_holds_what_lies_inside(wanted: SearchSpace, inside: bool) -> None:
    now = resolved(WIDE)
    narrowed = narrow_space(now, wanted)
    assert [one.name for one in narrowed.dimensions] == [one.name for one in now.dimensions]
    assert lies_inside(narrowed, POINT) is inside
    assert effective_config(narrowed, POINT) == effective_config(now, POINT)  # its identity stays
    ranges = {one.name: range_dict(one) for one in narrowed.dimensions}
    assert with_ranges(now, ranges) == narrowed
    with pytest.raises(ConfigError, match="every parameter keeps its range"):
        narrow_space(narrowed, wanted)
    with pytest.raises(ConfigError, match="not narrower"):
        narrow_space(narrowed, changed())


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (changed(train__lr={"float": [0.0001, 0.01], "log": True}), "train.lr: 0.0001 to 0.01 .* does not lie in"),
        (changed(train__lr={"float": [0.002, 0.01]}), "train.lr: was sampled in the logarithm; leave log"),
        (changed(train__lr={"choice": [0.002]}), "train.lr: was float and is choice here"),
        (changed(train__lr=None), "train.lr: is not named; give it a range"),
        (changed({"train.lr": 0.5}, train__lr=None), "base.train.lr: 0.5 is not among the study's 0.001"),
        (changed(train__epochs={"int": [10, 50]}), "train.epochs: .* is not on the steps"),
        (changed(train__epochs={"int": [15, 45], "step": 10}), "train.epochs: .* is not on the steps"),
        (changed(adaptation__kind={"choice": ["none", "coral", "mmd", "dann"]}), "adaptation.kind: dann is not among"),
        (changed(model__n_kept={"int": [1, 2]}), "model.n_kept: is not searched in the study"),
        (changed({"train.weight_decay": 0.3}), "base.train.weight_decay: is .* only what is searched can be narrowed"),
        (changed(pool=None), "pool: is not named; give it a subset"),
        (changed(pool={"subset": "all", "min_size": 3}), "pool: min_size is 2 in the study and 3 here"),
        (
            changed(adaptation__strength={"float": [0.01, 1.0], "log": True}),
            r"adaptation.strength: when.adaptation.kind is not as in the study \(coral, mmd\)",
        ),
        (changed(), "every parameter keeps its range"),
    ],
)
def test_what_is_not_narrower_is_named(wanted: SearchSpace, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        narrow_space(resolved(WIDE), wanted)


@pytest.mark.parametrize(
    "lines",
    [
        ["space.train.lr={float: [0.002, 0.01], log: true}", "train.epochs=20", "model.dropout=0.1"],
        ["space.train.epochs={int: [10, 30], step: 10}", "space.pool={subset: [a, b, c], min_size: 2}", "pool=[a, b]"],
        ["adaptation.kind=coral", "adaptation.strength=0.1"],
        ["adaptation.kind=none", "train.lr=0.003"],
    ],
)
def test_a_narrowed_space_is_narrowed_further_line_by_line(lines: list[str]) -> None:
    """Each line is set over the space as the last one left it, and nothing else of it changes."""
    now = resolved(WIDE)
    for line in lines:
        before = {one.name: one for one in now.dimensions}
        now = narrow_space(now, load_space(narrowed_lines(changed(), now), [line]))
        name = line.partition("=")[0].removeprefix("space.")
        differ = {one.name for one in now.dimensions if one != before[one.name]}
        assert {one.partition(".")[0] if one.startswith("pool.") else one for one in differ} == {name}


def test_a_small_pool_is_filled_with_encoders_that_are_left() -> None:
    """The study's own rule would fill it up with the first encoders, which were taken out."""
    narrowed = narrow_space(resolved(WIDE), changed(pool={"subset": ["c", "d"], "min_size": 2}))
    assert kept_encoders(narrowed) == ("c", "d")
    point = POINT | {"pool.a": False}
    assert effective_config(narrowed, point).pool == ["a", "c"]
    assert not lies_inside(narrowed, point)
    filled = fill_pool(narrowed, point)
    assert effective_config(narrowed, filled).pool == ["c", "d"]
    assert lies_inside(narrowed, filled)
