"""What inodes say of where their content and their attributes are, for several at once."""

from typing import NamedTuple

from thinmeta.files.ext.geometry import Geometry
from thinmeta.files.ext.inode_outlines import attribute_blocks, roots_of
from thinmeta.files.ext.inode_pieces import InodeRows, inodes_of, padded_fields
from thinmeta.files.file_system import FileError, Inode
from thinmeta.schemas.ext4 import EXT4_GOOD_OLD_INODE_SIZE


class InodeRecord(NamedTuple):
    """An inode, and where its content and its attributes are.

    Attributes:
        inode: what everybody wants to know.
        seed: with which the running checksums of what it leads to begin.
        flags: how it is kept.
        body: the 60 bytes of `i_block`.
        generation: of inodes of this number.
        attribute_block: a block of attributes; 0 if there is none.
        attributes: the bytes after its fields, which may be attributes.
        sectors: the low 32 bits of how much it takes, in sectors or blocks.
        root_header: what `body` begins with if it is the root of a tree of extents.
        root_extents: what it goes on with if that is a leaf; each has the fields of `Ext4Extent`.
    """

    inode: Inode
    seed: int
    flags: int
    body: bytes
    generation: int
    attribute_block: int
    attributes: bytes
    sectors: int
    root_header: tuple[int, ...]
    root_extents: list[tuple[int, ...]]


def records_of(
    first: int, rows: InodeRows, data: bytes, geometry: Geometry
) -> list[InodeRecord | FileError]:
    """Return more of some inodes, or why one is not to be believed.

    Args:
        first: the number of the first one.
        rows: what is decoded of them.
        data: their bytes.
        geometry: of their file system.
    """
    fields = padded_fields(data, geometry)
    size, extras = geometry.inode_bytes, fields["i_extra_isize"].tolist()
    tails = [
        data[begin + EXT4_GOOD_OLD_INODE_SIZE + extra : begin + size] if extra else b""
        for begin, extra in zip(range(0, len(data), size), extras, strict=True)
    ]
    roots = roots_of(fields)
    columns = zip(
        inodes_of(range(first, first + len(rows)), rows),
        rows["seed"].tolist(),
        fields["i_flags"].tolist(),
        fields["i_block"].tolist(),
        fields["i_generation"].tolist(),
        attribute_blocks(fields, geometry).tolist(),
        tails,
        fields["i_blocks_lo"].tolist(),
        roots["header"].tolist(),
        roots["extents"].tolist(),
        strict=True,
    )
    return [each[0] if isinstance(each[0], FileError) else InodeRecord(*each) for each in columns]
