"""Nodes whose checksum is wrong, and that are nearly right: what they held, if it tells.

A checksum is right by chance once in 4 thousand million times. So what makes it right again is
what was written: the one bit that is changed, or the keys and children that are.
"""

from collections.abc import Iterator
from itertools import islice, pairwise, product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.trees import Trees
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, INTERNAL_NODE
from thinmeta.schemas.checksum import Rows, salts_of, with_bit, wrong_bits
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.node_layout import headers_of, keys_of, most_entries, values_of
from thinmeta.walk.nodes import Keys, Mask
from thinmeta.walk.ragged import Places

_MOST_TRIES = 2_000
"""Contents of one node that are tried: milliseconds, and by chance right in none of 10^6 nodes."""

_MOST_CHOICES = 16
"""Keys or children that are tried in one place of a node."""


class Mended(NamedTuple):
    """What a damaged block held.

    Attributes:
        row: the block, shape `(4096,)`.
        what: what was wrong with it.
        proof: what says so.
    """

    row: Rows
    what: str
    proof: str = "its checksum, which says what it held"


class Spans(NamedTuple):
    """What nodes of mapping trees hold below them, by their places.

    Attributes:
        trees: all sound nodes.
        lasts: the highest key below each.
        are_missing: which are counted more often than they are referred to, if that is known.
    """

    trees: Trees
    lasts: Keys
    are_missing: Mask

    def above(self, values: npt.NDArray[np.uint64]) -> "_Above | None":
        """Look at the children that a node names; None if none of them is there."""
        trees, nodes = self.trees, self.trees.nodes
        at = np.minimum(np.searchsorted(nodes.blocks, values), len(nodes) - 1)
        is_there = (nodes.blocks[at] == values) & (trees.kinds[at] == BlockClass.MAPPINGS)
        heights = trees.heights[at[is_there]]
        if not len(heights):
            return None
        height = int(np.bincount(heights).argmax())
        fits = is_there & (trees.heights[at] == height)
        return _Above(at, fits, nodes.first[at], self.lasts[at], height)

    def between(self, height: int, low: int, high: int) -> list[int]:
        """Return the blocks of nodes of a height, all of whose keys are in a range.

        Where some of them are missing, those.
        """
        trees, nodes = self.trees, self.trees.nodes
        is_one = (trees.kinds == BlockClass.MAPPINGS) & (trees.heights == height)
        is_one &= (nodes.first >= np.uint64(low)) & (self.lasts <= np.uint64(high))
        is_one &= nodes.nr_entries > 0
        is_best = is_one & self.are_missing
        blocks: list[int] = nodes.blocks[is_best if is_best.any() else is_one].tolist()
        return blocks


class _Above(NamedTuple):
    """The children that a node names: which are there, and what keys they have."""

    places: Places
    are_there: Mask
    firsts: Keys
    lasts: Keys
    height: int


def mended(rows: Rows, spans: Spans) -> list[Mended | None]:
    """Return what nodes held, whose checksum is wrong.

    Args:
        rows: the blocks, shape `(n, 4096)`.
        spans: of all sound nodes.
    """
    found: list[Mended | None] = []
    for row, bit in zip(rows, wrong_bits(rows, BTREE_CSUM_XOR).tolist(), strict=True):
        if bit >= 0:
            found.append(Mended(with_bit(row, bit), "one bit of the B-tree node is wrong"))
        else:
            found.append(_by_children(row, spans))
    return found


def _by_children(row: Rows, spans: Spans) -> Mended | None:
    """Return a node above others with the keys and children by which its checksum is right."""
    header = headers_of(row[np.newaxis])[0]
    count, room = int(header["nr_entries"]), int(header["max_entries"])
    if header["flags"] != INTERNAL_NODE or not 0 < count <= room <= most_entries(CHILD):
        return None
    tried = row[np.newaxis].copy()
    keys, values = keys_of(tried, room)[0, :count], values_of(tried, room, CHILD)[0, :count]
    stored = keys.tolist(), values.tolist()
    for new_keys, new_values in islice(_contents(*stored, spans), _MOST_TRIES):
        keys[:], values[:] = new_keys, new_values
        if salts_of(tried)[0] == BTREE_CSUM_XOR:
            return Mended(tried[0], _changes(stored, (new_keys, new_values)))
    return None


def _changes(stored: tuple[list[int], list[int]], right: tuple[list[int], list[int]]) -> str:
    """Say in which entries two contents differ."""
    pairs = [zip(*each, strict=True) for each in (stored, right)]
    nr_wrong = sum(one != other for one, other in zip(*pairs, strict=True))
    verb = "is" if nr_wrong == 1 else "are"
    return f"{nr_wrong} of the {len(stored[0])} entries of the B-tree node {verb} wrong"


def _contents(
    keys: list[int], values: list[int], spans: Spans
) -> Iterator[tuple[list[int], list[int]]]:
    """Return what a node may have held, given what it holds."""
    above = spans.above(np.array(values, dtype=np.uint64))
    if above is None:
        return
    there, firsts, lasts = (
        column.tolist() for column in (above.are_there, above.firsts, above.lasts)
    )
    key_choices, before = [], -1
    for at, key in enumerate(keys):
        following = (first for first, is_one in zip(firsts[at:], there[at:], strict=True) if is_one)
        highest = next(following, key)
        fits = before < key <= highest
        key_choices.append([key] if fits else [firsts[at]] if there[at] else [])
        before = lasts[at] if there[at] else before
    if not all(key_choices):
        return
    known = [each[0] for each in key_choices]
    if any(key <= one_before for one_before, key in pairwise(known)):
        return
    ends = [*(key - 1 for key in known[1:]), 2**64 - 1]
    child_choices = [
        [value] if is_one else spans.between(above.height, known[at], ends[at])[: _MOST_CHOICES + 1]
        for at, (value, is_one) in enumerate(zip(values, there, strict=True))
    ]
    if not all(0 < len(each) <= _MOST_CHOICES for each in child_choices):
        return
    for children in product(*child_choices):
        yield known, list(children)
    # A key that is wrong may look right: where a child could begin lower than it does.
    for at in range(len(keys)):
        if there[at] and known[at] != firsts[at]:
            other = [*known[:at], firsts[at], *known[at + 1 :]]
            for children in product(*child_choices):
                yield other, list(children)
