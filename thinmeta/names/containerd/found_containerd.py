"""Where the three files of containerd's devmapper snapshotter are."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from thinmeta.errors import InputError

_SNAPSHOTTER = "io.containerd.snapshotter.v1.devmapper"
_SNAPSHOTS = "metadata.db"
_NAMESPACES = "io.containerd.metadata.v1.bolt/meta.db"
_ENTRIES = 1 << 12  # of a folder that are looked at


class FoundContainerd(NamedTuple):
    """The files, which need not all be there.

    Attributes:
        root: /var/lib/containerd, or what stands for it.
        pool: the list of devices, called as the pool.
        snapshots: `metadata.db`, beside it.
        namespaces: `meta.db`.
    """

    root: Path
    pool: Path
    snapshots: Path
    namespaces: Path


def found_containerd(path: Path) -> FoundContainerd:
    """Find the files.

    Args:
        path: see `read_containerd_root`.

    Raises:
        InputError: there is no pool's file, or there are several.
    """
    try:
        pools = [path] if path.is_file() else _pools(path)
        if len(pools) != 1:
            listed = ", ".join(map(str, pools))
            what = (
                f"has several pools; give the file of this one: {listed}"
                if pools
                else "is not containerd's root: there is no POOL.db of its devmapper snapshotter"
            )
            raise InputError(f"{path}: {what}")
        pool = pools[0]
        folder = Path(os.path.abspath(pool)).parent  # noqa: PTH100  # it need not be a link's target
        roots = (path, path / "var/lib/containerd", folder.parent, folder)
        namespaces = next(
            (root / _NAMESPACES for root in roots if (root / _NAMESPACES).is_file()), None
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    root = namespaces.parents[1] if namespaces else folder
    return FoundContainerd(
        root, pool, pool.parent / _SNAPSHOTS, namespaces or folder / Path(_NAMESPACES).name
    )


def containerd_folders(path: Path) -> list[Path]:
    """Return the folders in which the files are.

    Raises:
        InputError: as `found_containerd`.
    """
    found = found_containerd(path)
    return [found.pool.parent, found.namespaces.parent]


def _pools(path: Path) -> list[Path]:
    """Return the lists of devices in the first folder that has some."""
    if not path.is_dir():
        raise InputError(f"{path}: is no directory and no file that can be read")
    for folder in _folders(path):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                names = sorted(each.name for each in islice(entries, _ENTRIES))
            others = (_SNAPSHOTS, Path(_NAMESPACES).name)
            found = [each for each in names if each.endswith(".db") and each not in others]
            if found:
                return [folder / each for each in found]
    return []


def _folders(path: Path) -> Iterator[Path]:
    for root in (path, path / "var/lib/containerd"):
        yield from (root, root / _SNAPSHOTTER, root / "devmapper")
