"""Before: `clip@336` and `clip+336` were one name, whose trials MLflow refused, and so were any two Chinese ones."""

import itertools

import pytest
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.validation import _validate_batch_log_data

from rfe.tracking.names import LONGEST_NAME, Names, legal_name
from rfe.tracking.presentation import (
    LONGEST_NOTE,
    LONGEST_VIEW,
    params,
    readable,
    study_description,
    study_names,
    trial_description,
    trial_metrics,
    trial_tags,
    trial_view,
)
from tests.unit.tracking.logs import failed_log, study_log, trial_log

AWKWARD = [
    *(
        "clip@336",
        "clip+336",
        "clip_336",
        "CLIP_336",
        "声音",
        "图像",
        "résumé",
        "re\u0301sume\u0301",
        "हिंदी",
        "🙂",
        "😀",
    ),
    *(
        " clip",
        "clip ",
        "clip",
        "a/b",
        "a//b",
        "/a",
        "a/",
        "../a",
        "..",
        ".",
        "./a",
        "",
        "a\nb",
        "a\tb",
        "a\0b",
        "\udcff",
    ),
    *(
        "mlflow.user",
        "x" * 240,
        "x" * 240 + "@",
        "声" * 400,
        "a:b",
        "x" * 199 + "/b",
        "a`b",
        "a'b",
        'a"b',
        "a%b",
        "a\\b",
    ),
]


@pytest.mark.parametrize("name", AWKWARD)
def test_mlflow_takes_every_name(name: str) -> None:
    legal = legal_name(name)
    _validate_batch_log_data([Metric(legal, 1.0, 0, 0)], [Param(legal, "1")], [RunTag(f"rfe.{legal}"[:250], "1")])
    assert len(legal) <= LONGEST_NAME


@pytest.mark.parametrize("known", [True, False], ids=["encoders known", "as they come"])
@pytest.mark.parametrize("prefix", ["", "kept.", "data.standardize.", "pool."])
def test_no_two_names_become_one(prefix: str, known: bool) -> None:
    names = Names(AWKWARD if known else ())
    legal = [names.of(prefix + name) for name in AWKWARD]
    _validate_batch_log_data([Metric(one, 1.0, 0, 0) for one in legal], [Param(one, "1") for one in legal], [])
    # databases may compare without case
    assert len({one.casefold() for one in legal}) == len(AWKWARD)
    assert [names.of(prefix + name) for name in AWKWARD] == legal


def test_letters_of_any_script_stay() -> None:
    assert Names().of("kept.声音") == "kept.声音"
    assert Names().of("kept.résumé") == "kept.résumé"
    assert Names().of("train.lr") == "train.lr"


def test_an_encoder_is_called_alike_in_whatever_order_trials_come() -> None:
    encoders = ["clip+336", "clip@336", "clip_336"]
    for order in itertools.permutations(encoders):
        names = study_names(study_log(settings={"data.encoders": encoders}))
        kept = {one: names.of(f"kept.{one}") for one in order}
        assert kept == {
            "clip_336": "kept.clip_336",
            "clip+336": "kept.clip_336_2",
            "clip@336": "kept.clip_336_3",
        }
        assert names.of("data.standardize.clip@336") == "data.standardize.clip_336_3"


def test_a_trial_shows_the_values_of_both_encoders() -> None:
    kept = {"clip@336": 0.25, "clip+336": 0.75, "声音": 0.5, "图像": 1.0}
    log = trial_log(0, kept_frequency=kept, config={f"data.standardize.{name}": name for name in kept})
    names = study_names(study_log(settings={"data.encoders": sorted(kept)}))
    shown = {name: value for name, value, _ in trial_metrics(log, names)}
    assert {shown[names.of(f"kept.{encoder}")] for encoder in kept} == set(kept.values())
    settings = params(log.config, names)
    assert sorted(value for _, value in settings) == sorted(kept)
    assert len(dict(settings)) == len(kept)


def test_values_are_what_databases_take() -> None:
    assert readable(["a\0b", "\udcff"]).encode() == "a\N{REPLACEMENT CHARACTER}b, ?".encode()
    long = {f"encoder {i}": 0.5 for i in range(2000)}
    for text in (
        trial_description(trial_log(0, kept_frequency=long), study_log()),
        trial_description(failed_log(0, "x" * 20_000), study_log()),
        study_description(
            study_log(settings={"data.encoders": list(long)}, space=dict.fromkeys(long, "in or out")), {}
        ),
    ):
        assert LONGEST_NOTE < len(text) < 8000
    assert len(trial_tags(failed_log(0, "x" * 20_000), study_log())["rfe.reason"]) < 6000


def test_a_space_of_many_dimensions_has_a_view_that_servers_take() -> None:
    """Before, the experiment's tag was refused, and with it the whole study."""
    space = {f"data.standardize.encoder {i}": "actor or fold" for i in range(2000)}
    assert 1000 < len(trial_view(study_log(space=space))) <= LONGEST_VIEW
