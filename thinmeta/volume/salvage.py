"""A volume that is rescued in several runs: the file, and beside it the map of what is there."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thinmeta.errors import OutputError
from thinmeta.volume.extract import OnProgress, OnUnreadable, copy
from thinmeta.volume.layout import Layout
from thinmeta.volume.rescue_map import RescueMap
from thinmeta.volume.sources import Sources, Unreadable
from thinmeta.volume.target import BlockTarget, FileTarget, Target

_SAVE_SECONDS = 5.0


class Rescue:
    """A volume being rescued; what is there stays when the run is cut short.

    Attributes:
        map: what became of each byte.
        map_path: the file that it is in.
    """

    def __init__(self, target: Target, map_path: Path, rescue_map: RescueMap) -> None:
        """See `open_rescue`."""
        self.map = rescue_map
        self.map_path = map_path
        self._target = target
        self._saved = time.monotonic()

    def run(
        self,
        layout: Layout,
        sources: Sources,
        *,
        on_unreadable: OnUnreadable,
        on_progress: OnProgress,
    ) -> None:
        """Copy what is not finished, also what was bad; see `copy`.

        Raises:
            OSError: the target cannot be written; the map says what was until then.
        """
        bad: list[Unreadable] = []

        def leave_out(unreadable: Unreadable) -> None:
            bad.append(unreadable)
            on_unreadable(unreadable)

        windows = copy(
            layout,
            sources,
            self._target,
            parts=self.map.unfinished(),
            on_unreadable=leave_out,
            on_progress=on_progress,
        )
        try:
            for begin, end in windows:
                self.map.finish(begin, end, [(each.begin, each.end) for each in bad])
                bad.clear()
                if time.monotonic() > self._saved + _SAVE_SECONDS:
                    self.save()
        except BaseException:
            with suppress(OSError):  # what ended the run is told; an older map is a right one, too
                self.save()
            raise
        self.save()

    def save(self) -> None:
        """Write the map, after what it says is there.

        Raises:
            OSError: it cannot be written.
        """
        os.fdatasync(self._target.fd)
        part = self.map_path.with_name(f".thinmeta-{os.urandom(6).hex()}.part")
        try:
            part.write_text(str(self.map))
            part.replace(self.map_path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        self._saved = time.monotonic()


@contextmanager
def open_rescue(path: Path, subject: str, size: int) -> Iterator[Rescue]:
    """Begin to rescue a volume, or go on.

    Args:
        path: the file to write, or a block device; its map is beside it, in `path`.map.
        subject: what is rescued; a map of anything else is refused.
        size: of the volume, in bytes.

    Raises:
        OutputError: the file is there and its map is not, or the other way round; the
            map is that of another volume, or none.
        OSError: one of the two cannot be opened or written.
    """
    map_path = path.with_name(f"{path.name}.map")
    rescue_map = _read_map(map_path, subject, size)
    is_device = path.is_block_device()
    if rescue_map is None and path.exists() and not is_device:
        raise OutputError(
            f"{path}: is there, but {map_path}, which would say what is missing in it, is not; "
            "remove it or choose another name"
        )
    if rescue_map is not None and not path.exists():
        raise OutputError(f"{map_path}: is there, but {path} is not; remove it or bring both back")
    flags = os.O_RDWR | os.O_CLOEXEC
    if is_device:
        flags |= os.O_EXCL
    elif rescue_map is None:
        flags |= os.O_CREAT | os.O_EXCL
    fd = os.open(path, flags, 0o666)
    try:
        target = BlockTarget(fd, size) if is_device else FileTarget(fd, size)
        rescue = Rescue(target, map_path, rescue_map or RescueMap.new(subject, size))
        rescue.save()
        yield rescue
    finally:
        os.close(fd)


def _read_map(map_path: Path, subject: str, size: int) -> RescueMap | None:
    try:
        rescue_map = RescueMap.parse(map_path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, IndexError) as error:
        raise OutputError(f"{map_path}: is no map of a rescue: {error}") from error
    if (rescue_map.subject, rescue_map.size) != (subject, size):
        raise OutputError(
            f"{map_path}: is the map of something else: {rescue_map.subject or 'unknown'}, "
            f"{rescue_map.size} bytes; this is {subject}, {size} bytes"
        )
    return rescue_map
