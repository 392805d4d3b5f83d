"""The kinds of model that are fitted in one step: from a configuration to plain arguments. A new kind is one line."""

from collections.abc import Callable, Mapping

from rfe.config.schema import Config
from rfe.model.boosting import Boosting
from rfe.model.fitted import FittedModel
from rfe.model.gated_kernel import GatedKernel
from rfe.model.kernel_ridge import KernelRidge


def _kernel(config: Config, pool: tuple[str, ...]) -> KernelRidge:
    settings = config.model.kernel
    given = settings.weights
    return KernelRidge(
        pool,
        kind=settings.kind,
        bandwidth=settings.bandwidth,
        penalty=settings.penalty,
        combination=settings.combination,
        weighting=settings.weighting,
        weights=tuple(given.get(name, 1.0) for name in pool) if isinstance(given, dict) else (),
        landmarks=settings.landmarks,
    )


def _gated_kernel(config: Config, pool: tuple[str, ...]) -> GatedKernel:
    return GatedKernel(pool, **config.model.gated_kernel.model_dump())


def _boosting(config: Config, pool: tuple[str, ...]) -> Boosting:
    return Boosting(pool, **config.model.boosting.model_dump())


FITTED: Mapping[str, Callable[[Config, tuple[str, ...]], FittedModel]] = {
    "kernel": _kernel,
    "gated_kernel": _gated_kernel,
    "boosting": _boosting,
}
"""`model.kind` -> from a configuration and its pool's encoders to the model. Other kinds are networks."""


def fitted_model(config: Config, pool: tuple[str, ...]) -> FittedModel | None:
    """The model of a configuration whose kind is fitted in one step; None of a network.

    Args:
        config: the configuration.
        pool: its encoders, in the data set's order.
    """
    return FITTED[config.model.kind](config, pool) if config.model.kind in FITTED else None
