"""A data set with features that are wrong, clip by clip, and the truth about which: what a per-clip gate must notice.

For each encoder a seeded random part of the clips is altered, independently of the other encoders:

- `swap`: the clip shows another clip's features, drawn from the same actor (or fold): right in scale and identity,
  wrong in content. Nothing in the features themselves tells.
- `mask`: the clip has no features of the encoder. With the seed, share and `within` of a swapped set these are the same
  clips and encoders, so this is the oracle that knows which features are wrong.

A clip keeps at least one of its encoders. `corruption.json` holds the truth; no model reads it.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rfe.config.reading import write_yaml
from rfe.data.caveats import DESCRIPTION_FILE, TRUTH_FILE
from rfe.data.dataset import CORRUPTION_FILE, Dataset, load_dataset
from rfe.data.features import feature_file, read_features
from rfe.data.metadata import METADATA_FILES, Clips
from rfe.data.simulation.files import write_features
from rfe.data.task import TASK_FILE
from rfe.errors import ConfigError, DataError, gather
from rfe.model.random import stream
from rfe.progress import Progress, SilentProgress
from rfe.writing import check_folder_place, fill_folder, write_json, write_text

Mode = Literal["swap", "mask"]
Within = Literal["actor", "fold"]


@dataclass(frozen=True)
class CorruptionSpec:
    """What to alter; equal specs alter equal data sets alike.

    Raises:
        ConfigError: for impossible values, all of them in one message.

    Examples:
        >>> CorruptionSpec(share=0.3)
        CorruptionSpec(share=0.3, seed=0, mode='swap', within='actor')
    """

    share: float
    """Of the clips that have an encoder, for each encoder."""
    seed: int = 0
    mode: Mode = "swap"
    within: Within = "actor"
    """Whose other clips' features a clip may show."""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.share < 1:
            problems.append(f"share: {self.share:g} is not between 0 and 1; use e.g. 0.3")
        if not 0 <= self.seed < 2**32:
            problems.append(f"seed: {self.seed} is not between 0 and {2**32 - 1}")
        for name, allowed in (("mode", Mode), ("within", Within)):
            if getattr(self, name) not in get_args(allowed):
                options = " or ".join(get_args(allowed))
                problems.append(f"{name}: {getattr(self, name)!r} is unknown; use {options}")
        gather(problems, ConfigError, "corruption")


@dataclass(frozen=True)
class CorruptionReport:
    """What was altered."""

    folder: Path
    altered: dict[str, int]
    """Encoder -> clips with wrong (or masked) features."""
    available: dict[str, int]
    """Encoder -> clips that had features."""
    spared: int
    """Clips of which one encoder was left as it was, since all of them had been drawn."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"folder": str(self.folder)}


def corrupt(folder: Path, output: Path, spec: CorruptionSpec, progress: Progress | None = None) -> CorruptionReport:
    """Write a data folder like `folder` with features that are wrong for some clips.

    Args:
        folder: the data folder; stays as it is.
        output: the data folder to make; new or empty.
        spec: what to alter.
        progress: told each encoder.

    Returns:
        What was altered.

    Raises:
        ConfigError: an `output` that holds something.
        DataError: a folder that is not sound, that has one encoder only, whose actors are not known with `within:
            actor`, or that has too few clips for the share.
    """
    place = output.absolute()
    check_folder_place(place)
    if place.is_dir() and any(place.iterdir()):
        raise ConfigError(f"{output}: is not empty; name another folder, or remove that one")
    dataset = load_dataset(folder, need_source=False)
    source_of, spared = draw_sources(dataset, spec)
    altered = {name: sources >= 0 for name, sources in source_of.items()}
    for name, rows in altered.items():
        if not rows.any():
            raise DataError(
                f"{folder}: share {spec.share:g} alters no clip of encoder {name}, which "
                f"{int(dataset.encoders[name].available.sum())} clips have; raise the share"
            )
    progress = progress or SilentProgress()
    progress.start(f"altering {len(altered)} encoders", len(altered))
    with fill_folder(place) as scratch:
        for done, (name, encoder) in enumerate(dataset.encoders.items(), start=1):
            values, present = read_features(encoder, dataset.clips), encoder.available.copy()
            if spec.mode == "mask":
                present &= ~altered[name]
            else:
                values = np.where(altered[name][:, None], values[source_of[name]], values)
            write_features(scratch / feature_file(name), [values], present, dataset.clips.filename, encoder.dim)
            progress.update(done)
        for companion in (*METADATA_FILES, TASK_FILE, TRUTH_FILE):
            if (dataset.path / companion).is_file():
                shutil.copyfile(dataset.path / companion, scratch / companion)
        write_text(scratch / DESCRIPTION_FILE, write_yaml(_describe(dataset, spec, output.name)))
        write_json(scratch / CORRUPTION_FILE, _truth(dataset, spec, source_of))
    progress.close()
    return CorruptionReport(
        output,
        {name: int(rows.sum()) for name, rows in altered.items()},
        {name: int(one.available.sum()) for name, one in dataset.encoders.items()},
        spared,
    )


def wrong_features(dataset: Dataset) -> NDArray[np.bool_] | None:
    """[clip, encoder] whether the clip shows another clip's features, by the truth beside the data set's files.

    Returns:
        None of a data set without wrong features: one that was not corrupted, or whose features were masked.

    Raises:
        DataError: a truth that cannot be read.
    """
    path = dataset.path / CORRUPTION_FILE
    if not path.is_file():
        return None
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
        altered = {str(name): set(clips) for name, clips in truth["altered"].items()}
        if truth["mode"] != "swap":
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read ({error!r}); make the folder again with rfe data corrupt") from None
    names = dataset.clips.filename.tolist()
    columns = [[clip in altered.get(encoder, ()) for clip in names] for encoder in dataset.encoders]
    return np.array(columns, np.bool_).T


def draw_sources(dataset: Dataset, spec: CorruptionSpec) -> tuple[dict[str, NDArray[np.int64]], int]:
    """(encoder -> [clip] whose features each clip is to show, -1: its own; clips of which an encoder was spared).

    The clips depend on the share, the seed and `within`, not on the mode.

    Raises:
        DataError: see `corrupt`.
    """
    clips = dataset.clips
    if len(dataset.encoders) == 1:
        raise DataError(f"{dataset.path}: has one encoder; nothing is left to tell which of its features are wrong")
    group = _groups(dataset, spec.within)
    drawn: dict[str, NDArray[np.int64]] = {}
    for name, encoder in dataset.encoders.items():
        random = stream(spec.seed, 0, f"corrupt/{name}")
        members = [np.flatnonzero(encoder.available & (group == one)) for one in np.unique(group)]
        eligible = np.concatenate([rows for rows in members if len(rows) > 1] or [np.zeros(0, np.int64)])
        chosen = random.permutation(eligible)[: round(spec.share * len(eligible))]
        sources = np.full(len(clips), -1, np.int64)
        of_group = {int(group[rows[0]]): rows for rows in members if len(rows)}
        for clip in np.sort(chosen).tolist():
            others = of_group[int(group[clip])]
            place = int(random.integers(len(others) - 1))
            sources[clip] = others[place + (place >= np.searchsorted(others, clip))]  # any of them but itself
        drawn[name] = sources
    return drawn, _spare_one(dataset, drawn, spec.seed)


def _spare_one(dataset: Dataset, drawn: dict[str, NDArray[np.int64]], seed: int) -> int:
    """Leave one encoder of a clip as it is where all that it has were drawn; how many clips that were."""
    there = np.stack([one.available for one in dataset.encoders.values()])
    wrong = np.stack([drawn[name] >= 0 for name in dataset.encoders])
    hit = np.flatnonzero(there.any(0) & ~(there & ~wrong).any(0))
    random, names = stream(seed, 0, "corrupt: spared"), list(dataset.encoders)
    for clip in hit.tolist():
        drawn[names[int(random.choice(np.flatnonzero(wrong[:, clip])))]][clip] = -1
    return len(hit)


def _groups(dataset: Dataset, within: Within) -> NDArray[np.int64]:
    """[clip] the group whose features a clip may show; target clips have their own by fold."""
    clips: Clips = dataset.clips
    if within == "fold":
        return clips.fold
    if (clips.actor < 0).any():
        raise DataError(
            f"{dataset.path}, video_id: empty for some clips, but within: actor draws features from the same actor; "
            "use within: fold (--within fold)"
        )
    return clips.actor


def _describe(dataset: Dataset, spec: CorruptionSpec, name: str) -> dict[str, Any]:
    how = "swapped with another clip's of the same " + spec.within if spec.mode == "swap" else "masked"
    caveat = (
        f"corrupted on purpose from {dataset.name}: the features of {spec.share:.0%} of the clips of each encoder are "
        f"{how} (seed {spec.seed}); measures what a gate notices, not how a method does on the data itself."
    )
    return {"name": name, "simulated": dataset.simulated, "caveats": [*dataset.caveats, caveat]}


def _truth(dataset: Dataset, spec: CorruptionSpec, source_of: dict[str, NDArray[np.int64]]) -> dict[str, Any]:
    names = dataset.clips.filename.tolist()
    swaps = spec.mode == "swap"
    return {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        **asdict(spec),
        "altered": {
            encoder: {names[clip]: names[sources[clip]] if swaps else None for clip in np.flatnonzero(sources >= 0)}
            for encoder, sources in source_of.items()
        },
    }
