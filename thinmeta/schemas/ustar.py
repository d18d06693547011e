"""The block of 512 bytes before each file of a tar.

"ustar Interchange Format", pax, POSIX.1-2017. Names are those of the standard. Numbers are octal
digits with a NUL at their end, texts have NULs behind them.
"""

from construct import Bytes, Struct

USTAR_MAGIC = b"ustar\0"
USTAR_VERSION = b"00"

UstarHeader = "ustar_header" / Struct(
    "name" / Bytes(100) * "path, or the end of it; that of a directory ends in a slash",
    "mode" / Bytes(8) * "permissions",
    "uid" / Bytes(8) * "owner",
    "gid" / Bytes(8) * "group",
    "size" / Bytes(12) * "bytes of what follows",
    "mtime" / Bytes(12) * "seconds since 1970",
    "chksum" / Bytes(8) * "six digits, a NUL, a space: the sum of all bytes, these being spaces",
    "typeflag" / Bytes(1) * "what it is",
    "linkname" / Bytes(100) * "where a link leads",
    "magic" / Bytes(6) * "`USTAR_MAGIC`",
    "version" / Bytes(2) * "`USTAR_VERSION`",
    "uname" / Bytes(32) * "name of the owner",
    "gname" / Bytes(32) * "name of the group",
    "devmajor" / Bytes(8) * "of a device",
    "devminor" / Bytes(8) * "of a device",
    "prefix" / Bytes(155) * "what precedes `name` and a slash",
    "pad" / Bytes(12) * "NULs",
)
