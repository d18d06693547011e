"""Every command with the least that it takes, for tests that hold for all of them."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click
import numpy as np

from tests.cases import FIXTURES
from tests.files.small_ext2 import small_ext2
from thinmeta.cli import main
from thinmeta.errors import ExitCode
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.superblock import Superblock

COMMANDS = main.list_commands(click.Context(main))

# What reads a pool and says something of it; the others make metadata or files, or need images or
# containers of Docker's.
NO_READERS = {
    *("as", "commit", "copy", "install-names", "lvm", "repair", "restore", "save", "size"),
    "undelete",
}
READERS = [each for each in COMMANDS if each not in NO_READERS]

# Where coverage is measured, a child would load what measures, and write to where it may not.
UNMEASURED = {name: os.environ[name] for name in os.environ if not name.startswith("COVERAGE")}

GOOD = "a08-snapshots-of-snapshots"
DATA_BLOCK_OF_GOOD = 0
"""What device 1 of it maps at block 0, of 64 KiB."""

# A data device of zeros, which anybody may read; device 1 of GOOD has an ext2.
DATA = tempfile.NamedTemporaryFile()  # noqa: SIM115  # until all tests have ended
os.truncate(DATA.name, 512 << 20)
os.pwrite(DATA.fileno(), small_ext2(), DATA_BLOCK_OF_GOOD * 65536)
os.chmod(DATA.name, 0o644)  # noqa: PTH101

# Docker's root, likewise: the checkout's fixtures may be where only root may enter.
DOCKER = tempfile.TemporaryDirectory()  # until all tests have ended
atexit.register(DOCKER.cleanup)
shutil.copytree(FIXTURES / "docker-loop-lvm-xfs-64k/docker-state", DOCKER.name, dirs_exist_ok=True)
os.chmod(DOCKER.name, 0o755)  # noqa: PTH101

# What a command takes besides the pool, so that it succeeds on GOOD.
MINIMAL: dict[str, tuple[str, ...]] = {
    "block": ("0", "1"),
    "cat": ("1", "/hello", "--data", DATA.name),
    "check": (),
    "copy": ("1", "/hello", "copied", "--data", DATA.name),
    "deleted": (),
    "diff": ("1", "2"),
    "dump": (),
    "export": ("1", "--data", DATA.name),
    "extract": ("1", "--data", DATA.name, "--size", "49152000"),
    "fate": ("1",),
    "files": ("1", "--data", DATA.name),
    "info": (),
    "layers": ("--docker-root", DOCKER.name),
    "lookup": ("1", "0"),
    "ls": (),
    "pack": (),
    "rmap": ("--region", "0..100"),
    "table": ("1", "--size", "64K"),
    "tar": ("1", "--data", DATA.name),
    "scan": (),
    "unpack": (),
}

# What is of use without a superblock, and how it ends.
WITHOUT_SUPERBLOCK = {"block": ExitCode.DONE, "scan": ExitCode.DONE}


def arguments(command: str, metadata: Path | str | bytes) -> list[Path | str | bytes]:
    """Return the least that makes `command` read `metadata`."""
    return [command, *MINIMAL[command], "--pool", metadata]


def with_roots(words: Sequence[str], metadata: Path) -> list[str]:
    """Return words of a command with the live roots of some metadata for `ROOTS`."""
    with metadata.open("rb") as file:
        superblock = np.fromfile(file, dtype=dtype_of(Superblock), count=1)[0]
    roots = f"{superblock['data_mapping_root']}:{superblock['device_details_root']}"
    return [word.replace("ROOTS", roots) for word in words]


def has_option(command: str, name: str) -> bool:
    found = main.get_command(click.Context(main), command)
    assert found is not None
    return any(name in param.opts for param in found.params)


def process(
    *args: Path | str | bytes, stdout: int | IO[bytes] = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "thinmeta", *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


def modules_after(args: list[str]) -> set[str]:
    """Return the modules that a run of the command has loaded when it ends."""
    script = (
        "import sys\n"
        "from thinmeta.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as done:\n"
        "    assert not done.code\n"
        "print('--', *sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *args],
        capture_output=True,
        text=True,
        check=True,
        env=UNMEASURED,
    )
    return set(ran.stdout.rpartition("-- ")[2].split())
