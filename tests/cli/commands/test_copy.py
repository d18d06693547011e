"""`thinmeta copy`: the files of a volume on the host, as the kernel showed them on a mount."""

import hashlib
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.commands.test_tar import DEVICES, LINE
from tests.cli.invocations import DATA, GOOD, UNMEASURED
from tests.cli.test_contract import as_nobody
from tests.conftest import OwnImage, Thinmeta
from tests.docker_cases import ODD
from tests.files.recorded import recorded_files
from tests.files.small_ext2 import HELLO
from tests.names.docker_roots import copied
from tests.volume.data_images import Device
from thinmeta.errors import ExitCode

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
WITH_ODD = next(each for each in DEVICES if (each.case, each.device_id) == (ODD, 18))
XFS = next(each for each in DEVICES if each.case == "docker-loop-lvm-xfs-64k")
KINDS = {
    "f": stat.S_ISREG,
    "d": stat.S_ISDIR,
    "l": stat.S_ISLNK,
    "c": stat.S_ISCHR,
    "b": stat.S_ISBLK,
    "p": stat.S_ISFIFO,
    "s": stat.S_ISSOCK,
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that anybody may reach, and write to."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)  # noqa: PTH101
        yield Path(name)


@pytest.fixture
def good(own_image: OwnImage) -> Path:
    return own_image(GOOD)


def options_of(device: Device) -> list[object]:
    return ["-p", device.metadata, "--data", device.data, "--size", device.size, "--all"]


def small(good: Path) -> list[object]:
    """Return where a device is whose file system has one file, `/hello`."""
    return ["-p", good, "--data", DATA.name]


Told = dict[bytes, tuple[object, ...]]


def recorded(device: Device, *, archive: bool) -> Told:
    found: Told = {}
    for line in recorded_files(device.case)[device.device_id].lines:
        if line == b"lines -> ":  # of a name with a line end, which was sorted away from the rest
            continue
        match = LINE.fullmatch(line if b" -> " in line else line + b"\nlines -> ")
        assert match is not None
        kind, mode, uid, gid, size, seconds, rest, path, target = match.groups()
        if archive or kind in b"fdl":
            found[path] = (
                kind.decode(),
                int(mode, 8) & (0o7777 if archive else 0o777),
                (int(uid), int(gid)) if archive else None,
                int(size) if kind == b"f" else None,
                Decimal(seconds.decode()) + Decimal(rest.decode()),
                target,
            )
    return found


def told(top: Path, *, archive: bool) -> Told:
    found: Told = {}
    base = os.fsencode(top)
    for parent, folders, files in os.walk(base):
        for name in (*folders, *files, *([b""] if parent == base else [])):
            path = os.path.join(parent, name) if name else parent  # noqa: PTH118
            status = os.lstat(path)
            kind = next(letter for letter, holds in KINDS.items() if holds(status.st_mode))
            found[b"." + path.removeprefix(base)] = (
                kind,
                stat.S_IMODE(status.st_mode),
                (status.st_uid, status.st_gid) if archive else None,
                status.st_size if kind == "f" else None,
                Decimal(status.st_mtime_ns).scaleb(-9),
                os.readlink(path) if kind == "l" else b"",  # noqa: PTH115
            )
    return found


def sums(top: Path) -> dict[bytes, str]:
    base = os.fsencode(top)
    return {
        b"." + path.removeprefix(base): hashlib.sha256(
            Path(os.fsdecode(path)).read_bytes()
        ).hexdigest()
        for parent, _, files in os.walk(base)
        for path in (os.path.join(parent, name) for name in files)  # noqa: PTH118
        if stat.S_ISREG(os.lstat(path).st_mode)
    }


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@as_root
@pytest.mark.parametrize("device", [WITH_ODD, XFS], ids=str)
def test_an_archive_is_what_find_said(device: Device, folder: Path, thinmeta: Thinmeta) -> None:
    out = folder / "out"

    result = thinmeta(*("copy", device.device_id, "/", out, "--archive"), *options_of(device))

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert (result.stdout, result.stderr) == ("", "")
    assert told(out, archive=True) == recorded(device, archive=True)
    named = {path: each for path, each in sums(out).items() if b"\n" not in path}
    known = recorded_files(device.case)[device.device_id].sha256
    assert named.items() <= known.items()


@as_root
def test_devices_links_holes_and_attributes_are_kept(folder: Path, thinmeta: Thinmeta) -> None:
    out = folder / "out"

    thinmeta("copy", 18, "/rootfs/odd-now", out, "--archive", *options_of(WITH_ODD))

    assert (out / "hard-1").stat().st_ino == (out / "hard-2").stat().st_ino
    assert (out / "hard-1").stat().st_nlink == 3
    assert (out / "null").lstat().st_rdev == os.makedev(1, 3)
    assert (out / "sparse").stat().st_blocks <= 16
    assert os.getxattr(out / "able", "security.capability").hex().startswith("01000002")
    assert os.getxattr(out / "attributes", "user.short") == b"short"
    assert os.getxattr(out / "acl", "system.posix_acl_access")[:4] == b"\2\0\0\0"
    assert os.getxattr(out / "acl-folder", "system.posix_acl_default")[:4] == b"\2\0\0\0"


def test_anybody_gets_files_without_what_only_root_gives(folder: Path, thinmeta: Thinmeta) -> None:
    out = folder / "out"
    metadata, data = folder / "meta", os.open(WITH_ODD.data, os.O_RDONLY)
    shutil.copyfile(WITH_ODD.metadata, metadata)
    words = ["-p", metadata, "--data", f"/dev/fd/{data}", "--size", WITH_ODD.size, "--all"]
    thinmeta("files", 18, *words)  # what nobody may not import is loaded now
    thinmeta("copy", 18, "/id", folder / "first", *words)

    try:
        with as_nobody():
            result = thinmeta("copy", 18, "/rootfs/odd-now", "/rootfs/etc", out, *words)
            refused = thinmeta("copy", 18, "/", out, "--archive", *words)
    finally:
        os.close(data)

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "devices, pipes and sockets that were left out: 4" in result.stderr
    assert names_in(out) == ["etc", "odd-now"]
    expected = recorded(WITH_ODD, archive=False)
    for name in ("etc", "odd-now"):
        top = b"./rootfs/" + name.encode()
        below = {b"." + path.removeprefix(top): each for path, each in expected.items()
                 if path == top or path.startswith(top + b"/")}  # fmt: skip
        assert told(out / name, archive=False) == below
    assert (out / "odd-now/hard-1").stat().st_ino == (out / "odd-now/hard-2").stat().st_ino
    assert (out / "odd-now/hard-1").stat().st_uid == (os.geteuid() or 65534)
    assert refused.exit_code == ExitCode.USAGE
    assert "only root may do" in refused.stderr


def test_a_new_name_a_folder_and_contents(good: Path, folder: Path, thinmeta: Thinmeta) -> None:
    (folder / "there").mkdir()
    for path, destination, made in (
        ("/hello", "new", "new"),
        ("/hello", "there", "there/hello"),
        ("/", "whole", "whole/hello"),
        ("/", "whole/..", "hello"),
        ("/.", "there/", None),
    ):
        result = thinmeta("copy", 1, path, folder / destination, *small(good))
        if made is None:
            assert result.exit_code == ExitCode.OTHER
            continue
        assert result.exit_code == ExitCode.DONE, result.stderr
        assert (folder / made).read_bytes() == HELLO


def test_what_exists_is_left_unless_it_is_forced(
    good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    old = folder / "hello"
    old.write_text("old")
    os.link(old, folder / "other")

    for _ in range(2):
        for destination in (folder, old):
            result = thinmeta("copy", 1, "/hello", destination, *small(good))
            assert result.exit_code == ExitCode.OTHER
            assert result.stderr == (
                f"Error: {old}: is there already, and is left as it is; --force replaces it\n"
            )
            assert old.read_text() == "old"
    result = thinmeta("copy", 1, "/hello", folder, "--force", *small(good))

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert old.read_bytes() == HELLO
    assert (folder / "other").read_text() == "old"
    assert names_in(folder) == ["hello", "other"]


def test_a_link_at_the_destination_is_not_written_through(
    good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    victim = folder / "victim"
    victim.write_text("old")
    out = folder / "out"
    out.mkdir()
    (out / "hello").symlink_to(victim)

    refused = thinmeta("copy", 1, "/", out, *small(good))
    result = thinmeta("copy", 1, "/", out, "--force", *small(good))

    assert refused.exit_code == ExitCode.OTHER
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert victim.read_text() == "old"
    assert not (out / "hello").is_symlink()
    assert (out / "hello").read_bytes() == HELLO


@pytest.mark.parametrize("way", ["itself", "link", "hard link"])
def test_an_input_is_not_replaced(way: str, good: Path, folder: Path, thinmeta: Thinmeta) -> None:
    data = folder / "hello"
    shutil.copyfile(DATA.name, data)
    name = folder / "name"
    if way == "link":
        name.symlink_to(data)
    elif way == "hard link":
        os.link(data, name)
    given = data if way == "itself" else name
    before = data.stat()

    for destination in (folder, data):
        result = thinmeta("copy", 1, "/hello", destination, "--force", "-p", good, "--data", given)

        assert result.exit_code == ExitCode.OTHER
        assert "which is never written to" in result.stderr
        after = data.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_nothing_is_made_below_dockers_root(good: Path, folder: Path, thinmeta: Thinmeta) -> None:
    root = copied(folder / "docker")
    # It names no file system that would have to be on the base device of that metadata.
    (root / "devicemapper/metadata/deviceset-metadata").write_text("{}")
    (folder / "link").symlink_to(root)
    before = sorted(folder.rglob("*"))
    words = [*small(good), "--docker-root", root]

    for destination in (root, root / "new", root / "image", folder / "link", folder / "link/new"):
        for paths in (["/hello"], ["/hello", "/lost"], ["/"]):
            result = thinmeta("copy", 1, *paths, destination, *words)

            assert result.exit_code in (ExitCode.OTHER, ExitCode.NOT_THERE)
            assert "is below Docker's root" in result.stderr or "/lost" in paths
    assert sorted(folder.rglob("*")) == before


def test_what_is_not_there_is_said_and_the_rest_is_copied(
    good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta("copy", 1, "/nothing", "/hello", folder / "out", *small(good))
    none = thinmeta("copy", 1, "/nothing", "/neither", folder / "none", *small(good))
    twice = thinmeta("copy", 1, "/hello", "hello", folder / "none", *small(good))

    assert result.exit_code == none.exit_code == ExitCode.NOT_THERE
    assert result.stderr == "Error: /nothing: is not there\n"
    assert (folder / "out/hello").read_bytes() == HELLO
    assert twice.exit_code == ExitCode.USAGE
    assert "/hello and /hello would be one file of DEST" in twice.stderr
    assert names_in(folder) == ["out"]


@pytest.mark.parametrize("archive", [False, pytest.param(True, marks=as_root)])
def test_default_acls_of_the_destination_change_no_mode(
    archive: bool, folder: Path, thinmeta: Thinmeta
) -> None:
    """What is new would get the ACL that the folder has for all that is made in it."""
    entries = [(0x01, 7, -1), (0x02, 7, 65534), (0x04, 7, -1), (0x10, 7, -1), (0x20, 7, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *each) for each in entries)
    try:
        os.setxattr(folder, "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    words = ["--archive"] if archive else []

    result = thinmeta("copy", 18, "/rootfs", folder / "out", *words, *options_of(WITH_ODD))

    assert "cannot be set" not in result.stderr
    assert told(folder / "out", archive=archive) == {
        path.replace(b"./rootfs", b".", 1): each
        for path, each in recorded(WITH_ODD, archive=archive).items()
        if path.startswith(b"./rootfs")
    }
    names = [
        Path(place, name)
        for place, folders, files in os.walk(folder / "out")
        for name in (*folders, *files)
        if not Path(place, name).is_symlink()
    ]
    assert archive or not [each for each in names if os.listxattr(each)]


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from thinmeta.cli import main
main(sys.argv[1:])
"""


def test_a_file_that_is_too_large_for_the_host_leaves_the_rest(folder: Path) -> None:
    words = [*map(str, options_of(WITH_ODD))]
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, "copy", "18", "/rootfs/bin", str(folder / "out"), *words],
        capture_output=True,
        text=True,
        check=False,
        env=UNMEASURED,
    )

    assert ran.returncode == ExitCode.OTHER
    assert ran.stderr == f"Error: {folder}/out/busybox: File too large\n"
    assert "busybox" not in names_in(folder / "out")
    assert (folder / "out/cat").is_symlink()


@as_root
def test_a_host_that_is_full_is_the_end(folder: Path, thinmeta: Thinmeta) -> None:
    options = ["-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        result = thinmeta("copy", 18, "/rootfs/", folder / "out", *options_of(WITH_ODD))
        left = sorted(path.name for path in folder.rglob("*"))
    finally:
        subprocess.run(["umount", str(folder)], check=True)

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr.splitlines()[-1].startswith(f"Error: {folder}/out/")
    assert "cannot be written: No space left on device; files that were copied before: " in (
        result.stderr
    )
    assert "busybox" not in left
