"""What a report is about: a study, an ablation or an ensemble, read and made into a section and a line."""

from dataclasses import dataclass
from typing import Literal

from rfe.data.dataset import Dataset
from rfe.reporting.report.document import ReportSection, Table

OPTIMISTIC = "optimistic: the same clips chose it"
IN_SAMPLE = "in-sample: on the clips that the members were chosen and weighted by, so no estimate for new clips"


@dataclass(frozen=True)
class ReportData:
    """The data set of a subject, where it can be read."""

    dataset: Dataset | None
    reason: str = ""
    """Why not, in a sentence."""

    @property
    def missing(self) -> str:
        """A sentence for a section that needs it."""
        return f"Not shown, as it needs the data: {self.reason}"


@dataclass(frozen=True)
class Headline:
    """One named score."""

    name: str
    """`score_selected`, `confirmed`, `nested` ..."""
    score: float
    acc_presence: float | None = None
    acc_salience: float | None = None
    bounds: tuple[float, float] | None = None
    """95% interval of the score, over actors and, where there are several, seeds."""
    about: str = ""
    """What a reader must know of it."""

    def sentence(self) -> str:
        """`score_selected .213 [.190, .236] (the study's result)`."""
        bounds = "" if self.bounds is None else f" [{self.bounds[0]:.3f}, {self.bounds[1]:.3f}]"
        return f"{self.name}: Score {self.score:.3f}{bounds}" + (f" ({self.about})" if self.about else "")


@dataclass(frozen=True)
class Subject:
    """One name of a report."""

    name: str
    kind: Literal["study", "ablation", "ensemble"]
    data_name: str
    fingerprint: str
    simulated: bool
    caveats: tuple[str, ...]
    """Of its data."""
    headlines: tuple[Headline, ...]
    """The one to quote first."""
    sections: tuple[ReportSection, ...]
    trials: int
    """Finished ones that it rests on."""
    seconds: float | None
    """Of training, all trials together; None: not logged."""
    attached: tuple[Table, ...] = ()
    """Files only."""
    remarks: tuple[str, ...] = ()
    """Caveats of this subject."""
