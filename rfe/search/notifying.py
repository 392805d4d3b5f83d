"""Sends notifications about a study from its journal, on a separate thread; a search waits for it only at its end.

What fails here is one line of warning.
"""

import os
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rfe.config.fields import problems_of
from rfe.config.reading import read_yaml
from rfe.config.schema import Section
from rfe.errors import ConfigError, gather
from rfe.journal.records import Record, trial_end
from rfe.search.budget import SESSION
from rfe.search.channels import Channel, Message, open_channels
from rfe.search.control import is_free
from rfe.search_space.notify import Event, Notify
from rfe.secrets import hide_secrets
from rfe.threads import BackgroundThread
from rfe.tracking.following import JournalFollower
from rfe.tracking.live import read_live
from rfe.workspace import StudyFolder

SETTINGS_FILE = "settings.yaml"
"""In the workspace: what holds for all its studies."""
POLL_S = 2.0
SAME_LOOK_S = POLL_S
"""Trials of one stack end together: less than so much between two ends is no gap."""
STALL_TIMES = 10
"""No trial ended for so many times the usual: the search stalls."""
LEAST_STALL_S = 60.0
FEWEST_GAPS = 3
"""Before so many times between ends are known, nothing is usual."""
REMEMBERED = 20
UNKNOWN_STALL_S = 7200.0
"""A stall where it is not known what is usual."""
GRACE_S = 5.0


class WorkspaceSettings(Section):
    """The workspace's `settings.yaml`."""

    notify: Notify | None = None
    """For studies whose space has no `notify:` section."""


def find_notify(notify: Notify | None, root: Path) -> Notify | None:
    """The space's own section, else that of the workspace's settings; None where neither has one.

    Raises:
        ConfigError: the settings are wrong.
    """
    path = root / SETTINGS_FILE
    if notify is not None or not path.exists():
        return notify
    given = read_yaml(path)
    gather(problems_of(WorkspaceSettings, given), ConfigError, str(path))
    return WorkspaceSettings.model_validate(given).notify


@contextmanager
def keep_notified(
    notify: Notify | None,
    channels: Sequence[Channel],
    folder: StudyFolder,
    note: Callable[[str], None],
    metric: str = "score",
) -> Iterator[None]:
    """Send notifications about the study while the block runs, and once more when it ends or raises.

    Args:
        notify: what to tell of; None: nothing.
        channels: of `open_channels(notify)`.
        folder: of the study, whose journal this process writes. An error because another process does is not told:
            that one goes on.
        note: told in one line of the first message that a channel did not take.
        metric: the score that a better trial is told by.
    """
    if notify is None:
        yield
        return
    notifier = Notifier(notify, channels, folder, note, metric)
    try:
        yield
    except Exception as error:
        if is_free(folder):
            notifier.close(str(error))
        else:
            notifier.cancel()
        raise
    notifier.close()


class Notifier:
    """See the module. It reads the journal, as a tracker or a page does; the search does not call it."""

    def __init__(
        self,
        notify: Notify,
        channels: Sequence[Channel],
        folder: StudyFolder,
        note: Callable[[str], None],
        metric: str = "score",
    ) -> None:
        self._metric = metric
        self._notify, self._channels, self._folder, self._note = notify, channels, folder, note
        self._follower = JournalFollower(folder)
        self._began = time.time()
        self._counts = {"complete": 0, "pruned": 0, "failed": 0}
        self._best: tuple[float, int] | None = None
        self._untold_best = False
        self._told_best = -float("inf")
        self._outcome = ""
        self._last_end: float | None = None
        """Of a trial since this command began, by `time.monotonic`."""
        self._is_foreign = False
        """Whether the journal's last command is not this one, which has yet to open the study."""
        self._searching_since: float | None = None
        self._last_recorded: float | None = None
        """End of a trial of an earlier command; None when another command began."""
        self._gaps: deque[float] = deque(maxlen=REMEMBERED)
        self._stalled = False
        self._warned: set[str] = set()
        self._error = ""
        self._closing = threading.Event()
        self._thread = BackgroundThread(target=self._run, name="notify")
        self._thread.start()

    def cancel(self) -> None:
        """Stop without sending anything."""
        self._notify = self._notify.model_copy(update={"events": []})
        self._closing.set()

    def close(self, error: str = "") -> None:
        """Send how the study ended, and wait for it for a bounded time.

        Args:
            error: what ended it, if it was an error.
        """
        self._error = error
        self._closing.set()
        self._thread.join(2 * self._notify.timeout_s * len(self._channels) + GRACE_S)

    # ---- the thread

    def _run(self) -> None:
        while True:
            is_last = self._closing.wait(POLL_S)
            try:
                self._look(time.monotonic())
            except Exception:  # a damaged journal is its writer's to report, and nothing here ends the search
                if not is_last:
                    continue
            if is_last:
                self._tell_end()
                return

    def _look(self, now: float) -> None:
        records = self._follower.read()
        ended = [self._take(record) for record in records]
        if any(ended):
            if self._last_end is not None:
                self._gaps.append(now - self._last_end)
            self._last_end, self._stalled = now, False
        elif self._is_stalled(now):
            self._stalled = True
            since = self._searching_since if self._last_end is None else self._last_end
            minutes = (now - (now if since is None else since)) / 60
            usual = "how often one ends is not known yet"
            if len(self._gaps) >= FEWEST_GAPS:
                usual = f"usually one ends every {statistics.median(self._gaps):.0f} s"
            self._tell(
                "stall",
                "stalls",
                f"No trial has ended for {minutes:.0f} minutes; {usual}. {self._standing()}",
            )
        if self._untold_best and now - self._told_best >= 60 * self._notify.best_minutes:
            self._untold_best, self._told_best = False, now
            self._tell("best", "has a better trial", self._standing())

    def _take(self, record: Record) -> bool:
        """Account for a record; True if it is a trial that ended since the start."""
        if record.kind == SESSION:
            self._last_recorded = None
            self._is_foreign = record.data.get("pid", os.getpid()) != os.getpid()
        is_new = record.time >= self._began and not self._is_foreign
        if record.kind == "outcome" and is_new:
            self._outcome = str(record.data.get("state"))
        if record.kind != "trial" or record.number is None:
            return False
        if not is_new:
            if self._last_recorded is not None and record.time - self._last_recorded >= SAME_LOOK_S:
                self._gaps.append(record.time - self._last_recorded)
            self._last_recorded = record.time
        state, score = trial_end(record, self._metric)
        self._counts[state] = self._counts.get(state, 0) + 1
        tags = record.data.get("tags")
        is_copy = isinstance(tags, dict) and "duplicate_of" in tags
        if score is not None and not is_copy and (self._best is None or score > self._best[0]):
            self._untold_best = is_new and self._best is not None
            self._best = (score, record.number)
        return is_new

    def _is_stalled(self, now: float) -> bool:
        if self._stalled or self._is_foreign:
            return False
        live = read_live(self._folder)  # while the best trials are confirmed, no trial ends
        if live is None or live.search is None or live.done is not None:
            return False
        if self._searching_since is None:
            self._searching_since = now
        patience_s = UNKNOWN_STALL_S
        if len(self._gaps) >= FEWEST_GAPS:
            patience_s = max(LEAST_STALL_S, STALL_TIMES * statistics.median(self._gaps))
        since = self._searching_since if self._last_end is None else self._last_end
        return now - since >= patience_s

    def _tell_end(self) -> None:
        if self._error or self._outcome == "failed":
            self._tell("failure", "has failed", f"{self._error} {self._standing()}".strip())
        elif self._outcome:
            self._tell(
                "end", f"has {'been stopped' if self._outcome == 'stopped' else self._outcome}", self._standing()
            )

    def _standing(self) -> str:
        counts = ", ".join(f"{n} {state}" for state, n in self._counts.items() if n) or "no trial has ended"
        best = (
            ""
            if self._best is None
            else f"; best {self._metric} {self._best[0]:.3f} (trial {self._best[1]}), optimistic"
        )
        return f"{counts}{best}"

    def _tell(self, event: Event, happened: str, text: str) -> None:
        if event not in self._notify.events:
            return
        name = self._folder.name
        message = Message(event, name, f"rfe: study {name} {happened}", hide_secrets(text) + "\n")
        for channel in self._channels:
            try:
                why = channel.send(message, self._notify.timeout_s)
            except Exception as error:  # a channel is no reason to lose the others
                why = type(error).__name__
            if why and channel.name not in self._warned:
                self._warned.add(channel.name)
                self._note(f"notify: {channel.name}: {why}; the search goes on, and later failures are not said")


def prepare_notify(space: Notify | None, root: Path) -> tuple[Notify | None, list[Channel]]:
    """Read the notification settings and open their channels, before a search starts.

    Raises:
        ConfigError: a channel cannot be used, or the workspace's settings are wrong.
    """
    notify = find_notify(space, root)
    return notify, [] if notify is None else open_channels(notify)
