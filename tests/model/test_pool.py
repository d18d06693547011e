"""A pool, opened: its superblock, its devices by id, and the state that is read."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

import thinmeta
from tests.cases import image_bytes, unpacked
from tests.conftest import OwnImage
from tests.golden import dumped_images, parsed_xml, runs_of, thin_dump
from tests.made_images import BLOCK, Image, mappings, one_device, stamped, written
from thinmeta.errors import (
    Damage,
    DamagedMetadataError,
    DamageKind,
    InputError,
    NoSnapshotError,
    ThinmetaError,
    UnsupportedFormatError,
)
from thinmeta.model.pool import open_pool
from thinmeta.model.state import State
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR

IMAGES = dumped_images()
IMAGE_IDS = ["/".join(image) for image in IMAGES]

HELD = "a13-metadata-snapshot-held"


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_the_superblock_says_what_thin_dump_prints(case: str, image: str) -> None:
    printed = parsed_xml(thin_dump(case, image, "thin_dump-skip", "0.9.0")).superblock

    with open_pool(unpacked(case, image)) as pool:
        superblock = pool.superblock

    assert printed == {
        "time": superblock.time,
        "transaction": superblock.transaction_id,
        "flags": int(superblock.needs_check),
        "version": superblock.version,
        "data_block_size": superblock.data_block_sectors,
        "nr_data_blocks": superblock.data_space_map.nr_blocks,
    }


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_devices_are_a_mapping_by_ascending_id(case: str, image: str) -> None:
    printed = parsed_xml(thin_dump(case, image, "thin_dump-skip", "0.9.0")).devices

    with open_pool(unpacked(case, image)) as pool:
        devices = pool.devices

    assert list(devices) == [device.device_id for device in printed]
    assert [
        (
            device.device_id,
            device.mapped_blocks,
            device.transaction_id,
            device.creation_time,
            device.snap_time,
        )
        for device in devices.values()
    ] == [
        (
            device.device_id,
            device.mapped_blocks,
            device.transaction_id,
            device.creation_time,
            device.snap_time,
        )
        for device in printed
    ]
    assert all(devices[device_id].device_id == device_id for device_id in devices)


def test_devices_cannot_be_changed() -> None:
    with open_pool(unpacked("a08-snapshots-of-snapshots")) as pool:
        with pytest.raises(TypeError):
            pool.devices[1] = pool.devices[1]  # type: ignore[index]
        with pytest.raises(KeyError):
            pool.devices[4242]


def test_the_state_that_a_metadata_snapshot_holds_is_another() -> None:
    path = unpacked(HELD, "meta-live-after-changes")

    with open_pool(path) as live, open_pool(path, state=State.SNAP) as held:
        assert live.superblock is live.live_superblock
        assert held.live_superblock == live.superblock
        assert held.superblock.blocknr == live.superblock.held_root != 0
        assert held.superblock.data_space_map.nr_blocks == 0
        assert held.source.nr_blocks == live.source.nr_blocks == 2048
        held_ids, live_ids = list(held.devices), list(live.devices)

    xml = thin_dump(HELD, "meta-live-after-changes", "thin_dump-m", "0.9.0")
    assert held_ids == [device.device_id for device in parsed_xml(xml).devices]
    assert held_ids != live_ids or held.superblock.time != live.superblock.time


def test_where_no_metadata_snapshot_is_held_there_is_none_to_read() -> None:
    path = unpacked("a01-empty-pool")

    with pytest.raises(NoSnapshotError, match=f"^{path}: no metadata snapshot is held$"):
        open_pool(path, state=State.SNAP)


def changed_superblock(image: bytes, offset: int, value: int) -> bytes:
    block = bytearray(image[:BLOCK])
    block[offset : offset + 8] = value.to_bytes(8, "little")
    return stamped(bytes(block), SUPERBLOCK_CSUM_XOR)


@pytest.mark.parametrize(
    ("what", "offset", "value"), [("transaction id", 48, 99), ("held root", 56, 0)]
)
def test_a_pool_that_moves_on_while_its_snapshot_is_read_is_told(
    tmp_path: Path, what: str, offset: int, value: int
) -> None:
    image = image_bytes(HELD, "meta-live-after-changes")
    path = written(tmp_path / "meta.bin", image)

    with open_pool(path, state=State.SNAP) as pool:
        pool.verify_unchanged()
        with path.open("r+b") as file:
            file.write(changed_superblock(image, offset, value))
        with pytest.raises(InputError, match=f"the {what} changed from [0-9]+ to {value} during"):
            pool.verify_unchanged()


def test_a_pool_that_is_not_read_by_its_snapshot_may_change(tmp_path: Path) -> None:
    image = image_bytes(HELD, "meta-live-after-changes")
    path = written(tmp_path / "meta.bin", image)

    with open_pool(path) as pool:
        with path.open("r+b") as file:
            file.write(changed_superblock(image, 48, 99))
        pool.verify_unchanged()


def test_the_number_of_metadata_blocks_is_the_space_maps() -> None:
    # The superblock's own number is stale after the metadata device has grown.
    with open_pool(unpacked("a16-metadata-and-data-resized")) as pool:
        assert pool.source.nr_blocks == 6144


def test_needs_check_is_read() -> None:
    with open_pool(unpacked("a11-needs-check-flag")) as pool:
        assert pool.superblock.needs_check
    with open_pool(unpacked("a11-needs-check-flag", "meta-before")) as pool:
        assert not pool.superblock.needs_check


def pool_with(path: Path, **fields: int) -> Path:
    image = Image()
    image.pool({}, {})
    names = {"data_mapping_root": 1, "device_details_root": 2}
    image.blocks[0] = image.superblock(**names, **fields)
    return written(path, b"".join(image.blocks))


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_are_read(tmp_path: Path, version: int) -> None:
    with open_pool(pool_with(tmp_path / "meta.bin", version=version)) as pool:
        assert pool.superblock.version == version
        assert dict(pool.devices) == {}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"version": 0}, "has version 0"),
        ({"version": 3}, "has version 3"),
        ({"incompat_flags": 1 << 31}, "has unknown incompat flags 0x80000000"),
    ],
    ids=str,
)
def test_what_is_not_known_is_refused_until_it_is_to_be_ignored(
    tmp_path: Path, fields: dict[str, int], what: str
) -> None:
    path = pool_with(tmp_path / "meta.bin", **fields)

    with pytest.raises(UnsupportedFormatError, match=f"^{path}: the superblock {what}"):
        open_pool(path)
    with open_pool(path, ignore_unsupported=True) as pool:
        assert dict(pool.devices) == {}


@pytest.mark.parametrize("flags", ["compat_flags", "compat_ro_flags"])
def test_what_a_reader_can_do_without_is_read(tmp_path: Path, flags: str) -> None:
    with open_pool(pool_with(tmp_path / "meta.bin", **{flags: 0xFFFF})) as pool:
        assert dict(pool.devices) == {}


def test_a_damaged_superblock_is_damage_of_block_0(tmp_path: Path) -> None:
    image = bytearray(one_device())
    image[48] ^= 1

    with pytest.raises(DamagedMetadataError) as caught:
        open_pool(written(tmp_path / "meta.bin", bytes(image)))

    assert caught.value.damage.block == 0


def two_devices(roots: list[int], details: list[int]) -> bytes:
    image = Image()
    leaves = {device_id: image.leaf(mappings(0, [10 * device_id])) for device_id in (1, 2, 3)}
    return image.pool({each: leaves[each] for each in roots}, dict.fromkeys(details, 1))


def test_details_and_mappings_are_joined_by_id(tmp_path: Path) -> None:
    found: list[Damage] = []
    path = written(tmp_path / "meta.bin", two_devices(roots=[2, 3], details=[1, 3]))

    with open_pool(path, on_damage=found.append) as pool:
        runs = {device_id: runs_of(pool, device) for device_id, device in pool.devices.items()}

    assert runs == {1: [], 3: [thinmeta.Run(0, 30, 1, 0)]}
    assert [(damage.device_id, damage.kind) for damage in found] == [
        (1, DamageKind.DEVICE_IDS),
        (2, DamageKind.DEVICE_IDS),
    ]


def test_a_pool_without_such_damage_tells_none(tmp_path: Path) -> None:
    path = written(tmp_path / "meta.bin", two_devices(roots=[1, 2], details=[1, 2]))

    with open_pool(path, on_damage=lambda damage: pytest.fail(str(damage))) as pool:
        assert list(pool.devices) == [1, 2]


def test_a_pool_closes_its_file_behind_it() -> None:
    def nr_open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = nr_open_files()
    with open_pool(unpacked("a01-empty-pool")):
        assert nr_open_files() == before + 1
    with pytest.raises(NoSnapshotError):
        open_pool(unpacked("a01-empty-pool"), state=State.SNAP)

    assert nr_open_files() == before


def test_a_path_may_be_text() -> None:
    with open_pool(str(unpacked("a01-empty-pool"))) as pool:
        assert dict(pool.devices) == {}


def test_both_states_are_had_from_one_opened_pool() -> None:
    path = unpacked(HELD, "meta-live-after-changes")

    with open_pool(path) as live, open_pool(path, state=State.SNAP) as held:
        assert live.in_state(State.LIVE) is live
        assert held.in_state(State.SNAP) is held
        assert live.in_state(State.SNAP).superblock == held.superblock
        assert held.in_state(State.LIVE).superblock == live.superblock
        assert list(live.in_state(State.SNAP).devices) == list(held.devices)
        assert list(held.in_state(State.LIVE).devices) == list(live.devices)


def test_a_block_size_that_is_given_counts_in_all_states() -> None:
    with open_pool(unpacked(HELD), data_block_sectors=256) as pool:
        held = pool.in_state(State.SNAP)

        assert held.data_block_bytes() == pool.data_block_bytes() == 256 * 512
        assert held.in_state(State.LIVE).superblock == pool.superblock


def test_a_state_that_is_not_held_is_not_there() -> None:
    with open_pool(unpacked("a01-empty-pool")) as pool, pytest.raises(NoSnapshotError):
        pool.in_state(State.SNAP)


def test_the_live_state_of_a_file_that_is_gone_is_an_error_of_ours(own_image: OwnImage) -> None:
    path = own_image(HELD)

    with open_pool(path, state=State.SNAP) as pool:
        path.unlink()
        with suppress(ThinmetaError):
            pool.in_state(State.LIVE)
