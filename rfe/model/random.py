"""Random numbers that are a function of their key and nothing else.

Every draw is addressed by (seed, fold, purpose, step): the same address gives the same numbers in any stack, on any
worker, after any restart, and two configurations with equal addresses see common random numbers. Philox is
counter-based (Salmon et al., SC 2011), so an address needs no history.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WORDS_PER_BLOCK = 4
"""64-bit words that a value of Philox's counter stands for."""
INTEGERS_PER_BLOCK = 4 * WORDS_PER_BLOCK


@lru_cache(maxsize=4096)
def _key(seed: int, fold: int, purpose: str) -> int:
    digest = hashlib.blake2b(f"{seed}/{fold}/{purpose}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")


def stream(seed: int, fold: int, purpose: str, step: int = 0) -> np.random.Generator:
    """The generator at one address.

    Args:
        seed: the replica's seed (or the data seed, for batch order and target draws).
        fold: the held-out fold, -1 when all clips train.
        purpose: a name such as `"dropout/logmel"`; different purposes never share numbers.
        step: optimiser step or epoch, at least 0; each has 2^64 separate blocks.

    Examples:
        >>> bool(stream(0, 1, "dropout").random() == stream(0, 1, "dropout").random())
        True
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, fold, purpose), counter=[0, step, 0, 0]))


def uniforms(seed: int, fold: int, purpose: str, step: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """float32 uniforms in [0, 1) of `shape` at one address.

    Examples:
        >>> uniforms(0, 1, "gumbel", 0, (2, 3)).shape
        (2, 3)
    """
    return stream(seed, fold, purpose, step).random(shape, np.float32)


def integers(seed: int, fold: int, purpose: str, step: int, rows: Sequence[int], n_numbers: int) -> NDArray[np.int16]:
    """int16 numbers, uniform over all values, in rows of which only the asked ones are drawn.

    Args:
        seed: as in `stream`.
        fold: as in `stream`.
        purpose: as in `stream`.
        step: as in `stream`.
        rows: ascending; a row's numbers are the same whichever others are asked for.
        n_numbers: of a row.

    Returns:
        [row, n_numbers].
    """
    philox = np.random.Philox(key=_key(seed, fold, purpose), counter=[0, step, 0, 0])
    n_blocks = -(-n_numbers // INTEGERS_PER_BLOCK)  # a row begins a block of the counter's
    drawn = np.empty((len(rows), n_numbers), np.int16)
    at = 0
    for place, row in enumerate(rows):
        if row > at:
            philox.advance((row - at) * n_blocks)
        drawn[place] = philox.random_raw(n_blocks * WORDS_PER_BLOCK).view(np.int16)[:n_numbers]
        at = row + 1
    return drawn
