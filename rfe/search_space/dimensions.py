"""A search space as it stands once the data's encoders are known: its dimensions, and what they change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rfe.config.load import field_values
from rfe.config.schema import Config

Value = str | int | float | bool | None
"""What a parameter can be."""

ARM = "arm"
"""Name of the dimension that chooses among arms."""
POOL_PREFIX = "pool."
"""A `subset` is searched as one boolean for each encoder, named `pool.ENCODER`."""


@dataclass(frozen=True)
class Dimension:
    """One parameter, with a range that never depends on another parameter.

    Examples:
        >>> dropout = Dimension("model.dropout", "float", low=0.0, high=0.5)
        >>> dropout.corners(), dropout.holds(0.7)
        ((0.0, 0.5), False)
    """

    name: str
    """A field's dotted name, or `pool.ENCODER`."""
    kind: Literal["int", "float", "choice"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    """(field, values): the parameter counts while every one of the fields has one of its values."""

    def corners(self) -> tuple[Value, ...]:
        """The values at the ends of the range, or all choices."""
        if self.kind == "choice":
            return self.choices
        assert self.low is not None
        assert self.high is not None
        return (int(self.low), int(self.high)) if self.kind == "int" else (self.low, self.high)

    def holds(self, value: Value) -> bool:
        """Whether the parameter can take `value`."""
        if self.kind == "choice":
            return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.choices)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else int | float):
            return False
        assert self.low is not None
        assert self.high is not None
        if not self.low <= value <= self.high:
            return False
        return self.step is None or abs((value - self.low) / self.step - round((value - self.low) / self.step)) < 1e-9

    def describe(self) -> str:
        """The range in words, e.g. `1e-4 to 5e-3 (log)`."""
        if self.kind == "choice":
            return ", ".join("null" if one is None else str(one) for one in self.choices)
        notes = [*(["log"] if self.log else []), *([f"step {self.step:g}"] if self.step else [])]
        return f"{self.low:g} to {self.high:g}" + (f" ({', '.join(notes)})" if notes else "")


@dataclass(frozen=True)
class ResolvedSpace:
    """A search space over the encoders of one data folder."""

    dimensions: tuple[Dimension, ...]
    """The pool's booleans first; every dimension after those its `when` names."""
    base: Config
    encoders: tuple[str, ...]
    """The data's encoders, sorted."""
    min_size: int
    """Smallest pool, where the pool is searched."""
    first_trials: tuple[dict[str, Value], ...]
    """Parameter values by dimension name; what is not named is sampled."""
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Arm -> changes of the base, where the space is a list of arms; its one dimension is `ARM`."""

    def values_of(self, name: str) -> tuple[Value, ...]:
        """What the field `name`, searched over a list of choices or fixed, can be in some configuration."""
        own = [one for one in self.dimensions if one.name == name]
        found = [value for one in own for value in one.choices]
        if not own or own[0].when:  # without effect, it gives way to the base
            found.append(field_values(self.base)[name])
        return tuple(dict.fromkeys([*found, *(one[name] for one in self.arms.values() if name in one)]))

    @property
    def is_transductive(self) -> bool:
        """Whether a score may be reached with the design decoder."""
        return "actor" in self.values_of("decode.design")

    @property
    def pool_encoders(self) -> tuple[str, ...]:
        """Encoders the pool is searched over, in order; empty where it is fixed."""
        return tuple(d.name.removeprefix(POOL_PREFIX) for d in self.dimensions if d.name.startswith(POOL_PREFIX))
