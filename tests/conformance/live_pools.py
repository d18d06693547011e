"""Pools made at random, for live comparison: as XML for thin_restore, and as trees node by node."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from hypothesis import strategies as st

from tests.made_images import Image, details
from thinmeta.schemas.btree_node import BlockTime, Child, DeviceDetails
from thinmeta.units import LAST_KEY

LAST_ID = 2**24 - 1
LAST_TIME = 2**24 - 1
LAST_CLOCK = 2**32 - 1
LAST_DATA_BLOCK = 2**40 - 1

# Pools that thin_restore makes


@dataclass(frozen=True)
class Step:
    """A run, and how it stands to the one before."""

    gap: int
    length: int
    jump: int
    time: int

    def __str__(self) -> str:
        return f"+{self.gap} {self.length}->{self.jump} t{self.time}"


STEPS = st.builds(
    Step,
    gap=st.sampled_from([0, 0, 0, 1, 7]),
    length=st.integers(1, 9),
    jump=st.sampled_from([0, 0, 0, 1, 100]),
    time=st.sampled_from([0, 0, 0, 1, LAST_TIME]),
)

# thin_restore keeps what is shared only where it fills a leaf.
LONG = st.lists(STEPS, min_size=4, max_size=12).map(lambda steps: steps * 40)
SHORT = st.lists(STEPS, max_size=12)

SEGMENT = 1 << 16


@dataclass
class XmlPool:
    """A pool as XML: a device is a sequence of segments, some of them shared."""

    clock: int
    transaction_id: int
    data_block_size: int
    nr_data_blocks: int
    shared: list[list[Step]]
    devices: dict[int, list[list[Step] | int | None]]
    chosen: list[int]

    def xml(self) -> str:
        return "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield (
            f'<superblock uuid="" time="{self.clock}" transaction="{self.transaction_id}"'
            f' flags="0" version="2" data_block_size="{self.data_block_size}"'
            f' nr_data_blocks="{self.nr_data_blocks}">\n'
        )
        for name, steps in enumerate(self.shared):
            yield f'  <def name="{name}">\n'
            yield from self._runs(steps, name, name)
            yield "  </def>\n"
        for device_id, segments in self.devices.items():
            yield (
                f'  <device dev_id="{device_id}" mapped_blocks="{self._mapped(segments)}"'
                f' transaction="{(self.transaction_id + device_id) % 2**64}"'
                f' creation_time="{self.clock // 2}" snap_time="{self.clock}">\n'
            )
            for place, segment in enumerate(segments):
                if isinstance(segment, int):
                    yield f'    <ref name="{segment}"/>\n'
                elif segment:
                    yield from self._runs(segment, place, place + device_id)
            yield "  </device>\n"
        yield "</superblock>\n"

    def _runs(self, steps: list[Step], segment: int, seed: int) -> Iterator[str]:
        origin, data = segment * SEGMENT, seed * 977 % (self.nr_data_blocks - 10)
        for step in steps:
            origin += step.gap
            data = (data + step.jump) % (self.nr_data_blocks - 10)
            yield (
                f'    <range_mapping origin_begin="{origin}" data_begin="{data}"'
                f' length="{step.length}" time="{step.time}"/>\n'
            )
            origin += step.length
            data = (data + step.length) % (self.nr_data_blocks - 10)

    def _mapped(self, segments: list[list[Step] | int | None]) -> int:
        runs = [
            self.shared[segment] if isinstance(segment, int) else segment or []
            for segment in segments
        ]
        return sum(step.length for steps in runs for step in steps)


@st.composite
def xml_pools(draw: st.DrawFn) -> XmlPool:
    shared = draw(st.lists(LONG, max_size=3))
    ids = draw(st.sets(st.integers(0, 30) | st.sampled_from([LAST_ID, LAST_ID - 1]), max_size=6))

    def segment(place: int) -> list[Step] | int | None:
        if place < len(shared) and draw(st.booleans()):
            return place
        return draw(st.none() | SHORT | LONG)

    return XmlPool(
        clock=draw(st.integers(0, 3) | st.just(LAST_CLOCK)),
        transaction_id=draw(st.integers(0, 3) | st.just(LAST_KEY)),
        data_block_size=draw(st.sampled_from([128, 256, 1024, 2**21])),
        nr_data_blocks=draw(st.sampled_from([20, 4096, 100_000])),
        shared=shared,
        devices={device_id: [segment(place) for place in range(4)] for device_id in sorted(ids)},
        chosen=draw(st.lists(st.sampled_from(sorted(ids)), max_size=3)) if ids else [],
    )


# Pools whose nodes are made by hand: small ones, so that trees are high and much is shared

ROOM = 3  # thin_dump refuses a node that is less than a third full


@dataclass
class Trees:
    """Mapping trees over common leaves: leaf `n` begins at origin block `4 * n + first`."""

    leaves: list[list[tuple[int, int]]]
    first: int
    cuts: frozenset[int]
    devices: dict[int, list[int]]
    held: dict[int, list[int]] | None
    superblock: dict[str, int]
    chosen: list[int] = field(default_factory=list)

    def image(self) -> bytes:
        image = Image()
        known: dict[object, int] = {}

        def add(key: object, make: Iterator[int]) -> int:
            if key not in known:
                known[key] = next(make)
            return known[key]

        def leaf(number: int) -> int:
            begin = self.first + 4 * number
            entries = [
                (begin + place, {"data_block": data_block, "time": time})
                for place, (data_block, time) in enumerate(self.leaves[number])
            ]
            made = (image.leaf(entries, BlockTime, max_entries=ROOM) for _ in count())
            return add(("leaf", number), made)

        def tree(numbers: Sequence[int]) -> int:
            level = [(number, leaf(number)) for number in numbers]
            while len(level) > 1:
                level = [
                    (group[0][0], node([(self.first + 4 * n, block) for n, block in group]))
                    for group in grouped(level, self.cuts)
                ]
            return level[0][1]

        def node(children: list[tuple[int, int]]) -> int:
            made = (image.internal(children, max_entries=ROOM) for _ in count())
            return add(tuple(children), made)

        def state(devices: dict[int, list[int]]) -> dict[str, int]:
            roots = {device_id: tree(numbers) for device_id, numbers in devices.items()}
            counts = {
                device_id: details(sum(len(self.leaves[number]) for number in numbers))
                for device_id, numbers in devices.items()
            }
            return {
                "data_mapping_root": image.leaf(sorted(roots.items()), Child),
                "device_details_root": image.leaf(sorted(counts.items()), DeviceDetails),
            }

        roots = state(self.devices)
        held_root = 0
        if self.held is not None:
            old = state(self.held)
            nothing = dict.fromkeys(("nr_blocks", "nr_allocated", "bitmap_root"), 0)
            nothing["ref_count_root"] = 0
            held_root = image.add(
                lambda number: image.superblock(
                    blocknr=number,
                    data_space_map_root=nothing,
                    metadata_space_map_root=nothing,
                    **old,
                )
            )
        image.blocks[0] = image.superblock(held_root=held_root, **roots, **self.superblock)
        return b"".join(image.blocks)


def grouped(level: list[tuple[int, int]], cuts: frozenset[int]) -> Iterator[list[tuple[int, int]]]:
    """Cut a level into nodes: after certain leaves, and where a node is full."""
    group: list[tuple[int, int]] = []
    for number, block in level:
        group.append((number, block))
        if len(group) == ROOM or (number in cuts and len(group) > 1):
            yield group
            group = []
    if group:
        yield group


BLOCKS = st.integers(0, 5) | st.sampled_from(
    [LAST_DATA_BLOCK, LAST_DATA_BLOCK - 1, LAST_DATA_BLOCK - 2, 2**32 - 1, 2**32]
)


@st.composite
def leaf_contents(draw: st.DrawFn) -> list[tuple[int, int]]:
    begin = draw(BLOCKS)
    time = draw(st.sampled_from([0, 0, 1, LAST_TIME]))
    entries = [((begin + place) % 2**40, time) for place in range(draw(st.integers(1, ROOM)))]
    if draw(st.booleans()):
        entries[-1] = (draw(BLOCKS), time)
    return entries


@st.composite
def trees(draw: st.DrawFn) -> Trees:
    leaves = draw(st.lists(leaf_contents(), min_size=1, max_size=14))
    numbers = st.lists(
        st.sampled_from(range(len(leaves))), min_size=1, unique=True, max_size=len(leaves)
    ).map(sorted)
    devices = st.dictionaries(
        st.integers(0, 9) | st.sampled_from([LAST_ID, LAST_ID - 1]), numbers, max_size=6
    ).map(lambda found: dict(sorted(found.items())))
    live = draw(devices)
    return Trees(
        leaves=leaves,
        first=draw(st.sampled_from([0, 0, 10**6, LAST_KEY - 60])),
        cuts=draw(st.frozensets(st.integers(0, 14))),
        devices=live,
        held=draw(st.none() | devices),
        superblock={
            "flags": draw(st.integers(0, 1)),
            "version": draw(st.integers(1, 2)),
            "time": draw(st.integers(0, LAST_CLOCK)),
            "trans_id": draw(st.integers(0, LAST_KEY)),
            "data_block_size": draw(st.sampled_from([0, 1, 128, 2**21, 2**32 - 1])),
        },
        chosen=draw(st.lists(st.sampled_from(list(live)), max_size=3)) if live else [],
    )
