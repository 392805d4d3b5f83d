import io

import pytest
from rich.console import Console

from rfe.progress import (
    PlainProgress,
    Progress,
    SearchStatus,
    SilentProgress,
    TerminalProgress,
    duration,
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
