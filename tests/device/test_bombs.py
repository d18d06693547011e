"""Small files that unpack to much, or ask for much memory: what they take has a bound."""

import bz2
import gzip
import lzma
import os
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Thinmeta
from tests.made_images import BLOCK, Image, one_device, written
from tests.peak_memory import MOST, measured
from thinmeta.device.opening import open_blocks
from thinmeta.device.signatures import counted, refuse_foreign, refuse_other_formats
from thinmeta.units import MAX_METADATA_BLOCKS

MIB = 1 << 20
BOMB_MIB = 320


def first_block(nr_blocks: int) -> bytes:
    """Return a superblock that counts so many metadata blocks."""
    return Image().superblock(metadata_nr_blocks=nr_blocks)


def zstd(*parts: bytes, zeros_mib: int = 0, window_log: int = 17) -> bytes:
    """Return a zstd frame made by hand: `parts` as they are, then zeros in runs of 128 KiB."""
    blocks = [len(part) << 3 for part in parts]
    raw = b"".join(
        head.to_bytes(3, "little") + part for head, part in zip(blocks, parts, strict=True)
    )
    run = (2 + (128 << 10 << 3)).to_bytes(3, "little") + b"\0"
    frame = b"\x28\xb5\x2f\xfd\0" + bytes([(window_log - 10) << 3])
    return frame + raw + run * (8 * zeros_mib) + b"\1\0\0"


def xz(data: bytes, *, dictionary: int) -> bytes:
    """Return an xz stream that says it needs the dictionary of this number, and does not."""
    packed = bytearray(lzma.compress(data, preset=0))
    size = 4 * (packed[12] + 1)
    assert packed[14:16] == b"\x21\1"  # LZMA2, with one byte: of the dictionary
    packed[16] = dictionary
    packed[8 + size : 12 + size] = zlib.crc32(packed[12 : 8 + size]).to_bytes(4, "little")
    return bytes(packed)


def zeros(packing: str) -> bytes:
    """Return `BOMB_MIB` of zeros, in streams one after another."""
    compress = bz2.compress if packing == "bzip2" else gzip.compress
    return compress(bytes(40 * MIB)) * (BOMB_MIB // 40)


def bomb(packing: str, first: bytes) -> bytes:
    match packing:
        case "gzip":
            return gzip.compress(first, mtime=0) + zeros(packing)
        case "bzip2":
            return bz2.compress(first) + zeros(packing)
        case _:
            return zstd(first, zeros_mib=BOMB_MIB, window_log=27)


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "zstd"])
def test_a_bomb_takes_little_memory(packing: str, tmp_path: Path) -> None:
    path = written(tmp_path / "bomb", bomb(packing, first_block(2**64 - 1)))
    assert path.stat().st_size < MIB

    ran = measured("unpack", str(path), "-o", str(tmp_path / "image"))

    assert (ran.exit_code, ran.stderr) == (0, "")
    assert (tmp_path / "image").stat().st_size == BOMB_MIB * MIB + BLOCK
    assert ran.peak < MOST


@pytest.mark.thorough
def test_xz_that_fills_the_largest_dictionary(tmp_path: Path) -> None:
    packed = xz(first_block(2**64 - 1) + bytes(210 * MIB), dictionary=31)
    path = written(tmp_path / "image.xz", packed)

    ran = measured("dump", str(path), "-o", str(tmp_path / "dump"))

    assert ran.exit_code == 5  # the superblock leads nowhere
    assert 192 < ran.peak < MOST


LARGE = {
    "xz": (
        xz(one_device(), dictionary=32),
        "the xz stream cannot be unpacked: it takes more than 256 MiB of memory to unpack; "
        "xz -d unpacks it",
    ),
    "zstd": (
        zstd(one_device(), window_log=28),
        "the zstd stream cannot be unpacked: its window is larger than 128 MiB; "
        "zstd -d --long=31 unpacks it",
    ),
}


@pytest.mark.parametrize("packing", LARGE)
@pytest.mark.parametrize("command", ["dump", "scan", "unpack"])
def test_what_asks_for_more_is_refused_by_name(
    packing: str, command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    packed, what = LARGE[packing]
    path = written(tmp_path / "image", packed)

    result = thinmeta(command, path, "-o", tmp_path / "out")

    assert (result.exit_code, result.stderr) == (3, f"Error: {path}: {what}\n")
    assert not (tmp_path / "out").exists()


# How much is unpacked


def pool_of(said: int, counted_blocks: int) -> bytes:
    """Return a pool in 10 blocks whose superblock and space map give these sizes."""
    image = Image()
    root = image.leaf([])
    roots, details = image.leaf([]), image.leaf([])
    space_map = {"nr_allocated": 0, "bitmap_root": root, "ref_count_root": root}
    image.blocks[0] = image.superblock(
        data_mapping_root=roots,
        device_details_root=details,
        metadata_nr_blocks=said,
        metadata_space_map_root=space_map | {"nr_blocks": counted_blocks},
    )
    return b"".join(image.blocks).ljust(10 * BLOCK, b"\1")


@pytest.mark.parametrize(
    ("said", "counted_blocks", "unpacked"),
    [(7, 5, 7), (5, 7, 7), (0, 0, 1), (2**64 - 1, 3, 10), (3, 2**64 - 1, 10)],
)
@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_as_many_blocks_are_unpacked_as_there_are(
    packing: str, said: int, counted_blocks: int, unpacked: int, tmp_path: Path
) -> None:
    image = pool_of(said, counted_blocks)
    packed = gzip.compress(image) if packing == "gzip" else zstd(image)
    path = written(tmp_path / "image", packed)

    with closing(open_blocks(path, inspect=counted(refuse_foreign))) as device:
        assert device.nr_blocks == unpacked
        assert device.notes == ()
        assert os.pread(device._fd, 11 * BLOCK, 0) == image[: unpacked * BLOCK]
    with closing(open_blocks(path, inspect=refuse_foreign)) as device:
        assert device.nr_blocks == 10


def test_a_bad_superblock_says_nothing_of_the_size() -> None:
    bad = bytearray(pool_of(7, 5)[:BLOCK])
    bad[100] ^= 1

    assert counted(refuse_foreign)(bytes(bad)) == MAX_METADATA_BLOCKS
    assert counted(refuse_other_formats)(bytes(BLOCK)) == MAX_METADATA_BLOCKS
    assert counted(refuse_foreign)(first_block(2**64 - 1)) == MAX_METADATA_BLOCKS


def test_what_follows_the_metadata_is_read_by_who_searches_it(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """A damaged end of the stream is nothing to who only reads what the superblock counts."""
    noise = bytes(os.urandom(BLOCK * 100))
    path = written(tmp_path / "image", gzip.compress(one_device() + noise)[:-5000])

    assert thinmeta("ls", path).stderr == ""
    for command in ("scan", "unpack"):
        assert "the gzip stream is damaged after " in thinmeta(command, path, "-o", "-").stderr


def test_repair_searches_all_that_is_unpacked(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = bytearray(one_device())
    path = written(tmp_path / "image", gzip.compress(bytes(image) + b"\1" * BLOCK)[:-5])

    result = thinmeta("repair", "-i", path, "-o", tmp_path / "new")

    assert "the gzip stream is damaged after " in result.stderr
