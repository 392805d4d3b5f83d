"""`import rfe`: quick, and its names are there whatever was imported before."""

import inspect
import pickle
import subprocess
import sys

import pytest

import rfe
import rfe.notebook


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_import_is_light() -> None:
    code = "import sys, rfe; dir(rfe); print(sorted(name.split('.')[0] for name in sys.modules))"
    loaded = _run(code)
    for heavy in ("numpy", "pandas", "torch", "rich", "ray", "optuna", "mlflow"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize("before", ["", "import rfe.search, rfe.ensemble;", "from rfe.search.budget import Budget;"])
def test_search_and_ensemble_are_functions_and_packages(before: str) -> None:
    code = f"{before}import rfe; print(callable(rfe.search), callable(rfe.ensemble)); "
    code += "from rfe.search import budget; from rfe import ensemble; import rfe.ensemble.selection; "
    code += "print(rfe.search.budget is budget, ensemble.selection.__name__)"
    assert _run(code).split() == ["True", "True", "True", "rfe.ensemble.selection"]


@pytest.mark.parametrize("name", ["search", "ensemble"])
def test_a_package_that_is_a_function_is_called_as_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function = getattr(rfe.notebook, name)
    assert inspect.signature(getattr(rfe, name)) == inspect.signature(function)
    monkeypatch.setattr(rfe.notebook, name, lambda *given, **options: (given, options))
    assert getattr(rfe, name)("a", data="b") == (("a",), {"data": "b"})
    module = getattr(rfe, name)
    assert pickle.loads(pickle.dumps(module)) is module


def test_all_names_are_there() -> None:
    for name in rfe.__all__:
        assert getattr(rfe, name) is not None
        assert name in dir(rfe)
    assert set(rfe.notebook.__all__) < set(rfe.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = rfe.nothing
