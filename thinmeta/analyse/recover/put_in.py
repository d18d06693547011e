"""Nodes put in where they were lost, as they may have been written."""

from collections.abc import Mapping, Sequence

import numpy as np

from thinmeta.analyse.recover.proof import Claim, MissingChild
from thinmeta.analyse.recover.read_anew import Reading
from thinmeta.builder.store import made_nodes
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR
from thinmeta.schemas.checksum import Rows, put_checksums

MOST_ROUNDS = 8
"""A tree has no more levels in which one lost node can be below another."""


def with_roots(reading: Reading, roots: Mapping[int, MissingChild]) -> Reading:
    """Put in the list of devices: the mapping tree of each, by its id."""
    block = int(reading.pool.live_superblock.data_mapping_root)
    return reading.instead(
        {block: list_of_devices(block, {each: root.block for each, root in roots.items()})}
    )


def list_of_devices(block: int, roots: Mapping[int, int]) -> Rows:
    """Return a leaf that leads from device ids to mapping trees, shape `(4096,)`."""
    ids = sorted(roots)
    return made_node(block, ids, [roots[each] for each in ids], internal=False)


def with_claims(reading: Reading, claims: Sequence[Claim]) -> Reading:
    """Put in nodes, of each the children that are known, and where else it may have had some."""
    gaps = {
        claim.node.block: np.array(claim.gaps, dtype=np.uint64) for claim in claims if claim.gaps
    }
    return reading.instead({claim.node.block: _node_of(claim) for claim in claims}, gaps)


def _node_of(claim: Claim) -> Rows:
    """Return the node as it may have been written."""
    keys, children = zip(*((child.first_key, child.block) for child in claim.children), strict=True)
    return made_node(claim.node.block, keys, children, internal=True)


def made_node(block: int, keys: Sequence[int], children: Sequence[int], *, internal: bool) -> Rows:
    """Return a node that leads to other nodes, shape `(4096,)`."""
    rows = made_nodes(
        np.array([block], dtype=np.uint64),
        np.array(keys, dtype=np.uint64),
        np.array(children, dtype=np.uint64),
        np.array([len(keys)]),
        internal=internal,
    )
    put_checksums(rows, BTREE_CSUM_XOR)
    row: Rows = rows[0]
    return row
