"""A device some of whose blocks are read as somebody else says that they were."""

from collections.abc import Mapping

import numpy as np

from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks, Fault
from thinmeta.schemas.checksum import Rows


class RebuiltBlocks(BlockDevice):
    """The blocks of a device, and in place of those that were lost, what they held.

    Attributes:
        beneath: the device itself, which `close()` closes.
        rebuilt: what stands in a block, shape `(4096,)`, by its number.
    """

    def __init__(self, beneath: BlockDevice, rebuilt: Mapping[int, Rows]) -> None:
        """Read through to `beneath`."""
        self.name = beneath.name
        self.notes = beneath.notes
        self.nr_blocks = beneath.nr_blocks
        self.beneath = beneath
        self.rebuilt = rebuilt
        self._blocks = np.array(sorted(rebuilt), dtype=np.uint64)

    def close(self) -> None:
        """Close the device beneath."""
        self.beneath.close()

    def are_stored(self, begin: int, end: int) -> bool:
        """Tell whether any block may be other than zeros; see `BlockDevice.are_stored`."""
        is_rebuilt = (self._blocks >= begin) & (self._blocks < end)
        return bool(is_rebuilt.any()) or self.beneath.are_stored(begin, end)

    def read(self, blocks: Blocks) -> BlockBatch:
        """Read blocks; see `BlockDevice.read`."""
        batch = self.beneath.read(blocks)
        for place in np.flatnonzero(np.isin(blocks, self._blocks)).tolist():
            batch.rows[place] = self.rebuilt[int(blocks[place])]
            batch.faults[place] = Fault.NONE
        return batch
