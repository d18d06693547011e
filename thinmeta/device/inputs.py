"""What a command reads: it is never written to, by whatever name or way."""

import os
import stat
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path

from thinmeta.device.bad_maps import known_maps
from thinmeta.device.kernel import SYSFS
from thinmeta.device.part_of_file import PartOfFile
from thinmeta.device.storage import Identity, Storage, identity_of, status_of
from thinmeta.errors import InputError, OutputError


class Inputs:
    """Files, devices and folders that are read.

    >>> inputs = Inputs(Path("pyproject.toml"))
    >>> inputs.refuse(Path("./pyproject.toml"))
    Traceback (most recent call last):
    thinmeta.errors.OutputError: pyproject.toml: is the input itself, which is never written to
    """

    def __init__(self, *paths: Path, sysfs: Path = SYSFS) -> None:
        """Begin with files or devices.

        Args:
            *paths: what is read; where there is no such file there is nothing to refuse.
            sysfs: where the kernel tells what devices are made of.
        """
        self._sysfs = sysfs
        self._read: list[tuple[str, Storage]] = []
        self._files: list[tuple[str, Mapping[int, Set[int]]]] = []
        self._folders: dict[Identity, str] = {}
        for path in (*paths, *known_maps()):
            self.add(path)

    def add(self, path: Path | int | None, what: str = "the input") -> None:
        """Add a file or a part of it, a device, an open descriptor, all below a folder; or None."""
        if isinstance(path, Path) and path.is_dir():
            self.add_folder(path, what)
        elif path is not None:
            with suppress(OSError, InputError):
                path = PartOfFile.of(path).path if isinstance(path, Path) else path
                self._read.append((what, Storage.of(path, self._sysfs)))

    def add_files(self, inodes: Mapping[int, Set[int]], what: str) -> None:
        """Add files by the inodes of each file system's number, whatever they are called."""
        self._files.append((what, inodes))

    def add_folder(self, folder: Path, what: str) -> None:
        """Add all that is below a folder."""
        with suppress(OSError):
            self._folders[identity_of(folder.stat())] = f"{what} {folder}"

    def refuse(self, output: Path | int, name: str | None = None) -> None:
        """Refuse to write to what is read, to what lies on it, and to what it lies on.

        Pipes, terminals and `/dev/null` are never refused: nothing is lost in them.

        Args:
            output: a path, which need not exist, or an open descriptor.
            name: of the output, for messages; None is its path.

        Raises:
            OutputError: it is read; or it would be a file of its own, and names a part of another.
        """
        name = name or str(output)
        mode = None
        with suppress(FileNotFoundError):
            mode = status_of(output).st_mode
        if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            return
        if isinstance(output, Path):
            self._refuse_below(output, name)
            if mode is None:
                _refuse_part(output, name)
        if mode is not None:
            storage = Storage.of(output, self._sysfs)
            for what in self._named_at(storage):
                raise OutputError(f"{name}: is {what} itself, which is never written to")

    def refuse_folder(self, folder: Path | int, name: str | None = None) -> None:
        """Refuse to write into a folder that is read, or into one that is below such a folder.

        Args:
            folder: a path, or an open descriptor, of which only the folder itself is looked at:
                whoever goes down into folders asks for each.
            name: of the folder, for messages; None is its path.

        Raises:
            OutputError: it is read.
        """
        name = name or str(folder)
        if isinstance(folder, Path):
            return self._refuse_below(folder / "in it", name)
        if self._folders and (what := self._folders.get(identity_of(os.fstat(folder)))):
            raise OutputError(f"{name}: is {what}, which is never written to")
        return None

    def _named_at(self, storage: Storage) -> Iterator[str]:
        """Return what of that which is read is there."""
        for what, read in self._read:
            if storage.overlaps(read):
                yield what
        for what, inodes in self._files:
            for each in storage.all:
                if not each.is_device and each.inode in inodes.get(each.number, ()):
                    yield what

    def _refuse_below(self, output: Path, name: str) -> None:
        if not self._folders:
            return
        real, spelled = Path(os.path.realpath(output)), Path(os.path.abspath(output))  # noqa: PTH100
        for folder in (*real.parents, *spelled.parents):  # by what they are, whatever is mounted
            with suppress(OSError):
                if what := self._folders.get(identity_of(folder.stat())):
                    raise OutputError(f"{name}: is below {what}, which is never written to")


def _refuse_part(output: Path, name: str) -> None:
    """Refuse a new file that from then on would be read in place of a part of another."""
    with suppress(InputError, OSError):
        part = PartOfFile.of(output)
        if part.offset is not None:
            raise OutputError(
                f"{name}: names a part of {part.path}, and parts of files are only read; "
                "give the output another name"
            )
