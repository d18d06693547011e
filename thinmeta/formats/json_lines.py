"""One JSON object a line: the superblock, then device by device, each followed by its runs.

`docs/dump.md` documents the objects. What devices share is written out in full.
"""

from thinmeta.formats.json_text import json_line
from thinmeta.formats.lines import Column, Lines
from thinmeta.formats.style import DumpHeader
from thinmeta.walk.runs import Runs
from thinmeta.walk.stream import DeviceBegin, Mark

_RUN = (
    '{{"type": "run", "device_id": {device_id}, "origin_begin": {origin_begin},'
    ' "data_begin": {data_begin}, "length": {length}, "time": {time}}}\n'
)


class JsonLines:
    """JSON for programs; list without sharing for it."""

    def __init__(self) -> None:
        """Prepare the lines of runs."""
        self.lines = Lines(_RUN)

    def begin(self, header: DumpHeader) -> bytes:
        """Return the object of the superblock."""
        superblock = header.superblock
        return json_line(
            type="superblock",
            time=superblock.time,
            transaction_id=header.transaction_id,
            needs_check=superblock.needs_check,
            version=superblock.version,
            held_root=superblock.held_root or None,
            data_block_sectors=header.data_block_sectors,
            nr_data_blocks=header.nr_data_blocks,
        )

    def mark(self, mark: Mark) -> bytes:
        """Return the object of a device; nothing else stands between the runs."""
        if not isinstance(mark, DeviceBegin):
            return b""
        return json_line(
            type="device",
            device_id=mark.device_id,
            mapped_blocks=mark.mapped_blocks,
            transaction_id=mark.transaction_id,
            creation_time=mark.creation_time,
            snap_time=mark.snap_time,
        )

    def end(self) -> bytes:
        """Return an object that says that the dump is complete."""
        return json_line(type="end")

    def columns(self, runs: Runs, device_ids: Column) -> dict[str, Column]:
        """Return the numbers of a run and the device that it belongs to."""
        return {
            "device_id": device_ids,
            "origin_begin": runs.origin_begin,
            "data_begin": runs.data_begin,
            "length": runs.length,
            "time": runs.time,
        }

    def shapes(self, runs: Runs) -> None:  # noqa: ARG002
        """Return None: all runs are written alike."""
        return
