"""An image that is changed field by field, for what no tool writes."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from construct import Construct

from tests.files.ext.ext_images import EXT4, mke2fs
from tests.files.image_source import BytesSource
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.file_system import Inode
from thinmeta.files.reading import Cache
from thinmeta.schemas.columns import dtype_of, field_of
from thinmeta.schemas.ext4 import EXT4_SUPERBLOCK_OFFSET, Ext4LargeInode, Ext4Superblock

BLOCK = 1024
NO_CHECKSUMS = EXT4.replace("has_journal,", "").replace("metadata_csum,", "")


class Patched:
    """An image in memory.

    Attributes:
        image: its bytes.
    """

    def __init__(self, image: bytes) -> None:
        self.image = bytearray(image)

    @classmethod
    def of_tree(cls, folder: Path, tree: Path, features: str = NO_CHECKSUMS) -> "Patched":
        options = ("-b", str(BLOCK), "-I", "256", "-N", "64", "-d", tree)
        return cls(mke2fs(folder / "image", 1024, *options, features=features).read_bytes())

    def opened(self) -> Ext4:
        return Ext4(Cache(BytesSource(bytes(self.image))))

    def at(self, schema: Construct, place: int) -> npt.NDArray[Any]:
        """Return the structure at a byte, whose fields can be set."""
        rows: npt.NDArray[Any] = np.frombuffer(self.image, dtype_of(schema), 1, place)
        return rows[0:1]

    def superblock(self) -> npt.NDArray[Any]:
        return self.at(Ext4Superblock, EXT4_SUPERBLOCK_OFFSET)

    def place_of(self, number: int) -> int:
        """Return where an inode is."""
        files = self.opened()
        table = files._blocks.inode_table(0)
        return table * BLOCK + (number - 1) * files._blocks.geometry.inode_bytes

    def inode(self, number: int) -> npt.NDArray[Any]:
        return self.at(Ext4LargeInode, self.place_of(number))

    def body_place(self, number: int) -> int:
        """Return where the 60 bytes of an inode are that lead to its content."""
        return self.place_of(number) + field_of(Ext4LargeInode, "i_block")[0]

    def find(self, path: bytes) -> Inode:
        """Return what a path leads to, while it still does."""
        files = self.opened()
        inode = files.inode(files.root)
        for name in path.split(b"/"):
            inode = files.inode({each.name: each.number for each in files.entries(inode)}[name])
        return inode
