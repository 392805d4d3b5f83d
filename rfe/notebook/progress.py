"""Progress below a notebook's cell; in a terminal what the command line shows."""

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from rfe.progress import Progress, SearchStatus, SilentProgress, open_progress, stage_view

INTERVAL_S = 0.25
WIDTH = 100
HTML = "<pre style='line-height:1.3;margin:0;font-family:Menlo,DejaVu Sans Mono,Consolas,monospace'>{code}</pre>"


class NotebookProgress:
    """One block of the cell's output that is redrawn in place; uses no widgets, so that it is saved with the file."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._stays: list[RenderableType] = []
        self._stage: tuple[str, int | None] | None = None
        self._status: SearchStatus | int = 0
        self._drawn = 0.0
        self._handle: Any = None

    def start(self, title: str, total: int | None = None) -> None:
        self._end_stage()
        self._stage, self._status = (title, total), 0
        self._draw()

    def update(self, status: SearchStatus | int) -> None:
        self._status = status
        if time.monotonic() - self._drawn >= self._interval_s:
            self._draw()

    def note(self, line: str) -> None:
        self._stays.append(Text(line, style="dim"))
        self._draw()

    def close(self) -> None:
        if self._stage is not None:
            self._end_stage()
            self._draw()

    def _end_stage(self) -> None:
        if self._stage is not None:
            self._stays.append(self._view(self._stage))
            self._stage = None

    def _view(self, stage: tuple[str, int | None]) -> RenderableType:
        return stage_view(stage[0], self._status, stage[1])

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        now = [] if self._stage is None else [self._view(self._stage)]
        shown = render([*self._stays, *now])
        if self._handle is None:
            ipython: Any = import_module("IPython.display")  # where this form is chosen, it is loaded already
            self._handle = ipython.display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def render(parts: list[RenderableType]) -> dict[str, str]:
    """MIME type -> what is drawn."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False, color_system="truecolor")
    console.print(Group(*parts))
    html = console.export_html(inline_styles=True, code_format=HTML, clear=False)
    return {"text/html": html, "text/plain": console.export_text()}


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this.

    Examples:
        >>> in_notebook()
        False
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


@contextmanager
def shown_progress(wanted: Progress | bool) -> Iterator[Progress]:
    """The progress to give to `rfe.api`, closed when the block ends; False: none, True: as fits where it runs.

    Examples:
        >>> with shown_progress(False) as progress:
        ...     progress is None
        False
    """
    if not isinstance(wanted, bool):
        progress = wanted
    elif not wanted:
        progress = SilentProgress()
    else:
        progress = NotebookProgress() if in_notebook() else open_progress()
    try:
        yield progress
    finally:
        progress.close()
