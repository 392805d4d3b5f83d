"""What comes with the package's extras, and what to say where one is missing."""

import importlib.metadata
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import ParamSpec, TypeVar

from packaging.requirements import Requirement

from rfe.errors import ConfigError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
EXTRAS = {
    "search": ("ray", "optuna", "cmaes", "mlflow", "matplotlib", "statsmodels"),
    "report": ("plotly", "jinja2", "markupsafe"),
    "sign": ("model_signing",),
    "notify": ("apprise",),
}
"""Extra of the package -> the modules that come with it."""
SOURCE = Path(__file__).absolute().parents[1]
"""In a checkout, its folder."""


def install_command(extra: str) -> str:
    """What to type to install an extra. The package is on no index: there `rfe[search]` is another one, or none."""
    folder = SOURCE if (SOURCE / "pyproject.toml").is_file() else "the folder of rfe's source"
    return f"pip install '.[{extra}]' in {folder}"


def explain_missing(error: ModuleNotFoundError) -> str | None:
    """What to install where a command needs more than the package's core; None where something else is missing."""
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return f"this needs {module}, which is not installed; install it with: {install_command(extra)}"
    return None


def outside_bounds(name: str) -> str:
    """The installed version of a library and the bounds of ours that it is outside of, e.g. "mlflow 3.5.0, made for
    <4,>=3.11"; "" where it fits, or where either is not known."""
    try:
        version = importlib.metadata.version(name)
        required = [Requirement(text) for text in importlib.metadata.requires("rfe") or []]
    except importlib.metadata.PackageNotFoundError:
        return ""
    for one in required:
        if one.name == name and not one.specifier.contains(version, prereleases=True):
            return f"{name} {version}, made for {one.specifier}"
    return ""


def needs(*extras: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A function that refuses to begin where a module of one of the extras is missing.

    For functions that import such a module only after other work.

    Examples:
        >>> @needs("search")
        ... def demo() -> str:
        ...     return "searched"
        >>> demo()
        'searched'
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def checked(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
            for module in (module for extra in extras for module in EXTRAS[extra]):
                if find_spec(module) is None:
                    raise ConfigError(explain_missing(ModuleNotFoundError(name=module)))
            return function(*arguments, **options)

        return checked

    return decorate
