"""`thinmeta undelete`: what was deleted is there again, beside what is there, to the byte."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.anatomy import Anatomy
from tests.cases import FIXTURES, unpacked
from tests.conformance import reference_tools
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.golden import DumpedDevice, mappings_of, parsed_xml, thin_dump
from tests.lvm.lvm_disks import REAL, real_disk
from thinmeta.errors import ExitCode

CASE = "a26-deleted-volumes"
STATE = "63:66"
"""The last one before the kernel was told to delete 3, 4 and 5."""

LOST = set(range(80, 118))
"""Blocks of device 5 whose data blocks were given to others since: what thin_dump shows."""

Mapped = dict[int, tuple[int, int]]


def mapped(device: DumpedDevice) -> Mapped:
    return {origin: (data, time) for origin, data, time in mappings_of(device.runs)}


def golden(image: str) -> dict[int, DumpedDevice]:
    """Return the devices that thin_dump showed."""
    devices = parsed_xml(thin_dump(CASE, image, "thin_dump", "0.9.0")).devices
    return {device.device_id: device for device in devices}


def dumped(thinmeta: Thinmeta, image: Path) -> dict[int, DumpedDevice]:
    """Return the devices of new metadata, in which `check` finds nothing."""
    checked = thinmeta("check", image)
    assert (checked.exit_code, checked.stderr) == (ExitCode.DONE, ""), checked.stdout
    xml = thinmeta("dump", "--compat", "0.9", image).stdout.encode()
    return {device.device_id: device for device in parsed_xml(xml).devices}


def digest(thinmeta: Thinmeta, device_id: int, metadata: Path) -> str:
    output = metadata.parent / f"{device_id}.img"
    data = ("--data", unpacked(CASE, "data"), "--size", "24M")
    result = thinmeta("extract", device_id, "-p", metadata, *data, "-o", output)
    assert result.exit_code == ExitCode.DONE, result.stderr
    return hashlib.sha256(output.read_bytes()).hexdigest()


def truth(folder: str) -> dict[int, str]:
    """Return the hashes of what the kernel read of each device, by its id."""
    lines = (FIXTURES / CASE / folder / "thin-devices.sha256").read_text().splitlines()
    return {int(device_id): each for each, device_id, _ in map(str.split, lines)}


@pytest.mark.parametrize("image", ["meta-deleted", "meta"])
def test_deleted_devices_are_beside_the_others(
    image: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    new = tmp_path / "new"
    specs = [f"{device_id}@{STATE}" for device_id in (3, 4, 5)]

    result = thinmeta("undelete", *specs, "-p", unpacked(CASE, image), "-o", new, "-f", "json")

    is_taken = image == "meta"
    assert result.exit_code == (ExitCode.SALVAGED if is_taken else ExitCode.DONE), result.stderr
    found = dumped(thinmeta, new)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    new_ids = {each["former_device_id"]: each["device_id"] for each in rows[1:] if "size" in each}
    assert new_ids == {3: 11 if is_taken else 3, 4: 4, 5: 5}
    now, before = golden(image), golden("meta-before")
    assert found.keys() == now.keys() | set(new_ids.values())
    for device_id, device in now.items():
        assert found[device_id] == device
    used = {data for each in now.values() for data, _ in mapped(each).values()}
    for former, device_id in new_ids.items():
        was = mapped(before[former])
        expected = {key: was[key] for key in was if former != 5 or not is_taken or key not in LOST}
        assert mapped(found[device_id]) == expected
        assert found[device_id].transaction_id == before[former].transaction_id
        if is_taken and former == 5:
            assert {was[key][0] for key in LOST} <= used
    ranges = [each for each in rows if each["type"] == "range"]
    assert [(each["fate"], each["origin_begin"], each["length"]) for each in ranges] == (
        [("taken", min(LOST), len(LOST))] if is_taken else []
    )


def test_the_contents_are_what_the_kernel_read(tmp_path: Path, thinmeta: Thinmeta) -> None:
    new = tmp_path / "new"
    result = thinmeta("undelete", f"3@{STATE}", f"4@{STATE}", "-p", unpacked(CASE), "-o", new)

    assert result.exit_code == ExitCode.DONE
    (said,) = result.stderr.splitlines()  # once, of all
    assert said.startswith("Warning: 20 blocks of 3@63:66, 30 blocks of 4@63:66 were in use by no")
    assert said.endswith("or used by another device in between and freed again")
    before, now = truth("truth-before"), truth("truth")
    assert digest(thinmeta, 11, new) == before[3]
    assert digest(thinmeta, 4, new) == before[4]
    assert digest(thinmeta, 3, new) == now[3]
    assert digest(thinmeta, 6, new) == now[6]


@pytest.mark.live
@pytest.mark.parametrize("version", reference_tools.VERSIONS)
def test_thin_check_is_content_and_thin_dump_shows_it(
    version: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    new = tmp_path / "new"
    specs = [*(f"{each}@{STATE}" for each in (1, 2, 3, 4, 5)), "11@37:38"]
    thinmeta("undelete", *specs, "-p", unpacked(CASE), "-o", new)
    folder = reference_tools.FOLDER / version

    subprocess.run([folder / "thin_check", new], check=True, capture_output=True)

    xml = subprocess.run([folder / "thin_dump", new], check=True, capture_output=True).stdout
    compat = ("--compat", "0.9") if version.startswith("0") else ()
    assert thinmeta("dump", *compat, new).stdout.encode() == xml


def test_a_former_state_of_a_device_comes_beside_it(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """They share what neither may write in place from then on: both were snapshotted, so to say."""
    new = tmp_path / "new"
    before = parsed_xml(thin_dump(CASE, "meta", "thin_dump", "0.9.0"))

    result = thinmeta("undelete", f"2@{STATE}", "-p", unpacked(CASE), "-o", new)

    assert result.exit_code == ExitCode.DONE
    assert "Warning: device 2: was given a later time of its last snapshot" in result.stderr
    found = dumped(thinmeta, new)
    later = before.superblock["time"] + 1
    assert mapped(found[11]) == mapped(found[2]) == mapped(golden("meta-before")[2])
    assert {each for _, each in mapped(found[2]).values()} == {0}
    assert (found[11].snap_time, found[2].snap_time) == (later, later)
    written = parsed_xml(thinmeta("dump", "--compat", "0.9", new).stdout.encode()).superblock
    assert written == before.superblock | {"time": later}
    others = {each.device_id: each for each in before.devices if each.device_id != 2}
    assert {each: found[each] for each in others} == others


def on_disk(*more: object) -> tuple[object, ...]:
    return ("--lvm", real_disk(), "--lv", "vgthin/pool0", *more)


@pytest.mark.parametrize("name", ["junk", "vgthin/junk", "vgthin/junk#16", "6@124:126"])
def test_a_removed_volume_comes_back_by_its_name(
    name: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """What is printed, put into LVM's text, makes LVM know the new device by its name."""
    new, text = tmp_path / "new", tmp_path / "vg.txt"

    result = thinmeta("undelete", name, *on_disk("-o", new))

    assert result.exit_code == ExitCode.DONE
    assert "vgthin/junk#16 is device 8: 75 of 75 blocks" in result.stdout
    section = "".join(f"{line}\n" for line in result.stdout.splitlines() if line.startswith("\t\t"))
    backup = (REAL / "vgcfgbackup.txt").read_text()
    text.write_text(backup.replace("logical_volumes {\n", "logical_volumes {\n" + section))
    lvm = ("--lvm", text, "--lv", "vgthin/pool0")
    listed = thinmeta("ls", "-o", "DEV,NAME", "-p", new, *lvm)
    assert (listed.exit_code, listed.stderr) == (ExitCode.DONE, "")
    assert listed.stdout.splitlines()[-1].split() == ["8", "vgthin/junk"]
    size = thinmeta("extract", "junk", "-p", new, *lvm, "--data", tmp_path / "no data")
    assert "no data" in size.stderr
    same = thinmeta("diff", "junk", "junk#16@124:126", "-p", new, *lvm, "--summary")
    assert same.exit_code in (ExitCode.DONE, ExitCode.NOT_THERE, ExitCode.DAMAGE)


def test_lvms_text_names_what_is_there_no_more(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """Of a former state of a volume that is there: another name, another uuid, the same origin."""
    new = tmp_path / "new"

    result = thinmeta("undelete", "home_snap1@124:126", *on_disk("-o", new, "-f", "json"))

    assert result.exit_code == ExitCode.DONE, result.stderr
    row = json.loads(result.stdout.splitlines()[1])
    assert (row["lvm_name"], row["device_id"]) == ("home_snap1_undeleted", 8)
    assert 'origin = "home"' in row["lvm_text"]
    assert "device_id = 8" in row["lvm_text"]
    uuid = row["lvm_text"].split('id = "')[1][:38]
    assert uuid not in (REAL / "vgcfgbackup.txt").read_text()


def refused(thinmeta: Thinmeta, tmp_path: Path, *args: object) -> tuple[int, str]:
    result = thinmeta("undelete", *args, "-o", tmp_path / "new")
    assert (result.stdout, [*tmp_path.glob("new*")]) == ("", [])
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("specs", "exit_code", "what"),
    [
        (["1"], ExitCode.NOT_THERE, "the pool has this device; to have a former state of it"),
        (["4"], ExitCode.NOT_THERE, "there is no device 4; `thinmeta deleted -p "),
        (["root:7"], ExitCode.NOT_THERE, "nobody knows the details of a bare tree"),
        (["4@63"], ExitCode.NOT_THERE, "this state has no details of it"),
        (["99@63:66"], ExitCode.NOT_THERE, "there is no device 99@63:66"),
        (["4@63:66", "4@63:66"], ExitCode.USAGE, "4@63:66 is given twice"),
        (["4@63:66", "--state", "63:66"], ExitCode.USAGE, "it takes no -m and no --state"),
        ([], ExitCode.USAGE, "Missing argument 'DEVICE...'"),
    ],
)
def test_what_cannot_come_back_is_said(
    specs: list[str], exit_code: int, what: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    code, said = refused(thinmeta, tmp_path, *specs, "-p", unpacked(CASE))

    assert (code, what in said) == (exit_code, True), said


def test_damage_of_the_live_state_ends_it_but_for_salvage(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage.of(CASE)
    leaf = Anatomy.of(CASE).leaves(6)[0]
    image.zero(leaf.block)
    path = image.write_to(tmp_path / "meta.bin")

    code, said = refused(thinmeta, tmp_path, f"4@{STATE}", "-p", path)

    assert (code, f"metadata block {leaf.block}" in said) == (ExitCode.DAMAGE, True)
    new = tmp_path / "new"
    result = thinmeta("undelete", f"4@{STATE}", "-p", path, "-o", new, "--salvage")
    assert result.exit_code == ExitCode.SALVAGED
    now, was = dumped(thinmeta, new), mapped(golden("meta-before")[4])
    assert mapped(now[4]).items() <= was.items()


def test_damage_of_a_past_state_ends_it_but_for_salvage(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE, "meta-deleted")
    before = Anatomy.of(CASE, "meta-before")
    live = set(Anatomy.of(CASE, "meta-deleted").nodes())
    leaf = next(each for each in before.leaves(5) if each.block not in live)
    image.zero(leaf.block)
    path = image.write_to(tmp_path / "meta.bin")

    code, _ = refused(thinmeta, tmp_path, f"5@{STATE}", "-p", path)

    assert code == ExitCode.DAMAGE
    new = tmp_path / "new"
    result = thinmeta("undelete", f"5@{STATE}", "-p", path, "-o", new, "--salvage")
    assert result.exit_code == ExitCode.SALVAGED
    found, was = mapped(dumped(thinmeta, new)[5]), mapped(golden("meta-before")[5])
    assert found.items() < was.items()


def changed(**fields: Any) -> DamagedImage:
    image = DamagedImage.of(CASE)
    for name, value in fields.items():
        image.superblock()[name] = value
    image.restamp(0)
    return image


def test_a_clock_at_its_end_is_an_error(tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = changed(time=2**24 - 1).write_to(tmp_path / "meta.bin")

    code, said = refused(thinmeta, tmp_path, f"2@{STATE}", "-p", path)

    assert (code, "the pool's time is 16777215, the last that there is" in said) == (3, True)
    result = thinmeta("undelete", f"4@{STATE}", "-p", path, "-o", tmp_path / "new")
    assert result.exit_code == ExitCode.DONE


def test_new_metadata_is_as_the_options_say(tmp_path: Path, thinmeta: Thinmeta) -> None:
    new = tmp_path / "new"
    more = ("--transaction-id", 30, "--nr-data-blocks", 2000, "--metadata-size", "8M")

    result = thinmeta("undelete", f"4@{STATE}", "-p", unpacked(CASE), "-o", new, *more)

    assert (result.exit_code, new.stat().st_size) == (ExitCode.DONE, 8 << 20)
    xml = parsed_xml(thinmeta("dump", "--compat", "0.9", new).stdout.encode())
    assert (xml.superblock["transaction"], xml.superblock["nr_data_blocks"]) == (30, 2000)
    assert "transaction id 30" in result.stdout
