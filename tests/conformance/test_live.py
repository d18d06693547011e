"""Our dump of generated pools is what both versions of thin_dump print, byte for byte."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from construct import Construct
from hypothesis import example, given, note

from tests.conformance import reference_tools
from tests.conformance.live_pools import ROOM, Step, Trees, XmlPool, trees, xml_pools
from tests.conftest import Thinmeta
from tests.made_images import Image, details, mappings, written
from tests.properties import examples
from thinmeta.schemas.btree_node import Child, DeviceDetails

pytestmark = [pytest.mark.live, pytest.mark.thorough]

Options = Sequence[object]


def assert_dumps_equal(image: Path, thinmeta: Thinmeta, options: Sequence[Options]) -> None:
    for version in reference_tools.VERSIONS:
        for more in options:
            if version == "1.1.0" and {"--skip-mappings", "--dev-id"} <= {*more}:
                continue  # 1.1.0 prints all devices then, whichever were chosen
            expected = reference_tools.run(version, "thin_dump", *more, image)
            ours = thinmeta("dump", "--compat", version.removesuffix(".0"), *more, image)
            assert ours.exit_code == 0, ours.stderr
            assert ours.stdout_bytes == expected, (version, more)


def all_options(device_ids: Sequence[int], chosen: Sequence[int]) -> list[Options]:
    """Return the command lines to compare: each format, and some of the devices."""
    subset = [word for device_id in chosen for word in ("--dev-id", device_id)]
    human: Options = ("-f", "human_readable")
    options: list[Options] = [(), human, ("--skip-mappings",), (*human, "--skip-mappings")]
    if chosen:
        options += [subset, [*human, *subset], ["--skip-mappings", *subset]]
    if device_ids:
        options.append(["--dev-id", device_ids[-1]])
    return options


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "meta.bin"


@examples(15)
@given(pool=xml_pools())
def test_pools_that_thin_restore_made(
    pool: XmlPool, image: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    (tmp_path / "pool.xml").write_text(pool.xml())
    image.write_bytes(b"")
    os.truncate(image, 8 * 2**20)
    reference_tools.run("1.1.0", "thin_restore", "-i", tmp_path / "pool.xml", "-o", image)

    assert_dumps_equal(image, thinmeta, all_options(list(pool.devices), pool.chosen))


def test_thin_restore_keeps_what_is_shared(image: Path, tmp_path: Path, thinmeta: Thinmeta) -> None:
    """The pools above would prove nothing of `<def>` if none of them had any."""
    steps = [Step(gap=1, length=1, jump=1, time=0)] * 300
    pool = XmlPool(1, 2, 128, 4096, [steps], {1: [0], 2: [0, steps], 3: [0, steps]}, [])
    (tmp_path / "pool.xml").write_text(pool.xml())
    image.write_bytes(b"")
    os.truncate(image, 2**20)
    reference_tools.run("1.1.0", "thin_restore", "-i", tmp_path / "pool.xml", "-o", image)

    assert thinmeta("dump", image).stdout_bytes.count(b"<def ") == 1
    assert thinmeta("dump", image).stdout_bytes.count(b"<ref ") == 3
    assert_dumps_equal(image, thinmeta, all_options([1, 2, 3], [1, 3]))


def full_leaves(first_block: int, nr_leaves: int) -> list[list[tuple[int, int]]]:
    return [
        [(first_block + 4 * number + place, 0) for place in range(ROOM)]
        for number in range(nr_leaves)
    ]


PLAIN = {"flags": 0, "version": 2, "time": 0, "trans_id": 0, "data_block_size": 128}


@examples(30)
@given(made=trees())
@example(
    made=Trees(
        leaves=full_leaves(0, 14),
        first=0,
        cuts=frozenset(),
        devices={1: [*range(14)], 2: [*range(9)], 3: [*range(14)], 4: [2]},
        held={1: [*range(9)]},
        superblock=PLAIN,
        chosen=[1, 4],
    )
)
def test_pools_with_high_trees(made: Trees, image: Path, thinmeta: Thinmeta) -> None:
    written(image, made.image())
    note(f"{len(made.image()) // 4096} blocks")
    options = all_options(list(made.devices), made.chosen)
    if made.held is not None:
        options += [("-m",), ("-m", "-f", "human_readable")]

    assert_dumps_equal(image, thinmeta, options)


def tall(image: Image, entries: list[tuple[int, Any]], value: Construct) -> int:
    """Return the root of a tree of full nodes over `entries`."""
    room = (4096 - 32) // (8 + value.sizeof()) // 3 * 3
    level = [
        (part[0][0], image.leaf(part, value))
        for part in (entries[begin : begin + room] for begin in range(0, len(entries), room))
    ]
    return level[0][1] if len(level) == 1 else image.internal(level)


def test_more_devices_than_are_marked_at_once(image: Path, thinmeta: Thinmeta) -> None:
    """Devices that share a leaf, devices that have one of their own, and empty ones."""
    made = Image()
    shared = made.leaf(mappings(0, range(10)))
    empty = made.leaf([])
    ids = range(0, 3 * 126 * 24, 3)
    own = {device_id: made.leaf(mappings(5, [device_id], time=1)) for device_id in ids[::50]}
    roots = [(each, own.get(each, shared if each % 2 else empty)) for each in ids]
    counts = [(each, details(1 if each in own else 10 if each % 2 else 0)) for each in ids]
    fields = {
        "data_mapping_root": tall(made, roots, Child),
        "device_details_root": tall(made, counts, DeviceDetails),
    }
    made.blocks[0] = made.superblock(**fields)
    written(image, b"".join(made.blocks))

    assert_dumps_equal(image, thinmeta, [(), ("-f", "human_readable"), ("--skip-mappings",)])
