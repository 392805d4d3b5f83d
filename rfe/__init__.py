"""Search, ablate and hand in models that fuse many encoders to recognise blended emotions.

In a notebook:

    import rfe
    data = rfe.load_data("my-data")
    study = rfe.search("everything", data, trials=50)
    study.trials                                # pandas
    rfe.ablate("components", base=study).arms
    rfe.ensemble(study).export("final.zip")

The command line is `rfe`; the same from Python, one function per command, is `rfe.api`.
"""

import sys
from importlib import import_module
from inspect import Signature, signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rfe.api as api
    from rfe.notebook import (
        Ablation,
        Data,
        Ensemble,
        Study,
        ablate,
        ensemble,
        fit,
        list_studies,
        load_data,
        open_study,
        predict,
        search,
    )

__version__ = "0.1.0"
__all__ = [
    "Ablation",
    "Data",
    "Ensemble",
    "Study",
    "__version__",
    "ablate",
    "api",
    "ensemble",
    "fit",
    "list_studies",
    "load_data",
    "open_study",
    "predict",
    "search",
]


VERBS = ("ensemble", "search")
"""Names of subpackages that are functions too."""


class _Verb(ModuleType):
    """A subpackage that can be called: `rfe.search(...)` searches, `rfe.search.driver` is a module all the same."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*args, **options)

    @property
    def _function(self) -> Any:
        return getattr(import_module("rfe.notebook"), self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> Signature:
        return signature(self._function)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return import_module, (self.__name__,)


class _Package(ModuleType):
    """This package; an imported module of the name of one of `VERBS` is bound here as a function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in VERBS and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    # loaded when first used: workers and `import rfe.training` need none of it
    if name == "api" or name in VERBS:
        return import_module(f"rfe.{name}")
    if name in __all__:
        return getattr(import_module("rfe.notebook"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
