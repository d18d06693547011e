"""A tar of a tree: what is left out, what is zeros, and what ends it."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

import thinmeta
from tests.cases import FIXTURES, unpacked
from thinmeta.archive.docker_export import DockerHeaders
from thinmeta.archive.tree_archive import TreeArchive
from thinmeta.files.container_root import container_root
from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.file_tree import find, walk
from thinmeta.files.opened_files import OpenedFiles, open_file_system
from thinmeta.files.reading import ByteSource, Missing, VolumeSource
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable

CASE = "docker-loop-lvm-xfs-64k"
BLOB = b"root/blob.bin"


class Holed:
    """A source of which a part cannot be had, which is known before it is read or is not."""

    def __init__(self, below: ByteSource, begin: int, end: int, *, is_known: bool) -> None:
        self.name, self.size = below.name, below.size
        cause = Unreadable(begin, end - begin, 0, Source.DATA, "disk", begin, 0, "bad sector")
        self._below, self._hole, self._is_known = (
            below,
            Missing(begin, end - begin, cause),
            is_known,
        )

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        yield from self._below.fill(view, begin)
        part = self._hole.moved(begin, begin + len(view))
        if part.length > 0:
            view[part.begin - begin : part.end - begin] = bytes(part.length)
            yield part

    def lost(self, begin: int, end: int) -> Iterable[Missing]:
        part = self._hole.moved(begin, end)
        return (part,) if self._is_known and part.length > 0 else ()


@contextmanager
def container(hole: tuple[int, int] = (0, 0), *, is_known: bool = True) -> Iterator[OpenedFiles]:
    """Open a real container's files; `hole` is in its blob."""
    names = thinmeta.NameSources(docker_root=FIXTURES / CASE / "docker-state")
    with (
        thinmeta.open_pool(unpacked(CASE), names=names) as pool,
        pool.device("dead1").open(unpacked(CASE, "data")) as volume,
    ):
        source = VolumeSource(volume)
        opened = open_file_system(source)
        place = int(opened.file_system.extents(inode_of(opened, BLOB)).place[0])
        holed = Holed(source, place + hole[0], place + hole[1], is_known=is_known)
        yield opened._replace(source=holed)


def root_of(opened: OpenedFiles) -> Inode:
    top = opened.file_system.inode(opened.file_system.root)
    root = container_root(opened.file_system, top)
    assert root is not None
    return root


def inode_of(opened: OpenedFiles, path: bytes) -> Inode:
    return find(opened.file_system, root_of(opened), path, follow=False).inode


def archived(opened: OpenedFiles, told: list[str], *, salvage: bool) -> bytes:
    def on_error(path: bytes, error: FileError) -> None:
        told.append(f"{path.decode()}: {error}")

    archive = TreeArchive(opened, DockerHeaders(), on_error, salvage=salvage)
    files = walk(opened.file_system, root_of(opened), b"", on_error)
    return b"".join(map(bytes, archive.pieces(files)))


def contents(archive: bytes) -> dict[str, bytes | None]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {
            each.name: file.read() if (file := opened.extractfile(each)) else None
            for each in opened
            if each.isdir() or each.isreg()
        }


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes | None]:
    told: list[str] = []
    with container() as opened:
        archive = archived(opened, told, salvage=False)
    assert told == []
    return contents(archive)


def test_a_file_of_which_a_part_is_known_to_be_lost_is_left_out(
    whole: dict[str, bytes | None],
) -> None:
    told: list[str] = []

    with container((5000, 9000)) as opened:
        archive = archived(opened, told, salvage=False)

    del whole[BLOB.decode()]
    assert contents(archive) == whole
    assert len(told) == 1
    assert told[0].startswith("root/blob.bin: is left out: bytes 5000..8999 of the file: disk: ")
    assert told[0].endswith("--salvage writes zeros in their place")


@pytest.mark.parametrize("is_known", [True, False])
def test_with_salvage_it_is_zeros_there(is_known: bool) -> None:
    told: list[str] = []

    with container((5000, 9000), is_known=is_known) as opened:
        salvaged = contents(archived(opened, told, salvage=True))
    with container() as opened:
        sound = contents(archived(opened, [], salvage=False))

    blob = sound[BLOB.decode()]
    assert blob is not None
    assert salvaged == {**sound, BLOB.decode(): blob[:5000] + bytes(4000) + blob[9000:]}
    assert len(told) == 1
    assert told[0].startswith("root/blob.bin: bytes 5000..8999 of the file: disk: ")
    assert told[0].endswith("they are zeros in the archive")


def test_what_turns_out_to_be_unreadable_ends_the_archive() -> None:
    with (
        container((5000, 9000), is_known=False) as opened,
        pytest.raises(FileError, match=r"bytes 5000\.\.8999 .*--salvage goes on, with zeros"),
    ):
        archived(opened, [], salvage=False)
