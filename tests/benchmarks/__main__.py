"""Every benchmark but the throughput of whole searches.

`python -m tests.benchmarks [--rounds 7] [--gpu] [-o FOLDER] [PART...]`

Writes a table (Markdown and CSV), the step's profile and the figures of cost to FOLDER (`reports/benchmarks`).
"""

import argparse
import csv
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from tests.benchmarks.around import around_rows
from tests.benchmarks.engine import engine_rows
from tests.benchmarks.full_size import full_size_rows
from tests.benchmarks.gpu import gpu_rows
from tests.benchmarks.profiling import profile_step
from tests.benchmarks.rows import Row
from tests.benchmarks.scaling import scaling_rows
from tests.benchmarks.searching import search_rows
from tests.evidence.simulated import table

PARTS = ("engine", "around", "scaling", "full", "search")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all if none")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each comparison")
    parser.add_argument("--gpu", action="store_true", help="rows of this machine's GPU too")
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/benchmarks"))
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if chosen.gpu and not torch.cuda.is_available():
        parser.error("--gpu: torch sees no GPU here; leave it out, or install a build of torch for the GPU")
    work: dict[str, Callable[[], Iterator[Row]]] = {
        "engine": partial(engine_rows, chosen.rounds),
        "around": partial(around_rows, chosen.rounds),
        "scaling": partial(scaling_rows, chosen.output),
        "full": full_size_rows,
        "search": search_rows,
        "gpu": partial(gpu_rows, chosen.rounds),
    }
    rows: list[Row] = []
    began = time.perf_counter()
    for name in [*(chosen.parts or PARTS), *(["gpu"] if chosen.gpu else [])]:
        for row in work[name]():
            rows.append(row)
            print(f"{time.perf_counter() - began:5.0f} s  {row.measure}: {row.found} {row.ratio}", flush=True)
    write(rows, profile_step(chosen.output), chosen.output)


def write(rows: list[Row], largest: list[str], output: Path) -> None:
    """`README.md` and `results.csv`."""
    header = ["measure", "found", "against", "ratio", "target", "met"]
    words = {True: "yes", False: "no", None: ""}
    lines = [[one.measure, one.found, one.against, one.ratio, one.target, words[one.met]] for one in rows]
    text = [
        "# Benchmarks",
        "`python -m tests.benchmarks`",
        "Made-up features of each size (what a step takes does not depend on values), float32, H 64 (demo) or 128, "
        "batch 64. Both sides of a ratio have the same features, batch, steps, precision and one thread, and take "
        "turns: medians over rounds after a warm-up, and a ratio is the median of each round's (smallest to largest). "
        "The plain loop is one model on one fold, data in memory, fused AdamW. Scores of both sides: `throughput`.",
        table(header, lines),
        "The largest items of a step (demo size, stack of 40; the others in `step-profile.txt`): "
        f"{'; '.join(largest)}.",
        f"Whole searches: `throughput`. {os.cpu_count()} CPUs ({platform.machine()}), torch {torch.__version__}, "
        f"Python {platform.python_version()}.",
    ]
    output.mkdir(parents=True, exist_ok=True)
    (output / "README.md").write_text("\n\n".join(text) + "\n")
    with (output / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([header, *lines])


if __name__ == "__main__":
    main()
