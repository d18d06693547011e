"""`usage` against a slow model of plain dicts, on made pools and on real ones."""

import resource
from collections import Counter

import pytest
from hypothesis import given

from tests.analyse.shared_pools import (
    ModelDevice,
    ModelPool,
    golden_pool,
    image_of,
    model_pools,
    pool_over,
)
from tests.cases import unpacked
from tests.golden import dumped_images
from tests.properties import examples
from thinmeta.analyse.leaf_counts import Ask
from thinmeta.analyse.usage import listed, usage
from thinmeta.errors import Damage, DamagedMetadataError, DamageKind
from thinmeta.model.pool import Pool, open_pool

Numbers = dict[int, tuple[int, int, int, int | None, int, int, int]]


def expected(pool: ModelPool) -> Numbers:
    """Count mapping by mapping."""
    uses = Counter(data for device in pool.values() for data, _ in device.mapped.values())
    found: Numbers = {}
    for device_id, device in pool.items():
        exclusive = sum(uses[data] == 1 for data, _ in device.mapped.values())
        found[device_id] = (
            len(device.mapped),
            exclusive,
            len(device.mapped) - exclusive,
            max(device.mapped, default=None),
            sum(time >= device.snap_time for _, time in device.mapped.values()),
            sum(time < device.creation_time for _, time in device.mapped.values()),
            device.runs(),
        )
    return found


def counted(pool: Pool) -> Numbers:
    return {
        row.device.device_id: (
            row.mapped,
            row.exclusive,
            row.shared,
            row.highest,
            row.new,
            row.inherited,
            row.runs,
        )
        for row in usage(pool)
    }


@pytest.mark.parametrize(("case", "image"), dumped_images())
def test_real_pools(case: str, image: str) -> None:
    with open_pool(unpacked(case, image)) as pool:
        assert counted(pool) == expected(golden_pool(case, image))


@given(model=model_pools())
@examples(300)
def test_made_pools(model: ModelPool) -> None:
    with pool_over(image_of(model)) as pool:
        assert counted(pool) == expected(model)


@given(model=model_pools())
@examples(100)
def test_shared_nodes_change_nothing(model: ModelPool) -> None:
    with pool_over(image_of(model, shared=False)) as pool:
        assert counted(pool) == expected(model)


def test_what_is_not_asked_for_is_not_counted() -> None:
    model = {1: ModelDevice(mapped={5: (9, 0)})}
    with pool_over(image_of(model)) as pool:
        (row,) = usage(pool, Ask.NOTHING)
    assert (row.mapped, row.highest) == (1, 5)
    assert (row.exclusive, row.new, row.inherited, row.runs) == (0, 0, 0, 0)


def test_data_blocks_far_apart_take_little_memory() -> None:
    far = {block: (block * (1 << 29), 0) for block in range(400)}
    model = {1: ModelDevice(mapped=far), 2: ModelDevice(mapped={7: far[7], 8: (1, 0)})}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pool_over(image_of(model)) as pool:
        assert counted(pool) == expected(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # in KiB


def damaged() -> bytes:
    model = {number: ModelDevice(mapped={0: (number, 0)}) for number in (1, 2)}
    image = bytearray(image_of(model))
    image[4096 + 100] ^= 1  # block 1, device 1's leaf
    return bytes(image)


def test_damage_names_block_and_device() -> None:
    with pool_over(damaged()) as pool:
        with pytest.raises(DamagedMetadataError, match=r"block 1, device 1, origin blocks 0\.\."):
            usage(pool)
        assert [device.device_id for device in listed(pool)] == [1, 2]


def test_a_policy_may_go_on() -> None:
    told: list[Damage] = []
    with pool_over(damaged(), told.append) as pool:
        assert [(row.mapped, row.exclusive) for row in usage(pool)] == [(0, 0), (1, 1)]
    assert [(damage.kind, damage.device_id) for damage in told] == [
        (DamageKind.BLOCK, 1),
        (DamageKind.MAPPED_BLOCKS, 1),
    ]


def test_devices_without_details_count_as_others() -> None:
    model = {number: ModelDevice(mapped={0: (7, 0), number: (number, 0)}) for number in (1, 2)}
    listed_image = image_of(model)
    told: list[Damage] = []
    with pool_over(listed_image, told.append) as pool:
        table = pool.device_table
        root = table.devices[1].mapping_root
        assert root is not None
        pool.__dict__["device_table"] = type(table)(
            table.devices[:1], {table.devices[1].device_id: root}, ()
        )
        assert [(row.device.device_id, row.exclusive) for row in usage(pool)] == [(1, 1)]
    assert [damage.kind for damage in told] == [DamageKind.DEVICE_IDS]
