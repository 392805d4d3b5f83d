"""How a configuration weighs: calibration of its distributions, and what its gate did with the encoders."""

from collections.abc import Iterator

import numpy as np

from rfe.decoding.diagnostics import Calibration
from rfe.ensemble.candidates import Candidate
from rfe.reporting.report.answers import Answers, GateUse, measure_gate, measure_reliability
from rfe.reporting.report.document import Axis, Block, Column, Figure, Heat, Line, Panel, Points, Table, Text
from rfe.reporting.report.subject import Data


def calibration_blocks(candidate: Candidate, data: Data, answers: Answers, prefix: str) -> Iterator[Block]:
    """Reliability of the decoder's distributions, and how often it answers with a blend."""
    assert data.dataset is not None
    sets, states = measure_reliability(candidate, data.dataset, answers)
    yield Text(
        f"Blends are {sets.blend_true:.1%} of the clips; the decoder gives them {sets.blend_predicted:.1%} of its "
        f"probability and {sets.blend_answered:.1%} of its answers. More blend answers than blends follow from the "
        "expected Score, and are right only while the distribution is calibrated.",
        "finding",
    )

    def curve(name: str, one: Calibration, colour: str, symbol: str) -> Points:
        there = np.isfinite(one.bin_predicted)
        return Points(
            name,
            one.bin_predicted[there].tolist(),
            one.bin_observed[there].tolist(),
            colour,  # type: ignore[arg-type]
            symbol,  # type: ignore[arg-type]
            labels=[f"{share:.1%} of all probabilities" for share in one.bin_share[there]],
        )

    yield Figure(
        f"{prefix}reliability",
        "Reliability of the probabilities",
        "How often a set or state was true against the probability it was given; on the diagonal they are equal.",
        (
            Panel(
                "",
                Axis("predicted probability", range=(0, 1)),
                Axis("how often it was true", range=(0, 1)),
                (
                    Line("calibrated", [0, 1], [0, 1], "grey", "dash"),
                    curve("16 sets", sets, "blue", "circle"),
                    curve("36 states", states, "orange", "diamond"),
                ),
            ),
        ),
        "Out of fold; each fold's calibration was fitted on the other folds. Points with high probability rest on few "
        "clips.",
    )
    yield Table(
        f"{prefix}calibration",
        "Calibration",
        (Column("of"), Column("negative log-likelihood (nats per clip)"), Column("uniform guess")),
        (("16 sets", sets.nll, float(np.log(16))), ("36 states", states.nll, float(np.log(36)))),
    )


def gate_blocks(candidate: Candidate, answers: Answers, prefix: str) -> Iterator[Block]:
    """Heat maps of encoders by emotion: weight, and share kept."""
    use = measure_gate(candidate, answers)
    n_kept = candidate.config.model.n_kept
    kind = candidate.config.model.gate.kind
    kept = "every encoder of the pool" if n_kept == "all" else f"{n_kept} of {len(use.encoders)} encoders"
    yield Text(
        f"The gate ({kind}) keeps {kept} for each clip. A gate that is "
        "used looks different from column to column; one that is not has equal columns."
    )
    parts = [("share of clips that kept it", use.kept, "kept")]
    if use.weight is not None:
        parts.insert(0, ("mean weight", use.weight, "weight"))
    yield Figure(
        f"{prefix}gate",
        "The gate: encoder by emotion",
        "Heat map of encoders (rows) by emotion shown (columns): " + _gate_words(use),
        tuple(
            Panel(
                title,
                Axis("emotion shown", categories=use.columns),
                Axis(categories=use.encoders),
                (
                    Heat(
                        use.encoders,
                        use.columns,
                        values.tolist(),
                        [[f"{value:.2f}" for value in row] for row in values],
                        title,
                        float(max(values.max(), 0.01)),
                    ),
                ),
            )
            for title, values, _ in parts
        ),
        "A blend counts for both of its emotions.",
    )
    yield Table(
        f"{prefix}gate",
        "The gate: encoder by emotion",
        (Column("encoder"), Column("what"), *(Column(name) for name in use.columns)),
        tuple(
            (encoder, short, *(float(value) for value in values[row]))
            for row, encoder in enumerate(use.encoders)
            for _, values, short in parts
        ),
    )


def _gate_words(use: GateUse) -> str:
    order = np.argsort(-use.kept[:, -1], kind="stable")
    return ", ".join(f"{use.encoders[index]} kept in {use.kept[index, -1]:.0%}" for index in order)
