"""The text for people that thin_dump prints: version 1.1 and version 0.9."""

import numpy as np
import numpy.typing as npt

from thinmeta.formats.lines import Column, Lines
from thinmeta.formats.style import DumpHeader
from thinmeta.walk.runs import Runs
from thinmeta.walk.stream import (
    DeviceBegin,
    DeviceEnd,
    Mark,
    SharedBegin,
    SharedEnd,
    SharedRef,
)

_RANGE = "    ({origin_begin}..{origin_last}) -> ({data_begin}..{data_last}), {time}\n"
_SINGLE = "    {origin_begin} -> {data_begin}, {time}\n"
_DEVICE = (
    "device: {0.device_id}\nmapped_blocks: {0.mapped_blocks}\ntransaction: {0.transaction_id}\n"
    "creation time: {0.creation_time}\nsnap time: {0.snap_time}\n"
)


class HumanReadable:
    """thin_dump 1.1's text; ranges are inclusive, also those of a single block."""

    def __init__(self) -> None:
        """Prepare the lines of runs."""
        self.lines = Lines(_RANGE, _SINGLE)

    def begin(self, header: DumpHeader) -> bytes:
        """Return the line of the superblock."""
        superblock = header.superblock
        return (
            f'begin superblock: "", {superblock.time}, {header.transaction_id},'
            f" {int(superblock.needs_check)}, {superblock.version},"
            f" {header.data_block_sectors}, {header.nr_data_blocks}\n"
        ).encode()

    def mark(self, mark: Mark) -> bytes:
        """Return the text of a mark; devices and what is shared end with an empty line."""
        match mark:
            case DeviceBegin():
                return _DEVICE.format(mark).encode()
            case SharedBegin(name):
                return f"def: {name}\n".encode()
            case DeviceEnd() | SharedEnd():
                return b"\n"
            case SharedRef(name):
                return f"    ref: {name}\n".encode()

    def end(self) -> bytes:
        """Return the last line."""
        return b"end superblock\n"

    def columns(self, runs: Runs, device_ids: Column) -> dict[str, Column]:  # noqa: ARG002
        """Return both ends of both ranges, and the time."""
        further = runs.length - np.uint64(1)
        return {
            "origin_begin": runs.origin_begin,
            "origin_last": runs.origin_begin + further,
            "data_begin": runs.data_begin,
            "data_last": runs.data_begin + further,
            "time": runs.time,
        }

    def shapes(self, runs: Runs) -> npt.NDArray[np.uint8] | None:  # noqa: ARG002
        """Return None: all runs are written as ranges."""
        return None


class HumanReadable09(HumanReadable):
    """thin_dump 0.9's text: a single block has a shape of its own; list without sharing for it."""

    def shapes(self, runs: Runs) -> npt.NDArray[np.uint8]:
        """Return 1 for a single block, 0 for a range."""
        singles: npt.NDArray[np.uint8] = (runs.length == 1).view(np.uint8)
        return singles
