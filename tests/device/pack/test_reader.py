"""A pack file is read as the image it was made from, as far as it is sound."""

import base64
import os
import random
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.cases import image_bytes
from tests.made_images import BLOCK, one_device
from thinmeta.device.blocks import BlockDevice, Blocks
from thinmeta.device.opening import open_blocks
from thinmeta.device.pack import placing
from thinmeta.device.pack.encoder import literal
from thinmeta.device.pack.packed_blocks import packed_blocks
from thinmeta.device.pack.reader import chunk, header
from thinmeta.device.signatures import counted, refuse_foreign, refuse_other_formats
from thinmeta.errors import InputError
from thinmeta.schemas.checksum import known_salts

# What thin_metadata_pack 1.1.0 wrote for IMAGE.
GOLDEN = base64.b64decode("""
d+8JY6qgN6UDAAAAAAAAAAAQAAAAAAAAAAIAAAAAAAC9AAAAAAAAAHic7dcxCsIwFAbg91IHxUU3F6FbO+oR3JzrBT
L0GCrdewLBpV1cnQVPUc8hrmoFE1NCELRjoPwfPF54hP+VbiEyShql9+mG/jgle9Zd/LrQI688r7f/JWh6pqpP/r8L
AAAAAAAAwMVNL8J88EqEM4lV1WRes+ZmFo0XkayONaf6mMuKST6LsG2HsDt2q+VBOBP+3sFz+VD5KvZzbM8ObPb5Mr
sKZ6Kzt6omTva6vA1jAgAAAACArnoDRVAjaA==
""")
IMAGE = one_device(40).ljust(512 * BLOCK, b"\0")


def contents(device: BlockDevice) -> bytes:
    return device.read(np.arange(device.nr_blocks, dtype=np.uint64)).rows.tobytes()


def read(path: Path, packed: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the image that `packed` holds, and what was odd about it."""
    path.write_bytes(packed)
    with closing(open_blocks(path, inspect=refuse_other_formats)) as device:
        return contents(device), device.notes


def read_or_error(path: Path, packed: bytes) -> tuple[bytes, tuple[str, ...]] | str:
    """Return what `read` returns, or the message of its error."""
    try:
        return read(path, packed)
    except InputError as error:
        return str(error)


def code_of(image: bytes, blocks: Blocks) -> bytes:
    rows = np.frombuffer(image, dtype=np.uint8).reshape(-1, BLOCK)
    return packed_blocks(blocks, rows[blocks])


def stored(image: bytes) -> Blocks:
    rows = np.frombuffer(image, dtype=np.uint8).reshape(-1, BLOCK)
    return np.flatnonzero(known_salts(rows)).astype(np.uint64)


def in_chunks(image: bytes, nr_chunks: int) -> list[bytes]:
    """Return the header and the chunks of a pack file."""
    parts = np.array_split(stored(image), nr_chunks)
    return [header(len(image) // BLOCK), *(chunk(code_of(image, part)) for part in parts)]


def test_what_thin_metadata_pack_wrote(tmp_path: Path) -> None:
    assert read(tmp_path / "pack", GOLDEN) == (IMAGE, ())


def test_blocks_stand_in_any_order_and_in_any_chunk(tmp_path: Path) -> None:
    image = image_bytes("a08-snapshots-of-snapshots")
    blocks = stored(image)[::-1]
    packed = header(len(image) // BLOCK) + b"".join(
        chunk(code_of(image, part)) for part in (blocks[::2], blocks[:0], blocks[1::2])
    )

    assert read(tmp_path / "pack", packed) == (image, ())


def test_blocks_that_are_not_stored_are_zeros(tmp_path: Path) -> None:
    got, notes = read(
        tmp_path / "pack", header(512) + chunk(code_of(IMAGE, np.array([2], dtype=np.uint64)))
    )

    assert notes == ()
    assert got == bytes(2 * BLOCK) + IMAGE[2 * BLOCK : 3 * BLOCK] + bytes(509 * BLOCK)


def test_the_first_block_is_inspected(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(header(512) + chunk(code_of(IMAGE, np.array([2], dtype=np.uint64))))

    with pytest.raises(InputError, match=f"^{path}: has no thin-pool superblock"):
        open_blocks(path, inspect=refuse_foreign)


def test_the_unpacked_file_is_sparse(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(header(4_000_000) + in_chunks(IMAGE, 1)[1])

    with closing(open_blocks(path, inspect=refuse_foreign)) as device:
        assert device.nr_blocks == 4_000_000
        assert os.fstat(device._fd).st_blocks * 512 <= 2**20


# Damage


def assert_part_of(image: bytes, got: bytes) -> None:
    """Assert that each block is the image's, or zeros."""
    for at in range(0, len(got), BLOCK):
        assert got[at : at + BLOCK] in (image[at : at + BLOCK], bytes(BLOCK))


@pytest.mark.parametrize("first_comes", ["first", "last", "never"])
def test_no_more_is_unpacked_than_is_of_use(
    first_comes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few KiB may be blocks for all that metadata can have."""
    monkeypatch.setattr(placing, "_MOST_UNSURE", 64 * BLOCK)
    more = np.tile(np.frombuffer(IMAGE, dtype=np.uint8)[BLOCK : 2 * BLOCK], (5000, 1))
    beyond = packed_blocks(np.arange(1000, 6000, dtype=np.uint64), more)
    chunks = [] if first_comes == "never" else in_chunks(IMAGE, 1)[1:]
    chunks.insert(0 if first_comes == "last" else 1, chunk(beyond))
    path = tmp_path / "pack"
    path.write_bytes(header(4_000_000) + b"".join(chunks))

    if first_comes == "never":
        with pytest.raises(InputError, match="has no thin-pool superblock"):
            open_blocks(path, inspect=counted(refuse_foreign))
        return
    with closing(open_blocks(path, inspect=counted(refuse_foreign))) as device:
        assert contents(device) == IMAGE[: device.nr_blocks * BLOCK]
        assert device.nr_blocks < 10
        assert os.fstat(device._fd).st_blocks * 512 <= 1 << 20


def test_a_file_that_was_cut_gives_what_is_there(tmp_path: Path) -> None:
    whole = b"".join(in_chunks(IMAGE, 2))
    first_chunk_ends = len(b"".join(in_chunks(IMAGE, 2)[:2]))
    for size in range(8, len(whole)):
        if size == first_chunk_ends:
            continue  # this is a whole file, of less
        result = read_or_error(tmp_path / "pack", whole[:size])
        if isinstance(result, str):
            assert size < first_chunk_ends
            ends = ("that ends in its header", "ends before its first chunk", "ends within it")
            assert any(each in result for each in ends)
            continue
        got, notes = result
        assert_part_of(IMAGE, got)
        assert "the file ends within it" in notes[0]
        if size > first_chunk_ends:
            assert got[: 2 * BLOCK] == IMAGE[: 2 * BLOCK]
            assert f"chunk 1 at byte {first_chunk_ends}" in notes[0]


def test_a_flipped_byte_is_noticed_or_does_not_matter(tmp_path: Path) -> None:
    parts = in_chunks(IMAGE, 2)
    path = tmp_path / "pack"
    nr_unnoticed = 0
    for at in range(32, len(b"".join(parts))):
        packed = bytearray(b"".join(parts))
        packed[at] ^= 0x55
        got = read_or_error(path, bytes(packed))
        if isinstance(got, str):
            assert got.startswith(f"{path}: the pack file cannot be unpacked: chunk 0 at byte 32: ")
        elif got[1]:
            assert got[1][0].startswith(f"{path}: the pack file is damaged after ")
            # Blocks of a stream are had before its sum is known; each has its own checksum.
            assert len(got[0]) == len(IMAGE)
        else:
            nr_unnoticed += 1
            assert got[0] == IMAGE
    assert nr_unnoticed <= 2  # deflate fills up its last byte with bits that mean nothing


def test_what_follows_a_broken_chunk_is_had(tmp_path: Path) -> None:
    image = image_bytes("a08-snapshots-of-snapshots")
    parts = in_chunks(image, 5)
    begin = len(b"".join(parts[:2]))
    for broken in (2, 4):
        parts[broken] = parts[broken][:12] + bytes(8) + parts[broken][20:]

    got, (note,) = read(tmp_path / "pack", b"".join(parts))

    assert_part_of(image, got)
    assert f"chunk 1 at byte {begin}: " in note
    assert note.endswith("(and 1 more chunks are broken)")
    for block in np.concatenate([np.array_split(stored(image), 5)[at] for at in (0, 2, 4)]):
        at = int(block) * BLOCK
        assert got[at : at + BLOCK] == image[at : at + BLOCK]


def number(block: int) -> bytes:
    return block.to_bytes(8, "little")


ZEROS = b"\x62\x00"
HALF = zlib.compress(bytes(8) + ZEROS)[:-3]

BROKEN = {
    "instructions": (chunk(number(1) + b"\xff"), "instructions that do not make a block"),
    "too many bytes": (
        chunk(number(1) + literal(4090) + bytes(4090) + b"\x01\x01"),
        "instructions that do not make a block",
    ),
    "the end of a block": (chunk(number(1) + b"\x61\xff"), "it ends within a block"),
    "a number too high": (chunk(number(512) + ZEROS), "block 512 of a device of 512 blocks"),
    "a number much too high": (chunk(number(2**64 - 1) + ZEROS), "of a device of 512 blocks"),
    "too many blocks": (chunk((number(1) + ZEROS) * 600), "more blocks than the device has"),
    "the end of a stream": (number(len(HALF)) + HALF, "its zlib stream is incomplete"),
    "an empty chunk": (number(0), "its zlib stream is incomplete"),
    "more than a stream": (number(len(HALF) + 9) + HALF + bytes(9), "Error -3"),
    "no stream": (number(4) + b"abcd", "Error -3"),
    "endless nothing": (chunk(number(1) + b"\x50" * 10**6), "endless instructions"),
    "an absurd length": (number(2**64 - 1) + HALF, "the file ends within it"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_chunk_is_named(what: str, tmp_path: Path) -> None:
    broken, why = BROKEN[what]
    sound = in_chunks(IMAGE, 1)

    _, (note,) = read(tmp_path / "pack", b"".join([*sound, broken]))

    assert f"chunk 1 at byte {len(b''.join(sound))}: " in note
    assert why in note


def test_more_after_a_stream_is_named(tmp_path: Path) -> None:
    head, only = in_chunks(IMAGE, 1)
    stream = only[8:] + b"more"

    got, (note,) = read(tmp_path / "pack", head + number(len(stream)) + stream)

    assert "chunk 0 at byte 32: more follows its zlib stream" in note
    assert got == IMAGE


@pytest.mark.parametrize(
    ("version", "block_bytes"), [(0, 4096), (2, 4096), (4, 4096), (2**64 - 1, 4096), (3, 512)]
)
def test_other_versions_are_refused(version: int, block_bytes: int, tmp_path: Path) -> None:
    packed = GOLDEN[:8] + number(version) + number(block_bytes) + GOLDEN[24:]

    with pytest.raises(InputError, match=f"is packed metadata of version {version} with"):
        read(tmp_path / "pack", packed)


@pytest.mark.parametrize("nr_blocks", [2**63, 2**64 - 1, 2**40])
def test_an_absurd_size_ends_where_metadata_does(nr_blocks: int, tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(GOLDEN[:24] + number(nr_blocks) + GOLDEN[32:])

    with closing(open_blocks(path, inspect=refuse_foreign)) as device:
        assert device.nr_blocks == 255 * 16320 + 1
        assert f"its header says that the device had {nr_blocks} blocks" in device.notes[0]


def test_the_largest_device_that_the_kernel_takes_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(GOLDEN[:24] + number(16 * 2**30 // BLOCK) + GOLDEN[32:])

    with closing(open_blocks(path, inspect=refuse_foreign)) as device:
        assert device.notes == ()


def test_a_device_without_blocks_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path / "pack", header(0))


def bombs() -> Iterator[bytes]:
    yield chunk((number(3) + ZEROS) * 10**6)  # the same block, for ever
    yield chunk(number(1) + b"\x6f\xff\xbf\xff" * 10**6)  # numbers and none
    yield chunk(number(1) + b"\x70" * 10**7)
    yield chunk((number(1) + b"\xa4\xff\xff\xff\x7f" + bytes(4096)) * 5000)
    deep = (b"\xb1\xff" + b"\x61\xff") * 10_000
    yield chunk((number(1) + deep) * 100)


@pytest.mark.parametrize(
    "bomb", list(bombs()), ids=["blocks", "numbers", "nothing", "length", "shifts"]
)
def test_a_bomb_takes_little_memory(bomb: bytes, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        _, notes = read(tmp_path / "pack", b"".join([*in_chunks(IMAGE, 1), bomb]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert "chunk 1" in notes[0]
    assert peak < 64 * 2**20


@pytest.mark.parametrize("seed", range(0, 400, 100))
def test_anything_ends_in_an_image_or_our_error(seed: int, tmp_path: Path) -> None:
    image = image_bytes("a02-empty-pool-min-metadata")
    code = code_of(image, stored(image))
    for each in range(seed, seed + 100):
        chance = random.Random(each)
        changed = bytearray(code)
        for _ in range(chance.randint(1, 20)):
            at = chance.randrange(len(changed) if chance.random() < 0.5 else 200)
            changed[at] = chance.choice([chance.randrange(256), changed[at] ^ 1 << each % 8])
        packed = bytearray(header(len(image) // BLOCK) + chunk(bytes(changed)) + chunk(code))
        if each % 4 == 0:
            packed[chance.randrange(len(packed))] ^= 1 << each % 8
        result = read_or_error(tmp_path / "pack", bytes(packed))
        if each % 4:
            assert not isinstance(result, str)
            got, _ = result  # the second chunk is sound, and all that it has is there
            for block in stored(image).tolist():
                at = block * BLOCK
                assert got[at : at + BLOCK] == image[at : at + BLOCK]
