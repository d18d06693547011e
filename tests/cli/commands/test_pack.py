"""`thinmeta pack` and `thinmeta unpack`: damaged metadata, and outputs of every kind."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cases import image_bytes, unpacked
from tests.cli.invocations import process
from tests.conftest import Thinmeta
from tests.device.test_loop_device import attach, detach
from tests.made_images import BLOCK, written
from thinmeta.device.opening import open_blocks
from thinmeta.device.signatures import refuse_foreign
from thinmeta.device.sweep import nr_blocks_of

CASE = "a08-snapshots-of-snapshots"
POOL = unpacked(CASE)
IMAGE = image_bytes(CASE)


@pytest.fixture
def pack_file(tmp_path: Path, thinmeta: Thinmeta) -> Path:
    path = tmp_path / "pool.pack"
    assert thinmeta("pack", POOL, "-o", path).exit_code == 0
    return path


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """Return a block device as large as the image, full of something else."""
    path = attach(written(tmp_path / "device.bin", b"\xaa" * len(IMAGE)))
    yield path
    detach(path)


def test_the_same_bytes_every_time(pack_file: Path, thinmeta: Thinmeta) -> None:
    assert thinmeta("pack", POOL).stdout_bytes == pack_file.read_bytes()
    assert thinmeta("pack", pack_file).stdout_bytes == pack_file.read_bytes()
    assert process("pack", POOL).stdout == pack_file.read_bytes()


@pytest.mark.parametrize("option", ["-i", "--input", "-p", "--pool", None])
def test_metadata_is_named_as_with_the_reference_tools(
    option: str | None, pack_file: Path, thinmeta: Thinmeta
) -> None:
    named = [option] if option else []

    assert thinmeta("pack", *named, POOL).stdout_bytes == pack_file.read_bytes()
    assert thinmeta("unpack", *named, pack_file).stdout_bytes == IMAGE


@pytest.mark.parametrize("command", [["ls"], ["info"], ["check"], ["diff", "1", "2", "-p"]])
def test_every_reader_takes_a_pack_file(
    command: list[str], pack_file: Path, thinmeta: Thinmeta
) -> None:
    of_pack, of_image = thinmeta(*command, pack_file), thinmeta(*command, POOL)

    assert of_pack.exit_code == of_image.exit_code == 0
    assert of_pack.stdout_bytes == of_image.stdout_bytes


# Damaged metadata


def test_without_a_superblock_all_else_is_packed(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = bytes(BLOCK) + IMAGE[BLOCK:]
    damaged = written(tmp_path / "damaged", image)
    pack, unpacked = tmp_path / "pack", tmp_path / "unpacked"

    packing = thinmeta("pack", damaged, "-o", pack)
    unpacking = thinmeta("unpack", pack, "-o", unpacked)
    reading = thinmeta("dump", pack)

    for result, path in ((packing, damaged), (unpacking, pack)):
        assert result.exit_code == 5
        assert result.stderr.startswith(f"Error: {path}: metadata block 0: the superblock's ")
    assert unpacked.read_bytes() == image
    assert reading.exit_code == 3
    assert f"{pack}: has no thin-pool superblock" in reading.stderr


def test_blocks_without_a_right_checksum_are_left_out(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = bytearray(IMAGE)
    image[137 * BLOCK + 99] ^= 1
    damaged = written(tmp_path / "damaged", bytes(image))

    packing = thinmeta("pack", damaged, "-o", tmp_path / "pack")
    unpacking = thinmeta("unpack", tmp_path / "pack")

    image[137 * BLOCK : 138 * BLOCK] = bytes(BLOCK)
    assert (packing.exit_code, packing.stderr) == (0, "")
    assert (unpacking.exit_code, unpacking.stdout_bytes) == (0, bytes(image))


def test_blocks_that_cannot_be_read_are_warned_of(
    tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path / "meta.bin", IMAGE)
    preadv = os.preadv

    def failing(fd: int, buffers: list[memoryview], offset: int) -> int:
        end = offset + sum(buffer.nbytes for buffer in buffers)
        if any(offset <= bad * BLOCK < end for bad in (130, 137)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    packing = thinmeta("pack", source, "-o", tmp_path / "pack")
    copying = thinmeta("unpack", source, "-o", tmp_path / "copy")
    monkeypatch.undo()

    assert packing.exit_code == 6
    assert packing.stderr == (
        "Warning: metadata block 130: cannot be read\n"
        "Warning: metadata block 137: cannot be read\n"
        f"Error: {source}: 2 blocks cannot be read; all that is sound was packed\n"
    )
    expected = bytearray(IMAGE)
    for bad in (130, 137):
        expected[bad * BLOCK : (bad + 1) * BLOCK] = bytes(BLOCK)
    assert thinmeta("unpack", tmp_path / "pack").stdout_bytes == bytes(expected)
    assert copying.exit_code == 5
    assert copying.stderr == f"Error: {source}: metadata block 130: cannot be read\n"
    assert not (tmp_path / "copy").exists()


def test_a_damaged_pack_file_is_read_but_not_unpacked(
    tmp_path: Path, pack_file: Path, thinmeta: Thinmeta
) -> None:
    whole = pack_file.read_bytes()
    pack_file.write_bytes(whole[:-20])

    reading = thinmeta("ls", pack_file)
    unpacking = thinmeta("unpack", pack_file, "-o", tmp_path / "image")

    what = f"{pack_file}: the pack file is damaged after "
    assert reading.stderr.startswith(f"Warning: {what}")
    assert reading.stdout_bytes == thinmeta("ls", POOL).stdout_bytes
    assert unpacking.exit_code == 3
    assert unpacking.stderr.startswith(f"Error: {what}")
    assert unpacking.stderr.endswith(
        "chunk 0 at byte 32: the file ends within it; nothing was written\n"
    )
    assert not (tmp_path / "image").exists()


def test_only_what_metadata_can_reach_is_read(tmp_path: Path) -> None:
    large = written(tmp_path / "large", IMAGE)
    os.truncate(large, 2**40)

    with closing(open_blocks(large, inspect=refuse_foreign)) as device:
        assert nr_blocks_of(device) == 255 * 16320 + 1


def test_a_metadata_snapshot_is_packed_with_all_else(tmp_path: Path, thinmeta: Thinmeta) -> None:
    source = unpacked("a13-metadata-snapshot-held", "meta-live-after-changes")

    assert thinmeta("pack", "-m", source, "-o", tmp_path / "pack").exit_code == 0

    assert thinmeta("pack", source).stdout_bytes == (tmp_path / "pack").read_bytes()
    of_pack, of_image = thinmeta("dump", "-m", tmp_path / "pack"), thinmeta("dump", "-m", source)
    assert (of_pack.exit_code, of_pack.stdout_bytes) == (0, of_image.stdout_bytes)


# Outputs


def test_pack_does_not_write_over_its_input(tmp_path: Path, thinmeta: Thinmeta) -> None:
    source = written(tmp_path / "meta.bin", IMAGE)

    result = thinmeta("pack", source, "-o", source)

    assert result.exit_code == 1
    assert "itself, which is never written to" in result.stderr
    assert source.read_bytes() == IMAGE


def test_unpack_does_not_write_over_its_input(pack_file: Path, thinmeta: Thinmeta) -> None:
    before = pack_file.read_bytes()

    result = thinmeta("unpack", pack_file, "-o", pack_file, "--force")

    assert result.exit_code == 1
    assert "never written to" in result.stderr
    assert pack_file.read_bytes() == before


def test_unpack_spares_other_metadata(tmp_path: Path, pack_file: Path, thinmeta: Thinmeta) -> None:
    other = image_bytes("a01-empty-pool")
    output = written(tmp_path / "other.bin", other)
    output.chmod(0o640)

    refused = thinmeta("unpack", pack_file, "-o", output)
    assert refused.exit_code == 1
    assert f"{output}: " in refused.stderr
    assert "--force" in refused.stderr
    assert output.read_bytes() == other

    forced = thinmeta("unpack", pack_file, "-o", output, "-f")
    assert (forced.exit_code, forced.output) == (0, "")
    assert output.read_bytes() == IMAGE
    assert stat.S_IMODE(output.stat().st_mode) == 0o640


@pytest.mark.parametrize("damage", [False, True])
def test_pack_spares_other_metadata(*, damage: bool, tmp_path: Path, thinmeta: Thinmeta) -> None:
    """Also where its superblock is damaged: it may be all that is left."""
    other = bytearray(image_bytes("a01-empty-pool"))
    other[100] ^= damage
    output = written(tmp_path / "other.bin", bytes(other))

    refused = thinmeta("pack", POOL, "-o", output)
    spared = output.read_bytes()
    forced = thinmeta("pack", POOL, "-o", output, "-f")
    again = thinmeta("pack", POOL, "-o", output)

    assert refused.exit_code == 1
    assert refused.stderr == (
        f"Error: {output}: has metadata of a pool already; --force writes over it\n"
    )
    assert spared == bytes(other)
    assert (forced.exit_code, again.exit_code) == (0, 0), "a pack file is no metadata"


def test_what_is_no_metadata_is_written_over(
    tmp_path: Path, pack_file: Path, thinmeta: Thinmeta
) -> None:
    output = written(tmp_path / "old", b"x" * (len(IMAGE) + 5))

    assert thinmeta("unpack", pack_file, "-o", output).exit_code == 0
    assert output.read_bytes() == IMAGE


def test_the_image_is_sparse(tmp_path: Path, pack_file: Path, thinmeta: Thinmeta) -> None:
    thinmeta("unpack", pack_file, "-o", tmp_path / "image")

    assert (tmp_path / "image").stat().st_blocks * 512 < len(IMAGE) // 4


@pytest.mark.parametrize("to", ["/dev/stdout", "-", None])
def test_an_image_can_be_piped(to: str | None, pack_file: Path) -> None:
    output = ["-o", to] if to else []

    assert process("unpack", pack_file, *output).stdout == IMAGE


@pytest.mark.loop_device
def test_a_block_device_is_written(device: Path, pack_file: Path, thinmeta: Thinmeta) -> None:
    assert thinmeta("unpack", pack_file, "-o", device).exit_code == 0

    assert device.read_bytes() == IMAGE
    refused = thinmeta("unpack", pack_file, "-o", device)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr


@pytest.mark.loop_device
def test_a_device_in_use_is_not_written(device: Path, pack_file: Path, thinmeta: Thinmeta) -> None:
    holder = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        result = thinmeta("unpack", pack_file, "-o", device, "--force")
    finally:
        os.close(holder)

    assert result.exit_code == 1
    assert f"{device}: cannot be written: " in result.stderr
    assert device.read_bytes() == b"\xaa" * len(IMAGE)


@pytest.mark.loop_device
def test_a_device_that_is_too_small_is_not_written(
    tmp_path: Path, pack_file: Path, thinmeta: Thinmeta
) -> None:
    before = b"\xaa" * (len(IMAGE) - BLOCK)
    device = attach(written(tmp_path / "small.bin", before))
    try:
        result = thinmeta("unpack", pack_file, "-o", device)
        after = device.read_bytes()
    finally:
        detach(device)

    assert result.exit_code == 1
    assert f"{device}: has 2047 blocks of 4 KiB, the image 2048" in result.stderr
    assert after == before


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["packed", "compressed", "plain"])
def test_nothing_stays_when_the_output_cannot_be_written(
    what: str,
    tmp_path: Path,
    pack_file: Path,
    thinmeta: Thinmeta,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    plain = written(tmp_path / "meta.bin", IMAGE)
    source = {"packed": pack_file, "compressed": POOL, "plain": plain}[what]

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(os, "ftruncate", full)
    result = thinmeta("unpack", source, "-o", folder / "image")

    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {folder / 'image'}: cannot be written: No space left on device\n"
    )
    assert list(folder.iterdir()) == []


def test_what_is_compressed_is_unpacked_once(
    tmp_path: Path, pack_file: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes into its place at once; nothing is needed in the folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))

    for source in (pack_file, POOL):
        assert thinmeta("unpack", source, "-o", tmp_path / "image", "--force").exit_code == 0
        assert (tmp_path / "image").read_bytes() == IMAGE
