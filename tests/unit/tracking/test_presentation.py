import json
import math

import pytest

from rfe.journal.events import OutcomeLog
from rfe.tracking.presentation import (
    batches,
    legal_name,
    params,
    readable,
    study_description,
    study_tags,
    trial_description,
    trial_metrics,
    trial_tags,
    trial_view,
)
from tests.unit.tracking.logs import confirmation_log, failed_log, study_log, trial_log


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (1.5e-3, "0.0015"),
        (["a", "b"], "a, b"),
        ({"a": 1}, "a: 1"),
        (3, "3"),
        ("x", "x"),
    ],
)
def test_readable(value: object, text: str) -> None:
    assert readable(value) == text


def test_a_long_value_is_cut_with_a_note_under_the_server_limit() -> None:
    text = readable(["encoder"] * 2000)
    assert len(text) < 6000
    assert text.endswith("(cut, 17998 characters; whole in config.yaml)")


def test_names_are_made_legal() -> None:
    assert legal_name("pool.a@b[1],c") == "pool.a_b_1__c"
    assert params({"b": 1, "a": 2}) == [("a", "2"), ("b", "1")]


def test_final_value_is_logged_last_at_the_last_epoch() -> None:
    metrics = trial_metrics(trial_log(0, 0.25))
    assert [entry for entry in metrics if entry[0] == "score"] == [
        ("score", 0.1, 5),
        ("score", 0.2, 10),
        ("score", 0.25, 10),
    ]
    assert [entry for entry in metrics if entry[0] == "train_loss"] == [("train_loss", 2.0, 1), ("train_loss", 0.5, 10)]
    values = {name: value for name, value, _ in metrics}
    assert values["score_fold1"] == 0.3
    assert values["kept.clip"] == 0.75
    assert values["seconds"] == 2.5
    assert all(math.isfinite(value) for value in values.values())
    assert "acc_salience" not in values


def test_an_unfinished_trial_is_not_sorted_among_scores() -> None:
    names = {name for name, _, _ in trial_metrics(failed_log(1))}
    assert "score" not in names
    assert {"unfinished_score", "train_loss"} <= names


def test_batches_stay_under_the_limits_and_lose_nothing() -> None:
    metrics = [(f"m{i}", float(i), i) for i in range(25)]
    settings = [(f"p{i}", str(i)) for i in range(7)]
    split = list(batches(metrics, settings, n_metrics=10, n_params=3))
    assert all(len(m) <= 10 and len(p) <= 3 for m, p in split)
    assert [entry for m, _ in split for entry in m] == metrics
    assert [entry for _, p in split for entry in p] == settings
    assert list(batches([], [])) == []


def test_tags() -> None:
    tags = trial_tags(failed_log(7), study_log())
    assert tags["rfe.study"] == "s"
    assert tags["rfe.trial"] == "7"
    assert tags["rfe.state"] == "failed"
    assert tags["rfe.config_id"] == "000000000007"
    assert tags["rfe.data_fingerprint"] == "0123456789abcdef"
    assert tags["rfe.git_commit"] == "c0ffee"
    assert tags["rfe.simulated"] == "true"
    assert tags["rfe.reason"] == "the loss is NaN at epoch 3"
    assert trial_tags(trial_log(1, tags={"duplicate_of": "0"}), study_log())["rfe.duplicate_of"] == "0"
    assert "rfe.git_commit" not in study_tags(study_log(git_commit=""))


def test_descriptions_carry_result_warnings_and_confirmation() -> None:
    text = trial_description(trial_log(0), study_log(), confirmation_log(0))
    assert text.startswith("**Score 0.250 ± 0.010**")
    assert "**Simulated data**" in text
    assert "Votes, not acted blends." in text
    assert "**Confirmed score 0.250**, sd 0.050 over 3 fresh seeds" in text
    assert "| 101 | 0.300 |" in text
    assert "wavlm 100%, clip 75%" in text
    assert "**Failed**: the loss is NaN at epoch 3" in trial_description(failed_log(1), study_log())
    assert "Simulated" not in trial_description(trial_log(0), study_log(simulated=False, caveats=()))


def test_study_description() -> None:
    text = study_description(study_log(), {"complete": 3, "failed": 0}, OutcomeLog("s", "finished", "Best: trial 2."))
    assert text.startswith("**Finished.** Best: trial 2.")
    assert "Trials: 3 complete." in text
    assert "| `train.lr` | float 1e-4 .. 5e-3, log |" in text


def test_trial_table_is_a_saved_view_of_what_was_searched() -> None:
    view = json.loads(trial_view(study_log()))
    state = json.loads(view["state"])
    assert state["orderByKey"] == "metrics.`score`"
    assert state["selectedColumns"][0] == "metrics.`score`"
    assert {"params.`train.lr`", "params.`pool`"} <= set(state["selectedColumns"])
