"""Looking up a block says what the recorded dump says, and reads no more than the way to it."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.damage import DamagedImage, ImageFile
from tests.golden import dumped_images, mappings_of, parsed_xml, thin_dump, thin_dumps
from tests.made_images import Image, device_over, mappings, written
from tests.needs import IS_THOROUGH
from tests.properties import examples
from thinmeta.analyse.lookup import (
    Hole,
    Lookup,
    Mapping,
    PathNode,
    Position,
    choose_despite_damage,
    look_up,
    position_of,
)
from thinmeta.analyse.sharers import Sharer, Sharers, all_sharers, sharers_at, with_sharers
from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks
from thinmeta.errors import DamagedMetadataError, NotThereError
from thinmeta.model.device_spec import ChosenDevice, DeviceSpec, choose_device
from thinmeta.model.pool import Pool, open_pool
from thinmeta.units import LAST_KEY, DataBlock, DeviceId, MetadataBlock, OriginBlock, Quantity
from thinmeta.walk.nodes import Metadata

IMAGES = dumped_images()
IMAGE_IDS = ["/".join(image) for image in IMAGES]

BLOCKS_OF_A_DEVICE = 18 if IS_THOROUGH else 9
"""More than these of a device are looked up in part: the ends of runs, and every so many."""


Each = TypeVar("Each")


class Mapped(NamedTuple):
    data_block: int
    time: int


@dataclass
class Device:
    snap_time: int
    blocks: dict[int, Mapped]
    ends_of_runs: set[int] = field(default_factory=set)

    @cached_property
    def mapped(self) -> list[int]:
        return sorted(self.blocks)


@lru_cache(maxsize=4)
def model(case: str, image: str, name: str = "thin_dump") -> dict[int, Device]:
    """Return what the recorded dump says: each device's mappings as a dict."""
    return {
        device.device_id: Device(
            device.snap_time,
            {block: Mapped(data, time) for block, data, time in mappings_of(device.runs)},
            {
                end
                for run in device.runs
                for end in (run.origin_begin, run.origin_begin + run.length - 1)
            },
        )
        for device in parsed_xml(thin_dump(case, image, name, "0.9.0")).devices
    }


def some_of(blocks: list[Each], count: int) -> set[Each]:
    return set(blocks[:: max(1, len(blocks) // count)])


def sharer(device_id: int, origin_block: int, time: int) -> Sharer:
    return Sharer(DeviceId(device_id), OriginBlock(origin_block), time)


def chosen(pool: Pool, name: str | int) -> ChosenDevice:
    return choose_device(pool, DeviceSpec.parse(str(name)))


def at(*blocks: int) -> list[Position]:
    return [Position(OriginBlock(block)) for block in blocks]


def mapping(device: Device, block: int) -> Mapping | None:
    if block not in device.blocks:
        return None
    return Mapping(OriginBlock(block), *map(DataBlock, device.blocks[block]))


def hole(device: Device, block: int) -> Hole | None:
    if block in device.blocks:
        return None
    mapped = device.mapped
    place = bisect(mapped, block)
    before = mapping(device, mapped[place - 1]) if place else None
    return Hole(before, mapping(device, mapped[place]) if place < len(mapped) else None)


def check(device: Device, lookup: Lookup) -> None:
    block = lookup.position.origin_block
    found = device.blocks.get(block)
    assert lookup.mapping == mapping(device, block)
    assert lookup.hole == hole(device, block)
    assert lookup.breaks_sharing == (None if found is None else device.snap_time > found.time)
    assert lookup.lost is None


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_blocks_are_where_the_dump_has_them(case: str, image: str) -> None:
    devices = model(case, image)

    with open_pool(unpacked(case, image)) as pool:
        assert list(pool.devices) == list(devices)
        for device_id, device in devices.items():
            ends = some_of(sorted(device.ends_of_runs), BLOCKS_OF_A_DEVICE // 3)
            blocks = ends | {end + 1 for end in ends} | {end - 1 for end in ends if end}
            blocks |= some_of(sorted(device.blocks), BLOCKS_OF_A_DEVICE)
            blocks |= {0, 1 << 40, LAST_KEY}
            for lookup in look_up(chosen(pool, device_id), at(*sorted(blocks))):
                check(device, lookup)


@pytest.mark.parametrize("case", ["a09-discards-and-deletes", "a18-large-device-ids"])
def test_blocks_next_to_each_other_are_where_the_dump_has_them(case: str) -> None:
    with open_pool(unpacked(case)) as pool:
        for device_id, device in model(case, "meta").items():
            blocks = range(0, max(device.blocks, default=0) + 3, 3 if IS_THOROUGH else 7)
            for lookup in look_up(chosen(pool, device_id), at(*blocks)):
                check(device, lookup)


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_sharers_are_the_devices_that_the_dump_has_them_in(case: str, image: str) -> None:
    devices = model(case, image)
    users: dict[tuple[int, int], list[Sharer]] = defaultdict(list)
    for device_id, device in devices.items():
        for block, found in device.blocks.items():
            users[block, found.data_block].append(sharer(device_id, block, found.time))
    shared = [pair for pair, some in users.items() if len(some) > 1]
    pairs = some_of(sorted(users), BLOCKS_OF_A_DEVICE) | some_of(sorted(shared), BLOCKS_OF_A_DEVICE)

    with open_pool(unpacked(case, image)) as pool:
        for block, data_block in sorted(pairs):
            sharers = sharers_at(pool, OriginBlock(block), DataBlock(data_block))
            assert sharers == Sharers(tuple(users[block, data_block]))


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_all_sharers_are_all_that_the_dump_has(case: str, image: str) -> None:
    users: dict[int, list[Sharer]] = defaultdict(list)
    for device_id, device in model(case, image).items():
        for block, found in device.blocks.items():
            users[found.data_block].append(sharer(device_id, block, found.time))
    data_blocks = {DataBlock(block) for block in some_of(sorted(users), 200)}
    unused = DataBlock(max(users, default=0) + 1)

    with open_pool(unpacked(case, image)) as pool:
        sharers = all_sharers(pool, data_blocks | {unused})

    assert sharers == {block: Sharers(tuple(users[block])) for block in [*data_blocks, unused]}


def test_a_device_does_not_share_with_itself() -> None:
    with open_pool(unpacked("a09-discards-and-deletes")) as pool:
        device, bare = chosen(pool, 1), chosen(pool, "root:84")
        own = with_sharers(device, look_up(device, at(70, 5)))
        of_root = with_sharers(bare, look_up(bare, at(70)))
        everywhere = with_sharers(device, look_up(device, at(70)), everywhere=True)

    assert [each.sharers.found for each in own] == [(sharer(7, 70, 0),), ()]
    assert [each.device_id for each in of_root[0].sharers.found] == [1, 7]
    assert of_root[0].lookup.breaks_sharing is None
    assert everywhere == own[:1]


def test_both_states_are_looked_up_apart() -> None:
    case, image = "a13-metadata-snapshot-held", "meta-live-after-changes"
    assert (case, image, "thin_dump-m", "0.9.0") in thin_dumps()
    states = {"live": model(case, image), "snap": model(case, image, "thin_dump-m")}

    with open_pool(unpacked(case, image)) as pool:
        for state, devices in states.items():
            for device_id, device in devices.items():
                blocks = sorted(some_of(sorted(device.blocks), 40) | {5000})
                for lookup in look_up(chosen(pool, f"{device_id}@{state}"), at(*blocks)):
                    check(device, lookup)


def test_the_path_is_the_trees() -> None:
    case = "a23-long-runs-and-holes"
    anatomy = Anatomy.of(case)
    with open_pool(unpacked(case)) as pool:
        for device_id in anatomy.device_ids:
            places = anatomy.mapping_tree(device_id)
            depth = 0
            for place in places:
                (lookup,) = look_up(chosen(pool, device_id), at(place.low))
                above = [each for each in places if each.low <= place.low <= each.last]
                depth = max(depth, len(above))
                assert lookup.path == tuple(
                    PathNode(
                        MetadataBlock(each.block),
                        len(above) - 1 - step,
                        OriginBlock(each.low),
                        OriginBlock(each.last),
                        len(anatomy.entries(each.block)),
                    )
                    for step, each in enumerate(above)
                )
            assert depth > 1


class Made(NamedTuple):
    """A tree made by hand: its image, its root, and what it maps."""

    image: bytes
    root: int
    mapped: list[int]


LEAF = st.tuples(st.integers(0, 2), st.integers(0, 2), st.lists(st.integers(1, 3), max_size=4))


@st.composite
def trees(draw: st.DrawFn) -> Made:
    """Return a tree in which children begin above their keys, and leaves may be empty."""
    image = Image()
    level: list[tuple[int, int, int]] = []
    mapped: list[int] = []
    floor = 0
    for below_key, below_first, steps in draw(st.lists(LEAF, min_size=1, max_size=14)):
        key = floor + below_key
        blocks = [key + below_first + sum(steps[:count]) for count in range(len(steps))]
        leaf = image.leaf([entry for block in blocks for entry in mappings(block, [block + 100])])
        level.append((floor, key, leaf))
        mapped += blocks
        floor = (blocks[-1] if blocks else key) + 1
    while len(level) > 1:
        width = draw(st.integers(2, 5))
        groups = [level[begin : begin + width] for begin in range(0, len(level), width)]
        level = [
            (group[0][0], group[0][0], image.internal([(key, block) for _, key, block in group]))
            for group in groups
        ]
    return Made(image.pool({1: level[0][2]}, {1: len(mapped)}), level[0][2], mapped)


@examples(60)
@given(made=trees())
def test_holes_of_trees_made_by_hand_have_their_ends(made: Made) -> None:
    device = Device(0, {block: Mapped(block + 100, 0) for block in made.mapped})

    with device_over(made.image) as blocks:
        pool = open_pool(blocks)
        wanted = sorted({*some_of([*range(max(made.mapped, default=0) + 4)], 20), LAST_KEY})
        for lookup in look_up(chosen(pool, f"root:{made.root}"), at(*wanted)):
            assert lookup.mapping == mapping(device, lookup.position.origin_block)
            assert lookup.hole == hole(device, lookup.position.origin_block)
            assert lookup.lost is None


def twisted(directory: Path) -> Path:
    """Return a pool such as no kernel makes: data block 9 is mapped at several blocks."""
    image = Image()
    one = image.leaf(mappings(0, [9, 8, 9]))
    two = image.leaf(mappings(2, [9]) + mappings(7, [9], time=3))
    return written(directory / "image", image.pool({1: one, 2: two}, {1: 3, 2: 2}))


def test_mappings_at_other_blocks_are_found_if_asked_for(tmp_path: Path) -> None:
    with open_pool(twisted(tmp_path)) as pool:
        device = chosen(pool, 1)
        lookups = look_up(device, at(2))
        quick = with_sharers(device, lookups)
        everywhere = with_sharers(device, lookups, everywhere=True)

    assert quick[0].sharers.found == (sharer(2, 2, 0),)
    assert everywhere[0].sharers.found == (sharer(1, 0, 0), sharer(2, 2, 0), sharer(2, 7, 3))


def test_a_device_that_only_the_mapping_tree_has_shares_too(tmp_path: Path) -> None:
    image = Image()
    root = image.leaf(mappings(0, [9]))
    path = written(tmp_path / "image", image.pool({1: root, 2: root}, {1: 1}))

    with open_pool(path, on_damage=lambda _damage: None) as pool:
        assert [
            each.device_id for each in sharers_at(pool, OriginBlock(0), DataBlock(9)).found
        ] == [
            1,
            2,
        ]


def test_a_device_without_mapping_tree_maps_nothing(tmp_path: Path) -> None:
    image = Image()
    path = written(tmp_path / "image", image.pool({}, {1: 0}))

    with open_pool(path) as pool:
        (lookup,) = look_up(chosen(pool, 1), at(5))

    assert lookup == Lookup(Position(OriginBlock(5)), None, Hole(None, None), None, (), None)


def test_the_mapping_time_is_held_against_the_snap_time_as_the_kernel_does(tmp_path: Path) -> None:
    image = Image()
    entries = [entry for time in (0, 4, 5, 2**24 - 1) for entry in mappings(time, [time], time)]
    path = written(tmp_path / "image", image.pool({1: image.leaf(entries)}, {1: 4}))

    with open_pool(path) as pool:
        device = chosen(pool, 1)
        for snap_time, breaks in (
            (5, [True, True, False, False]),
            (2**24, [True, True, True, True]),
        ):
            assert device.device is not None
            snapped = device._replace(device=device.device._replace(snap_time=snap_time))
            found = look_up(snapped, at(0, 4, 5, 2**24 - 1))
            assert [lookup.breaks_sharing for lookup in found] == breaks


# Offsets.


def position(text: str, sectors: int) -> Position:
    with open_pool(unpacked("a01-empty-pool")) as pool:
        superblock = pool.superblock._replace(data_block_sectors=sectors)
    return position_of(Quantity.parse(text), superblock)


def test_bytes_lead_to_a_block_and_an_offset() -> None:
    assert position("7", 128) == Position(OriginBlock(7), 0)
    assert position("64K", 128) == Position(OriginBlock(1), 0)
    assert position("129s", 128) == Position(OriginBlock(1), 512)
    assert position("65535b", 128) == Position(OriginBlock(0), 65535)
    assert position("64K", 2048) == Position(OriginBlock(0), 65536)
    assert position(str(LAST_KEY), 128) == Position(OriginBlock(LAST_KEY), 0)


@pytest.mark.parametrize("text", [str(LAST_KEY + 1), "99999999999999999999E"])
def test_what_is_past_all_blocks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="past the largest"):
        position(text, 128)


def test_blocks_of_no_size_have_no_offsets() -> None:
    assert position("7", 0) == Position(OriginBlock(7), 0)
    with pytest.raises(DamagedMetadataError, match="0 sectors"):
        position("7s", 0)


# Damage.

CASE = "a23-long-runs-and-holes"


@pytest.fixture(scope="module")
def image_file(tmp_path_factory: pytest.TempPathFactory) -> ImageFile:
    return ImageFile(tmp_path_factory.mktemp("damaged") / "image", DamagedImage.of(CASE))


def lookups_in(path: Path, device_id: int, *blocks: int) -> list[Lookup]:
    with open_pool(path, on_damage=lambda _damage: None) as pool:
        device = choose_despite_damage(pool, DeviceSpec.parse(str(device_id)))
        return look_up(device, at(*blocks))


def test_a_bad_node_on_the_way_is_named(image_file: ImageFile) -> None:
    anatomy = Anatomy.of(CASE)
    device_id = max(anatomy.device_ids, key=lambda each: len(anatomy.leaves(each)))
    places = anatomy.mapping_tree(device_id)
    leaf = anatomy.leaves(device_id)[1]
    block = anatomy.mappings(leaf.block)[0][0]
    way = [place.block for place in places if place.low <= block <= place.last]
    assert len(way) > 1

    for step, bad in enumerate(way):
        image_file.image.zero(bad)
        with image_file.damaged() as path:
            (lookup,) = lookups_in(path, device_id, block)
        assert lookup.lost is not None
        assert (lookup.lost.block, lookup.lost.device_id) == (bad, device_id)
        assert (lookup.mapping, lookup.hole, lookup.breaks_sharing) == (None, None, None)
        assert [node.block for node in lookup.path] == way[:step]


def test_bad_nodes_elsewhere_do_not_matter(image_file: ImageFile) -> None:
    """Zero every block but the superblock, the way to the device, and the way to the block."""
    anatomy = Anatomy.of(CASE)
    for device_id in anatomy.device_ids:
        leaf = anatomy.leaves(device_id)[-1]
        block = anatomy.mappings(leaf.block)[-1][0]
        (sound,) = lookups_in(image_file.path, device_id, block)
        needed = {0, *(node.block for node in sound.path)}
        needed |= {place.block for place in anatomy.details + anatomy.devices}
        bad = [number for number in range(image_file.image.nr_blocks) if number not in needed]
        image_file.image.zero(*bad)
        with image_file.damaged() as path:
            assert lookups_in(path, device_id, block) == [sound]


def test_a_bad_leaf_beside_a_hole_hides_its_end(tmp_path: Path) -> None:
    image = Image()
    left, middle, right = (image.leaf(mappings(key, [key])) for key in (3, 13, 23))
    root = image.internal([(0, left), (10, middle), (20, right)])
    path = written(tmp_path / "image", image.pool({1: root}, {1: 3}))
    with path.open("r+b") as file:
        file.seek(4096 * right)
        file.write(bytes(4096))

    found = lookups_in(path, 1, 5, 11, 14, 22)

    third = Mapping(OriginBlock(3), DataBlock(3), 0), Mapping(OriginBlock(13), DataBlock(13), 0)
    assert [lookup.hole for lookup in found] == [Hole(*third), Hole(*third), None, None]
    assert [lookup.lost is None for lookup in found] == [True, True, True, False]


def test_a_bad_node_of_another_device_hides_whether_it_shares(tmp_path: Path) -> None:
    image = Image()
    one, two = (image.leaf(mappings(0, [9])) for _ in range(2))
    path = written(tmp_path / "image", image.pool({1: one, 2: two}, {1: 1, 2: 1}))
    with path.open("r+b") as file:
        file.seek(4096 * two)
        file.write(bytes(4096))

    with open_pool(path) as pool:
        device = chosen(pool, 1)
        for everywhere in (False, True):
            (answer,) = with_sharers(device, look_up(device, at(0)), everywhere=everywhere)
            assert answer.lookup.mapping is not None
            assert answer.sharers.found == ()
            assert [(each.block, each.device_id) for each in answer.sharers.lost] == [(two, 2)]


@pytest.mark.parametrize("tree", ["devices", "details"])
def test_a_device_that_damage_hides_is_not_said_to_be_missing(
    image_file: ImageFile, tree: str
) -> None:
    anatomy = Anatomy.of(CASE)
    (root,) = {place.block for place in getattr(anatomy, tree) if place.is_root}

    image_file.image.zero(root)
    with image_file.damaged() as path, pytest.raises(DamagedMetadataError) as caught:
        lookups_in(path, anatomy.device_ids[0], 0)

    assert caught.value.damage.block == root


def test_a_device_that_is_not_there_is_so_despite_damage_elsewhere() -> None:
    with open_pool(unpacked(CASE)) as pool, pytest.raises(NotThereError):
        choose_despite_damage(pool, DeviceSpec.parse("99"))


# What is read.


class Counting(BlockDevice):
    """Counts the blocks that are read."""

    def __init__(self, device: BlockDevice) -> None:
        self.__dict__.update(vars(device))
        self.blocks: list[int] = []

    def read(self, blocks: Blocks) -> BlockBatch:
        self.blocks += blocks.tolist()
        return super().read(blocks)


@pytest.fixture
def counting() -> Iterator[tuple[Pool, Counting]]:
    with open_pool(unpacked("d02-shared-subtrees")) as pool:
        device = Counting(pool.source.device)
        yield replace(pool, source=Metadata(device, pool.source.nr_blocks)), device


def test_only_the_way_is_read(counting: tuple[Pool, Counting]) -> None:
    pool, device = counting
    anatomy = Anatomy.of("d02-shared-subtrees")
    one = chosen(pool, 1)
    device.blocks.clear()

    (lookup,) = look_up(one, at(30_000))

    places = anatomy.mapping_tree(1)
    left = {place.block for place in places if place.low == 0}
    assert set(device.blocks) <= {node.block for node in lookup.path} | left


def test_sharers_cost_devices_times_depth(counting: tuple[Pool, Counting]) -> None:
    pool, device = counting
    one = chosen(pool, 1)
    lookups = look_up(one, at(30_000))
    device.blocks.clear()

    with_sharers(one, lookups)

    nr_devices, depth = len(pool.devices), len(lookups[0].path)
    assert len(device.blocks) <= 2 * nr_devices * (depth + 1)
