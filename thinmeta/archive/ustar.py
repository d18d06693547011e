"""Blocks of a tar: a header in the form of POSIX.1-1988 (ustar), and the records of pax."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.ustar import USTAR_MAGIC, USTAR_VERSION, UstarHeader

_HEADER = dtype_of(UstarHeader)

BLOCK_BYTES = 512

REGULAR = b"0"
HARD_LINK = b"1"
SYMLINK = b"2"
CHARACTER_DEVICE = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"
EXTENDED_HEADER = b"x"

NAME_BYTES = 100
PREFIX_BYTES = 155
_DIGITS = 6
_ONES = np.uint8(7)
_ZERO = np.uint8(ord("0"))


class Member(NamedTuple):
    """What is in a tar for one file.

    Attributes:
        name: its path, which ends in a slash for a directory.
        typeflag: what it is, such as `REGULAR`.
        mode: as the header has it.
        uid: of its owner.
        gid: of its group.
        size: of what follows, in bytes.
        mtime: in seconds since 1970.
        linkname: where a link leads.
        uname: the name of its owner; empty if it is not known.
        gname: the name of its group; empty if it is not known.
        rdev: major and minor number of a device, zeros for others; None leaves the fields empty.
        prefix: what stands before `name`, without the slash in between.
    """

    name: bytes
    typeflag: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    linkname: bytes = b""
    uname: bytes = b""
    gname: bytes = b""
    rdev: tuple[int, int] | None = (0, 0)
    prefix: bytes = b""


def fits(value: int, width: int) -> bool:
    """Tell whether a number can stand in a field of `width` bytes: octal digits and a NUL.

    >>> fits(0o7777777, 8), fits(0o10000000, 8), fits(-1, 8)
    (True, False, False)
    """
    return 0 <= value < 1 << 3 * (width - 1)


MemberPart = Member | bytes
"""What precedes the content of a member: a header, or bytes, such as records."""


def rendered(parts: Sequence[MemberPart]) -> list[bytes | memoryview]:
    """Return parts as the bytes that they are; headers are made together."""
    headers = iter(_headers([part for part in parts if isinstance(part, Member)]))
    return [next(headers) if isinstance(part, Member) else part for part in parts]


def header(member: Member) -> bytes:
    """Return the block of 512 bytes before a member's content.

    A text that is too long is cut, a number that does not fit is 0: a pax record has both.
    """
    return bytes(next(iter(rendered([member]))))


def _headers(members: Sequence[Member]) -> list[memoryview]:
    """Return the blocks of several members, a column at a time."""
    if not members:
        return []
    fields = np.zeros(len(members), dtype=_HEADER)
    names, flags, modes, uids, gids, sizes, mtimes, links, unames, gnames, rdevs, prefixes = zip(
        *members, strict=True
    )
    texts = {"name": names, "typeflag": flags, "linkname": links, "prefix": prefixes}
    for name, column in (*texts.items(), ("uname", unames), ("gname", gnames)):
        width = _HEADER[name].itemsize
        fields[name] = np.array(column, dtype=f"S{width}").view(f"V{width}")
    majors, minors = zip(*(rdev or (0, 0) for rdev in rdevs), strict=True)
    numbers = {"mode": modes, "uid": uids, "gid": gids, "size": sizes, "mtime": mtimes}
    for name, column in (*numbers.items(), ("devmajor", majors), ("devminor", minors)):
        fields[name] = _octal(column, _HEADER[name].itemsize)
    if None in rdevs:
        is_empty = np.array([rdev is None for rdev in rdevs])
        fields["devmajor"][is_empty] = fields["devminor"][is_empty] = bytes(8)
    fields["magic"], fields["version"] = USTAR_MAGIC, USTAR_VERSION
    fields["chksum"] = b" " * _HEADER["chksum"].itemsize
    blocks = fields.view(np.uint8).reshape(-1, BLOCK_BYTES)
    _set_sums(fields, blocks.sum(axis=1, dtype=np.int64))
    view = blocks.reshape(-1).data
    return [view[at : at + BLOCK_BYTES] for at in range(0, len(view), BLOCK_BYTES)]


def _set_sums(fields: npt.NDArray[Any], sums: npt.NDArray[np.int64]) -> None:
    width = _HEADER["chksum"].itemsize
    text = np.full((len(sums), width), ord(" "), dtype=np.uint8)
    text[:, : _DIGITS + 1] = _digits(sums, _DIGITS + 1)
    fields["chksum"] = text.view(f"V{width}")[:, 0]


def _octal(values: Sequence[int], width: int) -> npt.NDArray[Any]:
    """Return numbers as fields of a header; one that does not fit as 0."""
    first = values[0]
    if values.count(first) == len(values):  # such as the owner, mostly
        values = (first,)
    end = 1 << 3 * (width - 1)
    numbers = np.array([value if 0 <= value < end else 0 for value in values], dtype=np.int64)
    return _digits(numbers, width).view(f"V{width}")[:, 0]


def _digits(numbers: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.uint8]:
    """Return numbers as octal digits and a NUL: shape `(n, width)`."""
    text = np.zeros((len(numbers), width), dtype=np.uint8)
    shifts = np.arange(3 * (width - 2), -1, -3)
    text[:, : width - 1] = (numbers[:, np.newaxis] >> shifts).astype(np.uint8) & _ONES | _ZERO
    return text


def split_path(path: bytes) -> tuple[bytes, bytes] | None:
    """Return prefix and name of a path that is too long for the name alone; None if it stays so.

    >>> split_path(b"a" * 90 + b"/" + b"b" * 90 + b"/")[1][:3]
    b'bbb'
    """
    if len(path) <= NAME_BYTES or not path.isascii():
        return None
    length = min(len(path), PREFIX_BYTES + 1)
    if length == len(path) and path.endswith(b"/"):
        length -= 1
    cut = path.rfind(b"/", 0, length)
    name = path[cut + 1 :]
    if cut <= 0 or not name or len(name) > NAME_BYTES:
        return None
    return path[:cut], name


def pax_record(key: bytes, value: bytes) -> bytes:
    r"""Return a record, which begins with its own length.

    >>> pax_record(b"path", b"x" * 91)[:9], pax_record(b"uid", b"7")
    (b'101 path=', b'8 uid=7\n')
    """
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def records_of(member: Member) -> dict[bytes, bytes]:
    """Return the records for what a header has no room for, but for the path.

    Those of a number say it in decimal.
    """
    records = {
        key: text
        for key, text, width in (
            (b"linkpath", member.linkname, NAME_BYTES),
            (b"uname", member.uname, 32),
            (b"gname", member.gname, 32),
        )
        if text and (len(text) > width or not text.isascii())
    }
    owners, sizes = (member.uid, member.gid), (member.size, member.mtime)
    names = (b"uid", b"gid", b"size", b"mtime")
    for key, number, width in zip(names, owners + sizes, (8, 8, 12, 12), strict=True):
        if not fits(number, width):
            records[key] = b"%d" % number
    return records


def padding(size: int) -> bytes:
    """Return the zeros that fill the last block of a content."""
    return bytes(-size % BLOCK_BYTES)


END = bytes(2 * BLOCK_BYTES)
"""What ends an archive."""
