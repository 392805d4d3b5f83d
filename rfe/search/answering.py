"""Evaluates a request against a study's current state: its effects and a sentence for the user, or why it is refused.

Pure: a command asks before it leaves the request, and the process that takes it up asks again, as the study may have
gone on meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rfe.config.identity import config_id
from rfe.config.load import flatten
from rfe.errors import ConfigError, StudyError
from rfe.journal.events import TrialLog
from rfe.search.changes import QueuedTrial, StudyChanges
from rfe.search.requests import AddTrial, ChangeStudy, NarrowSpace, PruneTrials, Request, RetryTrials
from rfe.search_space import ResolvedSpace, effective_config
from rfe.search_space.dimensions import POOL_PREFIX
from rfe.search_space.narrowing import lies_inside, with_ranges
from rfe.study import StudyDefinition
from rfe.study.selection_expression import parse_selection

PRUNED_BY_HAND = "pruned by the user"


@dataclass(frozen=True)
class TrialProgress:
    """The progress of an open trial; None where unknown."""

    epoch: int | None = None
    score: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class StudyState:
    """The state of a study that requests are evaluated against."""

    definition: StudyDefinition
    changes: StudyChanges
    logs: Mapping[int, TrialLog]
    """The trials that ended."""
    progress: Mapping[int, TrialProgress] = field(default_factory=dict)
    """Of trials in training."""

    @property
    def name(self) -> str:
        return self.definition.space.study

    @property
    def resolved(self) -> ResolvedSpace:
        """The space as it is searched now."""
        return self.changes.space(self.definition.resolved)

    def open_trials(self) -> list[int]:
        """Trials that were asked for and have not ended."""
        return [number for number in sorted(self.changes.asked) if number not in self.logs]

    def values(self, number: int) -> dict[str, Any]:
        """What a condition can name of an open trial; a name that is not known is left out."""
        progress = self.progress.get(number, TrialProgress())
        try:
            config = flatten(effective_config(self.definition.resolved, self.changes.asked[number]))
        except (ConfigError, KeyError):  # it fails as soon as it is given out
            config = {}
        known = {"epoch": progress.epoch, "score": progress.score, "seconds": progress.seconds}
        return {**config, "number": number, **{name: one for name, one in known.items() if one is not None}}


@dataclass(frozen=True)
class Answer:
    """The outcome of a request."""

    said: str
    """What happens, in a sentence."""
    effects: Mapping[str, Any]
    """For the journal; see `StudyChanges.fold`."""


def answer_request(request: Request, state: StudyState, name: str = "") -> Answer:
    """Evaluate the request against the current state; `name` is its id.

    Raises:
        StudyError, ConfigError: it cannot be done, with the reason.
    """
    if state.definition.space.arms and not isinstance(request, ChangeStudy | PruneTrials):
        raise StudyError(
            f"study {state.name}: its trials are the arms of a plan, which is not changed while it runs; write another "
            "plan and run `rfe ablate` on it"
        )
    if isinstance(request, AddTrial):
        return _add(request, state, name)
    if isinstance(request, RetryTrials):
        return _retry(request, state, name)
    if isinstance(request, PruneTrials):
        return _prune(request, state)
    if isinstance(request, ChangeStudy):
        return _change(request, state)
    return _narrow(request, state)


def _add(request: AddTrial, state: StudyState, name: str) -> Answer:
    dimensions = {one.name: one for one in state.resolved.dimensions}
    for parameter, value in request.params.items():
        if parameter not in dimensions or not dimensions[parameter].holds(value):
            raise ConfigError(
                f"study {state.name}: {parameter}: {value!r} is not in its space any more; ask again with `rfe studies "
                f"add {state.name}`"
            )
    if request.params.keys() == dimensions.keys():
        identity = config_id(effective_config(state.resolved, request.params))
        for log in state.logs.values():
            if log.config_id == identity and log.score is not None:
                raise StudyError(
                    f"study {state.name}: trial {log.number} already has this configuration (score {log.score:.3f}); "
                    "change a value"
                )
    ahead = 0 if request.first else len(state.changes.queue)
    place = f"queued behind {ahead} other{'s' * (ahead > 1)}" if ahead else "queued as the next trial"
    drawn = dict.fromkeys("pool" if one.startswith(POOL_PREFIX) else one for one in dimensions.keys() - request.params)
    rest = f"; the sampler draws {', '.join(sorted(drawn))}" if drawn else ""
    queue = [{"id": f"{name}/0", "params": dict(request.params)}]
    return Answer(f"{place}{rest}", {"queue": queue, "first": request.first})


def _retry(request: RetryTrials, state: StudyState, name: str) -> Answer:
    problems = {number: why for number in request.trials if (why := _no_retry(number, state))}
    for why in problems.values():
        raise StudyError(f"study {state.name}: {why}")
    queue = [
        {"id": f"{name}/{index}", "params": dict(state.changes.asked[number]), "retry_of": number}
        for index, number in enumerate(request.trials)
    ]
    under = "a new number" if len(queue) == 1 else "new numbers"
    return Answer(f"{_trials(request.trials, 'is', 'are')} queued to be tried again, under {under}", {"queue": queue})


def failed_trials(state: StudyState) -> list[int]:
    """The trials that `retry --failed` means: those that failed and are not tried again yet."""
    return [number for number in sorted(state.logs) if not _no_retry(number, state)]


def _no_retry(number: int, state: StudyState) -> str:
    """Why a trial cannot be tried again; "" if it can."""
    log, retried = state.logs.get(number), state.changes.retried
    if log is None:
        return _not_known(number, state, f"trial {number} has not ended; only failed trials are tried again")
    if log.state != "failed":
        return f"trial {number} is {log.state}, and only failed trials are tried again; add its configuration instead"
    if number in retried:
        where = "is queued already" if retried[number] is None else f"is tried again as trial {retried[number]}"
        return f"trial {number} {where}"
    if not log.config_id:
        return f"trial {number} cannot be trained at all ({log.reason})"
    if "duplicate_of" in log.tags:
        return f"trial {number} is a copy of trial {log.tags['duplicate_of']}; try that one again"
    if number not in state.changes.asked:
        return f"trial {number}: the journal does not have its parameters; add its configuration instead"
    if not lies_inside(state.resolved, state.changes.asked[number]):
        return f"trial {number} lies outside the space, which was narrowed since"
    return ""


def _prune(request: PruneTrials, state: StudyState) -> Answer:
    candidates = [number for number in state.open_trials() if number not in state.changes.pruned]
    if request.where:
        selection = parse_selection(request.where)
        chosen = [number for number in candidates if selection.matches(state.values(number))]
        reason = f"{PRUNED_BY_HAND}: {request.where}"
        if not chosen:
            return Answer(f"none of its {len(candidates)} open trials matches {request.where!r}; nothing changed", {})
    else:
        for number in request.trials:
            if (log := state.logs.get(number)) is not None:
                raise StudyError(f"study {state.name}: trial {number} has ended already ({log.state})")
            if number not in state.changes.asked:
                raise StudyError(f"study {state.name}: {_not_known(number, state)}")
        chosen, reason = sorted(set(request.trials)), PRUNED_BY_HAND
    return Answer(f"{_trials(chosen, 'was', 'were')} pruned", {"prune": {str(number): reason for number in chosen}})


def _change(request: ChangeStudy, state: StudyState) -> Answer:
    change = {name: value for name in ("trials", "hours", "workers") if (value := getattr(request, name)) is not None}
    words = {
        "trials": "{} trial{s} in all",
        "hours": "{:g} hour{s} in all",
        "workers": "{} worker{s} (if there is room)",
    }
    said = [words[name].format(value, s="" if value == 1 else "s") for name, value in change.items()]
    n_asked = len(state.changes.asked)
    rest = ""
    if request.trials is not None and request.trials <= n_asked:
        rest = f"; {n_asked} were asked for already, so it ends when those in training have"
    return Answer(f"the study now has {' and '.join(said)}{rest}", {"change": change})


def _narrow(request: NarrowSpace, state: StudyState) -> Answer:
    ranges = {name: one.model_dump() for name, one in request.ranges.items()}
    narrowed = with_ranges(state.definition.resolved, ranges)
    before = {one.name: one for one in state.resolved.dimensions}
    for one in narrowed.dimensions:
        if not all(before[one.name].holds(value) for value in one.corners()):
            raise StudyError(
                f"study {state.name}: not narrower: {one.name} ({one.describe()}) was narrowed to "
                f"{before[one.name].describe()} meanwhile; ask again"
            )
    inside = sum(lies_inside(narrowed, params) for params in state.changes.asked.values())
    outside = len(state.changes.asked) - inside
    dropped = [one.id for one in state.changes.queue if not _fits(narrowed, one)]
    lost = ""
    if dropped:
        lost = f"; {len(dropped)} queued configuration{'s were' if len(dropped) > 1 else ' was'} outside and dropped"
    return Answer(
        f"narrowed: {inside} trials inside the new ranges still inform the sampler, {outside} outside are kept but no "
        f"longer used{lost}",
        {"ranges": ranges, "dropped": dropped},
    )


def _fits(narrowed: ResolvedSpace, queued: QueuedTrial) -> bool:
    dimensions = {one.name: one for one in narrowed.dimensions}
    return all(dimensions[name].holds(value) for name, value in queued.params.items())


def _not_known(number: int, state: StudyState, otherwise: str = "") -> str:
    if number in state.changes.asked:
        return otherwise
    numbers = state.changes.asked.keys() | state.logs.keys()
    return f"there is no trial {number}; " + (
        f"its trials go from {min(numbers)} to {max(numbers)}" if numbers else "it has none yet"
    )


def _trials(numbers: list[int], one: str, many: str) -> str:
    listed = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    return f"trial {listed} {one}" if len(numbers) == 1 else f"trials {listed} {many}"
