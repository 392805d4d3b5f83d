"""The schemas that editors get accept what the loaders accept, and know what they refuse."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from rfe import api
from rfe.ablation.plan import Plan
from rfe.api.authoring import KINDS
from rfe.config.fields import FIELDS
from rfe.data.mapping import ImportMapping
from rfe.errors import ConfigError
from rfe.jobs.description import JobSpec
from rfe.search_space.ready_made import ready_made
from rfe.search_space.schema import SearchSpace
from rfe.task import BLEMORE, Task, TaskFile
from tests.docs.blocks import ROOT
from tests.tasks import OTHERS

VALIDATORS = {kind: jsonschema.Draft202012Validator(api.schema(kind)) for kind in KINDS}
FOLDERS = {"baselines": "config", "ablations": "plan", "": "space"}
FILES = [(FOLDERS[name.rpartition("/")[0]], path) for name, path in ready_made().items()]
FILES += [("job", path) for path in sorted((ROOT / "jobs").glob("*.yaml")) if path.name != "kuberay.yaml"]


def faults(kind: str, value: Any) -> list[str]:
    return [f"{'.'.join(map(str, one.path))}: {one.message}" for one in VALIDATORS[kind].iter_errors(value)]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_schema_whose_references_lead_somewhere(kind: str) -> None:
    schema = api.schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    known = {f"#/$defs/{name}" for name in schema["$defs"]}

    def references(value: Any) -> set[str]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        here = {value["$ref"]} if isinstance(value, dict) and "$ref" in value else set()
        return here.union(*map(references, inner))

    assert references(schema) <= known


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: value.name if isinstance(value, Path) else value)
def test_each_ready_made_file_is_right(kind: str, path: Path) -> None:
    assert faults(kind, yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_every_field_can_be_searched_and_is_described_as_its_docstring_says() -> None:
    schema = api.schema("space")
    assert FIELDS.keys() <= schema["properties"]["space"]["properties"].keys()
    for name, field in FIELDS.items():
        assert schema["$defs"][name]["title"] == name
        assert schema["$defs"][name].get("description") == field.description


@pytest.mark.parametrize(
    ("kind", "model"),
    [("space", SearchSpace), ("plan", Plan), ("job", JobSpec), ("mapping", ImportMapping), ("task", TaskFile)],
)
def test_the_files_own_fields_are_described_as_their_docstrings_say(kind: str, model: Any) -> None:
    properties = api.schema(kind)["properties"]
    assert properties.keys() == model.model_fields.keys()
    described = {name: one.get("description") for name, one in properties.items() if "$ref" not in one}
    assert described == {name: model.model_fields[name].description for name in described}


@pytest.mark.parametrize("task", [BLEMORE, *OTHERS], ids=lambda task: task.name)
def test_a_written_task_is_right_and_an_unknown_metric_is_not(task: Task) -> None:
    assert faults("task", task.to_dict()) == []
    assert faults("task", {"name": "x", "classes": ["a", "b"], "blends": "all", "ratios": ["80/20", 20]}) == []
    assert faults("task", task.to_dict() | {"metric": "f2"}) != []
    assert faults("task", task.to_dict() | {"clases": []}) != []


@pytest.mark.parametrize(
    "lines",
    [
        {"base": {"model": {"gate.kind": "static"}, "train.lr": 0.1, "data": {"standardize": {"mfcc": "fold"}}}},
        {"base": {"data.standardize.mfcc": "fold", "data": {"reduce.mfcc": 5}}},
        {"space": {"train.lr": {"float": [0.1, 1]}, "pool": {"subset": ["a", "b"], "min_size": 1}}},
        {"space": {"train": {"lr": {"float": [0.1, 1], "log": True}}, "data.reduce.mfcc": {"int": [2, 8]}}},
        {"space": {"train.lr": {"choice": [0.1], "when": {"adaptation.kind": "mmd", "train.average": ["ema"]}}}},
        {"objective": ["acc_presence", "acc_salience"], "first_trials": [{"pool": ["a"], "model.n_kept": "all"}]},
    ],
)
def test_what_the_loader_takes_is_right(lines: dict[str, Any]) -> None:
    assert faults("space", {"study": "s", **lines}) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"space": {"train.lrr": {"float": [0.1, 1]}}}, "space: 'train.lrr' does not match"),
        ({"space": {"train.lr": {"float": [0, 1]}}}, "space.train.lr.float.0: 0 is less than or equal to"),
        ({"space": {"model.fusion.kind": {"choice": ["mean"]}}}, "space.model.fusion.kind.choice.0: 'mean' is not one"),
        ({"space": {"train.lr": {"float": [0.1, 1], "choice": [0.1]}}}, "valid under each of"),
        ({"space": {"train.lr": {"log": True}}}, "is not valid under any"),
        ({"space": {"pool": {"choice": ["a"]}}}, "'subset' is a required property"),
        ({"base": {"model": {"gate.kindd": "static"}}}, "base.model: 'gate.kindd' does not match"),
        ({"sampler": {"kind": "bayes"}}, "sampler.kind: 'bayes' is not one of"),
    ],
)
def test_what_the_loader_refuses_is_wrong(lines: dict[str, Any], said: str) -> None:
    found = faults("space", {"study": "s", **lines})
    assert any(said in one for one in found), found


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown kind of file 'spaces'; did you mean space"):
        api.schema("spaces")
