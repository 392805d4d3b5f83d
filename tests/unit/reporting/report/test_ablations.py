"""What a report says of an ablation: its arms, and how its base answers."""

from pathlib import Path

import pytest
import yaml

from rfe import api
from rfe.ablation.study import read_arms
from rfe.progress import SilentProgress
from rfe.reporting.report.build import build_report
from rfe.reporting.report.document import Points, ReportDocument, Text
from rfe.workspace import Workspace
from tests.integration.fakes import write_data
from tests.unit.ablation.studies import Train, pretend, train_truly, use

SMALL = {"train.epochs": 2, "train.batch_size": 32, "model.latent_dim": 8, "train.lr": 0.01}


def ablate(
    workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch, train: Train, **fields: object
) -> ReportDocument:
    use(monkeypatch, train)
    plan = folder / "plan.yaml"
    plan.write_text(yaml.safe_dump({"name": "ours", "seeds": 3, "base": SMALL, "components": ["no dropout"], **fields}))
    assert api.ablate(plan, write_data(folder / "tiny"), workspace=workspace) is not None
    return build_report(["ours"], workspace, None, SilentProgress())[0]


def names_of(report: ReportDocument) -> tuple[set[str], set[str]]:
    tables = {one.name.removeprefix("ours-") for one in report.tables}
    return tables, {one.name.removeprefix("ours-") for one in report.figures}


def test_the_base_shows_its_confusion_its_gate_and_what_each_encoder_is_worth(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ablate(workspace, tmp_path, monkeypatch, train_truly, encoder_value=True)
    tables, figures = names_of(report)
    assert tables >= {"arms", "errors", "classes", "actors", "gate", "encoder-value"}
    assert figures >= {"arms", "confusion", "classes", "actors", "gate", "encoder-value"}
    value = next(one for one in report.tables if one.name == "ours-encoder-value")
    gate = next(one for one in report.tables if one.name == "ours-gate")
    shares = {row[0]: row[-1] for row in gate.rows if row[1] == "kept"}
    assert {row[0]: pytest.approx(row[1]) for row in value.rows} == shares


def test_a_tuned_base_is_put_together_of_its_configurations(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ablate(workspace, tmp_path, monkeypatch, pretend, retune=4)
    parts = read_arms(workspace.study("ours")).parts["base"]
    words = " ".join(one.words for section in report.sections for one in section.walk() if isinstance(one, Text))
    several = len(parts) > 1
    assert ("answered by different configurations" in words) is several
    assert (f"The gates of {len(parts)} configurations" in words) is several
    tables, figures = names_of(report)
    assert "errors" in tables
    assert "gate" in figures


def test_sweeps_and_factorials_are_curves_and_stand_in_no_picture_of_tested_arms(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ablate(
        workspace,
        tmp_path,
        monkeypatch,
        pretend,
        sweeps={"model.n_kept": "all"},
        sweeps_without={"useless": ["noise"]},
        encoders_in_order=["weak", "good"],
        factorial={"data.standardize": ["fold", "actor"], "adaptation.kind": ["none", "coral"]},
    )
    figures = {one.name.removeprefix("ours-"): one for one in report.figures}
    table = next(one for one in report.tables if one.name == "ours-arms")
    score = {row[0]: row[1] for row in table.rows}
    (kept,) = figures["sweep-n-kept"].panels
    curves = {mark.name: mark for mark in kept.marks if isinstance(mark, Points)}
    assert list(curves) == ["all encoders", "without useless"]
    assert list(curves["all encoders"].x) == ["1", "2", "3"]
    without = [score["n_kept 1 without useless"], score["n_kept 2 without useless"]]
    assert list(curves["without useless"].y) == without
    assert all(low < y < high for one in curves.values() for low, y, high in zip(one.low, one.y, one.high, strict=True))
    (order,) = figures["encoders-in-order"].panels
    assert order.x.categories == ("weak", "+ good")
    (crossed,) = figures["factorial"].panels
    assert crossed.x.categories == ("fold", "actor")
    names = [mark.name for mark in crossed.marks if isinstance(mark, Points)]
    assert names == ["adaptation none", "adaptation coral"]
    (arms,) = figures["arms"].panels
    assert arms.y.categories == ("no dropout",)
