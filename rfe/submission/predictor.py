"""A bundle's models at work: from raw features of new clips to answers. Free of ray, optuna and mlflow.

The export asks this very code for the answers that it stores, on one thread, so that a bundle answers its own data with
the same bits again on the same machine.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits
from torch import Tensor

from rfe.config.load import load_config
from rfe.config.schema import Config
from rfe.data.domains import ActorKnowledge, IdentitySpace
from rfe.data.faults import list_names
from rfe.data.preparation import Fitted
from rfe.data.scale import describe_scale
from rfe.data.standardize import Preprocessing
from rfe.decoding.base import Outputs
from rfe.ensemble.prediction import decoder_from_dict
from rfe.errors import DataError, SubmissionError, gather
from rfe.model.concat_mlp import ConcatMlp
from rfe.model.fusion_model import FusionModel
from rfe.model.stack import StackedModel
from rfe.resources import machine_memory
from rfe.submission.clips import NewClips
from rfe.submission.form import bundle_task, form_problems
from rfe.submission.layout import MANIFEST, part_name
from rfe.training.build import Replica, View, model_settings, shape_of, standardized_by
from rfe.training.inputs import StackInputs
from rfe.training.prediction import run_models
from rfe.training.scoring import presence_kind
from rfe.training.settings import TrainSettings


@dataclass(frozen=True)
class Prediction:
    """What a bundle answers."""

    filename: tuple[str, ...]
    state: NDArray[np.int64]
    """[clip] index into the task's states; -1 where a model's output is not finite."""
    probabilities: NDArray[np.float64]
    """[clip, class] expected share of each class's salience."""
    notes: tuple[str, ...]
    """Sentences on what the models had to do without."""


@dataclass(frozen=True)
class _Member:
    """One configuration's models in a bundle."""

    folder: Path
    config: Config
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    target_actors: ActorKnowledge | None
    pool: tuple[int, ...]
    """By index in the bundle's encoders."""


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
        self.needs_actors = any(one.target_actors == "known" for one in self._members)

    def predict(self, clips: NewClips) -> Prediction:
        """Answer clips.

        Args:
            clips: at least one. An encoder that is not there, as a whole or for some clips, is masked; one that no
                model reads is not looked at.

        Raises:
            DataError: an encoder of another dimension, none of the encoders at all, or no actors where the models
                standardise by actor.
        """
        notes = self._check(clips)
        with _one_thread():
            outputs = [self._outputs(member, clips) for member in self._members]
            try:
                decoded = self._decoder.decode(outputs)
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
        tensors = _read_tensors(path)
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

    def _member(self, folder: Path, about: Mapping[str, Any]) -> _Member:
        place = folder / str(about["folder"])
        config = load_config(place / "config.yaml", [])
        names = list(self.dims)
        pool = names if config.pool == "all" else config.pool
        return _Member(
            place,
            config,
            tuple(int(fold) for fold in about["folds"]),
            tuple(int(seed) for seed in about["seeds"]),
            about["target_actors"],
            tuple(sorted(names.index(name) for name in pool)),
        )

    def _check(self, clips: NewClips) -> tuple[str, ...]:
        if not len(clips):
            raise DataError(f"{clips.where}: there is no clip to answer")
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
            raise DataError(
                f"{clips.where}, video_id: empty for {list_names(unnamed)}, but the models standardise each clip by "
                "its actor's clips (data.target_actors: known); fill it in"
            )
        notes = [f"encoder {name} is missing: masked" for name in missing]
        for name in self.pool:
            if name not in missing and not (there := clips.available[name]).all():
                lacking = list_names([clip for clip, one in zip(clips.filename, there, strict=True) if not one])
                notes.append(f"encoder {name} has no features of {(~there).sum()} clips: masked there ({lacking})")
        seen = np.any([clips.available[name] for name in self.pool if name not in missing], axis=0)
        if not seen.all():
            blind = [name for name, one in zip(clips.filename, seen, strict=True) if not one]
            notes.append(f"{list_names(blind)}: no encoder that the models read; answered as clips nothing is known of")
        return tuple(notes)

    def _outputs(self, member: _Member, clips: NewClips) -> Outputs:
        """[fold, seed, clip, class] of one configuration's models."""
        shape, names = shape_of(member.config, self.dims), tuple(self.dims)
        hidden, n_models = shape.latent_dim, len(member.folds) * len(member.seeds)
        claimed = 4 * n_models * hidden * (sum(shape.dims) + hidden * (2 + len(shape.dims)))
        if claimed > machine_memory():
            raise SubmissionError(
                f"{member.folder / 'config.yaml'}: model.latent_dim {hidden} asks for up to {claimed / 2**30:,.0f} GiB "
                f"of weights in {n_models} models, more than this machine's memory"
            )
        replicas = [self._replica(member, fold, seed) for fold in member.folds for seed in member.seeds]
        settings = [one.model for one in replicas]
        kind = ConcatMlp if shape.kind == "concat_mlp" else FusionModel
        model: StackedModel = kind(self.task, settings, shape.dims, names, shape.latent_dim, torch.device("cpu"))
        _load_weights(model, member)
        source = _Features(member, names, shape.dims, clips)
        table = np.arange(len(clips))[None]  # [row, clip]
        found = run_models(model, StackInputs(replicas, shape, model, source), table, [0] * len(replicas), "target")
        leading = (len(member.folds), len(member.seeds), len(clips), -1)
        return Outputs(
            found.presence_logits.reshape(leading),
            found.salience_logits.reshape(leading),
            found.fused.reshape(leading),
            presence_kind(member.config),
        )

    def _replica(self, member: _Member, fold: int, seed: int) -> Replica:
        """Without a discriminator, which training alone needs."""
        settings = replace(model_settings(member.config, member.pool, seed, fold), tells_domains=False)
        views = {encoder: View(encoder, fold, "", "", None, 0) for encoder in member.pool}
        return Replica(0, settings, TrainSettings(), views)


class _Features:
    """A `FeatureSource`: clips prepared by what each fold's training clips taught."""

    def __init__(self, member: _Member, names: tuple[str, ...], widths: tuple[int, ...], clips: NewClips) -> None:
        self._member, self._names, self._widths, self._clips = member, names, widths, clips
        nowhere = np.zeros(len(clips), np.bool_)
        self.available = torch.from_numpy(np.stack([clips.available.get(name, nowhere) for name in names]))
        self._views: dict[tuple[int, int], Tensor] = {}

    def view(self, view: View) -> Tensor:
        key = (view.encoder, view.fold)
        if key not in self._views:
            self._views[key] = torch.from_numpy(self._prepare(view.encoder, view.fold))
        return self._views[key]

    def _prepare(self, encoder: int, fold: int) -> NDArray[np.float32]:
        clips, member, name, width = self._clips, self._member, self._names[encoder], self._widths[encoder]
        path = member.folder / "preprocessing" / part_name(fold) / f"{name}.safetensors"
        tensors = _read_tensors(path)
        try:
            arrays = [tensors[key] for key in ("mean", "variance", "components", "center")]
            preprocessing, identity = Preprocessing(*arrays), None
            if "identity_offset" in tensors:
                identity = IdentitySpace(tensors["identity_offset"], tensors["identity_projection"])
        except KeyError as problem:
            raise SubmissionError(f"{path}: lacks {problem}; export the bundle again") from None
        if [one.ndim for one in arrays] != [1, 1, 2, 1] or preprocessing.width != width:
            raise SubmissionError(
                f"{path}: its arrays {[list(one.shape) for one in arrays]} do not prepare the {width} features that "
                "the models read; export the bundle again"
            )
        if name not in clips.features:
            return np.zeros((len(clips), width), np.float32)
        config = member.config
        by_actor = standardized_by(config, name) == "actor"
        fitted = Fitted(
            preprocessing,
            member.target_actors if by_actor else None,
            identity,
            config.data.pseudo_clips_per_group,
        )
        try:
            return fitted.apply(clips.features[name], clips.available[name], clips.actor)
        except ValueError as problem:
            raise SubmissionError(f"{path}: does not fit the features ({problem}); export the bundle again") from None


def _load_weights(model: StackedModel, member: _Member) -> None:
    """Put a member's stored weights in place of the model's initial ones."""
    files = {}
    for fold in member.folds:
        path = member.folder / "weights" / f"{part_name(fold)}.safetensors"
        files[fold] = (path, _read_tensors(path))
    with torch.no_grad():
        for name, parameter in model.parameters.items():
            for row, replica in enumerate(parameter.holders.tolist()):
                settings = model.settings[replica]
                path, tensors = files[settings.fold]
                key = f"seed{settings.seed}.{name}"
                expected = tuple(parameter.value.shape[1:])
                if key not in tensors or tensors[key].shape != expected:
                    found = f"has the shape {list(tensors[key].shape)}" if key in tensors else "is missing"
                    raise SubmissionError(
                        f"{path}: {key} {found}, but the configuration asks for {list(expected)}; export it again"
                    )
                parameter.value[row] = torch.from_numpy(tensors[key])


def _read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as problem:
        raise SubmissionError(f"{path}: cannot be read: {problem}; export the bundle again") from None


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
