"""What `rfe search` and `rfe train` print, and the code they end with."""

import json
from pathlib import Path
from typing import Any

import pytest

from rfe import api
from rfe.cli.search import print_outcome
from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.search.outcome import Confirmed, FrontTrial, StudyOutcome
from rfe.study.gain import Estimate, SearchGain
from rfe.study.result import StudyScore
from tests.unit.cli.invoke import invoke


def _outcome(**changes: Any) -> StudyOutcome:
    fields: dict[str, Any] = {
        "study": "first",
        "state": "finished",
        "reason": "",
        "trials": {"complete": 7, "pruned": 0, "failed": 1},
        "score_best": StudyScore(0.45, 0.55, 0.35, (3, 3)),
        "score_selected": StudyScore(0.41, 0.51, 0.31, (3, 2)),
        "confirmed": (Confirmed(3, 0.45, 0.42, 0.01, (0.41, 0.43), (1000, 1001)),),
        "best": 3,
        "gain": SearchGain(7, 0.45, 3, 0.44, Estimate(0.43, 0.42, 0.455), 5, Estimate(0.001, 0.0, 0.002)),
        "best_config": flatten(Config()) | {"train.lr": 0.25},
        "elapsed_s": 200.0,
        "folder": "/w/studies/first",
        "data": "/data/sim",
        "data_fingerprint": "0" * 16,
        "simulated": True,
        "caveats": ("simulated data",),
    }
    return StudyOutcome(**fields | changes)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Changes to the outcome that the search will have."""
    changes: dict[str, Any] = {}
    monkeypatch.setattr(api, "search", lambda *_, **__: _outcome(**changes))
    monkeypatch.setenv("RFE_WORKSPACE", str(tmp_path))
    return changes


def _line(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_each_score_says_what_it_is(ends: dict[str, Any]) -> None:
    ended = invoke("search", "everything")
    assert ended.exit_code == 0
    assert "0.410" in _line(ended.stdout, "the result")
    assert "0.450" in _line(ended.stdout, "optimistic")
    assert "0.420" in _line(ended.stdout, "2 fresh seeds, sd 0.010; in the search 0.450")
    assert "0.250" in _line(ended.stdout, "train.lr")
    assert "model.latent_dim" not in ended.stdout  # at its default
    assert "caveat: simulated data" in ended.stdout
    assert "rfe export first" in _line(ended.stdout, "next:")


def test_one_trial_was_not_chosen(ends: dict[str, Any]) -> None:
    ends["trials"] = {"complete": 1, "pruned": 0, "failed": 0}
    said = invoke("search", "everything").stdout
    assert "0.450" in _line(said, "cross-validated")
    assert "best on the others" not in said


def test_the_official_protocol_is_called_optimistic(ends: dict[str, Any]) -> None:
    ends["best_config"] = flatten(Config()) | {"protocol": "official"}
    said = invoke("search", "everything").stdout
    assert "0.450" in _line(said, "optimistic: epoch and thresholds")
    assert "the result" not in said


def test_an_interrupted_search_ends_with_130_and_says_how_to_go_on(ends: dict[str, Any]) -> None:
    ends |= {"state": "stopped", "score_best": None, "score_selected": None, "confirmed": (), "best": None}
    ended = invoke("search", "everything")
    assert ended.exit_code == 130
    assert "the same command goes on" in ended.stdout


def test_the_front_of_several_objectives_is_shown(ends: dict[str, Any]) -> None:
    assert "Pareto" not in invoke("search", "everything").stdout
    ends["front"] = (FrontTrial(5, {"acc_presence": 0.6, "acc_salience": 0.1}),)
    said = invoke("search", "everything").stdout
    assert "Pareto front" in said
    assert "0.600" in _line(said, "0.100")
    assert "Pareto front of acc_presence and acc_salience: trials 5." in _outcome(**ends).summary()


def test_an_unknown_study_to_learn_from_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    ended = invoke("search", "everything", "--data", data, "--warm-start", "gone", "--workspace", tmp_path / "w")
    assert ended.exit_code == 2
    assert "no study 'gone'" in ended.stderr
    assert not (tmp_path / "w" / "studies").exists()


def test_json_is_the_outcome(ends: dict[str, Any]) -> None:
    found = json.loads(invoke("search", "everything", "--json").stdout)
    assert found["score_selected"]["score"] == 0.41
    assert found["confirmed"][0]["number"] == 3


@pytest.mark.parametrize("command", ["search", "train"])
def test_wrong_input_is_refused_before_anything_starts(command: str, tmp_path: Path) -> None:
    for arguments, said in (
        (["nothing.yaml"], "nothing.yaml does not exist"),
        (["everything" if command == "search" else "baselines/mean_fusion"], "--data"),
        (["everything" if command == "search" else "baselines/mean_fusion", "--set", "train.epoch=3"], "train.epochs"),
    ):
        ended = invoke(command, *arguments, "--workspace", tmp_path)
        assert ended.exit_code == 2
        assert said in ended.stderr
    assert not list(tmp_path.iterdir())


def test_what_the_search_gained_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcome(_outcome())
    shown = capsys.readouterr().out
    assert "what the search gained" in shown
    assert "best first trial: 0.440; the search gained 0.010" in shown
    assert "7 random trials: about 0.430 [0.420, 0.455]" in shown
    assert "the search cannot be told from random search" in shown
    assert "- 7 more trials: about +0.001 [0.000, 0.002]" in _outcome().summary()
    assert json.loads(json.dumps(_outcome().to_dict()))["gain"]["random"] == {"value": 0.43, "low": 0.42, "high": 0.455}
    print_outcome(_outcome(gain=None))
    assert "what the search gained" not in capsys.readouterr().out
