"""Pools as a stream: what a dump prints, and what new metadata is built from.

A header, then runs with marks in between. It is the same whoever brings it: a pool that is
read, in spite of damage or not, or XML. Definitions come before the devices that refer to
them; devices may come in any order. Within a device or definition origin blocks ascend, also
over what a reference stands for. Who brings the stream sees to that.
"""

from collections.abc import Sequence
from typing import NamedTuple

from thinmeta.walk.runs import Runs


class StreamHeader(NamedTuple):
    """What a superblock says of the pool as a whole.

    `nr_data_blocks` is None where nobody knows: one more than the highest that is mapped,
    which it is at least.
    """

    time: int
    transaction_id: int
    data_block_sectors: int
    nr_data_blocks: int | None


class DeviceBegin(NamedTuple):
    """A device begins; `mapped_blocks` is what somebody said, and may not be what follows."""

    device_id: int
    mapped_blocks: int
    transaction_id: int
    creation_time: int
    snap_time: int


class DeviceEnd(NamedTuple):
    """The device ends."""


class SharedBegin(NamedTuple):
    """What several devices share begins, under a name: of a pool the first leaf's block."""

    name: str | int


class SharedEnd(NamedTuple):
    """What several devices share ends."""


class SharedRef(NamedTuple):
    """What is shared under `name` stands here, in a device."""

    name: str | int


Mark = DeviceBegin | DeviceEnd | SharedBegin | SharedEnd | SharedRef


class StreamPart(NamedTuple):
    """A piece of the stream.

    Attributes:
        runs: complete runs, in order.
        marks: what comes between them.
        before: for each mark, how many of `runs` precede it, ascending.
        mappings: for each mark, how many mappings of the whole stream precede it; empty
            where nobody counted them.
        nr_leaves: how many leaves were read for it.
    """

    runs: Runs
    marks: Sequence[Mark] = ()
    before: Sequence[int] = ()
    mappings: Sequence[int] = ()
    nr_leaves: int = 0
