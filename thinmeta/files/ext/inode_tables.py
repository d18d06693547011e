"""Inodes by their numbers, decoded a piece of a table at a time."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.inode_pieces import (
    INODE_ROW,
    InodeRows,
    are_plain,
    decoded,
    inodes_of,
)
from thinmeta.files.ext.inode_records import InodeRecord, records_of
from thinmeta.files.file_system import FileError, Inode
from thinmeta.walk.ragged import Places

_PIECE_BYTES = 32768
"""Of inodes that are decoded at once: mostly 128 of them."""

_MOST_PIECES = 8192
"""Of mostly a million inodes: names in a large directory stand in the order of their hashes."""

_MOST_RECORDS = 64
"""Pieces of which more is kept, which takes ten times as much."""


class _BrokenPieceError(Exception):
    """A part of a piece of a table cannot be read."""


class InodeTables:
    """The inodes of a file system."""

    def __init__(self, blocks: BlockGroups) -> None:
        """Begin with nothing read."""
        self._blocks = blocks
        fields = blocks.geometry.superblock
        self._count: int = fields.s_inodes_count
        self._at_once = max(1, _PIECE_BYTES // blocks.geometry.inode_bytes)
        self._in_group: int = fields.s_inodes_per_group
        self._pieces: OrderedDict[tuple[int, int], InodeRows] = OrderedDict()
        self._records: OrderedDict[tuple[int, int], list[InodeRecord | FileError]] = OrderedDict()
        self._last_key: tuple[int, int] | None = None
        self._last: InodeRecord | None = None

    def inodes(self, numbers: Sequence[int]) -> list[Inode | FileError]:
        """Return inodes; see `FileSystem.inodes()`."""
        rows, faults = self._rows(numbers)
        found = inodes_of(numbers, rows)
        for place, error in faults.items():
            found[place] = error
        return found

    def outlines(self, numbers: Sequence[int]) -> tuple[list[int], list[bool]]:
        """Return where the contents of inodes begin, and whether they have attributes.

        Returns:
            A block each, 0 if the content is not in one piece, or the inode cannot be believed.
        """
        rows, _ = self._rows(numbers)
        return np.where(rows["fault"], 0, rows["block"]).tolist(), rows["has_xattrs"].tolist()

    def record(self, number: int) -> InodeRecord:
        """Return more of an inode.

        Raises:
            FileError: there is none, or it cannot be read or believed.
        """
        last = self._last
        if last is not None and last.inode.number == number:
            return last
        if not 1 <= number <= self._count:
            raise self._absent(number)
        key, place = self._place(number)
        records = self._records.get(key)
        if records is None and key == self._last_key:  # where one goes on, the rest is wanted
            records = self._read_records(key)
        self._last_key = key
        record = records[place] if records else self._read_record(number)
        if isinstance(record, FileError):
            raise record
        self._last = record
        return record

    def place(self, number: int) -> int:
        """Return at which byte an inode begins.

        Raises:
            FileError: nobody can tell.
        """
        group, index = divmod(number - 1, self._in_group)
        geometry = self._blocks.geometry
        return self._blocks.inode_table(group) * geometry.block_bytes + index * geometry.inode_bytes

    def places(self, first: int, count: int) -> Places:
        """Return where inodes begin; see `FileSystem.inode_places()`."""
        geometry = self._blocks.geometry
        found = np.full(count, -1, dtype=np.int64)
        for group, index, begin, end in self._in_groups(first, count):
            try:
                table = self._blocks.inode_table(group) * geometry.block_bytes
            except FileError:
                continue
            found[begin:end] = table + (index + np.arange(end - begin)) * geometry.inode_bytes
        return found

    def are_plain(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Tell which inodes are sound, of no directory, and without a block of attributes."""
        found = np.zeros(count, dtype=np.bool_)
        for group, index, begin, end in self._in_groups(first, count):
            at = begin
            while at < end:
                part, place = divmod(index + at - begin, self._at_once)
                stop = min(end, at + self._at_once - place)
                rows = self._piece((group, part))
                if rows is not None:
                    found[at:stop] = are_plain(rows[place : place + stop - at])
                at = stop
        return found

    def _in_groups(self, first: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """Return where inodes of some numbers are: group and index, begin and end among them."""
        begin, stop = max(0, 1 - first), min(count, self._count + 1 - first)
        while begin < stop:
            group, index = divmod(first + begin - 1, self._in_group)
            end = min(stop, begin + self._in_group - index)
            yield group, index, begin, end
            begin = end

    def has_attribute_block(self, number: int) -> bool:
        """Tell whether an inode, which is sound, has a block of attributes."""
        key, place = self._place(number)
        piece = self._pieces.get(key)
        if piece is None:
            return bool(self.record(number).attribute_block)
        return bool(piece["has_attribute_block"][place])

    def _read_records(self, key: tuple[int, int]) -> list[InodeRecord | FileError] | None:
        """Return more of a piece; None if a part of it cannot be read."""
        rows = self._piece(key)
        if rows is None:
            return None
        group, begin = key[0], key[1] * self._at_once
        data = self._read(group, begin, len(rows))
        first = group * self._in_group + begin + 1
        records = self._records[key] = records_of(first, rows, data, self._blocks.geometry)
        if len(self._records) > _MOST_RECORDS:
            self._records.popitem(last=False)
        return records

    def _read_record(self, number: int) -> InodeRecord | FileError:
        key, place = self._place(number)
        piece = self._pieces.get(key)
        if piece is None:
            rows, data = self._alone(number)
        else:
            rows, data = piece[place : place + 1], self._bytes(number)
        return records_of(number, rows, data, self._blocks.geometry)[0]

    def _place(self, number: int) -> tuple[tuple[int, int], int]:
        """Return in which piece an inode is, and where in it."""
        group, index = divmod(number - 1, self._in_group)
        part, place = divmod(index, self._at_once)
        return (group, part), place

    def _absent(self, number: int) -> FileError:
        return FileError(f"inode {number}: there is none: the last one is {self._count}")

    def _rows(self, numbers: Sequence[int]) -> tuple[InodeRows, dict[int, FileError]]:
        """Return what is decoded of inodes, and of which that cannot be had, and why."""
        rows = np.zeros(len(numbers), dtype=INODE_ROW)
        faults: dict[int, FileError] = {}
        wanted: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for at, number in enumerate(numbers):
            if not 1 <= number <= self._count:
                faults[at] = self._absent(number)
                continue
            key, place = self._place(number)
            wanted.setdefault(key, []).append((at, place))
        for key, some in wanted.items():
            piece = self._piece(key)
            if piece is not None:
                rows[[at for at, _ in some]] = piece[[place for _, place in some]]
                continue
            for at, _ in some:
                try:
                    rows[at] = self._alone(numbers[at])[0][0]
                except FileError as error:
                    faults[at] = error
        return rows, faults

    def _piece(self, key: tuple[int, int]) -> InodeRows | None:
        """Return what is decoded of a piece; None if a part of it cannot be read."""
        piece = self._pieces.get(key)
        if piece is not None:
            self._pieces.move_to_end(key)
            return piece
        group, begin = key[0], key[1] * self._at_once
        try:
            data = self._read(group, begin, min(self._at_once, self._in_group - begin))
        except FileError:
            return None
        first = group * self._in_group + begin + 1
        piece = self._pieces[key] = decoded(data, first, self._blocks.geometry)
        if len(self._pieces) > _MOST_PIECES:
            self._pieces.popitem(last=False)
        return piece

    def _alone(self, number: int) -> tuple[InodeRows, bytes]:
        """Return what is decoded of an inode, and its bytes."""
        data = self._bytes(number)
        return decoded(data, number, self._blocks.geometry), data

    def _bytes(self, number: int) -> bytes:
        try:
            return self._read(*divmod(number - 1, self._in_group), 1)
        except FileError as error:
            raise FileError(f"inode {number}: {error}") from error

    def _read(self, group: int, index: int, count: int) -> bytes:
        """Return the bytes of inodes of a group, from `index` on."""
        geometry = self._blocks.geometry
        size = geometry.inode_bytes
        begin = self._blocks.inode_table(group) * geometry.block_bytes + index * size
        return self._blocks.cache.read(begin, count * size)
