"""One configuration's models in a bundle: its files read, its clips prepared, its outputs computed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from rfe.config.schema import Config
from rfe.data.domains import ActorKnowledge, IdentitySpace
from rfe.data.preparation import Fitted
from rfe.data.standardize import Preprocessing
from rfe.decoding.base import Outputs
from rfe.errors import SubmissionError
from rfe.model.concat_mlp import ConcatMlp
from rfe.model.fitted import FittedModel, PoolFeatures
from rfe.model.fusion_model import FusionModel
from rfe.model.stack import StackedModel
from rfe.resources import machine_memory
from rfe.submission.clips import NewClips
from rfe.submission.layout import part_name
from rfe.task import Task
from rfe.training.build import FeatureView, Replica, model_settings, shape_of, standardized_by
from rfe.training.inputs import StackInputs
from rfe.training.kinds import fitted_model
from rfe.training.prediction import run_models
from rfe.training.scoring import presence_kind
from rfe.training.settings import TrainSettings


@dataclass(frozen=True)
class BundleMember:
    """One configuration's models in a bundle."""

    folder: Path
    config: Config
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    target_actors: ActorKnowledge | None
    pool: tuple[int, ...]
    """By index in the bundle's encoders."""


def run_member(member: BundleMember, encoder_dims: Mapping[str, int], task: Task, clips: NewClips) -> Outputs:
    """[fold, seed, clip, class] of one configuration's models.

    Args:
        member: the configuration and where its files are.
        encoder_dims: width of each encoder's raw features, in the bundle's order.
        task: whose sets and classes have logits.
        clips: what is predicted.

    Raises:
        SubmissionError: files that do not fit each other.
    """
    leading = (len(member.folds), len(member.seeds), len(clips), -1)
    names = tuple(encoder_dims)
    fitted = fitted_model(member.config, tuple(names[index] for index in member.pool))
    if fitted is None:
        each = _run_networks(member, encoder_dims, task, clips)
    else:
        each = _run_fitted(fitted, member, encoder_dims, task, clips)
    presence, salience, fused = (one.reshape(leading) for one in each)
    return Outputs(presence, salience, fused, presence_kind(member.config))


def _run_fitted(
    model: FittedModel, member: BundleMember, encoder_dims: Mapping[str, int], task: Task, clips: NewClips
) -> tuple[NDArray[np.float32], ...]:
    """[model, clip, ...] presence logits, salience logits and fused probabilities, fold by fold."""
    names, shape = tuple(encoder_dims), shape_of(member.config, encoder_dims)
    source = _Features(member, names, shape.dims, clips)
    dims = {names[index]: shape.dims[index] for index in member.pool}
    there = {names[index]: source.available[index].numpy() for index in member.pool}
    found = []
    for fold in member.folds:
        path = member.folder / "weights" / f"{part_name(fold)}.safetensors"
        tensors = read_tensors(path)
        views = {index: FeatureView(index, fold, "", "", None, 0) for index in member.pool}
        features = PoolFeatures({names[index]: source.view(one).numpy() for index, one in views.items()}, there)
        for seed in member.seeds:
            prefix = f"seed{seed}."
            weights = {key.removeprefix(prefix): one for key, one in tensors.items() if key.startswith(prefix)}
            try:
                model.check(weights, dims, task)
            except ValueError as problem:
                raise SubmissionError(f"{path}: {prefix}{problem}; export it again") from None
            found.append(type(model).predict([model], [weights], features, task)[0])
    columns = ("presence_logits", "salience_logits", "fused")
    return tuple(np.stack([getattr(one, name) for one in found]) for name in columns)


def _run_networks(
    member: BundleMember, encoder_dims: Mapping[str, int], task: Task, clips: NewClips
) -> tuple[NDArray[np.float32], ...]:
    """As `_run_fitted`."""
    shape, names = shape_of(member.config, encoder_dims), tuple(encoder_dims)
    hidden, n_models = shape.latent_dim, len(member.folds) * len(member.seeds)
    claimed = 4 * n_models * hidden * (sum(shape.dims) + hidden * (2 + len(shape.dims)))
    if claimed > machine_memory():
        raise SubmissionError(
            f"{member.folder / 'config.yaml'}: model.latent_dim {hidden} asks for up to {claimed / 2**30:,.0f} GiB "
            f"of weights in {n_models} models, more than this machine's memory"
        )
    replicas = [_replica(member, fold, seed) for fold in member.folds for seed in member.seeds]
    settings = [one.model for one in replicas]
    kind = ConcatMlp if shape.kind == "concat_mlp" else FusionModel
    device = torch.device("cpu")
    model: StackedModel = kind(task, settings, shape.dims, names, hidden, device, shape.members)
    _load_weights(model, member)
    source = _Features(member, names, shape.dims, clips)
    table = np.arange(len(clips))[None]  # [row, clip]
    found = run_models(model, StackInputs(replicas, shape, model, source), table, [0] * len(replicas), "target")
    return found.presence_logits, found.salience_logits, found.fused


def _replica(member: BundleMember, fold: int, seed: int) -> Replica:
    """Without a discriminator, which training alone needs."""
    settings = replace(model_settings(member.config, member.pool, seed, fold), tells_domains=False)
    views = {encoder: FeatureView(encoder, fold, "", "", None, 0) for encoder in member.pool}
    return Replica(0, settings, TrainSettings(), views)


class _Features:
    """A `FeatureSource`: clips prepared by what each fold's training clips taught."""

    def __init__(self, member: BundleMember, names: tuple[str, ...], widths: tuple[int, ...], clips: NewClips) -> None:
        self._member, self._names, self._widths, self._clips = member, names, widths, clips
        nowhere = np.zeros(len(clips), np.bool_)
        self.available = torch.from_numpy(np.stack([clips.available.get(name, nowhere) for name in names]))
        self._views: dict[tuple[int, int], Tensor] = {}

    def view(self, view: FeatureView) -> Tensor:
        key = (view.encoder, view.fold)
        if key not in self._views:
            self._views[key] = torch.from_numpy(self._prepare(view.encoder, view.fold))
        return self._views[key]

    def _prepare(self, encoder: int, fold: int) -> NDArray[np.float32]:
        clips, member, name, width = self._clips, self._member, self._names[encoder], self._widths[encoder]
        path = member.folder / "preprocessing" / part_name(fold) / f"{name}.safetensors"
        tensors = read_tensors(path)
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


def _load_weights(model: StackedModel, member: BundleMember) -> None:
    """Put a member's stored weights in place of the model's initial ones."""
    files = {}
    for fold in member.folds:
        path = member.folder / "weights" / f"{part_name(fold)}.safetensors"
        files[fold] = (path, read_tensors(path))
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


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as problem:
        raise SubmissionError(f"{path}: cannot be read: {problem}; export the bundle again") from None
