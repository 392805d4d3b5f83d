"""Prepared features, computed once per machine and memory-mapped by every trial and process.

An entry's name is a hash of everything that determines its values: the encoder's content, clips, actors, folds and
the preparation, never labels or paths. One process builds an entry, behind a file lock, beside its final name; the
rename makes it visible whole.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import UNREADABLE_ARRAY, read_arrays
from rfe.data.dataset import Dataset
from rfe.data.domains import IdentitySpace, resolve_target_actors
from rfe.data.features import EncoderFile, inspect_features, read_features
from rfe.data.folds import training_clips
from rfe.data.preparation import Recipe, prepare
from rfe.data.standardize import Preprocessing, reduced_dim
from rfe.errors import DataError
from rfe.locking import hold_lock
from rfe.writing import replace_folder

FORMAT = 2
"""Part of every entry's name; raise it whenever the same recipe would give other values."""
_VALUES = "values.npy"
_FITTED = "preprocessing.npz"


@dataclass(frozen=True)
class Prepared:
    """One encoder's features, ready for a model, for one held-out fold."""

    values: NDArray[np.float32]
    """[clip, dim or reduced dim] read-only memory map; source clips then target clips, 0 where unavailable."""
    available: NDArray[np.bool_]
    """[clip]"""
    path: Path
    """The cache entry; `preprocessing.npz` in it holds what was fitted."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What was fitted on the fold's training clips."""
        fitted = read_arrays(self.path / _FITTED, ("mean", "variance", "components", "center"))
        return Preprocessing(**fitted)

    @property
    def identity(self) -> IdentitySpace | None:
        """The space in which pseudo-actors were found; None unless `target_actors` was `pseudo`."""
        fitted = read_arrays(self.path / _FITTED)
        if "identity_offset" not in fitted:
            return None
        return IdentitySpace(fitted["identity_offset"], fitted["identity_projection"])


class FeatureCache:
    """The prepared features of one data set.

    Args:
        dataset: whose encoders are prepared.
        root: the cache folder, local to this machine; made when first needed.
    """

    def __init__(self, dataset: Dataset, root: Path) -> None:
        self._dataset = dataset
        self._root = Path(root)

    def prepared(
        self,
        encoder: str,
        fold: int,
        *,
        standardize: str = "actor",
        target_actors: str = "auto",
        reduce: int | None = None,
        clips_per_group: int = 54,
        training_actors: int | None = None,
    ) -> Prepared:
        """An encoder's features with everything fitted on the training clips of one fold.

        Args:
            encoder: its name in the data set.
            fold: the held-out fold; -1: every source clip trains (final models).
            standardize: `fold` or `actor`.
            target_actors: `auto`, `known`, `pseudo` or `unknown`; whose statistics standardise held-out and target
                clips. Ignored with `standardize="fold"`.
            reduce: PCA dimension; None, or no less than the encoder's own, leaves it as it is.
            clips_per_group: expected clips of a pseudo-actor; ignored unless `target_actors` is `pseudo`.
            training_actors: how many of the fold's training actors it is fitted on; None: all.

        Raises:
            DataError: an encoder or fold that the data lacks, actors that are asked for and not known, a feature file
                that changed or broke since the data set was opened, or a cache folder that cannot be written.
        """
        dataset = self._dataset
        if encoder not in dataset.encoders:
            raise DataError(f"{dataset.path} has no encoder {encoder!r}; it has: {', '.join(dataset.encoders)}")
        if standardize not in ("fold", "actor"):
            raise DataError(f"data.standardize: {standardize!r} is neither fold nor actor")
        training_clips(dataset.clips, fold, training_actors)  # refuses what the data lacks
        file = dataset.encoders[encoder]
        knowledge = resolve_target_actors(target_actors, dataset.clips) if standardize == "actor" else None
        width = reduced_dim(file.dim, reduce)
        recipe = Recipe(
            fold=fold,
            target_actors=knowledge,
            clips_per_group=clips_per_group if knowledge == "pseudo" else None,
            reduce=width if width < file.dim else None,
            training_actors=training_actors,
        )
        named = {
            name: value for name, value in asdict(recipe).items() if name != "training_actors" or value is not None
        }

        def build(entry: Path) -> None:
            values, preprocessing, space = prepare(
                file.name, self._aligned(file), file.available, dataset.clips, recipe
            )
            identity = {f"identity_{name}": array for name, array in vars(space).items()} if space else {}
            np.save(entry / _VALUES, values)
            np.savez(entry / _FITTED, **vars(preprocessing), **identity)

        values, path = self._entry(self._key(file, named), build)
        return Prepared(values, file.available, path)

    def _aligned(self, file: EncoderFile) -> NDArray[np.float32]:
        """[clip, dim] raw features in the clips' order; cached separately, so that no fold unpacks the file again."""

        def build(entry: Path) -> None:
            if inspect_features(file.path).sha256 != file.sha256:
                raise DataError(f"{file.path} was changed after the data set was opened; open it again")
            np.save(entry / _VALUES, read_features(file, self._dataset.clips))

        return self._entry(self._key(file, None), build)[0]

    def _key(self, file: EncoderFile, recipe: dict[str, Any] | None) -> str:
        text = json.dumps([FORMAT, file.sha256, self._clips_hash, recipe], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @cached_property
    def _clips_hash(self) -> str:
        """Of all that preparation reads of the clips; labels are not among it."""
        clips = self._dataset.clips
        arrays = [array.tolist() for array in (clips.filename, clips.actor, clips.fold)]
        return hashlib.sha256(repr((arrays, clips.actor_names, clips.n_source)).encode()).hexdigest()

    def _entry(self, key: str, build: Callable[[Path], None]) -> tuple[NDArray[np.float32], Path]:
        """The entry's values, memory-mapped, and its folder; built if it is not there or cannot be read."""
        folder = self._root / key
        try:
            return _open_values(folder), folder
        except UNREADABLE_ARRAY:
            pass  # not built yet, or the machine went down before its bytes were on disk
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with hold_lock(self._root / f"{key}.lock", instead="RFE_CACHE"):
                try:
                    return _open_values(folder), folder  # another process built it while this one waited
                except UNREADABLE_ARRAY:
                    _build_beside(folder, build)
            return _open_values(folder), folder
        except OSError as error:
            raise DataError(
                f"the feature cache {self._root} cannot be used ({error}); free space there or set RFE_CACHE to a "
                "writable folder"
            ) from error


def _build_beside(folder: Path, build: Callable[[Path], None]) -> None:
    beside = folder.with_suffix(".partial")
    shutil.rmtree(beside, ignore_errors=True)  # left by a builder that was killed
    beside.mkdir()
    build(beside)
    shutil.rmtree(folder, ignore_errors=True)  # unreadable: its bytes never reached the disk
    replace_folder(beside, folder)


def _open_values(folder: Path) -> NDArray[np.float32]:
    return np.asanyarray(np.lib.format.open_memmap(folder / _VALUES, mode="r"))
