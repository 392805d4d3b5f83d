"""The live page at 10, 1,000 and 10,000 trials: bytes, seconds until it is drawn, and what a refresh costs.

`python -m tests.evidence.run_watch_page`; needs chromium. The journals are made up. A refresh is what the program does
of it while one trial has ended since the last: CPU seconds of reading the journal's new lines and making the answer.
"""

import gzip
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from rfe.journal.records import as_json
from rfe.reporting.watch.page import watch_html
from rfe.reporting.watch.study import WatchedStudy
from rfe.workspace import StudyFolder
from tests.browser.conftest import CHROMIUM
from tests.evidence.simulated import SCRATCH, table, write_report
from tests.unit.reporting.watch.journals import append, trial_line, write_study

SIZES = (10, 1_000, 10_000)
REFRESHES, EVERY_S = 40, 5
DRAW_S = 60.0
CONFIG = {"train.lr": 3e-3, "model.dropout": 0.1}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rfe-") as scratch:
        rows = [measure(Path(scratch) / str(n), n) for n in SIZES]
    header = ["trials", "kB", "kB, gzip", "s until drawn", "refresh, ms", f"share of a core at {EVERY_S} s"]
    body = f"""Median of {REFRESHES} refreshes; of drawing, the median of three loads in headless Chromium.

{table(header, rows)}"""
    print(write_report("watch_page", "The live page", body).read_text())


def measure(root: Path, n: int) -> list[str]:
    """A row of the table."""
    study = write_study(root, n)
    watched = WatchedStudy(study)
    page = watch_html(as_json(watched.payload()), every_s=0, served=False)
    file = SCRATCH / "watch_page" / f"{n}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page)
    refresh_s = statistics.median(refresh(watched, study, n + one) for one in range(REFRESHES))
    size, packed = len(page.encode()), len(gzip.compress(page.encode(), 1))
    drawn_s = statistics.median(draw(file, n) for _ in range(3))
    return [
        f"{n:,}", f"{size / 1000:.0f}", f"{packed / 1000:.0f}", f"{drawn_s:.1f}", f"{1000 * refresh_s:.1f}",
        f"{refresh_s / EVERY_S:.2%}",
    ]  # fmt: skip


def refresh(watched: WatchedStudy, study: StudyFolder, number: int) -> float:
    """CPU seconds of one refresh after one more trial."""
    changes = watched.payload()["changes"]
    append(study, [trial_line(study, number, CONFIG, random.Random(number))])
    began = time.process_time()
    json.dumps(as_json(watched.payload(number, changes)), allow_nan=False, ensure_ascii=False).encode()
    return time.process_time() - began


def draw(file: Path, n: int) -> float:
    """Seconds from asking for the file to the page saying that it is drawn."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as library:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = library.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        began = time.perf_counter()
        page.goto(file.absolute().as_uri(), wait_until="commit")
        while page.evaluate("document.documentElement && document.documentElement.dataset.drawn") != str(n):
            if time.perf_counter() - began > DRAW_S:
                raise TimeoutError(f"the page of {n} trials is not drawn after {DRAW_S:.0f} s")
            page.wait_for_timeout(20)
        took_s = time.perf_counter() - began
        browser.close()
    return took_s


if __name__ == "__main__":
    main()
