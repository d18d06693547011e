"""What a rescue is of: by it a second run knows whether it goes on with the same volume."""

import hashlib
import mmap
from typing import NamedTuple, Self

from thinmeta.device.extents import Extents

_END_BYTES = 1 << 20
_NR_BLOCKS = 64
_BLOCK_BYTES = 4096
_UNREADABLE = "unreadable"


class Sample(NamedTuple):
    """A file or device by its size and a part of its bytes, which cannot show every change.

    Attributes:
        size: in bytes.
        first: sha256 of the first MiB, in hexadecimal digits; None if it cannot be read.
        last: of the last MiB.
        between: of 64 blocks of 4 KiB that lie evenly in between.
    """

    size: int
    first: str | None
    last: str | None
    between: str | None

    def __str__(self) -> str:
        """Write it as a line that `parse` reads."""
        sums = (each or _UNREADABLE for each in self[1:])
        first, last, between = sums
        return f"{self.size} bytes, sha256 first {first} last {last} between {between}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        match text.split():
            case [size, "bytes,", "sha256", "first", first, "last", last, "between", between]:
                sums = (None if each == _UNREADABLE else each for each in (first, last, between))
                return cls(int(size), *sums)
        raise ValueError(f"{text!r} does not say what a source is")

    def may_be(self, other: Self) -> bool:
        """Tell whether two samples may be of the same bytes: what cannot be read tells nothing."""
        return self.size == other.size and all(
            one == another or None in (one, another)
            for one, another in zip(self[1:], other[1:], strict=True)
        )


class Subject(NamedTuple):
    """What is rescued.

    Attributes:
        volume: the device, and when it was looked at.
        metadata: what tells its state from all others.
        data: of the pool's data device.
        origin: of the external origin, if there is one.
    """

    volume: str
    metadata: str
    data: Sample
    origin: Sample | None = None

    def __str__(self) -> str:
        """Write it as lines that `parse` reads."""
        lines = [self.volume, f"{_METADATA}{self.metadata}", f"{_DATA}{self.data}"]
        return "\n".join([*lines, f"{_ORIGIN}{self.origin}"] if self.origin else lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        volume, *lines = text.splitlines() or [""]
        found = {
            name: line.removeprefix(name)
            for line in lines
            for name in (_METADATA, _DATA, _ORIGIN)
            if line.startswith(name)
        }
        if _METADATA not in found or _DATA not in found:
            raise ValueError("it does not say which metadata and data it goes with")
        origin = found.get(_ORIGIN)
        return cls(
            volume,
            found[_METADATA],
            Sample.parse(found[_DATA]),
            None if origin is None else Sample.parse(origin),
        )

    def difference(self, other: Self) -> str | None:
        """Say in what `other` cannot be the same; None if it may be."""
        if self.volume != other.volume:
            return f"{self.volume}; this is {other.volume}"
        if self.metadata != other.metadata:
            return f"other metadata: {self.metadata}; this has {other.metadata}"
        if not self.data.may_be(other.data):
            return f"other data: {self.data}; this has {other.data}"
        if (self.origin is None) != (other.origin is None):
            return f"a volume with{'out' if self.origin is None else ''} an external origin"
        if self.origin and other.origin and not self.origin.may_be(other.origin):
            return f"another external origin: {self.origin}; this has {other.origin}"
        return None


_METADATA, _DATA, _ORIGIN = "metadata: ", "data: ", "external origin: "


def sample(extents: Extents) -> Sample:
    """Read a sample of a file or device: 2.25 MiB of it at most."""
    size = extents.size
    begin = max(0, size - _END_BYTES) // _BLOCK_BYTES * _BLOCK_BYTES
    # Whole blocks, at an address and a place that O_DIRECT takes.
    step = size // (_NR_BLOCKS + 1) // _BLOCK_BYTES * _BLOCK_BYTES
    with mmap.mmap(-1, _END_BYTES + _BLOCK_BYTES) as memory, memoryview(memory) as buffer:
        return Sample(
            size,
            _sha256(extents, buffer, [0], min(size, _END_BYTES)),
            _sha256(extents, buffer, [begin], size - begin),
            _sha256(
                extents,
                buffer,
                [number * step for number in range(1, _NR_BLOCKS + 1)],
                min(size, _BLOCK_BYTES),
            ),
        )


def _sha256(extents: Extents, buffer: memoryview, places: list[int], length: int) -> str | None:
    found = hashlib.sha256()
    for place in places:
        with buffer[:length] as part:
            try:
                got = extents.read_into(part, place)
            except OSError:
                return None
            found.update(part[:got])
    return found.hexdigest()
