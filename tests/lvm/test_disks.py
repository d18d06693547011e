"""Physical volumes made by hand: several disks, stripes, what is damaged, what is missing."""

import lzma
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device.test_loop_device import attach, detach
from tests.lvm.lvm_images import (
    AREA_OFFSET,
    AREA_SIZE,
    EXTENT_SECTORS,
    MIB,
    SECTOR,
    area,
    area_header,
    dashed,
    group,
    label,
    lvm_crc,
    physical_volume,
    striped,
    thin,
    thin_pool,
    uuid_of,
    volume,
    with_gpt,
    with_mbr,
    written,
)
from tests.made_images import one_device
from tests.names.called import names_in
from tests.properties import examples
from thinmeta.device.extents import Extents
from thinmeta.errors import InputError, LiveDeviceError, NotThereError, ThinmetaError
from thinmeta.lvm.lvm_state import LvmState, read_lvm
from thinmeta.names.lvm_catalogue import lvm_catalogue
from thinmeta.schemas.lvm_label import LabelHeader, MdaHeader

EXTENT = EXTENT_SECTORS * SECTOR
METADATA = one_device()
DATA = np.random.default_rng(5).bytes(64 * EXTENT)

META_EXTENTS = -(-len(METADATA) // EXTENT)
DISK_DATA = METADATA.ljust(META_EXTENTS * EXTENT, b"\0") + DATA[: (64 - META_EXTENTS) * EXTENT]
"""Extents of the disk: first the pool's metadata, from 16 on its data."""


def one_pool(seqno: int = 1, *more: str, pool: str = thin_pool(32)) -> bytes:
    return group(
        volume("pool", pool, letter="1"),
        volume("pool_tmeta", striped(0, META_EXTENTS, ("pv0", 0)), letter="2"),
        volume("pool_tdata", striped(0, 32, ("pv0", 16)), letter="3"),
        volume("root", thin(20, 1, 0), letter="4"),
        *more,
        seqno=seqno,
    )


def contents(extents: Extents) -> bytes:
    buffer = bytearray(extents.size)
    got = extents.read_into(memoryview(buffer), 0)
    extents.close()
    return bytes(buffer[:got])


def assert_is_the_pool(files: Sequence[str], notes: Sequence[str] = ()) -> None:
    """Assert that the pool of `one_pool` is read from `files`, with a note that begins so each."""
    with read_lvm(files) as state:
        metadata, data, catalogue = (
            state.open_metadata(None),
            state.open_data(None),
            lvm_catalogue(state, None),
        )
    blocks = np.arange(len(METADATA) // 4096, dtype=np.uint64)
    assert metadata.read(blocks).rows.tobytes() == METADATA
    metadata.close()
    assert contents(data) == DISK_DATA[16 * EXTENT : 48 * EXTENT]
    assert names_in(catalogue) == {1: "vg/root"}
    assert len(catalogue.notes) == len(notes), catalogue.notes
    for found, expected in zip(catalogue.notes, notes, strict=True):
        assert expected in found


@pytest.fixture
def disk(tmp_path: Path) -> str:
    return written(tmp_path / "disk", physical_volume([one_pool()], DISK_DATA))


def test_a_whole_disk(disk: str) -> None:
    assert_is_the_pool([disk])


def test_the_checksum_is_lvms_own() -> None:
    # Bit by bit, as calc_crc() would without its table.
    data, crc = b"LVM2 x[5A%r0N*>", 0xF597A6CF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    assert lvm_crc(data) == crc


def test_the_schemas_lay_out_what_stands_there() -> None:
    made = label(uuid_of("p"), 5 * MIB, [(AREA_OFFSET, AREA_SIZE)])
    header = area_header(AREA_OFFSET, AREA_SIZE, 1024, b"text")

    assert LabelHeader.build(LabelHeader.parse(made)) == made[: LabelHeader.sizeof()]
    assert MdaHeader.sizeof() == 512
    assert MdaHeader.build(MdaHeader.parse(header)) == header


@pytest.mark.parametrize("packed", [lzma.compress, lambda image: image], ids=["xz", "plain"])
def test_a_compressed_disk_is_unpacked(tmp_path: Path, packed: object) -> None:
    assert callable(packed)
    image = packed(bytes(physical_volume([one_pool()], DISK_DATA)))
    assert_is_the_pool([written(tmp_path / "disk", image)])


@pytest.mark.parametrize(
    "image",
    [
        with_mbr(bytes(physical_volume([one_pool()], DISK_DATA)), 64),
        with_mbr(bytes(physical_volume([one_pool()], DISK_DATA)), 80, logical=True),
        with_gpt(bytes(physical_volume([one_pool()], DISK_DATA)), 64),
        with_gpt(bytes(physical_volume([one_pool()], DISK_DATA)), 64, block=4096),
    ],
    ids=["mbr", "logical", "gpt", "gpt-4096"],
)
def test_a_partition(tmp_path: Path, image: bytes) -> None:
    assert_is_the_pool([written(tmp_path / "disk", image)])


@pytest.mark.parametrize("offset", ["12288", "12K", "24s"])
def test_an_offset(tmp_path: Path, offset: str) -> None:
    image = bytes(12288) + physical_volume([one_pool()], DISK_DATA)
    path = written(tmp_path / "disk", image)

    assert_is_the_pool([f"{path}@{offset}"])
    with pytest.raises(InputError, match="there is no LVM label on it"):
        read_lvm([path])


def test_a_file_whose_name_has_an_at_is_no_offset(tmp_path: Path) -> None:
    assert_is_the_pool([written(tmp_path / "disk@5", physical_volume([one_pool()], DISK_DATA))])


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gone", "no such file or directory"),
        ("disk@gone", "no such file; and 'gone' is no offset"),
        ("disk@1T", "so nothing at 1099511627776"),
        ("/dev/null", "neither a regular file nor a block device"),
    ],
)
def test_what_cannot_be_opened(disk: str, name: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_lvm([str(Path(disk).parent / name)])


def two_disks(tmp_path: Path, *segments: str) -> tuple[list[str], bytes, bytes]:
    """Return two disks with a volume `lv` of `segments`, and their data."""
    rng = np.random.default_rng(9)
    first, second = rng.bytes(64 * EXTENT), rng.bytes(64 * EXTENT)
    text = group(volume("lv", *segments, letter="1"), disks=("p", "q"))
    files = [
        written(tmp_path / pv, physical_volume([text], data, uuid_of(pv)))
        for pv, data in (("p", first), ("q", second))
    ]
    return files, first, second


def test_segments_on_several_disks(tmp_path: Path) -> None:
    segments = (striped(0, 3, ("pv1", 5)), striped(3, 2, ("pv0", 9)))
    files, first, second = two_disks(tmp_path, *segments)

    expected = second[5 * EXTENT : 8 * EXTENT] + first[9 * EXTENT : 11 * EXTENT]
    with read_lvm(files) as state:
        assert contents(state.open_lv("vg/lv")) == expected
        assert [str(line) for line in state.linear_table("lv")] == [
            f"0 24 linear /dev/sdq {2048 + 5 * 8}",
            f"24 16 linear /dev/sdp {2048 + 9 * 8}",
        ]


@pytest.mark.parametrize("stripe_sectors", [1, 2, 8, 16])
def test_stripes(tmp_path: Path, stripe_sectors: int) -> None:
    areas = (("pv0", 1), ("pv1", 3), ("pv0", 20))
    segment = striped(0, 12, *areas, stripe_sectors=stripe_sectors)
    files, first, second = two_disks(tmp_path, segment, striped(12, 1, ("pv1", 0)))

    stripe = stripe_sectors * SECTOR
    columns = [
        data[at * EXTENT : (at + 4) * EXTENT] for data, at in ((first, 1), (second, 3), (first, 20))
    ]
    rows = range(0, 4 * EXTENT, stripe)
    expected = b"".join(column[row : row + stripe] for row in rows for column in columns)
    with read_lvm(files) as state:
        assert contents(state.open_lv("vg/lv")) == expected + second[:EXTENT]
        assert str(state.linear_table("vg/lv")[0]) == (
            f"0 96 striped 3 {stripe_sectors} /dev/sdp 2056 /dev/sdq 2072 /dev/sdp 2208"
        )


def test_a_missing_disk_is_named(tmp_path: Path) -> None:
    files, first, _ = two_disks(tmp_path, striped(0, 1, ("pv0", 0)), striped(1, 1, ("pv1", 0)))

    named = f"uuid {dashed(uuid_of('q'))}, once /dev/sdq"
    with read_lvm(files[:1]) as state:
        volume = state.open_lv("vg/lv")
        assert [note for note in volume.notes if named in note]
        buffer = memoryview(bytearray(EXTENT))
        assert volume.read_into(buffer, 0) == EXTENT
        assert buffer == first[:EXTENT]
        with pytest.raises(OSError, match=named):
            volume.read_into(buffer, EXTENT)
        volume.close()
    with read_lvm(files) as state:
        assert contents(state.open_lv("vg/lv"))[:EXTENT] == first[:EXTENT]


def test_a_disk_that_is_given_twice_is_named(disk: str, tmp_path: Path) -> None:
    other = written(tmp_path / "copy", Path(disk).read_bytes())
    with read_lvm([disk, other]) as state, pytest.raises(InputError, match=f"{disk}, {other}"):
        state.open_data(None)


def test_metadata_is_read_without_the_disk_of_the_data(tmp_path: Path) -> None:
    text = group(
        volume("pool", thin_pool(8), letter="1"),
        volume("pool_tmeta", striped(0, META_EXTENTS, ("pv0", 0)), letter="2"),
        volume("pool_tdata", striped(0, 8, ("pv1", 0)), letter="3"),
        disks=("p", "q"),
    )
    with read_lvm([written(tmp_path / "p", physical_volume([text], DISK_DATA))]) as state:
        metadata = state.open_metadata(None)
        with pytest.raises(InputError, match="pv1 is not among the disks that were given"):
            state.open_data(None)

    assert metadata.read(np.zeros(1, np.uint64)).rows.tobytes() == METADATA[:4096]
    metadata.close()


@pytest.mark.parametrize("kind", ["raid5", "mirror", "vdo", "error", "thin"])
def test_other_types_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    files, _, _ = two_disks(tmp_path, striped(0, 1, ("pv0", 0), kind=kind).replace("thin", "zero"))
    with read_lvm(files) as state:
        for ask in (state.open_lv, state.linear_table):
            with pytest.raises(
                InputError, match=f"^vg/lv: has a segment of type {kind.replace('thin', 'zero')}"
            ):
                ask("vg/lv")


@pytest.mark.parametrize(
    ("segment", "what"),
    [
        (striped(1, 1, ("pv0", 0)), "do not follow each other at extent 0"),
        (striped(0, 2, ("pv0", 63)), "ends after the last extent of pv0"),
        (striped(0, 1, ("pv7", 0)), "lies on pv7, which is no physical volume"),
        (striped(0, 2, ("pv0", 0), ("pv0", 1), stripe_sectors=3), "is no stripes"),
        (striped(0, 2, ("pv0", 0), ("pv0", 1), stripe_sectors=4096), "is no stripes"),
    ],
)
def test_segments_that_cannot_be(tmp_path: Path, segment: str, what: str) -> None:
    files, _, _ = two_disks(tmp_path, segment)
    with read_lvm(files) as state, pytest.raises(InputError, match=what):
        state.open_lv("vg/lv")


def test_a_type_may_carry_a_flag(tmp_path: Path) -> None:
    text = one_pool(pool=thin_pool(32, kind="thin-pool+CROP_METADATA"))
    assert_is_the_pool([written(tmp_path / "disk", physical_volume([text], DISK_DATA))])


def test_what_lvm_was_about_to_do_is_told(tmp_path: Path) -> None:
    text = one_pool(pool=thin_pool(32, extra='message1 {\ncreate = "root"\n}\n'))
    disk = written(tmp_path / "disk", physical_volume([text], DISK_DATA))
    assert_is_the_pool([disk], ["vg/pool: LVM was about to tell it: create root"])


@pytest.mark.parametrize("begin", [512, 2048, 1 << 14, AREA_SIZE - 512, AREA_SIZE - 1024])
def test_a_text_may_go_round(tmp_path: Path, begin: int) -> None:
    image = physical_volume([one_pool()], DISK_DATA)
    texts = [one_pool(seqno) for seqno in range(1, 4)]
    image[AREA_OFFSET:MIB] = area(texts, begin, start=AREA_OFFSET, size=AREA_SIZE)
    disk = written(tmp_path / "disk", image)

    assert_is_the_pool([disk])
    with read_lvm([disk]) as state:
        assert [each.seqno for each in state.groups] == [3]


def test_removed_and_renamed_volumes_are_found_in_older_texts(tmp_path: Path) -> None:
    texts = [
        one_pool(1, volume("a", thin(3, 2, 1), letter="5")),
        one_pool(
            2, volume("b", thin(3, 2, 1), letter="5"), volume("c", thin(4, 3, 2, "b"), letter="6")
        ),
        one_pool(3, volume("b", thin(3, 2, 1), letter="5")),
        one_pool(4, volume("c", thin(3, 2, 1), letter="5")),
    ]
    with read_lvm([written(tmp_path / "disk", physical_volume(texts, DISK_DATA))]) as state:
        root, renamed, removed = lvm_catalogue(state, "pool").devices

    assert root.name == "vg/root"
    assert (renamed.name, renamed.device_id) == ("vg/c", 2)
    assert {"vg/a", "vg/b"} < set(renamed.aliases)
    assert (removed.name, removed.device_id, removed.origin) == ("vg/c#2", 3, 2)
    assert removed.is_deleted
    assert removed.size == 4 * EXTENT
    # What is called so now is not hidden by what was.
    assert "vg/c" not in removed.aliases


def test_an_older_text_that_lost_its_end_is_passed_over(tmp_path: Path) -> None:
    gone = volume("gone", thin(3, 2, 1), letter="5")
    image = physical_volume([one_pool(1, gone), one_pool(2, gone), one_pool(3)], DISK_DATA)
    second = image.index(b"seqno = 2\n")
    image[second + 300 : image.index(b"vg {", second)] = b"#" * (
        image.index(b"vg {", second) - second - 300
    )

    with read_lvm([written(tmp_path / "disk", image)]) as state:
        removed = [each.name for each in lvm_catalogue(state, None).devices if each.is_deleted]
    assert removed == ["vg/gone#1"]


def test_texts_of_a_former_group_are_not_told(tmp_path: Path) -> None:
    other = group(volume("lv", striped(0, 1, ("pv0", 0)), letter="1"), letter="f", seqno=9)
    image = physical_volume([other, one_pool()], DISK_DATA)
    assert_is_the_pool([written(tmp_path / "disk", image)])


HEADER = "its metadata area at byte 4096: its header is damaged"
CHECKSUM = "its metadata area at byte 4096: the checksum of its text is wrong"


@pytest.mark.parametrize(
    ("at", "note"),
    [
        (SECTOR + 100, "the checksum of its label is wrong"),
        (AREA_OFFSET, HEADER),
        (AREA_OFFSET + 8, HEADER),
        (AREA_OFFSET + 20, HEADER),
        (AREA_OFFSET + 511, HEADER),
        (AREA_OFFSET + 512 + one_pool().index(b"Generated"), CHECKSUM),
    ],
)
def test_one_damaged_byte_is_told_and_the_text_found(tmp_path: Path, at: int, note: str) -> None:
    image = physical_volume([one_pool()], DISK_DATA)
    image[at] ^= 0x20
    assert_is_the_pool([written(tmp_path / "disk", image)], [note])


def test_the_second_metadata_area_is_taken(tmp_path: Path) -> None:
    image = physical_volume([one_pool(1), one_pool(2)], DISK_DATA, second_area=True)
    image[AREA_OFFSET:MIB] = bytes(AREA_SIZE)
    disk = written(tmp_path / "disk", image)
    assert_is_the_pool([disk], [HEADER])
    with read_lvm([disk]) as state:
        assert state.groups[0].seqno == 2


def test_a_sound_older_text_comes_before_a_damaged_newer_one(tmp_path: Path) -> None:
    image = physical_volume([one_pool(1)], DISK_DATA, second_area=True)
    newer = area([one_pool(2)], start=AREA_OFFSET, size=AREA_SIZE)
    image[AREA_OFFSET:MIB] = newer
    image[AREA_OFFSET + 512 + 600] ^= 1
    with read_lvm([written(tmp_path / "disk", image)]) as state:
        assert state.groups[0].seqno == 1
        assert "the checksum of its text is wrong" in state.notes[0]


def test_a_removed_group_is_found_in_what_is_left_of_it(tmp_path: Path) -> None:
    image = physical_volume([one_pool()], DISK_DATA)
    image[AREA_OFFSET : AREA_OFFSET + 512] = area_header(AREA_OFFSET, AREA_SIZE, 0, b"")
    assert_is_the_pool([written(tmp_path / "disk", image)], ["it has no text any more"])


def test_a_disk_of_no_group(tmp_path: Path) -> None:
    disk = written(tmp_path / "disk", physical_volume([], DISK_DATA))
    with pytest.raises(InputError, match="there is no volume group: no text metadata was found"):
        read_lvm([disk])


def test_a_disk_without_its_label_is_the_one_that_is_missing(tmp_path: Path) -> None:
    image = physical_volume([one_pool()], DISK_DATA)
    image[:MIB] = bytes(MIB)
    disk = written(tmp_path / "disk", image)
    text = written(tmp_path / "backup", one_pool()[:-1])

    lost = f"{disk}: there is no LVM label at byte 0; no text is left there"
    assert_is_the_pool([text, f"{disk}@0"], [lost])
    with pytest.raises(InputError, match=f"as in {disk}@0: texts that are left there count"):
        read_lvm([text, disk])
    with pytest.raises(InputError, match="no text is left there"):
        read_lvm([f"{disk}@0"])


def test_a_text_that_is_given_counts(tmp_path: Path, disk: str) -> None:
    text = written(tmp_path / "backup", one_pool(7)[:-1])
    assert_is_the_pool(
        [disk, text], ["vg: version 7 counts, as it was given; the disks have version 1"]
    )


def test_of_several_texts_the_newest_counts_and_the_others_are_its_history(tmp_path: Path) -> None:
    gone = volume("gone", thin(3, 2, 1), letter="5")
    texts = {3: one_pool(3, gone), 5: one_pool(5), 1: one_pool(1)}
    files = [written(tmp_path / f"vg_{seqno}.vg", text[:-1]) for seqno, text in texts.items()]
    with read_lvm(files) as state:
        assert [each.seqno for each in state.groups] == [5]
        assert [each.name for each in lvm_catalogue(state, None).devices] == [
            "vg/root",
            "vg/gone#3",
        ]


def test_a_disk_that_ends_too_early_is_told(tmp_path: Path) -> None:
    image = physical_volume([one_pool()], DISK_DATA)[: MIB + 40 * EXTENT]
    with read_lvm([written(tmp_path / "disk", image)]) as state:
        assert contents(state.open_data(None)) == DISK_DATA[16 * EXTENT : 40 * EXTENT]
        assert f"ends {24 * EXTENT} bytes too early" in state.notes[0]


def test_groups_of_several_disks_have_their_pools(tmp_path: Path, disk: str) -> None:
    other = one_pool().replace(b"vg {", b"wg {").replace(b"gggg", b"hhhh").replace(b"pppp", b"qqqq")
    second = written(tmp_path / "second", physical_volume([other], DISK_DATA, uuid_of("q")))
    with read_lvm([disk, second]) as state:
        assert {names_in(lvm_catalogue(state, f"{name}/pool"))[1] for name in ("vg", "wg")} == {
            "vg/root",
            "wg/root",
        }
        with pytest.raises(NotThereError, match="there are: vg/pool, wg/pool"):
            lvm_catalogue(state, "pool")
        with pytest.raises(NotThereError, match="root may be vg/root, wg/root"):
            state.open_lv("root")


@pytest.mark.parametrize("contents", [b"", b"\0" * 8192, b"hello", b"\xff" * 8192])
def test_what_has_nothing_of_lvm(tmp_path: Path, contents: bytes) -> None:
    path = written(tmp_path / "file", contents)
    with pytest.raises(InputError, match=path):
        read_lvm([path])


@pytest.mark.loop_device
def test_a_block_device_is_read_past_the_page_cache(disk: str) -> None:
    device = attach(Path(disk))
    try:
        with read_lvm([str(device)]) as state:
            metadata = state.open_metadata(None)
            modes = [
                os.O_DIRECT & int(line.split()[1], 8)
                for fd in Path("/proc/self/fd").iterdir()
                if fd.is_symlink() and fd.readlink() == device
                for line in Path(f"/proc/self/fdinfo/{fd.name}").read_text().splitlines()
                if line.startswith("flags:")
            ]
            metadata.close()
        assert sorted(modes) == [0, os.O_DIRECT]
        assert_is_the_pool([str(device)])
    finally:
        detach(device)


def live_sysfs(root: Path, disk: Path, group_id: str, volume_id: str) -> Path:
    """Return a sysfs in which a loop device over `disk` has an active pool."""
    (root / "block/loop7/loop").mkdir(parents=True)
    (root / "block/loop7/loop/backing_file").write_text(f"{disk}\n")
    (root / "block/loop7/holders/dm-0/dm").mkdir(parents=True)
    (root / "block/loop7/holders/dm-0/dm/name").write_text("vg-pool_tmeta\n")
    (root / "block/dm-0/dm").mkdir(parents=True)
    (root / "block/dm-0/dm/uuid").write_text(f"LVM-{group_id}{volume_id}-tmeta\n")
    (root / "block/dm-0/holders/dm-1/dm").mkdir(parents=True)
    (root / "block/dm-0/holders/dm-1/dm/name").write_text("vg-pool-tpool\n")
    return root


def test_an_active_pool_is_refused(tmp_path: Path, disk: str) -> None:
    sysfs = live_sysfs(tmp_path / "sys", Path(disk), uuid_of("g"), uuid_of("2"))
    other = live_sysfs(tmp_path / "other", Path(disk), uuid_of("g"), uuid_of("3"))
    with read_lvm([disk]) as state:
        with pytest.raises(LiveDeviceError, match=r"active pool vg-pool-tpool, .* dmsetup message"):
            state.open_metadata(None, sysfs=sysfs)
        state.open_metadata(None, exclusive=False, sysfs=sysfs).close()
        state.open_metadata(None, sysfs=other).close()


def test_a_copy_of_a_disk_is_not_live(tmp_path: Path, disk: str) -> None:
    sysfs = live_sysfs(tmp_path / "sys", tmp_path / "another", uuid_of("g"), uuid_of("2"))
    with read_lvm([disk]) as state:
        state.open_metadata(None, sysfs=sysfs).close()


IMAGES = [
    bytes(physical_volume([one_pool(1), one_pool(2)], DISK_DATA, second_area=True)),
    with_mbr(bytes(physical_volume([one_pool()], DISK_DATA)), 80, logical=True),
    with_gpt(bytes(physical_volume([one_pool()], DISK_DATA)), 64),
    one_pool()[:-1],
]
INTERESTING = st.sampled_from(
    [*range(440, 560), *range(510, 720), *range(1024, 1200), *range(4096, 4200), *range(4608, 8000)]
)


def ask_everything(state: LvmState) -> None:
    catalogue = lvm_catalogue(state, None)
    names_in(catalogue)
    for found in state.groups:
        for name in found.volumes:
            try:
                state.linear_table(f"{found.name}/{name}")
                opened = state.open_lv(f"{found.name}/{name}")
            except ThinmetaError:
                continue
            opened.read_into(memoryview(bytearray(min(opened.size, MIB))), 0)
            opened.close()


@examples(250)
@given(
    number=st.integers(0, len(IMAGES) - 1),
    bytes_=st.lists(
        st.tuples(INTERESTING | st.integers(0, 2 * MIB), st.integers(0, 255)), max_size=8
    ),
    cut=st.none() | st.integers(0, 2 * MIB),
)
def test_no_damage_makes_another_error(
    tmp_path: Path, number: int, bytes_: list[tuple[int, int]], cut: int | None
) -> None:
    damaged = bytearray(IMAGES[number])
    for at, byte in bytes_:
        damaged[at % len(damaged)] = byte
    path = written(tmp_path / "disk", damaged[:cut])
    try:
        with read_lvm([path]) as state:
            ask_everything(state)
    except ThinmetaError:
        pass


@examples(60)
@given(
    numbers=st.lists(st.sampled_from([0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1]), min_size=1)
)
def test_no_number_makes_another_error(tmp_path: Path, numbers: list[int]) -> None:
    image = bytearray(IMAGES[0])
    for place, number in enumerate(numbers):
        # The label's lists and the header's fields, with checksums that are right.
        at = (SECTOR + 32 + 32 + 8 * (place % 12), AREA_OFFSET + 24 + 8 * (place % 8))[place % 2]
        image[at : at + 8] = number.to_bytes(8, "little")
    image[SECTOR + 16 : SECTOR + 20] = lvm_crc(image[SECTOR + 20 : 2 * SECTOR]).to_bytes(
        4, "little"
    )
    header = slice(AREA_OFFSET + 4, AREA_OFFSET + SECTOR)
    image[AREA_OFFSET : AREA_OFFSET + 4] = lvm_crc(image[header]).to_bytes(4, "little")
    path = written(tmp_path / "disk", image)
    try:
        with read_lvm([path]) as state:
            ask_everything(state)
    except ThinmetaError:
        pass
