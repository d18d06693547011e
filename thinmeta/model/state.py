"""Which state of a pool to read: the live one, a metadata snapshot, or one that is past."""

from enum import Enum
from typing import NamedTuple, Self

from thinmeta.units import MetadataBlock


class State(Enum):
    """The states that the superblock leads to.

    >>> import thinmeta
    >>> path = "fixtures/a13-metadata-snapshot-held/meta.bin.xz"
    >>> with thinmeta.open_pool(path, state=thinmeta.State.SNAP) as pool:
    ...     print(list(pool.devices))
    [1, 2, 3]
    """

    LIVE = "live"
    SNAP = "snap"

    def __str__(self) -> str:
        """Write it as it is typed."""
        return self.value


class Roots(NamedTuple):
    """A state that the superblock does not lead to (any more): the roots of its trees.

    >>> import thinmeta
    >>> past = thinmeta.Roots(mapping_root=31, details_root=32)
    >>> with thinmeta.open_pool("fixtures/a13-metadata-snapshot-held/meta.bin.xz") as pool:
    ...     print(past, list(pool.in_state(past).devices))
    31:32 [1, 2, 3]

    Attributes:
        mapping_root: of the tree of device ids to mapping trees.
        details_root: of the tree of device details; None if it is not known.
    """

    mapping_root: MetadataBlock
    details_root: MetadataBlock | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `MAPROOT[:DETAILSROOT]`, both block numbers.

        >>> import thinmeta
        >>> thinmeta.Roots.parse("31:32")
        Roots(mapping_root=31, details_root=32)

        Raises:
            ValueError: it is none.
        """
        numbers = text.split(":")
        are_numbers = all(each.isascii() and each.isdigit() for each in numbers)
        if not are_numbers or len(numbers) > len(("mapping", "details")):
            raise ValueError(
                f"{text!r} is no state: give live, snap, or MAPROOT[:DETAILSROOT], the metadata "
                "blocks of the roots that `thinmeta scan` lists"
            )
        return cls(*(MetadataBlock(int(each)) for each in numbers))

    def __str__(self) -> str:
        """Write it as it is typed."""
        roots = (self.mapping_root, self.details_root)
        return ":".join(str(root) for root in roots if root is not None)


AnyState = State | Roots


def parse_state(text: str) -> AnyState:
    """Read a state as it is typed: `live`, `snap` or `MAPROOT[:DETAILSROOT]`.

    Raises:
        ValueError: it is none.
    """
    names = {state.value: state for state in State}
    return names[text] if text in names else Roots.parse(text)
