"""Inodes by their numbers, decoded a piece of a table at a time."""

from collections import OrderedDict

from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.inode_pieces import InodePiece, InodeRecord, decoded
from thinmeta.files.file_system import FileError, Inode

_PIECE_BYTES = 32768
"""Of inodes that are decoded at once: mostly 128 of them."""

_MOST_PIECES = 128


class InodeTables:
    """The inodes of a file system."""

    def __init__(self, blocks: BlockGroups) -> None:
        """Begin with nothing read."""
        self._blocks = blocks
        fields = blocks.geometry.superblock
        self._count: int = fields.s_inodes_count
        self._at_once = max(1, _PIECE_BYTES // blocks.geometry.inode_bytes)
        self._in_group: int = fields.s_inodes_per_group
        self._pieces: OrderedDict[tuple[int, int], InodePiece] = OrderedDict()

    def inode(self, number: int) -> Inode:
        """Return an inode; see `FileSystem.inode()`."""
        piece, place = self._found(number)
        return piece.inodes[place]

    def record(self, number: int) -> InodeRecord:
        """Return more of an inode.

        Raises:
            FileError: there is none, or it cannot be read or believed.
        """
        piece, place = self._found(number)
        return piece.records[place]

    def _found(self, number: int) -> tuple[InodePiece, int]:
        if not 1 <= number <= self._count:
            raise FileError(f"inode {number}: there is none: the last one is {self._count}")
        group, index = divmod(number - 1, self._in_group)
        part, place = divmod(index, self._at_once)
        piece = self._pieces.get((group, part))
        if piece is None:
            begin = part * self._at_once
            try:
                piece = self._read(group, begin, min(self._at_once, self._in_group - begin))
            except FileError:
                return self._alone(number, group, index)
            self._pieces[group, part] = piece
            if len(self._pieces) > _MOST_PIECES:
                self._pieces.popitem(last=False)
        else:
            self._pieces.move_to_end((group, part))
        if place in piece.faults:
            raise FileError(f"inode {number}: {piece.faults[place]}")
        return piece, place

    def _alone(self, number: int, group: int, index: int) -> tuple[InodePiece, int]:
        """Return the piece that has but this inode, where those around it cannot be read."""
        try:
            piece = self._read(group, index, 1)
        except FileError as error:
            raise FileError(f"inode {number}: {error}") from error
        if piece.faults:
            raise FileError(f"inode {number}: {piece.faults[0]}")
        return piece, 0

    def _read(self, group: int, index: int, count: int) -> InodePiece:
        geometry = self._blocks.geometry
        size = geometry.inode_bytes
        begin = self._blocks.inode_table(group) * geometry.block_bytes + index * size
        data = self._blocks.cache.read(begin, count * size)
        return decoded(data, group * self._in_group + index + 1, geometry)
