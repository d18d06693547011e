"""Layers made of what changed between two devices: byte for byte those that Docker made."""

import io
import json
import stat
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

import thinmeta
from tests.cases import FIXTURES, unpacked
from tests.docker_cases import ODD, recorded_tar
from tests.files.made_trees import MemoryFiles, MemorySource
from thinmeta.archive.docker_export import DockerHeaders
from thinmeta.archive.layer_archive import LayerMember, layer_members, layer_pieces
from thinmeta.archive.tree_archive import TreeArchive
from thinmeta.files.container_root import container_root
from thinmeta.files.file_changes import ComparedTree
from thinmeta.files.file_system import FileError
from thinmeta.files.opened_files import OpenedFiles, open_file_system
from thinmeta.files.part_of_source import pieces_of
from thinmeta.files.reading import VolumeSource
from thinmeta.volume.byte_ranges import NO_RANGES


def refuse(path: bytes, error: FileError) -> None:
    raise AssertionError((path, error))


def recorded_layers(name: str) -> list[bytes]:
    """Return the layers of an image that Docker saved, the lowest first."""
    with tarfile.open(fileobj=io.BytesIO(recorded_tar(name))) as archive:

        def read(member: str) -> bytes:
            file = archive.extractfile(member)
            assert file is not None
            return file.read()

        entries: list[Any] = json.loads(read("manifest.json"))
        entry = max(entries, key=lambda entry: len(entry["Layers"]))
        return [read(layer) for layer in entry["Layers"]]


@contextmanager
def opened_devices(*names: str) -> Iterator[list[tuple[OpenedFiles, ComparedTree]]]:
    """Open the files of Docker devices."""
    sources = thinmeta.NameSources(docker_root=FIXTURES / ODD / "docker-state")
    found = []
    with ExitStack() as stack:
        pool = stack.enter_context(thinmeta.open_pool(unpacked(ODD), names=sources))
        for name in names:
            volume = stack.enter_context(pool.device(name).open(unpacked(ODD, "data")))
            opened = open_file_system(VolumeSource(volume))
            top = opened.file_system.inode(opened.file_system.root)
            root = container_root(opened.file_system, top)
            assert root is not None
            found.append((opened, ComparedTree(opened.file_system, root, refuse)))
        yield found


def made(opened: OpenedFiles, members: list[LayerMember], like: bytes) -> bytes:
    """Return the tar of a layer with the names and the times of another."""
    users, groups, times = {}, {}, {}
    with tarfile.open(fileobj=io.BytesIO(like), errors="surrogateescape") as archive:
        for member in archive:
            name = member.name.encode(errors="surrogateescape")
            if b".wh." in name:
                times[name.replace(b".wh.", b"")] = int(member.mtime)
            else:
                users[member.uid] = member.uname.encode()
                groups[member.gid] = member.gname.encode()
    files = TreeArchive(opened, DockerHeaders(users, groups), refuse, salvage=False)
    pieces = layer_pieces(files, opened.file_system, members, times.__getitem__, refuse)
    return b"".join(map(bytes, pieces))


@pytest.mark.parametrize(
    ("lower", "upper", "saved", "place"),
    [
        ("odd:base", "4", "docker-save.tar", 1),
        ("4", "odd:built", "docker-save.tar", 2),
        # The image's own device has no times before 1970, which Docker does not unpack.
        ("odd-init", "odd", "docker-save-committed.tar", 3),
    ],
)
def test_a_layer_is_what_docker_made(lower: str, upper: str, saved: str, place: int) -> None:
    layer = recorded_layers(saved)[place]
    with opened_devices(lower, upper) as [(_, left), (opened, right)]:
        found = made(opened, layer_members(left, right), layer)

    assert found == layer


def test_the_lowest_layer_is_all_files() -> None:
    with opened_devices("odd:base") as [(opened, tree)]:
        members = layer_members(None, tree)
        found = made(opened, members, layers := recorded_layers("docker-save.tar")[0])

    with (
        tarfile.open(fileobj=io.BytesIO(found)) as archive,
        tarfile.open(fileobj=io.BytesIO(layers)) as recorded,
    ):
        expected = {each.name.removeprefix("./"): each.size for each in recorded}
        assert {each.name: each.size for each in archive} == {
            name: size for name, size in expected.items() if name not in ("", ".")
        }


def add_file(files: MemoryFiles, folder: int, *names: bytes, content: bytes, mtime: int) -> None:
    values = {"nlink": len(names), "size": len(content), "mtime": mtime * 10**9}
    number = files.add(stat.S_IFREG | 0o644, **values)
    files.inlines[number] = content
    for name in names:
        files.enter(folder, name, number)


def layer_of(left: MemoryFiles, right: MemoryFiles, told: list[bytes]) -> list[tuple[Any, ...]]:
    """Return type, name, link and content of what is in the layer that makes one of the other."""

    def tell(path: bytes, _: FileError) -> None:
        told.append(path)

    trees = [ComparedTree(each, each.inode(each.root), tell) for each in (left, right)]
    source = MemorySource(b"")
    opened = OpenedFiles(right, source, 0, None, NO_RANGES, pieces_of(source))
    archive = TreeArchive(opened, DockerHeaders(), tell, salvage=False)
    pieces = layer_pieces(archive, right, layer_members(*trees), lambda _: 0, tell)
    with tarfile.open(fileobj=io.BytesIO(b"".join(map(bytes, pieces)))) as made:
        return [
            (each.type, each.name, each.linkname, file.read() if file else b"")
            for each in made
            for file in [made.extractfile(each) if each.isreg() else None]
        ]


def test_links_of_one_file_are_links_as_far_as_they_changed() -> None:
    left, right = MemoryFiles(), MemoryFiles()
    for files in (left, right):
        files.directory()
    add_file(left, 2, b"linked", content=b"old", mtime=5)
    add_file(left, 2, b"a", b"b", content=b"was", mtime=5)
    add_file(right, 2, b"linked", b"anew", content=b"old", mtime=5)
    add_file(right, 2, b"a", b"b", b"c", content=b"is now", mtime=6)

    assert layer_of(left, right, []) == [
        (tarfile.REGTYPE, "a", "", b"is now"),
        (tarfile.REGTYPE, "anew", "", b"old"),
        (tarfile.LNKTYPE, "b", "a", b""),
        (tarfile.LNKTYPE, "c", "a", b""),
    ]


def test_a_folder_that_became_a_file_and_one_that_was_a_file() -> None:
    left, right = MemoryFiles(), MemoryFiles()
    for files in (left, right):
        files.directory()
    add_file(left, left.directory(2, b"folder"), b"in it", content=b"1", mtime=5)
    add_file(left, 2, b"file", content=b"2", mtime=5)
    add_file(left, left.directory(left.directory(2, b"gone"), b"below"), b"x", content=b"", mtime=5)
    add_file(right, right.directory(2, b"file"), b"in it", content=b"1", mtime=5)
    add_file(right, 2, b"folder", content=b"2", mtime=5)

    assert layer_of(left, right, []) == [
        (tarfile.DIRTYPE, "file", "", b""),
        (tarfile.REGTYPE, "file/in it", "", b"1"),
        (tarfile.REGTYPE, "folder", "", b"2"),
        (tarfile.REGTYPE, ".wh.gone", "", b""),
    ]


def test_no_name_removes_another_file() -> None:
    left, right, told = MemoryFiles(), MemoryFiles(), list[bytes]()
    for files in (left, right):
        add_file(files, files.directory(), b"kept", content=b"", mtime=5)
    add_file(left, 2, b".wh..opq", content=b"", mtime=5)  # .wh..wh..opq empties a folder
    add_file(right, 2, b".wh.kept", content=b"", mtime=5)
    add_file(right, right.directory(2, b".wh.folder"), b"in it", content=b"", mtime=5)
    add_file(right, 2, b"a.wh.b", content=b"", mtime=5)

    assert layer_of(left, right, told) == [(tarfile.REGTYPE, "a.wh.b", "", b"")]
    assert told == [b".wh..opq", b".wh.folder", b".wh.folder/in it", b".wh.kept"]


def test_what_docker_does_not_see_is_found_by_ctime() -> None:
    # The container linked one of them once more, and changed an attribute of another.
    members = []
    for by_ctime in (False, True):
        with opened_devices("odd-init", "odd") as [(_, left), (_, right)]:
            members.append(layer_members(left, right, by_ctime=by_ctime))

    more = {member.path for member in members[1]} - {member.path for member in members[0]}
    assert more == {b"change/attribute", b"change/same", b"change/same-2"}
