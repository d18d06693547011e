"""Rows kept as columns: arrays of one length that are cut and joined together."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Columns = dict[str, npt.NDArray[Any]]
"""Arrays of one length by name: what a table is made of."""


class Columnar:
    """A base for dataclasses whose fields are arrays of shape `(n,)`."""

    __slots__ = ()

    def __len__(self) -> int:
        """Return `n`."""
        return len(getattr(self, self._names()[0]))

    def __getitem__(self, part: slice | npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        return type(self)(*(getattr(self, name)[part] for name in self._names()))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all `parts`, of which there is at least one, in order.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     runs = [pool.device(each).runs().read() for each in (1, 5)]
        >>> len(thinmeta.RunTable.joined(runs))
        4
        """
        if len(parts) == 1:
            return parts[0]
        names = cls._names()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def _names(cls) -> list[str]:
        cls_: Any = cls
        return _names_of(cls_)


@cache
def _names_of(cls: Any) -> list[str]:
    return [field.name for field in fields(cls)]


class GrowingColumn:
    """An array that grows in place, where a list of parts would take its memory twice."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        """Begin with no elements."""
        self._room = np.empty(0, dtype=dtype)
        self._size = 0

    def extend(self, values: npt.NDArray[Any]) -> None:
        """Add elements."""
        size = self._size + len(values)
        if size > len(self._room):
            self._room.resize(size + size // 8, refcheck=False)
        self._room[self._size : size] = values
        self._size = size

    def values(self) -> npt.NDArray[Any]:
        """Return all elements; none can be added after that."""
        self._room.resize(self._size, refcheck=False)
        return self._room


def numbers(values: Iterable[int | None]) -> npt.NDArray[np.int64]:
    """Return numbers as a column: -1 where there is none, 2^63 - 1 for any that is higher.

    >>> numbers([7, None, 2**64 - 1]).tolist() == [7, -1, 2**63 - 1]
    True
    """
    most = np.iinfo(np.int64).max
    return np.array([-1 if each is None else min(each, most) for each in values], dtype=np.int64)


def texts(values: Iterable[str | None]) -> npt.NDArray[Any]:
    """Return words as a column, of dtype object: empty where there is none.

    >>> texts(["base", None]).tolist(), texts([]).dtype.kind
    (['base', ''], 'U')
    """
    words = [each or "" for each in values]
    # Without words an object could be anything.
    return np.array(words, dtype=np.object_ if words else np.str_)


def flags(values: Iterable[bool]) -> npt.NDArray[np.bool_]:
    """Return truths as a column."""
    return np.array([*values], dtype=np.bool_)
