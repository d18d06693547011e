"""What states that are past, or held, say of devices: which mapping trees they had."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.books import reached
from thinmeta.analyse.recover.trees import Trees
from thinmeta.walk.nodes import Keys


class OldLists(NamedTuple):
    """Entries of lists of devices other than the live one.

    Attributes:
        trees: all sound nodes.
        ids: the device of each entry, shape `(n,)`.
        roots: the block of its mapping tree's root then, shape `(n,)`.
    """

    trees: Trees
    ids: Keys
    roots: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, trees: Trees, live: int) -> Self:
        """Find the entries; `live` is the block of the live list's root."""
        nodes = trees.nodes
        is_internal = nodes.classes == BlockClass.INTERNAL
        is_list = (nodes.classes == BlockClass.DEVICE_ROOTS) | nodes.may_hold_roots
        is_list &= ~reached(trees, [live], is_internal)
        links = trees.links_of(np.flatnonzero(is_list))
        links = links[trees.is_sound[links]]
        return cls(trees, trees.keys[links], trees.targets[links])

    def pairs(self) -> set[tuple[int, int]]:
        """Return each device that had a tree, and the block of that tree's root."""
        return set(zip(self.ids.tolist(), self.roots.tolist(), strict=True))

    def devices_that_had(
        self, device_ids: Iterable[int], places: Sequence[int]
    ) -> set[tuple[int, int]]:
        """Return which of some devices had which of some nodes, which are told by their places."""
        is_internal = self.trees.nodes.classes == BlockClass.INTERNAL
        found = set()
        for device_id in {*device_ids}:
            roots = set(self.roots[self.ids == device_id].tolist())
            seen = reached(self.trees, [*roots], is_internal)
            found |= {(device_id, place) for place in places if seen[place]}
        return found
