"""A thin volume as a file object, for whoever reads file systems."""

import errno
from collections.abc import Callable, Iterator
from functools import cached_property

from thinmeta.volume.layout import Layout, Source
from thinmeta.volume.read_only import ReadOnlyFile
from thinmeta.volume.sources import Sources, Unreadable, read_around


class Volume(ReadOnlyFile):
    """The bytes of a thin volume; read-only, seekable.

    What is not mapped is zeros, or the external origin's bytes. The runs are read when
    the first byte is, and stay in memory (see `thinmeta.volume.layout`).

    Wrap it in `io.BufferedReader` for many small reads.

    >>> import lzma, tempfile, thinmeta
    >>> data = tempfile.NamedTemporaryFile()
    >>> _ = data.write(lzma.open("fixtures/a19-device-id-reuse/data.bin.xz").read())
    >>> with thinmeta.open_pool("fixtures/a19-device-id-reuse/meta.bin.xz") as pool:
    ...     with pool.device(1).open(data.name, size=24 << 20) as volume:
    ...         print(volume.size, volume.seek(512), len(volume.read(100)))
    25165824 512 100

    Attributes:
        name: of the volume, for messages.
        sources: the files that its bytes are in.
    """

    def __init__(self, name: str, load: Callable[[], Layout], sources: Sources) -> None:
        """Take over `sources`, which `close()` will close.

        Args:
            name: of the volume, for messages.
            load: reads where its bytes are; called once, when that is needed.
            sources: the files that they are in.
        """
        super().__init__(name)
        self._load = load
        self.sources = sources

    @cached_property
    def layout(self) -> Layout:
        """Where its bytes are."""
        return self._load()

    @property
    def has_data(self) -> bool:
        """Whether there is a data device to read."""
        return self.sources.data.size > 0

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.layout.size

    def close(self) -> None:
        """Close the files that it reads."""
        if not self.closed:
            self.sources.close()
        super().close()

    def read_at(self, view: memoryview, begin: int) -> None:
        """Fill `view` with the bytes from `begin` on.

        Raises:
            OSError: a part of it cannot be had.
            DamagedMetadataError: the runs cannot be read (when the first byte is read).
        """
        for unreadable in fill(self.layout, self.sources, view, begin):
            raise OSError(errno.EIO, f"{self.name}: {unreadable}")


def fill(layout: Layout, sources: Sources, view: memoryview, begin: int) -> Iterator[Unreadable]:
    """Fill `view` with the volume's bytes from `begin` on; zeros for what cannot be had.

    Returns:
        What cannot be had, in order. It must be asked for: it is read meanwhile.
    """
    done = begin
    pieces = layout.between(begin, begin + len(view))
    columns = (pieces.begin, pieces.length, pieces.place, pieces.source)
    for start, length, place, kind in zip(*(column.tolist() for column in columns), strict=True):
        view[done - begin : start - begin] = bytes(start - done)
        done = start + length
        part = view[start - begin : done - begin]
        extents = sources.extents(Source(kind))
        if extents is None:
            part[:] = bytes(length)
            yield sources.missing(Source(kind), start, place, length)
            continue
        for at, size, why in read_around(extents, part, place):
            yield sources.unreadable(Source(kind), start + at, place + at, size, why)
    view[done - begin :] = bytes(begin + len(view) - done)
