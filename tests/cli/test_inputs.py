"""Nothing that a command reads is written to: every command, every input, every name of it."""

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.invocations import COMMANDS as ALL
from tests.cli.invocations import MINIMAL, UNMEASURED, has_option, with_roots
from tests.conftest import Thinmeta
from tests.device.test_loop_device import attach, detach
from tests.files.small_ext2 import small_ext2
from tests.lvm.lvm_images import MIB, physical_volume
from tests.lvm.test_disks import one_pool
from tests.made_images import written
from tests.names.containerd_roots import NAMESPACES, made_root
from tests.names.containerd_roots import trees as containerd_trees
from tests.names.docker_roots import copied
from thinmeta.builder.restore import restore
from thinmeta.errors import ExitCode

# `copy` writes many files; what it spares is in tests/cli/commands/test_copy.py.
COMMANDS = [command for command in ALL if has_option(command, "--output")]
TEXT = one_pool()
XML = """<superblock uuid="" time="1" transaction="2" flags="0" version="2" data_block_size="128" nr_data_blocks="64">
  <device dev_id="1" mapped_blocks="3" transaction="0" creation_time="0" snap_time="1">
    <range_mapping origin_begin="0" data_begin="7" length="3" time="0"/>
  </device>
  <device dev_id="2" mapped_blocks="1" transaction="1" creation_time="1" snap_time="1">
    <single_mapping origin_block="2" data_block="20" time="1"/>
  </device>
</superblock>
"""  # noqa: E501
TABLE = b"pool: 0 8192 thin-pool 252:1 252:2 128 0 0\nthin: 0 384 thin 252:0 1\n"
BASE = "docker/devicemapper/metadata/base"

# What a command takes besides what it is to read; where it says twice, the latter counts.
LEAST = MINIMAL | {
    "cat": ("1", "/hello", "--data", "read/data"),
    "commit": ("dead1", "a", "--data", "read/data", "--docker-root", "read/docker"),
    "export": ("1", "--data", "read/data"),
    "extract": ("1", "--data", "read/data", "--size", "192K"),
    "files": ("1", "-l", "--data", "read/data"),
    "lvm": (),
    "repair": (),
    "restore": (),
    "save": ("demo:latest", "--data", "read/data", "--docker-root", "read/docker"),
    "tar": ("1", "--data", "read/data"),
    "undelete": ("1@ROOTS",),
}
# There are no images and no containers on that metadata's devices.
ENDING_WELL = [command for command in COMMANDS if command not in ("commit", "save")]
FORCED = ("extract", "pack", "repair", "restore", "undelete", "unpack")
READ_NAMES = ("layers", "ls")
ROOTS = ("Docker's root", "containerd's root")
READING_NAMES = [command for command in COMMANDS if command not in ("lvm", "restore")]


def inputs_of(command: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the files that a command can be told to read, and how, with `{}` for the name."""
    if command == "restore":
        return {"XML": ("xml", ("-i", "{}"))}
    if command == "lvm":
        disk, text = ("disk", ("{}",)), ("text", ("{}",))
        return {"disk": disk, "disk at an offset": ("disk", ("{}@0",)), "text": text}
    pool, lv = ("--pool", "read/metadata"), ("--lv", "vg/pool")
    inputs = {
        "METADATA": ("metadata", ("--pool", "{}")),
        "LVM's disk": ("disk", (*pool, "--lvm", "{}", *lv)),
        "LVM's disk at an offset": ("disk", (*pool, "--lvm", "{}@0", *lv)),
        "LVM's text": ("text", (*pool, "--lvm", "{}", *lv)),
        "map of a copied disk": ("map", (*pool, "--bad-map", "read/metadata={}")),
        "Docker's root": (BASE, (*pool, "--docker-root", "read/docker")),
    }
    if command in ("extract", "ls"):  # the same to all that need no root of Docker's
        option = ("--containerd-root", "read/containerd")
        inputs["containerd's root"] = (f"containerd/{NAMESPACES}", (*pool, *option))
    if command in ("cat", "commit", "export", "extract", "files", "save", "table", "tar"):
        inputs["data"] = ("data", (*pool, "--data", "{}"))
    if command in ("cat", "export", "extract", "files", "table", "tar"):
        inputs["origin"] = ("origin", (*pool, "--data", "read/data", "--origin", "{}"))
    if command == "table":
        inputs["table"] = ("table", (*pool, "--dm-table", "{}"))
    return inputs


PAIRS = [(command, what) for command in COMMANDS for what in inputs_of(command)]
each_pair = pytest.mark.parametrize(("command", "what"), PAIRS)


@pytest.fixture(scope="module")
def all_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with all that can be read."""
    folder = tmp_path_factory.mktemp("inputs")
    written(folder / "xml", XML.ljust(2 * 512).encode())
    restore(folder / "xml", folder / "metadata")
    written(folder / "disk", bytes(physical_volume([TEXT], bytes(MIB))))
    written(folder / "text", TEXT.rstrip(b"\0"))
    written(folder / "data", (bytes(7 * 65536) + small_ext2()).ljust(2 * MIB, b"\0"))
    written(folder / "origin", bytes(MIB))
    written(folder / "table", TABLE)
    written(folder / "map", b"0 + 1\n0 0x7fffffffffff +\n".ljust(2 * 512))
    copied(folder / "docker")
    made_root(folder / "containerd", containerd_trees())
    # It names no file system that would have to be on the base device of that metadata.
    written(folder / "docker/devicemapper/metadata/deviceset-metadata", b"{}")
    return folder


@pytest.fixture(autouse=True)
def read(all_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy it to `read` in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(all_inputs, "read", copy_function=shutil.copyfile))


def words(command: str, what: str, name: Path) -> list[str]:
    told = (each.replace("{}", str(name)) for each in inputs_of(command)[what][1])
    least = with_roots(LEAST[command], Path("read/metadata"))
    return [command, *least, *told, *(["--force"] if command in FORCED else [])]


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the inode and the bytes of all files."""
    return {
        str(path): (path.stat().st_ino, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def names_of(file: Path, fd: int) -> dict[str, Path]:
    """Return ways to name a file, which is also open as `fd`."""
    folder = Path("names")
    folder.mkdir()
    (folder / "link").symlink_to(file.absolute())
    (folder / "link to link").symlink_to("link")
    (folder / "hard link").hardlink_to(file)
    (folder / "folder").symlink_to(file.absolute().parent)
    return {
        "itself": file,
        "absolute": file.absolute(),
        "roundabout": file.parent / ".." / file.parent.name / file.name,
        "link": folder / "link",
        "link to link": folder / "link to link",
        "hard link": folder / "hard link",
        "linked folder": folder / "folder" / file.name,
        "/dev/fd": Path(f"/dev/fd/{fd}"),
        "/proc/self/fd": Path(f"/proc/self/fd/{fd}"),
    }


@each_pair
def test_by_whatever_name(command: str, what: str, read: Path, thinmeta: Thinmeta) -> None:
    file = read / inputs_of(command)[what][0]
    fd = os.open(file, os.O_RDWR)
    names = names_of(file, fd)
    if what in ROOTS and command not in READ_NAMES:
        del names["hard link"]  # only what was read in a root is known by other names
    before = state_of(read)
    try:
        for way, output in names.items():
            result = thinmeta(*words(command, what, file), "--output", output)

            assert result.exit_code == ExitCode.OTHER, (way, result.output)
            assert "which is never written to" in result.stderr, way
            assert result.stdout == "", way
        assert state_of(read) == before
    finally:
        os.close(fd)


@each_pair
def test_by_a_name_of_the_input(command: str, what: str, read: Path, thinmeta: Thinmeta) -> None:
    """The output is the file itself, and what was read is a link to it or a descriptor."""
    name = inputs_of(command)[what][0]
    file = read / name
    if what in ROOTS:
        file = file.rename("moved")
        (read / name).symlink_to(file.absolute())
        if command not in READ_NAMES:
            return
    fd = os.open(file, os.O_RDONLY)
    names = names_of(file, fd)
    before = state_of(read)
    try:
        for way in ("link", "hard link", "/dev/fd"):
            result = thinmeta(*words(command, what, names[way]), "--output", file)

            assert result.exit_code == ExitCode.OTHER, (way, result.output)
            assert "which is never written to" in result.stderr, way
            assert state_of(read) == before, way
    finally:
        os.close(fd)


@pytest.mark.loop_device
@each_pair
def test_by_a_loop_device(command: str, what: str, read: Path, thinmeta: Thinmeta) -> None:
    file = read / inputs_of(command)[what][0]
    before = state_of(read)
    device = attach(file)
    try:
        result = thinmeta(*words(command, what, file), "--output", device)
    finally:
        detach(device)

    if what not in ROOTS or command in READ_NAMES:
        assert "which is never written to" in result.stderr
    assert result.exit_code == ExitCode.OTHER, result.output
    assert state_of(read) == before


@pytest.mark.loop_device
@pytest.mark.parametrize("command", COMMANDS)
def test_an_input_behind_loop_devices(command: str, read: Path, thinmeta: Thinmeta) -> None:
    """Two devices over one file are one input, and so is the file."""
    what = next(iter(inputs_of(command)))
    file = read / inputs_of(command)[what][0]
    before = state_of(read)
    one, other = attach(file), attach(file, another=True)
    try:
        for output in (file, other):
            result = thinmeta(*words(command, what, one), "--output", output)

            assert result.exit_code == ExitCode.OTHER, result.output
            assert "is the input itself, which is never written to" in result.stderr
    finally:
        detach(one)
        detach(other)
    assert state_of(read) == before


@pytest.mark.parametrize("command", READING_NAMES)
@pytest.mark.parametrize("given", ["read/docker", "read/docker/image", "read"])
def test_nothing_is_made_below_dockers_root(
    command: str, given: str, read: Path, thinmeta: Thinmeta
) -> None:
    (read / "docker/image").mkdir(exist_ok=True)
    before = state_of(read)
    whole = words(command, "Docker's root", read)
    line = [given if word == "read/docker" else word for word in whole]
    outputs = [read / "docker/new", read / "docker/devicemapper/metadata/new"]

    for output in [*outputs, *([read / "new"] if given == "read" else [])]:
        result = thinmeta(*line, "--output", output)

        assert result.exit_code == ExitCode.OTHER, result.output
        assert re.search("is below Docker's root .*read.*, which is never", result.stderr)
    assert state_of(read) == before


@pytest.mark.parametrize("command", READING_NAMES)
def test_a_folder_of_dockers_root_may_lie_elsewhere(
    command: str, read: Path, thinmeta: Thinmeta
) -> None:
    """As where `devicemapper` was moved to a larger disk; by either name it is below the root."""
    folders = ("devicemapper/metadata", "devicemapper", "image", "containers")
    for name in folders:
        moved = (read / "docker" / name).rename(read / name.replace("/", " "))
        (read / "docker" / name).symlink_to(moved.absolute())
    (read / "docker/other").symlink_to(read.absolute())
    before = state_of(read)

    for folder in (*(f"docker/{name}" for name in folders), *folders[1:], "docker/other"):
        result = thinmeta(*words(command, "Docker's root", read), "--output", read / folder / "new")

        assert result.exit_code == ExitCode.OTHER, (folder, result.output)
        assert "is below Docker's root" in result.stderr, folder
    assert state_of(read) == before


@pytest.mark.parametrize("suffix", ["", ".map"])
def test_a_rescue_writes_neither_over_its_input(
    suffix: str, read: Path, thinmeta: Thinmeta
) -> None:
    """The map beside the output may be an input as well."""
    for each in ("metadata", "data", "origin", "text"):
        names = {name: read / name for name in ("metadata", "data", "origin", "text")}
        names[each] = names[each].rename(read / f"{each}{suffix}")
        before = state_of(read)

        result = thinmeta(
            *("extract", "1", "-p", names["metadata"], "--size", "192K", "--salvage", "--force"),
            *("--data", names["data"], "--origin", names["origin"]),
            *("--lvm", names["text"], "--lv", "vg/pool", "-o", read / each),
        )

        assert result.exit_code == ExitCode.OTHER, result.output
        assert "itself, which is never written to" in result.stderr
        assert state_of(read) == before
        names[each].rename(read / each)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        (["dump", "read/metadata"], "metadata"),
        (["dump", "read/metadata", "-o", "/dev/stdout"], "metadata"),
        (["ls", "-p", "read/metadata", "--lvm", "read/text", "--lv", "vg/pool"], "text"),
        (["extract", "1", "-p", "read/metadata", "--data", "read/data", "--size", "1M"], "data"),
    ],
)
def test_standard_output_may_be_an_input(line: list[str], file: str, read: Path) -> None:
    before = state_of(read)
    with (read / file).open("r+b") as out:
        ran = subprocess.run(
            [sys.executable, "-m", "thinmeta", *line],
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert ran.returncode == ExitCode.OTHER
    assert b"itself, which is never written to" in ran.stderr
    assert state_of(read) == before


@pytest.mark.parametrize(
    ("line", "file"),
    [
        (["restore", "-i", "-", "--force", "-o", "read/xml"], "xml"),
        (["table", "1", "-p", "read/metadata", "--dm-table", "-", "-o", "read/table"], "table"),
    ],
)
def test_standard_input_is_an_input(line: list[str], file: str, read: Path) -> None:
    before = state_of(read)
    with (read / file).open("rb") as given:
        ran = subprocess.run(
            [sys.executable, "-m", "thinmeta", *line],
            stdin=given,
            capture_output=True,
            check=False,
        )

    assert ran.returncode == ExitCode.OTHER
    assert b"is the input itself, which is never written to" in ran.stderr
    assert state_of(read) == before


def test_what_is_lost_nowhere_may_be_read_and_written(read: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("dump", "-p", read / "metadata", "--docker-root", "/", "-o", "/dev/null")

    assert result.exit_code == ExitCode.DONE, result.stderr


@pytest.mark.parametrize("command", ENDING_WELL)
@pytest.mark.parametrize("fails", ["file", "folder"])
def test_a_disk_that_fails_leaves_nothing_half(
    command: str, fails: str, read: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be put on the disk gets no name; where only the name cannot, all is there."""
    what = next(iter(inputs_of(command)))
    line = words(command, what, read / inputs_of(command)[what][0])
    folder = Path("out")
    folder.mkdir()
    assert thinmeta(*line, "--output", folder / "right").exit_code == ExitCode.DONE
    size = (folder / "right").stat().st_size
    (folder / "right").unlink()
    before = b"before" * MIB
    output = written(folder / "old", before)
    sync = os.fsync

    def failing(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode) == (fails == "folder"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        result = thinmeta(*line, "--output", output)

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr.endswith(f"Error: out/old: cannot be written: {os.strerror(errno.EIO)}\n")
    assert [path.name for path in folder.iterdir()] == ["old"]
    if fails == "file":
        assert output.read_bytes() == before
    elif command not in ("repair", "restore", "undelete"):  # which keep the size that a file has
        assert output.stat().st_size == size


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
from thinmeta.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", [each for each in COMMANDS if each != "commit"])
def test_a_disk_that_fills_up_leaves_nothing_half(command: str, read: Path) -> None:
    what = next(iter(inputs_of(command)))
    line = words(command, what, read / inputs_of(command)[what][0])
    before = b"before" * MIB
    output = written(Path("old"), before)
    names = sorted(Path().iterdir())

    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, *line, "--output", output],
        capture_output=True,
        text=True,
        check=False,
        env=UNMEASURED,
    )

    assert ran.returncode == ExitCode.OTHER
    assert ran.stderr.endswith("Error: old: cannot be written: File too large\n")
    assert output.read_bytes() == before
    assert sorted(Path().iterdir()) == names


@pytest.mark.loop_device
@pytest.mark.parametrize("command", ENDING_WELL)
def test_what_a_block_device_holds_is_spared(command: str, read: Path, thinmeta: Thinmeta) -> None:
    what = next(iter(inputs_of(command)))
    line = words(command, what, read / inputs_of(command)[what][0])
    line = [each for each in line if each != "--force"]
    disk = bytearray(4 * MIB)
    disk[0x438:0x43A] = b"\x53\xef"
    file = written(Path("elsewhere"), bytes(disk))
    device = attach(file)
    try:
        refused = thinmeta(*line, "--output", device)
        spared = file.read_bytes()
        if command in FORCED:
            done = thinmeta(*line, "--output", device, "--force")
        else:
            with device.open("wb") as out:
                done = thinmeta(*line, "--output", f"/dev/fd/{out.fileno()}")
                assert done.exit_code == ExitCode.OTHER, "a descriptor of it is the device"
            written(file, bytes(4 * MIB))
            done = thinmeta(*line, "--output", device)
    finally:
        detach(device)

    assert refused.exit_code == ExitCode.OTHER
    assert f"{device}: has a file system (ext2, ext3 or ext4) already; " in refused.stderr
    assert ("--force" in refused.stderr) == (command in FORCED)
    assert spared == bytes(disk)
    assert done.exit_code == ExitCode.DONE, done.stderr
    assert file.read_bytes() != bytes(disk)
