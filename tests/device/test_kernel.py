"""Who holds a path, and which pools are active, as the kernel and dmsetup tell it."""

import os
import shutil
import stat
from pathlib import Path, PosixPath

import pytest

from thinmeta.device.kernel import ActivePool, active_pools, holders_of, parse_pool_tables
from thinmeta.errors import InputError


class Device(PosixPath):
    """A path that says it is the block device 253:7."""

    def stat(self, **_: object) -> os.stat_result:
        fields = [stat.S_IFBLK | 0o600, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        return os.stat_result(fields, {"st_rdev": os.makedev(253, 7)})


class FakeSysfs:
    """As much of /sys as tells of loop devices and of holders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "dev/block").mkdir(parents=True)
        (root / "block").mkdir()

    def device(self, name: str, number: str) -> None:
        (self.root / "block" / name / "holders").mkdir(parents=True)
        (self.root / "dev/block" / number).symlink_to(self.root / "block" / name)

    def loop(self, name: str, backing_file: str) -> None:
        self.device(name, f"7:{name.removeprefix('loop')}")
        (self.root / "block" / name / "loop").mkdir()
        (self.root / "block" / name / "loop/backing_file").write_text(backing_file + "\n")

    def hold(self, name: str, holder: str, dm_name: str | None = None) -> None:
        target = self.root / "block" / holder
        target.mkdir(exist_ok=True)
        if dm_name is not None:
            (target / "dm").mkdir(exist_ok=True)
            (target / "dm/name").write_text(dm_name + "\n")
        (self.root / "block" / name / "holders" / holder).symlink_to(target)


@pytest.fixture
def sysfs(tmp_path: Path) -> FakeSysfs:
    return FakeSysfs(tmp_path / "sys")


def test_a_block_devices_holder_is_called_by_its_dm_name(sysfs: FakeSysfs) -> None:
    sysfs.device("dm-7", "253:7")
    sysfs.hold("dm-7", "dm-9", dm_name="vg-pool-tpool")

    assert holders_of(Device("/dev/vg/pool_tmeta"), sysfs.root) == ["vg-pool-tpool"]


def test_a_holder_without_a_dm_name_is_called_by_its_own(sysfs: FakeSysfs) -> None:
    sysfs.device("dm-7", "253:7")
    sysfs.hold("dm-7", "md0")

    assert holders_of(Device("/dev/vg/pool_tmeta"), sysfs.root) == ["md0"]


def test_all_holders_are_told(sysfs: FakeSysfs) -> None:
    sysfs.device("dm-7", "253:7")
    sysfs.hold("dm-7", "dm-8", dm_name="first")
    sysfs.hold("dm-7", "dm-9", dm_name="second")

    assert holders_of(Device("/dev/vg/pool_tmeta"), sysfs.root) == ["first", "second"]


def test_a_block_device_that_nobody_holds_has_no_holders(sysfs: FakeSysfs) -> None:
    sysfs.device("dm-7", "253:7")

    assert holders_of(Device("/dev/vg/pool_tmeta"), sysfs.root) == []


def test_a_file_is_held_when_a_loop_device_over_it_is(sysfs: FakeSysfs, tmp_path: Path) -> None:
    image = tmp_path / "metadata"
    image.touch()
    sysfs.loop("loop1", str(image))
    sysfs.hold("loop1", "dm-0", dm_name="docker-8:1-131-pool")

    assert holders_of(image, sysfs.root) == ["docker-8:1-131-pool"]


def test_a_link_to_a_held_file_is_held(sysfs: FakeSysfs, tmp_path: Path) -> None:
    image = tmp_path / "metadata"
    image.touch()
    link = tmp_path / "link"
    link.symlink_to(image)
    hard_link = tmp_path / "hard"
    hard_link.hardlink_to(image)
    sysfs.loop("loop1", str(image))
    sysfs.hold("loop1", "dm-0", dm_name="pool")

    assert holders_of(link, sysfs.root) == ["pool"]
    assert holders_of(hard_link, sysfs.root) == ["pool"]


def test_a_loop_device_that_nobody_holds_leaves_its_file_free(
    sysfs: FakeSysfs, tmp_path: Path
) -> None:
    image = tmp_path / "metadata"
    image.touch()
    sysfs.loop("loop1", str(image))

    assert holders_of(image, sysfs.root) == []


def test_loop_devices_over_other_files_do_not_count(sysfs: FakeSysfs, tmp_path: Path) -> None:
    image, other = tmp_path / "metadata", tmp_path / "data"
    image.touch()
    other.touch()
    sysfs.loop("loop1", str(other))
    sysfs.loop("loop2", str(tmp_path / "metadata (deleted)"))
    for loop in ("loop1", "loop2"):
        sysfs.hold(loop, "dm-0", dm_name="pool")

    assert holders_of(image, sysfs.root) == []


def test_without_sysfs_nothing_is_held(tmp_path: Path) -> None:
    image = tmp_path / "metadata"
    image.touch()

    assert holders_of(image, tmp_path / "no sysfs") == []
    assert holders_of(Device("/dev/x"), tmp_path / "no sysfs") == []


def pool(name: str, metadata: str) -> ActivePool:
    return ActivePool(name, Path(metadata))


TABLES = {
    "none": ("No devices found\n", []),
    "nothing": ("", []),
    "one": (
        "vg-pool-tpool: 0 204800 thin-pool 253:0 253:1 128 0 0 \n",
        [pool("vg-pool-tpool", "/dev/block/253:0")],
    ),
    "several": (
        "zebra: 0 8 thin-pool 253:4 253:5 128 32768 1 skip_block_zeroing \n"
        "docker-8:1-131-pool: 0 209715200 thin-pool 7:1 7:0 128 32768 1 skip_block_zeroing\n",
        [pool("docker-8:1-131-pool", "/dev/block/7:1"), pool("zebra", "/dev/block/253:4")],
    ),
    "path": (
        "pool: 0 8 thin-pool /dev/mapper/meta /dev/sdb 128 0\n",
        [pool("pool", "/dev/mapper/meta")],
    ),
    "other targets": (
        "root: 0 8 linear 8:1 2048\nthin: 0 8 thin 253:2 1\npool: 0 8 thin-pool\n",
        [],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_pool_tables_are_read(name: str) -> None:
    text, pools = TABLES[name]

    assert parse_pool_tables(text) == pools


def fake_dmsetup(folder: Path, script: str) -> str:
    """Put a dmsetup of our own into `folder`; return what `THINMETA_DMSETUP` is to be."""
    dmsetup = folder / "dmsetup"
    dmsetup.write_text(f"#!/bin/sh\n{script}\n")
    dmsetup.chmod(0o755)
    return str(dmsetup)


def test_active_pools_are_those_of_dmsetup_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f'echo "$@" > {tmp_path}/asked; echo "pool: 0 8 thin-pool 253:0 253:1 128 0"'
    monkeypatch.setenv("THINMETA_DMSETUP", fake_dmsetup(tmp_path, script))

    assert active_pools() == [pool("pool", "/dev/block/253:0")]
    assert (tmp_path / "asked").read_text() == "table --target thin-pool\n"


def test_a_name_that_is_no_text_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = r"printf '\303\050: 0 8 thin-pool 253:0 253:1 128 0\n'"
    monkeypatch.setenv("THINMETA_DMSETUP", fake_dmsetup(tmp_path, script))

    assert [os.fsencode(each.name) for each in active_pools()] == [b"\303("]


def test_why_dmsetup_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo one >&2; echo 'Command failed.' >&2; exit 1"
    monkeypatch.setenv("THINMETA_DMSETUP", fake_dmsetup(tmp_path, script))

    with pytest.raises(InputError, match=r"active pools: Command failed\.$"):
        active_pools()


def test_a_silent_failure_of_dmsetup_gives_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINMETA_DMSETUP", fake_dmsetup(tmp_path, "exit 5"))

    with pytest.raises(InputError, match=r"active pools: exit code 5$"):
        active_pools()


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (None, 0, "no such file or directory"),
        ("#!/bin/sh\n", 0o644, "permission denied"),
        ("no script\n", 0o755, "exec format error"),
        ("#!/no/such/shell\n", 0o755, "no such file or directory"),
    ],
)
def test_a_dmsetup_that_cannot_be_run_is_named(
    content: str | None, mode: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dmsetup = tmp_path / "dmsetup"
    if content is not None:
        dmsetup.write_text(content)
        dmsetup.chmod(mode)
    monkeypatch.setenv("THINMETA_DMSETUP", str(dmsetup))

    with pytest.raises(InputError, match=f"^{dmsetup}: cannot be run: {why}, so active pools"):
        active_pools()


def test_dmsetup_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THINMETA_DMSETUP", raising=False)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    with pytest.raises(InputError, match=r"^dmsetup is not installed"):
        active_pools()


@pytest.mark.parametrize(
    ("user", "path"), [(0, "/usr/sbin:/sbin:/tmp/bin"), (1000, "/tmp/bin:/usr/sbin:/sbin")]
)
def test_root_runs_the_dmsetup_of_the_system_whatever_path_says(
    user: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda _, path: searched.append(path))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("PATH", "/tmp/bin")
    monkeypatch.delenv("THINMETA_DMSETUP", raising=False)

    with pytest.raises(InputError):
        active_pools()

    assert searched == [path]
