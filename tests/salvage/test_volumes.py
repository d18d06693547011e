"""What is in volumes is read through nodes that are there again, and is never taken for zeros."""

import hashlib
from pathlib import Path

import pytest

import thinmeta as library
from tests.anatomy import Anatomy
from tests.cases import image_bytes, unpacked
from tests.conftest import Thinmeta
from thinmeta.errors import ExitCode

CASE = "docker-loop-lvm-xfs-64k"
DEVICE = 25
BLOCK = 4096
SIZE = "1G"
PROVEN = "are proven by the pool's reference counts"
COMMANDS = [
    ("files", DEVICE, "-R", "-l"),
    ("tar", DEVICE),
    ("export", DEVICE),
    ("cat", DEVICE, "/etc/passwd"),
    ("diff", "--files", DEVICE - 1, DEVICE),
    ("lookup", DEVICE, 0, 4000),
]


def places(*, leaves: bool) -> list[int]:
    """Return the nodes of the device's tree, of one kind, the root first."""
    tree = Anatomy.of(CASE, "meta").mapping_tree(DEVICE)
    return [each.block for each in tree if each.is_leaf == leaves]


def damaged(tmp_path: Path, *blocks: int) -> Path:
    image = bytearray(image_bytes(CASE))
    for block in blocks:
        image[block * BLOCK : (block + 1) * BLOCK] = bytes(BLOCK)
    path = tmp_path / "damaged.bin"
    path.write_bytes(image)
    return path


def words(command: tuple[object, ...], pool: Path) -> list[object]:
    data = [] if command[0] == "lookup" else ["--data", unpacked(CASE, "data")]
    return [*command, "-p", pool, *data]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_is_read_through_a_node_that_is_there_again(
    command: tuple[object, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    sound = thinmeta(*words(command, unpacked(CASE)))
    assert sound.exit_code == ExitCode.DONE
    root, *_ = places(leaves=False)
    pool = damaged(tmp_path, root)
    assert thinmeta(*words(command, pool)).exit_code == ExitCode.DAMAGE
    salvaged = thinmeta(*words(command, pool), "--salvage")
    assert salvaged.exit_code == ExitCode.DONE, salvaged.stderr
    assert salvaged.stdout_bytes == sound.stdout_bytes
    assert PROVEN in salvaged.stderr


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_a_volume_is_extracted_through_it(tmp_path: Path, thinmeta: Thinmeta) -> None:
    root, *_ = places(leaves=False)
    pool = damaged(tmp_path, root)
    found: list[str] = []
    for path, options in ((unpacked(CASE), ()), (pool, ("--salvage",))):
        output = tmp_path / f"{len(found)}.img"
        command = ("extract", DEVICE, "--size", SIZE, "-o", output)
        result = thinmeta(*words(command, path), *options)
        assert result.exit_code == ExitCode.DONE, result.stderr
        found.append(sha256_of(output))
    assert found[0] == found[1]


def test_the_library_opens_it_through_it(tmp_path: Path) -> None:
    root, *_ = places(leaves=False)
    pool = damaged(tmp_path, root)
    found = []
    for path in (unpacked(CASE), pool):
        with library.open_pool(path, on_damage=lambda _: None) as opened:
            volume = opened.device(DEVICE).open(unpacked(CASE, "data"), size=64 << 20)
            found.append(hashlib.sha256(volume.read()).hexdigest())
            volume.close()
    assert found[0] == found[1]


def test_what_is_lost_below_it_is_no_zeros(tmp_path: Path) -> None:
    """A leaf that is lost, too: what it mapped raises, and all else is there."""
    root, *_ = places(leaves=False)
    leaf = places(leaves=True)[0]
    pool = damaged(tmp_path, root, leaf)
    data = unpacked(CASE, "data")
    size = 64 << 20
    with library.open_pool(unpacked(CASE)) as opened:
        volume = opened.device(DEVICE).open(data, size=size)
        truth = volume.read()
        volume.close()
    with library.open_pool(pool, on_damage=lambda _: None) as opened:
        volume = opened.device(DEVICE).open(data, size=size)
        nr_lost = 0
        for begin in range(0, size, 65536):
            volume.seek(begin)
            try:
                part = volume.read(65536)
            except OSError:
                nr_lost += 1
            else:
                assert part == truth[begin : begin + 65536], begin
        volume.close()
    assert nr_lost > 0


LISTED = "c05-lvm-two-disks"
NR_DATA_BLOCKS = 1280
BY_BLOCK = [
    ("lookup", 1, 5, 700),
    ("diff", 1, 3, "--verbose"),
    ("fate", 1),
    ("extract", 1, "--size", "64M"),
]


@pytest.mark.parametrize("command", BY_BLOCK, ids=lambda command: command[0])
def test_a_device_is_found_in_a_list_that_is_there_again(
    command: tuple[object, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    sound, pool, data = unpacked(LISTED), tmp_path / "damaged.bin", tmp_path / "data.bin"
    image = bytearray(image_bytes(LISTED))
    with library.open_pool(bytes(image)) as opened:
        place = opened.superblock.data_mapping_root * BLOCK
    image[place : place + BLOCK] = bytes(BLOCK)
    pool.write_bytes(image)
    with data.open("wb") as file:
        for block in range(NR_DATA_BLOCKS):
            file.seek(block << 16)
            file.write(b"%d" % block)
        file.truncate(NR_DATA_BLOCKS << 16)
    found: list[str] = []
    for path, options in ((sound, ()), (pool, ("--salvage",))):
        output = tmp_path / f"{len(found)}.img"
        given = ("--data", data, "-o", output) if command[0] == "extract" else ()
        result = thinmeta(*command, "-p", path, *given, *options)
        assert result.exit_code == ExitCode.DONE, result.stderr
        assert (PROVEN in result.stderr) is bool(options)
        found.append(sha256_of(output) if given else result.stdout)
    assert found[0] == found[1]
