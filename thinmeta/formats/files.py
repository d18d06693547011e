"""How `files` lists files: names, lines as of `ls -l`, or JSON lines."""

import stat
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from thinmeta.files.file_system import Inode
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import printable

_AT_ONCE = 1024
_DAY = 86400
_SECOND = 10**9
_TYPES = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


class ListedFile(NamedTuple):
    """A file as it is listed.

    Attributes:
        name: or path, as it is shown.
        inode: what it leads to.
        target: where it leads if it is a symbolic link; None if it is none, or nobody can tell.
    """

    name: bytes
    inode: Inode
    target: bytes | None


def joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Return many lines at once."""
    parts: list[bytes] = []
    for line in lines:
        parts.append(line)
        if len(parts) == _AT_ONCE:
            yield b"".join(parts)
            parts.clear()
    yield b"".join(parts)


def name_line(name: bytes) -> bytes:
    r"""Return a name as a line of text.

    >>> name_line(b"caf\xc3\xa9 \xff\n").decode()
    'café \\xff\\x0a\n'
    """
    return f"{name_text(name)}\n".encode()


def name_text(name: bytes) -> str:
    """Return a name as text, with escapes for what is none."""
    return printable(name.decode("utf-8", "surrogateescape"))


def raw_name(name: bytes) -> bytes:
    """Return a name as it is, with the NUL that no name has at its end."""
    return name + b"\0"


def long_line(file: ListedFile) -> bytes:
    """Return a line as of `ls -ln`, with the time in UTC."""
    inode = file.inode
    name = name_text(file.name)
    if file.target is not None:
        name = f"{name} -> {name_text(file.target)}"
    size = f"{inode.rdev[0]}, {inode.rdev[1]}" if _is_device(inode) else inode.size
    owner = f"{inode.nlink:>3} {inode.uid:>5} {inode.gid:>5}"
    return f"{_mode(inode.mode)} {owner} {size:>11} {_time(inode.mtime)}Z {name}\n".encode()


def file_object(file: ListedFile) -> bytes:
    """Return a JSON object."""
    fields = {"type": "file", **name_fields("name", file.name), **inode_fields(file.inode)}
    if file.target is not None:
        fields |= name_fields("target", file.target)
    if _is_device(file.inode):
        fields["major"], fields["minor"] = file.inode.rdev
    return json_line(**fields)


def inode_fields(inode: Inode) -> dict[str, Any]:
    """Return what any file has in JSON."""
    fields: dict[str, Any] = {
        "kind": type_text(inode.mode),
        "mode": f"{stat.S_IMODE(inode.mode):04o}",
        "uid": inode.uid,
        "gid": inode.gid,
        "links": inode.nlink,
        "size": inode.size,
        "inode": inode.number,
    }
    for name in ("atime", "mtime", "ctime"):
        time = getattr(inode, name)
        fields[name] = f"{_time(time)}.{time % _SECOND:09}Z"
    return fields


def type_text(mode: int) -> str:
    """Return what a file is, in a word or two."""
    return _TYPES.get(stat.S_IFMT(mode), "file of unknown type")


def name_fields(field: str, name: bytes) -> dict[str, str]:
    """Return a name as text, and where that loses something its bytes too."""
    text = name.decode("utf-8", "replace")
    is_lossless = text.encode() == name
    return {field: text} if is_lossless else {field: text, f"{field}_raw": b64encode(name).decode()}


def _is_device(inode: Inode) -> bool:
    return stat.S_ISCHR(inode.mode) or stat.S_ISBLK(inode.mode)


@cache
def _mode(mode: int) -> str:
    return stat.filemode(mode)


def _time(time: int) -> str:
    """Return a time in UTC, to the second."""
    day, second = divmod(time // _SECOND, _DAY)
    hour, second = divmod(second, 3600)
    return f"{_date(day)}T{hour:02}:{second // 60:02}:{second % 60:02}"


@cache
def _date(day: int) -> str:
    from datetime import date, timedelta

    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()
