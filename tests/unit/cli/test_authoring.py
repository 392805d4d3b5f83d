"""A new project's files are right, and a folder that has any of them is left alone."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from rfe.ablation.plan import load_plan
from rfe.api.authoring import KINDS, SCAFFOLD
from rfe.jobs.description import load_job
from rfe.search_space import load_space
from tests.docs.blocks import ROOT
from tests.unit.cli.commands import find_fault
from tests.unit.cli.invoke import invoke


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my first project"
    assert invoke("init", folder).exit_code == 0
    return folder


def test_a_new_projects_files_are_loaded(project: Path) -> None:
    assert load_space(project / "space.yaml").study == "my-first-project"
    assert load_plan(project / "plan.yaml").base.study == "my-first-project"  # type: ignore[union-attr]
    assert load_job(project / "job.yaml").workspace == str(project / "rfe-workspace")
    assert "rfe-workspace/" in (project / ".gitignore").read_text().splitlines()


def test_an_installed_package_has_the_jobs_that_the_readme_names(project: Path) -> None:
    """Before: `jobs/` was in a checkout only."""
    for path in (ROOT / "jobs").iterdir():
        assert (project / "jobs" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["space", "plan", "job"])
def test_editors_find_the_schema_and_the_file_fits_it(project: Path, kind: str) -> None:
    text = (project / f"{kind}.yaml").read_text()
    schema = project / text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert jsonschema.Draft202012Validator(json.loads(schema.read_text())).is_valid(yaml.safe_load(text))


def test_its_readme_types_commands_of_the_program(project: Path) -> None:
    words = [word for word in (project / "README.md").read_text().split("`") if word.startswith("rfe ")]
    assert len(words) >= 9
    assert {word: find_fault(word) for word in words} == dict.fromkeys(words)


def test_a_folder_that_has_one_of_the_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("mine")
    ended = invoke("init", tmp_path)
    assert ended.exit_code == 2
    assert "has plan.yaml already" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["plan.yaml"]
    assert invoke("init", tmp_path / "plan.yaml").exit_code == 2


def test_what_was_written_can_be_had_as_json(tmp_path: Path) -> None:
    written = json.loads(invoke("init", tmp_path / "new", "--json").stdout)
    ready = [f"jobs/{name}" for name in ("README.md", "cluster.yaml", "kuberay.yaml", "local.yaml", "slurm.sh")]
    expected = [*SCAFFOLD, *ready, *(f"schemas/{kind}.json" for kind in KINDS)]
    assert written == [str(tmp_path / "new" / name) for name in expected]


def test_schemas_are_printed_as_json() -> None:
    assert json.loads(invoke("schema", "job").stdout)["title"] == "A job of rfe"
    ended = invoke("schema", "spase")
    assert (ended.exit_code, "did you mean space?" in ended.stderr) == (2, True)
