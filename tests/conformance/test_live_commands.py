"""diff, ls, rmap, restore and repair of generated pools: what the reference tools make of them."""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given

from tests.conformance import reference_tools
from tests.conformance.live_pools import Step, Trees, XmlPool, trees, xml_pools
from tests.conformance.test_rmap import mappings_in
from tests.conftest import Thinmeta
from tests.made_images import BLOCK, written
from tests.properties import examples

pytestmark = [pytest.mark.live, pytest.mark.thorough]

BOTH = [
    *("DEV", "MAPPED_BLOCKS", "EXCLUSIVE_BLOCKS", "SHARED_BLOCKS"),
    *("MAPPED_SECTORS", "EXCLUSIVE_SECTORS", "SHARED_SECTORS"),
    *("MAPPED_BYTES", "EXCLUSIVE_BYTES", "SHARED_BYTES", "MAPPED", "EXCLUSIVE", "SHARED"),
    *("TRANSACTION", "CREATE_TIME", "SNAP_TIME"),
]
FIELDS = {
    "0.9.0": BOTH,
    "1.1.0": [*BOTH, "HIGHEST_BLOCK", "HIGHEST_SECTOR", "HIGHEST_BYTE", "HIGHEST_MAPPED"],
}
"""The fields of thin_ls by version."""

ALL_BLOCKS = "0..1099511627776"


def restored_by_reference(pool: XmlPool, folder: Path) -> Path:
    """Return what thin_restore makes of a pool."""
    (folder / "pool.xml").write_text(pool.xml())
    image = folder / "theirs.bin"
    image.write_bytes(b"")
    os.truncate(image, 8 << 20)
    reference_tools.run("1.1.0", "thin_restore", "-i", folder / "pool.xml", "-o", image)
    return image


def restored_by_us(pool: XmlPool, folder: Path, thinmeta: Thinmeta) -> Path:
    (folder / "pool.xml").write_text(pool.xml())
    image = folder / "ours.bin"
    image.unlink(missing_ok=True)
    result = thinmeta("restore", "-i", folder / "pool.xml", "-o", image, "--metadata-size", "8M")
    assert (result.exit_code, result.output) == (0, "")
    return image


def printed(thinmeta: Thinmeta, *args: object) -> bytes:
    result = thinmeta(*args)
    assert result.exit_code == 0, (args, result.stderr)
    return result.stdout_bytes


def fails(version: str, tool: str, image: Path) -> bool:
    """Tell whether a reference tool takes it for damaged."""
    command = [reference_tools.FOLDER / version / tool, image]
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


# diff


def assert_diffs_equal(
    image: Path, ids: Sequence[int], thinmeta: Thinmeta, versions: Sequence[str]
) -> None:
    for left, right in [*pairwise(ids), (ids[0], ids[0]), (ids[-1], ids[0])]:
        ours = ("diff", left, right, "-p", image, "-f", "xml", "--compat")
        theirs = ("thin_delta", "--snap1", left, "--snap2", right, image)
        for version in versions:
            expected = reference_tools.run(version, *theirs)
            assert printed(thinmeta, *ours, version[:3]) == expected, version
        if "0.9.0" in versions:
            # thin_delta 1.1 joins ranges over data blocks that do not go on; 0.9 does not.
            expected = reference_tools.run("0.9.0", *theirs, "--verbose")
            assert printed(thinmeta, *ours, "0.9", "--verbose") == expected


@examples(10)
@given(pool=xml_pools())
def test_diff_of_pools_that_thin_restore_made(
    pool: XmlPool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    assume(pool.devices)
    image = restored_by_reference(pool, tmp_path)

    assert_diffs_equal(image, list(pool.devices), thinmeta, reference_tools.VERSIONS)


@examples(30)
@given(made=trees())
def test_diff_of_pools_with_high_trees(made: Trees, tmp_path: Path, thinmeta: Thinmeta) -> None:
    assume(made.devices)
    image = written(tmp_path / "meta.bin", made.image())

    # 0.9.0 wants space maps, which these have not.
    assert_diffs_equal(image, list(made.devices), thinmeta, ["1.1.0"])


# ls


def assert_lists_equal(image: Path, thinmeta: Thinmeta) -> None:
    for version in reference_tools.VERSIONS:
        for options in ((), ("-o", ",".join(FIELDS[version])), ("--no-headers",)):
            expected = reference_tools.run(version, "thin_ls", *options, image)
            assert printed(thinmeta, "ls", "--compat", version[:3], *options, image) == expected


@examples(8)
@given(pool=xml_pools())
def test_ls_of_pools_that_thin_restore_made(
    pool: XmlPool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    assert_lists_equal(restored_by_reference(pool, tmp_path), thinmeta)


# rmap


def maps_of(pool: XmlPool) -> Counter[tuple[int, int, int]]:
    """Return data block, device and origin block of each mapping, from the XML."""
    found: Counter[tuple[int, int, int]] = Counter()
    parts: dict[str, list[tuple[int, int, int]]] = {}
    device, runs = 0, []
    for line in pool.xml().splitlines():
        words = dict(re.findall(r'(\w+)="(\d+)"', line))
        tag = line.split()[0].lstrip("<").rstrip(">")
        if tag == "def":
            runs = parts[words["name"]] = []
        elif tag == "device":
            device, runs = int(words["dev_id"]), []
        elif tag == "ref":
            runs += parts[words["name"]]
        elif tag == "range_mapping":
            begin, data, length = (
                int(words[name]) for name in ("origin_begin", "data_begin", "length")
            )
            runs.append((begin, data, length))
        elif tag == "/device":
            found.update(
                (data + more, device, begin + more)
                for begin, data, length in runs
                for more in range(length)
            )
    return found


@examples(20)
@given(pool=xml_pools())
def test_rmap_of_pools_that_thin_restore_made(
    pool: XmlPool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = restored_by_reference(pool, tmp_path)
    for regions in ((ALL_BLOCKS,), ("0..500",), ("7..19", "300..4000")):
        options = [word for region in regions for word in ("--region", region)]
        ours = printed(thinmeta, "rmap", *options, image)
        theirs = reference_tools.run("1.1.0", "thin_rmap", *options, image)

        complete = mappings_in(ours)
        if regions == (ALL_BLOCKS,):
            assert complete == set(maps_of(pool))
        if not pool.shared:
            assert ours == theirs
            old = reference_tools.run("0.9.0", "thin_rmap", *options, image)
            assert mappings_in(old) == complete
        else:  # both visit what is shared once
            assert mappings_in(theirs) <= complete


# restore


def blocks_in_use(image: Path) -> int:
    """Return what the superblock says of metadata."""
    with image.open("rb") as file:
        return int.from_bytes(file.read(BLOCK)[200:208], "little")


def assert_is_the_same_pool(ours: Path, theirs: Path) -> None:
    """Assert that all devices are the same, and take no more metadata."""
    expected = reference_tools.run("0.9.0", "thin_dump", theirs)
    assert reference_tools.run("0.9.0", "thin_dump", ours) == expected
    assert blocks_in_use(ours) <= blocks_in_use(theirs)


@examples(20)
@given(pool=xml_pools())
def test_restore_makes_what_thin_restore_makes(
    pool: XmlPool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    theirs = restored_by_reference(pool, tmp_path)
    ours = restored_by_us(pool, tmp_path, thinmeta)

    assert_is_the_same_pool(ours, theirs)
    for version in reference_tools.VERSIONS:
        if not fails(version, "thin_check", theirs):
            assert not fails(version, "thin_check", ours)


# repair


@examples(12)
@given(pool=xml_pools())
def test_repair_makes_what_thin_repair_makes(
    pool: XmlPool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    assume(pool.devices)
    image = restored_by_reference(pool, tmp_path)
    theirs, ours = tmp_path / "theirs-repaired.bin", tmp_path / "ours-repaired.bin"
    theirs.write_bytes(b"")
    os.truncate(theirs, 8 << 20)
    reference_tools.run("1.1.0", "thin_repair", "-i", image, "-o", theirs)
    printed_of_repair(thinmeta, image, ours)

    assert_is_the_same_pool(ours, theirs)


@examples(12)
@given(pool=xml_pools())
def test_repair_without_a_superblock_makes_what_thin_repair_makes(
    pool: XmlPool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    assume(pool.devices)
    image = restored_by_reference(pool, tmp_path)
    with image.open("r+b") as file:
        file.write(bytes(BLOCK))
    options = ("--data-block-size", pool.data_block_size, "--nr-data-blocks", pool.nr_data_blocks)
    theirs, ours = tmp_path / "theirs-repaired.bin", tmp_path / "ours-repaired.bin"
    theirs.write_bytes(b"")
    os.truncate(theirs, 8 << 20)
    reference_tools.run("1.1.0", "thin_repair", "-i", image, "-o", theirs, *options)
    printed_of_repair(thinmeta, image, ours, *options)

    assert_is_the_same_pool(ours, theirs)


def printed_of_repair(thinmeta: Thinmeta, image: Path, output: Path, *options: object) -> None:
    output.unlink(missing_ok=True)
    result = thinmeta("repair", "-i", image, "-o", output, *options)
    assert result.exit_code == 0, result.stderr


def test_thin_repair_keeps_what_is_shared(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """The pools above would prove nothing of `<def>` if none of them had any."""
    steps = [Step(gap=1, length=1, jump=1, time=0)] * 300
    pool = XmlPool(1, 2, 128, 4096, [steps], {1: [0], 2: [0, steps], 3: [0, steps]}, [])
    image = restored_by_reference(pool, tmp_path)
    ours = tmp_path / "ours-repaired.bin"
    printed_of_repair(thinmeta, image, ours)

    dumped = reference_tools.run("1.1.0", "thin_dump", ours)
    assert dumped.count(b"<def ") == 1
    assert_is_the_same_pool(ours, image)
