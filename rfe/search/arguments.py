"""Numbers as a command or a caller gave them. A sentence names both: the argument, and the option of its name."""

from math import inf
from numbers import Integral, Real
from typing import Any

from rfe.config.reading import describe_value
from rfe.config.schema import LARGEST
from rfe.errors import ConfigError


def whole_number(name: str, value: Any, least: int = 1, most: int = LARGEST) -> int:
    """`value` as a whole number from `least`, 0 or 1, to `most`.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most:
        return int(value)
    raise ConfigError(_sentence(name, value, f"a whole number {'above 0' if least else 'from 0'}, at most {most}"))


def positive_number(name: str, value: Any) -> float:
    """`value` as a finite number above 0.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < inf:
        return float(value)
    raise ConfigError(_sentence(name, value, "a number above 0"))


def _sentence(name: str, value: Any, expected: str) -> str:
    return f"{name} (--{name}): {describe_value(value)} is not {expected}"
