"""Tables of ablations that several reports show."""

from typing import Any

from tests.evidence.simulated import table

HEADER = ["arm", "Score", "difference", "95% interval", "P(better)", "p (Holm)", "verdict"]


def arms_table(result: dict[str, Any]) -> str:
    """A row for each arm.

    Args:
        result: of `AblationResult.to_dict`.
    """
    return table(HEADER, [_row(row) for row in result["arms"]])


def _row(row: dict[str, Any]) -> list[str]:
    one, score = row["difference"], f"{row['score']['estimate']:.3f}"
    if one is None:
        return [row["arm"], score, "", "", "", "", "base"]
    p = "" if row["p_holm"] is None else f"{row['p_holm']:.3f}"
    return [row["arm"], score, *interval_cells(one), f"{one['probability_better']:.2f}", p, row["verdict"]]


def interval_cells(one: dict[str, Any]) -> list[str]:
    """Estimate and 95% interval of a difference."""
    return [f"{one['estimate']:+.3f}", f"{one['low']:+.3f} to {one['high']:+.3f}"]
