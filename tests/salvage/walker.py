"""A slow walker that believes nothing: what each mapping tree of a damaged image still holds."""

import fastcrc
import numpy as np

from tests.damage import BLOCK, LAST_KEY, DamagedImage
from tests.salvage.remains import Lost, Mappings
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, INTERNAL_NODE, LEAF_NODE

Entries = list[tuple[int, int]]


class Walker:
    """Walks the trees of an image as it is now."""

    def __init__(self, image: DamagedImage) -> None:
        self._bytes = image.to_bytes()

    def mapping_tree(self, root: int) -> tuple[Mappings, list[Lost]]:
        """Return what the tree at `root` maps, and what of it is lost."""
        mapped: Mappings = {}
        lost: list[Lost] = []
        follows = False
        for low, last, bad, entries in self._leaves(root, 0, LAST_KEY, self._height(root)):
            if bad is None:
                mapped |= {k: (block_time.data_block(v), block_time.time(v)) for k, v in entries}
            elif follows:
                lost[-1].last = last
                lost[-1].blocks.append(bad)
            else:
                lost.append(Lost(low, last, [bad]))
            follows = bad is not None
        return mapped, lost

    def _height(self, root: int) -> int:
        """Follow first children; for trees whose left edge is sound."""
        height = 0
        while (node := self._node(root))[0] == INTERNAL_NODE:
            root = node[1][0][1]
            height += 1
        return height

    def _leaves(
        self, block: int, low: int, last: int, height: int
    ) -> list[tuple[int, int, int | None, Entries]]:
        flags, entries = self._node(block)
        keys = [key for key, _ in entries]
        is_sound = (
            flags == (INTERNAL_NODE if height else LEAF_NODE)
            and keys == sorted(set(keys))
            and all(low <= key <= last for key in keys)
        )
        if not is_sound:
            return [(low, last, block, [])]
        if not height:
            return [(low, last, None, entries)]
        ends = [key - 1 for key in keys[1:]] + [last]
        found = []
        for (key, child), end in zip(entries, ends, strict=True):
            found += self._leaves(child, key, end, height - 1)
        return found

    def _node(self, block: int) -> tuple[int, Entries]:
        """Return a node's flags and entries; flags 0 if it is none."""
        row = self._bytes[block * BLOCK : (block + 1) * BLOCK]
        words = np.frombuffer(row.ljust(BLOCK, b"\0"), dtype="<u4")
        csum, flags, blocknr = int(words[0]), int(words[1]), int(words[2:4].view("<u8")[0])
        count, room, value_size = (int(word) for word in words[4:7])
        right = fastcrc.crc32.iscsi(row[4:]) ^ 0xFFFFFFFF ^ BTREE_CSUM_XOR
        if (csum, blocknr, value_size) != (right, block, 8) or not count <= room <= 252:
            return 0, []
        numbers = words.view("<u8")[4:].tolist()
        return flags, list(zip(numbers[:count], numbers[room : room + count], strict=True))
