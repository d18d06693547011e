"""Whether two paths lead to the same bytes, by a made-up sysfs."""

import os
import stat
from pathlib import Path

import pytest

from thinmeta.device import storage
from thinmeta.device.inputs import Inputs
from thinmeta.device.storage import Storage
from thinmeta.errors import OutputError


class Machine:
    """Block devices that are none: files by whose name the fake `status_of` knows a number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sysfs = folder / "sys"
        (self.sysfs / "dev/block").mkdir(parents=True)
        self.numbers: dict[Path, int] = {}

    def device(self, name: str, *slaves: str, whole: str = "", backing: Path | None = None) -> Path:
        """Make a device, on others, or as a partition of `whole`, or over the file `backing`."""
        minor = len(self.numbers)
        path = self.folder / name
        path.touch()
        self.numbers[path] = os.makedev(253, minor)
        home = self.sysfs / "devices" / (f"{whole}/{name}" if whole else name)
        home.mkdir(parents=True)
        (home / "dev").write_text(f"253:{minor}\n")
        (self.sysfs / f"dev/block/253:{minor}").symlink_to(home)
        for slave in slaves:
            (home / "slaves").mkdir(exist_ok=True)
            (home / "slaves" / slave).symlink_to(self.sysfs / "devices" / slave)
        if whole:
            (home / "partition").write_text("1\n")
        if backing is not None:
            (home / "loop").mkdir()
            (home / "loop/backing_file").write_text(f"{backing}\n")
        return path

    def status_of(self, path: Path | int) -> os.stat_result:
        status = os.fstat(path) if isinstance(path, int) else path.stat()
        if path not in self.numbers:
            return status
        fields = list(status)
        fields[0] = stat.S_IFBLK | 0o600
        return os.stat_result(fields, {"st_rdev": self.numbers[Path(str(path))]})

    def overlap(self, one: Path, other: Path) -> bool:
        found = Storage.of(one, self.sysfs).overlaps(Storage.of(other, self.sysfs))
        assert found == Storage.of(other, self.sysfs).overlaps(Storage.of(one, self.sysfs))
        return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(storage, "status_of", made.status_of)
    monkeypatch.setattr("thinmeta.device.inputs.status_of", made.status_of)
    return made


def test_a_device_is_itself_and_what_lies_on_it(machine: Machine) -> None:
    disk, other = machine.device("sda"), machine.device("sdb")
    volume = machine.device("dm-0", "sda")
    on_volume = machine.device("dm-1", "dm-0", "sdb")
    beside = machine.device("dm-2", "sda")

    assert machine.overlap(disk, disk)
    assert machine.overlap(volume, disk)
    assert machine.overlap(on_volume, disk)
    assert machine.overlap(on_volume, other)
    assert not machine.overlap(disk, other)
    assert not machine.overlap(volume, beside), "two volumes of a disk have nothing in common"
    assert not machine.overlap(volume, other)


def test_a_partition_lies_on_its_disk(machine: Machine) -> None:
    disk = machine.device("sda")
    one, two = machine.device("sda1", whole="sda"), machine.device("sda2", whole="sda")

    assert machine.overlap(one, disk)
    assert not machine.overlap(one, two)


def test_loop_devices_over_one_file_are_the_file(machine: Machine, tmp_path: Path) -> None:
    file, other = tmp_path / "disk.img", tmp_path / "other.img"
    file.touch()
    other.touch()
    (tmp_path / "hard").hardlink_to(file)
    one, two = machine.device("loop0", backing=file), machine.device("loop1", backing=file)
    third = machine.device("loop2", backing=other)
    part = machine.device("loop0p1", whole="loop0")
    volume = machine.device("dm-0", "loop1")

    for each in (one, two, part, volume):
        assert machine.overlap(each, file)
        assert machine.overlap(each, tmp_path / "hard")
        assert not machine.overlap(each, other)
    assert machine.overlap(one, two)
    assert machine.overlap(volume, one), "it lies on the same file"
    assert not machine.overlap(one, third)


def test_a_loop_over_a_file_that_is_gone_is_only_itself(machine: Machine, tmp_path: Path) -> None:
    loop = machine.device("loop0", backing=tmp_path / "gone (deleted)")

    assert Storage.of(loop, machine.sysfs).itself == Storage.of(loop, machine.sysfs).all


def test_an_output_on_an_input_is_refused(machine: Machine, tmp_path: Path) -> None:
    disk = machine.device("sda")
    volume, elsewhere = machine.device("dm-0", "sda"), machine.device("sdb")
    inputs = Inputs(sysfs=machine.sysfs)
    inputs.add(disk, "LVM's disk")

    with pytest.raises(OutputError, match="dm-0: is LVM's disk itself, which is never written to"):
        inputs.refuse(volume)
    inputs.refuse(elsewhere)
    inputs.refuse(tmp_path / "new")
