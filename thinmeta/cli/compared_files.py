"""What commands that compare the files of two volumes share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thinmeta.cli.damage import LostFiles
from thinmeta.cli.file_options import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.files.file_changes import ComparedTree, FileChange
    from thinmeta.files.file_system import FileError, Inode


def compared_tree(volume: VolumeFiles, root: "Inode", name: str, lost: LostFiles) -> "ComparedTree":
    """Return the files of a volume below `root`, to be held against others.

    Args:
        volume: which.
        root: the directory in which paths begin.
        name: of its device, for messages.
        lost: is told of what cannot be read.
    """
    from thinmeta.files.file_changes import ComparedTree
    from thinmeta.files.file_tree import shown

    def on_error(path: bytes, error: "FileError") -> None:
        lost.lose(f"device {name}: {shown(path)}: {error}")

    return ComparedTree(volume.opened.file_system, root, on_error)


def docker_root(volume: VolumeFiles, name: str, lost: LostFiles) -> "Inode | None":
    """Return the directory `rootfs` of a Docker device; None if it is none, or nobody can tell."""
    from thinmeta.files.file_system import FileError

    try:
        return volume.docker_root()
    except FileError as error:
        lost.lose(f"device {name}: {error}")
        return None


def changes_between(
    left: VolumeFiles, right: VolumeFiles, names: tuple[str, str], lost: LostFiles
) -> Iterator["FileChange"]:
    """Yield what changed from one volume to another.

    Where both are Docker's, paths begin at `rootfs`; otherwise at the root of either.
    """
    from thinmeta.files.file_changes import file_changes

    roots = [
        docker_root(volume, name, lost) for volume, name in zip((left, right), names, strict=True)
    ]
    old, new = (
        compared_tree(volume, volume.top() if None in roots else root or volume.top(), name, lost)
        for volume, root, name in zip((left, right), roots, names, strict=True)
    )
    yield from file_changes(old, new)
