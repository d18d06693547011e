"""Images of real pools, damaged on purpose.

`DamagedImage` is an image whose blocks can be edited; it remembers which were, so that
`ImageFile` writes and takes back only those. What stands in which block is told by
`tests.anatomy`.

>>> image = DamagedImage.of("a09-discards-and-deletes")
>>> image.superblock()["held_root"] = 99
>>> image.restamp(0)
>>> int(image.superblock()["held_root"]), image.edited
(99, {0})
>>> image.revert()
>>> int(image.superblock()["held_root"])
0
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tests.cases import image_bytes
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, INTERNAL_NODE
from thinmeta.schemas.checksum import checksums, put_checksums
from thinmeta.schemas.columns import (
    BITMAP_HEADER,
    CHILD,
    KEY,
    METADATA_INDEX,
    NODE_HEADER,
    dtype_of,
)
from thinmeta.schemas.space_map import BITMAP_CSUM_XOR, INDEX_CSUM_XOR
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR, Superblock

BLOCK = 4096
LAST_KEY = 2**64 - 1
SUPERBLOCK = dtype_of(Superblock)

Row = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.uint8]


class BlockKind(IntEnum):
    """What a block can be; the value is the salt of its checksum."""

    SUPERBLOCK = SUPERBLOCK_CSUM_XOR
    NODE = BTREE_CSUM_XOR
    BITMAP = BITMAP_CSUM_XOR
    INDEX = INDEX_CSUM_XOR

    @property
    def header(self) -> np.dtype[Any]:
        """The layout of its fields; each has `csum` and `blocknr` among them."""
        return {
            BlockKind.SUPERBLOCK: SUPERBLOCK,
            BlockKind.NODE: NODE_HEADER,
            BlockKind.BITMAP: BITMAP_HEADER,
            BlockKind.INDEX: METADATA_INDEX,
        }[self]


def kind_of(row: Row) -> BlockKind | None:
    """Return the kind whose checksum `row` has; None for a block that has none."""
    salt = int(checksums(row[np.newaxis])[0]) ^ int.from_bytes(row[:4].tobytes(), "little")
    return BlockKind(salt) if salt in set(BlockKind) else None


def _written(path: Path, rows: Rows, size: int) -> Path:
    with path.open("wb") as file:
        for number in np.flatnonzero(rows.view(np.uint64).any(axis=1)).tolist():
            os.pwrite(file.fileno(), rows[number].data, number * BLOCK)
        file.truncate(size)
    return path


class DamagedImage:
    """An image to edit: every access to a block counts as an edit of it.

    Attributes:
        sound: the blocks as they were, shape `(n, 4096)`; not to be written to.
        size: of the file, in bytes; less than all blocks once it was truncated.
        edited: the blocks that may differ from `sound`.
    """

    def __init__(self, content: bytes) -> None:
        self.sound: Rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, BLOCK)
        self.size = len(content)
        self.edited: set[int] = set()
        self._rows = self.sound.copy()

    @classmethod
    def of(cls, case: str, image: str = "meta") -> Self:
        """Return an image of `fixtures/`, not damaged yet."""
        return cls(image_bytes(case, image))

    @classmethod
    def with_open_books(cls, case: str, image: str = "meta") -> Self:
        """Return an image whose space map does not count what its superblock says.

        Nothing can be proven of it by reference counts: a node that is lost stays so.
        """
        content = bytearray(image_bytes(case, image))
        rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, BLOCK)
        rows[0, : SUPERBLOCK.itemsize].view(SUPERBLOCK)[0]["metadata_space_map_root"][
            "nr_allocated"
        ] += 1
        put_checksums(rows[:1], SUPERBLOCK_CSUM_XOR)
        return cls(bytes(content))

    @property
    def nr_blocks(self) -> int:
        return len(self.sound)

    def block(self, number: int) -> Row:
        """Return a block to write to."""
        self.edited.add(number)
        row: Row = self._rows[number]
        return row

    def fields(self, number: int, kind: BlockKind) -> Any:
        """Return the header of a block of that kind; assign to `[name]` to overwrite a field."""
        return self.block(number)[: kind.header.itemsize].view(kind.header)[0]

    def superblock(self, number: int = 0) -> Any:
        return self.fields(number, BlockKind.SUPERBLOCK)

    def header(self, number: int) -> Any:
        return self.fields(number, BlockKind.NODE)

    def keys(self, number: int) -> npt.NDArray[np.uint64]:
        """Return a node's keys that are in use, to write to."""
        return self._columns(number)[0].view(KEY)[:, 0]

    def values(self, number: int, values: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return a node's values that are in use, to write to."""
        return self._columns(number)[1].view(values)[:, 0]

    def children(self, number: int) -> npt.NDArray[np.uint64]:
        """Return an internal node's children, to write to."""
        return self.values(number, CHILD)

    def restamp(self, *numbers: int, kind: BlockKind | None = None) -> None:
        """Make the checksums right; a block is taken for what it was when sound, else a node."""
        for number in numbers:
            salt = kind or kind_of(self.sound[number]) or BlockKind.NODE
            row = self.block(number)
            row[:4].view("<u4")[0] = checksums(row[np.newaxis])[0] ^ np.uint32(salt)

    def readdress(self, *numbers: int) -> None:
        """Make blocks say that they were written where they stand."""
        for number in numbers:
            self.header(number)["blocknr"] = number  # all kinds have it at the same place

    def zero(self, *numbers: int) -> None:
        for number in numbers:
            self.block(number)[:] = 0

    def flip_bit(self, number: int, bit: int) -> None:
        self.block(number)[bit // 8] ^= np.uint8(1 << bit % 8)

    def overwrite(self, number: int, offset: int, data: bytes) -> None:
        self.block(number)[offset : offset + len(data)] = np.frombuffer(data, dtype=np.uint8)

    def copy(self, source: int, target: int) -> None:
        self.block(target)[:] = self._rows[source]

    def swap(self, one: int, other: int) -> None:
        kept = self.block(one).copy()
        self.copy(other, one)
        self.block(other)[:] = kept

    def put_back(self, other: "DamagedImage", *numbers: int) -> None:
        """Put the contents that blocks have in `other`, a copy of another time."""
        for number in numbers:
            self.block(number)[:] = other.sound[number]

    def truncate(self, size: int) -> None:
        """Let the file end after `size` bytes."""
        self.size = size

    def different(self) -> set[int]:
        """Return the blocks that are not what they were, or not whole in the file."""
        changed = {at for at in self.edited if (self._rows[at] != self.sound[at]).any()}
        return changed | set(range(self.size // BLOCK, self.nr_blocks))

    def free_blocks(self, count: int) -> list[int]:
        """Return the last blocks of the image, which hold nothing; they stay free if not edited."""
        free = [
            number
            for number in range(self.nr_blocks - 1, 0, -1)
            if number not in self.edited and not self.sound[number].any()
        ][:count]
        assert len(free) == count
        return free

    def remove_entry(self, number: int, place: int) -> None:
        """Take an entry out of a node."""
        for column in self._columns(number):
            column[place:-1] = column[place + 1 :].copy()
        self.header(number)["nr_entries"] -= 1

    def push_down(self, number: int, parts: int) -> list[int]:
        """Make a node one level higher: its entries go to `parts` new children.

        The tree holds what it held before, and checksums are right. Returns the children.
        """
        keys, values = (column.copy() for column in self._columns(number))
        cuts = np.linspace(0, len(keys), parts + 1).astype(int).tolist()
        children = self.free_blocks(parts)
        lows = [int(keys[cut].view(KEY)[0]) for cut in cuts[:-1]]
        for child, begin, end in zip(children, cuts[:-1], cuts[1:], strict=True):
            self.block(child)[: NODE_HEADER.itemsize] = self.block(number)[: NODE_HEADER.itemsize]
            self.header(child)["nr_entries"] = end - begin
            columns = self._columns(child)
            columns[0][:], columns[1][:] = keys[begin:end], values[begin:end]
        self.zero(number)
        header = self.header(number)
        header["flags"], header["nr_entries"] = INTERNAL_NODE, parts
        header["max_entries"], header["value_size"] = 252, CHILD.itemsize
        self.keys(number)[:] = lows
        self.children(number)[:] = children
        self.readdress(number, *children)
        self.restamp(number, *children, kind=BlockKind.NODE)
        return children

    def to_bytes(self) -> bytes:
        return self._rows.tobytes()[: self.size]

    def write_to(self, path: Path) -> Path:
        """Write the image to a new file, in which empty blocks are holes."""
        return _written(path, self._rows, self.size)

    def revert(self) -> None:
        """Be sound again."""
        for number in self.edited:
            self._rows[number] = self.sound[number]
        self.edited.clear()
        self.size = self.sound.size

    def _columns(self, number: int) -> tuple[Rows, Rows]:
        """Return a node's keys and its values that are in use, as rows of bytes."""
        header = self.header(number)
        count, room, size = (int(header[at]) for at in ("nr_entries", "max_entries", "value_size"))
        row = self.block(number)[NODE_HEADER.itemsize :]
        values = row[KEY.itemsize * room :]
        return (
            row[: KEY.itemsize * count].reshape(count, KEY.itemsize),
            values[: size * count].reshape(count, size),
        )


class ImageFile:
    """A file that holds an image; damage is written into it and taken back again."""

    def __init__(self, path: Path, image: DamagedImage) -> None:
        """Write the sound image to `path`."""
        self.path = _written(path, image.sound, image.sound.size)
        self.image = image

    @contextmanager
    def damaged(self) -> Iterator[Path]:
        """Let the file be what the image is now; sound again afterwards, as is the image."""
        fd = os.open(self.path, os.O_WRONLY)
        try:
            for number in self.image.edited:
                os.pwrite(fd, self.image.block(number).tobytes(), number * BLOCK)
            if self.image.size != self.image.sound.size:
                os.ftruncate(fd, self.image.size)
            yield self.path
        finally:
            for number in self.image.edited:
                os.pwrite(fd, self.image.sound[number].tobytes(), number * BLOCK)
            lost = self.image.sound.reshape(-1)[self.image.size :]
            if lost.size:
                os.pwrite(fd, lost.tobytes(), self.image.size)
            os.close(fd)
            self.image.revert()
