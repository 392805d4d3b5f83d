"""The result of a study: three named scores, the confirmed trials, and where the files are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.caveats import TRANSDUCTIVE, is_transductive
from rfe.data.dataset import Dataset
from rfe.data.metadata import Clips
from rfe.data.scores import answer_totals
from rfe.errors import StudyError
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyState, TrialLog
from rfe.metrics.choice import score_metric, score_parts
from rfe.metrics.metric import totals_of
from rfe.metrics.score import FoldTotals
from rfe.study import StudyScore, TrialTotals, pareto_front, score_best, score_selected
from rfe.study.gain import SearchGain, search_gain
from rfe.workspace import StudyFolder


@dataclass(frozen=True)
class Confirmed:
    """A trial trained again with seeds the search never used."""

    number: int
    search_score: float
    """Its score in the search: optimistic."""
    mean: float
    sd: float
    scores: tuple[float, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class FrontTrial:
    """A trial that no other is better than in every objective."""

    number: int
    values: Mapping[str, float]
    """Objective -> value: optimistic, as the search chose by it."""


@dataclass(frozen=True)
class StudyOutcome:
    """The content of `outcome.json`."""

    study: str
    state: StudyState
    reason: str
    """Why it ended, in a sentence."""
    trials: Mapping[str, int]
    """`complete`, `pruned`, `failed`; `duplicates` stand in these too."""
    score_best: StudyScore | None
    """The best trial's score: optimistic, since the same clips chose it. None without a complete trial."""
    score_selected: StudyScore | None
    """The headline: each fold is answered by the trial that is best on the other folds."""
    confirmed: tuple[Confirmed, ...]
    """Best mean first."""
    best: int | None
    """The trial to export: the best confirmed one, else the best."""
    best_config: Mapping[str, Any]
    """Its effective configuration, dotted name -> value."""
    elapsed_s: float
    """Of the whole study, over resumes."""
    folder: str
    data: str
    data_fingerprint: str
    simulated: bool
    caveats: tuple[str, ...] = ()
    gain: SearchGain | None = None
    """How much the search gained; None where nothing was searched, and of a grid."""
    front: tuple[FrontTrial, ...] = ()
    """The Pareto front, best in the first objective first; empty with one objective."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    """Notes for the user, e.g. that MLflow lags."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"gain": None if self.gain is None else self.gain.to_dict()}

    def scores(self) -> dict[str, float]:
        """The named numbers."""
        scores = {}
        if self.score_best is not None:
            scores["score_best"] = self.score_best.score
        if self.score_selected is not None:
            scores["score_selected"] = self.score_selected.score
        if self.confirmed:
            scores["score_confirmed"] = self.confirmed[0].mean
            scores["score_confirmed_sd"] = self.confirmed[0].sd
        return scores

    def summary(self) -> str:
        """A few lines of Markdown."""
        lines = [self.reason] if self.reason else []
        if self.score_selected is not None:
            lines.append(f"Selected on the other folds: **{self.score_selected.score:.3f}** (the study's result).")
        if self.score_best is not None:
            lines.append(f"Best trial: {self.score_best.score:.3f} (trial {self.score_best.trials[0]}, optimistic).")
        if self.confirmed:
            best = self.confirmed[0]
            seeds = f"{len(best.seeds)} fresh seed{'s' * (len(best.seeds) != 1)}"
            lines.append(f"Confirmed with {seeds}: {best.mean:.3f} (trial {best.number}, sd {best.sd:.3f}).")
        if self.front:
            names, numbers = " and ".join(self.front[0].values), ", ".join(str(one.number) for one in self.front)
            lines.append(f"Pareto front of {names}: trials {numbers}.")
        if TRANSDUCTIVE in self.caveats:
            lines.append("Scores of trials with `decode.design: actor` are transductive.")
        if self.gain is not None:
            lines += ["What the search gained, by its own scores:", *(f"- {one}" for one in self.gain.sentences())]
        return "\n\n".join(lines)

    def log(self) -> OutcomeLog:
        """The same for the journal and the tracker."""
        return OutcomeLog(self.study, self.state, self.summary(), self.scores())


def build_outcome(
    folder: StudyFolder,
    logs: Mapping[int, TrialLog],
    confirmations: Sequence[ConfirmationLog],
    dataset: Dataset,
    objectives: Sequence[str],
    origins: Mapping[int, str] | None = None,
    **known: Any,
) -> StudyOutcome:
    """Build the outcome of a study from its trials and confirmations.

    Args:
        folder: the study's.
        logs: its trials by number.
        confirmations: of some of them.
        dataset: what they were trained on.
        objectives: what was maximised.
        origins: where each trial's parameters came from, by number; None: nothing was searched, or a grid.
        known: the outcome's `state`, `reason`, `trials` and `elapsed_s`; a study without a result has failed.
    """
    best, selected = study_scores(list(logs.values()), dataset)
    confirmed = rank_confirmed(confirmations, logs)
    transductive = [TRANSDUCTIVE] if any(is_transductive(log.config) for log in logs.values()) else []
    number = confirmed[0].number if confirmed else (best.trials[0] if best else None)
    if best is None and known["state"] == "finished":
        known["state"] = "failed"
    return StudyOutcome(
        study=folder.name,
        score_best=best,
        score_selected=selected,
        confirmed=confirmed,
        best=number,
        front=study_front(logs.values(), objectives),
        gain=None if origins is None else search_gain(single_scores(logs.values()), origins),
        best_config={} if number is None else logs[number].config,
        folder=str(folder.path),
        data=str(dataset.path),
        data_fingerprint=dataset.fingerprint,
        simulated=dataset.simulated,
        caveats=(*dataset.caveats, *transductive, *_doubts(selected or best, dataset)),
        **known,
    )


def constant_score(dataset: Dataset) -> tuple[float, float]:
    """(Score, its standard error) of the one answer to every training clip that scores best.

    Features that tell nothing of the classes come to this, and not to 0.
    """
    task = dataset.clips.task
    state = dataset.clips.state[: dataset.clips.n_source]
    constant = np.broadcast_to(np.unique(state)[:, None], (len(np.unique(state)), len(state)))  # [answer, clip]
    metric = score_metric(task)
    totals = totals_of(metric, task, state, constant)
    values = np.nan_to_num(metric.value(totals))
    best = int(np.argmax(values))
    influence = np.nan_to_num(metric.influence(task, state, constant[best], totals[best]))
    return float(values[best]), float(np.sqrt((influence**2).sum()))


def _doubts(score: StudyScore | None, dataset: Dataset) -> tuple[str, ...]:
    """Return reasons to doubt a result that is valid otherwise."""
    constant, error = constant_score(dataset)
    if score is None or score.score > constant + 2 * error:
        return ()
    return (
        f"the result is not above {constant:.3f}, which one answer to every clip scores, by two standard errors "
        f"({error:.3f}): these features may tell nothing of the classes",
    )


def single_scores(logs: Iterable[TrialLog]) -> dict[int, float]:
    """Number -> Score of the complete trials that are no copies."""
    return {log.number: log.score for log in logs if log.score is not None and "duplicate_of" not in log.tags}


def study_scores(logs: Sequence[TrialLog], dataset: Dataset) -> tuple[StudyScore | None, StudyScore | None]:
    """(`score_best`, `score_selected`) of a study's trials; None where it cannot be told."""
    try:
        table = trial_table(logs, dataset)
        best = score_best(table)
    except StudyError:
        return None, None
    try:
        return best, score_selected(table)
    except StudyError:
        return best, None


def trial_table(logs: Sequence[TrialLog], dataset: Dataset) -> TrialTotals:
    """Sums of the complete trials that are no copies, in their order.

    Raises:
        StudyError: not found.
    """
    complete = [log for log in logs if log.score is not None and "duplicate_of" not in log.tags]
    return TrialTotals.of([log.number for log in complete], [recorded_totals(log, dataset) for log in complete])


def rank_confirmed(confirmations: Sequence[ConfirmationLog], logs: Mapping[int, TrialLog]) -> tuple[Confirmed, ...]:
    """Confirmed trials, best mean first."""
    rows = [
        Confirmed(one.number, logs[one.number].scores["score"], one.mean, one.sd, one.scores, one.seeds)
        for one in confirmations
    ]
    return tuple(sorted(rows, key=lambda row: (-row.mean, row.number)))


def study_front(logs: Iterable[TrialLog], objectives: Sequence[str]) -> tuple[FrontTrial, ...]:
    """The Pareto front of the trials that are complete and no copies; none with one objective."""
    if len(objectives) < 2:
        return ()
    complete = [log for log in logs if log.score is not None and "duplicate_of" not in log.tags]
    values = {log.number: [log.scores[name] for name in objectives] for log in complete}
    return tuple(
        FrontTrial(number, dict(zip(objectives, values[number], strict=True))) for number in pareto_front(values)
    )


def recorded_totals(log: TrialLog, dataset: Dataset) -> FoldTotals:
    """A complete trial's sums by fold, mean over seeds."""
    clips = dataset.clips
    totals = {name: np.array([sums[fold] for fold in clips.folds], np.float64) for name, sums in log.totals.items()}
    return FoldTotals(score_parts(clips.task), totals or _from_accuracies(log.per_fold, clips))


def _from_accuracies(per_fold: Mapping[str, Mapping[int, float]], clips: Clips) -> dict[str, NDArray[np.float64]]:
    """Sums of the one task of journals from before sums were recorded: their accuracies times known sizes."""
    sizes = answer_totals(clips, np.full(clips.n_source, -1)).totals["score"][:, 2:]  # [fold, 2] clips, blends
    # a fold without blends has no accuracy of salience, and no hits either
    right = sizes * [
        [per_fold[name].get(fold, 0.0) for name in ("acc_presence", "acc_salience")] for fold in clips.folds
    ]
    score = np.concatenate([right, sizes], 1)
    return {"score": score, "acc_presence": score[:, [0, 2]], "acc_salience": score[:, [1, 3]]}
