"""No module knows a vocabulary: classes, sets and states of a task stand in `rfe.task` and in files alone."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rfe
from rfe.task import BLEMORE

ROOT = Path(rfe.__file__).parent
WORDS = {*BLEMORE.classes, *BLEMORE.class_names, *BLEMORE.set_names[BLEMORE.n_classes :]}
DEFAULTS = {
    "rfe.api.data": "tables without a task are BlEmoRE's",
    "rfe.api.results": "a submission on its own is BlEmoRE's",
    "rfe.cli.data": "`rfe data simulate` without --task",
    "rfe.data.frames": "a folder without task.yaml",
    "rfe.data.dataset": "a folder without task.yaml, and its fingerprint",
    "rfe.data.metadata": "a folder without task.yaml",
    "rfe.data.task": "a folder without task.yaml",
    "rfe.data.simulate": "a folder without task.yaml",
    "rfe.data.simulation.appearance": "its looks, which `rfe.task` holds",
    "rfe.data.simulation.skeleton": "its official names and counts",
    "rfe.data.simulation.spec": "`rfe data simulate` without --task",
    "rfe.data.simulation.truth": "a folder without task.yaml",
    "rfe.reporting.report.comparison": "published numbers are of its labels",
    "rfe.submission.card": "how its models are called",
    "rfe.submission.form": "bundles of formats that named no task",
}
"""Who may name the task of BlEmoRE, and for what: where data, bundles or studies name none."""


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages([str(ROOT)], "rfe."):
        if not found.name.startswith("rfe.task") and not found.name.endswith("__main__"):
            yield found.name


def source_of(name: str) -> ast.Module:
    path = ROOT.parent / Path(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def constants(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Texts in the code, docstrings aside."""
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def words_of(value: Any, depth: int = 0) -> set[str]:
    """Words of a vocabulary that a module's global holds, at any depth."""
    if isinstance(value, str):
        return {value} & WORDS
    if depth > 4 or isinstance(value, ModuleType | type):
        return set()
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.dtype.kind in "US" else []
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return set().union(*(words_of(one, depth + 1) for one in value))
    return set()


@pytest.mark.parametrize("name", list(modules()))
def test_no_module_holds_a_vocabulary(name: str) -> None:
    tree = source_of(name)
    said = [f"line {line}: {text!r}" for line, text in constants(tree) if text in WORDS or text.startswith("p_ang")]
    assert not said, f"{name} names classes: {said}"
    module = importlib.import_module(name)
    for variable, value in vars(module).items():
        assert not words_of(value), f"{name}.{variable} holds {words_of(value)}"
        if isinstance(value, int | np.ndarray) and not isinstance(value, bool):
            counted = re.fullmatch(r"_?N_(EMOTIONS|CLASSES|SETS|STATES|PAIRS|RATIOS)", variable)
            assert counted is None, f"{name}.{variable} is a task's; take it from the task"


@pytest.mark.parametrize("name", list(modules()))
def test_the_default_task_is_named_only_where_none_is_given(name: str) -> None:
    for node in ast.walk(source_of(name)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.module != "rfe.labels", f"{name}, line {node.lineno}: rfe.labels is gone"
            if node.module.startswith("rfe.task") and any(one.name == "BLEMORE" for one in node.names):
                assert name in DEFAULTS, f"{name}, line {node.lineno}: take the task from the clips, or as an argument"


def test_every_exception_is_one_still() -> None:
    for name in DEFAULTS:
        imported = [
            alias.name for node in ast.walk(source_of(name)) if isinstance(node, ast.ImportFrom) for alias in node.names
        ]
        assert "BLEMORE" in imported, f"{name} names BLEMORE no longer; take it off the list"
