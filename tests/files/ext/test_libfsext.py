"""Another reader, written by others, finds the same files at the same places.

libfsext 20260821 has names as text only, attributes of more than 60 bytes wrong and device
numbers of 8 bits; what it is asked for here it has right.
"""

import stat
from collections.abc import Iterator

import pytest

from tests.files.ext.test_recorded_ext import DOCKER, LVM, opened
from tests.files.listing import every_file
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.file_system import FileSystem, Inode
from thinmeta.files.reading import Cache, VolumeSource
from thinmeta.volume.contents import Volume


class Sized:
    """A volume as libfsext wants it."""

    def __init__(self, volume: Volume) -> None:
        self.read, self.seek, self.tell = volume.read, volume.seek, volume.tell
        self._size = volume.size

    def get_size(self) -> int:
        return self._size


def libfsext_files(volume: Volume) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    opened_volume = pytest.importorskip("pyfsext").volume()
    opened_volume.open_file_object(Sized(volume))
    pending = [(b".", opened_volume.get_root_directory())]
    while pending:
        path, entry = pending.pop()
        is_directory = stat.S_ISDIR(entry.get_file_mode())
        if is_directory:
            below = [
                entry.get_sub_file_entry(number)
                for number in range(entry.get_number_of_sub_file_entries())
            ]
            pending += [(path + b"/" + each.get_name().encode(), each) for each in below]
        extents = [entry.get_extent(number) for number in range(entry.get_number_of_extents())]
        is_file = stat.S_ISREG(entry.get_file_mode())
        yield (
            path,
            (
                entry.get_inode_number(),
                entry.get_file_mode(),
                entry.get_owner_identifier(),
                entry.get_group_identifier(),
                entry.get_number_of_links(),
                entry.get_access_time_as_integer(),
                entry.get_modification_time_as_integer(),
                entry.get_inode_change_time_as_integer(),
                entry.get_size() if is_file else None,
                [(at, size) for at, size, flags in extents if not flags] if is_file else None,
            ),
        )


def read(files: FileSystem, inode: Inode) -> tuple[object, ...]:
    extents = files.extents(inode)
    places = list(zip(extents.place.tolist(), extents.length.tolist(), strict=True))
    is_file = stat.S_ISREG(inode.mode)
    return (
        *inode[:5],
        inode.atime,
        inode.mtime,
        inode.ctime,
        inode.size if is_file else None,
        places if is_file else None,
    )


@pytest.mark.parametrize(("case", "device_id"), [(DOCKER, 29), (DOCKER, 8), (LVM, 4)])
def test_libfsext_finds_the_same(case: str, device_id: int) -> None:
    with opened(case, device_id) as volume:
        expected = dict(libfsext_files(volume))
        files = Ext4(Cache(VolumeSource(volume)))
        found = {path: read(files, inode) for path, inode in every_file(files)}

    assert found == expected
