"""Ablations as a notebook has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from rfe import api
from rfe.api import Source
from rfe.notebook.places import DataLike, WorkspaceLike, find_data, find_workspace
from rfe.notebook.progress import shown_progress
from rfe.notebook.shown import Shown, drop_empty
from rfe.notebook.studies import Study
from rfe.progress import Progress

if TYPE_CHECKING:
    from rfe.ablation.compare import ArmComparison
    from rfe.ablation.result import AblationResult
    from rfe.metrics.intervals import Interval


@dataclass(frozen=True, repr=False)
class Ablation(Shown):
    """Arms compared with their base; returned by `ablate`."""

    result: "AblationResult"
    """What it says, for the functions of the package below."""

    @property
    def name(self) -> str:
        """Its name among the studies of the workspace."""
        return self.result.name

    @cached_property
    def arms(self) -> pd.DataFrame:
        """One row for each arm, the base first: its scores, the difference in Score to the base with its 95% interval,
        the probability that the arm is better, Holm's p, and the verdict."""
        from rfe.ablation.result import order_rows

        rows = [_arm_row(row) for row in order_rows(self.result.rows)]
        return pd.DataFrame(rows).set_index("arm")

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """Of a factorial: how much one field's effect depends on the other's. Empty for other plans."""
        rows = [
            {
                "fields": " x ".join(one.fields),
                "change": " x ".join(f"{a} -> {b}" for a, b in one.values),
                **_estimate(one.interval, "difference"),
                "p_holm": one.p_holm,
            }
            for one in self.result.interactions
        ]
        columns = ["fields", "change", "difference", "lower_95", "upper_95", "p_holm"]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def encoders(self) -> pd.DataFrame:
        """Where the plan asked for `encoder_value`: the Score lost when an encoder is masked or permuted at evaluation.
        Empty for other plans."""
        rows = [
            {
                "encoder": one.encoder,
                "kept_frequency": one.kept_frequency,
                "mean_weight": one.mean_weight,
                "lost_masked": one.lost_masked.estimate,
                "lost_permuted": one.lost_permuted.estimate,
            }
            for one in self.result.encoders
        ]
        columns = ["encoder", "kept_frequency", "mean_weight", "lost_masked", "lost_permuted"]
        return pd.DataFrame(rows, columns=columns).set_index("encoder")

    @property
    def smallest_detectable(self) -> float:
        """The difference in Score that one test would have found four times in five."""
        return self.result.smallest_detectable

    @property
    def failed(self) -> dict[str, str]:
        """Arm -> why it has no result."""
        return dict(self.result.failed)

    def _heading(self) -> str:
        one = self.result
        clips = f"{one.n_clips} clips of {one.n_actors} actors"
        return f"ablation {one.name}: {len(one.rows)} arms, {one.n_seeds} seeds, {clips}"

    def _tables(self) -> Mapping[str, pd.DataFrame]:
        more = {"interactions": self.interactions, "encoders": self.encoders}
        return {"arms": drop_empty(self.arms), **{name: table for name, table in more.items() if len(table)}}

    def _notes(self) -> Sequence[str]:
        return [
            *(f"no result: {arm}: {reason}" for arm, reason in self.result.failed.items()),
            f"one test would have found a difference of {self.smallest_detectable:.3f} four times in five.",
            *self.result.notes,
            *self.result.caveats,
        ]


def ablate(
    plan: Source,
    data: DataLike | None = None,
    *,
    base: Study | Source | None = None,
    name: str | None = None,
    seeds: int | None = None,
    retune: int | None = None,
    workers: int | None = None,
    address: str | None = None,
    overrides: Sequence[str] = (),
    workspace: WorkspaceLike = None,
    progress: Progress | bool = True,
) -> Ablation:
    """Train a base and arms that differ from it in one thing each, with fresh seeds, and compare them in pairs.

    Args:
        plan: a YAML file, the name of a ready-made plan (`components`), or what such a file holds as a mapping.
        data: a folder, or what `load_data` returned; None: that of the base's study.
        base: a study, whose best trial is the base; or a configuration: its file or its fields. None: the plan's own.
        name: of the ablation; None: the plan's.
        seeds: of each arm, 3 or more; None: the plan's.
        retune: trials that tune base and each arm beforehand.
        workers, address, overrides, progress: as `search`; overrides are of the plan.
        workspace: None: that of the base's study.

    Raises:
        KeyboardInterrupt: it was stopped; what is trained is kept, and the same call goes on.
        RfeError: in a sentence what is wrong with the input; TrialError: the base could not be trained.

    Examples:
        >>> parts = rfe.ablate("components", base=study)  # doctest: +SKIP
        >>> parts.arms["difference"]  # doctest: +SKIP
    """
    place = base.workspace if isinstance(base, Study) and workspace is None else find_workspace(workspace)
    with shown_progress(progress) as shown:
        result = api.ablate(
            plan,
            find_data(data),
            base=None if isinstance(base, Study) else base,
            from_study=base.name if isinstance(base, Study) else None,
            name=name,
            seeds=seeds,
            retune=retune,
            workers=workers,
            address=address,
            overrides=overrides,
            workspace=place,
            progress=shown,
        )
    if result is None:
        raise KeyboardInterrupt("the ablation was stopped; the same call goes on")
    return Ablation(result)


def _arm_row(row: "ArmComparison") -> dict[str, Any]:
    difference = row.difference
    nothing = dict.fromkeys(("difference", "lower_95", "upper_95"), float("nan"))
    return {
        "arm": row.arm.name,
        "family": row.arm.family,
        "score": row.score.estimate,
        "acc_presence": row.acc_presence.estimate,
        "acc_salience": row.acc_salience.estimate,
        **(nothing if difference is None else _estimate(difference, "difference")),
        "probability_better": None if difference is None else difference.probability_better,
        "p_holm": row.p_holm,
        "verdict": row.verdict,
    }


def _estimate(interval: "Interval", name: str) -> dict[str, float]:
    lower, upper = interval.bounds()
    return {name: interval.estimate, "lower_95": lower, "upper_95": upper}
