"""ACLs in the form of ext4 become those of the system call."""

import pytest

from thinmeta.files.ext.acl_entries import as_xattr
from thinmeta.files.file_system import FileError

ON_DISK = "010000000100060002000400210000000400040008000700640000001000070020000000"
AS_XATTR = (
    "02000000" "01000600ffffffff" "0200040021000000" "04000400ffffffff"
    "0800070064000000" "10000700ffffffff" "20000000ffffffff"
)  # fmt: skip
"""u::rw, u:33:r, g::r, g:100:rwx, m::rwx, o::-."""


@pytest.mark.parametrize(("disk", "expected"), [(ON_DISK, AS_XATTR), ("01000000", "02000000")])
def test_an_acl_is_as_the_system_call_returns_it(disk: str, expected: str) -> None:
    assert as_xattr(bytes.fromhex(disk)).hex() == expected


@pytest.mark.parametrize(
    ("disk", "why"),
    [
        ("", "of an unknown version"),
        ("010000", "of an unknown version"),
        ("02000000", "of an unknown version"),
        ("01000000010006", "ends within an entry"),
        ("01000000020004002100", "ends within an entry"),
        ("0100000003000600", "of the unknown kind 3"),
    ],
)
def test_what_is_no_acl_is_an_error(disk: str, why: str) -> None:
    with pytest.raises(FileError, match=why):
        as_xattr(bytes.fromhex(disk))
