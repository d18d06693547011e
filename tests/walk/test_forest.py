"""Trees that share nodes are walked together, and each keeps its leaves, in order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_images import Image, device_over, mappings, metadata_over
from tests.properties import examples
from tests.walk.growing import (
    KEYS_A_LEAF,
    Shape,
    forests,
    grown,
    height_of,
    leaf_numbers,
    planted,
)
from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks
from thinmeta.errors import Damage
from thinmeta.units import LAST_KEY
from thinmeta.walk.children import Wanted
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.leaves import leaf_pieces, read_leaves, read_tree
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, REASONS, Metadata


def fail(damage: Damage) -> None:
    pytest.fail(str(damage))


def blocks(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def grown_forest(image: bytes, roots: list[int]) -> Forest:
    with metadata_over(image) as source:
        return grow(source, blocks(*roots), MAPPINGS)


@examples(80)
@given(trees=forests())
def test_each_tree_has_its_leaves_in_key_order(trees: list[Shape]) -> None:
    made = grown(trees)

    forest = grown_forest(made.image, made.roots)

    assert not len(forest.doubtful_blocks())
    assert forest.heights.tolist() == [height_of(tree) for tree in trees]
    assert forest.nr_leaves().tolist() == [len(leaf_numbers(tree)) for tree in trees]
    for place, tree in enumerate(trees):
        leaves = forest.leaves(place)
        assert leaves.blocks.tolist() == made.blocks(leaf_numbers(tree))
        assert not leaves.codes.any()


@examples(80)
@given(trees=forests())
def test_the_key_ranges_of_a_trees_leaves_are_all_keys_once(trees: list[Shape]) -> None:
    made = grown(trees)

    forest = grown_forest(made.image, made.roots)

    for place, tree in enumerate(trees):
        leaves = forest.leaves(place)
        # An internal node says where its first child begins, a root leaf is said nothing of.
        first = KEYS_A_LEAF * leaf_numbers(tree)[0] if isinstance(tree, tuple) else 0
        assert leaves.low.tolist() == [
            first,
            *(KEYS_A_LEAF * leaf for leaf in leaf_numbers(tree)[1:]),
        ]
        assert leaves.last.tolist() == [*(leaves.low[1:] - np.uint64(1)).tolist(), LAST_KEY]


@examples(80)
@given(trees=forests())
def test_a_node_stands_in_its_level_once_for_each_key_range(trees: list[Shape]) -> None:
    made = grown(trees)

    for level in grown_forest(made.image, made.roots).levels:
        nodes = list(zip(level.nodes.blocks, level.nodes.low, level.nodes.last, strict=True))
        assert len(set(nodes)) == len(nodes)


def overlapping(begin: int, end: int) -> Wanted:
    return lambda low, last: (low < end) & (last >= begin)


@examples(60)
@given(trees=forests(), begin=st.integers(0, 1300), length=st.integers(1, 300))
def test_only_the_wanted_leaves_are_followed(trees: list[Shape], begin: int, length: int) -> None:
    made = grown(trees)
    end = begin + length

    for root, tree in zip(made.roots, trees, strict=True):
        held = [KEYS_A_LEAF * leaf + each for leaf in leaf_numbers(tree) for each in (0, 1)]
        if end <= held[0]:
            continue
        wanted = overlapping(begin, end)
        with metadata_over(made.image) as source:
            keys, _ = read_tree(source, root, MAPPINGS, on_damage=fail, wanted=wanted)
            forest = grow(source, blocks(root), MAPPINGS, wanted=wanted)
        inside = [key for key in held if begin <= key < end]
        assert [key for key in keys.tolist() if begin <= key < end] == inside
        # What is followed besides is at most the leaf in whose range the beginning falls.
        needed = {key // KEYS_A_LEAF for key in inside}
        assert isinstance(tree, int) or forest.nr_leaves().tolist()[0] <= len(needed) + 1


@pytest.mark.parametrize("tree", [(3,), ((3, 4), (5,)), (((3, 4),), ((5,),))], ids=height_of)
def test_a_tree_none_of_which_is_wanted_has_no_entries(tree: Shape) -> None:
    made = grown([tree])

    with metadata_over(made.image) as source:
        keys, values = read_tree(
            source, made.roots[0], MAPPINGS, on_damage=fail, wanted=overlapping(0, 300)
        )

    assert (len(keys), len(values)) == (0, 0)


def test_roots_may_repeat() -> None:
    made = grown([(0, 1), (0, 1), (0, 1)])

    forest = grown_forest(made.image, made.roots)

    assert len(forest.levels[1].nodes) == 1
    assert [forest.leaves(tree).blocks.tolist() for tree in range(3)] == [made.blocks([0, 1])] * 3


def test_no_trees_are_a_forest_too() -> None:
    forest = grown_forest(Image().superblock(), [])

    assert forest.nr_leaves().tolist() == []
    assert not len(forest.doubtful_blocks())


def test_trees_of_all_heights_share_what_is_at_the_same_height() -> None:
    trees: list[Shape] = [3, (3,), ((3,),), (((3,),),)]
    made = grown(trees)

    forest = grown_forest(made.image, made.roots)

    assert [len(level.nodes) for level in forest.levels] == [1, 1, 1, 1] or all(
        len({*level.nodes.blocks.tolist()}) == 1 for level in forest.levels
    )
    assert forest.heights.tolist() == [0, 1, 2, 3]
    assert forest.nr_leaves().tolist() == [1, 1, 1, 1]


def test_more_nodes_than_are_in_memory_at_once() -> None:
    nr_leaves = 1300
    tree = tuple(tuple(range(begin, begin + 2)) for begin in range(0, nr_leaves, 2))
    halves: Shape = (tree[:200], tree[200:400], tree[400:])
    made = grown([halves, *tree[:600]])

    forest = grown_forest(made.image, made.roots)

    assert forest.leaves(0).blocks.tolist() == made.blocks(range(nr_leaves))
    assert forest.nr_leaves().tolist() == [nr_leaves] + [2] * 600
    assert forest.leaves(600).blocks.tolist() == made.blocks([1198, 1199])


def test_a_leaf_reached_twice_in_a_tree_is_damage_the_second_time() -> None:
    image = Image()
    leaf = image.leaf(mappings(0, [7]))
    root = image.internal([(0, leaf), (5, leaf)])

    leaves = grown_forest(b"".join(image.blocks), [root]).leaves(0)

    assert [REASONS[code] for code in leaves.codes] == [
        "is sound",
        "is reached twice in the same tree",
    ]


def test_a_leaf_of_two_trees_is_no_damage() -> None:
    made = grown([(0, 1), (1, 2)])

    forest = grown_forest(made.image, made.roots)

    assert not forest.leaves(0).codes.any()
    assert not forest.leaves(1).codes.any()


def test_a_bad_internal_node_stands_for_what_it_should_have_held() -> None:
    made = grown([((0, 1), (2, 3), (4, 5))])
    bad = made.roots[0] - 1 - 3  # the second of the three, each of which follows its leaves
    image = bytearray(made.image)
    image[bad * 4096 + 50] ^= 1

    forest = grown_forest(bytes(image), made.roots)
    leaves = forest.leaves(0)

    assert forest.doubtful_blocks().tolist() == [bad]
    assert leaves.blocks.tolist() == [*made.blocks([0, 1]), bad, *made.blocks([4, 5])]
    assert [REASONS[code] for code in leaves.codes] == [
        "is sound",
        "is sound",
        "has a wrong checksum",
        "is sound",
        "is sound",
    ]
    assert (int(leaves.low[2]), int(leaves.last[2])) == (200, 399)


def test_a_node_that_is_its_own_child_ends_the_walk() -> None:
    image = Image()
    root = image.internal([(0, 1)])

    found: list[Damage] = []
    with metadata_over(b"".join(image.blocks)) as source:
        keys, _ = read_tree(source, root, MAPPINGS, on_damage=found.append)

    assert keys.tolist() == []
    assert [(damage.block, damage.first_key, damage.last_key) for damage in found] == [
        (root, 0, LAST_KEY)
    ]


def test_blocks_past_the_space_maps_end_are_not_metadata() -> None:
    made = grown([(0, 1)])

    found: list[Damage] = []
    with device_over(made.image) as device:
        source = Metadata(device, nr_blocks=made.roots[0])
        read_tree(source, made.roots[0], MAPPINGS, on_damage=found.append)

    assert [str(damage) for damage in found] == [
        f"metadata block {made.roots[0]}, origin blocks 0..end: "
        "the B-tree node is past the end of the metadata; what it held is lost"
    ]


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1500])
@pytest.mark.parametrize("all_of_them", [True, False])
def test_leaves_are_read_in_pieces_in_order(count: int, *, all_of_them: bool) -> None:
    image = Image()
    leaf = image.leaf(mappings(7, [1, 2]))
    leaves = NodeList.roots(np.full(count + 3, leaf, np.uint64), np.zeros(count + 3, np.uint8))
    places = None if all_of_them else np.arange(count)[::-1]
    told: list[tuple[int, int]] = []

    with device_over(b"".join(image.blocks)) as device:
        source = Metadata(device, device.nr_blocks)
        parts = list(
            leaf_pieces(source, leaves, MAPPINGS, lambda *args: told.append(args), places=places)
        )

    expected = list(range(count + 3)) if places is None else places.tolist()
    assert [place for part in parts for place in part.places.tolist()] == expected
    assert all(len(part.leaves) == len(part.places) > 0 for part in parts)
    assert all(part.entries.keys.tolist() == [7, 8] * len(part.leaves) for part in parts)
    assert told == [(len(part.places), len(expected)) for part in parts]


@examples(40)
@given(trees=forests())
def test_a_planted_forest_is_the_grown_one(trees: list[Shape]) -> None:
    forest = planted(trees)

    assert [forest.leaves(tree).blocks.tolist() for tree in range(len(trees))] == [
        leaf_numbers(tree) for tree in trees
    ]
    assert forest.nr_leaves().tolist() == [len(leaf_numbers(tree)) for tree in trees]


@examples(40)
@given(trees=forests())
def test_leaves_are_read_as_the_mappings_that_were_written(trees: list[Shape]) -> None:
    made = grown(trees)
    with metadata_over(made.image) as source:
        forest = grow(source, blocks(*made.roots), MAPPINGS)
        for place, tree in enumerate(trees):
            entries, codes = read_leaves(source, forest.leaves(place), MAPPINGS)
            begins = [KEYS_A_LEAF * leaf for leaf in leaf_numbers(tree)]
            assert entries.keys.tolist() == [key for begin in begins for key in (begin, begin + 1)]
            assert (entries.values >> np.uint64(24)).tolist() == [
                1000 + key for begin in begins for key in (begin, begin + 1)
            ]
            assert entries.starts.tolist() == list(range(0, 2 * len(begins) + 1, 2))
            assert not codes.any()


class CountingDevice(BlockDevice):
    """Counts how often each block is read."""

    def __init__(self, device: BlockDevice) -> None:
        self.__dict__.update(vars(device))
        self.reads = Counter[int]()

    def read(self, blocks: Blocks) -> BlockBatch:
        self.reads.update(blocks.tolist())
        return super().read(blocks)


def test_a_shared_node_is_read_once_and_the_leaves_not_at_all() -> None:
    first, shared = (0, 1), (2, 3)
    made = grown([(first, shared, (4,)), (first, shared, (4, 5)), (first, shared, (4, 6))])
    with device_over(made.image) as opened:
        device = CountingDevice(opened)
        forest = grow(Metadata(device, device.nr_blocks), blocks(*made.roots), MAPPINGS)

    level = forest.levels[1].nodes
    assert device.reads[int(level.blocks[level.low == 2 * KEYS_A_LEAF][0])] == 1
    # How high the trees are shows on the way down the first children.
    assert set(made.leaf_blocks.values()) & set(device.reads) == {made.leaf_blocks[0]}


def test_key_ranges_that_differ_in_their_end_share_all_other_children() -> None:
    """Each root gives each of the nodes below another key range: a place in all is 12 million."""
    nr_roots, nr_nodes, width = 500, 100, 252
    image = Image()
    leaf = image.leaf(mappings(0, [1]))
    step = width * 1000 * 4
    nodes = [
        image.internal([(place * step + step // 2 + key, leaf) for key in range(width)])
        for place in range(nr_nodes)
    ]
    roots = [
        image.internal([(place * step + number, node) for place, node in enumerate(nodes)])
        for number in range(nr_roots)
    ]

    forest = grown_forest(b"".join(image.blocks), roots)

    inner = nr_nodes * (width - 1)
    assert len(forest.levels[0].nodes) <= inner + nr_roots * nr_nodes
    assert len(forest.levels[1].inner) == inner
    assert forest.nr_leaves().tolist() == [nr_nodes * width] * nr_roots
    places = forest.leaf_places_of(np.array([7, 400]))
    assert np.bincount(places[1]).tolist() == [nr_nodes * width] * 2
    for tree in (7, 400):
        assert (np.diff(forest.leaves(tree).low.astype(np.int64)) > 0).all()


def test_bad_nodes_take_no_place_in_the_levels_below_them() -> None:
    """However high a tree is, a node that cannot be believed is listed once."""
    image = Image()
    way = image.leaf(mappings(0, [1]))
    for _ in range(60):
        way = image.internal([(0, way)])
    root = image.internal([(0, way), *((1000 + key, 4000) for key in range(200))])

    forest = grown_forest(b"".join(image.blocks), [root])

    assert [len(level.nodes) for level in forest.levels] == [201, *[1] * 61]
    assert forest.leaves(0).blocks.tolist() == [1, *[4000] * 200]


def test_trees_without_an_end_are_read_once() -> None:
    """A chain of nodes, each of which is a tree: the way down is the same one."""
    image = Image()
    chain = [image.leaf(mappings(0, [1]))]
    for _ in range(600):
        chain.append(image.internal([(0, chain[-1])]))
    with device_over(b"".join(image.blocks)) as opened:
        device = CountingDevice(opened)
        forest = grow(Metadata(device, device.nr_blocks), blocks(*chain), MAPPINGS)

    assert forest.heights.tolist() == [min(64, height) for height in range(601)]
    assert device.reads.total() < 64 * len(chain)
