"""Layers made of what changed between two devices: byte for byte those that Docker made."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

import thinmeta
from tests.cases import FIXTURES, unpacked
from tests.docker_cases import ODD, recorded_tar
from thinmeta.archive.docker_export import DockerHeaders
from thinmeta.archive.layer_archive import LayerMember, layer_members, layer_pieces
from thinmeta.archive.tree_archive import TreeArchive
from thinmeta.files.container_root import container_root
from thinmeta.files.file_changes import ComparedTree
from thinmeta.files.file_system import FileError
from thinmeta.files.opened_files import OpenedFiles, open_file_system
from thinmeta.files.reading import VolumeSource


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


def test_what_docker_does_not_see_is_found_by_ctime() -> None:
    # The container linked one of them once more, and changed an attribute of another.
    members = []
    for by_ctime in (False, True):
        with opened_devices("odd-init", "odd") as [(_, left), (_, right)]:
            members.append(layer_members(left, right, by_ctime=by_ctime))

    more = {member.path for member in members[1]} - {member.path for member in members[0]}
    assert more == {b"change/attribute", b"change/same", b"change/same-2"}
