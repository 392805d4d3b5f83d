"""Decoding by protocol: what is reported on a fold is decoded with parameters from the other folds, or from it.

`crossfit` fits fold k's parameters on the other folds' out-of-fold outputs. `official` fits them on fold k itself, as
the organisers do; optimistic, only for tables beside published numbers.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Decoder, Float, Int, Outputs, P, Parameters
from rfe.decoding.decoupled import DecoupledDecoder
from rfe.decoding.design import DesignDecoder
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.thresholds import ThresholdParameters
from rfe.decoding.valid_states import ValidStatesDecoder, ValidStatesParameters
from rfe.errors import ConfigError
from rfe.task import Task


def build_decoder(
    task: Task, kind: str, thresholds: str = "grid", omega: float | Float = 0.5, actor: Int | None = None
) -> Decoder[Any]:
    """The decoder a configuration names.

    Args:
        task: whose states are answered.
        kind: `official`, `decoupled` or `valid_states`.
        thresholds: `grid` or `exact`; read by the first two.
        omega: head-fusion weight of presence, scalar or [...] by replica; read by `valid_states`.
        actor: [clip] whose clips will be decoded, to match each actor's answers to the design (`decode.design: actor`;
            see `rfe.decoding.design`); None: each clip is answered by itself.

    Raises:
        ConfigError: another kind or way to set thresholds, one that the task's ratios rule out, or a design for
            thresholds.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> type(build_decoder(BLEMORE, "official")).__name__, type(build_decoder(BLEMORE, "valid_states")).__name__
        ('OfficialDecoder', 'ValidStatesDecoder')
    """
    if actor is not None and kind != "valid_states":
        raise ConfigError(
            f"decode.design: actor: acts on the distribution over states, which decode.kind: {kind} does not have; use "
            "decode.kind: valid_states"
        )
    if thresholds not in ("grid", "exact"):
        raise ConfigError(f"decode.thresholds is grid or exact, not {thresholds!r}")
    if kind == "official":
        return OfficialDecoder(task, "exact" if thresholds == "exact" else "grid")
    if kind == "decoupled":
        return DecoupledDecoder(task, "exact" if thresholds == "exact" else "grid")
    if kind == "valid_states":
        return ValidStatesDecoder(task, omega) if actor is None else DesignDecoder(task, omega, actor)
    raise ConfigError(f"decode.kind is official, decoupled or valid_states, not {kind!r}")


def parameters_from_dict(kind: str, values: dict[str, Any]) -> Parameters:
    """Fitted parameters of the decoder `kind`, from their `to_dict`."""
    return (ValidStatesParameters if kind == "valid_states" else ThresholdParameters).from_dict(values)


def crossfit_decode(
    decoder: Decoder[P], outputs: Outputs, truth_state: Int, fold: Int, *, set_offset: Float | None = None
) -> tuple[NDArray[np.int64], P]:
    """Answer each fold's clips with parameters fitted on all other folds; every replica in one call.

    Args:
        decoder: see `build_decoder`.
        outputs: [..., clip, class] out-of-fold outputs.
        truth_state: [clip] true states.
        fold: [clip] fold numbers, at least two different ones.
        set_offset: as in `Decoder.fit`.

    Returns:
        States [..., clip], and the parameters [..., fold], folds ascending.

    Raises:
        ValueError: there is one fold only.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> truth, fold = np.tile([0, 1, 2, 3], 5), np.repeat([0, 1], 10)
        >>> logits = 4.0 * (np.arange(BLEMORE.n_classes) == truth[:, None]) - 2.0
        >>> outputs = Outputs(logits, logits, np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
        >>> states, _ = crossfit_decode(build_decoder(BLEMORE, "official"), outputs, truth, fold)
        >>> bool((states == truth).all())
        True
    """
    folds, fold_index = np.unique(fold, return_inverse=True)
    if len(folds) < 2:
        raise ValueError(f"crossfit needs clips of at least two folds, but got fold {folds.tolist()}")
    others = folds[:, None] != fold
    return decoder.fit_and_decode(outputs, truth_state, others, fold_index, set_offset=set_offset)


def official_decode(
    task: Task, outputs: Outputs, truth_state: Int, fold: Int, thresholds: Literal["grid", "exact"] = "grid"
) -> tuple[NDArray[np.int64], ThresholdParameters]:
    """The organisers' protocol: each fold's thresholds are fitted on that very fold (optimistic).

    Args, returns: as `crossfit_decode`; one fold is enough.

    Raises:
        ConfigError: as `OfficialDecoder`.
    """
    folds, fold_index = np.unique(fold, return_inverse=True)
    return OfficialDecoder(task, thresholds).fit_and_decode(outputs, truth_state, folds[:, None] == fold, fold_index)
