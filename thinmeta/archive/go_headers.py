"""Headers as Docker writes them: those of Go's `archive/tar`, to the byte.

Facts: `Header.allowedFormats()`, src/archive/tar/common.go, and `Writer.WriteHeader()`,
src/archive/tar/writer.go (Go 1.19).
"""

import posixpath
from collections.abc import Mapping

from thinmeta.archive.ustar import (
    EXTENDED_HEADER,
    NAME_BYTES,
    Member,
    MemberPart,
    fits,
    padding,
    pax_record,
    records_of,
    rendered,
    split_path,
)


class UnwritableError(ValueError):
    """A number of a member fits in no header and has no record: Docker leaves such a file out."""


def go_header(member: Member, records: Mapping[bytes, bytes] | None = None) -> bytes:
    """Return all blocks before a member's content; see `go_parts()`."""
    return b"".join(rendered(go_parts(member, records)))


def go_parts(member: Member, records: Mapping[bytes, bytes] | None = None) -> list[MemberPart]:
    """Return what all blocks before a member's content are made of.

    Args:
        member: what is to be said of it.
        records: what no header can say, such as extended attributes, by pax's keys.

    Raises:
        UnwritableError: its mode or device number fits nowhere.
    """
    for number in (member.mode, *(member.rdev or ())):
        if not fits(number, 8):
            raise UnwritableError(f"the number {number} is too large for a header")
    pax = {**(records or {}), **records_of(member)}
    name = member.name
    split = None
    if len(name) > NAME_BYTES or not name.isascii():
        split = split_path(name)
        if split is None:
            pax[b"path"] = name
    if not pax:
        if split is not None:
            member = member._replace(prefix=split[0], name=split[1])
        return [member]
    if len(name) > NAME_BYTES:
        pax[b"path"] = name
    body = b"".join(pax_record(key, pax[key]) for key in sorted(pax))
    extended = Member(_extended_name(name), EXTENDED_HEADER, size=len(body), rdev=None)
    return [extended, body, padding(len(body)), _in_ascii(member)]


def _extended_name(path: bytes) -> bytes:
    """Return what the records of a member are called."""
    folder, _, name = path.rpartition(b"/")
    joined = posixpath.normpath(posixpath.join(folder, b"PaxHeaders.0", name))
    return _ascii(joined)[:NAME_BYTES].rstrip(b"/")


def _in_ascii(member: Member) -> Member:
    return member._replace(
        name=_without_slash(member.name),
        linkname=_without_slash(member.linkname),
        uname=_ascii(member.uname),
        gname=_ascii(member.gname),
    )


def _without_slash(path: bytes) -> bytes:
    """Return a path that, once it is cut, does not look like that of a directory."""
    text = _ascii(path)
    cut = text[:NAME_BYTES]
    kept = cut.rstrip(b"/")
    if len(text) == len(cut) or kept == cut:
        return text
    return kept + b"\0" + cut[len(kept) + 1 :]


def _ascii(text: bytes) -> bytes:
    return text if text.isascii() else bytes(byte for byte in text if 0 < byte < 128)
