"""States of a pool that are left on its metadata device: pairs of roots, best first."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.sums import DetailSums, MappingSums, RootSums
from thinmeta.analyse.recover.trees import Trees
from thinmeta.model.state import Roots
from thinmeta.model.superblock import Superblock
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import DataBlock, MetadataBlock
from thinmeta.walk.ragged import Places


@dataclass(frozen=True, slots=True)
class Candidate:
    """A state that the pool may have been in.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     live, before, *_ = pool.states()
    >>> live.is_live, live.nr_devices, before.nr_devices, before.is_whole
    (True, 5, 7, True)

    Attributes:
        mapping_root: root of the tree of device roots; None where only details are left.
        details_root: root of the tree of device details; None where only mappings are left.
        superblock: the copy of the superblock that names it, 0 being the live one.
        is_as_named: whether that copy names both roots. If its details are lost,
            `details_root` are older ones of the same devices.
        nr_devices: devices that are listed.
        nr_devices_lost: those of whose mappings nothing is left.
        nr_leaves: leaves of mappings that are left, a shared one once for each device.
        nr_nodes_lost: nodes of both trees that are not what their parents ask for, since
            they were used again or damaged. How much they held only `mapped_blocks` tells.
        nr_nodes_reused: those of them whose blocks hold other metadata now, as only those of an
            older state can.
        nr_mappings: mappings that are left.
        mapped_blocks: mappings that there should be; None without details.
        time: the newest time of a mapping, of a device or of a snapshot; the pool's clock
            stood there or further.
        mapping_time: the newest time of a mapping.
        nr_newest: how many mappings have it.
        transaction_id: the highest in which a device was created; None without details.
        highest_data_block: None without mappings.
    """

    mapping_root: MetadataBlock | None
    details_root: MetadataBlock | None
    superblock: MetadataBlock | None
    is_as_named: bool
    nr_devices: int
    nr_devices_lost: int
    nr_leaves: int
    nr_nodes_lost: int
    nr_nodes_reused: int
    nr_mappings: int
    mapped_blocks: int | None
    time: int
    mapping_time: int
    nr_newest: int
    transaction_id: int | None
    highest_data_block: DataBlock | None

    @property
    def is_pair(self) -> bool:
        """Whether both trees are there."""
        return self.mapping_root is not None and self.details_root is not None

    @property
    def roots(self) -> Roots | None:
        """How it is named, so that it can be read; None where only details are left."""
        return None if self.mapping_root is None else Roots(self.mapping_root, self.details_root)

    @property
    def is_live(self) -> bool:
        """Whether the live superblock names both of its roots."""
        return self.superblock == SUPERBLOCK_LOCATION and self.is_as_named

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost, as far as its trees can tell."""
        return self.is_pair and not self.nr_nodes_lost and self.nr_mappings == self.mapped_blocks


def device_lists(trees: Trees) -> Places:
    """Return the roots of trees of device roots to which nothing refers.

    A leaf of one number may be one if the number leads to mappings, unless the leaf is
    in a mapping tree itself.
    """
    is_list = (trees.kinds == BlockClass.DEVICE_ROOTS) & ~trees.is_child
    unsure = np.flatnonzero(trees.nodes.may_hold_roots)
    leads = trees.is_sound[trees.starts[unsure]]
    is_list[unsure] = leads & ~trees.is_child[unsure] & ~trees.is_device_root[unsure]
    return np.flatnonzero(is_list)


class _Named(NamedTuple):
    """What a superblock says of a tree of device roots: the details, and where it stands."""

    details: int | None
    superblock: MetadataBlock | None


class _Pair(NamedTuple):
    """Two roots, at least one of them there."""

    roots: int | None
    details: int | None
    superblock: MetadataBlock | None
    is_as_named: bool


_NONE = -1


class Finder:
    """Finds the roots of both kinds and pairs them; nodes are told by their places."""

    def __init__(
        self, trees: Trees, roots: RootSums, mappings: MappingSums, details: DetailSums
    ) -> None:
        """Index the roots of device details by what they list."""
        self._trees = trees
        self._roots = roots
        self._mappings = mappings
        self._details = details
        self._by_ids: dict[int, list[int]] = defaultdict(list)
        self._by_count: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._device_lists: list[int] = device_lists(trees).tolist()
        is_root = (trees.kinds == BlockClass.DETAILS) & ~trees.is_child
        self._details_roots: list[int] = np.flatnonzero(is_root).tolist()
        for place in self._details_roots:
            ids = int(details.ids[place])
            self._by_ids[ids].append(place)
            self._by_count[ids, int(details.mapped_blocks[place])].append(place)

    def candidates(self, superblocks: Iterable[Superblock]) -> tuple[Candidate, ...]:
        """Return all states, best first.

        Args:
            superblocks: sound copies; of those that name the same root the first counts.
        """
        pairs: dict[int, _Named] = {}
        alone: dict[int, MetadataBlock | None] = {}
        for copy in superblocks:
            named = self._trees.place_of(copy.data_mapping_root)
            details = self._trees.place_of(copy.device_details_root)
            if details is not None and self._trees.kinds[details] != BlockClass.DETAILS:
                details = None
            if named is not None and self._may_list_devices(named):
                pairs.setdefault(named, _Named(details, copy.blocknr))
            elif details is not None:
                alone.setdefault(details, copy.blocknr)
        for roots in self._device_lists:
            pairs.setdefault(roots, _Named(None, None))
        for place in self._details_roots:
            alone.setdefault(place, None)
        found = []
        for roots, (details, superblock) in pairs.items():
            matching = self._match(roots) if details is None else details
            found.append(_Pair(roots, matching, superblock, is_as_named=details is not None))
            if matching is not None:
                alone.pop(matching, None)
        found += [_Pair(None, place, block, is_as_named=False) for place, block in alone.items()]
        return tuple(sorted(self._described(found), key=_rank, reverse=True))

    def _may_list_devices(self, place: int) -> bool:
        """Tell whether a node may be what a superblock takes it for; an empty leaf may."""
        nodes = self._trees.nodes
        is_empty = nodes.classes[place] == BlockClass.MAPPINGS and not nodes.nr_entries[place]
        is_sure = self._trees.kinds[place] == BlockClass.DEVICE_ROOTS
        return bool(is_sure or is_empty or nodes.may_hold_roots[place])

    def _match(self, roots: int) -> int | None:
        """Return details of the same devices: of as many mappings, if there are such."""
        ids = int(self._roots.ids[roots])
        same_count = self._by_count.get((ids, int(self._mappings.nr_mappings[roots])))
        places = same_count or self._by_ids.get(ids)
        if not places:
            return None
        # A commit that writes both trees writes the details last. One that writes no
        # details goes on with those that were there.
        at = bisect_left(places, roots)
        following = bisect_left(self._device_lists, roots + 1)
        end = self._device_lists[following : following + 1]
        if at < len(places) and (not at or not end or places[at] < end[0]):
            return places[at]
        return places[at - 1]

    def _described(self, pairs: Sequence[_Pair]) -> Iterator[Candidate]:
        """Return the candidates; there may be very many, so by columns."""
        if not pairs:
            return
        roots = np.array([_NONE if each.roots is None else each.roots for each in pairs])
        details = np.array([_NONE if each.details is None else each.details for each in pairs])
        listed, left, said = self._roots, self._mappings, self._details
        of_roots = [
            np.where(roots == _NONE, missing, column[roots]).tolist()
            for column, missing in (
                (listed.nr_devices, 0),
                (listed.nr_there, 0),
                (left.nr_leaves, 0),
                (left.nr_lost, 0),
                (left.nr_reused, 0),
                (left.nr_mappings, 0),
                (left.time, 0),
                (left.nr_newest, 0),
                (left.highest, -1),
            )
        ]
        of_details = [
            np.where(details == _NONE, 0, column[details]).tolist()
            for column in (
                said.nr_devices,
                said.nr_lost,
                said.nr_reused,
                said.mapped_blocks,
                said.time,
                said.transaction_id,
            )
        ]
        blocks = self._trees.nodes.blocks
        places = (blocks[roots].tolist(), blocks[details].tolist())
        for pair, roots_block, details_block, first, second in zip(
            pairs,
            *places,
            zip(*of_roots, strict=True),
            zip(*of_details, strict=True),
            strict=True,
        ):
            nr_devices, nr_there, nr_leaves, nr_lost, nr_reused, nr_mappings, *others = first
            time, nr_newest, highest = others
            nr_described, nr_details_lost, nr_details_reused, mapped_blocks, *times = second
            details_time, transaction_id = times
            has_details = pair.details is not None
            yield Candidate(
                mapping_root=None if pair.roots is None else MetadataBlock(roots_block),
                details_root=MetadataBlock(details_block) if has_details else None,
                superblock=pair.superblock,
                is_as_named=pair.is_as_named,
                nr_devices=nr_described if pair.roots is None else nr_devices,
                nr_devices_lost=nr_devices - nr_there,
                nr_leaves=nr_leaves if nr_devices else 0,
                nr_nodes_lost=nr_lost + nr_details_lost,
                nr_nodes_reused=nr_reused + nr_details_reused,
                nr_mappings=nr_mappings,
                mapped_blocks=mapped_blocks if has_details else None,
                time=max(time, details_time),
                mapping_time=time,
                nr_newest=nr_newest,
                transaction_id=transaction_id if has_details else None,
                highest_data_block=None if highest < 0 else DataBlock(highest),
            )


def _rank(candidate: Candidate) -> tuple[int, ...]:
    """Return what compares higher the better a candidate is.

    The live state comes first, then pairs before what has no counterpart. The newer
    state is better, and of equally new ones that with more mappings of the newest time,
    then with more mappings in all. What damaged nodes held is taken for as new as can be, since
    a state may be the newest as long as none of its blocks was used again. Blocks are given
    out upwards, so the higher is the newer one, until the end of the device is reached.
    """
    root = candidate.mapping_root if candidate.details_root is None else candidate.details_root
    lost = 0
    if not candidate.nr_nodes_reused:
        lost = max(0, (candidate.mapped_blocks or 0) - candidate.nr_mappings)
    mapping_time = candidate.time if lost else candidate.mapping_time
    is_as_new = mapping_time == candidate.mapping_time
    return (
        candidate.is_live,
        candidate.is_pair,
        candidate.mapping_root is not None,
        candidate.time,
        candidate.transaction_id or 0,
        mapping_time,
        lost + (candidate.nr_newest if is_as_new else 0),
        candidate.nr_mappings + lost,
        root or 0,
    )
