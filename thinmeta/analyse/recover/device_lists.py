"""The devices of a candidate: what is left of each, and what its details say."""

from dataclasses import dataclass

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.node_facts import DetailRows
from thinmeta.analyse.recover.sums import MappingSums
from thinmeta.analyse.recover.trees import Trees
from thinmeta.units import DataBlock, DeviceId, MetadataBlock
from thinmeta.walk.ragged import Places, ragged, starts_of


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device of a state.

    Attributes:
        device_id: its id.
        mapping_root: root of its mapping tree; None where nothing of it is left.
        nr_nodes_lost: nodes of that tree that were used again or damaged since.
        nr_mappings: mappings that are left.
        time: the newest time of a mapping.
        highest_data_block: None without mappings.
        mapped_blocks: mappings that there should be. This and what follows is None
            where no details of the device are left.
        transaction_id: the pool's transaction id when the device was created.
        creation_time: the pool's clock then.
        snap_time: the pool's clock when it was last snapshotted, or created as a snapshot.
    """

    device_id: DeviceId
    mapping_root: MetadataBlock | None
    nr_nodes_lost: int
    nr_mappings: int
    time: int
    highest_data_block: DataBlock | None
    mapped_blocks: int | None
    transaction_id: int | None
    creation_time: int | None
    snap_time: int | None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost, as far as its tree and its details can tell."""
        is_there = self.mapping_root is not None and not self.nr_nodes_lost
        return is_there and self.nr_mappings == self.mapped_blocks


@dataclass(frozen=True, slots=True, eq=False)
class DeviceLists:
    """The nodes that list devices, to look up the devices of one candidate after the other.

    Attributes:
        trees: of all nodes.
        sums: what is left of each mapping tree.
        rows: entries of the leaves of device details.
        row_starts: where each node's entries begin in `rows`, shape `(n + 1,)`.
    """

    trees: Trees
    sums: MappingSums
    rows: DetailRows
    row_starts: Places

    @classmethod
    def of(cls, trees: Trees, sums: MappingSums, rows: DetailRows) -> "DeviceLists":
        """Index `rows`."""
        is_leaf = trees.nodes.classes == BlockClass.DETAILS
        return cls(trees, sums, rows, starts_of(np.where(is_leaf, trees.nodes.nr_entries, 0)))

    def devices(self, candidate: Candidate) -> tuple[FoundDevice, ...]:
        """Return the devices that either tree of `candidate` lists, by ascending id."""
        roots = self._roots(self.leaves(candidate.mapping_root))
        details = self._details(self.leaves(candidate.details_root))
        return tuple(
            self._device(device_id, roots.get(device_id), details.get(device_id))
            for device_id in sorted({*roots, *details})
        )

    def leaves(self, root: MetadataBlock | None) -> Places:
        """Return the leaves of a tree of lists, in key order, as places among the nodes."""
        place = None if root is None else self.trees.place_of(root)
        if place is None:
            return np.empty(0, dtype=np.int64)
        places = np.array([place], dtype=np.int64)
        for _ in range(max(0, int(self.trees.heights[place]))):
            links = self.trees.links_of(places)
            places = self.trees.children[links[self.trees.is_sound[links]]]
        return places

    def _roots(self, leaves: Places) -> dict[int, int | None]:
        """Return the root of each device's mapping tree, None where it is lost."""
        trees = self.trees
        links = trees.links_of(leaves)
        return {
            device_id: place if is_sound else None
            for device_id, place, is_sound in zip(
                trees.keys[links].tolist(),
                trees.children[links].tolist(),
                trees.is_sound[links].tolist(),
                strict=True,
            )
        }

    def _details(self, leaves: Places) -> dict[int, tuple[int, int, int, int]]:
        begin = self.row_starts[leaves]
        rows = self.rows[ragged(begin, self.row_starts[leaves + 1] - begin)]
        return dict(zip(rows.device_ids.tolist(), rows.details.tolist(), strict=True))

    def _device(
        self, device_id: int, place: int | None, details: tuple[int, int, int, int] | None
    ) -> FoundDevice:
        sums = self.sums
        highest = -1 if place is None else int(sums.highest[place])
        return FoundDevice(
            DeviceId(device_id),
            None if place is None else MetadataBlock(int(self.trees.nodes.blocks[place])),
            0 if place is None else int(sums.nr_lost[place]),
            0 if place is None else int(sums.nr_mappings[place]),
            0 if place is None else int(sums.time[place]),
            None if highest < 0 else DataBlock(highest),
            *(details or (None, None, None, None)),
        )
