"""Where a file system has what, and what must be alike to compare it with another."""

from abc import ABC, abstractmethod
from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from thinmeta.volume.byte_ranges import ByteRanges
from thinmeta.walk.ragged import Places


class SpaceAccount(ABC):
    """What a file system says of its space; a part of what it can be asked."""

    @abstractmethod
    def inode_places(self, first: int, count: int) -> Places:
        """Return at which bytes of what it is on inodes begin.

        Args:
            first: number of the first one.
            count: how many follow one another.

        Returns:
            Shape `(count,)`; -1 where there is no inode of this number, or nobody can tell.
        """

    @abstractmethod
    def plain_inodes(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Tell of which inodes nothing else has to be read to know all but the content.

        These are sound, of no directory, and have all extended attributes in themselves.

        Args:
            first: number of the first one.
            count: how many follow one another.

        Returns:
            Shape `(count,)`.
        """

    @property
    @abstractmethod
    def inode_bytes(self) -> int:
        """How many bytes an inode has."""

    @property
    @abstractmethod
    def nr_bytes(self) -> int:
        """How many bytes it has of what it is on."""

    @abstractmethod
    def journal(self) -> ByteRanges:
        """Return where its journal is; nothing if that is on another device, or nowhere.

        Raises:
            FileError: nobody can tell.
        """

    @abstractmethod
    def first_group(self) -> tuple[int, int]:
        """Return where groups begin, and how long each is, in bytes.

        By these it keeps account of what is free; the last one may be shorter.
        """

    @abstractmethod
    def free_in_group(self, group: int) -> ByteRanges:
        """Return what is free in a group.

        Raises:
            FileError: that cannot be read or believed.
        """

    @abstractmethod
    def layout(self) -> Hashable:
        """Return what two file systems must have alike to read the same of the same bytes."""
