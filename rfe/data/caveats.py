"""Caveats that every report on a data folder must show, and the optional `dataset.yaml` with them.

```yaml
name: my-set              # default: the folder's name
simulated: false          # default: whether the folder holds truth.json
caveats: ["saliences are ..."]
```
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from rfe.config.fields import problems_of
from rfe.config.reading import read_yaml
from rfe.config.schema import Section
from rfe.data.faults import Faults
from rfe.errors import ConfigError

DESCRIPTION_FILE = "dataset.yaml"
TRUTH_FILE = "truth.json"
SIMULATED = "simulated data: shows that a method recovers what was planted, not how it does on recordings of people."

ONE_ENCODER = "one encoder: nothing is selected or fused; a search compares heads, decoders and training only."

NO_ACTORS = (
    "actors unknown (no video_id): it cannot be checked that an actor stays in one fold, features can be standardised "
    "by fold only, and intervals over clips are too narrow (clips of one actor are alike)."
)

TRANSDUCTIVE = (
    "transductive: decode.design: actor (or --decode design) answers all clips of an actor together, each state as "
    "often as by the training actors' design; such scores hold for whole sets of clips by known actors, not for single "
    "clips."
)
"""Of results that may be reached so, not of the data."""

_KNOWN_CAVEATS: tuple[tuple[str, str, str], ...] = (
    (
        "blemore_hicmae",
        "hicmae_",
        "level-1 features: training-fold inputs were made by models that saw the reported fold's labels; compare "
        "methods here, do not quote as challenge estimates.",
    ),
    ("cremad_votes", "rater_", "saliences are binned vote shares with rater noise."),
)
"""(folder name, prefix of encoder names, caveat) of sets that came without a `dataset.yaml`; either gives them away."""


@dataclass(frozen=True)
class Description:
    name: str
    simulated: bool
    caveats: tuple[str, ...]


class DescriptionFile(Section):
    """`dataset.yaml`."""

    name: str | None = None
    simulated: bool | None = None
    caveats: list[str] = Field(default_factory=list)


def is_transductive(config: Mapping[str, Any]) -> bool:
    """Whether a configuration (dotted name -> value) answers with the design decoder."""
    return config.get("decode.design") == "actor"


def describe(folder: Path, encoders: Collection[str], faults: Faults) -> Description:
    """Name, origin and caveats of a data folder that holds these `encoders`; a faulty `dataset.yaml` is noted."""
    given = _read_description(folder / DESCRIPTION_FILE, faults)
    name = folder.resolve().name
    simulated = (folder / TRUTH_FILE).is_file() if given.simulated is None else given.simulated
    known = [
        caveat
        for known_name, prefix, caveat in _KNOWN_CAVEATS
        if name == known_name or any(encoder.startswith(prefix) for encoder in encoders)
    ]
    caveats = [SIMULATED] * simulated + known + given.caveats
    return Description(given.name or name, simulated, tuple(dict.fromkeys(caveats)))


def _read_description(path: Path, faults: Faults) -> DescriptionFile:
    try:
        given = read_yaml(path) if path.is_file() else {}
    except ConfigError as error:
        faults.problem(str(error).removeprefix(f"{path.parent}/"))
        return DescriptionFile()
    problems = problems_of(DescriptionFile, given)
    for problem in problems:
        faults.problem(f"{path.name}: {problem}")
    return DescriptionFile() if problems else DescriptionFile(**given)
