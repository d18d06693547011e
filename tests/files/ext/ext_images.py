"""Images of ext2, ext3 and ext4, made by e2fsprogs, without root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ENVIRONMENT = {
    "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
    "E2FSPROGS_FAKE_TIME": "1700000000",
    "MKE2FS_CONFIG": "/dev/null",
}
"""Images are the same whenever and wherever they are made."""

needs_e2fsprogs = pytest.mark.skipif(
    not shutil.which("mke2fs", path=ENVIRONMENT["PATH"]), reason="e2fsprogs is not installed"
)

EXT2 = "ext_attr,dir_index,filetype,large_file,sparse_super"
EXT3 = f"{EXT2},has_journal"
EXT4 = f"{EXT3},extents,64bit,flex_bg,metadata_csum,extra_isize,huge_file,dir_nlink"
"""What Debian's mke2fs gives each kind, but for resize_inode, which some others exclude."""


def run(*command: str | Path, stdin: str = "", good: tuple[int, ...] = (0,)) -> str:
    """Run a command, which must end well; return what it prints."""
    ran = subprocess.run(
        command, check=False, capture_output=True, input=stdin, text=True, env=ENVIRONMENT
    )
    assert ran.returncode in good, f"{command}: {ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr


def mke2fs(image: Path, kib: int, *options: str | Path, features: str = EXT4) -> Path:
    """Make a file system of so many KiB; return its path."""
    image.unlink(missing_ok=True)
    run(
        "mke2fs",
        *("-q", "-F", "-U", "01234567-89ab-cdef-0123-456789abcdef", "-m", "0"),
        *("-E", "hash_seed=fedcba98-7654-3210-fedc-ba9876543210,lazy_itable_init=0"),
        *("-O", f"none,{features}"),
        *options,
        *(image, f"{kib}k"),
    )
    return image


def debugfs(image: Path, *commands: str) -> str:
    """Run commands of debugfs, which may write to the image."""
    return run("debugfs", "-w", "-f", "-", image, stdin="\n".join(commands))
