"""`Diff` against a slow model of plain dicts, on made pools and on real ones."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import image_names, unpacked
from tests.golden import dumped_images, mappings_of, parsed_xml, thin_dump
from tests.made_images import Image, mappings
from tests.properties import examples
from thinmeta.analyse.diff import Diff, Relation
from thinmeta.errors import Damage, DamagedMetadataError
from thinmeta.model.device_spec import DeviceSpec, choose_device
from thinmeta.model.pool import Pool, open_pool
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.changes import Change

Mapped = dict[int, tuple[int, int]]
"""Data block and time by origin block."""


def model(left: Mapped, right: Mapped) -> dict[int, tuple[Change, int, int]]:
    """What became of each block: the definition of a diff, block by block."""
    found = {}
    for block in sorted(left.keys() | right.keys()):
        if block not in left:
            found[block] = (Change.ADDED, 0, right[block][0])
        elif block not in right:
            found[block] = (Change.REMOVED, left[block][0], 0)
        elif left[block][0] == right[block][0]:
            found[block] = (Change.SAME, left[block][0], right[block][0])
        else:
            found[block] = (Change.CHANGED, left[block][0], right[block][0])
    return found


def expanded(diff: Diff) -> dict[int, tuple[Change, int, int]]:
    """Return the blocks of a diff `by_data`."""
    found = {}
    for ranges in diff.ranges():
        columns = (ranges.change, ranges.begin, ranges.length, ranges.left, ranges.right)
        for change, begin, length, left, right in zip(*(c.tolist() for c in columns), strict=True):
            for place in range(length):
                assert begin + place not in found
                found[begin + place] = (
                    Change(change),
                    left + place if change != Change.ADDED else 0,
                    right + place if change != Change.REMOVED else 0,
                )
    assert list(found) == sorted(found)
    return found


def without_same(blocks: dict[int, tuple[Change, int, int]]) -> dict[int, tuple[Change, int, int]]:
    return {block: what for block, what in blocks.items() if what[0] is not Change.SAME}


def the_diff(pool: Pool, left: str, right: str, *, by_data: bool, with_same: bool) -> Diff:
    chosen = [choose_device(pool, DeviceSpec.parse(name)) for name in (left, right)]
    return Diff(chosen[0], chosen[1], by_data=by_data, with_same=with_same)


def check(pool: Pool, names: tuple[str, str], left: Mapped, right: Mapped) -> None:
    """Hold the pruned and the full diff of two devices against the model."""
    expected = model(left, right)
    full = the_diff(pool, *names, by_data=True, with_same=True)
    pruned = the_diff(pool, *names, by_data=True, with_same=False)

    assert expanded(full) == expected
    assert expanded(pruned) == without_same(expected)
    assert pruned.summary() == full.summary()
    counts = [sum(what[0] is kind for what in expected.values()) for kind in Change]
    summary = pruned.summary()
    found = [summary.same, summary.changed, summary.added, summary.removed, summary.unknown]
    assert found == counts
    check_joined(pool, names, expected)


def check_joined(
    pool: Pool, names: tuple[str, str], expected: dict[int, tuple[Change, int, int]]
) -> None:
    """Without data blocks, neighbours of one kind are one range, and as long as can be."""
    diff = the_diff(pool, *names, by_data=False, with_same=True)
    found: dict[int, Change] = {}
    end, last = -1, None
    for ranges in diff.ranges():
        columns = (ranges.change, ranges.begin, ranges.length)
        for change, begin, length in zip(*(c.tolist() for c in columns), strict=True):
            assert (begin, change) != (end, last)
            found |= dict.fromkeys(range(begin, begin + length), Change(change))
            end, last = begin + length, change
    assert found == {block: what[0] for block, what in expected.items()}


@contextmanager
def pool_over(image: bytes, tmp_path: Path) -> Iterator[Pool]:
    path = tmp_path / "meta.bin"
    path.write_bytes(image)
    with open_pool(path) as pool:
        yield pool


LEAF = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 60), st.integers(0, 2)),
    max_size=6,
    unique_by=lambda entry: entry[0],
)
"""Place in the leaf, data block, time."""


@st.composite
def related_trees(draw: st.DrawFn) -> tuple[Image, list[int], list[Mapped]]:
    """Two trees that share some leaves, and some nodes above them."""
    image = Image()
    children: tuple[list[tuple[int, int]], ...] = ([], [])
    mapped: tuple[Mapped, Mapped] = ({}, {})
    for number in range(draw(st.integers(1, 6))):
        begin = 10 * number
        kind = draw(st.sampled_from(["shared", "both", "left", "right"]))
        for side in range(2):
            if kind in ("left", "right") and kind != ("left", "right")[side]:
                continue
            if kind == "shared" and side == 1:
                children[1].append(children[0][-1])
                mapped[1].update({k: v for k, v in mapped[0].items() if k >= begin})
                continue
            entries = sorted(draw(LEAF))
            at = [(begin + place, data, time) for place, data, time in entries]
            leaf = image.leaf(
                [(block, {"data_block": data, "time": time}) for block, data, time in at]
            )
            children[side].append((begin, leaf))
            mapped[side].update({block: (data, time) for block, data, time in at})
    shared_parents = children[0] == children[1] and draw(st.booleans())
    roots: list[int] = []
    for side in range(2):
        if shared_parents and side == 1:
            roots.append(roots[0])
            break
        some = children[side] or [(0, image.leaf([]))]
        height = draw(st.integers(1, 2)) if len(some) > 1 else draw(st.integers(0, 2))
        if height == 2:
            cut = draw(st.integers(1, len(some)))
            halves = [half for half in (some[:cut], some[cut:]) if half]
            some = [(half[0][0], image.internal(half)) for half in halves]
        roots.append(image.internal(some) if height else some[0][1])
    return image, roots, list(mapped)


@examples(300)
@given(trees=related_trees())
def test_pruned_and_full_diff_are_the_model(
    trees: tuple[Image, list[int], list[Mapped]], tmp_path: Path
) -> None:
    image, roots, mapped = trees
    made = image.pool({1: roots[0], 2: roots[1]}, {1: len(mapped[0]), 2: len(mapped[1])})

    with pool_over(made, tmp_path) as pool:
        check(pool, ("1", "2"), *mapped)
        check(pool, ("2", "1"), *mapped[::-1])
        check(pool, (f"root:{roots[0]}", f"root:{roots[1]}"), *mapped)


SMALL = [
    (case, image)
    for case, image in dumped_images()
    if case not in {"d02-shared-subtrees", "a16-metadata-and-data-resized"}
]


@pytest.mark.parametrize(("case", "image"), SMALL)
def test_diff_of_real_devices_is_the_model(case: str, image: str) -> None:
    dumped = parsed_xml(thin_dump(case, image, "thin_dump", "0.9.0")).devices
    mapped = {
        str(device.device_id): {o: (d, t) for o, d, t in mappings_of(device.runs)}
        for device in dumped
    }
    pairs = list(combinations(mapped, 2))

    with open_pool(unpacked(case, image)) as pool:
        for left, right in pairs[:: max(1, len(pairs) // 12)]:
            check(pool, (left, right), mapped[left], mapped[right])
            check(pool, (right, left), mapped[right], mapped[left])


@pytest.mark.parametrize("device_id", [1, 2, 3])
def test_a_state_is_compared_with_a_later_one(device_id: int) -> None:
    """The metadata snapshot of a13 against the state now, from their own dumps."""
    case = "a13-metadata-snapshot-held"
    states = [
        {d.device_id: d for d in parsed_xml(thin_dump(case, "meta", name, "0.9.0")).devices}
        for name in ("thin_dump-m", "thin_dump")
    ]
    if device_id not in states[0] or device_id not in states[1]:
        pytest.skip("the device is not in both states")
    left, right = (
        {o: (d, t) for o, d, t in mappings_of(state[device_id].runs)} for state in states
    )

    with open_pool(unpacked(case)) as pool:
        check(pool, (f"{device_id}@snap", str(device_id)), left, right)
        diff = the_diff(pool, f"{device_id}@snap", f"{device_id}", by_data=False, with_same=False)
        assert diff.summary().relation in (Relation.DESCENDANT, Relation.IDENTICAL)


@pytest.mark.parametrize(("case", "image"), image_names())
def test_a_device_is_identical_to_itself(case: str, image: str) -> None:
    with open_pool(unpacked(case, image)) as pool:
        for device_id in list(pool.devices)[:3]:
            diff = the_diff(pool, str(device_id), str(device_id), by_data=False, with_same=False)
            summary = diff.summary()
            assert (summary.added, summary.changed, summary.removed) == (0, 0, 0)
            assert summary.same == pool.devices[device_id].mapped_blocks
            assert summary.relation is Relation.IDENTICAL


def test_docker_layers_descend_from_the_layer_below() -> None:
    """`ids.txt` and Docker's own order of the layers: 2, 4, 6, 8, 11, 14, 17."""
    with open_pool(unpacked("docker-loop-lvm-xfs-64k")) as pool:
        for left, right in ((2, 4), (4, 6), (6, 8), (11, 14), (14, 17), (30, 31)):
            diff = the_diff(pool, str(left), str(right), by_data=False, with_same=False)
            assert diff.summary().relation is Relation.DESCENDANT, (left, right)
            back = the_diff(pool, str(right), str(left), by_data=False, with_same=False)
            assert back.summary().relation is Relation.DIVERGED, (right, left)
        # Device 24 has mappings of time 30, made after 25 was taken from it at time 24.
        diff = the_diff(pool, "24", "25", by_data=False, with_same=False)
        assert diff.summary().relation is Relation.DIVERGED


def test_what_both_share_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[int] = set()
    real = os.preadv

    def counted(fd: int, buffers: list[memoryview], offset: int) -> int:
        read.update(range(offset // 4096, (offset + sum(map(len, buffers))) // 4096))
        return real(fd, buffers, offset)

    with open_pool(unpacked("d02-shared-subtrees")) as pool:
        diff = the_diff(pool, "101", "102", by_data=False, with_same=False)
        assert len(pool.devices) == 16
        monkeypatch.setattr(os, "preadv", counted)
        summary = diff.summary()

    assert summary.same > 50_000
    assert 0 < len(read) < 100


@pytest.mark.parametrize("side", [1, 2])
def test_a_bad_leaf_of_either_device_stops_the_diff(side: int, tmp_path: Path) -> None:
    image = Image()
    leaves = [[image.leaf(mappings(100 * n, range(9 * n, 9 * n + 5))) for n in range(4)]]
    leaves.append([image.leaf(mappings(100 * n, range(9 * n + 1, 9 * n + 6))) for n in range(4)])
    roots = [image.internal([(100 * n, leaf) for n, leaf in enumerate(some)]) for some in leaves]
    bad = leaves[side - 1][2]
    image.blocks[bad] = bytes(4096)
    made = image.pool({1: roots[0], 2: roots[1]}, {1: 20, 2: 20})

    with pool_over(made, tmp_path) as pool:
        parts = the_diff(pool, "1", "2", by_data=False, with_same=False).ranges()
        found: list[int] = []
        with pytest.raises(DamagedMetadataError) as error:
            found.extend(begin for part in parts for begin in part.begin.tolist())

    assert error.value.damage == Damage(
        error.value.damage.what,
        MetadataBlock(bad),
        DeviceId(side),
        200,
        299,
        "origin block",
    )
    assert found == [0]  # the range at 100 might not have been the last before the lost ones


def test_the_counts_of_the_details_are_cross_checked(tmp_path: Path) -> None:
    image = Image()
    roots = {1: image.leaf(mappings(0, range(5))), 2: image.leaf(mappings(0, range(6)))}
    told: list[Damage] = []
    path = tmp_path / "meta.bin"
    path.write_bytes(image.pool(roots, {1: 5, 2: 9}))

    with open_pool(path, on_damage=told.append) as pool:
        summary = the_diff(pool, "1", "2", by_data=False, with_same=False).summary()

    assert (summary.added, summary.same) == (1, 5)
    assert len(told) == 1
    assert "leave 5 blocks" in str(told[0])
    assert "leave 8" in str(told[0])


def test_every_relation_has_an_example(tmp_path: Path) -> None:
    shapes = {
        Relation.IDENTICAL: ({0: (1, 0)}, {0: (1, 0)}),
        Relation.UNRELATED: ({0: (1, 0)}, {0: (2, 0)}),
        Relation.DIVERGED: ({0: (1, 0), 1: (2, 0)}, {0: (1, 0), 1: (3, 0)}),
    }
    for relation, mapped in shapes.items():
        image = Image()
        roots = [
            image.leaf([(k, {"data_block": d, "time": t}) for k, (d, t) in side.items()])
            for side in mapped
        ]
        made = image.pool({1: roots[0], 2: roots[1]}, {1: len(mapped[0]), 2: len(mapped[1])})
        with pool_over(made, tmp_path) as pool:
            diff = the_diff(pool, "1", "2", by_data=False, with_same=False)
            assert diff.summary().relation is relation
