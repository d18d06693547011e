"""A block device is read as the file behind it is, and refused while something holds it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import OwnImage, Thinmeta
from tests.golden import thin_dump
from tests.made_images import BLOCK, one_device
from thinmeta.device.opening import live_message, open_blocks
from thinmeta.device.signatures import refuse_foreign
from thinmeta.errors import InputError, LiveDeviceError
from thinmeta.model.pool import open_pool

pytestmark = pytest.mark.loop_device

CASE = "a08-snapshots-of-snapshots"


@dataclass(frozen=True)
class Loop:
    """A loop device, and the file behind it."""

    path: Path
    file: Path


def attach(file: Path, *, another: bool = False) -> Path:
    """Return a loop device over `file`, for a test that is marked `loop_device`.

    Args:
        file: what is behind it.
        another: there may be one already.
    """
    made = subprocess.run(
        ["losetup", "--find", "--show", *([] if another else ["--nooverlap"]), file],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )
    if made.returncode:
        pytest.skip(f"no loop device can be had: {made.stderr.strip()}")
    return Path(made.stdout.strip())


def detach(device: Path) -> None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    subprocess.run(["losetup", "--detach", device], check=True, env={"PATH": path})


@pytest.fixture
def loop(own_image: OwnImage) -> Iterator[Loop]:
    file = own_image(CASE)
    device = attach(file)
    yield Loop(device, file)
    detach(device)


def test_a_dump_of_the_device_equals_that_of_the_file(loop: Loop, thinmeta: Thinmeta) -> None:
    of_device, of_file = thinmeta("dump", loop.path), thinmeta("dump", loop.file)

    assert of_device.exit_code == 0, of_device.stderr
    assert of_device.stdout_bytes == of_file.stdout_bytes
    assert of_device.stdout_bytes == thin_dump(CASE, "meta", "thin_dump", "1.1.0")


def test_the_device_is_read_past_the_page_cache(loop: Loop) -> None:
    device = open_blocks(loop.path, inspect=refuse_foreign)
    numbers = {
        int(fd.name)
        for fd in Path("/proc/self/fd").iterdir()
        if fd.is_symlink() and fd.readlink() == loop.path
    }
    flags = [
        int(line.split()[1], 8)
        for number in numbers
        for line in Path(f"/proc/self/fdinfo/{number}").read_text().splitlines()
        if line.startswith("flags:")
    ]
    device.close()

    assert [flag & os.O_DIRECT for flag in flags] == [os.O_DIRECT]
    assert [flag & os.O_ACCMODE for flag in flags] == [os.O_RDONLY]


def test_blocks_of_the_device_come_in_any_order(loop: Loop) -> None:
    image = loop.file.read_bytes()
    numbers = np.array([9, 3, 4, 3, len(image) // BLOCK - 1, 0, 2**40], dtype=np.uint64)

    device = open_blocks(loop.path, inspect=refuse_foreign)
    batch = device.read(numbers)
    device.close()

    assert device.nr_blocks == len(image) // BLOCK
    assert batch.faults.tolist() == [0, 0, 0, 0, 0, 0, 2]
    assert [row.tobytes() for row in batch.rows[:-1]] == [
        image[number * BLOCK : (number + 1) * BLOCK] for number in numbers[:-1].tolist()
    ]


def test_a_device_that_is_held_is_refused_with_the_commands_that_help(loop: Loop) -> None:
    holder = os.open(loop.path, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(LiveDeviceError) as caught:
            open_blocks(loop.path, inspect=refuse_foreign)
        assert str(caught.value) == live_message(loop.path, [])
        open_blocks(loop.path, inspect=refuse_foreign, exclusive=False).close()
    finally:
        os.close(holder)
    open_blocks(loop.path, inspect=refuse_foreign).close()


def test_while_we_read_it_nobody_else_gets_it_exclusively(loop: Loop) -> None:
    with open_pool(loop.path), pytest.raises(OSError, match="busy"):
        os.open(loop.path, os.O_RDONLY | os.O_EXCL)


def test_a_metadata_snapshot_of_a_held_device_can_be_read(
    own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    case, image = "a13-metadata-snapshot-held", "meta-live-after-changes"
    device = attach(own_image(case, image))
    holder = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        refused, read = thinmeta("dump", device), thinmeta("dump", "-m", device)
    finally:
        os.close(holder)
        detach(device)

    assert (refused.exit_code, refused.stdout) == (3, "")
    assert refused.stderr == f"Error: {live_message(device, [])}\n"
    assert read.exit_code == 0, read.stderr
    assert read.stdout_bytes == thin_dump(case, image, "thin_dump-m", "1.1.0")


def test_the_file_behind_a_loop_device_is_not_written_over(loop: Loop, thinmeta: Thinmeta) -> None:
    before = loop.file.read_bytes()

    result = thinmeta("dump", loop.path, "-o", loop.file)

    assert result.exit_code == 1
    assert "is the input itself, which is never written to" in result.stderr
    assert loop.file.read_bytes() == before


def test_the_device_is_not_written_over(loop: Loop, thinmeta: Thinmeta) -> None:
    before = loop.file.read_bytes()

    result = thinmeta("dump", loop.path, "-o", loop.path)

    assert result.exit_code == 1
    assert "is the input itself, which is never written to" in result.stderr
    assert loop.file.read_bytes() == before


def test_a_loop_device_over_the_file_is_not_written_over(loop: Loop, thinmeta: Thinmeta) -> None:
    before = loop.file.read_bytes()

    result = thinmeta("dump", loop.file, "-o", loop.path)

    assert result.exit_code == 1
    assert "is the input itself, which is never written to" in result.stderr
    assert loop.file.read_bytes() == before


@pytest.mark.parametrize(
    ("contents", "what"),
    [(bytes(BLOCK), "has no thin-pool superblock"), (b"", "is empty")],
    ids=["zeros", "nothing"],
)
def test_a_foreign_device_is_named(tmp_path: Path, contents: bytes, what: str) -> None:
    file = tmp_path / "foreign"
    file.write_bytes(contents)
    device = attach(file)
    try:
        with pytest.raises(InputError, match=f"^{device}: {what}"):
            open_blocks(device, inspect=refuse_foreign)
    finally:
        detach(device)


def test_a_device_that_shrank_is_past_its_end(tmp_path: Path) -> None:
    file = tmp_path / "meta.bin"
    file.write_bytes(one_device()[: 2 * BLOCK])
    device = attach(file)
    try:
        opened = open_blocks(device, inspect=refuse_foreign)
        batch = opened.read(np.arange(4, dtype=np.uint64))
        opened.close()
    finally:
        detach(device)

    assert opened.nr_blocks == 2
    assert batch.faults.tolist() == [0, 0, 2, 2]
