"""Headers that keep everything that a file has: pax, as GNU tar and bsdtar read it.

Facts: POSIX.1-2017, pax; `SCHILY.xattr`, star(5); `GNU.sparse`, "PAX Format, Version 1.0" in
the manual of GNU tar 1.34.
"""

from collections.abc import Mapping, Sequence

from thinmeta.archive.tree_archive import ArchivedFile, Ranges
from thinmeta.archive.ustar import (
    BLOCK_BYTES,
    EXTENDED_HEADER,
    HARD_LINK,
    NAME_BYTES,
    Member,
    MemberPart,
    padding,
    pax_record,
    records_of,
)
from thinmeta.files.file_bytes import FileBytes

_WORTH_A_MAP = 1 << 16
_PERMISSIONS = 0o7777
_NS = 10**9
_XATTR = b"SCHILY.xattr."


class PaxHeaders:
    """Headers with all attributes, times in ns, and holes as holes.

    Owners are numbers alone: the names of another machine's users would be taken for those of
    the machine that unpacks.
    """

    def parts(
        self, file: ArchivedFile, xattrs: Mapping[bytes, bytes]
    ) -> tuple[Sequence[MemberPart], Ranges | None]:
        """Return what precedes a file's bytes, and the ranges of them that follow."""
        member = file.member(file.inode.mode & _PERMISSIONS)
        ranges, sparse_map = None, b""
        records = {}
        if file.content is not None:
            ranges = _worth_a_map(file.content)
        if ranges is not None:
            sparse_map = _map(ranges)
            records = {
                b"GNU.sparse.major": b"1",
                b"GNU.sparse.minor": b"0",
                b"GNU.sparse.name": member.name,
                b"GNU.sparse.realsize": b"%d" % member.size,
            }
            stored = len(sparse_map) + sum(length for _, length in ranges)
            member = member._replace(name=_sparse_name(member.name), size=stored)
        records |= records_of(member)
        if file.inode.mtime % _NS:
            records[b"mtime"] = _time(file.inode.mtime)
        if len(member.name) > NAME_BYTES or not member.name.isascii():
            records[b"path"] = member.name
        if xattrs and member.typeflag != HARD_LINK:
            records |= {_XATTR + _keyword(name): value for name, value in xattrs.items()}
        if not records:
            return [member], None
        body = b"".join(pax_record(key, value) for key, value in records.items())
        extended = Member(b"PaxHeaders/", EXTENDED_HEADER, 0o644, size=len(body))
        return [extended, body, padding(len(body)), member, sparse_map], ranges


def _keyword(name: bytes) -> bytes:
    """Return an attribute's name as GNU tar writes it, since a keyword ends at its first `=`.

    >>> _keyword(b"user.a=b"), _keyword(b"user.50%")
    (b'user.a%3Db', b'user.50%25')
    """
    return name.replace(b"%", b"%25").replace(b"=", b"%3D")


def _worth_a_map(content: FileBytes) -> Ranges | None:
    """Return the ranges that are stored, and where the file ends; None if holes are few."""
    if content.place is not None:
        return None
    stored = list(content.stored())
    if content.size - sum(length for _, length in stored) < _WORTH_A_MAP:
        return None
    # Without the last one a file that ends in a hole comes out too short.
    return [*stored, (content.size, 0)]


def _map(ranges: Ranges) -> bytes:
    numbers = [len(ranges), *(number for each in ranges for number in each)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % BLOCK_BYTES)


def _sparse_name(name: bytes) -> bytes:
    folder, slash, last = name.rpartition(b"/")
    return b"%b%bGNUSparseFile.0/%b" % (folder, slash, last)


def _time(ns: int) -> bytes:
    """Return a time as a decimal number of seconds.

    >>> _time(1_500_000_000), _time(-1_750_000_000)
    (b'1.500000000', b'-1.750000000')
    """
    seconds, rest = divmod(abs(ns), _NS)
    return b"%b%d.%09d" % (b"-" if ns < 0 else b"", seconds, rest)
