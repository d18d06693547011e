"""What tells a volume that holds no ext4 and no XFS: where a text stands, and which.

On-disk truth: fs/btrfs/fs.h, fs/ntfs3/ntfs.h, include/linux/swap.h, fs/squashfs/squashfs_fs.h,
include/uapi/linux/msdos_fs.h (Linux v6.6), and Microsoft's "exFAT file system specification".
"""

BTRFS_MAGIC = (0x10040, b"_BHRfS_M")
NTFS_SYSTEM_ID = (3, b"NTFS    ")
EXFAT_SYSTEM_ID = (3, b"EXFAT   ")
FAT_SYSTEM_IDS = ((54, b"FAT12   "), (54, b"FAT16   "), (82, b"FAT32   "))
SQUASHFS_MAGIC = (0, b"hsqs")

SWAP_SIGNATURES = tuple(
    (page - 10, text)
    for page in (4096, 8192, 16384, 65536)
    for text in (b"SWAPSPACE2", b"SWAP-SPACE")
)
"""At the end of the first page, however large a page is there."""

TELLTALE_BYTES = 0x10048
"""In so many bytes are all of them."""
