"""Docker's pools in `fixtures/`: what the command line says of them, and tars that Docker wrote."""

import tarfile
from functools import cache
from pathlib import Path

from tests.cases import FIXTURES, unpacked

ODD = "docker-files-direct-lvm-ext4-64k"
"""Files of every kind, and what Docker's export, save, commit and diff made of them."""


def docker_words(case: str, root: Path | None = None) -> list[object]:
    """Return the options for a case; `root` is a Docker root of a test's own."""
    docker = root or FIXTURES / case / "docker-state"
    return ["-p", unpacked(case), "--data", unpacked(case, "data"), "--docker-root", docker]


@cache
def recorded_tar(name: str) -> bytes:
    """Return a tar that `docker export` or `docker save` wrote."""
    with tarfile.open(FIXTURES / ODD / "docker-tars.tar.xz") as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()
