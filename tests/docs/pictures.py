"""The README's pictures, taken of a real search on simulated data.

    python -m tests.docs.pictures [--workspace DIR] [terminal] [mlflow] [report]

Minutes where the workspace has no study `first` yet. Needs Chromium, but for `terminal`.
"""

import argparse
import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from rfe.tracking.ui import open_ui, study_pages
from rfe.workspace import Workspace, open_workspace
from tests.docs.blocks import ROOT

PICTURES = ROOT / "docs/pictures"
STUDY = "first"
COLUMNS = 124
COLOURS = 160
SIZE = {"width": 1360, "height": 800}
FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)
PATIENCE_S = 300


def rfe(*words: str) -> list[str]:
    return [sys.executable, "-m", "rfe", *words]


def prepare(workspace: Workspace) -> None:
    """A study to take pictures of, and its data beside the workspace."""
    if workspace.study(STUDY).outcome.is_file():
        return
    workspace.root.mkdir(parents=True, exist_ok=True)
    data = workspace.root.parent / "sim"
    if not (data / "truth.json").is_file():  # written last
        size = ("--actors", "10", "--test-actors", "3", "--clips-per-actor", "30")
        subprocess.run(rfe("data", "simulate", "--output", str(data), *size), check=True)
    budget = ("--trials", "24", "--set", "confirm.top=2", "--set", "confirm.seeds=3")
    words = ("search", "everything", "--study", STUDY, "--data", str(data), *budget)
    command = rfe(*words, "--workspace", str(workspace.root))
    subprocess.run(command, check=True)


def terminal(workspace: Workspace) -> None:
    """What a terminal shows of the study, as SVG."""
    words = ("studies", "show", STUDY, "--top", "5")
    said = record(rfe(*words, "--workspace", "rfe-workspace"), workspace.root.parent)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), f"rfe {' '.join(words)}"))
    console.print(Text.from_ansi(said.replace(str(workspace.root.parent), "/home/me")), soft_wrap=True)
    svg = console.export_svg(title="rfe", theme=MONOKAI, unique_id="rfe")
    # the fonts would come from elsewhere; a reader has a monospaced one
    (PICTURES / "terminal.svg").write_text(FONT_FACE.sub("", svg), encoding="utf-8")


def record(command: list[str], folder: Path) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    environment |= {"COLORTERM": "truecolor"}
    link = folder / "rfe-workspace"
    assert link.is_dir(), f"{link}: the workspace's folder must be called rfe-workspace, as a reader's is"
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment, cwd=folder) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # how a terminal's other end says that it is closed
            while piece := os.read(ours, 65536):
                said += piece
        os.close(ours)
    assert process.returncode == 0, said.decode()
    return said.decode().replace("\r\n", "\n").rstrip()


def mlflow(workspace: Workspace) -> None:
    """The study's trials in MLflow, as `rfe ui` opens them."""
    with open_ui(workspace, note=lambda line: None) as address:
        table = dict(study_pages(workspace, address))[STUDY]
        with open_page() as page:
            page.set_viewport_size({"width": 1700, "height": 800})
            page.goto(table)
            page.get_by_role("link", name="trial 00").first.wait_for()
            for button in page.locator("button[data-component-id='mlflow.assistant.chat_panel.close']").all():
                button.click()  # it hides columns
            page.wait_for_timeout(3_000)
            take(page, "mlflow")


def report(workspace: Workspace) -> None:
    """The first screen of the study's report."""
    with tempfile.TemporaryDirectory(prefix="rfe-") as scratch:
        output = Path(scratch) / "report"
        command = rfe("report", STUDY, "--output", str(output), "--workspace", str(workspace.root))
        subprocess.run(command, check=True)
        with open_page() as page:
            page.goto((output / "report.html").as_uri(), wait_until="commit")
            page.wait_for_selector("html[data-drawn]")
            page.wait_for_timeout(5_000)
            take(page, "report")


@contextmanager
def open_page() -> Iterator[Any]:
    """A page of headless Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "no chromium on this machine: apt-get install chromium"
    with sync_playwright() as library:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = library.chromium.launch(executable_path=chromium, args=flags, timeout=120_000)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(1000 * PATIENCE_S)
        yield page
        browser.close()


def take(page: Any, name: str) -> None:
    """Keep what the page shows, with few colours: a reader's browser loads it."""
    whole = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


def main() -> None:
    kinds: dict[str, Callable[[Workspace], None]] = {"terminal": terminal, "mlflow": mlflow, "report": report}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help=", ".join(kinds))
    parser.add_argument("--workspace", type=Path, help="a folder called rfe-workspace; default: one that is not kept")
    given = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rfe-pictures-") as scratch:
        workspace = open_workspace(given.workspace or Path(scratch) / "rfe-workspace")
        prepare(workspace)
        for kind in given.kinds or kinds:
            kinds[kind](workspace)


if __name__ == "__main__":
    main()
