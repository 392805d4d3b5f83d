"""Records of a study with made-up scores."""

from dataclasses import replace

from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.journal.events import StudyLog, TrialLog

STUDY = StudyLog(
    "first",
    data="sim",
    simulated=True,
    settings={"data.path": "/data/sim", "data.encoders": ["a", "b"]},
    space={"pool.a": "False, True", "pool.b": "False, True", "train.lr": "1e-4 to 1e-2 (log)"},
)


def make_trial(number: int, score: float | None, **changes: object) -> TrialLog:
    scores = {} if score is None else {"score": score, "acc_presence": score + 0.1, "acc_salience": score - 0.1}
    log = TrialLog("first", number, "complete", f"id{number}", flatten(Config()), scores, seconds=10.0 - number)
    return replace(log, **changes)  # type: ignore[arg-type]
