"""Which metrics a task has, by the names that spaces, tables and JSON use."""

from rfe.metrics.accuracy import Accuracy
from rfe.metrics.blemore import Blemore, SalienceAccuracy
from rfe.metrics.macro_f1 import MacroF1
from rfe.metrics.metric import Metric
from rfe.metrics.salience_mae import SalienceMae
from rfe.task import Task
from rfe.task.task import SALIENCE_METRICS

METRICS: dict[str, Metric] = {one.name: one for one in (Blemore(), Accuracy(), MacroF1(), SalienceMae())}
"""What `metric:` of a `task.yaml` can be; see `docs/extending.md` on how to add one."""

LOG_LIKELIHOOD = "log_likelihood"
"""Cross-fitted log-likelihood of the true states, which every trial logs; smoother than counts of hits."""
PARTS = ("score", "acc_presence", "acc_salience")
"""The numbers of every table; a task that asks no ratio has no `acc_salience`."""


def score_metric(task: Task) -> Metric:
    """The metric that is called Score in everything about the task.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> score_metric(BLEMORE).name
        'blemore'
    """
    return METRICS[task.metric]


def score_parts(task: Task) -> dict[str, Metric]:
    """Those of `PARTS` that the task has.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> list(score_parts(BLEMORE)), list(score_parts(Task("valence", ("neg", "pos"))))
        (['score', 'acc_presence', 'acc_salience'], ['score', 'acc_presence'])
    """
    parts: dict[str, Metric] = {"score": score_metric(task), "acc_presence": METRICS["accuracy"]}
    return parts | ({"acc_salience": SalienceAccuracy()} if task.has_ratios else {})


def further_metrics(task: Task) -> dict[str, Metric]:
    """The task's other metrics, which each trial logs beside `PARTS`; `accuracy` is `acc_presence` there.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> list(further_metrics(BLEMORE))
        ['macro_f1', 'salience_mae']
    """
    ruled_out = {task.metric, "accuracy"} | (set() if task.has_ratios else set(SALIENCE_METRICS))
    return {name: one for name, one in METRICS.items() if name not in ruled_out}


def objectives(task: Task) -> tuple[str, ...]:
    """All that a study may be searched for (`objective:`).

    Examples:
        >>> objectives(Task("valence", ("neg", "pos")))
        ('score', 'acc_presence', 'macro_f1', 'log_likelihood')
    """
    return (*score_parts(task), *further_metrics(task), LOG_LIKELIHOOD)
