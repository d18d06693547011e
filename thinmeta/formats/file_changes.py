"""How `diff --files` and `layers --files` write what changed: as `docker diff` does, or as JSON."""

from typing import Any

from thinmeta.files.file_changes import FileChange
from thinmeta.files.file_system import Inode
from thinmeta.formats.files import inode_fields, name_fields, name_text
from thinmeta.formats.json_text import json_line


def change_line(change: FileChange) -> bytes:
    """Return a line as of `docker diff`."""
    return f"{change.kind.value} /{name_text(change.path)}\n".encode()


def change_object(change: FileChange, **about: Any) -> bytes:
    """Return a JSON object; `about` says of which device, where there are several."""
    return json_line(
        type="file_change",
        **about,
        change=change.kind.name.lower(),
        **name_fields("path", b"/" + change.path),
        what=change.what,
        left=_side(change.left),
        right=_side(change.right),
    )


def _side(inode: Inode | None) -> dict[str, Any] | None:
    if inode is None:
        return None
    fields = inode_fields(inode)
    return {**fields, "major": inode.rdev[0], "minor": inode.rdev[1]} if any(inode.rdev) else fields
