"""What compressed images and pack files begin with.

On-disk truth: RFC 1952 (gzip), bzip2's `compress.c`, "The .xz File Format" 1.2.1, RFC 8878
(zstd), and what thin_metadata_pack writes.
"""

GZIP_MAGIC = b"\x1f\x8b\x08"
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PACK_MAGIC = bytes.fromhex("77ef0963aaa037a5")
