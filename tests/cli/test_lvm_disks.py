"""Pools that LVM laid over two disks: what the kernel read of each volume is what we read."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import Thinmeta
from thinmeta.errors import ExitCode

LINEAR, RAID1, CACHED = "c05-lvm-two-disks", "c06-lvm-raid1", "c07-lvm-cached-pool"


@dataclass(frozen=True)
class Volume:
    """A volume, and its sha256 as the kernel read it."""

    case: str
    pool: str
    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.pool}-{self.name}"


def volumes(case: str, pool: str, truth: str = "truth") -> list[Volume]:
    folder = FIXTURES / case / truth
    names = dict(line.split()[::2] for line in (folder / "ids.txt").read_text().splitlines())
    rows = map(str.split, (folder / "thin-devices.sha256").read_text().splitlines())
    return [Volume(case, pool, names[device_id], sha256) for sha256, device_id, _ in rows]


def disks(case: str) -> list[Path]:
    return [unpacked(case, f"pv-{disk}") for disk in ("vdd", "vde")]


def on(given: list[Path], pool: str) -> list[object]:
    return [*(word for disk in given for word in ("--lvm", disk)), "--lv", pool]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


WHOLE = [
    *volumes(LINEAR, "vgtwo/pool"),
    *volumes(LINEAR, "vgtwo/stripes", "truth-stripes"),
    *volumes(RAID1, "vgraid/pool"),
]


@pytest.mark.parametrize("volume", WHOLE, ids=str)
def test_a_volume_is_what_the_kernel_read(
    volume: Volume, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    output = tmp_path / "out.img"

    result = thinmeta("extract", volume.name, "-o", output, *on(disks(volume.case), volume.pool))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert sha256_of(output) == volume.sha256


def test_a_removed_volume_is_what_it_was(tmp_path: Path, thinmeta: Thinmeta) -> None:
    output = tmp_path / "old.img"
    before = volumes(LINEAR, "vgtwo/pool", "truth-before")
    (old,) = (volume for volume in before if volume.name == "old")

    result = thinmeta("extract", "old", "-o", output, *on(disks(LINEAR), "vgtwo/pool"))

    assert result.exit_code == ExitCode.DONE
    assert "vgtwo/old#19 was removed after version 19" in result.stderr
    assert sha256_of(output) == old.sha256


@pytest.mark.parametrize("left", [0, 1])
def test_one_leg_of_a_raid1_is_enough(left: int, tmp_path: Path, thinmeta: Thinmeta) -> None:
    output = tmp_path / "one.img"
    one = volumes(RAID1, "vgraid/pool")[0]

    result = thinmeta("extract", one.name, "-o", output, *on([disks(RAID1)[left]], one.pool))

    assert result.exit_code == ExitCode.DONE
    assert "vgraid-pool" not in result.stderr.replace("vgraid/pool", "")
    assert ("leg 1 is read" in result.stderr) == (left == 1)
    assert sha256_of(output) == one.sha256


def test_without_its_second_disk_a_volume_has_lost_ranges(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    given = on(disks(LINEAR)[:1], "vgtwo/pool")
    strict = thinmeta("extract", "db", "-o", tmp_path / "strict.img", *given)
    salvaged = thinmeta("extract", "db", "--salvage", "-o", tmp_path / "db.img", *given)

    assert strict.exit_code == ExitCode.DAMAGE, strict.stderr
    assert "once /dev/vde; what is on it cannot be read" in strict.stderr
    assert salvaged.exit_code == ExitCode.SALVAGED, salvaged.stderr
    assert "lost" in salvaged.stderr


BELOW_THE_CACHE = volumes(CACHED, "vgcache/pool", "truth-without-cache")


@pytest.mark.parametrize("volume", BELOW_THE_CACHE, ids=str)
def test_what_a_write_back_cache_holds_is_warned_of(
    volume: Volume, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """66 blocks of it were dirty: what is below is older, and what the kernel reads there."""
    output = tmp_path / "out.img"

    result = thinmeta("extract", volume.name, "-o", output, *on(disks(CACHED), volume.pool))

    assert result.exit_code == ExitCode.DONE
    assert "is cached by fast_cpool, which may hold newer data" in result.stderr
    assert sha256_of(output) == volume.sha256


def test_what_is_below_the_cache_is_older() -> None:
    assert BELOW_THE_CACHE[0] not in volumes(CACHED, "vgcache/pool")


RECOVERY = FIXTURES / "recovery"
SWAPPED_OUT = {"lvconvert-repair-gone-wrong": ["--metadata-lv", "vg/pool_meta0"]}
"""Where LVM put the metadata that count."""


@pytest.mark.parametrize(
    "name", [path.name.split(".")[0] for path in sorted(RECOVERY.glob("*.disk.xz"))]
)
def test_a_volume_is_had_at_the_worst_moment(name: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    """What the kernel read of it before is in the log."""
    disk = RECOVERY / f"{name}.disk.xz"
    log = (RECOVERY / f"{name}.log").read_text()
    known = next(line.split()[0] for line in log.splitlines() if line.endswith("  /dev/vg/home"))
    output = tmp_path / "home.img"

    result = thinmeta(
        *("extract", "home", "-o", output, "--lvm", disk, "--lv", "vg/pool"),
        *SWAPPED_OUT.get(name, []),
        "--salvage",
    )

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert sha256_of(output) == known
