"""What the running kernel says of a path: who holds it, and which pools are active."""

import os
from pathlib import Path
from typing import NamedTuple

from thinmeta.device.part_of_file import PartOfFile
from thinmeta.errors import InputError

SYSFS = Path("/sys")

DMSETUP_ENVIRONMENT = "THINMETA_DMSETUP"
"""Names the dmsetup to run, instead of the one that is installed."""

_SYSTEM_FOLDERS = "/usr/sbin:/sbin"


class ActivePool(NamedTuple):
    """One active thin-pool: its dm name and the path of its metadata device."""

    name: str
    metadata: Path


def holders_of(path: Path, sysfs: Path = SYSFS) -> list[str]:
    """Return the names of the devices stacked on `path`, dm names where there are any.

    A regular file is held when a loop device over it is, as in Docker's loop-lvm; a part of a
    file, `FILE@OFFSET`, when the file is.
    """
    path = PartOfFile.of(path).path
    status = path.stat()
    if status.st_rdev:
        return _holders(
            sysfs / "dev/block" / f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        )
    return [
        holder
        for backing in sysfs.glob("block/loop*/loop/backing_file")
        if _is_same_file(path, backing)
        for holder in _holders(backing.parent.parent)
    ]


def active_pools() -> list[ActivePool]:
    """Return the thin-pools that are active on this machine, by name.

    Raises:
        InputError: device-mapper cannot be asked.
    """
    import subprocess

    dmsetup = _dmsetup()
    try:
        asked = subprocess.run(  # noqa: S603  # our own words, no shell
            [dmsetup, "table", "--target", "thin-pool"], capture_output=True, check=False
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{dmsetup}: cannot be run: {reason}, so active pools cannot be found"
        ) from error
    if asked.returncode:
        said = os.fsdecode(asked.stderr).strip().splitlines()
        what = said[-1] if said else f"exit code {asked.returncode}"
        raise InputError(f"dmsetup, which needs root, cannot list the active pools: {what}")
    return parse_pool_tables(os.fsdecode(asked.stdout))


def _dmsetup() -> str:
    """Return where dmsetup is.

    Root does not run what others may have put into a folder of PATH.
    """
    import shutil

    if named := os.environ.get(DMSETUP_ENVIRONMENT):
        return named
    folders = os.environ.get("PATH", os.defpath)
    path = f"{_SYSTEM_FOLDERS}:{folders}" if os.geteuid() == 0 else f"{folders}:{_SYSTEM_FOLDERS}"
    found = shutil.which("dmsetup", path=path)
    if found is None:
        raise InputError(
            "dmsetup is not installed (it is in the package dmsetup or device-mapper), "
            "so active pools cannot be found"
        )
    return found


def parse_pool_tables(text: str) -> list[ActivePool]:
    """Return the pools in what `dmsetup table --target thin-pool` printed.

    A line is `NAME: START LENGTH thin-pool METADATA DATA BLOCK_SIZE LOW_WATER ...`;
    with none active dmsetup prints `No devices found`.
    """
    pools = []
    for line in text.splitlines():
        name, _, table = line.partition(": ")
        words = table.split()
        if len(words) > 3 and words[2] == "thin-pool":
            device = words[3]
            path = Path("/dev/block") / device if ":" in device else Path(device)
            pools.append(ActivePool(name, path))
    return sorted(pools, key=lambda pool: pool.name)


def _holders(block_directory: Path) -> list[str]:
    names = []
    for holder in sorted(block_directory.glob("holders/*")):
        try:
            names.append((holder / "dm/name").read_text().strip())
        except OSError:
            names.append(holder.name)
    return names


def _is_same_file(path: Path, backing: Path) -> bool:
    try:
        return path.samefile(backing.read_text().rstrip("\n"))
    except OSError:
        return False
