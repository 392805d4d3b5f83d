"""Reports of studies on disk: what they say, what they leave out with a sentence, and what they write."""

import csv
import json
from pathlib import Path

import pytest

from rfe import api
from rfe.errors import ConfigError, StudyError
from rfe.progress import SilentProgress
from rfe.reporting.report.build import build_report
from rfe.reporting.report.comparison import is_blemore, read_published_scores, side_by_side
from rfe.reporting.report.document import Figure, ReportDocument, ReportSection, Table, Text
from rfe.reporting.report.html import report_html
from rfe.reporting.report.parameters import slice_blocks
from rfe.reporting.report.subject import Headline, Subject
from rfe.reporting.report.write import write_report
from rfe.search_space import load_space
from rfe.study import define_study
from rfe.study.importance import Point
from rfe.workspace import Workspace
from tests.unit.reporting.report.studies import empty_study, make_workspace

PIXEL = (b"\x89PNG", b"<svg/>")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("report"))[0]


@pytest.fixture(scope="module")
def report(workspace: Workspace) -> ReportDocument:
    return build_report(["first"], workspace, None, SilentProgress())[0]


def _table(report: ReportDocument, name: str) -> Table:
    return next(table for table in report.tables if table.name == name)


def _words(report: ReportDocument) -> str:
    return " ".join(block.words for section in report.sections for block in section.walk() if isinstance(block, Text))


def test_the_headline_is_the_selected_score_and_the_best_is_called_optimistic(report: ReportDocument) -> None:
    assert [sentence.split(":")[0] for sentence in report.headlines] == ["score_selected", "confirmed", "score_best"]
    assert "[" in report.headlines[0]
    assert "optimistic" in report.headlines[2]
    assert "3 seeds that the search never used" in report.headlines[1]


def test_simulated_data_and_caveats_come_first(report: ReportDocument) -> None:
    assert "simulated" in report.title
    assert "simulated" in report.lead[0]
    assert report.caveats[0] == "saliences are guessed."
    assert report.caveats[-1] == "data: fewer than 10 actors: intervals over them are themselves uncertain."


def test_everything_asked_for_is_there(report: ReportDocument) -> None:
    tables = {table.name.removeprefix("first-") for table in report.tables}
    figures = {figure.name.removeprefix("first-") for figure in report.figures}
    assert tables >= {"side-by-side", "what-ran", "best-trials", "best-parameters", "importance", "pareto", "encoders"}
    assert tables >= {"errors", "classes", "actors", "calibration", "gate"}
    assert figures >= {"convergence", "importance", "slices", "pareto", "curves"}
    assert figures >= {"confusion", "classes", "actors", "reliability", "gate"}
    assert all(figure.alt for figure in report.figures)
    ran = dict(_table(report, "first-what-ran").rows)
    assert ran["git commit"] == "c0ffee"
    assert ran["trials"].startswith("24: 24 complete")


def test_target_clips_are_called_unlabelled_only_where_nobody_knows(report: ReportDocument, tmp_path: Path) -> None:
    assert dict(_table(report, "first-what-ran").rows)["target"].endswith("clips, unlabelled")
    workspace, dataset = make_workspace(tmp_path, n_trials=0)
    (dataset.path / "truth.json").write_text("{}")
    made, _ = build_report(["first"], workspace, None, SilentProgress())
    target = dict(_table(made, "first-what-ran").rows)["target"]
    assert target.endswith("clips, labels known to the simulator, not used here")


def test_one_trial_was_not_chosen_and_short_training_is_in_seconds(tmp_path: Path) -> None:
    workspace, _ = make_workspace(tmp_path, n_trials=1)
    made, _ = build_report(["first"], workspace, None, SilentProgress())
    assert [sentence.split(":")[0] for sentence in made.headlines] == ["score_selected", "confirmed"]
    assert "nothing was chosen by it" in made.headlines[0]
    assert "levels are optimistic" not in _words(made)
    scores = _table(made, "side-by-side")
    assert scores.columns[-1].title == "training (s)"
    assert scores.rows[0][-1] == pytest.approx(1.5)


def _doubled(section: ReportSection) -> list[str]:
    own = [block.title for block in section.blocks if not isinstance(block, Text) and block.title == section.title]
    return own + [title for inner in section.sections for title in _doubled(inner)]


def test_nothing_is_titled_like_its_section(workspace: Workspace, report: ReportDocument) -> None:
    two, _ = build_report(["first", empty_study(workspace).name], workspace, None, SilentProgress())
    assert [title for section in (*report.sections, *two.sections) for title in _doubled(section)] == []


def test_no_column_stands_twice(report: ReportDocument) -> None:
    for table in report.tables:
        titles = [column.title for column in table.columns]
        assert len(titles) == len(set(titles)), table.name
    assert "pool" in [column.title for column in _table(report, "first-best-parameters").columns]


def test_both_evaluators_stand_side_by_side(report: ReportDocument) -> None:
    table = _table(report, "first-importance")
    assert [column.title for column in table.columns] == ["parameter", "PED-ANOVA", "fANOVA"]
    for index in (1, 2):
        shares = {row[0]: row[index] for row in table.rows if row[index] is not None}
        assert shares.keys() >= {"pool.face", "pool.voice", "train.lr", "model.dropout", "adaptation.kind"}
        assert sum(shares.values()) == pytest.approx(1)


def test_a_trial_that_keeps_all_is_placed_with_a_word() -> None:
    kept = load_space({"study": "kept", "space": {"model.n_kept": {"int": [1, 4]}}})
    definition = define_study(kept, ("face", "voice", "hand", "text"), seed=0, fingerprint="f")
    points = [Point(n, 0.1 * n, {"model.n_kept": n}, {"model.n_kept": n}) for n in (1, 2, 4)]
    (figure,) = (block for block in slice_blocks(definition, points, "") if isinstance(block, Figure))
    assert 'model.n_kept is "all"' in figure.note


def test_a_gate_that_alternates_is_seen(report: ReportDocument) -> None:
    rows = {(row[0], row[1]): row[2:] for row in _table(report, "first-gate").rows}
    assert rows["face", "kept"][-1] == pytest.approx(0.5)
    assert rows["voice", "weight"][-1] == pytest.approx(0.5)


def test_other_data_is_not_held_against_published_numbers(report: ReportDocument) -> None:
    assert "left out" in _words(report)
    assert "published" not in {table.name for table in report.tables}
    assert len(read_published_scores()) == 17
    assert next(one.score for one in read_published_scores() if "6th" in one.source) == pytest.approx(0.2795)


def test_simulated_data_of_the_official_shape_is_not_blemore(workspace: Workspace, tmp_path: Path) -> None:
    assert not is_blemore(make_workspace(tmp_path, n_trials=0)[1])


def test_what_is_missing_is_a_sentence(workspace: Workspace, tmp_path: Path) -> None:
    folder = empty_study(workspace)
    made, _ = build_report([folder.name], workspace, None, SilentProgress())
    assert made.headlines == ("begun: no trial has a score yet",)
    assert "no trial logged a curve" in _words(made)
    one, dataset = make_workspace(tmp_path, n_trials=1)
    dataset.path.rename(dataset.path.with_name("elsewhere"))
    made, _ = build_report(["first"], one, None, SilentProgress())
    assert "fewer than two scored trials" in _words(made)
    assert "name the data folder with --data" in _words(made)


def test_several_names_are_held_side_by_side(workspace: Workspace) -> None:
    empty_study(workspace)
    made, folders = build_report(["first", "begun"], workspace, None, SilentProgress())
    assert [folder.name for folder in folders] == ["first", "begun"]
    assert made.sections[0].title == "Side by side"
    assert "different data" in _words(made)


def test_scores_of_different_statistics_do_not_stand_in_one_column(workspace: Workspace, tmp_path: Path) -> None:
    """The figure had the first named score of each: a study's selected beside an ablation's base, of fresh seeds."""
    selected = Headline("score_selected", 0.21, bounds=(0.19, 0.23))
    confirmed = Headline("confirmed", 0.24)
    nested, base = Headline("score_nested", 0.25), Headline("base", 0.26, bounds=(0.24, 0.28))
    made_of = {"study": (selected, confirmed), "ensemble": (nested, Headline("score_in_sample", 0.4)), "arms": (base,)}
    kinds = {"study": "study", "ensemble": "ensemble", "arms": "ablation"}
    section = side_by_side([_subject(name, kinds[name], scores) for name, scores in made_of.items()], "Side by side")
    table = next(block for block in section.blocks if isinstance(block, Table) and block.name == "same-statistic")
    assert [column.title for column in table.columns[2::3]] == ["selected", "confirmed"]
    assert [row[2::3] for row in table.rows] == [(0.21, 0.24), (0.25, None), (None, 0.26)]
    figure = next(block for block in section.blocks if isinstance(block, Figure))
    assert [panel.title for panel in figure.panels] == ["selected", "confirmed"]
    assert [panel.y.categories for panel in figure.panels] == [
        ("study: score_selected", "ensemble: score_nested"),
        ("study: confirmed", "arms: base"),
    ]
    alone = side_by_side([_subject("study", "study", (selected,)), _subject("arms", "ablation", (base,))], "")
    assert not [block for block in alone.blocks if isinstance(block, Figure)]


def _subject(name: str, kind: str, headlines: tuple[Headline, ...]) -> Subject:
    return Subject(name, kind, "data", "0", False, (), headlines, (), 3, 1.0)  # type: ignore[arg-type]


def test_an_unknown_name_is_refused(workspace: Workspace) -> None:
    with pytest.raises(StudyError, match="first"):
        build_report(["frist"], workspace, None, SilentProgress())


def test_the_page_holds_everything_and_escapes_it(report: ReportDocument) -> None:
    page = report_html(report, {figure.name: PIXEL for figure in report.figures})
    assert 'src="http' not in page
    assert page.count("<main") == page.count("<h1") == 1
    assert page.count('class="plot"') == sum(len(figure.panels) for figure in report.figures)
    spiteful = ReportDocument("<script>alert(1)</script>", ("</script>",), ("a & b",), ("`<b>` it",), ())
    page = report_html(spiteful, {})
    assert "<script>alert" not in page
    assert "&lt;/script&gt;" in page
    assert "<li><code>&lt;b&gt;</code> it</li>" in page


def test_a_report_is_written_whole_and_replaced(report: ReportDocument, tmp_path: Path) -> None:
    small = ReportDocument(
        report.title, report.lead, report.headlines, report.caveats, report.sections[:3], report.attached
    )
    for _ in range(2):
        written = write_report(small, tmp_path / "out", ["first"], SilentProgress())
    assert {path.name for path in written.folder.iterdir()} == {
        "figures",
        "report.html",
        "report.json",
        "report.md",
        "tables",
    }
    assert list(tmp_path.iterdir()) == [written.folder]
    names = {path.name for path in written.tables}
    assert {"first-best-trials.csv", "first-best-trials.tex", "first-all-trials.csv"} <= names
    with (written.folder / "tables" / "first-all-trials.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 24
    assert json.loads((written.folder / "report.json").read_text())["report"] == ["first"]
    assert r"score\_selected" in written.markdown.read_text()


def test_a_folder_that_holds_something_else_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="something else"):
        api.report(["first"], output=tmp_path, workspace=workspace)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
