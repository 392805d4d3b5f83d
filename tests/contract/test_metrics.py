"""What every metric promises, over tasks of different forms."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rfe.metric_names import METRICS as NAMES
from rfe.metrics.choice import METRICS, further_metrics, score_metric, score_parts
from rfe.metrics.metric import LabelShares, Metric, totals_of
from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits
from rfe.submission.card import METRIC_WORDS
from rfe.task import BLEMORE, Task

TASKS = (
    BLEMORE,
    Task(
        "many", ("a", "b", "c", "d"), pairs=((0, 2), (1, 3)), ratios_percent=(80, 65, 50, 35, 20), metric="salience_mae"
    ),
    Task("compound", ("a", "b", "c"), pairs=((0, 1), (1, 2)), alone=(False, False, False), metric="macro_f1"),
    Task("plain", ("a", "b", "c")),
)


def guides_metric() -> Metric:
    """The one that docs/extending.md adds."""
    guide = Path(__file__).parents[2] / "docs" / "extending.md"
    (block,) = [one for one in guide.read_text().split("```python\n") if "class MeanRecall" in one]
    names: dict[str, Any] = {"np": np}
    exec(block.split("\n\n\ntask = ")[0], names)
    return cast(Metric, names["MeanRecall"]())


EACH = [
    pytest.param(task, metric, id=f"{task.name}-{name}")
    for task in TASKS
    for name, metric in (score_parts(task) | further_metrics(task) | {"the guide's": guides_metric()}).items()
]
every_metric = pytest.mark.parametrize(("task", "metric"), EACH)
N = 400


def draw(task: Task, rng: np.random.Generator, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Possible states, and answers of two seeds that are right half of the time; a few are missing."""
    truth = rng.choice(np.flatnonzero(task.state_possible), n)
    answered = np.where(rng.random((2, n)) < 0.5, truth, rng.choice(np.flatnonzero(task.state_possible), (2, n)))
    return truth, np.where(rng.random((2, n)) < 0.03, -1, answered)


@every_metric
def test_right_answers_score_1_and_none_score_0(task: Task, metric: Metric) -> None:
    truth, _ = draw(task, np.random.default_rng(0))
    assert metric.value(totals_of(metric, task, truth, truth)) == pytest.approx(1.0)
    assert metric.value(totals_of(metric, task, truth, np.full(N, -1))) == pytest.approx(0.0)


@every_metric
def test_totals_add_over_groups(task: Task, metric: Metric) -> None:
    rng = np.random.default_rng(1)
    truth, answered = draw(task, rng)
    member = np.eye(4)[rng.integers(0, 4, N)]
    totals = metric.totals(task, truth, answered, member)
    assert totals.shape[:2] == (2, 4)
    np.testing.assert_allclose(totals.sum(1), totals_of(metric, task, truth, answered))
    inside = member[:, 2] > 0
    np.testing.assert_allclose(totals[:, 2], totals_of(metric, task, truth[inside], answered[:, inside]))


@every_metric
def test_influence_is_the_derivative_by_a_clips_weight(task: Task, metric: Metric) -> None:
    truth, (answered, _) = draw(task, np.random.default_rng(2))
    totals = totals_of(metric, task, truth, answered)
    influence = metric.influence(task, truth, answered, totals)
    assert influence.shape == (N,)
    assert influence.sum() == pytest.approx(0.0, abs=1e-12)
    step = 1e-4
    for clip in (0, 7, 123):
        weight = np.ones((N, 1))
        weight[clip] += step
        moved = metric.value(metric.totals(task, truth, answered, weight)[0])
        assert (moved - metric.value(totals)) / step == pytest.approx(influence[clip], rel=1e-2, abs=1e-7)


@every_metric
def test_clip_values_average_to_the_metric(task: Task, metric: Metric) -> None:
    truth, answered = draw(task, np.random.default_rng(3))
    each = metric.clip_values(task, truth, answered)
    assert each.shape == answered.shape
    np.testing.assert_allclose(each.mean(-1), metric.value(totals_of(metric, task, truth, answered)))


@every_metric
def test_a_right_answer_is_worth_more_than_a_wrong_one(task: Task, metric: Metric) -> None:
    truth, answered = draw(task, np.random.default_rng(5))
    each, right = metric.clip_values(task, truth, answered), answered == truth
    counted = np.ptp(each, axis=0) > 0  # of a clip that one seed answers rightly and one not
    once = counted & (right.sum(0) == 1)
    assert once.sum() > 20
    assert (np.where(right, each, 0).sum(0) > np.where(right, 0, each).sum(0))[once].mean() > 0.9


@pytest.mark.parametrize("task", [task for task in TASKS if score_metric(task).name == "blemore"])
def test_scores_expected_gain_is_what_an_answer_adds_on_average(task: Task) -> None:
    chance = np.random.default_rng(6).dirichlet(np.ones(task.n_states))
    blends = 0.4
    states = np.arange(task.n_states)
    for answer, gain in enumerate(
        score_metric(task).expected_gains(task, chance, LabelShares(blends, np.full(task.n_sets, 1 / task.n_sets)))
    ):
        given = np.full(task.n_states, answer)
        added = presence_hits(task, states, given) + salience_hits(task, states, given) / blends
        assert gain == pytest.approx(chance @ added)


def test_sets_that_occur_once_count_in_macro_f1() -> None:
    metric = METRICS["macro_f1"]
    truth, answered = np.array([0, 1, 2, 0]), np.array([0, 1, 0, 3])
    totals = totals_of(metric, BLEMORE, truth, answered)
    assert metric.value(totals) == pytest.approx(f1_score(truth, answered, average="macro", zero_division=0))
    influence, step = metric.influence(BLEMORE, truth, answered, totals), 1e-6
    for clip in range(4):
        weight = np.ones((4, 1))
        weight[clip] += step
        moved = metric.value(metric.totals(BLEMORE, truth, answered, weight)[0])
        assert (moved - metric.value(totals)) / step == pytest.approx(influence[clip], abs=1e-5)


@every_metric
def test_the_answer_of_the_largest_expected_gain_beats_the_likeliest_state(task: Task, metric: Metric) -> None:
    """On clips drawn from the very distributions that are decoded."""
    rng = np.random.default_rng(4)
    possible = task.state_possible
    prior = rng.dirichlet(np.full(int(possible.sum()), 1.0))
    distribution = np.zeros((20_000, task.n_states))
    distribution[:, possible] = np.array([rng.dirichlet(0.3 + 3 * prior) for _ in range(len(distribution))])
    truth = (distribution.cumsum(-1) < rng.random((len(distribution), 1))).sum(-1).clip(max=task.n_states - 1)
    sets = np.bincount(task.state_set[truth], minlength=task.n_sets) / len(truth)
    shares = LabelShares(float(task.state_is_blend[truth].mean()), sets)
    gains = metric.expected_gains(task, distribution, shares)
    assert gains.shape == distribution.shape
    best, likeliest = (metric.value(totals_of(metric, task, truth, one.argmax(-1))) for one in (gains, distribution))
    assert best >= likeliest - 1e-12


def test_every_metric_can_be_a_tasks() -> None:
    assert tuple(METRICS) == NAMES
    assert METRIC_WORDS.keys() == METRICS.keys()  # what an exported model's card says
    pair = {"pairs": ((0, 1),), "ratios_percent": (70, 30)}
    assert [score_metric(Task("t", ("a", "b"), metric=name, **pair)).name for name in METRICS] == [*METRICS]


def test_totals_without_a_clip_are_not_measured() -> None:
    nothing = np.zeros(0, np.int64)
    for metric in (score_parts(BLEMORE) | further_metrics(BLEMORE)).values():
        assert np.isnan(metric.value(totals_of(metric, BLEMORE, nothing, nothing)))
