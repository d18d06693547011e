"""A thin volume as pieces of the files that it is in, for what reads those."""

import os
from collections.abc import Iterator

from thinmeta.device.extents import Extent, Extents
from thinmeta.errors import InputError
from thinmeta.volume.contents import Volume
from thinmeta.volume.layout import Source


class LaidOut(Extents):
    """A volume's bytes where they lie; what is in no file is a hole of a file of zeros."""

    def __init__(self, volume: Volume) -> None:
        """Take over `volume`, which `close()` will close.

        Raises:
            InputError: a part of the volume is past the end of the data device, or lost.
            DamagedMetadataError: its runs cannot be read.
        """
        layout, sources = volume.layout, volume.sources
        missing = layout.pieces[layout.pieces.source > Source.ORIGIN]
        if len(missing):
            begin, length, place = (
                int(column[0]) for column in (missing.begin, missing.length, missing.place)
            )
            source = Source(int(missing.source[0]))
            raise InputError(str(sources.missing(source, begin, place, length)))
        self._zeros = os.memfd_create("zeros", os.MFD_CLOEXEC)
        os.ftruncate(self._zeros, layout.size)
        super().__init__(volume.name, [Extent(self._zeros, 0, layout.size)])
        self._volume = volume

    def close(self) -> None:
        """Close the files; further reads fail."""
        super().close()
        self._volume.close()

    def locate(self, offset: int, length: int) -> Iterator[Extent]:
        """Return where `length` bytes from `offset` lie, in order; less at the end."""
        end = min(offset + length, self.size)
        pieces = self._volume.layout.between(offset, end)
        columns = (pieces.begin, pieces.length, pieces.place, pieces.source)
        done = offset
        for begin, size, place, source in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            if done < begin:
                yield Extent(self._zeros, done, begin - done)
            extents = self._volume.sources.extents(Source(source))
            if extents is not None:
                yield from extents.locate(place, size)
            done = begin + size
        if done < end:
            yield Extent(self._zeros, done, end - done)
