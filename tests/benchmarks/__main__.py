"""Every benchmark but the throughput of whole searches.

`python -m tests.benchmarks [--rounds 15] [--gpu] [-o FOLDER] [PART...]`

Writes a table (Markdown and CSV), the step's profile and the figures of cost to FOLDER (`reports/benchmarks`).
"""

import argparse
import csv
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from tests.benchmarks.profiling import profile_step
from tests.benchmarks.rows import Row
from tests.evidence.simulated import table

PARTS = ("engine", "around", "scaling", "full", "search")
GPU_PART = "gpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join((*PARTS, GPU_PART))}; none: all but the last")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each comparison")
    parser.add_argument("--gpu", action="store_true", help="rows of this machine's GPU too")
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/benchmarks"))
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - {*PARTS, GPU_PART}:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join((*PARTS, GPU_PART))}")
    parts = dict.fromkeys([*(chosen.parts or PARTS), *([GPU_PART] if chosen.gpu else [])])
    if GPU_PART in parts and not torch.cuda.is_available():
        parser.error("no GPU that torch sees is here; leave it out, or install a build of torch for the GPU")
    rows: list[Row] = []
    began = time.perf_counter()
    for part in parts:
        for row in rows_of(part, chosen.rounds, chosen.output):
            rows.append(row)
            print(f"{time.perf_counter() - began:5.0f} s  {row.measure}: {row.found} {row.ratio}", flush=True)
    profiles = []
    if "engine" in parts:
        profiles.append(profile_step(chosen.output, torch.device("cpu")))
    if GPU_PART in parts:
        from tests.benchmarks.gpu import CONFIGS, SIZE

        profiles.append(profile_step(chosen.output, torch.device("cuda"), SIZE, CONFIGS))
    write(rows, profiles, chosen.output)


def rows_of(part: str, rounds: int, output: Path) -> Iterator[Row]:
    """The part's rows, one by one; each part imports what it needs, and the GPU's needs no Ray, Optuna or MLflow."""
    if part == "engine":
        from tests.benchmarks.engine import engine_rows

        return engine_rows(rounds)
    if part == "around":
        from tests.benchmarks.around import around_rows

        return around_rows(rounds)
    if part == "scaling":
        from tests.benchmarks.scaling import scaling_rows

        return scaling_rows(output)
    if part == "full":
        from tests.benchmarks.full_size import full_size_rows

        return full_size_rows()
    if part == "search":
        from tests.benchmarks.searching import search_rows

        return search_rows()
    from tests.benchmarks.gpu import gpu_rows

    return gpu_rows(rounds)


def write(rows: list[Row], profiles: list[str], output: Path) -> None:
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
        *profiles,
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
