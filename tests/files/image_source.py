"""A file of a test as a source of bytes."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thinmeta.files.reading import Cache, Missing


class ImageSource:
    """The bytes of a file."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self.size = os.fstat(fd).st_size
        self._fd = fd

    def fill(self, view: memoryview, begin: int) -> Iterable[Missing]:
        data = os.pread(self._fd, len(view), begin)
        view[: len(data)] = data
        return ()

    def lost(self, *_: int) -> Iterable[Missing]:
        return ()


class BytesSource:
    """Bytes in memory."""

    def __init__(self, content: bytes, name: str = "image") -> None:
        self.name = name
        self.size = len(content)
        self._content = content

    def fill(self, view: memoryview, begin: int) -> Iterable[Missing]:
        view[:] = self._content[begin : begin + len(view)]
        return ()

    def lost(self, *_: int) -> Iterable[Missing]:
        return ()


@contextmanager
def opened_image(path: Path) -> Iterator[Cache]:
    """Return a cache over a file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        yield Cache(ImageSource(fd, path.name))
    finally:
        os.close(fd)
