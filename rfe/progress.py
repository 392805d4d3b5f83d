"""Live progress of a long command, passed in as `progress=`: on a terminal, as plain lines, or silent."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO, cast

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rfe.formatting import format_value

PLAIN_INTERVAL_S = 30.0
SHOWN_SETTINGS = 6
BAR = 28
"""Characters: with rate and times beside it the line fits 80 columns."""


@dataclass(frozen=True)
class SearchStatus:
    """A search at one moment. `done` counts complete trials; pruned and failed ones are counted apart."""

    total: int
    done: int = 0
    running: int = 0
    pruned: int = 0
    failed: int = 0
    best_score: float | None = None
    best_number: int | None = None
    best_config: Mapping[str, Any] = field(default_factory=dict)
    """Dotted name -> value; give what was searched, not every default."""
    workers: int = 0
    """Alive, whether they train or wait."""
    epochs: tuple[int, ...] = ()
    """Epochs done of each trial in training, fewest first."""
    elapsed_s: float = 0.0
    """Since this command began."""
    resumed: int = 0
    """Trials that were finished before this command began."""
    deadline_s: float | None = None
    """Seconds left of a budget in hours, if there is one."""

    @property
    def finished(self) -> int:
        return self.done + self.pruned + self.failed

    @property
    def rate_per_minute(self) -> float | None:
        """Finished trials per minute of this command; None before the first."""
        new = self.finished - self.resumed
        return 60.0 * new / self.elapsed_s if new > 0 and self.elapsed_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Estimated seconds to the end: by the rate, and never past the deadline."""
        rate = self.rate_per_minute
        by_rate = 60.0 * max(0, self.total - self.finished) / rate if rate else None
        known = [seconds for seconds in (by_rate, self.deadline_s) if seconds is not None]
        return min(known) if known else None


class Progress(Protocol):
    """Reports progress of a long command. A command calls `start`, then `update` and `note`, then `close`."""

    def start(self, title: str, total: int | None = None) -> None:
        """Begin a stage of `total` steps; a stage that was open ends."""

    def update(self, status: "SearchStatus | int") -> None:
        """Where the stage stands: a search's status, or how many steps are done."""

    def note(self, line: str) -> None:
        """One line that stays on screen."""

    def close(self) -> None: ...


class SilentProgress:
    """Reports nothing."""

    def start(self, title: str, total: int | None = None) -> None:
        pass

    def update(self, status: SearchStatus | int) -> None:
        pass

    def note(self, line: str) -> None:
        pass

    def close(self) -> None:
        pass


class LastingStream:
    """A text stream whose end is no error: a closed terminal, or a pipe that nothing reads any more, costs what would
    have been shown, and not the work that is shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # the latter of a stream that was closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class PlainProgress:
    """Plain lines at intervals, for log files and pipes."""

    def __init__(self, stream: TextIO | None = None, interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._interval_s = interval_s
        self._title = ""
        self._total: int | None = None
        self._status: SearchStatus | int | None = None
        self._said: SearchStatus | int | None = None
        self._last = 0.0

    def start(self, title: str, total: int | None = None) -> None:
        self._end_stage()
        self._title, self._total, self._status, self._said = title, total, None, None
        self._last = time.monotonic()
        self._write(title)

    def update(self, status: SearchStatus | int) -> None:
        self._status = status
        if time.monotonic() - self._last >= self._interval_s:
            self._say()

    def note(self, line: str) -> None:
        self._write(line)

    def close(self) -> None:
        self._end_stage()
        self._title, self._status = "", None

    def _end_stage(self) -> None:
        if self._status is not None and self._status != self._said:
            self._say()

    def _say(self) -> None:
        assert self._status is not None
        self._last, self._said = time.monotonic(), self._status
        if isinstance(self._status, SearchStatus):
            self._write(f"{self._title}: {status_line(self._status)}")
        else:
            self._write(f"{self._title}: {self._status}" + (f" of {self._total}" if self._total else ""))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class TerminalProgress:
    """A few lines that are redrawn in place; `note` lines scroll past above them."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else Console(stderr=True)
        self._live: Live | None = None
        self._title = ""
        self._total: int | None = None

    def start(self, title: str, total: int | None = None) -> None:
        self.close()
        self._title, self._total = title, total
        self._live = Live(stage_view(title, 0, total), console=self._console, refresh_per_second=4)
        self._live.start()

    def update(self, status: SearchStatus | int) -> None:
        if self._live is not None:
            self._live.update(stage_view(self._title, status, self._total))

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def open_progress(*, quiet: bool = False) -> Progress:
    """The form that fits where standard error goes: silent if `quiet`, live on a terminal, else plain lines."""
    if quiet or sys.stderr is None:  # the latter with 2>&-
        return SilentProgress()
    stream = cast(TextIO, LastingStream(sys.stderr))
    console = Console(file=stream)
    return TerminalProgress(console) if console.is_terminal else PlainProgress(stream)


def stage_view(title: str, status: SearchStatus | int, total: int | None = None) -> RenderableType:
    """What is redrawn in place of one stage: a search's block, or title, steps and a bar."""
    if isinstance(status, SearchStatus):
        return search_view(title, status)
    line = Text(title, style="bold")
    if not total:
        return line
    line.append(f"  {status} of {total}", style="default")
    return Group(line, Bar(total, 0, min(status, total), width=40, color="cyan", bgcolor="grey23"))


def search_view(title: str, status: SearchStatus) -> RenderableType:
    """A search's block: bar, counts, best so far with its configuration, rate, time left."""
    counts = Text.assemble(
        (f"{status.done:,} done", "green"),
        (f"  {status.running:,} running{_at_epochs(status)}", "cyan"),
        (f"  {status.pruned:,} pruned", "yellow" if status.pruned else "dim"),
        (f"  {status.failed:,} failed", "bold red" if status.failed else "dim"),
        (f"  on {status.workers} worker{'' if status.workers == 1 else 's'}" if status.workers else "", "dim"),
    )
    head = Text.assemble((title, "bold"), f"  {status.finished:,} of {status.total:,}")
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Bar(max(1, status.total), 0, min(status.finished, status.total), width=BAR, color="cyan", bgcolor="grey23"),
        Text(pace(status), style="dim"),
    )
    best = Text("best so far: none yet", style="dim")
    if status.best_score is not None:
        best = Text.assemble(
            "best so far: ",
            (f"{status.best_score:.3f}", "bold green"),
            "" if status.best_number is None else f" (trial {status.best_number})",
            ("  " + short_config(status.best_config), "dim"),
        )
    return Group(head, bar, counts, best)


def status_line(status: SearchStatus) -> str:
    """A search's status as one plain line."""
    parts = [
        f"{status.finished} of {status.total} trials",
        f"{status.done} done, {status.running} running{_at_epochs(status)}, "
        f"{status.pruned} pruned, {status.failed} failed",
    ]
    if status.best_score is not None:
        where = "" if status.best_number is None else f" (trial {status.best_number})"
        config = short_config(status.best_config)
        parts.append(f"best {status.best_score:.3f}{where}" + (f": {config}" if config else ""))
    parts.append(pace(status))
    return " | ".join(part for part in parts if part)


def _at_epochs(status: SearchStatus) -> str:
    """How far the trials in training are: what moves before the first result."""
    if not status.epochs:
        return ""
    first, last = status.epochs[0], status.epochs[-1]
    return f" (epoch {first})" if first == last else f" (epochs {first} to {last})"


def pace(status: SearchStatus) -> str:
    """Rate and times, e.g. `12.5 a minute, 2 min so far, 6 min left`."""
    rate, left = status.rate_per_minute, status.left_s
    parts = [f"{rate:.3g} a minute"] if rate else []
    parts.append(f"{duration(status.elapsed_s)} so far")
    if left is not None and status.finished < status.total:
        parts.append(f"{'' if rate else 'at most '}{duration(left)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3 h 05 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def short_config(config: Mapping[str, Any]) -> str:
    """The first few settings by their last name: `n_kept 3, kind coral, lr 0.0012, and 4 more`."""
    values = {name: format_value(value, ".3g", "+") or "none" for name, value in list(config.items())[:SHOWN_SETTINGS]}
    shown = [f"{_short_name(name)} {value}" for name, value in values.items()]
    hidden = len(config) - len(shown)
    return ", ".join(shown) + (f", and {hidden} more" if hidden > 0 else "")


def _short_name(name: str) -> str:
    parts = name.split(".")
    # `kind` and its like say nothing alone
    return " ".join(parts[-2:]) if parts[-1] in ("kind", "strength", "noise") and len(parts) > 1 else parts[-1]
