"""A file of a test as a source of bytes."""

import os
from collections.abc import Iterable, Iterator, Mapping
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
    """Bytes in memory, of which some may be replaced."""

    name = "image"

    def __init__(self, content: bytes, replaced: Mapping[int, bytes] | None = None) -> None:
        self.size = len(content)
        self._content = content
        self._replaced = replaced or {}

    def fill(self, view: memoryview, begin: int) -> Iterable[Missing]:
        end = begin + len(view)
        view[:] = self._content[begin:end]
        for place, part in self._replaced.items():
            low, high = max(place, begin), min(place + len(part), end)
            if low < high:
                view[low - begin : high - begin] = part[low - place : high - place]
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
