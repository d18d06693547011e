"""What the kernel encrypted is refused file by file; all else is read."""

# ruff: noqa: PTH211 - paths are bytes

import fcntl
import os
import struct
from pathlib import Path

import pytest

from tests.files.ext.ext_images import EXT4, mke2fs, needs_e2fsprogs
from tests.files.filling import folder, write
from tests.files.image_source import opened_image
from tests.files.mounted import mounted
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.file_system import DirectoryError, FileError, Inode

pytestmark = [pytest.mark.loop_device, needs_e2fsprogs]

ADD_KEY, SET_POLICY = 0xC0506617, 0x800C6613
BY_IDENTIFIER, AES_256_XTS, AES_256_CTS = 2, 1, 4
KEY = bytes(range(64))


def encrypt(path: bytes) -> None:
    """Have the kernel encrypt all that will be put into a folder.

    Source: `struct fscrypt_add_key_arg`, `struct fscrypt_policy_v2`, include/uapi/linux/fscrypt.h.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        key = bytearray(struct.pack("<I36xI36x", BY_IDENTIFIER, len(KEY)) + KEY)
        fcntl.ioctl(fd, ADD_KEY, key)
        modes = struct.pack("4B4x", 2, AES_256_XTS, AES_256_CTS, 0)
        fcntl.ioctl(fd, SET_POLICY, modes + key[8:24])
    except OSError as error:
        pytest.skip(f"this kernel does not encrypt: {error}")
    finally:
        os.close(fd)


def test_what_is_encrypted_is_refused(tmp_path: Path) -> None:
    image = mke2fs(tmp_path / "image", 16 << 10, "-b", "4096", features=f"{EXT4},encrypt")
    with mounted(image, tmp_path / "mount") as root:
        write(root + b"/plain", b"plain")
        secret = folder(root + b"/secret")
        encrypt(secret)
        write(secret + b"/file", b"content")
        os.symlink(b"where", secret + b"/link")
        os.setxattr(secret, b"user.name", b"value")
        numbers = {each.name: os.lstat(each.path).st_ino for each in os.scandir(secret)}

    with opened_image(image) as cache:
        files = Ext4(cache)
        entries = {each.name: each.number for each in files.entries(files.inode(files.root))}
        inside: dict[bytes, Inode] = {name: files.inode(number) for name, number in numbers.items()}

        assert {*entries} == {b"plain", b"secret", b"lost+found"}
        assert len(files.extents(files.inode(entries[b"plain"]))) == 1
        folder_inode = files.inode(entries[b"secret"])
        with pytest.raises(DirectoryError, match=f"inode {folder_inode.number}: it is encrypted"):
            files.entries(folder_inode)
        assert dict(files.xattrs(folder_inode)) == {b"user.name": b"value"}
        assert inside[b"file"].size == len(b"content")
        for inode in inside.values():
            with pytest.raises(FileError, match=f"inode {inode.number}: it is encrypted"):
                files.extents(inode)
            assert dict(files.xattrs(inode)) == {}
        with pytest.raises(FileError, match="it is encrypted"):
            files.link_target(inside[b"link"])
