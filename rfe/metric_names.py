"""Names of metrics: known without numpy, for the schemas that completion and `--help` read."""

from typing import Literal, get_args

MetricName = Literal["blemore", "accuracy", "macro_f1", "salience_mae"]
METRICS: tuple[MetricName, ...] = get_args(MetricName)
"""What a task may be scored by, and a study searched for; see `rfe.metrics`."""
