"""Search-space files: everything wrong is found before a trial runs, and said with its remedy."""

from pathlib import Path
from typing import Any

import pytest

from rfe.config.fields import SEARCH_SETTINGS
from rfe.errors import ConfigError
from rfe.search_space import SearchSpace, load_space
from rfe.search_space.schema import DataSource

PARETO = ["acc_presence", "acc_salience"]
MINIMAL: dict[str, Any] = {"study": "s", "space": {"train.lr": {"float": [0.001, 0.1], "log": True}}}


def refuse(given: dict[str, Any], overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_space({**MINIMAL, **given}, overrides)
    return str(caught.value)


def test_null_is_offered_once() -> None:
    assert "or null, or null" not in refuse_line("train.lr", {"choice": []})


def refuse_line(name: str, spec: Any, **others: Any) -> str:
    return refuse({"space": {name: spec, **others}})


def test_a_file_is_read_with_its_text_kept(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    text = "# mine\nstudy: s\nbase: {train.epochs: 3, model: {latent_dim: 8}}\nspace:\n  model.n_kept: {int: [1, 5]}\n"
    path.write_text(text, encoding="utf-8")
    space = load_space(path, ["budget.trials=7"])
    assert space.source == text
    assert space.base == {"train.epochs": 3, "model.latent_dim": 8}
    assert space.budget.trials == 7
    assert space.sampler.kind == "tpe"


def test_all_problems_of_the_file_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("studdy: s\nbase: {train.epoch: 3}\nsampler: {kind: tp}\nbudget: {trials: 0}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_space(path)
    message = str(caught.value)
    for part in (
        "space.yaml: 5 problems",
        "studdy: unknown field 'studdy'; did you mean study?",
        "study: is missing",
        "base: unknown field 'train.epoch'; did you mean train.epochs?",
        "sampler.kind: 'tp' is not allowed; it must be one of tpe, gp, nsga2, cmaes, random, grid; did you mean tpe?",
        "budget.trials: 0 is not allowed; it must be a whole number of at least 1",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("name", "spec", "answer"),
    [
        ("train.lrr", {"float": [0.1, 1.0]}, "space.train.lrr: unknown field 'train.lrr'; did you mean train.lr?"),
        (
            "train.lr",
            {"choice": []},
            "it must be a list of at least 1, each text, or a whole number, or a number, or true or false, or null",
        ),
        ("train.lr", {"float": [0.0, 1.0]}, "space.train.lr: 0.0 is not allowed; it must be a number above 0"),
        ("train.lr", {"float": [0.0, 1.0], "log": True}, "log needs a range above 0"),
        ("train.lr", {"float": [1.0, 0.1]}, "is no range"),
        ("train.lr", {"float": [1.0, 1.0]}, "one value goes under base"),
        ("train.lr", {"float": [1.0]}, "space.train.lr.float: [1.0] is not allowed; it must be a list of at least 2"),
        ("train.lr", {"flaot": [0.1, 1.0]}, "did you mean space.train.lr.float?"),
        ("train.lr", {}, "give exactly one of subset, int, float and choice, not none"),
        ("train.lr", {"float": [0.1, 1.0], "choice": [0.1]}, "not float and choice"),
        ("train.lr", 0.1, "space.train.lr: 0.1 is not allowed; it must be a map with the fields subset"),
        ("train.lr", {"choice": [0.1], "log": True}, "log and step go with int and float only"),
        ("train.lr", {"float": [0.1, 1.0], "log": True, "step": 0.1}, "log and step do not go together"),
        ("train.epochs", {"int": [1, 9], "step": 0.5}, "step must be above 0, and whole"),
        ("model.dropout", {"float": [0.0, 0.5], "step": 0.2}, "[0.0, 0.5] is not a whole number of steps of 0.2"),
        ("space", {"int": [1, 2]}, "unknown field 'space'"),
        ("train.epochs", {"float": [1.0, 5.0]}, "space.train.epochs: 1.0 is not allowed; it must be a whole number"),
        ("model.dropout", {"float": [0.0, 1.0]}, "space.model.dropout: 1.0 is not allowed"),
        ("model.fusion.kind", {"choice": ["weighted_sum", "rank_concta"]}, "'rank_concta' is not allowed"),
        ("model.fusion.kind", {"choice": ["weighted_sum", "weighted_sum"]}, "holds a value twice"),
        ("model.fusion.kind", {"subset": "all"}, "subset goes with pool only"),
        ("pool", {"choice": ["mfcc"]}, "is searched with subset"),
        ("pool", {"subset": ["a", "b"], "min_size": 3}, "min_size 3 is more than the 2 encoders"),
        ("pool", {"subset": ["a", "a"]}, "holds a value twice"),
        ("pool", {"subset": "all", "when": {"train.epochs": 3}}, "the pool always counts"),
        ("train.lr", {"float": [0.1, 1.0], "min_size": 2}, "min_size goes with subset only"),
        ("data.standardize.mfcc", {"choice": ["fold", "both"]}, "space.data.standardize.mfcc: 'both' is not allowed"),
    ],
)
def test_a_wrong_line_is_answered(name: str, spec: Any, answer: str) -> None:
    assert answer in refuse_line(name, spec)


@pytest.mark.parametrize(
    ("when", "answer"),
    [
        ({"adaptation.knd": "dann"}, "did you mean adaptation.kind?"),
        ({"adaptation.kind": "don"}, "when.adaptation.kind: 'don' is not allowed"),
        ({"adaptation.kind": ["mmd"]}, "'mmd' is not among what is searched (none, coral)"),
        ({"adaptation.kind": []}, "the dimension never counts"),
        ({"adaptation.strength": 0.5}, "names the dimension itself"),
        ({"model.dropout": 0.5}, "hits no value exactly"),
        ({"pool": "a"}, "unknown field 'pool'"),
    ],
)
def test_a_condition_that_cannot_hold_is_answered(when: dict[str, Any], answer: str) -> None:
    message = refuse(
        {
            "space": {
                "adaptation.kind": {"choice": ["none", "coral"]},
                "model.dropout": {"float": [0.0, 0.5]},
                "adaptation.strength": {"float": [0.1, 1.0], "when": when},
            }
        }
    )
    assert answer in message


def test_conditions_in_a_circle_are_answered() -> None:
    message = refuse(
        {
            "space": {
                "loss.presence": {"choice": ["bce", "states"], "when": {"decode.kind": "official"}},
                "decode.kind": {"choice": ["official", "decoupled"], "when": {"loss.presence": "bce"}},
            }
        }
    )
    assert "goes round in a circle among decode.kind, loss.presence" in message


def test_what_is_fixed_and_searched_is_answered() -> None:
    assert "space.train.lr: stands under base and under space" in refuse({"base": {"train": {"lr": 0.1}}})
    both = {"data.standardize": {"choice": ["fold", "actor"]}, "data.standardize.a": {"choice": ["fold", "actor"]}}
    assert "is searched for one encoder while data.standardize is searched for all" in refuse({"space": both})


@pytest.mark.parametrize(
    ("trial", "answer"),
    [
        ({"train.lr": 1.0}, "first_trials[0].train.lr: 1.0 is not among what is searched (0.001 to 0.1 (log))"),
        ({"train.lr": True}, "True is not among"),
        ({"train.rl": 0.01}, "did you mean train.lr? (what is fixed goes under base)"),
    ],
)
def test_first_trials_are_checked(trial: dict[str, Any], answer: str) -> None:
    assert answer in refuse({"first_trials": [trial]})


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"sampler": {"kind": "cmaes"}}, "sampler.kind: cmaes learns of int and float dimensions only and needs two"),
        (
            {"sampler": {"kind": "grid"}},
            "space.train.lr: a float range (0.001 to 0.1 (log)) has infinitely many values",
        ),
        ({"sampler": {"kind": "nsga2", "population": 3}}, "sampler.population: 3 is not allowed"),
        (
            {"objective": ["acc_presence"]},
            "objective: ['acc_presence'] is not allowed; it must be one of score",
        ),
        ({"objective": ["score", "score"]}, "names one twice; leave one out"),
        ({"objective": PARETO, "pruner": {"kind": "asha"}}, "set pruner.on to score, or pruner.kind to none"),
        ({"objective": PARETO, "sampler": {"kind": "cmaes"}}, "sampler.kind: cmaes has one objective only; use nsga2"),
        (
            {"objective": "loss"},
            "objective: 'loss' is not allowed; it must be one of score, acc_presence",
        ),
        ({"study": "a/b"}, "study: 'a/b' is not allowed; it must be text of at most 100 letters, digits, dots, dashes"),
        ({"study": "a" * 300}, "is not allowed; it must be text of at most 100 letters"),
        ({"base": {"data.encoders": ["a"]}}, "base: unknown field 'data.encoders'; it is no field of a configuration"),
        ({"base": {"data": {"encoders": ["a"]}}}, "write data: {encoders: ...} at the top of the search space"),
        ({"space": {"data.encoders": {"choice": ["a"]}}}, "or --set data.encoders=... with rfe search; pool names"),
        ({"base": {"budget.trials": 3}}, "base: unknown field 'budget.trials'; it is no field of a configuration"),
        ({"budget": {"hours": 0}}, "budget.hours: 0 is not allowed; it must be a number above 0, or null"),
    ],
)
def test_what_is_not_offered_is_said(given: dict[str, Any], answer: str) -> None:
    assert answer in refuse(given)


def test_what_a_search_has_beside_a_configuration_is_known_there_too() -> None:
    of_data = {f"data.{name}" for name in DataSource.model_fields}
    assert {*SEARCH_SETTINGS} == {*SearchSpace.model_fields} - {"data"} | of_data


def test_set_fixes_a_searched_field_and_leaves_it_out_of_first_trials() -> None:
    given = {**MINIMAL, "first_trials": [{"train.lr": 0.01}]}
    space = load_space(given, ["train.lr=1e-2"])
    assert space.base == {"train.lr": 0.01}
    assert space.space == {}
    assert space.first_trials == [{}]


def test_searched_fields_may_be_nested() -> None:
    nested = {"model": {"n_kept": {"int": [1, 3]}, "gate.kind": {"choice": ["static"]}}}
    assert set(load_space({**MINIMAL, "space": nested}).space) == {"model.n_kept", "model.gate.kind"}


def test_set_can_search_what_was_fixed() -> None:
    space = load_space({"study": "s", "base": {"train.epochs": 3}}, ["space.train.epochs={int: [1, 5]}"])
    assert space.base == {}
    assert space.space["train.epochs"].int_ == [1, 5]


def test_set_reaches_every_field_of_the_space() -> None:
    overrides = ["study=t", "cohort=4", "limits.retries=0", "data.encoders=[a]", "data.reduce=8", "base.train.epochs=2"]
    space = load_space(MINIMAL, [*overrides, "space.model.n_kept={int: [1, 3]}"])
    assert (space.study, space.cohort, space.limits.retries, space.data.encoders) == ("t", 4, 0, ["a"])
    assert space.base == {"data.reduce": 8, "train.epochs": 2}
    assert space.space["model.n_kept"].int_ == [1, 3]


def test_a_wrong_set_is_answered() -> None:
    assert "--set unknown field 'budget_trials'; did you mean budget.trials?" in refuse({}, ("budget_trials=3",))
    assert "train.epochs: 0 is not allowed" in refuse({}, ("train.epochs=0",))


def test_a_value_that_was_set_is_not_looked_for_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("study: s\nspace:\n  train.lr: {float: [0.1, 1.0]}\n")
    with pytest.raises(ConfigError, match=r"mine.yaml \(with --set train.epochs\): base.train.epochs"):
        load_space(path, ["train.epochs=abc"])
