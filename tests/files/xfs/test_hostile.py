"""Damage anywhere in an XFS: documented errors, in time; with checksums, never a wrong answer."""

import random
import re
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.files.image_source import BytesSource
from tests.files.listing import refuse_wrong_outline
from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.prototype import prepared
from tests.files.xfs.small_images import small_image
from tests.needs import IS_THOROUGH
from thinmeta.errors import InputError
from thinmeta.files.file_system import DirectoryError, Entry, FileError, Inode
from thinmeta.files.reading import Cache
from thinmeta.files.xfs import dinodes, metadata_blocks, xfs_geometry
from thinmeta.files.xfs.xfs_file_system import Xfs

pytestmark = [needs_xfsprogs, pytest.mark.fuzz]

CASES = 120 if IS_THOROUGH else 25
MOST_SECONDS = 20
"""A walk takes a fiftieth of a second; a busy machine stretches that."""

ERROR = "error"


class Watched(Cache):
    """Knows what was read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(BytesSource(content))
        self.read_parts: dict[tuple[int, int], None] = {}

    def read(self, begin: int, length: int) -> bytes:
        self.read_parts[begin, length] = None
        return super().read(begin, length)


class Survey(NamedTuple):
    """All that is read of a file system; by path, an answer a question, or `ERROR`."""

    answers: dict[bytes, dict[str, Any]]
    nr_errors: int


def survey(cache: Cache) -> Survey:
    files = Xfs(cache)
    answers: dict[bytes, dict[str, Any]] = {}
    errors: list[str] = []

    def asked(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except FileError as error:
            errors.append(str(error))
            return ERROR

    pending = [(b".", files.root, 0)]
    while pending:
        path, number, depth = pending.pop()
        if path in answers or depth > 100:  # a damaged directory may lead back
            continue
        inode = asked(partial(files.inode, number))
        answers[path] = {"inode": inode}
        if isinstance(inode, Inode):
            refuse_wrong_outline(files, inode)
        if not isinstance(inode, Inode):
            continue
        entries: list[Entry] = []
        if inode.is_directory:
            try:
                entries = list(files.entries(inode))
            except DirectoryError as error:
                errors.append(str(error))
                entries = list(error.found)
        pending += [(path + b"/" + each.name, each.number, depth + 1) for each in entries]
        answers[path] |= {
            "xattrs": asked(partial(files.xattrs, inode)),
            "extents": asked(partial(extents_of, files, inode)),
        }
        if stat.S_ISLNK(inode.mode):
            answers[path]["target"] = asked(partial(files.link_target, inode))
    assert [error for error in errors if not re.match(r"inode \d+: .", error)] == []
    return Survey(answers, len(errors))


def extents_of(files: Xfs, inode: Inode) -> list[list[int]]:
    extents = files.extents(inode)
    return [column.tolist() for column in (extents.begin, extents.length, extents.place)]


class Made(NamedTuple):
    """An image, what is in it, and where what was read of it is."""

    content: bytes
    sound: Survey
    parts: list[tuple[int, int]]
    is_v4: bool


@pytest.fixture(scope="module", params=["version 5", "version 4", "large blocks"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    if request.param == "large blocks":
        folder = tmp_path_factory.mktemp("xfs")
        options = ("-b", "size=2048", "-i", "nrext64=1,size=1024", "-n", "size=8192")
        content = prepared(folder, 24 << 20, 450, *options).read_bytes()
    else:
        content = small_image(int(request.param[-1]))
    cache = Watched(content)
    return Made(content, survey(cache), list(cache.read_parts), request.param == "version 4")


def damages(made: Made, seeds: range) -> Iterator[tuple[int, BytesSource]]:
    """Return damaged images, each with its seed."""
    for seed in seeds:
        chance = random.Random(seed)
        damage: dict[int, bytes] = {}
        for _ in range(chance.choice((1, 1, 1, 4))):
            begin, length = chance.choice(made.parts)
            kind = chance.randrange(5)
            if kind == 0:  # another block, of this file system or of none
                other, _ = chance.choice(made.parts)
                damage[begin] = chance.choice((made.content[other : other + 512], bytes(512)))
            elif kind == 1:  # a number that is very large, or 0
                at = begin + 2 * chance.randrange(min(length, 256) // 2)
                damage[at] = chance.choice((b"\0", b"\xff", b"\x7f")) * chance.choice((1, 2, 4, 8))
            else:
                at = begin + chance.randrange(chance.choice((length, min(length, 200))))
                flipped = made.content[at] ^ (1 << chance.randrange(8))
                damage[at] = bytes([flipped])
        yield seed, BytesSource(made.content, damage)


def surveyed(source: BytesSource) -> Survey | str:
    """Return what is in an image, or why it is refused."""
    began = time.monotonic()
    found: Survey | str
    try:
        found = survey(Cache(source))
    except InputError as error:
        found = str(error)
    assert time.monotonic() - began < MOST_SECONDS
    return found


def test_the_sound_image_is_read_without_an_error(made: Made) -> None:
    assert made.sound.nr_errors == 0
    assert len(made.sound.answers) > 500


def test_an_answer_is_right_or_an_error(made: Made) -> None:
    nr_harmed = 0
    for seed, source in damages(made, range(CASES)):
        found = surveyed(source)
        if isinstance(found, str):
            nr_harmed += 1
            continue
        nr_harmed += found.nr_errors > 0
        if made.is_v4:
            continue  # nothing there tells what is damaged from what is not
        wrong = [
            (path, question, answer)
            for path, answers in found.answers.items()
            for question, answer in answers.items()
            if answer is not ERROR and answer != made.sound.answers.get(path, {}).get(question)
        ]
        assert wrong == [], f"seed {seed}"
        assert found.nr_errors or found == made.sound, f"seed {seed}"

    assert nr_harmed > CASES // 10


def test_right_checksums_make_no_other_errors(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes a hostile file system makes its checksums, too."""
    monkeypatch.setattr(xfs_geometry, "crc_with_zeros", stored_crc)
    monkeypatch.setattr(metadata_blocks, "crc_with_zeros", stored_crc)
    monkeypatch.setattr(
        dinodes,
        "crcs_with_zeros",
        lambda rows, place: rows[:, place : place + 4].copy().view("<u4")[:, 0],
    )
    refused = [
        found
        for _, source in damages(made, range(10_000, 10_000 + CASES))
        if isinstance(found := surveyed(source), str)
    ]

    assert len(refused) < CASES // 2


def stored_crc(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "little")


@pytest.mark.parametrize("size", [0, 4, 511, 512, 4096, 100_000, 3 << 20])
def test_an_image_that_is_cut_off_is_told(size: int, made: Made) -> None:
    found = surveyed(BytesSource(made.content[:size]))

    assert isinstance(found, str) or found.nr_errors


def test_noise_is_refused() -> None:
    assert surveyed(BytesSource(random.Random(1).randbytes(100_000))) == (
        "image: the XFS superblock cannot be believed: its magic is wrong"
    )
