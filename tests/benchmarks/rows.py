"""What a benchmark found: rows of the table in `reports/benchmarks`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line."""

    measure: str
    found: str
    """With its unit."""
    against: str = ""
    """The other side, with its unit."""
    ratio: str = ""
    """Median (smallest to largest of the rounds)."""
    target: str = ""
    met: bool | None = None
    """None: no target."""


def ratio_text(ratio: tuple[float, float, float]) -> str:
    """`3.1x (2.9 to 3.4)`."""
    return f"{ratio[0]:.1f}x ({ratio[1]:.1f} to {ratio[2]:.1f})"
