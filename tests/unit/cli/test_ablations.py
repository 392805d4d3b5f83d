"""`rfe ablate`: what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.fakes import write_data
from tests.unit.ablation.studies import pretend, use
from tests.unit.cli.invoke import invoke


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command's arguments; studies run in this process."""
    use(monkeypatch, pretend)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RFE_WORKSPACE", raising=False)
    plan: dict[str, Any] = {"name": "ours", "seeds": 3, "components": ["no dropout", "no adaptation"]}
    plan["sweeps"] = {"model.n_kept": "all"}
    crossed = {"data.standardize": ["fold", "actor"], "adaptation.kind": ["none", "mmd"]}
    far = {"far off": {"train.lr": 1.0e-5}}
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**plan, "factorial": crossed, "custom": far}))
    return ["ablate", str(path), "--data", str(write_data(tmp_path / "tiny"))]


def test_the_table_says_what_may_be_said(given: list[str]) -> None:
    result = invoke(*given)
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "10 arms, 3 seeds, 216 clips of 6 actors" in lines[0]
    far = next(line for line in lines if line.startswith("far off"))
    assert far.split()[-1] == "loss"
    assert next(line for line in lines if line.startswith("n_kept 1")).split()[-1] != "loss"  # described, not tested
    assert any(line.startswith("adaptation.kind none -> mmd x data.standardize fold -> actor") for line in lines)
    for said in ("no arm: no adaptation: is the base", "smallest difference", "take the training sets as given"):
        assert said in result.output


def test_as_json(given: list[str]) -> None:
    found = json.loads(invoke(*given, "--json").stdout)
    assert {arm["family"] for arm in found["arms"]} == {"base", "component", "sweep", "factorial", "custom"}
    assert found["smallest_detectable"] > 0
    assert found["left_out"] == {"no adaptation": "is the base"}


def test_a_dry_run_shows_the_arms_and_trains_nothing(given: list[str], tmp_path: Path) -> None:
    result = invoke(*given, "--dry-run", "--retune", "5")
    assert result.exit_code == 0, result.output
    assert "ours: 10 arms, 3 seeds each" in result.output
    assert "tuned by 5 trials beforehand, over train.lr, train.weight_decay, model.dropout" in result.output
    assert not (tmp_path / "rfe-workspace").exists()
