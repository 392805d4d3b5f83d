"""What a report says of an ensemble: the nested answers behind its headline, from several sides."""

from pathlib import Path

import pytest

from rfe.data.dataset import Dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import Decoding
from rfe.ensemble.selection import Selection
from rfe.ensemble.stored import NESTED_FILE, read_ensemble, write_ensemble
from rfe.progress import SilentProgress
from rfe.reporting.report.build import build_report
from rfe.reporting.report.document import ReportDocument, Table, Text
from rfe.workspace import Workspace
from tests.unit.reporting.report.studies import make_workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Dataset]:
    workspace, dataset = make_workspace(tmp_path_factory.mktemp("ensemble"), n_trials=6)
    decodings: tuple[tuple[str, Decoding], ...] = (("final", "states"), ("by-thresholds", "official"))
    for name, decoding in decodings:
        choose(workspace, dataset, name, Selection(members=3, candidates=4, bags=2, decoding=decoding))
    return workspace, dataset


def choose(workspace: Workspace, dataset: Dataset, name: str, how: Selection) -> None:
    result = build_ensemble([workspace.study("first")], dataset, how, SilentProgress())
    about = {
        "path": str(dataset.path),
        "encoders": None,
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "simulated": True,
        "caveats": ["saliences are guessed."],
    }
    write_ensemble(workspace, name, result, about)


def test_one_member_and_weights_apart_are_explained(tmp_path: Path) -> None:
    workspace, dataset = make_workspace(tmp_path, n_trials=4)
    choose(workspace, dataset, "alone", Selection(method="single"))
    report = report_on((workspace, dataset), "alone")
    assert "calibrated once more" in words(report)
    assert "salience weight" not in [column.title for column in table(report, "alone-members").columns]
    choose(workspace, dataset, "apart", Selection(members=3, candidates=4, bags=2, separate_heads=True))
    report = report_on((workspace, dataset), "apart")
    assert "calibrated once more" not in words(report)
    members = table(report, "apart-members")
    assert "salience weight" in [column.title for column in members.columns]
    assert "salience weight: in the one that splits a blend" in members.note


def report_on(made: tuple[Workspace, Dataset], name: str) -> ReportDocument:
    return build_report([name], made[0], None, SilentProgress())[0]


def table(report: ReportDocument, name: str) -> Table:
    return next(one for one in report.tables if one.name == name)


def words(report: ReportDocument) -> str:
    return " ".join(block.words for section in report.sections for block in section.walk() if isinstance(block, Text))


def test_the_nested_answers_are_shown_from_all_sides(made: tuple[Workspace, Dataset]) -> None:
    report = report_on(made, "final")
    assert [sentence.split(":")[0] for sentence in report.headlines] == ["score_nested", "score_in_sample"]
    named = next(one for one in report.tables if one.title == "Named scores")
    assert [row[1:3] for row in named.rows] == [("score_nested", "selected"), ("score_in_sample", "in-sample")]
    tables = {one.name.removeprefix("final-") for one in report.tables}
    figures = {one.name.removeprefix("final-") for one in report.figures}
    assert tables >= {"what-ran", "scores", "members", "errors", "classes", "actors", "calibration"}
    assert figures >= {"scores", "trajectory", "confusion", "classes", "actors", "reliability"}
    assert "expected score" in dict(table(report, "final-what-ran").rows)["answered by"]
    # the actors' clips, put together, are what the headline counts
    actors = table(report, "final-actors").rows
    presence = sum(row[2] * row[4] for row in actors) / sum(row[2] for row in actors)
    scores = {row[0]: row[1] for row in table(report, "final-scores").rows}
    assert sum(row[2] for row in actors) == made[1].clips.n_source
    assert presence == pytest.approx(scores["presence, ensemble, nested"])


def test_thresholds_have_nothing_to_calibrate(made: tuple[Workspace, Dataset]) -> None:
    report = report_on(made, "by-thresholds")
    assert "no probabilities to calibrate" in words(report)
    assert "by-thresholds-errors" in {one.name for one in report.tables}
    assert {"fitted alpha", "fitted beta"} <= dict(table(report, "by-thresholds-what-ran").rows).keys()


def test_answers_that_are_gone_are_a_sentence(made: tuple[Workspace, Dataset], tmp_path: Path) -> None:
    kept = read_ensemble(made[0], "final").folder / NESTED_FILE
    kept.rename(tmp_path / NESTED_FILE)
    try:
        assert "choose the ensemble again" in words(report_on(made, "final"))
    finally:
        (tmp_path / NESTED_FILE).rename(kept)
