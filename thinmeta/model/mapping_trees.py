"""The mapping trees of all devices of a pool, walked together."""

from typing import NamedTuple, Self

from thinmeta.model.pool import Pool
from thinmeta.walk.bad_leaves import BadLeaves
from thinmeta.walk.children import Wanted
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.nodes import MAPPINGS, Codes, Keys


class MappingTrees(NamedTuple):
    """The mapping trees of all devices, those among them whose details are lost.

    Attributes:
        ids: of the devices, ascending, shape `(n,)`, dtype uint64.
        roots: the block that each tree begins with, shape `(n,)`, dtype uint64.
        forest: the trees, in this order.
    """

    ids: Keys
    roots: Keys
    forest: Forest

    @classmethod
    def of(cls, pool: Pool, wanted: Wanted | None = None) -> Self:
        """Walk the trees down to the list of their leaves; what is bad is told to nobody.

        Args:
            pool: in the state to look at.
            wanted: follow only these children; None follows all.
        """
        ids, roots = pool.device_table.mapping_trees()
        return cls(ids, roots, grow(pool.source, roots, MAPPINGS, wanted=wanted))

    def bad_leaves(self, codes: Codes) -> BadLeaves:
        """Return what is bad of the leaves, once they were read and have `codes`."""
        return BadLeaves(self.forest, self.ids, codes)
