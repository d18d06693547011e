"""The tar that `docker export` writes: which files, in which order, and what is said of them.

Facts: `TarWithOptions()`, `FileInfoHeader()` and `addTarFile()`, pkg/archive/archive.go
(moby 20.10), and recorded exports.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from thinmeta.archive.go_headers import UnwritableError, go_parts
from thinmeta.archive.tree_archive import ArchivedFile
from thinmeta.archive.ustar import MemberPart
from thinmeta.errors import NotThereError
from thinmeta.files.container_root import CAPABILITY
from thinmeta.files.file_bytes import FileStream
from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.file_tree import find
from thinmeta.files.opened_files import OpenedFiles

Owners = tuple[dict[int, bytes], dict[int, bytes]]
"""Names of users, and of groups, by their numbers."""

MOST_OWNERS_BYTES = 1 << 20
"""Of a list of users, or of groups, that are read."""

_XATTR = b"SCHILY.xattr."
_MOST_DIGITS = 20  # of an owner; int() refuses thousands of them


class DockerVersion(Enum):
    """Whose tar it is."""

    V20_10 = "20.10"
    """Up to 20.10: with the names that the files' own /etc/passwd and /etc/group give."""

    V23 = "23"
    """From 23 on: without names."""


class DockerHeaders:
    """Headers as `docker export` and `docker save` write them."""

    def __init__(
        self, users: Mapping[int, bytes] | None = None, groups: Mapping[int, bytes] | None = None
    ) -> None:
        """Name owners.

        Args:
            users: names by uid; the others stay unnamed.
            groups: names by gid.
        """
        self._users = users or {}
        self._groups = groups or {}

    def parts(
        self, file: ArchivedFile, xattrs: Mapping[bytes, bytes]
    ) -> tuple[Sequence[MemberPart], None]:
        """Return what precedes a file's bytes, all of which follow; see `Headers.parts()`."""
        inode = file.inode
        uname, gname = self._users.get(inode.uid, b""), self._groups.get(inode.gid, b"")
        member = file.member(inode.mode, uname, gname)
        kept = {_XATTR + CAPABILITY: xattrs[CAPABILITY]} if CAPABILITY in xattrs else None
        try:
            return go_parts(member, kept), None
        except UnwritableError as error:
            raise FileError(f"is left out, as docker export does: {error}") from error


def headers_of(opened: OpenedFiles, root: Inode, version: DockerVersion) -> DockerHeaders:
    """Return the headers that Docker would write for the files below `root`."""
    if version is DockerVersion.V23:
        return DockerHeaders()
    return DockerHeaders(*owners_of(opened, root))


def owners_of(opened: OpenedFiles, root: Inode) -> Owners:
    """Return the names of users and groups that the files below `root` have themselves."""
    return owners_in(_text(opened, root, b"etc/passwd"), _text(opened, root, b"etc/group"))


def owners_in(passwd: bytes, group: bytes) -> Owners:
    """Return the names in a list of users and one of groups; see `names_in`."""
    return names_in(passwd, nr_fields=7), names_in(group, nr_fields=4)


def names_in(text: bytes, nr_fields: int) -> dict[int, bytes]:
    r"""Return the names in a list of users or groups by their numbers; the first one counts.

    >>> names_in(b"root:x:0:\n# none\nweb:x:33:ann\nother:x:33:\n", nr_fields=4)
    {0: b'root', 33: b'web'}
    """
    names: dict[int, bytes] = {}
    for line in text.split(b"\n"):
        fields = line.strip().split(b":")
        is_name = len(fields) >= nr_fields and fields[0][:1] not in (b"", b"#", b"+", b"-")
        if is_name and fields[2].isdigit() and len(fields[2]) <= _MOST_DIGITS:
            names.setdefault(int(fields[2]), fields[0])
    return names


def _text(opened: OpenedFiles, root: Inode, path: bytes) -> bytes:
    """Return what a file holds; nothing if it is not there, or cannot be read."""
    try:
        inode = find(opened.file_system, root, path, follow=True).inode
        stream = FileStream(opened.bytes_of(inode), path.decode())
        return stream.read(MOST_OWNERS_BYTES) or b""
    except (NotThereError, FileError, OSError):
        return b""
