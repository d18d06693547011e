"""A file system as find lists it, for tests: slow, and by the interface alone."""

import stat
from collections.abc import Iterator

import numpy as np

from thinmeta.files.file_system import FileSystem, Inode
from thinmeta.files.reading import Cache

_TYPES = {
    stat.S_IFREG: "f",
    stat.S_IFDIR: "d",
    stat.S_IFLNK: "l",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
    stat.S_IFIFO: "p",
    stat.S_IFSOCK: "s",
}


def every_file(files: FileSystem) -> Iterator[tuple[bytes, Inode]]:
    """Return every file below the root, and it, by path, which begins with a dot."""
    pending = [(b".", files.root)]
    while pending:
        path, number = pending.pop()
        inode = files.inode(number)
        yield path, inode
        if inode.is_directory:
            pending += [(path + b"/" + each.name, each.number) for each in files.entries(inode)]


def find_line(files: FileSystem, path: bytes, inode: Inode) -> bytes:
    """Return what find printed of a file, as in `tests.files.recorded`."""
    target = files.link_target(inode) if stat.S_ISLNK(inode.mode) else b""
    seconds, ns = divmod(inode.mtime, 10**9)
    about = (
        f"{_TYPES[inode.type]} {stat.S_IMODE(inode.mode):o} {inode.uid}:{inode.gid} "
        f"{inode.size} {seconds}.{ns:09d}0 "
    )
    return about.encode() + path + b" -> " + target


def refuse_wrong_outline(files: FileSystem, inode: Inode) -> None:
    """Hold what is known of an inode at once against what is found when it is asked for."""
    (outline,) = files.outlines([inode])
    if outline.place is not None:
        extents = files.extents(inode)
        if inode.size:
            assert (extents.begin.tolist(), extents.place.tolist()) == ([0], [outline.place])
            assert int(extents.length[0]) >= inode.size
        assert stat.S_ISREG(inode.mode)
        assert files.inline(inode) is None
    if not outline.has_xattrs:
        assert files.xattrs(inode) == {}


def content(files: FileSystem, cache: Cache, inode: Inode) -> bytes:
    """Return the bytes of a file."""
    inline = files.inline(inode)
    if inline is not None:
        return inline
    data = np.zeros(inode.size, dtype=np.uint8)
    extents = files.extents(inode)
    columns = (extents.begin, extents.length, extents.place)
    for begin, length, place in zip(*(each.tolist() for each in columns), strict=True):
        end = min(begin + length, inode.size)
        if begin < end:
            data[begin:end] = np.frombuffer(cache.read(place, end - begin), dtype=np.uint8)
    return data.tobytes()
