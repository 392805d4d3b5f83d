"""Studies that are changed while they run, or before they go on: trials added, ended, tried again; budget; space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.errors import ConfigError
from rfe.search.options import RunOptions
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.search.answering import StudyState
    from rfe.search.control import RequestAnswer
    from rfe.search.requests import Request


def add_trial(
    name: str,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    config: Path | str | Mapping[str, Any] | None = None,
    first: bool = False,
    workspace: Workspace | None = None,
) -> RequestAnswer:
    """Queue a configuration: it is tried next, also where the budget of trials is used.

    Args:
        name: of the study, running or not.
        overrides: `name=value` for searched fields, as given with `--set`, or a mapping; what is not set is sampled.
        config: a whole configuration (a file, or what it holds), over which `overrides` are set: what it leaves out is
            as in the study's base, or at its default.
        first: before what else is queued.
        workspace: whose study it is.

    Raises:
        ConfigError: the configuration is none of the study's space, with lists the conflicting fields.
        StudyError: there is no such study, or a trial has this configuration already.

    Examples:
        >>> rfe.api.add_trial("first", {"train.lr": 0.001}).said
        'queued as the next trial; the sampler draws model.n_kept, pool'
    """
    from rfe.search.requests import AddTrial
    from rfe.search_space.point import point_of_config, point_of_values

    if config is None and not overrides:
        raise ConfigError("nothing to add: name values with --set NAME=VALUE, or a configuration with --config FILE")

    def ask(state: StudyState) -> Request:
        if config is None:
            params = point_of_values(state.resolved, _read_overrides(overrides), f"study {name}: --set")
        else:
            fields, heading = _read_fields(config, overrides)
            params = point_of_config(state.resolved, fields, heading)
        return AddTrial(params=params, first=first)

    return _submit(name, workspace, ask)


def prune_trials(
    name: str, trials: Sequence[int] = (), *, where: str | None = None, workspace: Workspace | None = None
) -> RequestAnswer:
    """Prune open trials: by number, or those that match a condition now.

    Args:
        name: of the study.
        trials: their numbers.
        where: a condition on `number`, `score`, `epoch`, `seconds` and configuration fields, e.g. `score < .3 and
            epoch > 5`; see `rfe.study.selection_expression.parse_selection`.
        workspace: whose study it is.

    Raises:
        ConfigError: numbers and a condition, or neither; or it is no condition.
        StudyError: there is no such study or trial, or the trial has ended.

    Examples:
        >>> rfe.api.prune_trials("first", [7]).said
        'trial 7 was pruned'
    """
    from rfe.search.arguments import whole_number
    from rfe.search.requests import PruneTrials
    from rfe.study.selection_expression import parse_selection

    if bool(trials) == (where is not None):
        raise ConfigError("name the trials to end, or a condition with --where: one of the two")
    numbers = [whole_number("trial", number, 0) for number in trials]
    if where is not None:
        parse_selection(where)
    return _submit(name, workspace, lambda state: PruneTrials(trials=numbers, where=where or ""))


def change_study(
    name: str,
    *,
    trials: int | None = None,
    hours: float | None = None,
    workers: int | None = None,
    workspace: Workspace | None = None,
) -> RequestAnswer:
    """Change a study's budget and workers, also while it runs. The change holds until a command asks for another.

    Args:
        name: of the study.
        trials: size of the study, earlier trials included.
        hours: of search, added up over resumes.
        workers: how many train. Fewer: workers save what they train at the next epoch, give it back and go, and their
            GPUs are free for others. More: they start as soon as there is room.
        workspace: whose study it is.

    Raises:
        ConfigError: nothing is changed, or a value is no number above 0.
        StudyError: there is no such study.

    Examples:
        >>> rfe.api.change_study("first", trials=40).said
        'the study now has 40 trials in all'
    """
    from rfe.search.requests import ChangeStudy

    wanted = RunOptions(trials=trials, hours=hours, workers=workers)
    if wanted == RunOptions():
        raise ConfigError("nothing to change: give --trials, --hours or --workers")
    request = ChangeStudy(trials=wanted.trials, hours=wanted.hours, workers=wanted.workers)
    return _submit(name, workspace, lambda state: request)


def narrow_study(
    name: str,
    space: Path | str | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    workspace: Workspace | None = None,
) -> RequestAnswer:
    """Search a smaller space from now on. Trials inside it still inform the sampler; all trials are kept.

    Args:
        name: of the study.
        space: the smaller space: a file, or what it holds. Its `space` and `base` count, and nothing else of it. None:
            the study's own, with `overrides` set.
        overrides: `space.train.lr={float: [...]}` gives a range, `train.lr=0.001` fixes a value.
        workspace: whose study it is.

    Raises:
        ConfigError: it is no space, or not narrower, with each parameter that is not.
        StudyError: there is no such study.

    Examples:
        >>> rfe.api.narrow_study("first", overrides=["space.model.n_kept={int: [1, 2]}"]).said
        'narrowed: 5 trials inside the new ranges still inform the sampler, 3 outside are kept but no longer used'
    """
    from rfe.search.requests import NarrowSpace, Range
    from rfe.search_space.load import load_space
    from rfe.search_space.narrowed_lines import narrowed_lines
    from rfe.search_space.narrowing import narrow_space, range_dict

    if space is None and not overrides:
        raise ConfigError("nothing to narrow: name the smaller space with --space FILE, or ranges with --set")

    def ask(state: StudyState) -> Request:
        given = narrowed_lines(state.definition.space, state.resolved) if space is None else space
        heading = f"study {name}: {space}" if isinstance(space, str | Path) else f"study {name}"
        smaller = load_space(given, overrides)
        try:
            narrowed = narrow_space(state.resolved, smaller)
        except ConfigError as error:
            raise ConfigError(f"{heading}: {error}") from None
        ranges = {one.name: range_dict(one) for one in narrowed.dimensions}
        return NarrowSpace(ranges={one: Range.model_validate(kept) for one, kept in ranges.items()})

    return _submit(name, workspace, ask)


def retry_trials(
    name: str, trials: Sequence[int] = (), *, failed: bool = False, workspace: Workspace | None = None
) -> RequestAnswer:
    """Try failed trials again: each configuration is queued under a new number, tagged `retry_of`.

    Args:
        name: of the study.
        trials: their numbers.
        failed: all that failed and are not tried again yet.
        workspace: whose study it is.

    Raises:
        ConfigError: numbers and `failed`, or neither.
        StudyError: there is no such study; a trial did not fail, or is tried again already; none failed.

    Examples:
        >>> rfe.api.retry_trials("first", failed=True).said
        'trials 5, 6 are queued to be tried again, under new numbers'
    """
    from rfe.errors import StudyError
    from rfe.search.answering import failed_trials
    from rfe.search.arguments import whole_number
    from rfe.search.requests import RetryTrials

    if bool(trials) == failed:
        raise ConfigError("name the trials to try again, or all of them with --failed: one of the two")
    numbers = [whole_number("trial", number, 0) for number in trials]

    def ask(state: StudyState) -> Request:
        chosen = failed_trials(state) if failed else list(dict.fromkeys(numbers))
        if not chosen:
            raise StudyError(f"study {name}: no failed trial is left to be tried again")
        return RetryTrials(trials=chosen)

    return _submit(name, workspace, ask)


def _submit(name: str, workspace: Workspace | None, ask: Callable[[StudyState], Request]) -> RequestAnswer:
    from rfe.search.control import read_state, submit_request
    from rfe.search.requests import ChangeStudy, NarrowSpace
    from rfe.tracking.annotated_run import update_run
    from rfe.workspace import find_study

    workspace = workspace or open_workspace()
    folder = find_study(workspace, name)
    state = read_state(folder)
    request = ask(state)
    answer = submit_request(folder, request, state)
    if answer.running or not isinstance(request, ChangeStudy | NarrowSpace):
        return answer
    return replace(answer, left=update_run(workspace, folder))


def _read_overrides(overrides: Sequence[str] | Mapping[str, Any]) -> Mapping[str, Any]:
    from rfe.config.reading import parse_overrides

    return overrides if isinstance(overrides, Mapping) else parse_overrides(list(overrides))


def _read_fields(
    source: Path | str | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """(field name -> value, heading for messages) of a configuration that may leave fields out."""
    from rfe.config.load import flatten_names, set_field
    from rfe.config.reading import read_yaml, with_overrides
    from rfe.errors import gather

    named = [f"{name}=" for name in overrides] if isinstance(overrides, Mapping) else overrides
    heading = "configuration" if isinstance(source, Mapping) else with_overrides(str(source), named)
    fields, problems = flatten_names(source if isinstance(source, Mapping) else read_yaml(Path(source)))
    for field, value in _read_overrides(overrides).items():
        problems += [f"--set {problem}" for problem in set_field(fields, field, value)]
    gather(problems, ConfigError, heading)
    return fields, heading
