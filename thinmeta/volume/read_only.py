"""What all files that are only read have in common: a position, and how it moves."""

import io
import os
from abc import abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ReadOnlyFile(io.RawIOBase):
    """A file that is only read, at any place; whoever derives from it says what is there.

    Attributes:
        name: for messages.
    """

    def __init__(self, name: str) -> None:
        """Begin at the first byte."""
        super().__init__()
        self.name = name
        self._position = 0

    @property
    @abstractmethod
    def size(self) -> int:
        """Its size in bytes."""

    @abstractmethod
    def read_at(self, view: memoryview, begin: int) -> None:
        """Fill `view` with the bytes from `begin` on, all of which are in the file.

        Raises:
            OSError: a part of them cannot be had.
        """

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        self._checked()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another position, which may be past the end; return it.

        Raises:
            ValueError: it is before the beginning, or `whence` is none.
        """
        self._checked()
        if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError(f"whence {whence} is neither SEEK_SET, SEEK_CUR nor SEEK_END")
        if whence == os.SEEK_END:
            offset += self.size
        elif whence == os.SEEK_CUR:
            offset += self._position
        if offset < 0:
            raise ValueError(f"{self.name}: position {offset} is before the beginning")
        self._position = offset
        return offset

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` from the position on; return how much there was, less only at the end.

        Raises:
            OSError: a part of it cannot be had.
        """
        self._checked()
        view = memoryview(buffer).cast("B")
        view = view[: max(0, min(len(view), self.size - self._position))]
        if view:
            self.read_at(view, self._position)
            self._position += len(view)
        return len(view)

    def _checked(self) -> None:
        if self.closed:
            raise ValueError(f"{self.name}: is closed")
