"""An ensemble as the subject of a report: members and weights, and what it scores, nested and otherwise."""

from collections.abc import Iterator, Mapping
from typing import Any

from rfe.ensemble.build import explain_one_member
from rfe.ensemble.stored import StoredEnsemble, read_nested
from rfe.errors import StudyError
from rfe.reporting.report.answers import answers_of
from rfe.reporting.report.calibration import calibration_blocks
from rfe.reporting.report.document import (
    Axis,
    Block,
    Column,
    Figure,
    Line,
    Panel,
    Points,
    ReportSection,
    Rule,
    Table,
    Text,
)
from rfe.reporting.report.models import answer_section
from rfe.reporting.report.subject import IN_SAMPLE, Headline, ReportData, Subject

DECODINGS = {
    "states": "averaged distributions over the states, by expected score",
    "design": "averaged distributions over the states, each actor's clips matched to the training actors' design "
    "(transductive), by expected score",
    "official": "averaged fused probabilities, by the organisers' two thresholds",
}


def ensemble_subject(stored: StoredEnsemble, data: ReportData) -> Subject:
    """Build the report's sections on an ensemble."""
    about = stored.about
    scores = about["scores"]
    nested = scores["score_nested"]
    headlines = (
        Headline(
            "score_nested",
            nested["estimate"],
            scores["acc_presence_nested"]["estimate"],
            scores["acc_salience_nested"]["estimate"],
            (nested["low"], nested["high"]),
            "the ensemble's result: each fold is answered by what was chosen without its labels",
        ),
        Headline("score_in_sample", scores["score_in_sample"], about=IN_SAMPLE),
    )
    prefix = f"{stored.name}-"
    return Subject(
        stored.name,
        "ensemble",
        about["data"]["name"],
        about["data"]["fingerprint"],
        bool(about["data"]["simulated"]),
        tuple(about["data"]["caveats"]),
        headlines,
        (
            ReportSection("What ran", tuple(_what(stored, data, prefix))),
            ReportSection("What it scores", tuple(_scores(stored, prefix))),
            ReportSection("Members", tuple(_members(about, prefix))),
            _answers(stored, data, prefix),
        ),
        int(about["candidates"]),
        None,
    )


def _what(stored: StoredEnsemble, data: ReportData, prefix: str) -> Iterator[Block]:
    about = stored.about
    studies = list(dict.fromkeys(str(one["study"]) for one in about["members"]))
    rows: list[tuple[str, Any]] = [
        ("ensemble", stored.name),
        ("method", about["method"]),
        ("answered by", DECODINGS[stored.decoding]),
        *((f"fitted {name}", value) for name, value in about["decoding"].items()),
        ("members", len(about["members"])),
        ("candidates", about["candidates"]),
        ("members' studies", ", ".join(studies)),
        ("data", about["data"]["name"] + (" (simulated)" if about["data"]["simulated"] else "")),
        ("data fingerprint", about["data"]["fingerprint"]),
        ("blend share of the training clips", about["blend_share"]),
        *((f"selection.{name}", value) for name, value in about["selection"].items()),
    ]
    yield Table(f"{prefix}what-ran", "Method, members and data", (Column(""), Column("value")), tuple(rows))
    if data.dataset is not None and data.dataset.fingerprint != about["data"]["fingerprint"]:
        yield Text("The data folder has changed since the ensemble was chosen.", "caveat")


def _scores(stored: StoredEnsemble, prefix: str) -> Iterator[Block]:
    scores = stored.about["scores"]
    lines = [
        ("ensemble, nested", scores["score_nested"]),
        ("best single trial, nested", scores["score_single_nested"]),
    ]
    difference = scores["difference_nested"]
    inside = difference["low"] <= 0 <= difference["high"]
    yield Text(
        f"Against the best single trial by the same rule the ensemble differs by {difference['estimate']:+z.3f} "
        f"[{difference['low']:+z.3f}, {difference['high']:+z.3f}], paired by clip"
        + (": the interval includes 0, so no difference was shown." if inside else "."),
        "finding",
    )
    if alone := explain_one_member(len(stored.ensemble.members), stored.decoding):
        yield Text(f"{alone[0].upper()}{alone[1:]}.")
    yield Figure(
        f"{prefix}scores",
        "The ensemble and the best single trial",
        ", ".join(f"{name} {one['estimate']:.3f}" for name, one in lines),
        (
            Panel(
                "",
                Axis("Score, with 95% interval over actors"),
                Axis(categories=(*(name for name, _ in lines), "ensemble, in-sample")),
                (
                    Points(
                        "nested",
                        [one["estimate"] for _, one in lines],
                        [name for name, _ in lines],
                        low=[one["low"] for _, one in lines],
                        high=[one["high"] for _, one in lines],
                    ),
                    Points(
                        "in-sample",
                        [scores["score_in_sample"]],
                        ["ensemble, in-sample"],
                        "grey",
                        "cross",
                    ),
                ),
            ),
        ),
        "Nested: ranked, calibrated, chosen and weighted without the labels of the fold that is answered.",
    )
    rows = []
    for name, label in (
        ("score_nested", "Score, ensemble, nested"),
        ("acc_presence_nested", "presence, ensemble, nested"),
        ("acc_salience_nested", "salience, ensemble, nested"),
        ("score_single_nested", "Score, best single trial, nested"),
        ("difference_nested", "difference in Score, paired"),
    ):
        one = scores[name]
        rows.append((label, one["estimate"], one["low"], one["high"]))
    rows.append(("Score on the clips it was chosen by (in-sample)", scores["score_in_sample"], None, None))
    yield Table(
        f"{prefix}scores",
        "Scores of the ensemble and of the best single trial",
        (Column("score"), Column("value"), Column("lower 95%"), Column("upper 95%")),
        tuple(rows),
    )


def _answers(stored: StoredEnsemble, data: ReportData, prefix: str) -> ReportSection:
    """The nested answers from several sides."""
    title = "How the ensemble answers"
    if data.dataset is None:
        return ReportSection(title, (Text(data.missing),))
    try:
        nested = read_nested(stored)
        answers = answers_of(nested.filename, nested.answers[None], data.dataset, f"ensemble {stored.name!r}")
    except StudyError as error:
        return ReportSection(title, (Text(f"Not shown: {error}"),))
    calibration: tuple[Block, ...] = (
        Text("Not shown: thresholds answer, so there are no probabilities to calibrate."),
    )
    if nested.states is not None:
        calibration = tuple(calibration_blocks(nested.states[None], answers, prefix))
    return answer_section(
        title,
        answers,
        "All of this is nested: each clip is answered by an ensemble that was ranked, calibrated, chosen and weighted "
        "without the labels of the clip's fold. It is what the headline counts.",
        prefix,
        (ReportSection("Calibration", calibration),),
    )


def _members(about: Mapping[str, Any], prefix: str) -> Iterator[Block]:
    folds = sorted(about["by_fold"])
    apart = bool(about["selection"]["separate_heads"])
    chosen = {fold: {(one["study"], one["trial"]): one["weight"] for one in about["by_fold"][fold]} for fold in folds}
    yield Table(
        f"{prefix}members",
        "Members, and what would have been chosen without each fold",
        (
            Column("study"),
            Column("trial"),
            Column("weight"),
            *([Column("salience weight")] if apart else []),
            *(Column(f"without fold {fold}") for fold in folds),
        ),
        tuple(
            (
                one["study"],
                one["trial"],
                float(one["weight"]),
                *([float(one["ratio_weight"])] if apart else []),
                *(chosen[fold].get((one["study"], one["trial"]), 0.0) for fold in folds),
            )
            for one in about["members"]
        ),
        (
            "Weight: in the average that says which set; salience weight: in the one that splits a blend. "
            if apart
            else ""
        )
        + "Weights that change much from fold to fold say that the choice among members is luck.",
    )
    losses = about["trajectory"]
    if losses:
        start = int(about["trajectory_start"])
        of = "the set" if apart else "the state"
        steps = list(range(start, start + len(losses)))
        lowest = min(range(len(losses)), key=losses.__getitem__)
        yield Figure(
            f"{prefix}trajectory",
            "Forward selection",
            f"Mean negative log-likelihood by number of models; lowest, {losses[lowest]:.3f}, at {steps[lowest]}.",
            (
                Panel(
                    "",
                    Axis("models in the average (with repetitions)", whole=True),
                    Axis(f"negative log-likelihood of {of} (nats per clip)"),
                    (
                        Rule(f"lowest, at {steps[lowest]} models", x=float(steps[lowest])),
                        Line("mean over bags", steps, losses),
                    ),
                ),
            ),
            "In-sample: of the clips it was chosen by.",
        )
