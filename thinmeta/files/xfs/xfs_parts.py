"""What a file of XFS takes of its volume."""

import stat
from collections.abc import Iterator

import numpy as np

from thinmeta.files.file_parts import FilePart, FileParts
from thinmeta.files.file_system import FileError, Inode, gathered
from thinmeta.files.xfs.dinodes import Dinodes, Fork
from thinmeta.files.xfs.forks import read_extents
from thinmeta.files.xfs.metadata_blocks import MetadataBlocks
from thinmeta.schemas import xfs, xfs_directory

_WITH_BLOCKS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


def parts_of_file(inode: Inode, dinodes: Dinodes, blocks: MetadataBlocks) -> FileParts:
    """Return all parts of a file.

    Raises:
        FileError: the inode cannot be read or believed.
        PartsError: where some of it is cannot be.
    """
    geometry = blocks.geometry
    place = geometry.inode_place(inode.number)
    if place is None:
        raise FileError(f"inode {inode.number}: there is none of this number")
    return gathered(
        inode.number,
        [FileParts.of([(FilePart.INODE, 0, geometry.inode_bytes, place)])],
        _data(inode, dinodes, blocks),
        _attributes(inode, dinodes, blocks),
    )


def _data(inode: Inode, dinodes: Dinodes, blocks: MetadataBlocks) -> Iterator[FileParts]:
    if inode.type not in _WITH_BLOCKS:
        return
    fork = dinodes.data_fork(inode.number)
    if fork.form == xfs.XFS_DINODE_FMT_LOCAL:
        return
    if fork.is_realtime:
        raise FileError("its content is on the realtime device, which is another one")
    yield from _of_fork(fork, blocks, is_directory=inode.is_directory)


def _attributes(inode: Inode, dinodes: Dinodes, blocks: MetadataBlocks) -> Iterator[FileParts]:
    if not dinodes.has_outer_attributes(inode.number):
        return
    fork = dinodes.attribute_fork(inode.number)
    if fork is not None:
        for parts in _of_fork(fork, blocks, is_directory=False):
            yield parts.for_attributes()


def _of_fork(fork: Fork, blocks: MetadataBlocks, *, is_directory: bool) -> Iterator[FileParts]:
    unit = np.uint64(blocks.geometry.block_bytes)
    nodes: list[int] = []
    extents = read_extents(fork, blocks, nodes)
    begin, length, place = extents.begin * unit, extents.length * unit, extents.place
    part = np.where(extents.is_unwritten, FilePart.UNWRITTEN, FilePart.CONTENT).astype(np.uint8)
    if is_directory:
        part[begin >= np.uint64(xfs_directory.XFS_DIR2_LEAF_OFFSET)] = FilePart.MAP
    yield FileParts(part, begin, length, place)
    width = blocks.geometry.block_bytes
    yield FileParts.of((FilePart.MAP, 0, width, blocks.geometry.place(node)) for node in nodes)
