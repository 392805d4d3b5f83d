import csv
import io
from itertools import combinations

import numpy as np
import pytest

from rfe.data.metadata import Clips
from rfe.metrics.score import score
from rfe.task import BLEMORE, Task
from rfe.tracking.contents import (
    confusion_csv,
    count_confusion,
    describe_trial,
    fold_scores,
    group_rare,
    state_type,
)
from rfe.training.record import TrialResult

ENCODERS = ("clip", "hubert", "wavlm")


def result(**changes: object) -> TrialResult:
    logits = np.full((1, 4, 6), 1.0e9, np.float32)
    logits[0, 0, 0] = -0.3333
    scores = np.array([[[1.0, -np.inf, 3.0]] * 4], np.float16)
    values: dict[str, object] = {
        **{"config_id": "abc", "state": "complete", "folds": np.array([0, 3]), "seeds": np.array([7])},
        **{"presence_logits": logits, "predicted_state": np.array([[0, 6, 7, 8]])},
        "totals": {
            "score": np.array([[1.0, 0.0, 2.0, 0.0], [2.0, 1.0, 2.0, 2.0]]),
            "acc_presence": np.array([[1.0, 2.0], [2.0, 2.0]]),
            "acc_salience": np.array([[0.0, 0.0], [1.0, 2.0]]),
        },
        **{"score": 0.5, "acc_presence": 0.75, "acc_salience": 0.5, "gate_scores": scores},
        **{"kept_frequency": {"clip": 0.25, "wavlm": 1.0}, "weights": {"w": np.zeros(2, np.float32)}},
    }
    return TrialResult(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def clips() -> Clips:
    names = np.array(["a", "b", "c", "d", "t"])
    unknown = np.full(5, -1)
    return Clips(names, unknown, (), np.array([0, 0, 3, 3, -1]), np.array([0, 6, 9, 8, -1]), 4, BLEMORE)


def test_log_of_a_complete_trial(clips: Clips) -> None:
    log = describe_trial("s", 3, result(), {"a": 1}, "a: 1\n", clips, ENCODERS, errors={"score": 0.1})
    assert log.scores == {
        "score": 0.5,
        "acc_presence": 0.75,
        "acc_salience": 0.5,
        "macro_f1": 0.6,
        "salience_mae": 0.875,
        "score_se": 0.1,
    }
    assert log.artifacts["config.yaml"] == b"a: 1\n"
    content = log.artifacts["outputs.npz"]
    assert isinstance(content, bytes)
    with np.load(io.BytesIO(content), allow_pickle=False) as outputs:
        assert outputs["presence_logits"].dtype == np.float16
        assert np.isfinite(outputs["presence_logits"]).all()
        assert outputs["presence_logits"][0, 0, 0] == pytest.approx(-0.3333, abs=1e-3)
        assert outputs["gate_scores"][0, 0].tolist() == [1.0, -np.inf, 3.0]
        assert outputs["filenames"].tolist() == ["a", "b", "c", "d"]
        assert outputs["target_filenames"].tolist() == ["t"]
        assert outputs["encoders"].tolist() == list(ENCODERS)
        assert outputs["predicted_state"].tolist() == [[0, 6, 7, 8]]
    gate = log.artifacts["gate.csv"]
    assert gate == b"encoder,kept_frequency,mean_gate_score\nclip,0.25,1\nwavlm,1,3\n"


def test_a_failed_trial_has_its_configuration_only(clips: Clips) -> None:
    failed = TrialResult(config_id="abc", state="failed", reason="the loss is NaN")
    log = describe_trial("s", 3, failed, {"a": 1}, "a: 1\n", clips, ENCODERS, tags={"lease": "2"})
    assert (log.state, log.reason, log.scores, log.per_fold) == ("failed", "the loss is NaN", {}, {})
    assert list(log.artifacts) == ["config.yaml"]
    assert log.tags == {"lease": "2"}


def test_fold_scores_leave_out_what_is_not_defined() -> None:
    scores = fold_scores(BLEMORE, result())
    assert scores["acc_presence"] == {0: 0.5, 3: 1.0}
    assert np.isnan(scores["acc_salience"][0])
    assert scores["acc_salience"][3] == 0.5
    assert scores["score"][3] == 0.75


def test_confusion_counts_are_means_over_seeds() -> None:
    truth = np.array([0, 6, 9])
    predicted = np.array([[0, 6, 9], [0, 9, 7]])
    rows = list(csv.reader(io.StringIO(confusion_csv(BLEMORE, truth, predicted).decode())))
    assert rows[0] == ["truth", *BLEMORE.set_names]
    counts = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    assert counts.sum() == 3
    assert counts[0, 0] == 1
    first, second = BLEMORE.state_set[6], BLEMORE.state_set[9]
    assert counts[first, first] == 0.5
    assert counts[first, second] == 0.5
    assert counts[second, first] == 0.5


def test_a_clip_without_an_answer_stands_in_no_column() -> None:
    counts = count_confusion(BLEMORE, np.array([0, 1, 7]), np.array([[0, -1, 7], [0, 1, -1]]))
    assert counts.sum() == 2.0  # of three clips; two seeds
    assert counts[0, 0] == 1.0
    assert counts[1, 1] == 0.5
    assert counts[:, BLEMORE.state_set[-1]].sum() == 0.0


def test_a_table_of_very_many_sets_has_the_most_frequent_and_loses_no_clip() -> None:
    classes = tuple(f"class_{index}" for index in range(64))
    task = Task("many", classes, pairs=tuple(combinations(range(64), 2)))
    truth = np.array([70, 70, 70, 100, *range(300, 380)])
    predicted = np.stack([truth, np.roll(truth, 1)])
    counts = count_confusion(task, truth, predicted)
    names, grouped = group_rare(task, counts)
    assert len(names) == 65
    assert names[-1] == "(others)"
    assert grouped.sum() == pytest.approx(counts.sum())
    row = names.index(task.set_names[70])
    assert grouped[row, row] == counts[70, 70] > 2
    head = confusion_csv(task, truth, predicted).decode().splitlines()[0]
    assert head.split(",")[1:] == list(names)


@pytest.mark.parametrize(("n_ratios", "kept"), [(3, np.int8), (9, np.int16)])
def test_states_of_a_large_task_do_not_wrap_around(n_ratios: int, kept: type) -> None:
    ratios = {3: (70, 50, 30), 9: tuple(range(90, 0, -10))}[n_ratios]
    pairs = tuple(combinations(range(8), 2))
    task = Task("t", tuple("abcdefgh"), pairs=pairs, ratios_percent=ratios, metric="blemore")
    assert state_type(task) is kept
    last = np.array([task.n_states - 1, -1])
    assert last.astype(state_type(task)).tolist() == last.tolist()


def test_a_score_that_compares_no_saliences_is_that_of_presence() -> None:
    plain = Task("plain", ("a", "b"))
    right = np.array([[1.0, 2.0], [2.0, 2.0]])
    scores = fold_scores(plain, result(totals={"score": right, "acc_presence": right}))
    assert scores["score"] == scores["acc_presence"] == {0: 0.5, 3: 1.0}


def test_several_seeds_of_a_trial_have_their_spread(clips: Clips) -> None:
    answers = np.array([[0, 6, 7, 8], [0, 6, 9, 8]])  # the second has the third clip's ratio right, too
    several = result(seeds=np.array([7, 8]), predicted_state=answers)
    scores = describe_trial("s", 3, several, {"a": 1}, "a: 1\n", clips, ENCODERS).scores
    truth = clips.state[:4]
    each = [score(BLEMORE, truth, one).score for one in answers]
    assert each[0] != each[1]
    assert scores["score_sd"] == pytest.approx(np.std(each, ddof=1))
    assert "score_sd" not in describe_trial("s", 3, result(), {"a": 1}, "a: 1\n", clips, ENCODERS).scores
