"""The smallest ext2 that has a file, made by hand, without the schemas."""

import struct

BLOCK = 1024
_NR_INODES = 16
_ROOT, _HELLO = 2, 12

HELLO = b"hello, world\n"
"""What is in the file `/hello`."""


def small_ext2(nr_blocks: int = 64) -> bytes:
    """Return the beginning of an ext2 of revision 0, all that is not zeros."""
    image = bytearray(9 * BLOCK)
    counts = struct.pack("<7I", _NR_INODES, nr_blocks, 0, nr_blocks - 9, 4, 1, 0)
    sizes = struct.pack("<4I", 0, 8192, 8192, _NR_INODES)
    times = struct.pack("<2I2H", 0, 0, 0, 20)
    image[BLOCK : BLOCK + 68] = counts + sizes + times + struct.pack("<6H", 0xEF53, 1, 1, 0, 0, 0)
    image[2 * BLOCK : 2 * BLOCK + 18] = struct.pack("<3I3H", 3, 4, 5, nr_blocks - 9, 4, 1)
    for number, inode in (
        (_ROOT, _inode(0o40755, 2, BLOCK, 7)),
        (_HELLO, _inode(0o100644, 1, len(HELLO), 8)),
    ):
        at = 5 * BLOCK + (number - 1) * 128
        image[at : at + len(inode)] = inode
    names = ((_ROOT, 12, b"."), (_ROOT, 12, b".."), (_HELLO, BLOCK - 24, b"hello"))
    at = 7 * BLOCK
    for number, length, name in names:
        entry = struct.pack("<IHH", number, length, len(name)) + name
        image[at : at + len(entry)] = entry
        at += length
    image[8 * BLOCK : 8 * BLOCK + len(HELLO)] = HELLO
    return bytes(image)


def _inode(mode: int, nlink: int, size: int, block: int) -> bytes:
    head = struct.pack("<2H5I2HI", mode, 0, size, 0, 0, 0, 0, 0, nlink, 2)
    return head + bytes(8) + struct.pack("<I", block)
