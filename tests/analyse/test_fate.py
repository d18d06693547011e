"""`fates` against a slow model of plain dicts, on past states of real pools and on made ones."""

import lzma
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analyse.shared_pools import Mapped, pool_over
from tests.cases import FIXTURES, image_bytes, unpacked
from tests.made_images import BLOCK, Image, stamped
from tests.model.references import Walked
from tests.properties import examples
from thinmeta.analyse import fate_ranges
from thinmeta.analyse.fate import fates
from thinmeta.analyse.fate_ranges import Fate, Fates
from thinmeta.errors import Damage, DamagedMetadataError, DamageKind
from thinmeta.model.device_spec import DeviceSpec, choose_device
from thinmeta.model.pool import Pool, open_pool
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, Child, DeviceDetails
from thinmeta.schemas.space_map import (
    BITMAP_CSUM_XOR,
    BitmapHeader,
    IndexEntry,
)
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR


@dataclass
class Device:
    """A device as plain values; `created` is its time and transaction."""

    created: tuple[int, int] | None
    mapped: Mapped = field(default_factory=dict)


def model(
    past_id: int | None,
    past: Device,
    live: dict[int, Device],
    in_use: set[int],
    nr_data_blocks: int,
) -> dict[int, Fate]:
    """Return the fate of each block, by the definition, mapping by mapping."""

    def is_it(device_id: int) -> bool:
        unknown = past.created is None
        return device_id == past_id and (unknown or past.created == live[device_id].created)

    def is_heir(device: Device, time: int) -> bool:
        return device.created is None or time < device.created[0]

    users_of = defaultdict(list)
    for device_id, device in live.items():
        for origin, (data, when) in device.mapped.items():
            users_of[data].append((device_id, (origin, when)))
    found = {}
    for block, (data, time) in past.mapped.items():
        users = [(user, mapping == (block, time)) for user, mapping in users_of[data]]
        by_same_mapping = [
            is_same and (is_it(user) or is_heir(past, time) or is_heir(live[user], time))
            for user, is_same in users
        ]
        if data >= nr_data_blocks:
            found[block] = Fate.PAST_END
        elif not users:
            found[block] = Fate.HELD if data in in_use else Fate.FREE
        elif not all(by_same_mapping):
            found[block] = Fate.TAKEN
        else:
            found[block] = Fate.KEPT if any(is_it(user) for user, _ in users) else Fate.SHARED
    return found


def expanded(found: Fates) -> dict[int, tuple[int, Fate]]:
    """Return data block and fate by origin block; ranges must be in order and long."""
    blocks: dict[int, tuple[int, Fate]] = {}
    after = None
    ranges = found.ranges
    columns = (ranges.origin_begin, ranges.data_begin, ranges.length, ranges.fate)
    for origin, data, length, fate in zip(*(each.tolist() for each in columns), strict=True):
        assert length
        assert (origin, data, fate) != after
        assert after is None or origin >= after[0]
        blocks |= {origin + place: (data + place, Fate(fate)) for place in range(length)}
        after = (origin + length, data + length, fate)
    assert found.counts == dict.fromkeys(Fate, 0) | Counter(fate for _, fate in blocks.values())
    return blocks


def of(pool: Pool, name: str) -> Fates:
    return fates(choose_device(pool, DeviceSpec.parse(name)))


def check(pool: Pool, name: str, past: Mapped, expected: dict[int, Fate]) -> None:
    found = of(pool, name)

    assert found.is_complete
    assert expanded(found) == {block: (past[block][0], fate) for block, fate in expected.items()}


# Real pools


def tree(image: bytes, block: int) -> Iterator[tuple[int, bytes]]:
    """Return the entries of a B-tree, trusting all of it."""
    header = struct.unpack_from("<IIQIII", image, block * BLOCK)
    _, flags, _, nr_entries, room, size = header
    begin = block * BLOCK + 32
    for place in range(nr_entries):
        (key,) = struct.unpack_from("<Q", image, begin + 8 * place)
        at = begin + 8 * room + size * place
        value = image[at : at + size]
        if flags == 1:
            yield from tree(image, int.from_bytes(value, "little"))
        else:
            yield key, value


def devices_at(image: bytes, mapping_root: int, details_root: int) -> dict[int, Device]:
    """Return the devices of a state; without a details root, without what it says."""
    details = dict(tree(image, details_root)) if details_root else {}
    devices = {}
    for device_id, root in tree(image, mapping_root):
        values = (
            (key, int.from_bytes(value, "little"))
            for key, value in tree(image, int.from_bytes(root, "little"))
        )
        transaction_id, created = struct.unpack_from("<8xQI", details.get(device_id, bytes(24)))
        devices[device_id] = Device(
            (created, transaction_id) if details_root else None,
            {key: (value >> 24, value & 0xFFFFFF) for key, value in values},
        )
    return devices


# Past states that are whole: mapping root and details root, found by looking at each block.
STATES = {
    ("a09-discards-and-deletes", "meta"): ("64:65", "83:96", "111:109", "117:118"),
    ("a13-metadata-snapshot-held", "meta"): ("24:27", "31:32", "47:51", "55:56", "snap"),
    ("a13-metadata-snapshot-held", "meta-released"): ("24:27", "31:32", "55:56"),
    ("a19-device-id-reuse", "meta"): ("35:37", "88:90", "141:143", "206:207"),
    ("a26-deleted-volumes", "meta"): ("63:66",),
}


@pytest.mark.parametrize(("case", "name"), STATES)
def test_real_pools(case: str, name: str) -> None:
    image = image_bytes(case, name)
    held_root, nr_data_blocks = struct.unpack_from("<QQ", image, 56)
    live = devices_at(image, *struct.unpack_from("<QQ", image, 320))
    in_use = set(Walked(image).walk().data_ref_counts(nr_data_blocks).nonzero()[0].tolist())
    met: Counter[Fate] = Counter()
    with open_pool(unpacked(case, name)) as pool:
        for state in (*STATES[case, name], "live"):
            at = {"live": 0, "snap": held_root}.get(state)
            roots = (
                map(int, state.split(":"))
                if at is None
                else struct.unpack_from("<QQ", image, at * BLOCK + 320)
            )
            mapping_root, details_root = roots
            for device_id, past in devices_at(image, mapping_root, details_root).items():
                expected = model(device_id, past, live, in_use, nr_data_blocks)
                check(pool, f"{device_id}@{state}", past.mapped, expected)
                met.update(expected.values())
                bare = replace(past, created=None)
                expected = model(device_id, bare, live, in_use, nr_data_blocks)
                check(pool, f"{device_id}@{mapping_root}", past.mapped, expected)
                expected = model(None, bare, live, in_use, nr_data_blocks)
                root = int.from_bytes(dict(tree(image, mapping_root))[device_id], "little")
                check(pool, f"root:{root}", past.mapped, expected)
    assert met[Fate.KEPT]
    assert met[Fate.FREE] or case not in ("a09-discards-and-deletes", "a19-device-id-reuse")
    assert met[Fate.HELD] or held_root == 0
    assert met[Fate.TAKEN] or case != "a26-deleted-volumes"


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        # commands.sh: the first half of device 2 is discarded, then it is snapshotted as 4
        # and deleted; the metadata snapshot holds what was discarded until it is released.
        ("meta", "2@snap", {Fate.SHARED: 24, Fate.HELD: 25}),
        ("meta-released", "2@24:27", {Fate.SHARED: 24, Fate.FREE: 25}),
        # 192 blocks of device 1, of which it copied 19 on write: 3 is a snapshot of it.
        ("meta", "1@24:27", {Fate.KEPT: 173, Fate.SHARED: 19}),
        ("meta", "root:26", {Fate.SHARED: 24, Fate.HELD: 25}),
        ("meta-live-at-reserve", "2@24:27", {Fate.KEPT: 49}),
    ],
)
def test_known_numbers(image: str, name: str, expected: dict[Fate, int]) -> None:
    with open_pool(unpacked("a13-metadata-snapshot-held", image)) as pool:
        counts = of(pool, name).counts

    assert {fate: blocks for fate, blocks in counts.items() if blocks} == expected


def stamps_of(data: bytes, block: int) -> set[tuple[str, int]]:
    """Return the tags that were written to a data block, each with the origin block it was for."""
    content = data[block * 65536 : (block + 1) * 65536]
    stamps = re.findall(rb"(?:^|[.\0])([a-z]\d(?:-\d)?) off=(\d+)\n", content)
    return {(tag.decode(), int(offset) // 65536) for tag, offset in stamps}


def test_what_is_free_is_still_on_the_data_device() -> None:
    """Each sector that was written tells its device's generation and its offset."""
    case = "a19-device-id-reuse"
    data = lzma.decompress((FIXTURES / case / "data.bin.xz").read_bytes())
    met: Counter[Fate] = Counter()
    with open_pool(unpacked(case)) as pool:
        for generation, state in enumerate(("35:37", "88:90", "141:143"), 1):
            for device_id in (1, 2, 3):
                found = of(pool, f"{device_id}@{state}")
                for origin, (block, fate) in expanded(found).items():
                    assert stamps_of(data, block) == {(f"g{generation}-{device_id}", origin)}
                    met[fate] += 1
    assert met.keys() == {Fate.FREE}


@pytest.mark.parametrize(
    ("device_id", "tags"), [(1, "s1 r1"), (2, "s2 r2"), (4, "s1 r1 s4"), (5, "s5 r5 t5")]
)
def test_what_is_taken_is_lost_and_what_is_not_is_there(device_id: int, tags: str) -> None:
    """The volumes were not written to in place after they were deleted, or snapshotted."""
    case = "a26-deleted-volumes"
    data = lzma.decompress((FIXTURES / case / "data.bin.xz").read_bytes())
    with open_pool(unpacked(case)) as pool:
        blocks = expanded(of(pool, f"{device_id}@63:66"))

    for origin, (block, fate) in blocks.items():
        ours = {(tag, origin) for tag in tags.split()}
        stamps = stamps_of(data, block)
        assert stamps
        assert not stamps & ours if fate is Fate.TAKEN else stamps <= ours


# Made pools

NR_DATA_BLOCKS = 9
_SLOT = 8


def _leaf(slot: int) -> st.SearchStrategy[Mapped]:
    """Return mappings of a leaf; no device maps a data block twice."""
    mapping = st.tuples(
        st.integers(0, _SLOT - 1), st.integers(0, NR_DATA_BLOCKS // 2), st.integers(0, 2)
    )
    unique = st.lists(
        mapping, min_size=1, max_size=5, unique_by=(lambda each: each[0], lambda each: each[1])
    )
    return unique.map(lambda found: {key: (2 * data + slot, time) for key, data, time in found})


@dataclass
class States:
    """A past device, the live ones, and the data blocks that the space map says are in use."""

    past_id: int
    past: Device
    live: dict[int, Device]
    in_use: set[int]

    def image(self) -> tuple[bytes, dict[str, str]]:
        """Return the metadata, and the names of the past device in it."""
        image = Image()
        leaves: dict[object, int] = {}

        def root_of(device: Device) -> int:
            slots: dict[int, list[tuple[int, tuple[int, int]]]] = {}
            for block, value in sorted(device.mapped.items()):
                slots.setdefault(block // _SLOT, []).append((block, value))
            children = []
            for entries in map(tuple, slots.values()):
                if entries not in leaves:
                    leaves[entries] = image.leaf(
                        [(key, {"data_block": data, "time": time}) for key, (data, time) in entries]
                    )
                children.append((entries[0][0], leaves[entries]))
            return image.internal(children) if children else image.leaf([])

        def state(devices: dict[int, Device]) -> tuple[int, int]:
            roots = [(device_id, root_of(device)) for device_id, device in sorted(devices.items())]
            details = [
                (
                    device_id,
                    {
                        "mapped_blocks": len(device.mapped),
                        "transaction_id": device.created[1] if device.created else 0,
                        "creation_time": device.created[0] if device.created else 0,
                        "snapshotted_time": 0,
                    },
                )
                for device_id, device in sorted(devices.items())
            ]
            return image.leaf(roots, Child), image.leaf(details, DeviceDetails)

        past = state({self.past_id: self.past})
        live = state(self.live)
        counts = bytearray(4080)
        for block in self.in_use:
            counts[block // 4] |= 2 << 2 * (block % 4)  # a 1, its high bit first
        bitmap = image.add(
            lambda number: stamped(
                BitmapHeader.build({"csum": 0, "not_used": 0, "blocknr": number}) + counts,
                BITMAP_CSUM_XOR,
            )
        )
        index = image.leaf(
            [(0, {"blocknr": bitmap, "nr_free": 0, "none_free_before": 0})], IndexEntry
        )
        root = int.from_bytes(dict(tree(b"".join(image.blocks), past[0]))[self.past_id], "little")
        fields = {"nr_allocated": 0, "ref_count_root": 0}
        image.blocks[0] = image.superblock(
            data_mapping_root=live[0],
            device_details_root=live[1],
            data_space_map_root=fields | {"nr_blocks": NR_DATA_BLOCKS, "bitmap_root": index},
            metadata_space_map_root=fields | {"nr_blocks": len(image.blocks), "bitmap_root": 0},
        )
        names = {
            "with details": f"{self.past_id}@{past[0]}:{past[1]}",
            "without": f"{self.past_id}@{past[0]}",
            "root": f"root:{root}",
        }
        return b"".join(image.blocks), names


@st.composite
def states(draw: st.DrawFn) -> States:
    """Return devices that choose among the same few leaves, as snapshots do."""
    choices = [draw(st.lists(_leaf(slot), min_size=1, max_size=3)) for slot in range(2)]

    def device() -> Device:
        mapped: Mapped = {}
        for number, leaves in enumerate(choices):
            for block, value in draw(st.sampled_from([{}, *leaves])).items():
                mapped[number * _SLOT + block] = value
        return Device((draw(st.integers(0, 3)), draw(st.integers(0, 1))), mapped)

    live = {device_id: device() for device_id in draw(st.sets(st.integers(0, 3), max_size=4))}
    in_use = draw(st.sets(st.integers(0, NR_DATA_BLOCKS - 1)))
    return States(draw(st.integers(0, 2)), device(), live, in_use)


@given(made=states(), nodes_at_once=st.sampled_from([1, 512]))
@examples(100)
def test_made_pools(made: States, nodes_at_once: int) -> None:
    image, names = made.image()
    past = made.past
    bare = replace(past, created=None)
    with pytest.MonkeyPatch.context() as patch, pool_over(image) as pool:
        patch.setattr("thinmeta.walk.node_list.NODES_AT_ONCE", nodes_at_once)
        for name, device_id, device in (
            (names["with details"], made.past_id, past),
            (names["without"], made.past_id, bare),
            (names["root"], None, bare),
        ):
            expected = model(device_id, device, made.live, made.in_use, NR_DATA_BLOCKS)
            check(pool, name, past.mapped, expected)


def made_fates(past: Device, live: dict[int, Device], in_use: set[int] | None = None) -> list[Fate]:
    """Return the fates of the blocks of device 1."""
    image, names = States(1, past, live, in_use or set()).image()
    with pool_over(image) as pool:
        return [fate for _, fate in expanded(of(pool, names["with details"])).values()]


def test_a_device_of_the_same_id_that_was_created_later_is_another() -> None:
    mapped = {0: (5, 0), 1: (6, 0)}
    past = Device((0, 1), mapped)

    assert made_fates(past, {1: Device((0, 1), mapped)}) == [Fate.KEPT] * 2
    assert made_fates(past, {1: Device((0, 2), mapped)}) == [Fate.TAKEN] * 2


def test_a_snapshot_has_the_same_mapping_and_who_mapped_the_block_anew_has_not() -> None:
    past = Device((0, 0), {0: (5, 0)})

    assert made_fates(past, {2: Device((1, 0), {0: (5, 0)})}) == [Fate.SHARED]
    assert made_fates(past, {2: Device((1, 0), {0: (5, 1)})}) == [Fate.TAKEN]
    assert made_fates(past, {2: Device((1, 0), {3: (5, 0)})}) == [Fate.TAKEN]
    assert made_fates(past, {1: Device((0, 0), {0: (5, 1)})}) == [Fate.TAKEN]


def test_a_past_snapshot_shares_with_its_origin() -> None:
    past = Device((1, 0), {0: (5, 0), 1: (6, 1)})
    origin = Device((0, 0), {0: (5, 0)})

    assert made_fates(past, {2: origin}) == [Fate.SHARED, Fate.FREE]
    assert made_fates(past, {2: origin}, in_use={5, 6}) == [Fate.SHARED, Fate.HELD]


# Damage


def damaged(case: str, *blocks: int) -> bytes:
    image = bytearray(image_bytes(case))
    for block in blocks:
        image[block * BLOCK + 100] ^= 1
    return bytes(image)


A13 = "a13-metadata-snapshot-held"


def test_damage_to_live_mappings_is_told_before_anything_is_returned() -> None:
    lost = r"metadata block 50, device 4, origin blocks 0\.\."
    with (
        pool_over(damaged(A13, 50)) as pool,
        pytest.raises(DamagedMetadataError, match=lost),
    ):
        of(pool, "2@24:27")


def test_what_lost_mappings_may_use_is_unknown() -> None:
    told: list[Damage] = []
    with pool_over(damaged(A13, 50), told.append) as pool:
        found = of(pool, "2@24:27")

    counts = {fate: blocks for fate, blocks in found.counts.items() if blocks}
    assert counts == {Fate.UNKNOWN: 49}
    assert not found.is_complete
    assert [(damage.block, damage.device_id) for damage in told] == [(50, 4)]


def test_what_a_lost_bitmap_counts_is_unknown() -> None:
    image = image_bytes("a19-device-id-reuse")
    (index,) = struct.unpack_from("<Q", image, 64 + 16)
    ((_, entry),) = tree(image, index)
    (bitmap,) = struct.unpack_from("<Q", entry)
    told: list[Damage] = []
    with pool_over(damaged("a19-device-id-reuse", bitmap), told.append) as pool:
        past = of(pool, "2@35:37")
        live = of(pool, "1")

    assert past.counts[Fate.UNKNOWN] == sum(past.counts.values()) == 54
    assert live.counts[Fate.KEPT] == sum(live.counts.values()) == 58
    assert (past.is_complete, live.is_complete) == (False, True)
    assert {damage.block for damage in told} == {bitmap}


def test_a_live_device_whose_mappings_are_lost_may_use_what_is_in_use() -> None:
    image = bytearray(image_bytes(A13))
    leaf = 76 * BLOCK
    nr_entries = struct.unpack_from("<I", image, leaf + 16)[0]
    struct.pack_into("<I", image, leaf + 16, nr_entries - 1)  # without device 5, the last
    image[leaf : leaf + BLOCK] = stamped(bytes(image[leaf : leaf + BLOCK]), BTREE_CSUM_XOR)
    told: list[Damage] = []
    with pool_over(bytes(image), told.append) as pool:
        found = of(pool, "2@24:27")

    assert (found.counts[Fate.SHARED], found.counts[Fate.UNKNOWN]) == (24, 25)
    assert {damage.kind for damage in told} == {DamageKind.DEVICE_IDS}


def test_a_part_of_the_past_device_is_lost() -> None:
    told: list[Damage] = []
    case = "a09-discards-and-deletes"
    image = image_bytes(case)
    devices = devices_at(image, 68, 69)
    root = int.from_bytes(dict(tree(image, 68))[6], "little")
    leaves = struct.unpack_from("<QQ", image, root * BLOCK + 32 + 8 * 252)
    with pool_over(damaged(case, leaves[0]), told.append) as pool:
        found = of(pool, "6@68:69")

    assert not found.is_complete
    assert 0 < sum(found.counts.values()) < len(devices[6].mapped)
    assert told[0].device_id == 6


def test_where_the_superblock_is_lost_nobody_can_tell(tmp_path: Path) -> None:
    path = tmp_path / "meta.bin"
    path.write_bytes(damaged(A13, 0))
    spec = DeviceSpec.parse("2@24:27")
    assert spec.state is not None
    with (
        open_pool(path, state=spec.state) as pool,
        pytest.raises(DamagedMetadataError, match="nobody can tell what is mapped now"),
    ):
        fates(choose_device(pool, spec))


# Hostile input


def test_a_device_that_maps_one_block_everywhere_costs_no_more() -> None:
    everywhere = dict.fromkeys(range(2 * _SLOT), (5, 0))
    live = {2: Device((1, 0), everywhere), 3: Device((1, 0), everywhere)}

    assert made_fates(Device((0, 0), everywhere), live) == [Fate.SHARED] * len(everywhere)
    assert made_fates(Device((0, 0), everywhere), {2: Device((1, 0), {0: (5, 0)})}) == [
        Fate.SHARED,
        *[Fate.TAKEN] * (len(everywhere) - 1),
    ]


def test_a_space_map_that_claims_more_than_there_can_be() -> None:
    image, names = States(1, Device((0, 0), {0: (5, 0), 1: (1 << 39, 0)}), {}, set()).image()
    claims = bytearray(image)
    struct.pack_into("<Q", claims, 64, 1 << 60)
    claims[:BLOCK] = stamped(bytes(claims[:BLOCK]), SUPERBLOCK_CSUM_XOR)
    told: list[Damage] = []
    with pool_over(bytes(claims), told.append) as pool:
        found = expanded(of(pool, names["root"]))

    assert [fate for _, fate in found.values()] == [Fate.FREE, Fate.UNKNOWN]
    assert "claims" in str(told)


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_pieces_of_any_size_are_the_same_ranges(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges go on from piece to piece, and are cut where block, data block or fate changes."""
    keys = np.array([0, 1, 2, 4, 5, 6, 7, 8], dtype=np.uint64)
    data = np.array([10, 11, 12, 14, 15, 30, 31, 32], dtype=np.uint64)
    fate = np.array([0, 0, 0, 0, 0, 0, 4, 4], dtype=np.uint8)
    monkeypatch.setattr(fate_ranges, "AT_ONCE", at_once)

    found = Fates({}, True, keys, data << np.uint64(24), fate).ranges

    assert found.origin_begin.tolist() == [0, 4, 6, 7]
    assert found.data_begin.tolist() == [10, 14, 30, 31]
    assert found.length.tolist() == [3, 2, 1, 2]
    assert found.fate.tolist() == [0, 0, 0, 4]


def test_no_blocks_have_no_ranges() -> None:
    nothing = np.empty(0, dtype=np.uint64)

    assert len(Fates({}, True, nothing, nothing, np.empty(0, dtype=np.uint8)).ranges) == 0
