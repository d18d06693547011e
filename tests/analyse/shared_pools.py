"""Pools whose devices share nodes and data blocks, as images and as plain dicts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from hypothesis import strategies as st

from tests.golden import mappings_of, parsed_xml, thin_dump
from tests.made_images import Image, device_over
from thinmeta.errors import OnDamage, raise_damage
from thinmeta.model.pool import Pool, open_pool
from thinmeta.schemas.btree_node import Child, DeviceDetails

Mapped = dict[int, tuple[int, int]]
"""Data block and time by origin block."""

SLOT = 100
"""Origin blocks of a leaf, at most."""


@dataclass
class ModelDevice:
    """A device as plain values."""

    creation_time: int = 0
    snap_time: int = 0
    mapped: Mapped = field(default_factory=dict)

    def runs(self) -> int:
        """Return how many runs the mappings make, by the definition."""
        return sum(
            self.mapped.get(block - 1) != (data_block - 1, time)
            for block, (data_block, time) in self.mapped.items()
        )


ModelPool = dict[int, ModelDevice]


@cache
def golden_pool(case: str, image: str) -> ModelPool:
    """Return what thin_dump 0.9.0 printed of an image, mapping by mapping."""
    return {
        device.device_id: ModelDevice(
            device.creation_time,
            device.snap_time,
            {block: (data, time) for block, data, time in mappings_of(device.runs)},
        )
        for device in parsed_xml(thin_dump(case, image, "thin_dump", "0.9.0")).devices
    }


def image_of(pool: ModelPool, *, shared: bool = True) -> bytes:
    """Return metadata of `pool`: a leaf for each slot, equal leaves once if `shared`."""
    image = Image()
    known: dict[object, int] = {}

    def leaf(entries: tuple[tuple[int, tuple[int, int]], ...]) -> int:
        if not shared or entries not in known:
            known[entries] = image.leaf(
                [(key, {"data_block": data, "time": time}) for key, (data, time) in entries]
            )
        return known[entries]

    roots = {}
    for device_id, device in pool.items():
        slots: dict[int, list[tuple[int, tuple[int, int]]]] = {}
        for block, value in sorted(device.mapped.items()):
            slots.setdefault(block // SLOT, []).append((block, value))
        children = [(entries[0][0], leaf(tuple(entries))) for entries in slots.values()]
        roots[device_id] = image.internal(children) if children else image.leaf([])
    details = {
        device_id: {
            "mapped_blocks": len(device.mapped),
            "transaction_id": 0,
            "creation_time": device.creation_time,
            "snapshotted_time": device.snap_time,
        }
        for device_id, device in pool.items()
    }
    image.blocks[0] = image.superblock(
        data_mapping_root=image.leaf(sorted(roots.items()), Child),
        device_details_root=image.leaf(sorted(details.items()), DeviceDetails),
        metadata_space_map_root={
            "nr_blocks": len(image.blocks),
            "nr_allocated": 0,
            "bitmap_root": 0,
            "ref_count_root": 0,
        },
    )
    return b"".join(image.blocks)


@contextmanager
def pool_over(image: bytes, on_damage: OnDamage = raise_damage) -> Iterator[Pool]:
    """Open a pool over bytes in memory."""
    with device_over(image) as device:
        yield open_pool(device, on_damage=on_damage)


_WINDOW = 1 << 28
_data_blocks = st.one_of(
    st.integers(0, 40),
    st.sampled_from([_WINDOW - 1, _WINDOW, _WINDOW + 63, 3 * _WINDOW, 2**40 - 1]),
)
_values = st.tuples(_data_blocks, st.integers(0, 4))
_slot = st.one_of(
    st.dictionaries(st.integers(0, SLOT - 1), _values, min_size=1, max_size=12),
    # Runs, up to the end of a slot and from its beginning.
    st.builds(
        lambda begin, data, time: {
            block: (data + block - begin, time) for block in range(begin, SLOT)
        },
        st.integers(0, SLOT - 1),
        st.integers(0, 60),
        st.integers(0, 4),
    ),
)


@st.composite
def model_pools(draw: st.DrawFn) -> ModelPool:
    """Return up to four devices that choose among the same few leaves for each slot."""
    choices = [draw(st.lists(_slot, min_size=1, max_size=2)) for _ in range(3)]
    pool = {}
    for device_id in sorted(draw(st.sets(st.integers(0, 9), max_size=4))):
        mapped: Mapped = {}
        for number, slots in enumerate(choices):
            chosen = draw(st.sampled_from([None, *range(len(slots))]))
            if chosen is not None:
                mapped |= {
                    number * SLOT + block: value for block, value in sorted(slots[chosen].items())
                }
        pool[device_id] = ModelDevice(draw(st.integers(0, 4)), draw(st.integers(0, 5)), mapped)
    return pool
