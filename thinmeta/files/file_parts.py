"""All that a file takes of its volume: its content, and what must be read to find that."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from thinmeta.volume.layout import Bytes
from thinmeta.walk.columnar import Columnar


class FilePart(IntEnum):
    """What a part of a volume is to a file.

    >>> [part.name for part in FilePart]
    ['CONTENT', 'UNWRITTEN', 'MAP', 'ATTRIBUTES', 'INODE']
    """

    CONTENT = 0
    """What is read from it, of a directory its entries; the last block may go on past the end."""
    UNWRITTEN = 1
    """Set aside for its content, and never written: zeros."""
    MAP = 2
    """What says where its content is: nodes of a tree, blocks of pointers; a directory's index."""
    ATTRIBUTES = 3
    """Of its extended attributes what is not in the inode."""
    INODE = 4
    """The inode, with all that is kept in it: small attributes, the content of the smallest."""


@dataclass(frozen=True, slots=True, eq=False)
class FileParts(Columnar):
    """Parts of a file, as columns of shape `(n,)`.

    Attributes:
        part: values of `FilePart`, dtype uint8.
        begin: in the file, in bytes, dtype uint64; 0 of what is not content.
        length: in bytes, dtype uint64.
        place: in what the file system is on, in bytes, dtype uint64.
    """

    part: npt.NDArray[np.uint8]
    begin: Bytes
    length: Bytes
    place: Bytes

    @classmethod
    def of(cls, rows: Iterable[tuple[FilePart, int, int, int]]) -> "FileParts":
        """Return rows of part, begin, length and place."""
        table = np.array([*rows], dtype=np.uint64).reshape(-1, 4)
        part, begin, length, place = table.T
        return cls(part.astype(np.uint8), begin, length, place)

    @classmethod
    def alike(cls, part: FilePart, begin: Bytes, length: Bytes, place: Bytes) -> "FileParts":
        """Return parts of one kind."""
        return cls(np.full(len(begin), part, dtype=np.uint8), begin, length, place)

    @property
    def end(self) -> Bytes:
        """Where each ends in what the file system is on, in bytes."""
        return self.place + self.length

    def for_attributes(self) -> "FileParts":
        """Return the same places, as parts of attributes."""
        return self.alike(FilePart.ATTRIBUTES, np.zeros_like(self.begin), self.length, self.place)
