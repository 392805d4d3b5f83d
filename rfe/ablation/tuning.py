"""Each arm tuned by a small search of its own, so that a part is not blamed for another part's tuning.

Base and arms get the same number of trials over the same space, each with one seed that replication never uses. An arm
is then scored as `score_selected` scores a search, with fresh seeds: fold k is answered by the configuration whose
trial was best on the *other* folds, trained again. So neither the choice nor the luck of a trial's seed is counted:
fold k's labels chose nothing that answers fold k, but for what the sampler saw of the pooled score while it proposed. A
configuration that was chosen for some folds is trained on all, for its decoder needs the others' out-of-fold outputs.
"""

import re
from collections.abc import Mapping
from typing import Any

from rfe.ablation.arms import Arm
from rfe.ablation.study import Choice, Question
from rfe.config.load import change_config, field_values, flatten
from rfe.data.dataset import Dataset
from rfe.errors import StudyError
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.search.outcome import study_scores
from rfe.search_space import SearchSpace, load_space
from rfe.search_space.check import dimension_of
from rfe.workspace import StudyFolder

SEARCH_SEEDS = {"train.seeds": 1, "train.seed": 0, "train.data_seed": 0}


def tuning_space(question: Question, arm: Arm, number: int) -> SearchSpace | None:
    """The search that tunes one arm; None where the arm itself sets all that would be searched.

    Args:
        question: its plan says what is searched, and for how many trials.
        arm: what is tuned.
        number: of the arm in the plan, for the study's name.

    Raises:
        ConfigError: `retune_space` is wrong.
    """
    plan = question.plan
    searched = {name: line for name, line in plan.retune_space.items() if name not in arm.changes}
    if not searched:
        return None
    config = change_config(question.base, {**arm.changes, **SEARCH_SEEDS})
    slug = re.sub(r"[^A-Za-z0-9]+", "-", arm.name).strip("-")
    given: dict[str, Any] = {
        "study": f"{plan.name}-tune-{number:02d}-{slug}"[:100],
        "base": {name: value for name, value in flatten(config).items() if name not in searched},
        "space": searched,
        "budget": {"trials": plan.retune},
        "confirm": {"top": 0},
        "keep_top": 0,
    }
    space = load_space(given)
    own = field_values(config)
    first = {name: own[name] for name, spec in space.space.items() if name in own and spec.subset is None}
    held = {name: value for name, value in first.items() if dimension_of(name, space.space[name]).holds(value)}
    return load_space({**given, "first_trials": [held]}) if held else space


def choose_by_other_folds(folder: StudyFolder, space: SearchSpace, dataset: Dataset) -> tuple[Choice, ...]:
    """What a tuning study chose for each fold, folds of one trial together.

    Raises:
        StudyError: none of its trials finished.
    """
    logs: dict[int, TrialLog] = {event.number: event for event in read_events(folder) if isinstance(event, TrialLog)}
    selected = study_scores(list(logs.values()), dataset)[1]
    if selected is None:
        raise StudyError(f"study {folder.name!r}: no trial finished, so there is nothing to choose from")
    folds_of: dict[int, list[int]] = {}
    for fold, number in zip(dataset.clips.folds, selected.trials, strict=True):
        folds_of.setdefault(number, []).append(fold)
    if len(folds_of) == 1:
        return tuple(Choice((), number, _values(logs[number].config, space)) for number in folds_of)
    return tuple(Choice(tuple(folds), n, _values(logs[n].config, space)) for n, folds in folds_of.items())


def _values(config: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """The searched fields' values, as the trial trained with them."""
    return {name: config[name] for name in space.space if name in config}
