"""A volume that is rescued in several runs: the file, and beside it the map of what is there."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from thinmeta.device.inputs import Inputs
from thinmeta.device.outputs import errors_of
from thinmeta.device.replacing import opened_device, replacing, terminated_by_exception
from thinmeta.device.rescue_map import RescueMap, Status
from thinmeta.errors import OutputError
from thinmeta.units import OnProgress
from thinmeta.volume.contents import fill
from thinmeta.volume.copy_target import BlockTarget, CopyTarget, FileTarget
from thinmeta.volume.extract import OnUnreadable, copy
from thinmeta.volume.layout import Layout
from thinmeta.volume.sources import Sources, Unreadable
from thinmeta.volume.subject import Subject

_SAVE_SECONDS = 5.0
_NR_SAMPLES = 64
_MOST_SAMPLES = 1024
"""Of zeros: a sample of zeros is like an output that was never written."""
_SAMPLE_BYTES = 512
_MOST_MAP_BYTES = 16 << 20


class Rescue:
    """A volume being rescued; what is there stays when the run is cut short.

    Attributes:
        map: what became of each byte.
        map_path: the file that it is in.
    """

    def __init__(self, target: CopyTarget, map_path: Path, rescue_map: RescueMap) -> None:
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
        self._refuse_another_output(layout, sources)
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
            # What ended the run is told; an older map is a right one, too.
            with suppress(OSError, OutputError):
                self.save()
            raise
        self.save()

    def _refuse_another_output(self, layout: Layout, sources: Sources) -> None:
        """Compare samples of what the map says is there: a name may be another output's now.

        Raises:
            OutputError: one is not what can be read now.
        """
        compared = 0
        for begin in self._sampled(layout):
            sample = memoryview(bytearray(min(_SAMPLE_BYTES, layout.size - begin)))
            if any(fill(layout, sources, sample, begin)) or not any(sample):
                continue
            if os.pread(self._target.fd, len(sample), begin) != sample:
                raise OutputError(
                    f"{self.map_path}: what it says is finished at byte {begin} is not in the "
                    "output: that is another one, or was written to; to begin anew, remove "
                    "the map, or choose another with --map"
                )
            compared += 1
            if compared == _NR_SAMPLES:
                return

    def _sampled(self, layout: Layout) -> list[int]:
        """Return bytes of the volume to begin samples at, all over what is finished.

        They are shuffled, always in the same way, so that the first few are from everywhere.
        """
        finished = (part for part in self.map.parts if part.status is Status.FINISHED)
        pieces = [layout.between(part.begin, part.end) for part in finished]
        begins, ends = (
            np.concatenate(
                [np.empty(0, dtype=np.uint64), *(getattr(each, name) for each in pieces)]
            )
            for name in ("begin", "end")
        )
        sums = np.cumsum(ends - begins)
        if not len(sums):
            return []
        at = np.linspace(0, int(sums[-1]), _MOST_SAMPLES, endpoint=False).astype(np.uint64)
        place = np.searchsorted(sums, at, side="right")
        found = np.unique(ends[place] - (sums[place] - at)) // _SAMPLE_BYTES * _SAMPLE_BYTES
        return [int(each) for each in np.random.default_rng(0).permutation(found)]

    def save(self) -> None:
        """Write the map, after what it says is there.

        Raises:
            OutputError: it cannot be written.
            OSError: the target cannot be.
        """
        os.fsync(self._target.fd)
        with (
            errors_of(str(self.map_path)),
            replacing(self.map_path) as fd,
            open(fd, "w", closefd=False) as file,
        ):
            file.write(str(self.map))
        self._saved = time.monotonic()


@contextmanager
def open_rescue(  # noqa: PLR0913  # what, where to, and how
    path: Path,
    subject: Subject,
    size: int,
    inputs: Inputs,
    *,
    map_path: Path | None = None,
    force: bool = False,
) -> Iterator[Rescue]:
    """Begin to rescue a volume, or go on.

    Args:
        path: the file to write, or a block device.
        subject: what is rescued; a map of anything else is refused.
        size: of the volume, in bytes.
        inputs: what is read, which neither file nor map may be.
        map_path: the file of the map; None is beside a file, in `path`.map. Beside a block
            device, in `/dev`, it would be gone when the machine is started again.
        force: begin on a block device although it holds something.

    Raises:
        OutputError: it is a block device, and `map_path` is None; both are one file; the file
            is there and its map is not, or the other way round; the map is that of another
            volume, or none; the file has another size than the map says, or other contents;
            or the device holds something; or the map cannot be read or written.
        OSError: the output cannot be opened or written.
    """
    path = Path(os.path.realpath(path))
    if map_path is None and path.is_block_device():
        raise OutputError(
            f"{path}: is a block device, beside which no map can be kept: name a file for it with "
            "--map FILE; the next run goes on from there"
        )
    map_path = map_path or path.with_name(f"{path.name}.map")
    inputs.refuse(path)
    with errors_of(str(map_path)):
        inputs.refuse(map_path)
    is_one = map_path.exists() and path.exists() and map_path.samefile(path)
    if is_one or Path(os.path.realpath(map_path)) == path:
        raise OutputError(f"{map_path}: is the output itself; name another file with --map FILE")
    rescue_map = _read_map(map_path, subject, size)
    with (
        terminated_by_exception(),
        _opened(path, map_path, rescue_map, force=force) as fd,
    ):
        target = BlockTarget(fd, size) if path.is_block_device() else FileTarget(fd, size)
        rescue = Rescue(target, map_path, rescue_map or RescueMap.new(str(subject), size))
        try:
            rescue.save()
        except BaseException:
            if rescue_map is None and not path.is_block_device():
                path.unlink()  # there is nothing in it, and no map that says so
            raise
        yield rescue


@contextmanager
def _opened(
    path: Path, map_path: Path, rescue_map: RescueMap | None, *, force: bool
) -> Iterator[int]:
    is_new = rescue_map is None
    if path.is_block_device():
        # What it holds of a volume that is half rescued is the volume's own.
        with opened_device(path, force=force or not is_new) as fd:
            yield fd
        return
    if is_new and path.exists():
        raise OutputError(
            f"{path}: is there, but {map_path}, which would say what is missing in it, is not; "
            "remove it or choose another name"
        )
    if not is_new and not path.exists():
        raise OutputError(f"{map_path}: is there, but {path} is not; remove it or bring both back")
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if is_new else 0)
    fd = os.open(path, flags, 0o666)
    try:
        size = os.fstat(fd).st_size
        if rescue_map is not None and size != rescue_map.size:  # it would be filled up with zeros
            raise OutputError(
                f"{path}: has {size} bytes, and {map_path} is of {rescue_map.size}: it is not as "
                "the rescue left it; bring it back, or remove both to begin anew"
            )
        yield fd
    finally:
        os.close(fd)


def _read_map(map_path: Path, subject: Subject, size: int) -> RescueMap | None:
    try:
        found = map_path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would let wait for ever
            raise OutputError(f"{map_path}: is no regular file, so no map of a rescue")
        if found.st_size > _MOST_MAP_BYTES:
            raise OutputError(f"{map_path}: has {found.st_size} bytes, so it is no map of a rescue")
        with map_path.open() as lines:
            rescue_map = RescueMap.parse(lines)
        difference = Subject.parse(rescue_map.subject).difference(subject)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{map_path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise OutputError(f"{map_path}: is no map of a rescue: {error}") from error
    if difference is None and rescue_map.size != size:
        difference = f"{rescue_map.size} bytes; this has {size} bytes"
    if difference is not None:
        raise OutputError(
            f"{map_path}: is the map of something else: {difference}; to begin anew, remove it "
            "and the output, or choose another name"
        )
    return rescue_map
