"""The example notebook: made of its script, executed, kept with what it showed.

python -m tests.docs.notebook        # remakes docs/first_study.ipynb; minutes
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

from tests.docs.blocks import ROOT

SCRIPT = ROOT / "docs/first_study.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
CELL_S = 600


def read_script() -> Any:
    """The notebook of the script, not executed; a cell's id is its place."""
    notebook = jupytext.read(SCRIPT)
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place}"
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


def execute(folder: Path) -> Any:
    """The notebook executed in an empty folder, whose workspace it then holds.

    Raises:
        CellExecutionError: a cell raised.
    """
    notebook = read_script()
    os.environ["RFE_WORKSPACE"] = str(folder / "rfe-workspace")  # inherited by the kernel
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # the kernel of this interpreter, whatever is installed for the user
    client = NotebookClient(
        notebook,
        timeout=CELL_S,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        kernel_name="python3",
    )
    return client.execute()


def make(path: Path = NOTEBOOK) -> None:
    """Write the executed notebook."""
    with tempfile.TemporaryDirectory(prefix="rfe-notebook-") as folder:
        notebook = execute(Path(folder))
        text = nbformat.writes(notebook).replace(folder, ".")
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(*map(Path, sys.argv[1:]))
