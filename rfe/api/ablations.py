"""Ablations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from rfe.api.ablation_question import Asked, find_question
from rfe.api.searching import DataSource, Source
from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.search.options import RunOptions
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.ablation.result import AblationResult
    from rfe.ablation.study import Ablation


@needs("search")
def ablate(
    source: Source,
    data: DataSource | None = None,
    *,
    workers: int | None = None,
    address: str | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
    **asked: Unpack[Asked],
) -> AblationResult | None:
    """Run a plan's arms, or go on with them, and compare them with their base; see `rfe.ablation`.

    Args:
        source: a plan's file, the name of a ready-made one (`components`), or what such a file holds.
        data: the data folder; None: that of the base's study.
        workers, address, workspace, progress: as `search`.
        asked: `base`, `from_study`, `name`, `seeds`, `retune`, `overrides`; see `Asked`.

    Returns:
        The comparison; None after an interrupt: the same call goes on.

    Raises:
        ConfigError: the plan is wrong, or no data is named.
        StudyError: no such study, or a study of that name that asks something else.
        TrialError: the base could not be trained.
    """
    from rfe.ablation.running import run_ablation

    workspace, options = workspace or open_workspace(), RunOptions(workers=workers, address=address)
    return run_ablation(find_question(source, data, workspace, asked), workspace, options, progress or SilentProgress())


def plan_ablation(
    source: Source, data: DataSource | None = None, *, workspace: Workspace | None = None, **asked: Unpack[Asked]
) -> Ablation:
    """The arms that `ablate` would train; nothing is begun. Encoders whose value is not known yet have no order."""
    from rfe.ablation.study import prepare_ablation

    return prepare_ablation(find_question(source, data, workspace or open_workspace(), asked))
