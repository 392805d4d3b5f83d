"""Progress below a cell, with a stand-in for IPython's display."""

from typing import Any

import pytest

from rfe.notebook.progress import NotebookProgress, in_notebook, shown_progress
from rfe.progress import PlainProgress, SearchStatus, SilentProgress


class Screen:
    """What a frontend does with `display(..., display_id=True)`: one output, replaced by each update."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.blocks = 0

    def display(self, content: dict[str, str], *, raw: bool, display_id: bool) -> "Screen":
        assert raw
        assert display_id
        self.blocks += 1
        self.shown.append(content)
        return self

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(content)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    pytest.importorskip("IPython")
    screen = Screen()
    monkeypatch.setattr("IPython.display.display", screen.display)
    return screen


def test_one_block_is_redrawn_and_keeps_stages_and_notes(screen: Screen) -> None:
    progress = NotebookProgress(interval_s=0)
    progress.start("copying", 3)
    progress.update(3)
    progress.note("worker 2 <lost>")
    progress.start("search", 20)
    progress.update(SearchStatus(total=20, done=7, best_score=0.31, best_number=4))
    progress.close()
    progress.close()
    assert screen.blocks == 1
    text, html = screen.shown[-1]["text/plain"], screen.shown[-1]["text/html"]
    assert [line.split("  ")[0] for line in text.splitlines() if line.startswith(("copying", "worker", "search"))] == [
        "worker 2 <lost>",
        "copying",
        "search",
    ]
    assert "7 of 20" in text
    assert "0.310 (trial 4)" in text
    assert "&lt;lost&gt;" in html
    assert html.startswith("<pre")


def test_it_is_not_redrawn_for_every_step(screen: Screen) -> None:
    progress = NotebookProgress(interval_s=1000)
    progress.start("copying", 100)
    for step in range(100):
        progress.update(step + 1)
    progress.close()
    assert len(screen.shown) == 2
    assert "100 of 100" in screen.shown[-1]["text/plain"]


@pytest.mark.parametrize(("wanted", "kind"), [(True, PlainProgress), (False, SilentProgress)])
def test_outside_of_a_notebook_it_is_the_terminals(wanted: Any, kind: type) -> None:
    assert not in_notebook()
    with shown_progress(wanted) as progress:
        assert isinstance(progress, kind)
