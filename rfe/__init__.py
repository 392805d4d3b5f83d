"""Search, ablate and hand in models that fuse many encoders to recognise blended emotions.

The command line is `rfe`; the same from Python, one function per command, is `rfe.api`:

    import rfe
    outcome = rfe.api.search("search_spaces/everything.yaml", "my-data", trials=50)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rfe.api as api

__version__ = "0.1.0"
__all__ = ["__version__", "api"]


def __getattr__(name: str) -> Any:
    # loaded when first used: workers and `import rfe.training` need none of it
    if name == "api":
        return import_module("rfe.api")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
