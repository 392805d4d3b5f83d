import io
import os
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from rfe.progress import (
    PlainProgress,
    Progress,
    SearchStatus,
    SilentProgress,
    TerminalProgress,
    duration,
    open_progress,
    search_view,
    short_config,
    status_line,
)

STATUS = SearchStatus(
    total=200,
    done=71,
    running=4,
    pruned=12,
    failed=2,
    best_score=0.3127,
    best_number=42,
    best_config={"pool": ["clip", "wavlm"], "model.n_kept": 3, "adaptation.kind": "coral", "train.lr": 0.001234},
    workers=2,
    elapsed_s=300,
    resumed=60,
)


def test_rate_counts_only_this_command() -> None:
    assert STATUS.rate_per_minute == pytest.approx((85 - 60) / 5)
    assert STATUS.left_s == pytest.approx(60 * (200 - 85) / 5)
    assert SearchStatus(total=10, done=5, resumed=5, elapsed_s=9).rate_per_minute is None


def test_time_left_never_passes_the_deadline() -> None:
    assert SearchStatus(total=100, done=1, elapsed_s=60, deadline_s=30).left_s == 30
    assert SearchStatus(total=100, deadline_s=30).left_s == 30
    assert SearchStatus(total=100).left_s is None


def test_status_line_says_it_all() -> None:
    line = status_line(STATUS)
    assert "85 of 200 trials | 71 done, 4 running, 12 pruned, 2 failed | best 0.313 (trial 42): " in line
    assert "pool clip+wavlm, n_kept 3, adaptation kind coral, lr 0.00123" in line
    assert "5 a minute, 5 min so far, 23 min left" in line


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("trials", [10, 1000])
def test_the_screen_fits_at_any_size(trials: int, width: int) -> None:
    share = trials // 10
    status = replace(
        STATUS, total=trials, done=6 * share, pruned=2 * share, failed=share, running=4 * share, workers=16, resumed=0
    )
    status = replace(status, elapsed_s=15_000.0, deadline_s=720_000.0, epochs=(1, 40))
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(search_view("search everything-on-real-data", status))
    title, bar, counts, *best = capture.get().splitlines()
    assert f"{9 * share:,} of {trials:,}" in title
    assert bar.rstrip().endswith("left")  # nothing of the line went to the next
    assert counts == (
        f"{6 * share:,} done  {4 * share:,} running (epochs 1 to 40)  "
        f"{2 * share:,} pruned  {share:,} failed  on 16 workers"
    )
    assert " ".join(best).startswith("best so far: 0.313 (trial 42)  pool clip+wavlm")


def test_trials_in_training_show_that_something_moves() -> None:
    assert "4 running (epochs 3 to 17)" in status_line(replace(STATUS, epochs=(3, 9, 17)))
    assert "4 running (epoch 3)" in status_line(replace(STATUS, epochs=(3, 3)))
    assert "4 running," in status_line(STATUS)


def test_short_config_hides_the_rest() -> None:
    assert short_config({f"a.x{i}": i for i in range(9)}).endswith("x5 5, and 3 more")
    assert short_config({}) == ""


def test_duration() -> None:
    assert [duration(s) for s in (0, 99, 150, 7500)] == ["0 s", "99 s", "2 min", "2 h 05 min"]


def test_plain_progress_says_little_but_always_the_last() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream, interval_s=1000)
    progress.start("Search", 200)
    for done in range(5):
        progress.update(SearchStatus(total=200, done=done))
    progress.note("a note")
    progress.close()
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["Search", "a note"]
    assert len(lines) == 3
    assert lines[2].startswith("Search: 4 of 200 trials")


def test_plain_progress_speaks_each_interval() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream, interval_s=0)
    progress.start("Copy", 3)
    for done in (1, 2, 3):
        progress.update(done)
    progress.close()
    assert stream.getvalue().splitlines() == ["Copy", "Copy: 1 of 3", "Copy: 2 of 3", "Copy: 3 of 3"]


def test_terminal_progress_shows_the_best_and_keeps_notes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, record=True)
    progress = TerminalProgress(console)
    progress.start("Search fusion", 200)
    progress.update(STATUS)
    progress.note("worker 2 [lost]")
    progress.close()
    text = console.export_text()
    for part in ("Search fusion", "85 of 200", "71 done", "2 failed", "0.313", "trial 42", "worker 2 [lost]"):
        assert part in text


@pytest.mark.parametrize("progress", [SilentProgress(), PlainProgress(io.StringIO())])
def test_any_order_of_calls_is_harmless(progress: Progress) -> None:
    progress.update(1)
    progress.note("x")
    progress.close()
    progress.start("a")
    progress.start("b", 2)
    progress.update(2)
    progress.close()


def test_a_stream_that_ends_costs_what_would_be_shown_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: BrokenPipeError, or error 5 of a closed terminal, ended the search in its middle."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        progress = open_progress()
        progress.start("search")
        progress.note("a line that goes nowhere")
        progress.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    progress.note("nor does one after the end")


def test_standard_error_that_was_closed_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: AttributeError, an internal error, with `rfe search ... 2>&-`."""
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(open_progress(), SilentProgress)
