"""Weights and figures of the best and the confirmed trials, among the files of their runs."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from rfe.journal.events import TrialLog, best_trials
from rfe.tracking.run_server import KnownRun, RunServer

SHOWN = "rfe.shown"
"""Of a trial's run: which of its figures and weights are among the run's files."""
ALL_SHOWN = "figures and weights"
DRAWN_ON_THE_WAY = 3
"""Of so many best trials figures are drawn while the search runs."""


def ranked_scores(trials: Iterable[TrialLog]) -> dict[int, float]:
    """Trial -> score of those that rank: complete ones that are no copies."""
    return {log.number: log.score for log in trials if log.score is not None and "duplicate_of" not in log.tags}


def wanted_files(trials: Iterable[TrialLog], confirmed: Iterable[int], keep_top: int) -> set[int]:
    """Trials whose weights and figures are shown in the end."""
    return {*best_trials(ranked_scores(trials), keep_top), *confirmed}


def show_best_files(
    server: RunServer,
    trials: Mapping[int, TrialLog],
    runs: Mapping[int, KnownRun],
    confirmed: Iterable[int],
    keep_top: int,
    *,
    all_figures: bool,
) -> None:
    """Bring the files up to date; weights of trials that fell out of the best are removed.

    A trial's figures take a processor a third of a second, and the best change: until the end few are drawn.
    """
    confirmed = list(confirmed)
    wanted = wanted_files(trials.values(), confirmed, keep_top)
    drawn = wanted_files(trials.values(), confirmed, keep_top if all_figures else min(keep_top, DRAWN_ON_THE_WAY))
    runs = {number: run for number, run in runs.items() if run.status != "RUNNING"}  # the others were refused
    for number in sorted(runs.keys() & trials.keys()):
        run, weights = runs[number], trials[number].weights
        is_shown = "weights" in _shown(run)
        if number in wanted and not is_shown:
            server.upload(run.run_id, [weights] if isinstance(weights, Path) else [])
            _tag(server, run, _shown(run) | {"weights"})
        elif number not in wanted and is_shown:
            if isinstance(weights, Path):
                server.delete(run.run_id, weights.name)
            _tag(server, run, _shown(run) - {"weights"})
    for number in sorted(runs.keys() & drawn):  # last: a search may have ended, and not wait for so long
        if "figures" not in _shown(runs[number]):
            _draw(server, runs[number].run_id, trials[number])
            _tag(server, runs[number], _shown(runs[number]) | {"figures"})


def _shown(run: KnownRun) -> set[str]:
    return {what for what in ("figures", "weights") if what in run.tags.get(SHOWN, "")}


def _tag(server: RunServer, run: KnownRun, shown: set[str]) -> None:
    tags = {SHOWN: " and ".join(sorted(shown)) or "nothing"}
    server.log(run.run_id, tags=tags)
    run.tags.update(tags)


def _draw(server: RunServer, run_id: str, trial: TrialLog) -> None:
    from rfe.tracking.figures import trial_figures  # and matplotlib, which takes half a second

    with tempfile.TemporaryDirectory() as scratch:
        for name, picture in trial_figures(trial):
            Path(scratch, name).write_bytes(picture)
        server.upload(run_id, sorted(Path(scratch).iterdir()), "figures")
