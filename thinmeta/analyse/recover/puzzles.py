"""What is lost of a pool, and what is missing and may have been there, to be brought together."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from thinmeta.analyse.recover.lost_nodes import LostNode, Owner
from thinmeta.analyse.recover.lost_roots import DetailsOf
from thinmeta.analyse.recover.proof import MissingChild, OwnerSum


class Puzzle(NamedTuple):
    """Nodes of mapping trees that are lost, and children that may have been theirs.

    Attributes:
        nodes: all that are lost.
        children: all that are missing.
        places: of the children in `Trees`.
        sums: what is missing of each device.
        unread: what is missing, and cannot be read: block, and how often.
        leaf_owners: the devices of each leaf that is lost, by its block.
    """

    nodes: list[LostNode]
    children: list[MissingChild]
    places: list[int]
    sums: dict[Owner, OwnerSum]
    unread: Mapping[int, int]
    leaf_owners: Mapping[int, frozenset[Owner]]

    @property
    def is_open(self) -> bool:
        """Whether more is lost than nodes above the leaves."""
        return bool(self.unread or self.leaf_owners)

    @property
    def placed(self) -> Iterable[tuple[MissingChild, int]]:
        """The children, each with its place."""
        return zip(self.children, self.places, strict=True)


class ListPuzzle(NamedTuple):
    """A list of devices that is lost, and mapping trees that may have been in it.

    Attributes:
        roots: all that are missing.
        places: of the roots in `Trees`.
        devices: all that have details.
        is_certain: whether nothing else is lost.
    """

    roots: list[MissingChild]
    places: list[int]
    devices: list[DetailsOf]
    is_certain: bool
