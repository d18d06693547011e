"""A pool, and what one pass over its device found, as blocks of it are read anew."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np

from thinmeta.analyse.recover.survey import Survey, with_blocks, without_blocks
from thinmeta.device.rebuilt_blocks import RebuiltBlocks
from thinmeta.model.pool import Pool
from thinmeta.schemas.checksum import Rows
from thinmeta.walk.nodes import Keys


class Reading(NamedTuple):
    """A pool and its survey, of which the same blocks are read as something else.

    Attributes:
        pool: it reads nodes in the place of what is on its device.
        found: what one pass over that finds.
    """

    pool: Pool
    found: Survey

    def instead(
        self, rows: Mapping[int, Rows], gaps: Mapping[int, Keys] = MappingProxyType({})
    ) -> Self:
        """Return it with other contents of some blocks.

        Args:
            rows: what they hold, shape `(4096,)`, by block; at least one.
            gaps: ranges of keys of which nobody knows what is below, by block.
        """
        source = self.pool.source._replace(
            device=RebuiltBlocks(self.pool.source.device, rows),
            gaps={**self.pool.source.gaps, **gaps},
        )
        pool: Pool = replace(self.pool, source=source, known_devices=None)
        blocks = sorted(rows)
        content = np.stack([rows[block] for block in blocks])
        found = with_blocks(
            without_blocks(self.found, blocks), np.array(blocks, dtype=np.uint64), content
        )
        return self._replace(pool=pool, found=found)

    def without(self, blocks: Iterable[int]) -> Self:
        """Return it without some nodes, which the pool itself reads as before."""
        return self._replace(found=without_blocks(self.found, blocks))
