"""Headers of pax, as GNU tar reads them."""

import subprocess
from stat import S_IFDIR

import pytest

from thinmeta.archive.pax_headers import PaxHeaders
from thinmeta.archive.tree_archive import ArchivedFile
from thinmeta.archive.ustar import DIRECTORY, END, rendered
from thinmeta.files.file_system import Inode


@pytest.mark.parametrize("name", ["user.plain", "user.a=b", "user.==", "user.50%", "user.%3D%25"])
def test_gnu_tar_sees_an_attribute_by_the_name_that_it_has(name: str) -> None:
    inode = Inode(12, S_IFDIR | 0o755, 0, 0, 2, 0, 0, 0, 0)
    parts, _ = PaxHeaders().parts(
        ArchivedFile(b"./", DIRECTORY, inode), {name.encode(): b"v=\0\n1"}
    )

    listed = subprocess.run(
        ["tar", "--xattrs", "--xattrs-include=*", "-tvvf", "-"],
        input=b"".join(rendered(parts)) + END,
        check=True,
        capture_output=True,
    )

    assert listed.stdout.decode().splitlines()[1:] == [f"  x: 5 {name}"]
