"""Simulated sets and a small writer that the evidence scripts share."""

import json
import platform
from pathlib import Path
from typing import Any

import torch

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.simulate import SimulationSpec, simulate

SCRATCH = Path("rfe-workspace/evidence")
REPORTS = Path("reports/evidence")


def simulated_set(**spec: Any) -> tuple[Dataset, FeatureCache, dict[str, Any]]:
    """A simulated data set, its cache and its truth; made once under `SCRATCH`."""
    name = "-".join(f"{key}_{value}" for key, value in sorted(spec.items())) or "default"
    folder = SCRATCH / "data" / name
    if not (folder / "truth.json").exists():
        simulate(SimulationSpec(**spec), folder)
    dataset = load_dataset(folder)
    return dataset, FeatureCache(dataset, SCRATCH / "cache"), simulated_truth(folder)


def simulated_truth(folder: Path) -> dict[str, Any]:
    """What was planted in a simulated set."""
    truth: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    return truth


def conditions(data: str = "Simulated data.") -> str:
    """What the numbers were made with, in a line."""
    return (
        f"{data} CPU ({platform.machine()}), float32, torch {torch.__version__}, Python "
        f"{platform.python_version()}. Made by the script named above; rerun it to get the same numbers."
    )


def report_folder(name: str, *, tiny: bool = False) -> Path:
    """`reports/evidence/NAME`; of a tiny run, which only shows that the script works, one that is not kept."""
    return SCRATCH / f"{name}-tiny" if tiny else REPORTS / name


def write_report(name: str, title: str, body: str, *, tiny: bool = False, data: str = "Simulated data.") -> Path:
    """`README.md` in the report's folder."""
    folder = report_folder(name, tiny=tiny)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "README.md"
    text = f"# {title}\n\n`python -m tests.evidence.run_{name}`\n\n{body.strip()}\n\n{conditions(data)}\n"
    path.write_text(text)
    return path


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
