"""Ranges of a node's keys of which nobody knows what is below them.

A node that was put together from what hung below it may lack children. Where these can be is
a gap. It stands among the children as one that cannot be believed, so that all who walk a tree
meet it as they meet any other that is lost.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.walk.nodes import UNKNOWN_CHILD, Codes, Entries
from thinmeta.walk.ragged import starts_of

KeyRanges = npt.NDArray[np.uint64]
"""First and last key of each range, ascending and disjoint, shape `(n, 2)`."""

Gaps = Mapping[int, KeyRanges]
"""The gaps of nodes, by their blocks."""


def with_gaps(gaps: Gaps, blocks: Blocks, entries: Entries) -> tuple[Entries, Codes]:
    """Return the entries of internal nodes and, among them, their gaps.

    >>> keys, values = np.array([0, 50, 7], np.uint64), np.arange(3, dtype=np.uint64)
    >>> entries = Entries(keys, values, np.array([0, 2, 3]))
    >>> gaps = {9: np.array([[20, 49]], np.uint64)}
    >>> entries, codes = with_gaps(gaps, np.array([9, 8], np.uint64), entries)
    >>> entries.keys.tolist(), entries.values.tolist(), entries.starts.tolist()
    ([0, 20, 50, 7], [0, 9, 1, 2], [0, 3, 4])
    >>> (codes > 0).tolist()
    [False, True, False, False]

    Args:
        gaps: which there are; each ends where the next child begins, or the node ends.
        blocks: the nodes, shape `(n,)`.
        entries: theirs; a node without any is bad, and has no gaps either.

    Returns:
        The entries; a gap leads to its own node. And the code of each, shape `(m,)`.
    """
    counts = np.diff(entries.starts)
    places = [
        place for place in np.flatnonzero(counts).tolist() if len(gaps.get(int(blocks[place]), ()))
    ]
    if not places:
        return entries, np.zeros(len(entries.keys), dtype=np.uint8)
    of_nodes = [gaps[int(blocks[place])][:, 0] for place in places]
    nr_gaps = [len(each) for each in of_nodes]
    counts[places] += nr_gaps
    owners = np.concatenate(
        (np.repeat(np.arange(len(blocks)), np.diff(entries.starts)), np.repeat(places, nr_gaps))
    )
    keys = np.concatenate((entries.keys, *of_nodes))
    values = np.concatenate((entries.values, np.repeat(blocks[places], nr_gaps)))
    codes = np.zeros(len(keys), dtype=np.uint8)
    codes[len(entries.keys) :] = UNKNOWN_CHILD
    order = np.lexsort((keys, owners))
    return Entries(keys[order], values[order], starts_of(counts)), codes[order]
