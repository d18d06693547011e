"""Which devices map a data block: at the same block, which is quick, or anywhere."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thinmeta.analyse.lookup import Lookup
from thinmeta.errors import Damage
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.schemas import block_time
from thinmeta.units import DataBlock, DeviceId, OriginBlock
from thinmeta.walk.children import Wanted
from thinmeta.walk.forest import Forest
from thinmeta.walk.leaves import damage_of, leaf_pieces
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, Codes, Keys, Mask
from thinmeta.walk.ragged import Places


@dataclass(frozen=True, slots=True)
class Sharer:
    """A device that maps a data block, at `origin_block`, since `time`."""

    device_id: DeviceId
    origin_block: OriginBlock
    time: int


@dataclass(frozen=True, slots=True)
class Sharers:
    """Who maps a data block.

    Attributes:
        found: by ascending device id, then by block.
        lost: damage that may hide further ones.
    """

    found: tuple[Sharer, ...] = ()
    lost: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one block, and who else maps its data block."""

    lookup: Lookup
    sharers: Sharers


def with_sharers(
    chosen: ChosenDevice, lookups: Sequence[Lookup], *, everywhere: bool = False
) -> list[Answer]:
    """Find who else maps the data blocks that were looked up.

    Args:
        chosen: the device of the lookups.
        lookups: what was found in it.
        everywhere: find mappings at other blocks, too, for which every mapping of the
            pool is read. In pools that a kernel made there are none.
    """
    mappings = {lookup.mapping for lookup in lookups if lookup.mapping is not None}
    if everywhere:
        all_of = all_sharers(chosen.pool, {mapping.data_block for mapping in mappings})
        sharers = {mapping: all_of[mapping.data_block] for mapping in mappings}
    else:
        sharers = {
            mapping: sharers_at(chosen.pool, mapping.origin_block, mapping.data_block)
            for mapping in mappings
        }
    return [
        Answer(
            lookup,
            _others(chosen, lookup, sharers[lookup.mapping]) if lookup.mapping else Sharers(),
        )
        for lookup in lookups
    ]


def sharers_at(pool: Pool, origin_block: OriginBlock, data_block: DataBlock) -> Sharers:
    """Find all devices that map `origin_block` to `data_block`.

    The cost is devices times depth, nodes that devices share being read once.
    """
    key, block = np.uint64(origin_block), np.uint64(data_block)
    found, lost = _search(
        pool,
        lambda keys, values: (keys == key) & (block_time.data_block(values) == block),
        lambda low, last: (low <= key) & (key <= last),
    )
    return Sharers(tuple(found[data_block]), tuple(lost))


def all_sharers(pool: Pool, data_blocks: Iterable[DataBlock]) -> dict[DataBlock, Sharers]:
    """Find every device and block that maps one of `data_blocks`.

    Reads every mapping of the pool, what devices share once.
    """
    blocks = np.array(sorted(data_blocks), dtype=np.uint64)
    if not len(blocks):
        return {}

    def is_one_of_them(_keys: Keys, values: Keys) -> Mask:
        mapped = block_time.data_block(values)
        places = np.searchsorted(blocks, mapped)
        return blocks[np.minimum(places, len(blocks) - 1)] == mapped  # type: ignore[no-any-return]

    found, lost = _search(pool, is_one_of_them)
    return {
        DataBlock(block): Sharers(tuple(found[block]), tuple(lost)) for block in blocks.tolist()
    }


_Match = Callable[[Keys, Keys], Mask]
"""Given origin blocks and packed block-times, which mappings to find."""


def _others(chosen: ChosenDevice, lookup: Lookup, sharers: Sharers) -> Sharers:
    if chosen.device is None:
        return sharers
    own = chosen.device.device_id, lookup.position.origin_block
    others = (each for each in sharers.found if (each.device_id, each.origin_block) != own)
    return replace(sharers, found=tuple(others))


def _search(
    pool: Pool, match: _Match, wanted: Wanted | None = None
) -> tuple[defaultdict[int, list[Sharer]], list[Damage]]:
    """Return the mappings that match, by data block; and the damage that may hide some."""
    trees = MappingTrees.of(pool, wanted)
    ids, nodes = trees.ids.tolist(), trees.forest.levels[0].nodes
    hits, codes = _hits(pool, nodes, match)
    marks = codes != 0
    marks[list(hits)] = True
    found: defaultdict[int, list[Sharer]] = defaultdict(list)
    lost = list(pool.device_table.lost)
    for tree, leaves in _trees_with(trees.forest, marks):
        for leaf in leaves.tolist():
            if codes[leaf]:
                damage = damage_of(nodes, codes, leaf, MAPPINGS)
                lost.append(damage._replace(device_id=ids[tree]))
            for origin_block, value in hits.get(leaf, ()):
                sharer = Sharer(ids[tree], OriginBlock(origin_block), block_time.time(value))
                found[block_time.data_block(value)].append(sharer)
    return found, lost


def _hits(
    pool: Pool, nodes: NodeList, match: _Match
) -> tuple[dict[int, list[tuple[int, int]]], Codes]:
    """Return what matches as key and value, by the leaf's place; and each leaf's code."""
    hits: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    codes = np.zeros(len(nodes), dtype=np.uint8)
    for piece in leaf_pieces(pool.source, nodes, MAPPINGS):
        codes[piece.places] = piece.codes
        entries = piece.entries
        matching = np.flatnonzero(match(entries.keys, entries.values))
        leaves = piece.places[np.searchsorted(entries.starts, matching, side="right") - 1]
        for leaf, key, value in zip(
            leaves.tolist(),
            entries.keys[matching].tolist(),
            entries.values[matching].tolist(),
            strict=True,
        ):
            hits[leaf].append((key, value))
    return hits, codes


def _trees_with(forest: Forest, marked: Mask) -> Iterator[tuple[int, Places]]:
    """Return the trees that have marked leaves, each with those leaves in key order."""
    marks = forest.marked(marked)
    for tree in np.flatnonzero(forest.totals(marked.astype(np.int64))).tolist():
        yield tree, forest.leaf_places_of(np.array([tree]), marks)[0]
