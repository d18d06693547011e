"""Where a root of Docker's, or of containers-storage, is below or around what was given."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from thinmeta.errors import InputError

DRIVER = "devicemapper"

_OF_ROOT = (DRIVER, f"image/{DRIVER}", f"{DRIVER}-layers")
_WITHIN = {DRIVER, "metadata", "image", "containers", "graph"} | {
    f"{DRIVER}-{each}" for each in ("layers", "images", "containers")
}
"""Folders of a root; where one of them was given, the root is above it."""

_BELOW = (".", "docker", "var/lib/docker", "storage", "var/lib/containers/storage")
_OF_USER = re.compile(r"[0-9]{1,10}\.[0-9]{1,10}")
_ENTRIES = 1 << 10  # of a folder that is no root, looked through for those of users


class FoundRoot(NamedTuple):
    """A root.

    Attributes:
        root: the folder.
        driver: its `devicemapper`.
        metadata: its `devicemapper/metadata`; neither need be there.
        of_users: roots within it, of a daemon that maps its users to others.
    """

    root: Path
    driver: Path
    metadata: Path
    of_users: tuple[Path, ...] = ()


def found_root(path: Path) -> FoundRoot:
    """Find a root: it is `path`, or below it, or `path` is a folder in it.

    Args:
        path: as it was given.

    Raises:
        InputError: there is none, or there are several.
    """
    try:
        if not path.is_dir():
            raise InputError(f"{path}: is no directory that can be read")
        for root in _around(path):
            if _is_root(root):
                return FoundRoot(root, root / DRIVER, root / DRIVER / "metadata", _of_users(root))
        below = list(_below(path))
        if len(below) > 1:
            listed = ", ".join(map(str, below))
            raise InputError(f"{path}: holds several roots; give the one of this pool: {listed}")
        if below:
            return FoundRoot(below[0], below[0] / DRIVER, below[0] / DRIVER / "metadata")
        if (path / "metadata").is_dir():  # a copy of `devicemapper` alone, by another name
            return FoundRoot(path, path, path / "metadata")
        if any((path / each).is_file() for each in ("deviceset-metadata", "base")):
            return FoundRoot(path, path, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    raise InputError(
        f"{path}: is not Docker's root: there is no devicemapper/metadata and no image/devicemapper"
    )


def folders_of(path: Path) -> list[Path]:
    """Return the folders that a root is in: each of its files is below one of them.

    They are `path` itself, the root that it leads to, and the folders in that, which may be
    links to elsewhere. Never `/`, below which is everything.
    """
    folders = [path]
    with suppress(InputError):
        found = found_root(path)
        within = [found.root / each for each in sorted(_WITHIN)]
        folders += [*found[:3], found.driver / DRIVER, *within]
    return [each for each in folders if not _is_top(each)]


def loop_files(path: Path) -> tuple[Path, Path] | None:
    """Return the files of metadata and data of a root's own pool, without reading the root.

    Raises:
        InputError: there is nothing of Docker's.
    """
    folder = found_root(path).root / DRIVER / DRIVER
    metadata, data = folder / "metadata", folder / "data"
    return (metadata, data) if metadata.is_file() and data.is_file() else None


def _around(path: Path) -> Iterator[Path]:
    whole = Path(os.path.abspath(path))  # noqa: PTH100  # a link's parent is where it is named
    if whole.name not in _WITHIN or (whole / DRIVER / "metadata").is_dir():
        yield path
    if whole.name in _WITHIN:
        yield from (whole.parent, whole.parent.parent)
        yield path


def _below(path: Path) -> Iterator[Path]:
    for each in _BELOW:
        folder = path / each
        if each != "." and _is_root(folder):
            yield folder
        yield from _of_users(folder)


def _of_users(folder: Path) -> tuple[Path, ...]:
    """Return the roots in a folder that are called by the ids of a user and a group."""
    with suppress(OSError), os.scandir(folder) as entries:
        names = [each.name for each in islice(entries, _ENTRIES)]
        return tuple(
            folder / name
            for name in sorted(names)
            if _OF_USER.fullmatch(name) and _is_root(folder / name)
        )
    return ()


def _is_root(folder: Path) -> bool:
    return any((folder / each).is_dir() for each in _OF_ROOT)


def _is_top(path: Path) -> bool:
    with suppress(OSError):
        return path.samefile("/")
    return False
