"""The cases in `fixtures/`: images of real pools and what the thin_* tools print of them."""

import hashlib
import lzma
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


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
        return packed_image(self.case, self.image)


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
def image_bytes(case_name: str, image: str = "meta") -> bytes:
    """Return the image unpacked, and prove that it is the one that was recorded."""
    unpacked = lzma.decompress(packed_image(case_name, image).read_bytes())
    expected = next(each for each in case(case_name)["images"] if each["name"] == image)
    assert hashlib.sha256(unpacked).hexdigest() == expected["sha256"]
    return unpacked


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
