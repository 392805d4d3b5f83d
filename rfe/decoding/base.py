"""What a decoder reads, what it is fitted to, and the shape all decoders share."""

from dataclasses import dataclass, fields
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Outputs:
    """Raw outputs of one or many models on the same clips; leading axes `...` are replicas of any kind.

    Raises:
        ValueError: the three arrays differ in shape.

    Examples:
        >>> outputs = Outputs(np.zeros((3, 5, 2)), np.zeros((3, 5, 2)), np.full((3, 5, 2), 0.5))
        >>> outputs.leading, outputs.n_clips
        ((3,), 5)
    """

    presence_logits: Float
    """[..., clip, class], a set's logit being the sum of its classes'; or [..., clip, set], the sets' own, of which the
    singles' are the classes'."""
    salience_logits: Float
    """[..., clip, class]; or [..., clip, set], behind the classes' what each pair adds to the difference of its two."""
    fused: Float
    """[..., clip, class] fused probabilities q."""
    presence_kind: str | NDArray[np.bool_] = "bce"
    """How presence logits become probabilities: `bce` (sigmoid each) or `states` (marginals of the softmax over the
    sets); or [...] bool, True for the replicas of `states`."""

    def __post_init__(self) -> None:
        presence, salience, fused = (one.shape for one in (self.presence_logits, self.salience_logits, self.fused))
        if len(fused) < 2 or any(one[:-1] != fused[:-1] or one[-1] < fused[-1] for one in (presence, salience)):
            raise ValueError(
                "outputs must be three arrays [..., clip, class] of one shape, the first two perhaps with a logit of "
                f"each set instead, but got {[presence, salience, fused]}"
            )
        if isinstance(self.presence_kind, str) and self.presence_kind not in ("bce", "states"):
            raise ValueError(f"presence_kind is bce or states, not {self.presence_kind!r}")

    @classmethod
    def of_probabilities(cls, probabilities: Float) -> "Outputs":
        """Outputs of a model that has one softmax only, from its probabilities [..., clip, class]."""
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        return cls(logits, logits, probabilities, "states")

    @property
    def leading(self) -> tuple[int, ...]:
        """Shape of the leading axes."""
        return self.fused.shape[:-2]

    @property
    def n_clips(self) -> int:
        return int(self.fused.shape[-2])

    def take(self, clips: Int | NDArray[np.bool_]) -> "Outputs":
        """The outputs of some clips, given as indices or as a mask."""
        return Outputs(
            self.presence_logits[..., clips, :],
            self.salience_logits[..., clips, :],
            self.fused[..., clips, :],
            self.presence_kind,
        )

    def flat(self) -> "Outputs":
        """All leading axes as one: [replica, clip, class]."""
        kind = self.presence_kind
        if not isinstance(kind, str):
            kind = np.broadcast_to(kind, self.leading).reshape(-1)
        presence, salience, fused = (
            one.reshape(-1, *one.shape[-2:]) for one in (self.presence_logits, self.salience_logits, self.fused)
        )
        return Outputs(presence, salience, fused, kind)

    def replicas(self, part: slice) -> "Outputs":
        """Some replicas of flat outputs."""
        kind = self.presence_kind if isinstance(self.presence_kind, str) else self.presence_kind[part]
        return Outputs(self.presence_logits[part], self.salience_logits[part], self.fused[part], kind)


@dataclass(frozen=True)
class Parameters:
    """Base of fitted decoder parameters: arrays with the leading axes `...` of the outputs they were fitted on.

    Parameters of a crossfit have one more axis, fold, after those. `to_dict` is JSON-ready.
    """

    def to_dict(self) -> dict[str, Any]:
        """Field name -> nested lists of numbers."""
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{field.name: np.asarray(values[field.name], np.float64) for field in fields(cls)})

    def at(self, *index: Any) -> Self:
        """Parameters at a position of the leading axes, e.g. `at(replica)` or `at(replica, fold)`."""
        return type(self)(**{field.name: np.asarray(getattr(self, field.name)[index]) for field in fields(self)})

    def broadcast(self, leading: tuple[int, ...], axes: int) -> Self:
        """Parameters whose first `axes` axes are broadcast to `leading`: one fit for the outputs of many models."""

        def widened(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.broadcast_to(values, (*leading, *values.shape[axes:]))

        return type(self)(**{field.name: widened(getattr(self, field.name)) for field in fields(self)})

    def reshape(self, *leading: int, axes: int) -> Self:
        """Parameters whose first `axes` axes are reshaped to `leading`."""

        def reshaped(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return values.reshape((*leading, *values.shape[axes:]))

        return type(self)(**{field.name: reshaped(getattr(self, field.name)) for field in fields(self)})


P = TypeVar("P", bound=Parameters)


class Decoder(Protocol[P]):
    """From outputs to one of a task's states per clip. Results never depend on other replicas of the same call.

    Clips with a non-finite output are left out of a fit and answered -1 (no answer, always wrong).
    """

    def fit(self, outputs: Outputs, truth_state: Int, *, set_offset: Float | None = None) -> P:
        """Fit to all clips.

        Args:
            outputs: [..., clip, class] of models that have not seen these clips' labels.
            truth_state: [clip] true states.
            set_offset: [..., clip or 1, set] log class-balance weight the models were trained with, to be undone;
                read by decoders that use set probabilities.

        Returns:
            Parameters [...].
        """
        ...

    def fit_folds(
        self, outputs: Outputs, truth_state: Int, membership: NDArray[np.bool_], *, set_offset: Float | None = None
    ) -> P:
        """Fit once for each fold, on the clips its row names.

        Args:
            outputs, truth_state, set_offset: as in `fit`.
            membership: [fold, clip] whether the clip may be used for the fold's parameters.

        Returns:
            Parameters [..., fold].
        """
        ...

    def fit_and_decode(
        self,
        outputs: Outputs,
        truth_state: Int,
        membership: NDArray[np.bool_],
        fold_index: Int,
        *,
        set_offset: Float | None = None,
    ) -> tuple[NDArray[np.int64], P]:
        """`fit_folds`, then `decode` of the same outputs with its result, sharing what both need.

        Returns:
            States [..., clip] and parameters [..., fold].
        """
        ...

    def decode(
        self, outputs: Outputs, parameters: P, *, fold_index: Int | None = None, set_offset: Float | None = None
    ) -> NDArray[np.int64]:
        """Answer each clip.

        Args:
            outputs: [..., clip, class].
            parameters: [...], or [..., fold] where `fold_index` is given; fewer leading axes are broadcast.
            fold_index: [clip] which fold's parameters answer the clip.
            set_offset: as in `fit`.

        Returns:
            [..., clip] states; -1 where an output is not finite.
        """
        ...


def broadcast_parameter(value: Float, leading: tuple[int, ...], fold_index: Int | None) -> NDArray[np.float64]:
    """A scalar parameter [...] as [..., 1], or [..., fold] as [..., clip], with the outputs' leading axes."""
    chosen = np.asarray(value, np.float64)
    chosen = chosen[..., None] if fold_index is None else chosen[..., fold_index]
    return np.broadcast_to(chosen, (*leading, chosen.shape[-1]))
