"""The example notebook runs, and what is kept of it is of its script."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.docs.notebook import NOTEBOOK, execute, read_script


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _errors(notebook: Any) -> list[str]:
    return [out.ename for cell in _code(notebook) for out in cell.outputs if out.output_type == "error"]


def _complaints(notebook: Any) -> list[str]:
    """What libraries wrote about the machine it ran on."""
    return [out.text for cell in _code(notebook) for out in cell.outputs if out.get("name") == "stderr"]


def test_the_kept_notebook_is_its_scripts_and_shows_results() -> None:
    kept, script = nbformat.read(NOTEBOOK, as_version=4), read_script()
    nbformat.validate(kept)
    assert [cell.source for cell in kept.cells] == [cell.source for cell in script.cells]
    assert not _errors(kept)
    assert not _complaints(kept)
    assert all(cell.outputs for cell in _code(kept))
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert "/tmp" not in text
    assert len(text) < 200_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RFE_WORKSPACE", "PYTHONPATH"):
        monkeypatch.setenv(name, "")  # put back afterwards
    notebook = execute(tmp_path)
    assert not _errors(notebook)
    assert not _complaints(notebook)
    *_, predicted, exported = _code(notebook)
    assert "text/html" in predicted.outputs[0].data
    assert exported.outputs[0].text == "final.zip\n"
    assert exported.outputs[-1].data["text/plain"] == "True"
    html = [
        out.data["text/html"] for cell in _code(notebook) for out in cell.outputs if "text/html" in out.get("data", {})
    ]
    for part in ("10 of 10", "best so far", "study first: finished", "one encoder a clip", "score_nested"):
        assert any(part in one for one in html), part
    assert (tmp_path / "rfe-workspace/studies/first/journal.jsonl").is_file()
