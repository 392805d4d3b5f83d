"""`rfe ensemble`: what it prints."""

from pathlib import Path

import pytest

from rfe import api
from rfe.cli.output import show_bounds
from rfe.data.caveats import TRANSDUCTIVE
from rfe.metrics.intervals import FEW_ACTORS, Interval
from tests.unit.cli.invoke import invoke
from tests.unit.reporting.report.studies import make_workspace


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    workspace, _ = make_workspace(tmp_path, n_trials=4)
    monkeypatch.setenv("RFE_WORKSPACE", str(workspace.root))
    monkeypatch.setattr("rfe.api.ensembles._log", lambda *given: (None, ""))
    return "first"


def test_an_ensemble_of_one_says_why_it_differs_from_its_trial(study: str) -> None:
    said = invoke("ensemble", study, "--method", "single").stdout
    assert "1 members of 4 candidates" in said
    assert "calibrated once more" in said
    assert FEW_ACTORS in said
    assert "calibrated once more" not in invoke("ensemble", study, "--method", "single", "--decode", "official").stdout
    assert "calibrated once more" not in invoke("ensemble", study, "--method", "top_k", "--members", 2).stdout


@pytest.mark.parametrize(("paired", "said"), [(True, "+0.000 to +0.020"), (False, "0.000 to 0.020")])
def test_ends_of_a_difference_carry_their_sign_and_zero_no_minus(paired: bool, said: str) -> None:
    assert show_bounds(Interval(0.0098, 0.0102 / 1.96, 1e9, paired, 3, 40)) == said


def test_an_ensemble_by_design_says_transductive_wherever_it_scores(study: str, tmp_path: Path) -> None:
    made = invoke("ensemble", study, "--method", "top_k", "--members", 2, "--decode", "design", "--name", "by-design")
    assert made.exit_code == 0, made.stderr
    assert "Score, nested, transductive" in made.stdout
    assert f"caveat: {TRANSDUCTIVE}" in " ".join(made.stdout.split())
    api.report(["by-design"], output=tmp_path / "report")
    written = (tmp_path / "report" / "report.md").read_text()
    assert TRANSDUCTIVE in written
    assert "each actor's clips matched to the training actors' design (transductive)" in written
    assert "transductive" not in invoke("ensemble", study, "--method", "single").stdout
