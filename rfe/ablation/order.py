"""In which order encoders are added: by the Score of each alone, measured with a seed that is used for nothing else."""

from rfe.ablation.study import TRIAL_MINUTES, Question
from rfe.config.load import change_config, flatten
from rfe.errors import StudyError
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.search_space import SearchSpace, load_space
from rfe.workspace import StudyFolder


def order_space(question: Question) -> SearchSpace:
    """The study in which each encoder of the base's pool is alone, with the seed after the ablation's own."""
    base = question.base
    seed = base.train.seed + base.train.seeds
    config = change_config(base, {"train.seeds": 1, "train.seed": seed, "train.data_seed": seed})
    pool = sorted(question.dataset.encoders) if base.pool == "all" else sorted(base.pool)
    return load_space(
        {
            "study": f"{question.plan.name}-order",
            "base": flatten(config),
            "arms": {encoder: {"pool": [encoder]} for encoder in pool},
            "sampler": {"kind": "grid"},
            "confirm": {"top": 0},
            "limits": {"trial_minutes": TRIAL_MINUTES},
            "keep_top": 0,
        }
    )


def read_order(folder: StudyFolder, space: SearchSpace) -> tuple[str, ...]:
    """Encoders by their score alone, the best first.

    Raises:
        StudyError: one of them has no score.
    """
    scores = {
        event.tags["arm"]: event.score
        for event in read_events(folder)
        if isinstance(event, TrialLog) and event.score is not None and "arm" in event.tags
    }
    missing = [encoder for encoder in space.arms if encoder not in scores]
    if missing:
        raise StudyError(
            f"study {folder.name!r}: {', '.join(missing)} alone could not be trained, so encoders have no order; name "
            "one under encoders_in_order"
        )
    return tuple(sorted(space.arms, key=lambda encoder: (-scores[encoder], encoder)))
