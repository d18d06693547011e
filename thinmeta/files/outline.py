"""What is known of a file as soon as its inode is read."""

from typing import NamedTuple


class Outline(NamedTuple):
    """What is known of an inode without reading anything else.

    Attributes:
        place: where in the volume a file's content is, which is in one piece, in bytes; None:
            that has to be asked of `extents` and `inline`.
        has_xattrs: whether it may have extended attributes.
    """

    place: int | None
    has_xattrs: bool
