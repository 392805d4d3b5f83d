"""Studies that are being searched, here or elsewhere: watched and stopped remotely."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rfe.errors import StudyError
from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.workspace import Workspace, open_workspace
from rfe.writing import PlainRecord

if TYPE_CHECKING:
    from rfe.tracking.live import LiveStatus

POLL_S = 1.0
POLL_AFAR_S = 4.0
"""How often a study is looked at, in its folder and on a tracking server."""


@needs("search")
def watch_study(
    name: str,
    workspace: Workspace | None = None,
    *,
    tracking_uri: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Show a running study's progress, as `search` itself would, until it ends."""
    progress = progress or SilentProgress()
    look, poll_s = _watcher(name, workspace or open_workspace(), tracking_uri)
    stage = None
    while (live := look()) is not None:
        if live.stage != stage:
            stage = live.stage
            progress.start(f"{stage} on {live.host}" if live.host else stage, live.total)
        # a search's own status ends with its stage
        if live.done is not None:
            progress.update(live.done)
        elif live.search is not None:
            progress.update(live.search)
        time.sleep(poll_s)
    progress.close()


@dataclass(frozen=True)
class StopRequest(PlainRecord):
    """Whom `stop_study` asked."""

    study: str
    host: str
    pid: int
    ended: bool
    """Whether the process is known to have stopped; only waited for with `wait`."""


@needs("search")
def stop_study(
    name: str,
    workspace: Workspace | None = None,
    *,
    tracking_uri: str | None = None,
    wait: bool = False,
    progress: Progress | None = None,
) -> StopRequest:
    """Ask the process that searches a study to stop as Ctrl-C would; through its folder, or through MLflow.

    Args:
        name: of the study.
        workspace: whose study it is.
        tracking_uri: of the MLflow that the search logs to, where the workspace is out of reach.
        wait: return when it has stopped.
        progress: told what is waited for.

    Raises:
        StudyError: there is no such study, or nothing works on it.

    Examples:
        >>> rfe.api.stop_study("first", wait=True)  # doctest: +SKIP
    """
    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    look, poll_s = _watcher(name, workspace, tracking_uri)
    live = look()
    if live is None:
        raise StudyError(
            f"study {name!r} is not running, so there is nothing to stop (`rfe studies list` shows which are)"
        )
    if not live.session:
        raise StudyError(f"study {name!r} is just being opened or repaired; try again in a moment")
    if tracking_uri is None:
        from rfe.tracking.live import request_stop
        from rfe.workspace import find_study

        request_stop(find_study(workspace, name), live.session)
    else:
        from rfe.tracking.mlflow_server import open_server
        from rfe.tracking.remote import ask_to_stop, find_remote

        with open_server(workspace.tracked_at(tracking_uri)) as server:
            ask_to_stop(server, find_remote(server, name))
    if wait:
        progress.start(f"waiting until {name} has stopped on {live.host}")
        while (now := look()) is not None and now.session in ("", live.session):
            time.sleep(poll_s)
    return StopRequest(name, live.host, live.pid, wait)


def _watcher(
    name: str, workspace: Workspace, tracking_uri: str | None
) -> tuple[Callable[[], LiveStatus | None], float]:
    """What tells how a study goes (None: nothing works on it), and how many seconds to wait between two looks."""
    from rfe.reporting.running import find_running
    from rfe.workspace import find_study

    if tracking_uri is None:
        folder = find_study(workspace, name)
        return lambda: find_running(folder), POLL_S
    from rfe.tracking.live import LiveStatus
    from rfe.tracking.mlflow_server import open_server
    from rfe.tracking.remote import find_remote

    remote = workspace.tracked_at(tracking_uri)

    def look() -> LiveStatus | None:
        with open_server(remote) as server:
            study = find_remote(server, name)
        if not study.running:
            return None
        host, pid = study.tags.get("rfe.host", ""), int(study.tags.get("rfe.pid", 0))
        return study.live or LiveStatus(study.session, host, pid, study.refreshed)

    return look, POLL_AFAR_S
