"""An ablation as its study keeps it: which arm is which trial, and what comes of comparing them."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rfe.ablation.arms import Arm, expand_arms
from rfe.ablation.compare import (
    ArmComparison,
    Interaction,
    compare_arms,
    interactions,
    interval_dict,
    row_dict,
    smallest_detectable,
)
from rfe.ablation.plan import FIRST_SEED, Plan
from rfe.config.identity import config_id
from rfe.config.load import change_config, flatten
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import read_study
from rfe.errors import StudyError
from rfe.metrics.intervals import HitTable
from rfe.search_space import SearchSpace, load_space, normalize
from rfe.tracking.base import TrialLog
from rfe.tracking.records import read_events
from rfe.workspace import StudyFolder, write_json, write_text

ABLATION_FILE = "ablation.json"
TABLE_FILE = "ablation.csv"
GIVEN = (
    "Intervals are over actors and training seeds, paired by clip; they take the training sets as given: another draw "
    "of training actors would move base and arms alike."
)


@dataclass(frozen=True)
class Ablation:
    """A plan on a data set, ready to be run as a study."""

    plan: Plan
    base: Config
    """With the fresh seeds."""
    arms: tuple[Arm, ...]
    config_ids: tuple[str, ...]
    """[arm]; two arms of a factorial may be one configuration."""
    space: SearchSpace


@dataclass(frozen=True)
class AblationResult:
    """What an ablation says."""

    name: str
    rows: tuple[ArmComparison, ...]
    interactions: tuple[Interaction, ...]
    smallest_detectable: float
    """The difference in Score that a single test would have found four times in five, median over arms."""
    n_seeds: int
    n_clips: int
    n_actors: int
    failed: dict[str, str]
    """Arm -> why it has no result."""
    caveats: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "seeds": self.n_seeds,
            "clips": self.n_clips,
            "actors": self.n_actors,
            "smallest_detectable": self.smallest_detectable,
            "given": GIVEN,
            "arms": [row_dict(row) for row in self.rows],
            "interactions": [
                {"fields": list(one.fields), "values": one.values, **interval_dict(one.interval)}
                for one in self.interactions
            ],
            "failed": self.failed,
            "caveats": list(self.caveats),
        }


def prepare_ablation(plan: Plan, base: Config, dataset: Dataset) -> Ablation:
    """The study that answers a plan: every arm one trial, trained with seeds that nothing was chosen by.

    Args:
        plan: what is asked.
        base: the configuration it is asked of, whatever its seeds.
        dataset: the data.

    Raises:
        ConfigError: an arm that is impossible, or no arm at all.
    """
    fresh = {"train.seeds": plan.seeds, "train.seed": FIRST_SEED, "train.data_seed": FIRST_SEED}
    base = change_config(base, fresh)
    encoders = tuple(dataset.encoders)
    arms = expand_arms(plan, base, encoders)
    ids = tuple(config_id(normalize(change_config(base, dict(arm.changes)), encoders)) for arm in arms)
    space = load_space(
        {
            "study": plan.name,
            "base": flatten(base),
            "arms": {arm.name: dict(arm.changes) for arm in arms},
            "sampler": {"kind": "grid"},
            "confirm": {"top": 0},
            "keep_top": 1,
        }
    )
    return Ablation(plan, base, arms, ids, space)


def write_arms(folder: StudyFolder, ablation: Ablation) -> None:
    """Keep which arm is which configuration, beside the study's own files."""
    write_json(
        folder.path / ABLATION_FILE,
        {
            "plan": ablation.plan.model_dump(mode="json"),
            "arms": [
                {
                    "name": arm.name,
                    "family": arm.family,
                    "changes": dict(arm.changes),
                    "cell": list(arm.cell),
                    "config_id": identity,
                }
                for arm, identity in zip(ablation.arms, ablation.config_ids, strict=True)
            ],
        },
    )


def is_ablation(folder: StudyFolder) -> bool:
    """Whether the study is an ablation's."""
    return (folder.path / ABLATION_FILE).is_file()


def read_ablation(folder: StudyFolder, dataset: Dataset) -> AblationResult:
    """Compare the arms of an ablation, as far as they were trained.

    Args:
        folder: of its study.
        dataset: the study's data.

    Raises:
        StudyError: it is no ablation, its files are damaged or of other data, or its base has no result.
    """
    path = folder.path / ABLATION_FILE
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        plan = Plan.model_validate(about["plan"])
        arms = tuple(Arm(one["name"], one["family"], one["changes"], tuple(one["cell"])) for one in about["arms"])
        ids = [str(one["config_id"]) for one in about["arms"]]
    except FileNotFoundError:
        raise StudyError(f"study {folder.name!r}: is no ablation; run one with `rfe ablate`") from None
    except (ValueError, KeyError, TypeError) as problem:
        raise StudyError(f"{path}: damaged ({problem}); run the ablation again under another --name") from None
    record = read_study(folder)
    if record.study.data_fingerprint not in ("", dataset.fingerprint):
        raise StudyError(f"ablation {folder.name!r}: was run on other data than {dataset.path}; give its own --data")
    by_id = {candidate.config_id: candidate for candidate in record.candidates}
    reasons = {
        event.config_id: event.reason or event.state
        for event in read_events(folder)
        if isinstance(event, TrialLog) and event.state != "complete"
    }
    tables = {
        arm.name: _hits(by_id[identity].outputs, dataset, f"ablation {folder.name!r}, arm {arm.name!r}")
        for arm, identity in zip(arms, ids, strict=True)
        if identity in by_id
    }
    failed = {
        arm.name: reasons.get(identity, "not trained yet")
        for arm, identity in zip(arms, ids, strict=True)
        if arm.name not in tables
    }
    if arms[0].name not in tables:
        raise StudyError(
            f"ablation {folder.name!r}: its base has no result ({failed[arms[0].name]}), so there is nothing to "
            "compare with"
        )
    rows = compare_arms(tables, arms)
    crossed = tuple(plan.factorial)
    return AblationResult(
        name=folder.name,
        rows=rows,
        interactions=interactions(tables, arms, (crossed[0], crossed[1])) if crossed else (),
        smallest_detectable=smallest_detectable(rows),
        n_seeds=plan.seeds,
        n_clips=dataset.clips.n_source,
        n_actors=rows[0].score.n_actors,
        failed=failed,
        caveats=dataset.caveats,
    )


def ablation_csv(result: AblationResult) -> str:
    """The table, one line for each arm."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("arm", "family", "score", "score_se", "acc_presence", "acc_salience")
    writer.writerow([*names, "difference", "lower_95", "upper_95", "p", "p_holm", "verdict"])
    for row in result.rows:
        own = [row.score.estimate, row.score.standard_error, row.acc_presence.estimate, row.acc_salience.estimate]
        other: list[Any] = ["", "", "", ""]
        if row.difference is not None:
            other = [row.difference.estimate, *row.difference.bounds(), row.difference.p_value]
        values = [f"{value:.5f}" if isinstance(value, float) else value for value in [*own, *other, row.p_holm]]
        writer.writerow([row.arm.name, row.arm.family, *values, row.verdict])
    return text.getvalue()


def write_table(folder: StudyFolder, result: AblationResult) -> Path:
    """Keep the table beside the study's files."""
    path = folder.path / TABLE_FILE
    write_text(path, ablation_csv(result))
    return path


def _hits(outputs: Path | None, dataset: Dataset, where: str) -> HitTable:
    clips = dataset.clips
    source = slice(clips.n_source)
    if outputs is None or not outputs.is_file():
        raise StudyError(f"{where}: its outputs were not kept; run the ablation again under another --name")
    with np.load(outputs, allow_pickle=False) as stored:
        predicted = stored["predicted_state"].astype(np.int64)  # [seed, clip]
    return HitTable.of_answers(clips.state[source], predicted, clips.actor[source], clips.fold[source])


def order_rows(rows: Sequence[ArmComparison]) -> list[ArmComparison]:
    """The base first, then family by family as planned, the largest loss first where arms are unordered."""
    families = dict.fromkeys(row.arm.family for row in rows)
    ordered: list[ArmComparison] = []
    for family in families:
        mine = [row for row in rows if row.arm.family == family]
        if family in ("component", "control", "encoder", "custom"):
            mine.sort(key=lambda row: row.difference.estimate if row.difference is not None else 0.0)
        ordered += mine
    return ordered
