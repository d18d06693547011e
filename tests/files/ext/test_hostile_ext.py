"""Whatever stands on the disk, the answer is right or an error, and it comes soon."""

import random
import time
from functools import cache
from pathlib import Path

import pytest

from tests.files.ext.answers import Answers, answers
from tests.files.ext.ext_images import EXT2, EXT4, debugfs, mke2fs, needs_e2fsprogs, run
from tests.files.image_source import BytesSource
from tests.needs import IS_THOROUGH
from thinmeta.errors import InputError
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.reading import Cache

pytestmark = [needs_e2fsprogs, pytest.mark.fuzz]

BLOCK = 1024
SUPERBLOCK = 1
FEATURES = {
    "checksums": EXT4.replace("has_journal,", ""),
    "checksums, inline": EXT4.replace("has_journal,", "") + ",inline_data,ea_inode",
    "group checksums": EXT4.replace("has_journal,", "").replace("metadata_csum", "uninit_bg"),
    "ext2": EXT2,
}
SECONDS = 5
"""What one damaged image may take at most; most take some milliseconds."""


def fill(root: Path) -> None:
    (root / "small").write_bytes(b"small")
    (root / "large").write_bytes(random.Random(1).randbytes(40 * BLOCK))
    with (root / "holes").open("wb") as file:
        for number in range(120):
            file.seek(number * 2 * BLOCK)
            file.write(b"piece %d" % number)
    for length in (10, 59, 60, 61, 300):
        (root / f"to-{length}").symlink_to("t" * length)
    for folder, count in (("few", 4), ("many", 70)):
        (root / folder).mkdir()
        for number in range(count):
            (root / folder / f"{'n' * (30 + number % 40)}{number}").touch()
    (root / "few" / "below").mkdir()
    (root / "few" / "below" / "bottom").write_bytes(b"x" * 70)


@cache
def sound_image(features: str, folder: Path) -> bytes:
    tree = folder / "tree"
    tree.mkdir()
    fill(tree)
    options = ("-b", str(BLOCK), "-I", "256", "-N", "256")
    image = mke2fs(folder / "image", 1024, *options, "-d", tree, features=features)
    debugfs(
        image,
        "ea_set small user.in-inode value",
        "ea_set large user.in-block " + "v" * 500,
        "ea_set large user.other " + "w" * 100,
        "ea_set few trusted.folder " + "x" * 90,
        *(["ea_set large user.in-other-inode " + "y" * 2000] if "ea_inode" in features else []),
        "mknod char c 511 60000",
        "mknod pipe p",
    )
    run("e2fsck", "-fyD", image, good=(0, 1))  # which indexes the large directory
    run("e2fsck", "-fn", image)
    return image.read_bytes()


@pytest.fixture(scope="module", params=FEATURES)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return sound_image(FEATURES[request.param], tmp_path_factory.mktemp("hostile"))


def opened(image: bytes) -> Ext4:
    return Ext4(Cache(BytesSource(image)))


def metadata_of(image: bytes) -> list[int]:
    """Return the blocks that hold anything but content, as they are found by their uses."""
    files = opened(image)
    found = answers(files)
    content = {
        place // BLOCK + step
        for number, (_, (_, lengths, places)) in found.contents.items()
        if not found.inodes[number].is_directory
        for length, place in zip(lengths, places, strict=True)
        for step in range(length // BLOCK)
    }
    used = [at for at in range(0, len(image), BLOCK) if any(image[at : at + BLOCK])]
    return [at // BLOCK for at in used if at // BLOCK not in content]


def damaged(image: bytes, chance: random.Random, blocks: list[int]) -> tuple[str, bytes]:
    """Return an image with some bytes changed, and what was."""
    changed = bytearray(image)
    width = chance.choice([1, 1, 1, 2, 4])
    block = chance.choice(blocks) * BLOCK
    places = [at for at in range(block, block + BLOCK) if changed[at]] or [block]
    at = chance.choice([chance.choice(places), block + chance.randrange(BLOCK - width)])
    new = chance.choice([bytes(width), b"\xff" * width, chance.randbytes(width)])
    changed[at : at + width] = new
    return f"bytes {at}..{at + width - 1} were set to {new.hex()}", bytes(changed)


def asked(image: bytes) -> Answers | None:
    """Return all answers; None if the superblock is refused."""
    try:
        files = opened(image)
    except InputError:
        return None
    return answers(files, 2000)


def test_damage_is_an_error_and_with_checksums_never_a_wrong_answer(sound: bytes) -> None:
    expected = answers(opened(sound))
    assert not expected.errors()
    blocks = [SUPERBLOCK] * 8 + metadata_of(sound)
    has_checksums = bool(opened(sound).superblock.s_feature_ro_compat & 0x400)
    chance = random.Random(len(blocks))
    refused = told = 0

    for _ in range(300 if IS_THOROUGH else 80):
        what, image = damaged(sound, chance, blocks)
        begin = time.process_time()
        found = asked(image)
        assert time.process_time() - begin < SECONDS, what
        if found is None:
            refused += 1
        elif has_checksums:
            assert found.wrong(expected) == [], what
        told += bool(found and found.errors())

    assert refused or not has_checksums
    assert told


def test_all_of_the_image_is_asked_for(sound: bytes) -> None:
    """The damage above is of all that a file system has."""
    found = answers(opened(sound))
    names = {name for values in found.xattrs.values() for name in values}

    assert len(found.inodes) == 90
    assert {b"user.in-inode", b"user.in-block", b"user.other", b"trusted.folder"} <= names
    assert max(map(len, (found.targets.values()))) == 300
    assert found.inodes[found.number_of(b"char")].rdev == (511, 60_000)
    assert len(found.contents[found.number_of(b"holes")][1][0]) == 120
    assert len(found.entries[found.number_of(b"many")]) == 70
