"""`thinmeta table`: what it prints, applied by a small reader, is the device."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.volume.data_images import ALL, SMALL, Device, devices
from thinmeta.errors import ExitCode

DIRECT, LOOP = "docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k"
DOCKER = [each for case in (DIRECT, LOOP) for each in devices(case) if each.device_id == 25]


def digest(table: str, size: int) -> str:
    """Read a device as its table says; only linear and zero targets are known."""
    found = hashlib.sha256()
    end = 0
    for line in table.splitlines():
        if line.startswith("#"):
            continue
        begin, sectors, target, *rest = line.split()
        assert int(begin) == end
        end += int(sectors)
        if target == "zero":
            found.update(bytes(int(sectors) * 512))
            continue
        assert target == "linear"
        with Path(rest[0]).open("rb") as file:
            file.seek(int(rest[1]) * 512)
            content = file.read(int(sectors) * 512)
        assert len(content) == int(sectors) * 512
        found.update(content)
    assert end * 512 == size
    return found.hexdigest()


@pytest.mark.parametrize("device", [*SMALL, *DOCKER, ALL[-1]], ids=str)
def test_a_linear_table_reads_as_the_device(device: Device, thinmeta: Thinmeta) -> None:
    result = thinmeta("table", device.device_id, *device.options(), "--linear", device.data)

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert digest(result.stdout, device.size) == device.sha256


def test_there_are_devices() -> None:
    assert len(SMALL) == 44
    assert len(ALL) == 113


META = unpacked("a10-external-origin")
THIN = ("table", 1, "-p", META, "--size", "32M")


def test_the_line_of_a_thin_target(thinmeta: Thinmeta) -> None:
    result = thinmeta(*THIN, "--pool-name", "pool", "--origin", "/dev/loop2")

    assert result.stdout == (
        "# device 1: 65536 sectors (32 MiB)\n"
        "0 65536 thin /dev/mapper/pool 1 /dev/loop2\n"  # as commands.sh of the case has it
        "# If it is an ext2, ext3, ext4 or XFS, its files are read without any of this:\n"
        f"#   thinmeta files 1 -p {META} --data DATA --origin /dev/loop2\n"
        f"#   thinmeta copy 1 / DEST -p {META} --data DATA --origin /dev/loop2\n"
        "# To mount it, save this as thin-1.table. Then, as root:\n"
        "#   dmsetup create thin-1 --readonly thin-1.table\n"
        "#   mount -t ext4 -o ro,noload /dev/mapper/thin-1 /mnt\n"
        "# or, as it has another file system:\n"
        "#   mount -t xfs -o ro,norecovery,nouuid /dev/mapper/thin-1 /mnt\n"
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (None, "0 65536 thin /dev/mapper/POOL 1"),
        ("253:2", "0 65536 thin 253:2 1"),
        ("/dev/vg/pool", "0 65536 thin /dev/vg/pool 1"),
    ],
)
def test_the_name_of_the_pool(name: str | None, line: str, thinmeta: Thinmeta) -> None:
    result = thinmeta(*THIN, *(("--pool-name", name) if name else ()))

    assert result.stdout.splitlines()[1] == line


@pytest.mark.parametrize(
    ("device", "mount"),
    [
        (DOCKER[0], "mount -t ext4 -o ro,noload /dev/mapper/thin-25 /mnt"),
        (DOCKER[1], "mount -t xfs -o ro,norecovery,nouuid /dev/mapper/thin-25 /mnt"),
    ],
    ids=str,
)
def test_with_data_it_knows_how_to_mount(device: Device, mount: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("table", 25, *device.options(), "--data", device.data)

    commands = [line for line in result.stdout.splitlines() if line.startswith("#   mount")]
    assert commands == [f"#   {mount}"]
    assert "its journal is clean" in result.stdout


def test_a_dirty_journal_is_named(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """An ext4 superblock alone, as device 1 begins with data block 6."""
    device = next(each for each in SMALL if each.case == "a19-device-id-reuse")
    json_line = thinmeta("lookup", device.device_id, 0, "-f", "json", "-p", device.metadata).stdout
    place = json.loads(json_line)["data_byte"]
    data = tmp_path / "data"
    with data.open("wb") as file:
        file.truncate(device.data.stat().st_size)
        file.seek(place + 1024 + 0x38)
        file.write(b"\x53\xef")
        file.seek(place + 1024 + 0x60)
        file.write(b"\x46\x02\x00\x00")

    words = ["table", device.device_id, *device.options(), "--data", data]
    text, found = thinmeta(*words), thinmeta(*words, "-f", "json")

    assert "ext4, its journal is dirty" in text.stdout
    assert "# A mount shows what was before its last writes" in text.stdout
    assert json.loads(found.stdout.splitlines()[0])["journal"] == "dirty"


# --dm-table

LIVE = FIXTURES / DIRECT / "dmsetup-table-live.txt"


@pytest.mark.parametrize("named", [None, "29", "name"])
def test_the_table_of_a_host_says_pool_device_and_size(
    named: str | None, thinmeta: Thinmeta
) -> None:
    name = LIVE.read_text().partition(": ")[0]
    words = [] if named is None else [name if named == "name" else named]

    result = thinmeta("table", *words, "-p", unpacked(DIRECT), "--dm-table", LIVE)

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert result.stderr == ""
    assert result.stdout.splitlines()[1] == ("0 1048576 thin /dev/mapper/dockervg-docker--pool 29")


def test_of_several_devices_one_must_be_named(thinmeta: Thinmeta) -> None:
    tables = FIXTURES / "c01-lvm-thin-one-pv/dmsetup-table-live.txt"

    result = thinmeta("table", "-p", unpacked("c01-lvm-thin-one-pv"), "--dm-table", tables)

    assert result.exit_code == ExitCode.NOT_THERE
    assert "vgthin-home (2)" in result.stderr


def test_what_is_no_table_is_refused(tmp_path: Path, thinmeta: Thinmeta) -> None:
    (tmp_path / "text").write_text("No devices found\n")

    result = thinmeta(*THIN, "--dm-table", tmp_path / "text")

    assert result.exit_code == ExitCode.INPUT
    assert "has no line of a thin device" in result.stderr


# Usage and damage


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "Missing argument 'DEVICE'"),
        (("root:5",), "--linear maps it"),
        (("1@snap",), "--linear maps it"),
        (("1", "--size", "1000"), "whole sectors"),
        (("1", "--size", "9E"), "no device is larger"),
    ],
)
def test_usage(words: tuple[str, ...], what: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("table", *words, "-p", META)

    assert result.exit_code == ExitCode.USAGE
    assert what in result.stderr


def test_without_a_size_it_says_where_it_ends(thinmeta: Thinmeta) -> None:
    result = thinmeta("table", 1, "-p", META)

    assert result.exit_code == ExitCode.DONE
    assert "--size says otherwise" in result.stderr


def test_damage_ends_a_linear_table(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of("a09-discards-and-deletes")
    image.zero(85)
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("table", 1, "-p", path, "--size", "64M", "--linear", "/dev/x")

    assert (result.exit_code, result.stdout) == (ExitCode.DAMAGE, "")
    assert "metadata block 85" in result.stderr
