"""Writing a file so that it appears whole or not at all, and a device that nobody uses."""

import errno
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from thinmeta.device.kernel import holders_of
from thinmeta.errors import OutputError

_SIGNALS = (signal.SIGHUP, signal.SIGTERM)
_NOT_SYNCED = (errno.EINVAL, errno.ENOTSUP)  # of file systems that know no sync


@contextmanager
def replacing(path: Path, *, force: bool | None = None) -> Iterator[int]:
    """Give a new file beside `path` that takes its name if all goes well.

    It is on the disk before it has the name. A link stays a link: what it leads to is
    replaced. Mode and, where that is permitted, owner stay.

    Args:
        path: a regular file, there or not.
        force: write over metadata of a pool; None: there is nothing to spare.

    Returns:
        A descriptor of the new file, for reading and writing.

    Raises:
        OutputError: the file is in use, or has metadata.
        OSError: it cannot be written; what was there is still there.
    """
    target = Path(os.path.realpath(path))
    before = _status_of(target)
    if before is not None:
        _refuse_held(path)
        if force is False:
            _refuse_metadata(path)
    part = target.with_name(f".thinmeta-{os.urandom(6).hex()}.part")
    with terminated_by_exception():
        try:
            new = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fd = os.open(part, new, 0o666 if before is None else 0o600)
            try:
                if before is not None:
                    _keep_owner_and_mode(fd, before)
                yield fd
                _sync(fd)
            finally:
                os.close(fd)
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        _sync_folder(target.parent)


@contextmanager
def opened_device(path: Path, *, force: bool | None = None) -> Iterator[int]:
    """Open a block device that nobody else has, and keep others away from it.

    Args:
        path: the device.
        force: write over what it holds; None: the command has no such option.

    Returns:
        A descriptor for reading and writing; all is on the device when the block ends.

    Raises:
        OutputError: it is in use, or holds what is not to be lost.
        OSError: it cannot be opened, or written.
    """
    from thinmeta.device.occupants import occupant_of

    _refuse_held(path)
    fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        if not force and (what := occupant_of(fd)):
            _refuse_occupied(path, what, force=force)
        yield fd
        _sync(fd)
    finally:
        os.close(fd)


@contextmanager
def terminated_by_exception() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as an error does, so that no half file stays.

    What is ignored, as SIGHUP is under nohup, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def terminate(number: int, _: object) -> None:
        for each in _SIGNALS:  # the next one would end the clearing up
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN and handler is not None:
                signal.signal(number, terminate)
        yield
    finally:
        for number, was in before.items():
            if was is not None:
                _: Any = signal.signal(number, was)


def _status_of(target: Path) -> os.stat_result | None:
    try:
        return target.stat()
    except FileNotFoundError:
        return None


def _refuse_held(path: Path) -> None:
    if holders := holders_of(path):
        raise OutputError(f"{path}: is in use by {', '.join(holders)}")


def _refuse_metadata(path: Path) -> None:
    from thinmeta.device.occupants import occupant_of
    from thinmeta.schemas.magics import METADATA

    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        what = occupant_of(fd)
    finally:
        os.close(fd)
    if what == METADATA:
        _refuse_occupied(path, what, force=False)


def _refuse_occupied(path: Path, what: str, *, force: bool | None) -> None:
    how = "redirect standard output to it to write" if force is None else "--force writes"
    raise OutputError(f"{path}: has {what} already; {how} over it")


def _keep_owner_and_mode(fd: int, before: os.stat_result) -> None:
    now = os.fstat(fd)
    mode = stat.S_IMODE(before.st_mode)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(fd, before.st_uid, before.st_gid)
        except PermissionError:
            mode &= ~(stat.S_ISUID | stat.S_ISGID)  # it would be that of somebody else
            with suppress(PermissionError):
                os.fchown(fd, -1, before.st_gid)
    os.fchmod(fd, mode)


def _sync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise


def _sync_folder(folder: Path) -> None:
    """Put a new name on the disk, where the folder may be read."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        _sync(fd)
    finally:
        os.close(fd)
