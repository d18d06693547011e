"""A scan of what nobody wrote on purpose: random blocks, circles, trees with random holes."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.analyse.recover.test_scan import scanned
from tests.cases import image_bytes
from tests.made_images import BLOCK, Entries, Image, details, mappings, stamped
from tests.properties import examples
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.schemas.btree_node import (
    BTREE_CSUM_XOR,
    INTERNAL_NODE,
    LEAF_NODE,
    BlockTime,
    Child,
    DeviceDetails,
    NodeHeader,
)
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR, THIN_SUPERBLOCK_MAGIC

SALTS = [BTREE_CSUM_XOR, SUPERBLOCK_CSUM_XOR, 240779, 160478]

RANDOM_BLOCKS = st.binary(max_size=200).map(lambda some: (some * BLOCK)[:BLOCK].ljust(BLOCK, b"\0"))


@examples(100)
@given(blocks=st.lists(RANDOM_BLOCKS, max_size=12))
@example(blocks=[])
def test_random_blocks_never_become_candidates(blocks: list[bytes]) -> None:
    found = scanned(b"".join(blocks))

    assert found.candidates == ()
    assert found.orphans == ()
    assert not (found.classes < BlockClass.BAD).any()


@examples(30)
@given(data=st.data())
def test_random_blocks_between_those_of_a_pool_change_nothing(data: st.DataObject) -> None:
    sound = image_bytes("a13-metadata-snapshot-held")
    number = data.draw(st.integers(100, 1900))
    image = bytearray(sound)
    image[number * BLOCK : (number + 1) * BLOCK] = data.draw(RANDOM_BLOCKS)

    found, expected = scanned(bytes(image)), scanned(sound)

    assert found.candidates == expected.candidates
    assert found.orphans == expected.orphans


@st.composite
def stamped_blocks(draw: st.DrawFn, number: int) -> bytes:
    """Return a block with a right checksum and its own number, and anything else in it."""
    some = draw(st.binary(min_size=1, max_size=60)) + b"\0"
    body = bytearray((some * BLOCK)[:BLOCK])
    if draw(st.booleans()):
        size = draw(st.sampled_from([4, 8, 16, 24, 7]))
        header = {
            "csum": 0,
            "flags": draw(st.sampled_from([INTERNAL_NODE, LEAF_NODE, LEAF_NODE, 3])),
            "blocknr": number,
            "nr_entries": draw(st.integers(0, 4) | st.just(252) | st.just(2**32 - 1)),
            "max_entries": draw(st.sampled_from([0, 3, 126, 252, 336, 2**32 - 1])),
            "value_size": size,
        }
        body[:32] = NodeHeader.build(header)
        body[32:64] = draw(st.binary(min_size=32, max_size=32))
    body[8:16] = number.to_bytes(8, "little")
    if draw(st.booleans()):
        body[32:40] = THIN_SUPERBLOCK_MAGIC.to_bytes(8, "little")
    return stamped(bytes(body), draw(st.sampled_from(SALTS)))


@examples(80)
@given(data=st.data(), nr_blocks=st.integers(1, 10))
def test_contents_with_right_checksums_are_no_crash(data: st.DataObject, nr_blocks: int) -> None:
    found = scanned(b"".join(data.draw(stamped_blocks(number)) for number in range(nr_blocks)))

    for candidate in found.candidates:
        assert len(found.devices(candidate)) >= candidate.nr_devices
        assert candidate.nr_mappings >= 0
    assert len(found.classes) == nr_blocks


NODES = st.lists(
    st.tuples(
        st.sampled_from(["mappings", "internal", "internal", "devices", "details"]),
        st.lists(st.integers(0, 9), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=9,
)


@examples(120)
@given(nodes=NODES)
@example(nodes=[("internal", [1])])
@example(nodes=[("internal", [2, 2]), ("internal", [1, 1]), ("devices", [1, 2])])
@example(nodes=[("devices", [1, 1]), ("devices", [1])])
def test_links_in_circles_end(nodes: list[tuple[str, list[int]]]) -> None:
    image = Image()
    for kind, targets in nodes:
        keyed = [(100 * place, target) for place, target in enumerate(targets)]
        match kind:
            case "mappings":
                image.leaf(mappings(100 * targets[0], range(50, 50 + len(targets))))
            case "internal":
                image.internal(keyed)
            case "devices":
                image.leaf([(key, max(target, 1)) for key, target in keyed], Child)
            case "details":
                image.leaf([(key, details(target)) for key, target in keyed], DeviceDetails)

    found = scanned(b"".join(image.blocks))

    total = sum(len(targets) for kind, targets in nodes if kind in ("mappings", "devices"))
    assert all(each.nr_mappings <= total for each in found.orphans)
    for candidate in found.candidates:
        found.devices(candidate)


def test_a_chain_of_internal_nodes_ends() -> None:
    image = Image()
    below = image.leaf(mappings(0, [7]))
    for _ in range(200):
        below = image.internal([(0, below)])

    found = scanned(b"".join(image.blocks))

    assert [each.nr_mappings for each in found.orphans] == [1]


# Trees with holes, against a model that follows each path by itself


class Model:
    """Trees as they were built, of which some blocks were lost."""

    def __init__(self) -> None:
        self.image = Image()
        self.entries: dict[int, Entries] = {}
        self.heights: dict[int, int] = {}

    def tree(self, data: st.DataObject, begin: int, height: int) -> int:
        """Add a tree of origin blocks from `begin` on."""
        width = 10**height
        if not height:
            entries = mappings(begin, range(begin + 1000, begin + 1000 + width * 2), height)
            return self._added(self.image.leaf(entries), entries, 0)
        children = [
            (begin + place * width, self.tree(data, begin + place * width, height - 1))
            for place in range(data.draw(st.integers(2, 4)))
        ]
        return self._added(self.image.internal(children), children, height)

    def changed(self, data: st.DataObject, root: int, begin: int) -> int:
        """Add a copy on write of a tree: the path to one leaf is new, the rest is shared."""
        height = self.heights[root]
        if not height:
            return self.tree(data, begin, 0)
        children = list(self.entries[root])
        place = data.draw(st.integers(0, len(children) - 1))
        key, child = children[place]
        children[place] = key, self.changed(data, child, key)
        return self._added(self.image.internal(children), children, height)

    def left(self, root: int, lost: set[int]) -> tuple[int, int]:
        """Return how many mappings are left of a tree, and how many nodes are lost."""
        if root in lost:
            return 0, 1
        if not self.heights[root]:
            return len(self.entries[root]), 0
        below = [self.left(child, lost) for _, child in self.entries[root]]
        return sum(count for count, _ in below), sum(nodes for _, nodes in below)

    def is_known(self, root: int, lost: set[int]) -> bool:
        """Tell whether there is a node at the root, and any leaf below it."""
        return bool(self.left(root, lost)[0])

    def _added(self, block: int, entries: Entries, height: int) -> int:
        self.entries[block], self.heights[block] = entries, height
        return block


@examples(60)
@given(data=st.data())
def test_what_is_left_is_what_paths_of_sound_nodes_lead_to(data: st.DataObject) -> None:
    model = Model()
    roots = {1: model.tree(data, 0, data.draw(st.integers(0, 2))), 2: model.tree(data, 500, 1)}
    states = []
    for _ in range(data.draw(st.integers(1, 4))):
        device_id = data.draw(st.sampled_from([1, 2]))
        begin = {1: 0, 2: 500}[device_id]
        roots = roots | {device_id: model.changed(data, roots[device_id], begin)}
        listed = model.image.leaf(sorted(roots.items()), Child)
        counts = {each: model.left(root, set())[0] for each, root in roots.items()}
        said = model.image.leaf(
            [(each, details(count)) for each, count in sorted(counts.items())], DeviceDetails
        )
        states.append((listed, said, roots))
    lost = data.draw(st.sets(st.sampled_from(sorted(model.entries)), max_size=4))
    for block in lost:
        model.image.blocks[block] = bytes(BLOCK)

    found = scanned(b"".join(model.image.blocks))

    by_root: dict[int | None, Candidate] = {each.mapping_root: each for each in found.candidates}
    assert set(by_root) == {listed for listed, _, _ in states}
    for listed, _, roots in states:
        known = [root for root in roots.values() if model.is_known(root, lost)]
        left = [model.left(root, lost) for root in known]
        state = by_root[listed]
        assert state.nr_mappings == sum(count for count, _ in left)
        assert state.nr_devices_lost == len(roots) - len(known)
        assert state.nr_nodes_lost == sum(nodes for _, nodes in left) + state.nr_devices_lost
    orphans = {each.root: each.nr_mappings for each in found.orphans}
    assert orphans == dict(_orphans(model, [roots for _, _, roots in states], lost))


def _orphans(
    model: Model, states: list[dict[int, int]], lost: set[int]
) -> Iterator[tuple[int, int]]:
    """Return the nodes that nothing which is left leads to."""
    led_to = {root for roots in states for root in roots.values()}
    for block, height in model.heights.items():
        if height and block not in lost and model.is_known(block, lost):
            led_to |= {child for _, child in model.entries[block]}
    for block in model.heights:
        if block not in led_to and model.is_known(block, lost):
            yield block, model.left(block, lost)[0]


def test_a_last_child_ends_where_its_parent_does() -> None:
    image = Image()
    foreign = image.leaf(mappings(900, range(2000, 2010)))
    left = image.internal([(0, image.leaf(mappings(0, range(50, 60)))), (100, foreign)])
    right = image.internal([(200, image.leaf(mappings(200, range(70, 80))))])
    root = image.internal([(0, left), (200, right)])

    found = scanned(image.pool({1: root, 2: root}, {1: 30, 2: 30}))

    (state,) = found.candidates
    assert (state.nr_mappings, state.nr_nodes_lost) == (2 * 20, 2)
    assert [each.root for each in found.orphans] == [foreign]


@pytest.mark.parametrize("field", ["nr_entries", "max_entries", "value_size"])
def test_a_header_that_contradicts_itself_is_bad(field: str) -> None:
    image = Image()
    block = image.leaf(mappings(0, range(5, 9)), BlockTime, **{field: 900})

    assert scanned(b"".join(image.blocks)).classes[block] == BlockClass.BAD


def test_keys_out_of_order_are_bad() -> None:
    image = Image()
    block = image.leaf([*mappings(5, [100]), *mappings(4, [101])])

    found = scanned(b"".join(image.blocks))

    assert found.classes[block] == BlockClass.BAD
    assert found.orphans == ()
