"""A file appears whole or not at all; a device is written by nobody else."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.test_loop_device import attach, detach
from thinmeta.device.occupants import occupant_of
from thinmeta.device.outputs import OutputKind, errors_of, kind_of
from thinmeta.device.replacing import opened_device, replacing
from thinmeta.errors import OutputError
from thinmeta.schemas.magics import METADATA, SIGNATURES, Signature, signatures_at_end
from thinmeta.schemas.superblock import THIN_SUPERBLOCK_MAGIC, Superblock

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    (made / "old").write_bytes(b"before")
    return made


def replace(path: Path, content: bytes = b"after") -> None:
    with errors_of(str(path)), replacing(path) as fd:
        os.write(fd, content)


def assert_untouched(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert (folder / "old").read_bytes() == b"before"


def test_it_is_on_the_disk_before_it_has_the_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, Path.replace

    def synced(fd: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        sync(fd)

    def renamed(self: Path, target: Path) -> Path:
        steps.append("name")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)

    replace(folder / "old")

    assert steps == ["file", "name", "folder"]
    assert (folder / "old").read_bytes() == b"after"


@pytest.mark.parametrize("call", ["fsync", "write", "close", "rename", "open", "fchmod"])
def test_whatever_fails_leaves_what_was_there(
    call: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = getattr(os, call)

    def failing(*args: object, **others: object) -> object:
        if call == "open" and str(args[0]).endswith(".part"):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        result = plain(*args, **others) if call in ("open", "close") else None
        if call == "open":
            return result
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, failing)
    if call == "rename":
        monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match="old: cannot be written: "):
        replace(folder / "old")
    monkeypatch.undo()

    assert_untouched(folder)


def test_a_file_system_that_knows_no_sync_will_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_sync(_: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", no_sync)

    replace(folder / "old")

    assert (folder / "old").read_bytes() == b"after"


def test_mode_and_owner_stay(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(folder / "old", 1234, 2345)
    (folder / "old").chmod(0o4751)

    replace(folder / "old")

    status = (folder / "old").stat()
    assert (status.st_uid, status.st_gid) == (1234, 2345)
    assert stat.S_IMODE(status.st_mode) == 0o4751


def test_an_owner_that_may_not_stay_takes_his_rights_along(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(folder / "old", 1234, 2345)
    (folder / "old").chmod(0o6751)

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refused)
    replace(folder / "old")

    status = (folder / "old").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)
    assert stat.S_IMODE(status.st_mode) == 0o751


def test_a_new_file_is_nobodys_before(folder: Path) -> None:
    """While it is written, nobody else may open what had a mode against that."""
    (folder / "old").chmod(0o600)

    with replacing(folder / "old"):
        part = next(each for each in folder.iterdir() if each.name != "old")
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        assert part.name.startswith(".thinmeta-")
        assert part.name.endswith(".part")


WAITING = """
import os, signal, sys
from pathlib import Path
from thinmeta.device.replacing import replacing
with replacing(Path(sys.argv[1])) as fd:
    os.write(fd, b"half")
    for number in sys.argv[2:]:
        os.kill(os.getpid(), int(number))
    print("went on")
"""


@pytest.mark.parametrize(
    "numbers",
    [[signal.SIGHUP], [signal.SIGTERM], [signal.SIGHUP, signal.SIGTERM]],
    ids=["hup", "term", "both"],
)
def test_a_signal_leaves_what_was_there(numbers: list[signal.Signals], folder: Path) -> None:
    words = [sys.executable, "-c", WAITING, str(folder / "old"), *(str(int(n)) for n in numbers)]

    ran = subprocess.run(words, capture_output=True, check=False, timeout=120)

    assert ran.returncode == 128 + numbers[0]
    assert_untouched(folder)


def test_under_nohup_it_goes_on(folder: Path) -> None:
    words = ["nohup", sys.executable, "-c", WAITING, str(folder / "old"), str(int(signal.SIGHUP))]

    ran = subprocess.run(words, capture_output=True, check=False, timeout=120)

    assert (ran.returncode, ran.stdout) == (0, b"went on\n")
    assert (folder / "old").read_bytes() == b"half"


def test_the_kind_of_an_output(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("fifo")
    fd = os.open(folder / "old", os.O_RDWR)
    try:
        kinds = [
            kind_of(each)
            for each in (
                None,
                Path("-"),
                folder / "fifo",
                folder / "link",
                Path("/dev/null"),
                Path(f"/dev/fd/{fd}"),
                Path(f"/proc/self/fd/{fd}"),
                folder / "old",
                folder / "new",
            )
        ]
    finally:
        os.close(fd)

    assert kinds == [OutputKind.STREAM] * 7 + [OutputKind.FILE] * 2
    with pytest.raises(OutputError, match="out: cannot be written: Is a directory"):
        kind_of(folder)


# Block devices


DEVICE_BYTES = 8 * MIB + 4096
AT_END = signatures_at_end(DEVICE_BYTES)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "disk"
    file.touch()
    os.truncate(file, DEVICE_BYTES)
    path = attach(file)
    yield path
    detach(path)


@pytest.mark.loop_device
@pytest.mark.parametrize(
    "signature", SIGNATURES + AT_END, ids=lambda each: f"{each.what} {each.offset}"
)
def test_what_a_device_holds_is_named(signature: Signature, device: Path) -> None:
    offset, magic, what = signature
    with device.open("r+b") as file:
        file.seek(offset)
        file.write(magic)

    with pytest.raises(OutputError) as told, opened_device(device, force=False):
        pass
    assert str(told.value).startswith(f"{device}: has {what} already; --force ")
    with pytest.raises(OutputError, match="redirect standard output"), opened_device(device):
        pass
    with opened_device(device, force=True) as fd:
        os.write(fd, b"after")
    assert device.read_bytes()[:5] == b"after"


@pytest.mark.loop_device
def test_a_device_that_holds_nothing_is_written(device: Path) -> None:
    with opened_device(device, force=False) as fd:
        os.write(fd, b"after")

    assert device.read_bytes()[:5] == b"after"


@pytest.mark.loop_device
@pytest.mark.parametrize("force", [None, False, True])
def test_a_device_in_use_is_refused(force: bool | None, device: Path) -> None:
    holder = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        with (
            pytest.raises(OutputError, match="cannot be written: is in use"),
            errors_of(str(device)),
            opened_device(device, force=force),
        ):
            pass
    finally:
        os.close(holder)


def test_the_signature_of_metadata_is_the_superblocks_magic(tmp_path: Path) -> None:
    signature = next(each for each in SIGNATURES if each.what == METADATA)
    place = sum(field.sizeof() for field in Superblock.subcons[:4])

    assert signature.magic == THIN_SUPERBLOCK_MAGIC.to_bytes(8, "little")
    assert signature.offset == place
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file:
        assert occupant_of(file.fileno()) is None


def test_where_an_array_has_its_superblock_at_the_end() -> None:
    # 0.90: the last 64 KiB that are whole and aligned; 1.0: 8 KiB before the end, or a bit more.
    assert [each.offset for each in AT_END] == [8 * MIB - (64 << 10), 8 * MIB - 4096]
    assert signatures_at_end(0) == ()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "vfat", "swap"])
def test_what_mkfs_makes_is_a_file_system(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.touch()
    os.truncate(file, 320 * MIB)
    words = ["mkswap"] if kind == "swap" else [f"mkfs.{kind}"]
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    try:
        made = subprocess.run([*words, file], env={"PATH": path}, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"there is no {words[0]}")
    assert made.returncode == 0, made.stderr

    with file.open("rb") as opened:
        found = occupant_of(opened.fileno())

    assert found is not None
    assert found.startswith("swap space" if kind == "swap" else "a file system (")
