"""Small XFS of both versions, in memory, and what a test changes of their structures."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import fastcrc
from construct import Construct

from tests.files.image_source import BytesSource
from tests.files.xfs.prototype import prepared
from thinmeta.files.file_system import Inode
from thinmeta.files.file_tree import find
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.dinodes import Fork
from thinmeta.files.xfs.forks import read_extents
from thinmeta.files.xfs.xfs_file_system import Xfs
from thinmeta.schemas import xfs
from thinmeta.schemas.columns import field_of

OPTIONS = {
    5: ("-b", "size=1024"),
    4: ("-b", "size=1024", "-m", "crc=0"),
}


@cache
def small_image(version: int) -> bytes:
    """Return an XFS of 24 MiB; see `tests.files.xfs.prototype`."""
    with tempfile.TemporaryDirectory() as folder:
        return prepared(Path(folder), 24 << 20, 450, *OPTIONS[version]).read_bytes()


class Changed:
    """A small XFS that is changed, field by field; checksums are made anew."""

    def __init__(self, version: int) -> None:
        self.content = bytearray(small_image(version))
        self._sound = Xfs(Cache(BytesSource(small_image(version))))
        self._is_v5 = version == 5

    def inode(self, path: bytes) -> Inode:
        """Return an inode, as it was before it was changed."""
        return find(self._sound, self._sound.inode(self._sound.root), path, follow=False).inode

    def inode_place(self, path: bytes) -> int:
        place = self._sound.geometry.inode_place(self.inode(path).number)
        assert place is not None
        return place

    def data_place(self, path: bytes) -> int:
        """Return where what an inode keeps of its data begins."""
        core = xfs.Dinode3 if self._is_v5 else xfs.Dinode
        return self.inode_place(path) + int(core.sizeof())

    def block_place(self, path: bytes, block: int = 0) -> int:
        """Return where a block of a file or directory is, as it was before it was changed."""
        fork = self._sound._dinodes.data_fork(self.inode(path).number)
        return self._place(fork, block)

    def attribute_place(self, path: bytes, block: int = 0) -> int:
        """Return where a block of an inode's attributes is; what is in the inode, if they are."""
        fork = self._sound._dinodes.attribute_fork(self.inode(path).number)
        assert fork is not None
        if fork.form == xfs.XFS_DINODE_FMT_LOCAL:
            size = self._sound.geometry.inode_bytes
            return self.inode_place(path) + size - len(fork.data)
        return self._place(fork, block)

    def _place(self, fork: Fork, block: int) -> int:
        place = read_extents(fork, self._sound._blocks).find(block, self._sound.block_bytes)
        assert place is not None
        return place

    def set_field(self, place: int, schema: Construct, **fields: Any) -> None:
        """Set fields of the structure at `place`."""
        for name, value in fields.items():
            self._set(place, schema, name, value)

    def set_superblock(self, **fields: Any) -> None:
        for name, value in fields.items():
            self._set(0, xfs.XfsSuperblock, name, value)
        if self._is_v5:
            self._stamp(0, 512, field_of(xfs.XfsSuperblock, "sb_crc")[0])

    def set_inode(self, path: bytes, **fields: Any) -> None:
        place = self.inode_place(path)
        for name, value in fields.items():
            self._set(place, xfs.Dinode3 if self._is_v5 else xfs.Dinode, name, value)
        self.stamp_inode(path)

    def stamp_inode(self, path: bytes) -> None:
        if self._is_v5:
            size = self._sound.geometry.inode_bytes
            self._stamp(self.inode_place(path), size, field_of(xfs.Dinode3, "di_crc")[0])

    def put(self, place: int, part: bytes) -> None:
        self.content[place : place + len(part)] = part

    def opened(self) -> Xfs:
        return Xfs(Cache(BytesSource(bytes(self.content))))

    def _set(self, place: int, schema: Construct, name: str, value: Any) -> None:
        at, field = field_of(schema, name)
        self.put(place + at, field.build(value))

    def _stamp(self, place: int, size: int, at: int) -> None:
        self.put(place + at, bytes(4))
        crc = fastcrc.crc32.iscsi(bytes(self.content[place : place + size]))
        self.put(place + at, crc.to_bytes(4, "little"))
