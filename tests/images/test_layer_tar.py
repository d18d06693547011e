"""A layer's tar: where in the volume the files are that it names."""

import pytest

from tests.files.made_trees import MemoryFiles, MemorySource
from thinmeta.files.file_system import FileError
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.files.part_of_source import pieces_of
from thinmeta.images.layer_tar import LayerFiles, LayerVolume
from thinmeta.images.tar_split import SplitFile
from thinmeta.volume.byte_ranges import NO_RANGES


def layer_files() -> LayerFiles:
    files = MemoryFiles()
    root = files.directory()
    folder = files.directory(files.directory(root, b"usr"), b"lib")
    files.file(folder, b"a", b"content")
    files.link(folder, b"link", b"a")
    files.link(root, b"lib", b"usr/lib")
    files.link(root, b"lib64", b"/usr/lib")
    files.link(root, b"out", b"../../../etc")
    files.link(root, b"circle", b"circle")
    source = MemorySource(b"")
    opened = OpenedFiles(files, source, 0, None, NO_RANGES, pieces_of(source))
    return LayerFiles(LayerVolume(opened, files.inode(root)))


def made(name: bytes, size: int = 7) -> bytes:
    parts = layer_files().tar([b"<", SplitFile(name, size, None), b">"])
    return b"".join(map(bytes, parts))


@pytest.mark.parametrize(
    "name",
    [b"usr/lib/a", b"./usr/lib/a", b"/usr/lib/a", b"lib/a", b"lib64/a", b"usr/../lib/./a"],
)
def test_a_file_is_found_through_links_to_its_folder(name: bytes) -> None:
    assert made(name) == b"<content>"


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"a",
        b"usr/lib",
        b"usr/lib/link",
        b"out/passwd",
        b"circle/a",
        b"usr/lib/a/b",
        b"\0",
        b"..",
    ],
)
def test_a_name_that_leads_to_no_such_file(name: bytes) -> None:
    with pytest.raises(FileError):
        made(name)
