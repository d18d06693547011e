"""A compressed image is read as the image: sparse, and as far as its stream is sound."""

import bz2
import errno
import gzip
import lzma
import os
import random
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import image_bytes
from tests.made_images import BLOCK, one_device
from tests.properties import examples
from thinmeta.device.compressed import MAGIC_BYTES, packing_of, unpack
from thinmeta.device.opening import open_blocks
from thinmeta.device.signatures import refuse_foreign
from thinmeta.errors import InputError

Pack = Callable[[bytes], bytes]

PACKS: dict[str, Pack] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": lambda data: bz2.compress(data, compresslevel=1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
UNPACKERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
NOISE = random.Random(3).randbytes(2**20)

each_packing = pytest.mark.parametrize("packing", PACKS)


def take_all(beginning: bytes) -> None:
    """Refuse nothing."""


@contextmanager
def unpacked(
    folder: Path, packed: bytes, inspect: Callable[[bytes], None] = take_all
) -> Iterator[tuple[int, str | None]]:
    source = folder / "packed"
    source.write_bytes(packed)
    with source.open("rb") as file:
        fd, wrong = unpack(file.fileno(), inspect)
    try:
        yield fd, wrong
    finally:
        os.close(fd)


def contents(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size + 1, 0)


def still_unpacks_to(packing: str, packed: bytes) -> bytes:
    """Return what the library itself gets out of a stream that ends too early."""
    return bytes(UNPACKERS[packing]().decompress(packed))


@each_packing
def test_a_packing_is_known_by_its_first_bytes(packing: str) -> None:
    packed = PACKS[packing](b"anything")

    assert packing_of(packed[:MAGIC_BYTES]) == packing


@pytest.mark.parametrize("beginning", [b"", b"\0" * 6, b"\x1f", b"BZ", b"\xfd7zXZ", b"PK\x03\x04"])
def test_other_beginnings_show_no_packing(beginning: bytes) -> None:
    assert packing_of(beginning) is None


@each_packing
@examples(12)
@given(
    blocks=st.lists(st.sampled_from(["zeros", "text", "random"]), max_size=40),
    tail=st.integers(0, BLOCK - 1),
)
def test_what_was_packed_comes_out(
    packing: str, blocks: list[str], tail: int, tmp_path: Path
) -> None:
    noise = random.Random(len(blocks)).randbytes(BLOCK)
    made = {"zeros": bytes(BLOCK), "text": b"thin" * 1024, "random": noise}
    image = b"".join(made[block] for block in blocks) + b"\1" * tail

    with unpacked(tmp_path, PACKS[packing](image)) as (fd, wrong):
        assert wrong is None
        assert contents(fd) == image


@each_packing
def test_streams_one_after_the_other_are_one_image(packing: str, tmp_path: Path) -> None:
    halves = b"a" * 100_000, b"b" * 50_000

    with unpacked(tmp_path, b"".join(map(PACKS[packing], halves))) as (fd, wrong):
        assert wrong is None
        assert contents(fd) == b"".join(halves)


@each_packing
def test_an_image_is_opened_whatever_it_is_packed_with(packing: str, tmp_path: Path) -> None:
    image = image_bytes("a02-empty-pool-min-metadata")
    path = tmp_path / "image.bin"  # the name does not tell, the contents do
    path.write_bytes(PACKS[packing](image))

    device = open_blocks(path, inspect=refuse_foreign)

    assert device.notes == ()
    assert device.name == str(path)
    assert device.nr_blocks == len(image) // BLOCK
    device.close()


SIZE = 2**30
PLACES = [0, 5 * 2**20, 700 * 2**20 + 8192, SIZE - BLOCK]


def nearly_empty_gibibyte() -> bytes:
    """Return zstd frames of 16 MiB each: 1 GiB of zeros but for four blocks."""
    part_size = 16 * 2**20
    pack = zstandard.ZstdCompressor(level=1).compress
    zeros = pack(bytes(part_size))
    frames = []
    for begin in range(0, SIZE, part_size):
        inside = [place - begin for place in PLACES if 0 <= place - begin < part_size]
        part = bytearray(part_size if inside else 0)
        for place in inside:
            part[place : place + BLOCK] = b"\xaa" * BLOCK
        frames.append(pack(bytes(part)) if inside else zeros)
    return b"".join(frames)


def test_a_nearly_empty_gibibyte_takes_little_disk(tmp_path: Path) -> None:
    with unpacked(tmp_path, nearly_empty_gibibyte()) as (fd, wrong):
        status = os.fstat(fd)
        assert wrong is None
        assert status.st_size == SIZE
        assert status.st_blocks * 512 <= 2 * 2**20
        for place in PLACES:
            assert os.pread(fd, BLOCK, place) == b"\xaa" * BLOCK
        assert os.pread(fd, BLOCK, PLACES[2] - BLOCK) == bytes(BLOCK)


def test_an_image_that_ends_in_zeros_keeps_its_size(tmp_path: Path) -> None:
    image = b"x" * BLOCK + bytes(3 * 2**20)

    with unpacked(tmp_path, gzip.compress(image)) as (fd, _):
        assert contents(fd) == image


@each_packing
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_a_stream_that_ends_too_early_gives_what_came_before(
    packing: str, kept: float, tmp_path: Path
) -> None:
    packed = PACKS[packing](image_bytes("a04-interleaved-four-thins-64k"))
    cut = packed[: int(len(packed) * kept)]
    expected = still_unpacks_to(packing, cut)
    if not expected:
        with pytest.raises(InputError, match=f"the {packing} stream cannot be unpacked: "):
            unpacked(tmp_path, cut).__enter__()
        return

    with unpacked(tmp_path, cut) as (fd, wrong):
        assert wrong is not None
        assert f"the {packing} stream is damaged after {len(expected)} bytes unpacked" in wrong
        assert contents(fd) == expected


@each_packing
@pytest.mark.parametrize("place", [0.5, 0.999])
def test_a_damaged_stream_gives_what_precedes_the_damage_and_a_note(
    packing: str, place: float, tmp_path: Path
) -> None:
    image = NOISE  # it does not compress, so a place in the stream is a place in the image
    packed = bytearray(PACKS[packing](image))
    packed[int(len(packed) * place)] ^= 0xFF

    with unpacked(tmp_path, bytes(packed)) as (fd, wrong):
        got = contents(fd)
    assert wrong is not None
    assert wrong.startswith(f"the {packing} stream is damaged after {len(got)} bytes unpacked: ")
    before = int(len(image) * place) - 256 * 1024
    assert got[:before] == image[:before]


@each_packing
def test_the_note_names_the_file(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "cut short"
    path.write_bytes(PACKS[packing](image_bytes("a04-interleaved-four-thins-64k"))[:-5])

    device = open_blocks(path, inspect=refuse_foreign)

    assert len(device.notes) == 1
    assert device.notes[0].startswith(f"{path}: the {packing} stream is damaged after ")
    device.close()


@each_packing
def test_a_stream_of_which_nothing_comes_out_is_named(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(PACKS[packing](one_device())[:12])

    with pytest.raises(InputError, match=f"{path}: the {packing} stream cannot be unpacked"):
        open_blocks(path, inspect=refuse_foreign)


@each_packing
def test_a_packed_empty_file_is_empty(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(PACKS[packing](b""))

    with pytest.raises(InputError, match=f"{path}: is empty"):
        open_blocks(path, inspect=refuse_foreign)


@each_packing
def test_what_is_foreign_is_refused_before_all_is_unpacked(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(PACKS[packing](NOISE))

    with path.open("rb") as file:
        with pytest.raises(InputError, match="has no thin-pool superblock"):
            unpack(file.fileno(), refuse_foreign)
        # unpack() reads through a duplicate, which shares its position with ours.
        assert file.seek(0, os.SEEK_CUR) <= path.stat().st_size // 2


@each_packing
def test_the_first_block_is_inspected_and_no_more(packing: str, tmp_path: Path) -> None:
    seen: list[bytes] = []
    image = one_device()

    with unpacked(tmp_path, PACKS[packing](image), seen.append):
        assert seen == [image[:BLOCK]]


def test_without_the_zstd_library_its_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image.zst"
    path.write_bytes(PACKS["zstd"](one_device()))
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(InputError, match=r"pip install 'thinmeta\[zstd\]'"):
        open_blocks(path, inspect=refuse_foreign)


def nr_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@each_packing
def test_no_file_stays_open_behind_a_refusal(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(PACKS[packing](bytes(2**20)))
    before = nr_open_files()

    with pytest.raises(InputError):
        open_blocks(path, inspect=refuse_foreign)

    assert nr_open_files() == before


def test_no_room_to_unpack_is_not_the_images_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(gzip.compress(one_device()))
    before = nr_open_files()

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)

    with pytest.raises(InputError) as caught:
        open_blocks(path, inspect=refuse_foreign)
    assert nr_open_files() == before
    assert str(caught.value) != f"{path}: no space left on device"


def test_a_packed_file_that_cannot_be_read_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(gzip.compress(random.Random(1).randbytes(1 << 20)))
    before = nr_open_files()
    readv = os.readv

    def bad_sector(fd: int, buffers: list[memoryview]) -> int:
        if os.lseek(fd, 0, os.SEEK_CUR):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return readv(fd, buffers)

    monkeypatch.setattr(os, "readv", bad_sector)

    with path.open("rb") as file, pytest.raises(InputError) as caught:
        unpack(file.fileno(), lambda _: None)
    assert nr_open_files() == before
    assert str(caught.value).startswith("cannot be read at byte ")
    assert str(caught.value).endswith(": Input/output error")


def test_closing_an_unpacked_image_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = tmp_path / "image"
    path.write_bytes(gzip.compress(one_device()))
    before = nr_open_files()

    device = open_blocks(path, inspect=refuse_foreign)
    while_open = list((tmp_path / "scratch").iterdir())
    device.close()

    assert while_open == []
    assert nr_open_files() == before
