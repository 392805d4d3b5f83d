"""Builds an ensemble from studies, with a nested estimate of its score."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rfe.data.dataset import Dataset
from rfe.data.design import check_design, check_design_actors
from rfe.data.domains import resolve_target_actors
from rfe.decoding.candidates import check_ratios
from rfe.ensemble.calibrated import CalibratedCandidate, Decoding, Float32, Truth, map_in_threads
from rfe.ensemble.candidates import Candidate, load_outputs, read_candidates
from rfe.ensemble.nested import Chosen, choose_nested, nested_answers, nested_states
from rfe.ensemble.preselection import preselect
from rfe.ensemble.selection import Member, Selection, WeightedTrials, Weights, first_step
from rfe.errors import StudyError
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import InfluenceTable, Interval, difference_interval, score_interval
from rfe.progress import Progress
from rfe.workspace import StudyFolder


@dataclass(frozen=True)
class EnsembleResult:
    """An ensemble with its scores."""

    ensemble: WeightedTrials
    how: Selection
    decoding: Mapping[str, float]
    """What was fitted to answer the final members' average; see `answering`."""
    blend_share: float
    """phi of all training clips."""
    nested: dict[str, Interval]
    """Each fold answered by what was chosen without its labels: the honest numbers."""
    in_sample: float
    """Score of the final members on the very clips they were chosen and weighted by: no estimate for new clips. It is
    mostly above the nested score, but of few clips it may lie below, as the two answer with different members."""
    single: Interval
    """Score of the best single candidate, chosen and answered in the same way, nested."""
    difference: Interval
    """Nested ensemble minus nested best single, paired by clip."""
    by_fold: dict[int, tuple[Member, ...]]
    """What was chosen without each fold."""
    trajectory: tuple[float, ...]
    """Mean negative log-likelihood after each step of the forward selection, nats per clip; empty for other methods."""
    n_candidates: int
    studies: tuple[str, ...]
    """Whose trials the candidates are."""
    filename: NDArray[np.str_]
    """[source clip]"""
    answers: NDArray[np.int64]
    """[source clip] the nested answers."""
    states: Float32 | None
    """[source clip, state] the distributions behind them; None where thresholds decode."""
    left_out: tuple[str, ...] = ()
    """A sentence on each trial whose outputs could not be used."""

    @property
    def trajectory_start(self) -> int:
        """Models in the average at the trajectory's first step."""
        return first_step(self.how, self.n_candidates)

    @property
    def one_member(self) -> str:
        """Why an ensemble of one trial answers differently from the trial; empty otherwise."""
        return explain_one_member(len(self.ensemble.members), self.how.decoding)

    @property
    def is_transductive(self) -> bool:
        """Whether one of its scores, or a member's own score, uses the design decoder."""
        return self.how.decoding == "design" or any(
            one.candidate.config.decode.design == "actor" for one in self.ensemble.members
        )

    def scores(self) -> dict[str, float]:
        """The numbers by name, as far as they were measured."""
        numbers = {
            "score_nested": self.nested["score"].estimate,
            "acc_presence_nested": self.nested["acc_presence"].estimate,
            "acc_salience_nested": self.nested["acc_salience"].estimate,
            "score_in_sample": self.in_sample,
            "score_single_nested": self.single.estimate,
            "difference_nested": self.difference.estimate,
        }
        return {name: value for name, value in numbers.items() if np.isfinite(value)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "method": self.ensemble.method,
            "selection": asdict(self.how),
            "members": _members(self.ensemble.members),
            "decoding": dict(self.decoding),
            "blend_share": self.blend_share,
            "scores": {
                **{f"{part}_nested": interval.to_dict() for part, interval in self.nested.items()},
                "score_in_sample": self.in_sample,
                "score_single_nested": self.single.to_dict(),
                "difference_nested": self.difference.to_dict(),
            },
            "by_fold": {str(fold): _members(members) for fold, members in self.by_fold.items()},
            "trajectory": list(self.trajectory),
            "trajectory_start": self.trajectory_start,
            "candidates": self.n_candidates,
            "studies": list(self.studies),
            **({"left_out": list(self.left_out)} if self.left_out else {}),
        }


def explain_one_member(n_members: int, decoding: Decoding) -> str:
    """See `EnsembleResult.one_member`; thresholds on an average of one are those of the trial."""
    if n_members > 1 or decoding == "official":
        return ""
    return (
        "one member: as in any ensemble, what is averaged is calibrated once more before it answers, so this one does "
        "not answer just as the trial alone"
    )


def build_ensemble(
    folders: Sequence[StudyFolder], dataset: Dataset, how: Selection, progress: Progress
) -> EnsembleResult:
    """Choose an ensemble among the finished trials of studies, and evaluate the choice nested.

    Args:
        folders: of the studies, all on `dataset`.
        dataset: the data.
        how: members are chosen.
        progress: told how far it is.

    Raises:
        ConfigError: thresholds are to decode blends whose ratios they cannot tell apart, or a design that the data's
            actors do not share, or whose actors a candidate takes as unknown.
        StudyError: a study is of other data, has nothing to choose from, or did not keep its outputs.
    """
    task = dataset.clips.task
    if how.decoding == "official":
        check_ratios(task, "--decode official", "leave it out: the average is then answered by states")
    every = _candidates(folders, dataset)
    if how.decoding == "design":
        _check_design(every, dataset)
    searched = _as_searched(folders, every)
    truth = Truth.of(dataset)
    looked = count(1)
    progress.start("looking at candidates", len(every))
    first = preselect(every, searched, dataset, how, lambda: progress.update(next(looked)))
    wanted = np.unique(np.concatenate(list(first.places.values()))).tolist()
    calibrated, as_searched, lost = _calibrate(
        [every[place] for place in wanted], [searched[place] for place in wanted], dataset, progress
    )
    left_out = (*first.left_out.values(), *lost.values())
    for sentence in left_out:
        progress.note(f"{sentence}; the trial is left out")
    if not calibrated:
        raise StudyError(left_out[0])
    there = [place for index, place in enumerate(wanted) if index not in lost]
    places = {fold: np.flatnonzero(np.isin(there, chosen)) for fold, chosen in first.places.items()}
    gone = {*first.left_out, *(wanted[index] for index in lost)}
    usable = [place for place in range(len(every)) if place not in gone]
    candidates = [every[place] for place in usable]
    with threadpool_limits(1, "blas"):  # as in `decoding.newton`
        chosen = choose_nested(
            calibrated, how, progress, as_searched, places, np.searchsorted(usable, there), len(usable)
        )
    final = chosen[-1]
    actor = dataset.clips.actor[: dataset.clips.n_source]

    def table(answers: NDArray[np.int64]) -> InfluenceTable:
        return InfluenceTable.of_answers(task, truth.state, answers, actor, truth.fold)

    answers = nested_answers(chosen)
    nested, single = table(answers), table(nested_answers(chosen, single=True))
    return EnsembleResult(
        ensemble=WeightedTrials(_chosen_members(candidates, final.weights), how.method),
        how=how,
        decoding=final.decoding,
        blend_share=float(truth.shares(None).blend),
        nested={part: score_interval(nested, part) for part in PARTS},
        in_sample=score_interval(table(final.answers)).estimate,
        single=score_interval(single),
        difference=difference_interval(nested, single),
        by_fold=_by_fold([searched[place] for place in usable], chosen),
        trajectory=final.weights.trajectory,
        n_candidates=len(candidates),
        studies=tuple(folder.name for folder in folders),
        filename=dataset.clips.filename[: dataset.clips.n_source],
        answers=answers,
        states=nested_states(chosen),
        left_out=left_out,
    )


def _check_design(candidates: Sequence[Candidate], dataset: Dataset) -> None:
    asked, remedy = "--decode design", "leave it out: each clip is then answered by itself"
    check_design(dataset, asked, remedy)
    for config in (one.config for one in candidates):
        if config.data.standardize != "fold":  # else nothing says what is known of the actors
            known = resolve_target_actors(config.data.target_actors, dataset.clips)
            check_design_actors(known, asked, dataset, remedy)


def _as_searched(folders: Sequence[StudyFolder], candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, confirmed ones with the models that the search itself trained."""
    again = {one.number for one in candidates if one.confirmed_models}
    former = {
        (one.study, one.number): one
        for folder in (folders if again else ())
        for one in read_candidates(folder, confirmed=False, numbers=again).candidates
    }
    return [former[one.study, one.number] if one.confirmed_models else one for one in candidates]


def _calibrate(
    candidates: Sequence[Candidate], searched: Sequence[Candidate], dataset: Dataset, progress: Progress
) -> tuple[list[CalibratedCandidate], list[CalibratedCandidate], dict[int, str]]:
    """(candidates, the same as the search trained them, place -> why its outputs cannot be used)."""
    truth = Truth.of(dataset)
    again = [former for one, former in zip(candidates, searched, strict=True) if one is not former]
    progress.start("calibrating candidates", len(candidates) + len(again))
    done = count(1)

    def calibrate(one: Candidate) -> CalibratedCandidate | StudyError:
        try:
            return CalibratedCandidate.of(one, load_outputs(one, dataset), truth)
        except StudyError as error:
            return error

    found = map_in_threads(calibrate, [*candidates, *again], lambda: progress.update(next(done)))
    retrained = iter(found[len(candidates) :])
    calibrated: list[CalibratedCandidate] = []
    as_searched: list[CalibratedCandidate] = []
    lost: dict[int, str] = {}
    for place, (one, former) in enumerate(zip(candidates, searched, strict=True)):
        mine = found[place]
        theirs = mine if one is former else next(retrained)
        if isinstance(mine, StudyError) or isinstance(theirs, StudyError):
            lost[place] = str(mine if isinstance(mine, StudyError) else theirs)
        else:
            calibrated.append(mine)
            as_searched.append(theirs)
    return calibrated, as_searched, lost


def _candidates(folders: Sequence[StudyFolder], dataset: Dataset) -> list[Candidate]:
    """Finished trials of all studies, each configuration once, and none that looked at the fold it reports."""
    found: dict[str, Candidate] = {}
    for folder in folders:
        record = read_candidates(folder)
        fingerprint = record.study.data_fingerprint
        if fingerprint and fingerprint != dataset.fingerprint:
            raise StudyError(
                f"study {folder.name!r}: searched on data {record.study.data!r} with fingerprint {fingerprint}, but "
                f"{dataset.path} has {dataset.fingerprint}; an ensemble's studies share their data and encoders"
            )
        for candidate in record.candidates:
            if candidate.config.protocol == "crossfit":
                found.setdefault(candidate.config_id, candidate)
    if not found:
        names = ", ".join(folder.name for folder in folders)
        raise StudyError(f"{names}: no finished trial with protocol crossfit to choose from; search first")
    return list(found.values())


def _chosen_members(candidates: Sequence[Candidate], weights: Weights) -> tuple[Member, ...]:
    """The candidates with weight, the heaviest first."""
    sets, ratios = weights.sets, weights.ratios
    order = np.argsort(-(sets + ratios), kind="stable")
    return tuple(
        Member(candidates[index], float(sets[index]), float(ratios[index]))
        for index in order
        if sets[index] + ratios[index] > 0
    )


def _by_fold(candidates: Sequence[Candidate], chosen: Sequence[Chosen]) -> dict[int, tuple[Member, ...]]:
    return {one.held_out: _chosen_members(candidates, one.weights) for one in chosen if one.held_out is not None}


def _members(members: Sequence[Member]) -> list[dict[str, Any]]:
    return [
        {
            "study": one.candidate.study,
            "trial": one.candidate.number,
            "config_id": one.candidate.config_id,
            "weight": one.weight,
            "ratio_weight": one.ratio_weight,
        }
        for one in members
    ]
