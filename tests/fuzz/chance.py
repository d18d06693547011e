"""Choosing by chance, the same way whenever the seed is the same."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

Rng = np.random.Generator


def pick(rng: Rng, values: Sequence[T]) -> T:
    """Return one of `values`."""
    return values[int(rng.integers(len(values)))]
