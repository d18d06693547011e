"""What is in the volumes of a case: every file, as find and sha256sum told it of a mount."""

import tarfile
from functools import cache
from typing import NamedTuple

from tests.cases import FIXTURES


class RecordedFiles(NamedTuple):
    """What was recorded of one volume.

    Attributes:
        lines: of find with `%y %m %U:%G %s %T@ %p -> %l`, without line ends.
        sha256: of each file, by its path, which begins with `./`.
    """

    lines: list[bytes]
    sha256: dict[bytes, str]


@cache
def recorded_by_name(case_name: str) -> dict[str, RecordedFiles]:
    """Return what was recorded of a case's volumes, by what the recordings are called."""
    with tarfile.open(FIXTURES / case_name / "truth/files.tar.xz") as archive:
        texts = {
            member.name: file.read().splitlines()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    return {
        name.removesuffix(".find.txt"): RecordedFiles(
            lines,
            {line[66:]: line[:64].decode() for line in texts[name.replace("find.txt", "sha256")]},
        )
        for name, lines in texts.items()
        if name.endswith(".find.txt")
    }


def recorded_files(case_name: str) -> dict[int, RecordedFiles]:
    """Return what was recorded of the volumes that are called by their device ids."""
    found = recorded_by_name(case_name).items()
    return {int(name): files for name, files in found if name.isdigit()}
