"""A changed study is refused with what differs; what may change, may."""

import json
from pathlib import Path
from typing import Any

import pytest

from rfe.errors import StudyError
from rfe.search_space import load_space
from rfe.study import StudyDefinition, StudyStore, define_study, read_definition
from rfe.study.definition import differences

GIVEN: dict[str, Any] = {
    "study": "s",
    "base": {"train.epochs": 5},
    "space": {"pool": {"subset": "all"}, "train.lr": {"float": [0.001, 0.1], "log": True}},
    "first_trials": [{"train.lr": 0.01}],
}


def define(
    changed: dict[str, Any] | None = None,
    seed: int = 0,
    fingerprint: str = "aaaa",
    encoders: tuple[str, ...] = ("a", "b"),
) -> StudyDefinition:
    return define_study(load_space({**GIVEN, **(changed or {})}), encoders, seed=seed, fingerprint=fingerprint)


def refusal(folder: Path, definition: StudyDefinition) -> str:
    with pytest.raises(StudyError) as caught:
        StudyStore.open(folder, definition)
    return str(caught.value)


def test_the_definition_is_kept_and_read_back(tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    source.write_text("# mine\nstudy: s\nspace:\n  train.lr: {float: [0.1, 1.0]}\n", encoding="utf-8")
    definition = define_study(load_space(source, ["budget.trials=3"]), ("a",), seed=2, fingerprint="bbbb")
    folder = tmp_path / "study"
    StudyStore.open(folder, definition).close()
    assert (folder / "space.yaml").read_text(encoding="utf-8") == source.read_text(encoding="utf-8")
    again = read_definition(folder)
    assert again == definition
    assert again.space.source == definition.space.source
    assert again.space.budget.trials == 3
    StudyStore.open(folder, again).close()


@pytest.mark.parametrize(
    ("definition", "lines"),
    [
        ({"seed": 1}, ["seed: was 0, now 1"]),
        ({"fingerprint": "bbbb"}, ["fingerprint: was 'aaaa', now 'bbbb'", "data: was "]),
        ({"changed": {"base": {"train.epochs": 6}}}, ["base.train.epochs: was 5, now 6"]),
        (
            {"changed": {"space": {"train.lr": {"float": [0.01, 0.1]}}}},
            ["space.train.lr.low: was 0.001, now 0.01", "space.train.lr.log: was True, now False", "space.pool.a.kind"],
        ),
        ({"changed": {"first_trials": []}}, ["first_trials: was [{'train.lr': 0.01}], now []"]),
        ({"encoders": ("a", "b", "c")}, ["space.pool.c.kind: is new, 'choice'"]),
    ],
)
def test_a_changed_study_is_refused_with_every_difference(
    tmp_path: Path, definition: dict[str, Any], lines: list[str]
) -> None:
    StudyStore.open(tmp_path, define()).close()
    kept = (tmp_path / "definition.json").read_bytes()
    message = refusal(tmp_path, define(**definition))
    for line in lines:
        assert line in message
    assert "another name: --study NAME" in message
    assert (tmp_path / "definition.json").read_bytes() == kept
    StudyStore.open(tmp_path, define()).close()  # the refusal left the study free


def test_budget_and_the_like_may_change(tmp_path: Path) -> None:
    StudyStore.open(tmp_path, define()).close()
    changed = {
        "budget": {"trials": 400},
        "cohort": 3,
        "limits": {"retries": 0},
        "confirm": {"top": 0},
        "sampler": {"kind": "random"},
    }
    StudyStore.open(tmp_path, define(changed)).close()
    assert read_definition(tmp_path).space.budget.trials == 400


def test_a_field_that_came_later_had_its_default(tmp_path: Path) -> None:
    StudyStore.open(tmp_path, define()).close()
    path = tmp_path / "definition.json"
    content = json.loads(path.read_text())
    del content["identity"]["base"]["decode.design"]
    path.write_text(json.dumps(content))
    assert "base.decode.design: was 'none', now 'actor'" in refusal(
        tmp_path, define({"base": {"train.epochs": 5, "decode.design": "actor"}})
    )
    StudyStore.open(tmp_path, define()).close()


def test_a_damaged_definition_is_said(tmp_path: Path) -> None:
    StudyStore.open(tmp_path, define()).close()
    path = tmp_path / "definition.json"
    for content, answer in (("{", "cannot be read"), ("[]", "is no study's definition"), ("{}", "cannot be read as")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(StudyError, match=answer):
            read_definition(tmp_path)


def test_differences_are_listed_by_name() -> None:
    assert differences({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "e": 5}, "a": 1}) == [
        "b.c: was 2, now 4",
        "b.d: was 3, now left out",
        "b.e: is new, 5",
    ]
