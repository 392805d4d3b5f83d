"""Events that only a study's sampler and pruner need: trials asked for, scores compared, trials learnt from.

`ask`: a cohort of trials with their parameters. `report`: scores of running trials, and the pruner's answers.
`warm_start`: trials of another study that the sampler learns from before its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from rfe.journal.records import Record, explained
from rfe.search_space.dimensions import Value

ASK = "ask"
REPORT = "report"
LEARN = "warm_start"


Origin = Literal["first", "queued", "random", "sampler"]
"""`first`: one of the space's first trials. `queued`: a user asked for it. `random`: drawn evenly from the whole space.
`sampler`: proposed by what it had learnt, or by its grid."""


@dataclass(frozen=True)
class TrialsAsked:
    """Trials that were asked for together."""

    trials: Mapping[int, Mapping[str, Value]]
    """Number -> parameters."""
    sampler: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Number -> what the sampler keeps with the trial (the generation of evolutionary samplers), where it keeps any."""
    queued: Mapping[int, str] = field(default_factory=dict)
    """Number -> id of the queued configuration that a user asked for, where one did."""
    origin: Mapping[int, Origin] = field(default_factory=dict)
    """Number -> where its parameters came from; empty in journals of earlier versions."""

    def to_record(self) -> dict[str, Any]:
        """The record's own fields."""
        kept = {str(number): state for number, state in self.sampler.items() if state}
        queued = {str(number): name for number, name in self.queued.items()}
        origin = {str(number): one for number, one in self.origin.items()}
        return {
            "trials": {str(n): params for n, params in self.trials.items()},
            **({"sampler": kept} if kept else {}),
            **({"queued": queued} if queued else {}),
            **({"origin": origin} if origin else {}),
        }

    @classmethod
    def of_record(cls, data: Mapping[str, Any]) -> "TrialsAsked":
        return cls(
            {int(number): dict(params) for number, params in data["trials"].items()},
            {int(number): dict(state) for number, state in data.get("sampler", {}).items()},
            {int(number): str(name) for number, name in data.get("queued", {}).items()},
            {int(number): _origin(one) for number, one in data.get("origin", {}).items()},
        )


def _origin(value: object) -> Origin:
    if value not in get_args(Origin):
        raise ValueError(f"origin {value!r}")
    return cast(Origin, value)


@dataclass(frozen=True)
class ScoreReport:
    """The score of a running trial after an epoch."""

    number: int
    epoch: int
    score: float
    prunes: bool
    """Whether the pruner ended the trial."""


@dataclass(frozen=True)
class ScoresReported:
    """Reports in the order in which they were compared."""

    reports: tuple[ScoreReport, ...]

    def to_record(self) -> dict[str, Any]:
        """The record's own fields."""
        return {"reports": [[one.number, one.epoch, one.score, one.prunes] for one in self.reports]}

    @classmethod
    def of_record(cls, data: Mapping[str, Any]) -> "ScoresReported":
        rows = (
            (int(number), int(epoch), float(score), bool(prunes)) for number, epoch, score, prunes in data["reports"]
        )
        return cls(tuple(ScoreReport(*row) for row in rows))


@dataclass(frozen=True)
class LearntTrial:
    """A complete trial of another study, as a point of this one's space."""

    source: str
    """`STUDY/NUMBER`."""
    params: Mapping[str, Value]
    values: tuple[float, ...] | None
    """One for each objective; None: the trial is no longer known, only its number stays taken."""


@dataclass(frozen=True)
class TrialsLearnt:
    """The trials that a study learns from; they take its first numbers. The last such event holds."""

    trials: tuple[LearntTrial, ...]

    def to_record(self) -> dict[str, Any]:
        """The record's own fields."""
        return {"trials": [[one.source, one.params, one.values] for one in self.trials]}

    @classmethod
    def of_record(cls, data: Mapping[str, Any]) -> "TrialsLearnt":
        return cls(
            tuple(
                LearntTrial(str(source), dict(params), None if values is None else tuple(map(float, values)))
                for source, params, values in data["trials"]
            )
        )


AskingEvent = TrialsAsked | ScoresReported | TrialsLearnt
ASKING_KINDS: dict[str, type[TrialsAsked] | type[ScoresReported] | type[TrialsLearnt]] = {
    ASK: TrialsAsked,
    REPORT: ScoresReported,
    LEARN: TrialsLearnt,
}


def asking_event(record: Record) -> AskingEvent:
    """The event that a record of one of `ASKING_KINDS` was made of.

    Raises:
        StudyError: a field is not what it should be.
    """
    with explained(record):
        return ASKING_KINDS[record.kind].of_record(record.data)
