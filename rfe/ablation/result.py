"""What an ablation says: its arms' hits, put together from its study's trials and compared."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfe.ablation.arms import BASE
from rfe.ablation.compare import (
    ArmComparison,
    Interaction,
    compare_arms,
    interactions,
    row_dict,
    smallest_detectable,
)
from rfe.ablation.encoder_value import EncoderValue, read_encoder_values
from rfe.ablation.study import StoredArms, is_ablation, read_arms
from rfe.ablation.trials import arm_states, read_trials
from rfe.data.caveats import TRANSDUCTIVE
from rfe.data.dataset import Dataset
from rfe.data.scores import answer_influence
from rfe.errors import StudyError
from rfe.formatting import format_value
from rfe.journal.records import as_json
from rfe.metrics.intervals import InfluenceTable
from rfe.workspace import StudyFolder
from rfe.writing import write_text

__all__ = ["AblationResult", "EncoderValue", "is_ablation", "read_ablation"]

TABLE_FILE = "ablation.csv"
RESULT_FILE = "ablation_result.json"
GIVEN = (
    "Intervals are over actors and training seeds, paired by clip; they take the training sets as given: another draw "
    "of training actors would move base and arms alike."
)
TUNED = (
    "Base and arms were tuned with equal budgets. Each fold is answered by the configuration that was best on the "
    "other folds, trained again with fresh seeds; the sampler saw the pooled score while it proposed."
)
CHOSEN_ORDER = (
    "Encoders are added in the order of their own Score on these very clips, so the curve rises a little too early."
)


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
    transductive: tuple[str, ...] = ()
    """Arms that the design decoder answers, all clips of an actor together."""
    encoders: tuple[EncoderValue, ...] = ()
    """Where the plan asked for `encoder_value` and it was measured."""
    left_out: Mapping[str, str] | None = None
    """Name -> why it is no arm of this base."""
    tuned: Mapping[str, tuple[Mapping[str, Any], ...]] | None = None
    """Arm -> what tuning chose: folds, trial, values; None where nothing was tuned."""
    notes: tuple[str, ...] = (GIVEN,)
    """How the numbers are to be read."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "seeds": self.n_seeds,
            "clips": self.n_clips,
            "actors": self.n_actors,
            "smallest_detectable": self.smallest_detectable,
            "given": GIVEN,
            "notes": list(self.notes),
            "arms": [row_dict(row) for row in self.rows],
            "interactions": [
                {
                    "fields": list(one.fields),
                    "values": one.values,
                    **one.interval.to_dict(),
                    "p_holm": one.p_holm,
                }
                for one in self.interactions
            ],
            "encoders": [
                {
                    "encoder": one.encoder,
                    "kept_frequency": one.kept_frequency,
                    "mean_weight": one.mean_weight,
                    "lost_masked": one.lost_masked.to_dict(),
                    "lost_permuted": one.lost_permuted.to_dict(),
                }
                for one in self.encoders
            ],
            "tuned": None if self.tuned is None else {arm: list(chosen) for arm, chosen in self.tuned.items()},
            "failed": self.failed,
            "left_out": dict(self.left_out or {}),
            **({"transductive": list(self.transductive)} if self.transductive else {}),
            "caveats": list(self.caveats),
        }


def read_ablation(folder: StudyFolder, dataset: Dataset) -> AblationResult:
    """Compare the arms of an ablation, as far as they were trained.

    Args:
        folder: of its study.
        dataset: the study's data.

    Raises:
        StudyError: it is no ablation, its files are damaged or of other data, or its base has no result.
    """
    stored = read_arms(folder)
    by_id, reasons = read_trials(folder, dataset)
    tables: dict[str, InfluenceTable] = {}
    failed = {arm: reason for arm, reason in stored.left_out.items() if reason.startswith("tuning")}
    for arm in stored.arms:
        parts = stored.parts[arm.name]
        absent = [part for part in parts if part.config_id not in by_id]
        if absent:
            failed[arm.name] = reasons.get(absent[0].config_id, "not trained yet")
            continue
        states = arm_states(parts, by_id, dataset, f"ablation {folder.name!r}, arm {arm.name!r}")
        tables[arm.name] = answer_influence(dataset.clips, states)
    if BASE not in tables:
        raise StudyError(
            f"ablation {folder.name!r}: its base has no result ({failed[BASE]}), so there is nothing to compare with"
        )
    rows = compare_arms(tables, stored.arms)
    crossed = tuple(stored.plan.factorial)
    transductive = tuple(
        arm
        for arm in tables
        if any(by_id[part.config_id].config.decode.design == "actor" for part in stored.parts[arm])
    )
    notes = [GIVEN]
    notes += [TUNED] if stored.plan.retune is not None else []
    notes += [CHOSEN_ORDER] if stored.plan.encoders_in_order == "value" else []
    return AblationResult(
        name=folder.name,
        rows=rows,
        interactions=interactions(tables, stored.arms, (crossed[0], crossed[1])) if crossed else (),
        smallest_detectable=smallest_detectable(rows),
        n_seeds=stored.plan.seeds,
        n_clips=dataset.clips.n_source,
        n_actors=rows[0].score.n_actors,
        failed=failed,
        caveats=(*dataset.caveats, *([TRANSDUCTIVE] if transductive else [])),
        transductive=transductive,
        encoders=read_encoder_values(folder, stored, by_id, dataset),
        left_out={arm: reason for arm, reason in stored.left_out.items() if arm not in failed},
        tuned=_tuned(stored),
        notes=tuple(dict.fromkeys([*notes, *(note for row in rows for note in row.score.notes)])),
    )


def ablation_csv(result: AblationResult) -> str:
    """The table, one line for each arm; below it, where they were measured, the encoders of the base."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("arm", "family", "curve", "value", "score", "score_se", "acc_presence", "acc_salience")
    found = ("difference", "lower_95", "upper_95", "p", "p_holm", "probability_better", "smallest_detectable")
    told = ["transductive"] if result.transductive else []
    writer.writerow([*names, *found, "difference_presence", "difference_salience", "verdict", *told])
    for row in result.rows:
        arm, one, parts = row.arm, row.difference, (row.difference_presence, row.difference_salience)
        own = [row.score.estimate, row.score.standard_error, row.acc_presence.estimate, row.acc_salience.estimate]
        other: list[Any] = [None] * len(found)
        if one is not None:
            known = [one.probability_better, one.smallest_detectable]
            other = [one.estimate, *one.bounds(), one.p_value, row.p_holm, *known]
        values = [*own, *other, *(None if part is None else part.estimate for part in parts)]
        numbers = (format_value(one, ".5f") for one in values)
        cells = [arm.name, arm.family, arm.curve, arm.value, *numbers, row.verdict]
        writer.writerow([*cells, *(arm.name in result.transductive for _ in told)])
    if result.encoders:
        writer.writerow([])
        lost = [f"{kind}_{name}" for kind in ("masked", "permuted") for name in ("lost", "lower_95", "upper_95")]
        writer.writerow(["encoder", "kept_frequency", "mean_weight", *lost])
        for encoder in result.encoders:
            bounds = [(i.estimate, *i.bounds()) for i in (encoder.lost_masked, encoder.lost_permuted)]
            shown = [encoder.kept_frequency, encoder.mean_weight, *bounds[0], *bounds[1]]
            writer.writerow([encoder.encoder, *(format_value(one, ".5f") for one in shown)])
    return text.getvalue()


def write_tables(folder: StudyFolder, result: AblationResult) -> tuple[Path, Path]:
    """Keep the table (CSV) and everything (JSON) beside the study's files."""
    table, whole = folder.path / TABLE_FILE, folder.path / RESULT_FILE
    write_text(table, ablation_csv(result))
    write_text(whole, json.dumps(as_json(result.to_dict()), indent=2))
    return table, whole


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


def _tuned(stored: StoredArms) -> dict[str, tuple[dict[str, Any], ...]] | None:
    if stored.plan.retune is None:
        return None
    return {
        arm: tuple(
            {"folds": list(part.choice.folds), "trial": part.choice.trial, "values": dict(part.choice.values)}
            for part in parts
        )
        for arm, parts in stored.parts.items()
    }
