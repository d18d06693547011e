"""Small volumes made by hand, and a slow model of what is in them."""

import os
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from thinmeta.device.extents import Extent, Extents
from thinmeta.volume.layout import Layout
from thinmeta.volume.sources import Sources
from thinmeta.walk.runs import Runs

UNIT = 4096  # a data block, smaller than the kernel's

Mappings = dict[int, int]


def in_memory(name: str, *contents: bytes) -> Extents:
    """Return a file, or pieces of several files, that hold these bytes."""
    pieces = []
    for content in contents:
        fd = os.memfd_create(name)
        os.write(fd, b"junk" + content)
        pieces.append(Extent(fd, 4, len(content)))
    return Extents(name, pieces)


def runs_of(mappings: Mappings) -> Runs:
    """Return a run for each mapping; neighbours are for the layout to join."""
    keys = sorted(mappings)
    columns = (keys, [mappings[key] for key in keys], [1] * len(keys), [0] * len(keys))
    return Runs(*(np.array(column, dtype=np.uint64) for column in columns))


def noise(nr_blocks: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(nr_blocks * UNIT)


@dataclass(frozen=True)
class Made:
    """A volume, and its bytes by the slow model."""

    mappings: Mappings
    size: int
    data: bytes
    origin: bytes | None
    lost: tuple[tuple[int, int], ...] = ()

    def layout(self) -> Layout:
        return Layout.read(
            [runs_of(self.mappings)],
            UNIT,
            size=self.size,
            data_bytes=len(self.data),
            origin_bytes=len(self.origin or b""),
            lost=self.lost,
        )

    def sources(self) -> Sources:
        cut = len(self.data) // 3
        data = in_memory("data", self.data[:cut], self.data[cut:])
        return Sources(data, UNIT, in_memory("origin", self.origin) if self.origin else None)

    def known(self) -> list[bool]:
        """Tell of each byte whether it can be had."""
        known = []
        for block in range(-(-self.size // UNIT)):
            place = self.mappings.get(block)
            if place is not None:
                there = min(max(len(self.data) - place * UNIT, 0), UNIT)
                known += [True] * there + [False] * (UNIT - there)
            else:
                is_lost = any(first <= block < last for first, last in self.lost)
                known += [not is_lost] * UNIT
        return known[: self.size]

    def content(self) -> bytes:
        """Return its bytes, zeros where they cannot be had."""
        content = bytearray()
        origin = self.origin or b""
        for block in range(-(-self.size // UNIT)):
            place = self.mappings.get(block)
            if place is not None:
                part = self.data[place * UNIT : (place + 1) * UNIT]
            elif any(first <= block < last for first, last in self.lost):
                part = b""
            else:
                part = origin[block * UNIT : (block + 1) * UNIT]
            content += part.ljust(UNIT, b"\0")
        return bytes(content[: self.size])


@st.composite
def made_volumes(draw: st.DrawFn, *, sound: bool = True) -> Made:
    """Draw a volume; a sound one has all its bytes."""
    nr_data = draw(st.integers(1, 12))
    short = 0 if sound else draw(st.integers(0, nr_data * UNIT - 1))
    mappings = draw(st.dictionaries(st.integers(0, 15), st.integers(0, nr_data - 1), max_size=12))
    lost = (
        ()
        if sound
        else tuple(
            (first, first + length)
            for first, length in draw(
                st.lists(st.tuples(st.integers(0, 15), st.integers(1, 6)), max_size=3)
            )
        )
    )
    origin_bytes = draw(st.integers(0, 10 * UNIT))
    return Made(
        mappings,
        draw(st.integers(0, 16 * UNIT)),
        noise(nr_data, 1)[: nr_data * UNIT - short],
        noise(10, 2)[:origin_bytes] or None,
        lost,
    )
