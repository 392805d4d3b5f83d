"""What a gate did with each encoder on clips that show each class: measured and shown."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.config.schema import Config
from rfe.ensemble.candidates import Candidate
from rfe.errors import StudyError
from rfe.reporting.report.answers import Answers, kept_arrays
from rfe.reporting.report.document import Axis, Block, Column, Figure, Heat, Panel, Table, Text
from rfe.tracking.figures import MOST_NUMBERS

Float = NDArray[np.floating]


@dataclass(frozen=True)
class GateOutputs:
    """What was logged of the gates of a configuration's fold models."""

    encoders: tuple[str, ...]
    """Of the data."""
    kept: NDArray[np.bool_]
    """[seed, source clip, encoder]"""
    scores: Float
    """[seed, source clip, encoder], -inf where not available; another shape where they were not logged."""


@dataclass(frozen=True)
class GateUse:
    """By encoder and class."""

    encoders: tuple[str, ...]
    """Of the pool."""
    columns: tuple[str, ...]
    """Classes, then `all`."""
    kept: Float
    """[encoder, column] share of clips in which the encoder was fused."""
    weight: Float | None
    """[encoder, column] mean weight in the fusion, 0 where it was not kept; None where scores were not logged."""


def read_gate(candidate: Candidate) -> GateOutputs:
    """The gate of a candidate's models.

    Raises:
        StudyError: its outputs were not kept.
    """
    arrays = kept_arrays(candidate, ("encoders", "kept", "gate_scores"))
    encoders = tuple(str(name) for name in arrays["encoders"])
    return GateOutputs(encoders, np.asarray(arrays["kept"], bool), np.asarray(arrays["gate_scores"], np.float64))


def pool_of(configs: Sequence[Config], encoders: Sequence[str]) -> tuple[str, ...]:
    """The encoders that any of the configurations may look at."""
    return tuple(name for name in encoders if any(one.pool == "all" or name in one.pool for one in configs))


def measure_gate(outputs: GateOutputs, pool: Collection[str], answers: Answers) -> GateUse:
    """Kept shares and weights by encoder and class.

    Raises:
        StudyError: the models have no gate.
    """
    kept, encoders = outputs.kept, outputs.encoders
    if kept.ndim != 3 or kept.size == 0 or not kept.any():
        raise StudyError("the model has no gate, so there is nothing it kept")
    rows = [index for index, name in enumerate(encoders) if name in pool]
    task = answers.task
    shown = task.set_members[task.state_set[answers.truth]] > 0  # [clip, class]
    groups = np.concatenate([shown, np.ones((len(shown), 1), bool)], 1)
    present = [index for index in range(groups.shape[1]) if groups[:, index].any()]
    columns = tuple([*task.classes, "all"][index] for index in present)

    def by_group(values: Float) -> Float:
        mean = values.mean(0)  # [clip, encoder]
        return np.stack([mean[groups[:, index]].mean(0)[rows] for index in present], 1)

    weight = by_group(_weights(outputs.scores, kept)) if outputs.scores.shape == kept.shape else None
    return GateUse(tuple(encoders[index] for index in rows), columns, by_group(kept.astype(np.float64)), weight)


def _weights(scores: Float, kept: NDArray[np.bool_]) -> Float:
    """[seed, clip, encoder] softmax over the kept encoders, as the model fuses them; see `rfe.model.selection`."""
    masked = np.where(kept & np.isfinite(scores), scores, -np.inf)
    top = masked.max(-1, keepdims=True)
    raised = np.exp(masked - np.where(np.isfinite(top), top, 0.0))
    return np.asarray(raised / np.maximum(raised.sum(-1, keepdims=True), 1e-30))


def gate_blocks(outputs: GateOutputs, configs: Sequence[Config], answers: Answers, prefix: str) -> Iterator[Block]:
    """Heat maps of encoders by class: weight, and share kept.

    Args:
        outputs: of the gates.
        configs: the configurations they are of; several where each answers its own folds.
        answers: of the same models.
        prefix: of the names of tables and figures.
    """
    use = measure_gate(outputs, pool_of(configs, outputs.encoders), answers)
    yield Text(
        f"{_gate_words(configs, len(use.encoders))} A gate that is used looks different from column to column; one "
        "that is not has equal columns."
    )
    numbers = len(use.columns) <= MOST_NUMBERS
    parts = [("share of clips that kept it", use.kept, "kept")]
    if use.weight is not None:
        parts.insert(0, ("mean weight", use.weight, "weight"))
    yield Figure(
        f"{prefix}gate",
        "The gate: encoder by class",
        "Heat map of encoders (rows) by class shown (columns): " + _kept_words(use),
        tuple(
            Panel(
                title,
                Axis("class shown", categories=use.columns),
                Axis(categories=use.encoders),
                (
                    Heat(
                        use.encoders,
                        use.columns,
                        values.tolist(),
                        [[f"{value:.2f}" if numbers else "" for value in row] for row in values],
                        title,
                        float(max(values.max(), 0.01)),
                    ),
                ),
            )
            for title, values, _ in parts
        ),
        "A blend counts for both of its classes.",
    )
    yield Table(
        f"{prefix}gate",
        "The gate: encoder by class",
        (Column("encoder"), Column("what"), *(Column(name) for name in use.columns)),
        tuple(
            (encoder, short, *(float(value) for value in values[row]))
            for row, encoder in enumerate(use.encoders)
            for _, values, short in parts
        ),
    )


def noticed_blocks(
    outputs: GateOutputs, wrong: NDArray[np.bool_], configs: Sequence[Config], prefix: str
) -> Iterator[Block]:
    """Of data with features that are wrong on purpose: what the gate gives these, beside what it gives the others.

    Args:
        outputs: of the gates.
        wrong: [source clip, encoder of the data] whether the features are another clip's.
        configs: see `gate_blocks`.
        prefix: of the table's name.
    """
    if outputs.scores.shape != outputs.kept.shape or not np.isfinite(outputs.scores).any():
        return
    weights, kept = _weights(outputs.scores, outputs.kept).mean(0), outputs.kept.mean(0)  # [clip, encoder]
    pool = pool_of(configs, outputs.encoders)
    rows = []
    for index, name in enumerate(outputs.encoders):
        there, mine = np.isfinite(outputs.scores[..., index]).any(0), wrong[:, index]
        if name in pool and (there & mine).any() and (there & ~mine).any():
            groups = (there & mine, there & ~mine)
            cells = [float(values[group, index].mean()) for values in (weights, kept) for group in groups]
            rows.append((name, *cells))
    if rows:
        yield Table(
            f"{prefix}noticed",
            "Wrong features: does the gate notice?",
            (
                Column("encoder"),
                Column("weight, wrong"),
                Column("weight, right"),
                Column("kept, wrong"),
                Column("kept, right"),
            ),
            tuple(rows),
            "Mean over clips; wrong: the clip shows another clip's features (corruption.json). Equal columns: the gate "
            "tells encoders apart, but not for which clips they are wrong.",
        )


def _gate_words(configs: Sequence[Config], n_encoders: int) -> str:
    if len(configs) > 1:
        return f"The gates of {len(configs)} configurations, each on the folds that it answers."
    model = configs[0].model
    if model.kind == "kernel":
        how = "aligned with the labels of the training clips" if model.kernel.weighting == "alignment" else "as given"
        return f"The weights of the encoders' kernels ({how}): a global selection, the same for every clip of a fold."
    if model.kind == "gated_kernel":
        how = "each clip's own" if model.gated_kernel.gate == "per_clip" else "the same for every clip of a fold"
        return f"The weights of the encoders' kernel ridges ({how}); that of the one on all encoders is not shown."
    if model.kind != "fusion":
        return f"model.kind: {model.kind} has no gate: it reads every encoder of the pool that a clip has."
    kept = "every encoder of the pool" if model.n_kept == "all" else f"{model.n_kept} of {n_encoders} encoders"
    return f"The gate ({model.gate.kind}) keeps {kept} for each clip."


def _kept_words(use: GateUse) -> str:
    order = np.argsort(-use.kept[:, -1], kind="stable")
    return ", ".join(f"{use.encoders[index]} kept in {use.kept[index, -1]:.0%}" for index in order)
