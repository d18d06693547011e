"""`thinmeta deleted`: what the kernel was told to delete, what is left of it, and its names."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.golden import DumpedDevice, parsed_xml, thin_dump
from tests.lvm.lvm_disks import real_disk
from tests.names.docker_roots import CASES, state_of
from thinmeta.errors import ExitCode

CASE = "a26-deleted-volumes"

DELETED = {"meta-before": set(), "meta-deleted": {3, 4, 5}, "meta": {3, 4, 5, 11}}
"""By copy of the metadata, as `commands.sh` of the case has told the kernel."""


def objects(thinmeta: Thinmeta, *args: object) -> list[dict[str, Any]]:
    result = thinmeta("deleted", "-f", "json", *args)
    assert result.exit_code == ExitCode.DONE, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found.pop() == {"type": "end"}
    return found


def dumped(image: str) -> dict[int, DumpedDevice]:
    """Return the devices that thin_dump shows."""
    devices = parsed_xml(thin_dump(CASE, image, "thin_dump", "0.9.0")).devices
    return {device.device_id: device for device in devices}


@pytest.mark.parametrize("image", DELETED)
def test_what_the_kernel_deleted_is_listed(image: str, thinmeta: Thinmeta) -> None:
    found = objects(thinmeta, unpacked(CASE, image))

    assert {each["device_id"] for each in found} == DELETED[image]
    assert all(each["whole"] and each["complete"] for each in found)
    before = dumped("meta-before")
    for each in found:
        if each["device_id"] in before:
            assert each["mapped_blocks"] == before[each["device_id"]].mapped_blocks


@pytest.mark.parametrize("image", ["meta-deleted", "meta"])
def test_what_became_of_each_is_what_fate_says(image: str, thinmeta: Thinmeta) -> None:
    pool = unpacked(CASE, image)

    for each in objects(thinmeta, pool):
        spec = f"{each['device_id']}@{each['state']}"
        fate = json.loads(thinmeta("fate", spec, "-p", pool, "-f", "json").stdout.splitlines()[0])
        names = [name for name in fate if name.endswith("_blocks")]
        assert {name: each[name] for name in names} == {name: fate[name] for name in names}


def test_the_best_kept_is_first_and_can_be_typed(thinmeta: Thinmeta) -> None:
    pool = unpacked(CASE)
    found = objects(thinmeta, pool)
    text = thinmeta("deleted", pool).stdout

    shares = [each["taken_blocks"] / each["mapped_blocks"] for each in found]
    assert shares == sorted(shares)
    assert shares[-1] > 0
    assert [line.split()[0] for line in text.splitlines()[2:6]] == [
        str(each["device_id"]) for each in found
    ]
    best = found[0]
    assert f"thinmeta fate {best['device_id']}@{best['state']} --verbose -p {pool}\n" in text


def test_removed_volumes_have_the_names_that_lvm_gave_them(thinmeta: Thinmeta) -> None:
    """The disk's ring has version 16 of the text, the last with the volume junk: 13 extents."""
    (found,) = objects(thinmeta, "--lvm", real_disk(), "--lv", "vgthin/pool0")

    assert (found["device_id"], found["state"]) == (6, "124:126")
    assert (found["name"], found["text_version"]) == ("vgthin/junk#16", 16)
    assert (found["size"], found["transaction_id"]) == (13 * 4 << 20, 5)


def test_what_docker_deleted_is_listed_without_a_name(thinmeta: Thinmeta) -> None:
    """Docker's record of a device goes with the device."""
    case = CASES[0]

    found = objects(thinmeta, "-p", unpacked(case), "--docker-root", state_of(case))

    assert len(found) > 10
    assert {each["name"] for each in found} == {None}


def test_damage_of_the_live_state_is_told(thinmeta: Thinmeta, tmp_path: Path) -> None:
    image = DamagedImage.of(CASE, "meta-deleted")
    root = Anatomy.of(CASE, "meta-deleted").device_roots[1]
    image.flip_bit(root, 8 * 100)
    path = image.write_to(tmp_path / "meta.bin")

    refused, salvaged = (thinmeta("deleted", path, *more) for more in ((), ("--salvage",)))

    assert (refused.exit_code, refused.stdout) == (ExitCode.DAMAGE, "")
    assert salvaged.exit_code == ExitCode.SALVAGED
    assert "Deleted devices, best kept first: 3\n" in salvaged.stdout


def test_a_state_is_refused(thinmeta: Thinmeta) -> None:
    result = thinmeta("deleted", unpacked(CASE), "--state", "63:66")

    assert result.exit_code == ExitCode.USAGE


def test_blocks_that_cannot_be_read_may_hide_some(tmp_path: Path, thinmeta: Thinmeta) -> None:
    pool = unpacked(CASE)
    copy = tmp_path / "copy"
    copy.write_bytes(pool.read_bytes())
    begin, end, size = 60 * 4096, 70 * 4096, copy.stat().st_size  # the newest state that has all
    Path(f"{copy}.map").write_text(
        f"0 + 1\n0 {begin} +\n{begin} {end - begin} -\n{end} {size - end} +\n"
    )

    result = thinmeta("deleted", copy, "--bad-map", copy)

    assert result.exit_code == ExitCode.SALVAGED
    assert result.stdout != thinmeta("deleted", pool).stdout
    assert "blocks that cannot be read: 10; what was deleted may be more" in result.stderr
