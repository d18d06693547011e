"""What is lost of a damaged pool: per device, by key range.

Reading past damage never says by itself what is missing. This reads all leaves once,
before anything is returned, so that what is said of a device is true from its first line.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from thinmeta.errors import Damage
from thinmeta.model.device_loss import DeviceLoss, ExaminedTree
from thinmeta.model.lost_leaves import CountedLeaves, LostRange, count_leaves, lost_ranges
from thinmeta.model.pool import Pool
from thinmeta.model.rebuilt_ranges import RebuiltRange, UndecidedSubtree
from thinmeta.units import LAST_KEY, DeviceId, OnProgress
from thinmeta.walk.columnar import Columns, flags, numbers, texts
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, REACHED_TWICE, REASONS, Codes
from thinmeta.walk.ragged import distinct_places


@dataclass(frozen=True, slots=True)
class Losses:
    """What is lost of a pool, or of those devices of it that were looked at.

    >>> import lzma, thinmeta
    >>> image = bytearray(lzma.open("fixtures/docker-direct-lvm-ext4-512k/meta.bin.xz").read())
    >>> image[85 * 4096 : 86 * 4096] = bytes(4096)
    >>> with thinmeta.open_pool(image) as pool:
    ...     losses = pool.losses()
    >>> losses.is_complete, [each.tree.device_id for each in losses.devices if not each.is_complete]
    (False, [2])

    Attributes:
        devices: all that were looked at, complete or not.
        trees: ranges of device ids that cannot be read.
        disagreements: ids that only one of the two device trees has.
        agree: whether a leaf that several devices share is sound for all of them or for
            none. Else what they share cannot be listed once for all.
        blocks: where the bad nodes of mapping trees are.
        emptied: sound leaves without a mapping to the data device, but for trees without any.
        newest: the newest time of a mapping that is left.
        rebuilt: what is lost, and is there all the same.
        undecided: what is sound, and nobody's, where what is likely was taken, too.
    """

    devices: tuple[DeviceLoss, ...]
    trees: tuple[Damage, ...] = ()
    disagreements: tuple[Damage, ...] = ()
    agree: bool = True
    blocks: frozenset[int] = frozenset()
    emptied: frozenset[int] = frozenset()
    newest: int = 0
    rebuilt: tuple[RebuiltRange, ...] = ()
    undecided: tuple[UndecidedSubtree, ...] = ()

    @property
    def nr_likely(self) -> int:
        """How many mappings are there that likely are what was lost, no more."""
        return sum(each.nr_mappings for each in self.rebuilt if each.origin == "likely")

    @property
    def is_complete(self) -> bool:
        """Whether nothing is lost, and nothing only likely."""
        return not (self.trees or self.nr_likely) and all(
            device.is_complete and not device.has_no_details for device in self.devices
        )

    @classmethod
    def joined(cls, parts: Sequence["Losses"]) -> Self:
        """Return what is lost of all parts, each device once that several have alike.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     parts = [pool.device(each).losses() for each in (1, 5)]
        >>> [each.tree.device_id for each in thinmeta.Losses.joined(parts).devices]
        [1, 5]
        """
        return cls(
            tuple(dict.fromkeys(device for part in parts for device in part.devices)),
            tuple(dict.fromkeys(damage for part in parts for damage in part.trees)),
            tuple(damage for part in parts for damage in part.disagreements),
            all(part.agree for part in parts),
            frozenset(block for part in parts for block in part.blocks),
            frozenset(block for part in parts for block in part.emptied),
            max((part.newest for part in parts), default=0),
            tuple(dict.fromkeys(each for part in parts for each in part.rebuilt)),
            tuple(dict.fromkeys(each for part in parts for each in part.undecided)),
        )

    def of(self, device_id: int) -> DeviceLoss | None:
        """Return what is lost of a device; None if it was not looked at.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     losses = pool.losses()
        >>> losses.of(5).found, losses.of(6)
        (640, None)
        """
        return next((each for each in self.devices if each.tree.device_id == device_id), None)

    def of_one(self, device_id: DeviceId) -> "Losses | None":
        """Return what is lost of a device as `Losses` of it alone; None if it was not looked at.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     lost = pool.losses()
        >>> len(lost.of_one(5).devices), lost.of_one(2)
        (1, None)
        """
        loss = self.of(device_id)
        if loss is None:
            return None
        return Losses(
            (loss,),
            rebuilt=tuple(each for each in self.rebuilt if each.device_id == device_id),
            undecided=tuple(each for each in self.undecided if device_id in each.device_ids),
        )

    def columns(self) -> Columns:
        """Return a row a device; numbers are int64, -1 where nobody knows, the others bool.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     columns = pool.losses().columns()
        >>> columns["device_id"].tolist(), columns["found"].tolist()
        ([1, 3, 5, 7, 8], [577, 0, 640, 577, 192])
        """
        rows = self.devices
        return {
            "device_id": numbers(each.tree.device_id for each in rows),
            "mapping_root": numbers(each.tree.root for each in rows),
            "mapped_blocks": numbers(each.tree.stored for each in rows),
            "found": numbers(each.found for each in rows),
            "beyond": numbers(each.beyond for each in rows),
            "missing": numbers(each.missing for each in rows),
            "nr_ranges": numbers(len(each.ranges) for each in rows),
            "is_complete": flags(each.is_complete for each in rows),
        }

    def range_columns(self) -> Columns:
        """Return a row a range of keys that is lost: first of device ids, then of origin blocks.

        Numbers are int64: `device_id` is -1 where keys are device ids; both keys are
        included, and 2^63 - 1 where nothing bounds them; `block` is that of the first bad node.

        >>> import lzma, thinmeta
        >>> image = bytearray(lzma.open("fixtures/docker-direct-lvm-ext4-512k/meta.bin.xz").read())
        >>> image[85 * 4096 : 86 * 4096] = bytes(4096)
        >>> with thinmeta.open_pool(image) as pool:
        ...     columns = pool.losses().range_columns()
        >>> columns["device_id"].tolist(), columns["first_key"].tolist(), columns["block"].tolist()
        ([2], [0], [85])
        """
        rows = [
            *self.trees,
            *(
                lost.damage._replace(first_key=lost.first_key, last_key=lost.last_key)
                for each in self.devices
                for lost in each.ranges
            ),
        ]
        return {
            "device_id": numbers(each.device_id for each in rows),
            "key_name": texts(each.key_name for each in rows),
            "first_key": numbers(each.first_key for each in rows),
            "last_key": numbers(each.last_key for each in rows),
            "block": numbers(each.block for each in rows),
            "what": texts(each.what for each in rows),
        }


def losses_of_pool(
    pool: Pool,
    selected: frozenset[int] | None = None,
    on_progress: OnProgress | None = None,
) -> Losses:
    """Look at all devices of a pool, or some; no damage raises.

    Args:
        pool: in the state to look at.
        selected: their ids; None is all.
        on_progress: told of each piece of the mapping trees that was read.
    """
    table = pool.device_table
    trees = [
        ExaminedTree(each.device_id, each.mapping_root, each.mapped_blocks)
        for each in table.devices
    ]
    trees += [
        ExaminedTree(device_id, root, None) for device_id, root in table.without_details.items()
    ]
    wanted = [tree for tree in sorted(trees) if selected is None or tree.device_id in selected]
    return replace(
        losses_of_trees(pool, wanted, on_progress),
        trees=tuple(table.lost_among(selected)),
        disagreements=tuple(table.disagreements(selected)),
    )


def losses_of_trees(
    pool: Pool, trees: Sequence[ExaminedTree], on_progress: OnProgress | None = None
) -> Losses:
    """Look at some mapping trees, each of their nodes once; no damage raises."""
    source = pool.source._replace(nr_data_blocks=None, doubts_leaves=True)
    rooted = [tree for tree in trees if tree.root is not None]
    forest = grow(source, np.array([tree.root for tree in rooted], dtype=np.uint64), MAPPINGS)
    nr_data_blocks = pool.live_superblock.data_space_map.nr_blocks or LAST_KEY
    counted = count_leaves(source, forest, nr_data_blocks, on_progress)
    found = iter(_found_losses(rooted, forest, counted))
    devices = tuple(
        DeviceLoss(tree, (), 0, 0) if tree.root is None else next(found) for tree in trees
    )
    leaves = forest.levels[0].nodes
    is_empty = counted.within + counted.beyond == 0
    is_empty[forest.roots[forest.heights == 0]] = False
    is_empty |= (counted.within == 0) & (counted.beyond > 0)
    return Losses(
        devices,
        agree=_agree(leaves, counted.codes, devices),
        blocks=frozenset(leaves.blocks[counted.codes != 0].tolist()),
        emptied=frozenset(leaves.blocks[is_empty].tolist()),
        newest=int(counted.newest.max(initial=0)),
    )


def _agree(leaves: NodeList, codes: Codes, devices: Sequence[DeviceLoss]) -> bool:
    blocks, identity = distinct_places(leaves.blocks)
    bad = np.bincount(identity, codes != 0, minlength=len(blocks))
    some_are_bad = (bad > 0) & (bad < np.bincount(identity, minlength=len(blocks)))
    ranges = [lost for device in devices for lost in device.ranges]
    twice = any(REASONS[REACHED_TWICE] in lost.damage.what for lost in ranges)
    return not twice and not some_are_bad.any()


def _found_losses(
    trees: Sequence[ExaminedTree], forest: Forest, counted: CountedLeaves
) -> list[DeviceLoss]:
    """Return what is lost of each tree of the forest."""
    found = forest.totals(counted.within).tolist()
    beyond = forest.totals(counted.beyond).tolist()
    ranges: dict[int, list[LostRange]] = {}
    for tree, lost in lost_ranges(forest, counted):
        damage = lost.damage._replace(device_id=trees[tree].device_id)
        ranges.setdefault(tree, []).append(lost._replace(damage=damage))
    return [
        DeviceLoss(tree, tuple(ranges.get(place, ())), found=found[place], beyond=beyond[place])
        for place, tree in enumerate(trees)
    ]
