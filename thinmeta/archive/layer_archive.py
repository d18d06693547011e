"""What changed from one tree of files to another as a tar: the layer that Docker makes of it.

Facts: `ExportChanges()`, pkg/archive/changes.go (moby 20.10), and recorded layers.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from thinmeta.archive.go_headers import go_header
from thinmeta.archive.tree_archive import TreeArchive
from thinmeta.archive.ustar import END, REGULAR, Member
from thinmeta.files.file_changes import ComparedTree, file_changes
from thinmeta.files.file_system import FileError, FileSystem, Inode
from thinmeta.files.file_tree import OnFileError, below, with_inodes

_WHITEOUT = b".wh."


class LayerMember(NamedTuple):
    """A file that a layer adds, changes or removes.

    Attributes:
        path: from the root on, without a slash at its beginning.
        number: of its inode; None if the layer removes it.
    """

    path: bytes
    number: int | None


def present(members: Iterable[LayerMember]) -> list[tuple[bytes, int]]:
    """Return path and inode number of each file that a layer does not remove."""
    return [(path, number) for path, number in members if number is not None]


def layer_members(
    left: ComparedTree | None, right: ComparedTree, *, by_ctime: bool = False
) -> list[LayerMember]:
    """Return what a layer has to say to make one tree of another, in the order of its tar.

    A file with a name that would remove another one is left out, with all below it, and the
    right tree is told of each.

    Args:
        left: the files of the layer below; None if there is none.
        right: the files of the layer.
        by_ctime: also what Docker would not see: see `file_changes`.
    """
    members = []
    for change in file_changes(left, right, by_ctime=by_ctime):
        if b"/" + _WHITEOUT in b"/" + change.path:
            why = FileError("is left out: its name, .wh., would remove another file")
            right.on_error(change.path, why)
            continue
        number = change.right.number if change.right is not None else None
        members.append(LayerMember(change.path, number))
    return sorted(members, key=lambda member: member.path)


def layer_pieces(
    archive: TreeArchive,
    file_system: FileSystem,
    members: Iterable[LayerMember],
    removed_at: Callable[[bytes], int],
    on_error: OnFileError,
) -> Iterator[bytes | memoryview]:
    """Return the tar of a layer in order; a view is valid until the next piece.

    Args:
        archive: a new one, with headers as Docker writes them.
        file_system: of the layer's files.
        members: of the layer, in order.
        removed_at: when the layer was made, in seconds since 1970, of the path of each
            file that it removes: Docker keeps the time at which it came to it.
        on_error: told of what is left out.

    Raises:
        FileError: a part of a file turned out to be unreadable.
    """

    def inodes(some: Iterable[LayerMember]) -> Iterator[tuple[bytes, Inode]]:
        for path, inode in with_inodes(file_system, present(some)):
            if isinstance(inode, FileError):
                on_error(path, inode)
            else:
                yield path, inode

    for is_removed, some in groupby(members, key=lambda member: member.number is None):
        if not is_removed:  # several archives, of which only the last one ends
            yield from (piece for piece in archive.pieces(inodes(some)) if piece is not END)
            continue
        for path, _ in some:
            folder, _, name = path.rpartition(b"/")
            whiteout = below(folder, _WHITEOUT + name)
            yield go_header(Member(whiteout, REGULAR, 0, mtime=removed_at(path)))
    yield END
