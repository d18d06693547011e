"""Lists of nodes that hold a tree's keys between them."""

from dataclasses import dataclass

import numpy as np

from thinmeta.device.blocks import Blocks
from thinmeta.units import LAST_KEY
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import Codes, Keys

NODES_AT_ONCE = 512
"""Nodes that are in memory at the same time: 2 MiB."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeList(Columnar):
    """Leaves of a tree, in key order; every array has shape `(n,)`.

    Attributes:
        blocks: where they are, dtype uint64.
        low: the lowest key that each may hold, dtype uint64.
        last: the highest, dtype uint64.
        codes: index of `REASONS`, dtype uint8: other than 0 where the node, or one
            above it, cannot be believed, and `blocks` says which.
    """

    blocks: Blocks
    low: Keys
    last: Keys
    codes: Codes

    def within(self, others: "NodeList") -> "NodeList":
        """Return these leaves with only what `others`, the same blocks, may hold as well."""
        return NodeList(
            self.blocks,
            np.maximum(self.low, others.low),
            np.minimum(self.last, others.last),
            np.where(self.codes, self.codes, others.codes),
        )

    @classmethod
    def none(cls) -> "NodeList":
        """Return no leaves."""
        return cls.roots(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint8))

    @classmethod
    def roots(cls, blocks: Blocks, codes: Codes) -> "NodeList":
        """Return nodes that may hold any key."""
        nothing = np.zeros(len(blocks), dtype=np.uint64)
        return cls(blocks, nothing, np.full(len(blocks), LAST_KEY, dtype=np.uint64), codes)
