"""What restore builds holds what it was built from, by the kernel's rules."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builder.documents import Document, Run, documents
from tests.conformance import reference_tools
from tests.golden import runs_of
from tests.properties import examples
from thinmeta.analyse.check.checker import check_pool
from thinmeta.analyse.check.findings import CheckOptions
from thinmeta.builder.metadata_target import MetadataTarget
from thinmeta.builder.restore import Restored, build_within, restore
from thinmeta.errors import NoRoomError, OutputError
from thinmeta.model.listing import Listing
from thinmeta.model.pool import Pool, open_pool
from thinmeta.walk.growing import grow
from thinmeta.walk.nodes import MAPPINGS
from thinmeta.walk.runs import Runs
from thinmeta.walk.stream import (
    DeviceBegin,
    DeviceEnd,
    Mark,
    SharedBegin,
    SharedEnd,
    SharedRef,
    StreamHeader,
    StreamPart,
)


def restored(document: Document, folder: Path, **options: int) -> Path:
    source, output = folder / "pool.xml", folder / "pool.bin"
    output.unlink(missing_ok=True)
    source.write_text(document.xml())
    restore(source, output, size_bytes=options.get("size_bytes"))
    return output


def assert_sound(pool: Pool) -> None:
    report = check_pool(pool, CheckOptions())
    assert list(report.findings) == []


def assert_built_well(pool: Pool) -> None:
    """Assert that all is right but what the document says: a device may map a block twice."""
    findings = check_pool(pool, CheckOptions()).findings
    assert not [each for each in findings if "by the same device" not in each.what]


def mapped(pool: Pool, device_id: int) -> dict[int, tuple[int, int]]:
    return {
        origin_block + each: (data_block + each, time)
        for origin_block, data_block, length, time in runs_of(pool, pool.devices[device_id])
        for each in range(length)
    }


def shared_sizes(pool: Pool) -> list[int]:
    """Return how many mappings each shared run has."""
    sizes, begin = [], 0
    for part in Listing(pool, sharing=True).parts():
        for mark, mappings in zip(part.marks, part.mappings, strict=True):
            if isinstance(mark, SharedBegin):
                begin = mappings
            elif isinstance(mark, SharedEnd):
                sizes.append(mappings - begin)
    return sorted(sizes)


def singles(begin: int, length: int) -> list[Run]:
    """Return mappings of which no two make a run."""
    return [(begin + each, 2 * (begin + each), 1, 0) for each in range(length)]


@examples(50)
@given(documents())
@example(Document())
@example(Document(devices={7: []}))
@example(Document(shared={"empty": []}, devices={1: ["empty"], 2: ["empty"]}))
@example(Document(shared={"unused": singles(0, 300)}, devices={1: singles(5, 3)}))
@example(Document(shared={"one": singles(0, 252)}, devices={1: ["one", (252, 0, 3, 0)], 2: []}))
@example(Document(shared={"one": singles(9, 252)}, devices={1: [*singles(0, 3), "one"]}))
@example(
    Document(shared={"two": singles(9, 500)}, devices={1: [*singles(0, 3), "two"], 2: ["two"]})
)
def test_a_pool_holds_what_it_was_built_from(
    tmp_path_factory: pytest.TempPathFactory, document: Document
) -> None:
    with open_pool(restored(document, tmp_path_factory.mktemp("restored"))) as pool:
        assert_built_well(pool)
        assert {each: mapped(pool, each) for each in pool.devices} == {
            each: document.mapped(each) for each in document.devices
        }
        superblock = pool.superblock
        assert (superblock.time, superblock.transaction_id, superblock.version) == (9, 7, 2)
        assert superblock.data_space_map.nr_blocks == document.nr_data_blocks
        assert not superblock.needs_check
        for device in pool.devices.values():
            assert (device.transaction_id, device.creation_time, device.snap_time) == (3, 4, 5)


@pytest.mark.parametrize(
    ("size", "shared"), [(0, []), (125, []), (126, [126]), (252, [252]), (253, [253]), (600, [600])]
)
def test_what_is_half_a_leaf_stays_shared(size: int, shared: list[int], tmp_path: Path) -> None:
    parts: list[Run | str] = [*singles(0, 100), "d", *singles(2000, 84)]
    document = Document({"d": singles(1000, size)}, dict.fromkeys(range(3), parts))

    with open_pool(restored(document, tmp_path)) as pool:
        assert_sound(pool)
        assert shared_sizes(pool) == shared


@pytest.mark.parametrize("size", [0, 1, 40, 125, 126, 252, 253, 63_505])
@pytest.mark.parametrize("others", [[], [(99_999, 9, 1, 0)]])
def test_what_is_all_of_some_devices_is_one_tree(
    size: int, others: list[Run | str], tmp_path: Path
) -> None:
    shared: dict[str, Sequence[Run]] = {"e": [], "d": singles(0, size)}
    devices: dict[int, Sequence[Run | str]] = {each: ["e", "d", "e"] for each in range(9)}
    document = Document(shared, devices | {9: ["e", "d", *others]}, nr_data_blocks=200_000)

    with open_pool(restored(document, tmp_path)) as pool:
        assert_sound(pool)
        roots = {each: device.mapping_root for each, device in pool.devices.items()}
        assert len({roots[each] for each in range(9)}) == 1
        assert (roots[9] == roots[0]) == (not others)
        assert mapped(pool, 8) == document.mapped(8)
        assert mapped(pool, 9) == document.mapped(9)


@pytest.mark.parametrize("name", ["2.xml", "600.xml"])
@pytest.mark.live
@pytest.mark.skipif(not reference_tools.ARE_THERE, reason="no reference tools")
def test_small_shared_trees_are_those_of_thin_restore(name: str, tmp_path: Path) -> None:
    nr_devices = int(name.partition(".")[0])
    devices: dict[int, Sequence[Run | str]] = {each + 1: ["a"] for each in range(nr_devices)}
    document = Document({"a": [(0, 0, 40, 0)]}, devices, nr_data_blocks=1000)
    theirs = tmp_path / "theirs.bin"
    theirs.write_bytes(bytes(2 << 20))

    ours = restored(document, tmp_path, size_bytes=2 << 20)

    tools = reference_tools.FOLDER / "1.1.0"
    source = tmp_path / "pool.xml"
    subprocess.run([tools / "thin_restore", "-i", source, "-o", theirs], check=True)
    for tool in ("thin_check", "thin_dump"):
        answers = [
            subprocess.run([tools / tool, path], capture_output=True, check=True).stdout
            for path in (ours, theirs)
        ]
        assert answers[0] == answers[1]
    free = {2: 502, 600: 494}[nr_devices]
    with open_pool(ours) as pool:
        assert pool.superblock.metadata_space_map.nr_free == free


def test_more_stays_shared_where_it_would_not_fit(tmp_path: Path) -> None:
    """Leaves that are at least a third full, as the kernel has them, are not copied then."""
    header = StreamHeader(1, 2, 128, 100_000)
    shared: list[Mark] = []
    runs = []
    for name in range(20):
        shared += [SharedBegin(name), SharedEnd()]
        runs += singles(1000 * name, 100)
    before = [100 * each for name in range(20) for each in (name, name + 1)]
    columns = [np.array(column, dtype=np.uint64) for column in zip(*runs, strict=True)]
    parts = [StreamPart(Runs(*columns), shared, before)]
    for number in range(30):
        refs = [SharedRef(name) for name in range(20)]
        marks: list[Mark] = [DeviceBegin(number, 2000, 0, 0, 0), *refs, DeviceEnd()]
        parts.append(StreamPart(Runs.none(), marks, [0] * len(marks)))
    room = 100

    def built(nr_blocks: int | None) -> Restored:
        with (tmp_path / "built.bin").open("w+b") as file:
            target = MetadataTarget(Path("built.bin"), file.fileno(), nr_blocks, is_device=False)
            return build_within(header, lambda: parts, target)

    copied = built(None)
    assert copied.nr_allocated > 30 * 2000 // 252
    tight = built(room)

    assert tight.nr_allocated <= room
    assert tight.nr_mappings == copied.nr_mappings == 30 * 2000
    with open_pool(tmp_path / "built.bin") as pool:
        assert_sound(pool)
        assert len(mapped(pool, 29)) == 2000
        assert pool.source.device.nr_blocks == room
    with pytest.raises(NoRoomError, match="are needed"):
        built(20)


@pytest.mark.parametrize("nr_devices", [2, 3, 255, 256, 257, 600])
def test_blocks_of_many_devices_are_counted(nr_devices: int, tmp_path: Path) -> None:
    document = Document(devices={each: [(each, 77, 1, 0)] for each in range(nr_devices)})

    with open_pool(restored(document, tmp_path)) as pool:
        assert_sound(pool)
        assert pool.data_ref_counts.read(76, 79).tolist() == [0, nr_devices, 0]


def test_shared_leaves_are_counted_once_for_each_device(tmp_path: Path) -> None:
    document = Document({"d": singles(0, 200)}, {each: ["d"] for each in range(300)})

    with open_pool(restored(document, tmp_path)) as pool:
        assert_sound(pool)
        assert pool.data_ref_counts.read(0, 4).tolist() == [1, 0, 1, 0]
        roots = {device.mapping_root for device in pool.devices.values()}
        assert len(roots) == 1


def test_blocks_counted_by_several_bitmaps_and_chunks(tmp_path: Path) -> None:
    far = [0, 16319, 16320, 4_177_919, 4_177_920, 9_000_000, 16320]
    document = Document(
        devices={1: [(place, block, 1, 0) for place, block in enumerate(far)]},
        nr_data_blocks=9_000_001,
    )

    with open_pool(restored(document, tmp_path)) as pool:
        assert_built_well(pool)
        counts = pool.data_ref_counts
        assert [counts.read(block, block + 1).item() for block in far] == [1, 1, 2, 1, 1, 1, 2]


def test_trees_of_three_levels(tmp_path: Path) -> None:
    nr_mappings = 253 * 252 + 1
    document = Document(devices={1: singles(0, nr_mappings)}, nr_data_blocks=200_000)

    with open_pool(restored(document, tmp_path)) as pool:
        assert_sound(pool)
        root = np.array([pool.devices[1].mapping_root], dtype=np.uint64)
        assert len(grow(pool.source, root, MAPPINGS).levels) == 3
        assert len(mapped(pool, 1)) == nr_mappings


@given(st.integers(0, 3000))
@examples(20)
def test_a_file_has_what_is_needed_or_one_is_told(
    tmp_path_factory: pytest.TempPathFactory, nr_mappings: int
) -> None:
    folder = tmp_path_factory.mktemp("sizes")
    document = Document(devices={1: singles(0, nr_mappings)})

    with pytest.raises(OutputError, match="are needed: ") as told:
        restored(document, folder, size_bytes=4096)
    assert sorted(each.name for each in folder.iterdir()) == ["pool.xml"]
    needed = int(str(told.value).split("needed: ")[1].split()[0])
    with pytest.raises(OutputError, match=f"are needed: {needed} bytes"):
        restored(document, folder, size_bytes=needed - 4096)

    output = restored(document, folder, size_bytes=needed)

    assert output.stat().st_size == needed
    with open_pool(output) as pool:
        assert_sound(pool)
        space_map = pool.superblock.metadata_space_map
        assert space_map.nr_allocated == space_map.nr_blocks == needed // 4096


def test_a_new_file_has_room_for_the_whole_data_device(tmp_path: Path) -> None:
    output = restored(Document(nr_data_blocks=2**24), tmp_path)

    assert output.stat().st_size // 4096 > 2**24 // 126
    assert output.stat().st_blocks * 512 < 8 << 20


def test_the_summary_tells_what_was_written(tmp_path: Path) -> None:
    document = Document(devices={1: singles(0, 3), 4: [(0, 9, 5, 0)]}, nr_data_blocks=0)
    source = tmp_path / "pool.xml"
    source.write_text(document.xml().replace('mapped_blocks="5"', 'mapped_blocks="6"'))

    summary = restore(source, tmp_path / "pool.bin")

    assert summary == Restored(
        nr_blocks=513,
        nr_allocated=summary.nr_allocated,
        nr_devices=2,
        nr_mappings=8,
        nr_data_blocks=14,
        counted_data_blocks=True,
        miscounted=((4, 6, 5),),  # type: ignore[arg-type]
    )
