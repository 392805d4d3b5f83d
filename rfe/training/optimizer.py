"""Adam for a stack: fused calls over runs of replicas that are trained alike, with each replica's own clipping."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import cos, pi

import torch
from torch import Tensor

from rfe.model.parameters import StackedParameter, take_rows
from rfe.training.settings import TrainSettings

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Run:
    """Neighbours in a stack whose update is the same: one rate, decay and number of steps."""

    first: int
    last: int
    """Replicas `first` to `last`, the latter excluded."""
    settings: TrainSettings
    """Any one's of them."""
    epoch: int
    """Epochs that they have finished."""


def find_runs(settings: Sequence[TrainSettings], epochs: Sequence[int]) -> tuple[Run, ...]:
    """The runs of a stack, in its order.

    Args:
        settings: [replica].
        epochs: [replica] finished so far.
    """

    def alike(replica: int) -> tuple[object, ...]:
        one = settings[replica]
        return one.lr, one.weight_decay, one.decoupled, one.cosine, one.epochs, epochs[replica]

    groups = [list(group) for _, group in groupby(range(len(settings)), alike)]
    return tuple(Run(group[0], group[-1] + 1, settings[group[0]], epochs[group[0]]) for group in groups)


@dataclass(frozen=True)
class _Layout:
    """Which rows of each parameter belong to which run."""

    pieces: dict[str, tuple[list[int], list[int]]]
    """Parameter -> the runs that hold rows of it, in order, and how many."""
    views: list[tuple[list[Tensor], list[Tensor], list[Tensor]]]
    """[run] its rows of values, first and second moments, parameter by parameter."""


class StackedAdam:
    """Adam and AdamW over parameters with a replica axis.

    The fused kernel reads and writes each number once; a stack of wide replicas is bound by that traffic, so every run
    of replicas that share rate, decay and step is one call on views of their rows.

    Source: Kingma & Ba, arXiv 1412.6980, algorithm 1; decoupled decay: arXiv 1711.05101.
    """

    def __init__(self, parameters: dict[str, StackedParameter]) -> None:
        self.first = {name: torch.zeros_like(p.value.detach()) for name, p in parameters.items()}
        self.second = {name: torch.zeros_like(p.value.detach()) for name, p in parameters.items()}
        self._layout: tuple[object, _Layout] | None = None

    def take(self, kept: Sequence[bool], parameters: dict[str, StackedParameter]) -> None:
        """Keep only some replicas; `parameters` are those before `StackedModel.take`."""
        self._layout = None
        take_state(self.first, kept, parameters)
        take_state(self.second, kept, parameters)

    @torch.no_grad()
    def step(
        self,
        parameters: dict[str, StackedParameter],
        gradients: dict[str, Tensor],
        clip_norm: Tensor | None,
        runs: Sequence[Run],
        n_steps: int,
        step: int,
    ) -> None:
        """One update in place.

        Args:
            parameters: name -> parameter.
            gradients: name -> [holder, ...], same keys; overwritten.
            clip_norm: [replica] largest norm of a replica's gradient; None: any.
            runs: of the stack.
            n_steps: of an epoch.
            step: of the epoch, from 0.
        """
        if clip_norm is not None:
            _clip(parameters, gradients, clip_norm)
        layout = self._layout_of(parameters, list(gradients), runs)
        by_run: list[list[Tensor]] = [[] for _ in runs]
        for name, gradient in gradients.items():
            places, sizes = layout.pieces[name]
            # The kernel takes strides for granted.
            for place, piece in zip(places, torch.split(gradient.contiguous(), sizes), strict=True):
                by_run[place].append(piece)
        for run, mine, (values, first, second) in zip(runs, by_run, layout.views, strict=True):
            if not values:
                continue
            train = run.settings
            count = run.epoch * n_steps + step
            progress = count / (train.epochs * n_steps)
            update = torch._fused_adamw_ if train.decoupled else torch._fused_adam_
            update(
                values,
                mine,
                first,
                second,
                [],
                [torch.full((), count + 1.0, device=values[0].device)] * len(values),
                amsgrad=False,
                beta1=BETA1,
                beta2=BETA2,
                lr=train.lr * (0.5 * (1 + cos(pi * progress)) if train.cosine else 1.0),
                weight_decay=train.weight_decay,
                eps=EPSILON,
                maximize=False,
            )

    def _layout_of(
        self, parameters: dict[str, StackedParameter], names: Sequence[str], runs: Sequence[Run]
    ) -> "_Layout":
        key = tuple(names), tuple((run.first, run.last) for run in runs)
        if self._layout is None or self._layout[0] != key:
            layout = _Layout({}, [([], [], []) for _ in runs])
            for name in names:
                parameter = parameters[name]
                rows = {place: parameter.rows(run.first, run.last) for place, run in enumerate(runs)}
                mine = {place: one for place, one in rows.items() if one is not None}
                layout.pieces[name] = list(mine), [one.stop - one.start for one in mine.values()]
                tensors = parameter.value.detach(), self.first[name], self.second[name]
                for place, one in mine.items():
                    for views, tensor in zip(layout.views[place], tensors, strict=True):
                        views.append(tensor[one])
            self._layout = key, layout
        return self._layout[1]


def take_state(state: dict[str, Tensor], kept: Sequence[bool], parameters: dict[str, StackedParameter]) -> None:
    """Leave in place what goes with the parameters' rows of the replicas where `kept` is True."""
    for name, parameter in parameters.items():
        whole = state.pop(name)
        if rows := parameter.kept_rows(kept):
            state[name] = take_rows(whole, rows)


def _clip(parameters: dict[str, StackedParameter], gradients: dict[str, Tensor], largest: Tensor) -> None:
    squares = torch.zeros_like(largest)
    for name, gradient in gradients.items():
        squares.index_add_(0, parameters[name].holders, gradient.flatten(1).square().sum(1))
    scale = (largest / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    for name, gradient in gradients.items():
        gradient.mul_(_shaped(scale, parameters[name]))


def _shaped(per_replica: Tensor, parameter: StackedParameter) -> Tensor:
    """[replica] -> [holder, 1, ...] to go with the parameter's value."""
    mine = per_replica if parameter.everyone else per_replica[parameter.holders]
    return mine.view(-1, *[1] * (parameter.value.dim() - 1))
