"""Copies of disks that failed: what was never read of them cannot be read, whatever is there now.

GNU ddrescue writes a copy, in which that is zeros, and a map that says what it is. What is known
of a file here holds for all that opens it, by whatever name.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thinmeta.device.compressed import MAGIC_BYTES, packing_of
from thinmeta.device.part_of_file import PartOfFile
from thinmeta.device.rescue_map import RescueMap
from thinmeta.device.storage import Identity, identity_of, status_of
from thinmeta.errors import InputError

_MOST_MAP_BYTES = 64 << 20
"""More than two million bad ranges take."""

_END = 2**63


class BadMap:
    """What of a file was never read from the disk that it is a copy of.

    Attributes:
        path: of the map.
    """

    def __init__(self, path: Path, lost: Iterable[tuple[int, int]]) -> None:
        """Take the ranges that are lost, in bytes, which follow each other."""
        self.path = path
        ranges = list(lost)
        self._begins = [begin for begin, _ in ranges]
        self._ends = [end for _, end in ranges]

    @classmethod
    def read(cls, path: Path) -> "BadMap":
        """Read a mapfile of GNU ddrescue; what it does not speak of is lost, too.

        Raises:
            InputError: it is none, or cannot be read.
        """
        try:
            if not path.is_file():
                raise InputError(f"{path}: there is no such file")
            if path.stat().st_size > _MOST_MAP_BYTES:
                raise InputError(f"{path}: is too large for a map of GNU ddrescue")
            rescue_map = RescueMap.parse(path.read_text().splitlines())
        except OSError as error:
            raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        except ValueError as error:
            raise InputError(f"{path}: is no map of GNU ddrescue: {error}") from error
        return cls(path, [*rescue_map.unfinished(), (rescue_map.size, _END)])

    def beginning(self, offset: int, length: int) -> tuple[bool, int]:
        """Return whether what begins at `offset` is lost, and how much of `length` is so, too.

        >>> lost = BadMap(Path("map"), [(100, 200)])
        >>> lost.beginning(50, 100), lost.beginning(100, 50)
        ((False, 50), (True, 50))
        """
        place = bisect_right(self._begins, offset) - 1
        if place >= 0 and offset < self._ends[place]:
            return True, min(length, self._ends[place] - offset)
        if place + 1 < len(self._begins):
            length = min(length, self._begins[place + 1] - offset)
        return False, length

    def __str__(self) -> str:
        """Say why what is lost cannot be read."""
        return f"was never read from the disk that failed, as {self.path} says"


_known: dict[Identity, BadMap] = {}


@contextmanager
def bad_maps(maps: Iterable[tuple[Path, Path]]) -> Iterator[None]:
    """Know copies and their maps, until the context ends.

    Args:
        maps: of each copy its path and that of its map.

    Raises:
        InputError: a file is missing, a map is none, or a copy is compressed, or has two maps.
    """
    before = dict(_known)
    try:
        found: dict[Identity, BadMap] = {}
        for copy, path in maps:
            identity = _identity_of_copy(copy)
            if identity in found:
                what = f"has two maps, {found[identity].path} and {path}; give the one of the copy"
                raise InputError(f"{copy}: {what}")
            found[identity] = BadMap.read(path)
        _known.update(found)
        yield
    finally:
        _known.clear()
        _known.update(before)


def bad_map_of(file: Path | int) -> BadMap | None:
    """Return what of a file, by path or descriptor, is lost; None if nobody knows of any."""
    return _known.get(identity_of(status_of(file))) if _known else None


def known_maps() -> list[Path]:
    """Return the maps that are known, which are read and never written to."""
    return [bad.path for bad in _known.values()]


def _identity_of_copy(copy: Path) -> Identity:
    path = PartOfFile.of(copy).path
    try:
        if path.is_file():
            with path.open("rb") as file:
                if packing_of(file.read(MAGIC_BYTES)):
                    raise InputError(f"{path}: is compressed, and its map is not: unpack it first")
        return identity_of(path.stat())
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
