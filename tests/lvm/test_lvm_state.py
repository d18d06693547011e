"""A real volume group: names and places from its text and from its disk."""

import hashlib
import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cases import FIXTURES, image_bytes, unpacked
from tests.names.called import names_in
from thinmeta.device.extents import Extents
from thinmeta.errors import InputError, NotThereError
from thinmeta.lvm.lvm_state import LvmState, read_lvm
from thinmeta.lvm.spellings import dashed
from thinmeta.model.pool import open_pool
from thinmeta.names.catalogue import find
from thinmeta.names.lvm_catalogue import lvm_catalogue
from thinmeta.units import DeviceId

CASE = FIXTURES / "c01-lvm-thin-one-pv"
DOCKER = FIXTURES / "docker-direct-lvm-ext4-512k"
TEXT = str(CASE / "vgcfgbackup.txt")
POOLS = ["pool0", "pool-b"]
UNITS = {"m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

each_pool = pytest.mark.parametrize("pool", POOLS)


@pytest.fixture
def disk() -> Path:
    """The disk with its physical volume; zeros are holes."""
    return unpacked(CASE.name, "pv")


@pytest.fixture(params=["text", "disk"])
def state(request: pytest.FixtureRequest) -> Iterator[LvmState]:
    source = TEXT if request.param == "text" else str(request.getfixturevalue("disk"))
    with read_lvm([source]) as opened:
        yield opened


@pytest.fixture
def on_disk(disk: Path) -> Iterator[LvmState]:
    with read_lvm([str(disk)]) as opened:
        yield opened


def lvs() -> dict[str, dict[str, str]]:
    """Return what lvs printed, by name; of volumes with several segments the last."""
    rows = json.loads((CASE / "lvs.json").read_text())["report"][0]["lv"]
    return {row["lv_name"]: row for row in rows}


def size_of(row: dict[str, str]) -> int:
    return round(float(row["lv_size"][:-1]) * UNITS[row["lv_size"][-1]])


def contents(extents: Extents) -> bytes:
    buffer = bytearray(extents.size)
    assert extents.read_into(memoryview(buffer), 0) == extents.size
    extents.close()
    return bytes(buffer)


@each_pool
def test_names_are_those_that_lvs_printed(state: LvmState, pool: str) -> None:
    rows = lvs()
    catalogue = lvm_catalogue(state, f"vgthin/{pool}")

    there = [device for device in catalogue.devices if not device.is_deleted]
    assert {device.name: device for device in there}.keys() == {
        f"vgthin/{name}" for name, row in rows.items() if row["pool_lv"] == pool
    }
    for device in there:
        row = rows[device.name.removeprefix("vgthin/")]
        origin = rows[row["origin"]]["thin_id"] if row["origin"] else None
        assert device.device_id == int(row["thin_id"])
        assert device.transaction_id == int(row["transaction_id"])
        assert device.size == size_of(row)
        assert device.origin == (int(origin) if origin else None)
    assert catalogue.transaction_id == int(rows[pool]["transaction_id"])
    assert catalogue.notes == ()


@each_pool
def test_the_block_size_is_that_of_the_active_pool(state: LvmState, pool: str) -> None:
    name = f"vgthin-{pool.replace('-', '--')}-tpool: "
    lines = (CASE / "dmsetup-table-live.txt").read_text().splitlines()
    words = next(line for line in lines if line.startswith(name)).split()

    assert lvm_catalogue(state, pool).data_block_sectors == int(words[6])


@each_pool
def test_names_agree_with_the_pool_itself(on_disk: LvmState, pool: str) -> None:
    with open_pool(on_disk.open_metadata(pool)) as opened:
        catalogue = lvm_catalogue(on_disk, pool)
        created = {each.device_id: each.transaction_id for each in opened.devices.values()}
        superblock = opened.superblock

    names = [each for each in catalogue.devices if not each.is_deleted]
    assert {each.device_id: each.transaction_id for each in names} == created
    assert catalogue.transaction_id == superblock.transaction_id
    assert catalogue.data_block_sectors == superblock.data_block_sectors


@each_pool
def test_metadata_is_read_where_it_lies(on_disk: LvmState, pool: str) -> None:
    case = "c01-lvm-thin-one-pv"
    expected = image_bytes(case, "meta" if pool == "pool0" else "pool-b/meta")
    device = on_disk.open_metadata(f"vgthin/{pool}")
    batch = device.read(np.arange(device.nr_blocks, dtype=np.uint64))
    device.close()

    assert not batch.faults.any()
    assert batch.rows.tobytes() == expected
    assert contents(on_disk.open_lv(f"vgthin/{pool}_tmeta")) == expected


def test_data_is_read_where_it_lies(on_disk: LvmState) -> None:
    expected = lzma.decompress((CASE / "pool-b/data.bin.xz").read_bytes())

    assert contents(on_disk.open_data("pool-b")) == expected


def test_a_volume_through_metadata_and_data_is_what_the_kernel_read(on_disk: LvmState) -> None:
    dump = (CASE / "golden/meta/thin_dump-0.9.0.xml").read_text()
    device = re.search(r'<device dev_id="4".*?</device>', dump, re.DOTALL)
    assert device
    volume, chunk = bytearray(200 << 20), 128 * 512
    data = on_disk.open_data("pool0")
    for mapping in re.finditer(
        r'"(\d+)" data_(?:block|begin)="(\d+)"(?: length="(\d+)")?', device[0]
    ):
        origin, block, size = (int(number or 1) * chunk for number in mapping.groups())
        part = memoryview(volume)[origin : origin + size]
        assert data.read_into(part, block) == len(part)
    data.close()

    truth = (CASE / "truth/thin-devices.sha256").read_text().splitlines()
    sha256, _, nr_bytes = next(line.split() for line in truth if line.split()[1] == "4")
    assert int(nr_bytes) == len(volume)
    assert hashlib.sha256(volume).hexdigest() == sha256


@pytest.mark.parametrize(
    "file", ["dmsetup-table-components.txt", "pool-b/dmsetup-table-components.txt"]
)
def test_tables_are_those_of_the_active_volumes(state: LvmState, file: str) -> None:
    expected: dict[str, list[str]] = {}
    for line in (CASE / file).read_text().splitlines():
        name, _, table = line.partition(": ")
        expected.setdefault(name, []).append(table.replace("254:48", "/dev/vdd"))

    assert len(expected) == 2
    for name, lines in expected.items():
        assert [str(line) for line in state.linear_table(name)] == lines


def test_a_removed_volume_is_found_in_an_older_text(disk: Path, on_disk: LvmState) -> None:
    with disk.open("rb") as file:
        beginning = file.read(1 << 20)
    last = max(
        int(seqno)
        for seqno, text in re.findall(rb"\nseqno = (\d+)\n(.*?)\0", beginning, re.DOTALL)
        if b"\njunk {" in text
    )

    removed = [each for each in lvm_catalogue(on_disk, "pool0").devices if each.is_deleted]
    (junk,) = removed
    assert junk.name == f"vgthin/junk#{last}"
    assert (junk.device_id, junk.transaction_id, junk.size) == (6, 5, 52 << 20)


def test_a_removed_volume_is_meant_by_its_old_name_where_nobody_else_has_it(
    on_disk: LvmState,
) -> None:
    catalogue = lvm_catalogue(on_disk, "pool0")

    for name in ("vgthin/junk", "junk", "/dev/vgthin/junk", "junk#16", "vgthin/junk#16"):
        named = find([catalogue], name)
        assert (named.name, named.version, named.is_deleted) == ("vgthin/junk#16", 16, True)


def test_a_plain_name_that_several_had_is_ambiguous(on_disk: LvmState) -> None:
    catalogue = lvm_catalogue(on_disk, "pool0")
    junk = find([catalogue], "junk")
    other = junk._replace(name="vgthin/junk#20", device_id=DeviceId(9), transaction_id=8)

    with pytest.raises(NotThereError, match=r"'junk' may be volume vgthin/junk#16 .*junk#20"):
        find([catalogue._replace(devices=(*catalogue.devices, other))], "junk")


def test_a_reused_device_id_has_the_name_of_now(on_disk: LvmState) -> None:
    assert names_in(lvm_catalogue(on_disk, "pool0"))[6] == "vgthin/huge_unused"


@pytest.mark.parametrize(
    "text",
    [
        "vgthin/home-snap2",
        "home-snap2",
        "/dev/vgthin/home-snap2",
        "vgthin-home--snap2",
        "/dev/mapper/vgthin-home--snap2",
        "XZRtDP-KBym-h1MI-tL2D-xQq0-xGBc-60JnMF",
    ],
)
def test_a_volume_goes_by_all_its_names(state: LvmState, text: str) -> None:
    assert find([lvm_catalogue(state, "pool0")], text).device_id == 4


def test_a_renamed_volume_is_found_by_its_former_name(on_disk: LvmState) -> None:
    catalogue = [lvm_catalogue(on_disk, "pool0")]

    assert find(catalogue, "vgthin/oldname") == find(catalogue, "vgthin/newname")
    assert find(catalogue, "vgthin/newname").device_id == 7


def test_hidden_volumes_are_called_as_lvs_shows_them(on_disk: LvmState) -> None:
    hidden = [name for name in lvs() if name.startswith("[")]
    assert len(hidden) == 5
    for name in hidden:
        opened = on_disk.open_lv(f"vgthin/{name}")
        assert opened.size == size_of(lvs()[name])
        opened.close()


def test_which_pool_must_be_said_when_there_are_two(state: LvmState) -> None:
    with pytest.raises(
        NotThereError, match="say which thin pool; there are: vgthin/pool0, vgthin/pool-b"
    ):
        lvm_catalogue(state, None)


@pytest.mark.parametrize("name", ["vgthin/nothing", "vgthin/root", ""])
def test_what_is_no_pool_is_not_there(state: LvmState, name: str) -> None:
    with pytest.raises(NotThereError, match="there are: vgthin/pool0, vgthin/pool-b"):
        lvm_catalogue(state, name)


def test_a_text_has_no_bytes_and_the_disk_is_named() -> None:
    uuid = re.search(r'pv0 \{\s+id = "([\w-]+)"', Path(TEXT).read_text())
    assert uuid
    with (
        read_lvm([TEXT]) as state,
        pytest.raises(InputError, match=f"uuid {uuid[1]}, once /dev/vdd"),
    ):
        state.open_metadata("pool0")


def test_metadata_that_is_none_is_refused(
    on_disk: LvmState, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = on_disk.pool("pool0")
    wrong = found._replace(pool=type(found.pool)("pool0_tdata", "pool0_tdata", 128, 9, ()))
    monkeypatch.setattr(on_disk, "pool", lambda _: wrong)
    with pytest.raises(InputError, match=r"^vgthin/pool0_tdata in .*: has no thin-pool superblock"):
        on_disk.open_metadata("pool0")


def test_dockers_pool_is_one_of_lvms() -> None:
    with read_lvm([str(DOCKER / "vgcfgbackup-dockervg.txt")]) as state:
        catalogue = lvm_catalogue(state, None)
        tables = {
            name: [str(line).replace("/dev/vdd", "254:48") for line in state.linear_table(name)]
            for name in ("dockervg-docker--pool_tdata", "dockervg-docker--pool_tmeta")
        }

    live = (DOCKER / "dmsetup-table-live.txt").read_text().splitlines()
    expected = dict(line.split(": ", 1) for line in live if " linear " in line)
    assert tables == {name: [line] for name, line in expected.items()}
    # Docker counts the transactions of its pool, and LVM knows none of its devices.
    assert (catalogue.devices, catalogue.transaction_id) == ((), None)
    assert catalogue.data_block_sectors == 1024


def test_a_uuid_is_shown_with_its_dashes() -> None:
    shown = "mAxCjb-BhCA-2bZN-nwII-OcQ3-UEZg-HZ4Sde"
    assert dashed(shown.replace("-", "")) == shown
