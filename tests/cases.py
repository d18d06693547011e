"""The cases in `fixtures/`: images of real pools and what the thin_* tools print of them.

Tests read the images unpacked, from a folder that all processes of a run share: to unpack
one takes longer than most commands do. What is read packed is a matter of
`tests.device.test_containers`, and of the output that the documents show.
"""

import atexit
import fcntl
import hashlib
import lzma
import os
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

UNPACKED = "THINMETA_TESTS_UNPACKED"
"""Names the folder that the processes of one run of the tests share."""

_PIECE = 1 << 18
_ZEROS = bytes(_PIECE)
_FOLDER = tempfile.TemporaryDirectory(prefix="thinmeta-tests-")
atexit.register(_FOLDER.cleanup)


@dataclass(frozen=True)
class Recorded:
    """One recorded run of a reference tool on an image."""

    case: str
    image: str
    name: str
    tool: str
    version: str
    args: tuple[str, ...]
    exit_code: int
    stdout_file: str
    stderr: str

    def __str__(self) -> str:
        return f"{self.case}/{self.image}/{self.name}-{self.version}"

    def stdout(self) -> bytes:
        if not self.stdout_file:
            return b""
        path = FIXTURES / self.case / self.stdout_file
        return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()

    def image_path(self) -> Path:
        return unpacked(self.case, self.image)


@cache
def case(name: str) -> dict[str, Any]:
    return tomllib.loads((FIXTURES / name / "CASE.toml").read_text())


def case_names() -> list[str]:
    return sorted(path.parent.name for path in FIXTURES.glob("*/CASE.toml"))


def image_names() -> list[tuple[str, str]]:
    return [(name, image["name"]) for name in case_names() for image in case(name)["images"]]


def packed_image(case_name: str, image: str = "meta") -> Path:
    """Return the path of the compressed image; every reader takes it as it is."""
    return FIXTURES / case_name / f"{image}.bin.xz"


@cache
def unpacked(case_name: str, image: str = "meta") -> Path:
    """Return an image unpacked into a sparse file, which no test may write to."""
    name = f"{case_name}-{image}.bin".replace("/", "-")
    target = Path(os.environ.get(UNPACKED, _FOLDER.name), name)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _unpack(packed_image(case_name, image), target)
    return target


def _unpack(packed_path: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    with lzma.open(packed_path) as packed, part.open("wb") as file:
        size = 0
        while piece := packed.read(_PIECE):
            if piece != _ZEROS:
                file.seek(size)
                file.write(piece)
            size += len(piece)
        file.truncate(size)
    part.chmod(0o444)
    part.rename(target)


@lru_cache(maxsize=4)  # all of them are gigabytes
def image_bytes(case_name: str, image: str = "meta") -> bytes:
    """Return the image unpacked, and prove that it is the one that was recorded."""
    content = lzma.decompress(packed_image(case_name, image).read_bytes())
    expected = next(each for each in case(case_name)["images"] if each["name"] == image)
    assert hashlib.sha256(content).hexdigest() == expected["sha256"]
    return content


def recorded(tool: str) -> list[Recorded]:
    """Return every recorded run of `tool`, of both versions."""
    return [
        Recorded(
            case=name,
            image=image["name"],
            name=output["name"],
            tool=output["tool"],
            version=output["version"],
            args=tuple(output["args"]),
            exit_code=output["exit_code"],
            stdout_file=output["stdout"],
            stderr=output["stderr"],
        )
        for name in case_names()
        for image in case(name)["images"]
        for output in image["outputs"]
        if output["tool"] == tool
    ]
