"""A volume's bytes, copied to a file or a device, or streamed in order."""

import errno
import mmap
import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from thinmeta.device.holes import Holes
from thinmeta.units import OnProgress
from thinmeta.volume.contents import fill
from thinmeta.volume.copy_target import CopyTarget
from thinmeta.volume.layout import Layout, Pieces, Source
from thinmeta.volume.sources import Sources, Unreadable, UnreadableError, read_around

OnUnreadable = Callable[[Unreadable], None]
"""Told of each part that cannot be had: it raises, or it is left a hole."""

_WINDOW = 256 << 20
"""Bytes of the volume within which reads are in the order of the data device."""

_PART = 8 << 20
_BUFFER = 1 << 20


def raise_unreadable(unreadable: Unreadable) -> None:
    """Raise: the policy of whoever wants all or nothing.

    Raises:
        UnreadableError: always.
    """
    raise UnreadableError(unreadable)


def no_progress(_done: int, _total: int) -> None:
    """Do nothing."""


def copy(  # noqa: PLR0913  # what, where from, where to, and two to tell
    layout: Layout,
    sources: Sources,
    target: CopyTarget,
    *,
    parts: Iterable[tuple[int, int]] | None = None,
    on_unreadable: OnUnreadable = raise_unreadable,
    on_progress: OnProgress = no_progress,
) -> Iterator[tuple[int, int]]:
    """Copy a volume to `target`, a window at a time.

    Within a window reads are in the order of the data device. Holes of source files
    stay holes; zeros that are stored are copied as they are.

    Args:
        layout: where the volume's bytes are.
        sources: the files that they are in.
        target: where to write.
        parts: ranges of the volume to copy, in bytes; None is all of it.
        on_unreadable: told of what cannot be had.
        on_progress: told of the bytes that are done, of those that are not in holes.

    Returns:
        The windows that are done: where each begins and ends in the volume.

    Raises:
        UnreadableError: by `on_unreadable`.
        OSError: the target cannot be written.
    """
    copier = _Copier(sources, target, on_unreadable)
    parts = [(0, layout.size)] if parts is None else list(parts)
    to_copy = sum(int(layout.between(*part).length.sum()) for part in parts)
    for begin, end in parts:
        done = begin
        for stop, pieces in layout.windows(begin, end, _WINDOW):
            for size in copier.copy(pieces):
                on_progress(size, to_copy)
            if not target.holes:
                starts = [*pieces.begin.tolist(), stop]
                for gap, start in zip([done, *pieces.end.tolist()], starts, strict=True):
                    target.zero(gap, start)
            yield done, stop
            done = stop


def stream(
    layout: Layout,
    sources: Sources,
    *,
    on_unreadable: OnUnreadable = raise_unreadable,
    on_progress: OnProgress = no_progress,
) -> Iterator[memoryview]:
    """Return a volume's bytes in order, in parts that are valid until the next is asked for.

    Raises:
        UnreadableError: by `on_unreadable`.
    """
    with mmap.mmap(-1, _BUFFER) as memory, memoryview(memory) as view:
        for begin in range(0, layout.size, _BUFFER):
            with view[: layout.size - begin] as part:
                for unreadable in fill(layout, sources, part, begin):
                    on_unreadable(unreadable)
                yield part
                on_progress(len(part), layout.size)


class _Copier:
    """Copies parts, one after the other."""

    def __init__(self, sources: Sources, target: CopyTarget, on_unreadable: OnUnreadable) -> None:
        self._sources = sources
        self._target = target
        self._on_unreadable = on_unreadable
        self._extents = {Source.DATA.value: sources.data, Source.ORIGIN.value: sources.origin}
        self._in_kernel = target.holes
        self._buffer = memoryview(mmap.mmap(-1, _BUFFER))
        self._holes: dict[int, Holes] = {}

    def copy(self, pieces: Pieces) -> Iterator[int]:
        """Copy pieces in the order of their source; return sizes that add up, now and then."""
        order = np.lexsort((pieces.place, pieces.source))
        columns = (pieces.source, pieces.begin, pieces.place, pieces.length)
        done = 0
        for source, begin, place, length in zip(
            *(column[order].tolist() for column in columns), strict=True
        ):
            for at in range(0, length, _PART):
                size = min(length - at, _PART)
                self._copy_part(source, begin + at, place + at, size)
                done += size
                if done >= _PART:
                    yield done
                    done = 0
        yield done

    def _copy_part(self, source: int, begin: int, place: int, length: int) -> None:
        extents = self._extents.get(source)
        if extents is None:
            self._lose(self._sources.missing(Source(source), begin, place, length))
            return
        for fd, offset, size in extents.locate(place, length):
            shift = begin - offset
            for low, high in self._stored(fd, offset, offset + size):
                done = self._copy_in_kernel(fd, low, high, shift) if self._in_kernel else low
                for at in range(done, high, _BUFFER):
                    part = self._buffer[: high - at]
                    self._copy_buffer(Source(source), part, at + shift, place + at - offset)
            begin, place, length = begin + size, place + size, length - size
        if length:  # it became smaller
            self._lose(self._sources.missing(Source.PAST_END, begin, place, length))

    def _stored(self, fd: int, begin: int, end: int) -> Iterable[tuple[int, int]]:
        if not self._target.holes:
            return ((begin, end),)
        if fd not in self._holes:
            self._holes[fd] = Holes(fd)
        return self._holes[fd].stored(begin, end)

    def _copy_in_kernel(self, fd: int, begin: int, end: int, shift: int) -> int:
        """Copy as far as the kernel does it; whatever the reason is why it does not, we can."""
        try:
            while begin < end:
                done = os.copy_file_range(fd, self._target.fd, end - begin, begin, begin + shift)
                if not done:
                    break
                begin += done
        except OSError as error:
            # A bad sector, one of a disk that is missing (EBADF) or was never read, or a full disk
            # is met again, and told, by who reads and writes.
            self._in_kernel = error.errno in (errno.EIO, errno.ENOSPC, errno.EBADF)
        return begin

    def _copy_buffer(self, source: Source, part: memoryview, begin: int, place: int) -> None:
        extents = self._sources.extents(source)
        assert extents is not None
        done = 0
        for at, length, why in read_around(extents, part, place):
            self._write(part[done:at], begin + done)
            done = at + length
            self._lose(self._sources.unreadable(source, begin + at, place + at, length, why))
        self._write(part[done:], begin + done)

    def _write(self, part: memoryview, begin: int) -> None:
        done = 0
        while done < len(part):
            done += os.pwrite(self._target.fd, part[done:], begin + done)

    def _lose(self, unreadable: Unreadable) -> None:
        self._on_unreadable(unreadable)
        self._target.zero(unreadable.begin, unreadable.end)
