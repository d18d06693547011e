"""What commands that compare the files of two volumes share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.file_options import VolumeChoice, opened_device
from thinmeta.cli.lost_files import LostFiles
from thinmeta.cli.volume_files import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.analyse.layers import MeasuredLayer
    from thinmeta.files.file_changes import ComparedTree, FileChange
    from thinmeta.files.file_system import FileError, Inode
    from thinmeta.files.same_files import SameFiles
    from thinmeta.model.pool import Pool
    from thinmeta.units import DeviceId


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
    yield from file_changes(old, new, _same_files(left, right))


def _same_files(left: VolumeFiles, right: VolumeFiles) -> "SameFiles | None":
    """Return what tells which files two volumes of one pool have in common, if anything does."""
    from thinmeta.files.same_files import same_files
    from thinmeta.volume.byte_ranges import unshared

    changed = unshared(left.volume.layout, right.volume.layout)
    return same_files(left.opened, right.opened, changed)


class _ComparedLayer(NamedTuple):
    """The files of a layer, and what they are on."""

    volume: VolumeFiles
    tree: "ComparedTree"


class StackFiles:
    """The files of the devices of a stack, each held against what is below it."""

    def __init__(
        self, place: VolumeChoice, pool: "Pool", report: DamageReport, lost: LostFiles
    ) -> None:
        """Begin with nothing read.

        Args:
            place: where the files are.
            pool: the pool.
            report: the policy of the command.
            lost: is told of what cannot be read.
        """
        self._place = place
        self._pool = pool
        self._report = report
        self._lost = lost
        self._has_rootfs = place.choice.names.containerd_root is None

    def changes(self, layer: "MeasuredLayer") -> Iterator["FileChange"]:
        """Yield what a device changed; the base device, on which there are no files, nothing.

        Raises:
            InputError: the file system of the device, or of the one below, cannot be read.
        """
        from thinmeta.files.file_changes import file_changes
        from thinmeta.names.catalogue import NameKind

        record, parent = layer.docker.record, layer.parent
        if layer.docker.kind is NameKind.BASE:
            return
        if record is None or layer.usage is None:
            self._lost.lose(f"{layer.docker.name} is not in the pool, nor are its files")
            return
        of_parent = parent.record if parent is not None else None
        if layer.written is None or (of_parent is None and not layer.docker.is_first):
            what = "what it was created from is not in the pool: nobody can tell what it changed"
            self._lost.lose(f"device {record.device_id} ({layer.docker.name}): {what}")
            return
        has_files_below = parent is not None and parent.kind is not NameKind.BASE
        with self._opened(record.device_id) as new:
            if of_parent is None or not has_files_below:
                if new is not None:
                    yield from file_changes(None, new.tree)
                return
            with self._opened(of_parent.device_id) as old:
                if old is not None and new is not None:
                    same = _same_files(old.volume, new.volume)
                    yield from file_changes(old.tree, new.tree, same)

    @contextmanager
    def _opened(self, device_id: "DeviceId") -> Iterator["_ComparedLayer | None"]:
        """Open what is below `rootfs` on a device; None, and tell, if it has none."""
        from thinmeta.files.file_system import FileError

        chosen = self._place.device(self._pool, device_id)
        with opened_device(self._place, self._pool, chosen, self._report) as volume:
            why, root = "has no rootfs, below which Docker has the files", None
            try:
                root = volume.docker_root() if self._has_rootfs else volume.top()
            except FileError as error:
                why = str(error)
            if root is None:
                self._lost.lose(f"device {chosen.name}: {why}")
                yield None
            else:
                yield _ComparedLayer(volume, compared_tree(volume, root, chosen.name, self._lost))
