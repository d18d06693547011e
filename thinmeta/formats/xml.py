"""The XML that thin_dump prints, byte for byte: version 1.1 and version 0.9."""

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

_RANGE = (
    '    <range_mapping origin_begin="{origin_begin}" data_begin="{data_begin}"'
    ' length="{length}" time="{time}"/>\n'
)
_SINGLE = (
    '    <single_mapping origin_block="{origin_begin}" data_block="{data_begin}" time="{time}"/>\n'
)
_DEVICE = (
    '  <device dev_id="{0.device_id}" mapped_blocks="{0.mapped_blocks}"'
    ' transaction="{0.transaction_id}" creation_time="{0.creation_time}"'
    ' snap_time="{0.snap_time}">\n'
)


class Xml:
    """thin_dump 1.1's XML: what is shared comes first, and no newline at the very end."""

    def __init__(self) -> None:
        """Prepare the lines of runs."""
        self.lines = Lines(_RANGE, _SINGLE)

    def begin(self, header: DumpHeader) -> bytes:
        """Return the line of the superblock; the data blocks come last."""
        return (
            f'<superblock uuid="" time="{header.superblock.time}"'
            f' transaction="{header.transaction_id}"{self._flags(header)}'
            f' version="{header.superblock.version}"'
            f' data_block_size="{header.data_block_sectors}"'
            f' nr_data_blocks="{header.nr_data_blocks}">\n'
        ).encode()

    def mark(self, mark: Mark) -> bytes:
        """Return a tag on a line of its own."""
        match mark:
            case DeviceBegin():
                return _DEVICE.format(mark).encode()
            case DeviceEnd():
                return b"  </device>\n"
            case SharedBegin(name):
                return f'  <def name="{name}">\n'.encode()
            case SharedEnd():
                return b"  </def>\n"
            case SharedRef(name):
                return f'    <ref name="{name}"/>\n'.encode()

    def end(self) -> bytes:
        """Return the closing tag."""
        return b"</superblock>"

    def columns(self, runs: Runs, device_ids: Column) -> dict[str, Column]:  # noqa: ARG002
        """Return the attributes of a mapping."""
        return {
            "origin_begin": runs.origin_begin,
            "data_begin": runs.data_begin,
            "length": runs.length,
            "time": runs.time,
        }

    def shapes(self, runs: Runs) -> npt.NDArray[np.uint8]:
        """Return 1 for a single mapping, 0 for a range."""
        singles: npt.NDArray[np.uint8] = (runs.length == 1).view(np.uint8)
        return singles

    def _flags(self, header: DumpHeader) -> str:
        return ' flags="1"' if header.superblock.needs_check else ""


class Xml09(Xml):
    """thin_dump 0.9's XML: flags always, a newline at the end; list without sharing for it."""

    def end(self) -> bytes:
        """Return the closing tag and a newline."""
        return b"</superblock>\n"

    def _flags(self, header: DumpHeader) -> str:
        return f' flags="{int(header.superblock.needs_check)}"'
