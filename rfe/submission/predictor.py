"""Predicts with a bundle's models, from raw features of new clips to answers. Imports no ray, optuna or mlflow.

The export asks this very code for the answers that it stores, on one thread, so that a bundle answers its own data with
the same bits again on the same machine.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rfe.config.load import load_config
from rfe.data.faults import list_names
from rfe.data.scale import describe_scale
from rfe.decoding.design import shows_whole_design
from rfe.ensemble.prediction import MatchedDecoder, decoder_from_dict
from rfe.errors import DataError, SubmissionError, gather
from rfe.submission.clips import NewClips
from rfe.submission.form import bundle_task, form_problems
from rfe.submission.layout import MANIFEST, part_name
from rfe.submission.member import BundleMember, read_tensors, run_member


@dataclass(frozen=True)
class Prediction:
    """The answers of a bundle."""

    filename: tuple[str, ...]
    state: NDArray[np.int64]
    """[clip] index into the task's states; -1 where a model's output is not finite."""
    probabilities: NDArray[np.float64]
    """[clip, class] expected share of each class's salience."""
    notes: tuple[str, ...]
    """Sentences on missing inputs."""


class Predictor:
    """The models of a bundle.

    Args:
        folder: the bundle's, with whole and checked files; see `verify_bundle`.
        manifest: what its manifest says of members and encoders.

    Raises:
        SubmissionError: files that do not fit each other.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        gather(form_problems(manifest), SubmissionError, str(folder / MANIFEST))
        self.task = bundle_task(manifest, str(folder / MANIFEST))
        """Whose states are answered."""
        try:
            self.dims = {str(name): int(about["dim"]) for name, about in manifest["data"]["encoders"].items()}
            self._members = [self._member(folder, about) for about in manifest["members"]]
            decoder = json.loads((folder / "decoder.json").read_text(encoding="utf-8"))
            self._decoder = decoder_from_dict(self.task, decoder)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
            raise SubmissionError(
                f"{folder}: manifest and decoder do not say what the models need ({problem!r}); export it again"
            ) from None
        names = list(self.dims)
        self.pool = tuple(names[index] for index in sorted({index for one in self._members for index in one.pool}))
        """Encoders that some model reads."""
        self.needs_actors = self.is_transductive or any(one.target_actors == "known" for one in self._members)

    @property
    def is_transductive(self) -> bool:
        """Whether all clips of an actor are answered together."""
        return isinstance(self._decoder, MatchedDecoder)

    @property
    def set_size(self) -> int | None:
        """Clips of a training actor, where all clips of an actor are answered together; else None."""
        return round(self._decoder.design.sum()) if isinstance(self._decoder, MatchedDecoder) else None

    def predict(self, clips: NewClips) -> Prediction:
        """Answer clips.

        Args:
            clips: at least one. An encoder that is not there, as a whole or for some clips, is masked; one that no
                model reads is not looked at.

        Raises:
            DataError: an encoder of another dimension, none of the encoders at all, no actors where the models
                standardise by actor or the decoder answers an actor's clips together, or then only some of its clips.
        """
        notes = self._check(clips)
        with _one_thread():
            outputs = [run_member(member, self.dims, self.task, clips) for member in self._members]
            try:
                decoded = self._decoder.decode(outputs, clips.actor)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
                raise SubmissionError(
                    f"decoder.json does not fit the bundle's models ({problem}); export the bundle again"
                ) from None
        notes = (*notes, *self._scale_notes(clips))
        return Prediction(clips.filename, decoded.state, np.asarray(decoded.probabilities, np.float64), notes)

    def training_statistics(self, encoder: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[dim] mean and variance of the raw training features of an encoder that some model reads."""
        index = list(self.dims).index(encoder)
        member = next(one for one in self._members if index in one.pool)
        path = member.folder / "preprocessing" / part_name(member.folds[0]) / f"{encoder}.safetensors"
        tensors = read_tensors(path)
        return np.asarray(tensors["mean"], np.float64), np.asarray(tensors["variance"], np.float64)

    def _scale_notes(self, clips: NewClips) -> list[str]:
        """Sentences on encoders whose features are of another scale than those that the models learnt from."""
        notes = []
        for name in self.pool:
            if name in clips.features:
                given = clips.features[name][clips.available[name]]
                if off := describe_scale(given, *self.training_statistics(name)):
                    notes.append(
                        f"encoder {name}: its features are far off those of training ({off}), so the answers are worth "
                        "little; compute them as for the training data, neither standardised nor in another unit"
                    )
        return notes

    def _member(self, folder: Path, about: Mapping[str, Any]) -> BundleMember:
        place = folder / str(about["folder"])
        config = load_config(place / "config.yaml", [])
        names = list(self.dims)
        pool = names if config.pool == "all" else config.pool
        return BundleMember(
            place,
            config,
            tuple(int(fold) for fold in about["folds"]),
            tuple(int(seed) for seed in about["seeds"]),
            about["target_actors"],
            tuple(sorted(names.index(name) for name in pool)),
        )

    def _check(self, clips: NewClips) -> tuple[str, ...]:
        if not len(clips):
            raise DataError(f"{clips.where}: no clips to predict")
        missing = [name for name in self.pool if name not in clips.features or not clips.available[name].any()]
        if len(missing) == len(self.pool):
            raise DataError(
                f"{clips.where}: has none of the encoders that the models read: {', '.join(self.pool)}; compute their "
                "features"
            )
        for name in self.pool:
            if name not in missing and clips.features[name].shape[1] != self.dims[name]:
                raise DataError(
                    f"{clips.where}: encoder {name!r} has {clips.features[name].shape[1]} features, but the "
                    f"models were trained on {self.dims[name]}; compute them as for the training data, or leave the "
                    "encoder out"
                )
        if self.needs_actors and (clips.actor < 0).any():
            unnamed = [name for name, actor in zip(clips.filename, clips.actor, strict=True) if actor < 0]
            why = "the models standardise each clip by its actor's clips (data.target_actors: known)"
            if self.is_transductive:
                why = "the bundle is transductive: it answers all clips of an actor together (decode.design: actor)"
            raise DataError(f"{clips.where}, video_id: empty for {list_names(unnamed)}, but {why}; fill it in")
        if isinstance(self._decoder, MatchedDecoder):
            self._check_whole_sets(clips, self._decoder)
        notes = [f"encoder {name} is missing: masked" for name in missing]
        if self.is_transductive:
            n_actors = len(np.unique(clips.actor))
            notes.insert(
                0,
                f"transductive: the clips of each of {n_actors} actors were answered together, each state as often as "
                "by the training actors' design (decode.design: actor)",
            )
        for name in self.pool:
            if name not in missing and not (there := clips.available[name]).all():
                lacking = list_names([clip for clip, one in zip(clips.filename, there, strict=True) if not one])
                notes.append(f"encoder {name} has no features of {(~there).sum()} clips: masked there ({lacking})")
        seen = np.any([clips.available[name] for name in self.pool if name not in missing], axis=0)
        if not seen.all():
            blind = [name for name, one in zip(clips.filename, seen, strict=True) if not one]
            notes.append(f"{list_names(blind)}: no encoder that the models read; answered as clips nothing is known of")
        return tuple(notes)

    def _check_whole_sets(self, clips: NewClips, decoder: MatchedDecoder) -> None:
        actors, first, counts = np.unique(clips.actor, return_index=True, return_counts=True)
        odd = [place for place, n in enumerate(counts.tolist()) if not shows_whole_design(n, decoder.design)]
        if odd:
            n = int(counts[odd[0]])
            raise DataError(
                f"{clips.where}: the actor of {clips.filename[int(first[odd[0]])]} has {n} clip{'s' * (n != 1)}, where "
                f"a training actor has {decoder.design.sum():.0f} ({len(odd)} of {len(actors)} actors are so), but the "
                "bundle is transductive: it answers the whole set of an actor's clips together (decode.design: actor); "
                "give all of their clips, or a bundle without the design decoder"
            )


@contextmanager
def _one_thread() -> Iterator[None]:
    """How sums are split among threads changes their last bits."""
    before = torch.get_num_threads()
    torch.set_flush_denormal(True)  # as in training
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
