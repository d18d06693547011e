"""Devices by the names that Docker and LVM gave them, and pools where LVM keeps them."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.cases import FIXTURES, image_bytes, unpacked
from tests.conftest import Thinmeta

DOCKER = FIXTURES / "docker-loop-lvm-xfs-64k"
DOCKER_POOL = unpacked(DOCKER.name)
DOCKER_NAMES = ("-p", DOCKER_POOL, "--docker-root", DOCKER / "docker-state")
LVM = FIXTURES / "c01-lvm-thin-one-pv"
LVM_TEXT = LVM / "vgcfgbackup.txt"
TRUTH = [line.split() for line in (LVM / "truth/thin-devices.sha256").read_text().splitlines()]


@pytest.fixture
def disk() -> Path:
    """Return a whole disk with a physical volume, a sparse file."""
    return unpacked(LVM.name, "pv")


def ids_of(name: str) -> dict[str, int]:
    """Return what lvs said: the device ids of a pool's volumes."""
    volumes = json.loads((LVM / "lvs.json").read_text())["report"][0]["lv"]
    return {
        f"{each['vg_name']}/{each['lv_name']}": int(each["thin_id"])
        for each in volumes
        if each["pool_lv"] == name and each["thin_id"]
    }


def test_ls_names_what_lvs_does(thinmeta: Thinmeta) -> None:
    result = thinmeta(
        *("ls", "-f", "json", "-p", unpacked(LVM.name)),
        *("--lvm", LVM_TEXT, "--lv", "vgthin/pool0"),
    )

    assert (result.exit_code, result.stderr) == (0, "")
    devices = map(json.loads, result.stdout.splitlines())
    assert {each["name"]: each["device_id"] for each in devices} == ids_of("pool0")


def test_names_stand_beside_the_default_columns(thinmeta: Thinmeta) -> None:
    first, *lines = thinmeta("ls", *DOCKER_NAMES).stdout.splitlines()

    assert first.split() == ["DEV", "MAPPED", "CREATE_TIME", "SNAP_TIME", "NAME"]
    assert {line.split()[0]: line.split()[-1] for line in lines}["25"] == "dead1"


def test_a_name_is_as_good_as_an_id(thinmeta: Thinmeta) -> None:
    by_name = thinmeta("diff", "-f", "csv", "demo:latest", "dead1", *DOCKER_NAMES)
    by_id = thinmeta("diff", "-f", "csv", "8", "25", "-p", DOCKER_POOL)

    assert by_name.exit_code == by_id.exit_code == 0
    assert by_name.stdout == by_id.stdout
    looked = thinmeta("lookup", "name:dead1", "0", *DOCKER_NAMES).stdout
    assert (
        looked.splitlines()[1:]
        == (thinmeta("lookup", "25", "0", "-p", DOCKER_POOL).stdout.splitlines()[1:])
    )


def test_diff_says_who_is_compared(thinmeta: Thinmeta) -> None:
    shown = thinmeta("diff", "8", "25", *DOCKER_NAMES).stdout
    summary = json.loads(
        thinmeta("diff", "8", "25", "-f", "json", *DOCKER_NAMES).stdout.split("\n")[0]
    )

    assert "device 8 (demo:latest)" in shown
    assert "device 25 (dead1)" in shown
    assert summary["right"]["known_as"] == "dead1"


@pytest.mark.parametrize(
    ("name", "exit_code", "said"),
    [
        ("nobody", 4, "no device is called 'nobody'"),
        ("name:25", 4, "no device is called '25'"),
    ],
)
def test_a_name_must_be_one_devices(
    name: str, exit_code: int, said: str, thinmeta: Thinmeta
) -> None:
    result = thinmeta("lookup", name, "0", *DOCKER_NAMES)

    assert result.exit_code == exit_code
    assert said in result.stderr


def test_the_base_is_the_device_and_its_tag_an_image(thinmeta: Thinmeta) -> None:
    for name, device_id in (("base", 1), ("base:latest", 2)):
        result = thinmeta("lookup", name, "0", "-f", "json", *DOCKER_NAMES)
        by_id = thinmeta("lookup", device_id, "0", "-f", "json", "-p", DOCKER_POOL)
        assert json.loads(result.stdout)["data_block"] == json.loads(by_id.stdout)["data_block"]


def test_names_need_a_source(thinmeta: Thinmeta) -> None:
    result = thinmeta("lookup", "dead1", "0", "-p", DOCKER_POOL)

    assert result.exit_code == 2
    assert "--docker-root DIR, --lvm FILE" in result.stderr


def test_a_dump_has_only_what_is_there(disk: Path, thinmeta: Thinmeta) -> None:
    """It is of one state, so that of a removed volume is to be named."""
    result = thinmeta("dump", "--dev-id", "vgthin/junk", "--lvm", disk, "--lv", "vgthin/pool0")

    assert result.exit_code == 4
    assert "was removed after version 16; it was device 6" in result.stderr
    assert f"`thinmeta scan --lvm {disk} --lv vgthin/pool0` finds the state" in result.stderr


def test_a_pool_is_read_where_it_lies_on_the_disk(disk: Path, thinmeta: Thinmeta) -> None:
    in_place = thinmeta("dump", "--lvm", disk, "--lv", "vgthin/pool0")

    assert in_place.exit_code == 0
    assert in_place.stdout == thinmeta("dump", unpacked(LVM.name)).stdout
    several = thinmeta("dump", "--lvm", disk)
    assert several.exit_code == 4
    assert "vgthin/pool0, vgthin/pool-b" in several.stderr


@pytest.mark.parametrize("truth", TRUTH[:5], ids=lambda truth: truth[1])
def test_a_volume_is_extracted_from_the_disk(
    truth: list[str], disk: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    sha256, device_id, size = truth
    names = {str(number): name for name, number in ids_of("pool0").items()}
    output = tmp_path / "volume.img"

    result = thinmeta(
        *("extract", names[device_id], "--lvm", disk, "--lv", "vgthin/pool0", "-o", output)
    )

    assert (result.exit_code, result.stderr) == (0, "")
    assert output.stat().st_size == int(size)
    assert hashlib.sha256(output.read_bytes()).hexdigest() == sha256


def test_a_disk_is_not_written_over(disk: Path, thinmeta: Thinmeta) -> None:
    before = disk.stat()
    names = ("--lvm", disk, "--lv", "vgthin/pool0")

    for command in (["dump"], ["extract", "1"]):
        result = thinmeta(*command, *names, "-o", disk)
        assert result.exit_code == 1
        assert "is the input itself, which is never written to" in result.stderr
    for command in (["repair", "--force"], ["unpack", "--force"]):
        result = thinmeta(*command, *names, "-o", disk)
        assert result.exit_code == 1
        assert "is the input itself, which is never written to" in result.stderr
    after = disk.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_table_onto_the_disks(disk: Path, thinmeta: Thinmeta) -> None:
    names = ("--lvm", disk, "--lv", "vgthin/pool0")

    line = thinmeta("table", "vgthin/home", *names).stdout.splitlines()[1]
    assert line == "0 409600 thin /dev/mapper/vgthin-pool0-tpool 2"
    on_lv = thinmeta("table", "vgthin/home", *names, "--linear", "/dev/mapper/vgthin-pool0_tdata")
    assert "lvchange -y -ay vgthin/pool0_tdata" in on_lv.stdout
    on_disk = thinmeta("table", "vgthin/home", *names, "--on-disks")
    assert on_disk.exit_code == 0
    pieces = [line.split() for line in on_disk.stdout.splitlines() if " linear " in line]
    assert pieces
    volume = thinmeta("extract", "vgthin/home", *names, "-o", "-").stdout_bytes
    with disk.open("rb") as file:
        for start, length, _, _, sector in pieces[:50]:
            file.seek(int(sector) * 512)
            expected = volume[int(start) * 512 : (int(start) + int(length)) * 512]
            assert file.read(int(length) * 512) == expected


def test_docker_keeps_its_loop_files_under_its_root(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root = tmp_path / "docker"
    loop = root / "devicemapper/devicemapper"
    loop.mkdir(parents=True)
    (root / "image").symlink_to(DOCKER / "docker-state/image")
    (root / "containers").symlink_to(DOCKER / "docker-state/containers")
    (root / "devicemapper/metadata").symlink_to(DOCKER / "docker-state/devicemapper/metadata")
    (loop / "metadata").write_bytes(image_bytes(DOCKER.name))
    (loop / "data").touch()

    result = thinmeta("ls", "--docker-root", root)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == thinmeta("ls", *DOCKER_NAMES).stdout


def test_lvm_knows_the_block_size_where_the_superblock_is_lost(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    content = bytearray(image_bytes(LVM.name))
    content[:4096] = bytes(4096)
    broken = tmp_path / "broken.bin"
    broken.write_bytes(content)
    best = json.loads(thinmeta("scan", "-f", "json", broken).stdout.splitlines()[1])
    assert best["type"] == "state", best
    state = f"{best['mapping_root']}:{best['details_root']}"
    args = ("ls", "--state", state, "-p", broken)

    assert thinmeta(*args).exit_code == 3
    by_lvm = thinmeta(*args, "--lvm", LVM_TEXT, "--lv", "vgthin/pool0", "-o", "DEV,MAPPED")
    assert by_lvm.exit_code == 0
    whole = thinmeta("ls", "-o", "DEV,MAPPED", "-p", unpacked(LVM.name))
    assert by_lvm.stdout == whole.stdout


def test_of_a_pool_on_disks_too_a_missing_snapshot_is_told(disk: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("lookup", "--lvm", disk, "--lv", "vgthin/pool0", "1@snap", 0)

    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.endswith("no metadata snapshot is held\n")
