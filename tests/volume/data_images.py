"""The disks and data devices of `fixtures/`, and what the kernel read of each thin device."""

from dataclasses import dataclass
from pathlib import Path

from tests.cases import FIXTURES, packed_image, unpacked

CASES = sorted(path.parent.name for path in FIXTURES.glob("*/data.bin.xz"))


@dataclass(frozen=True)
class Device:
    """A thin device as the kernel read it."""

    case: str
    device_id: int
    size: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.case}-{self.device_id}"

    @property
    def metadata(self) -> Path:
        return unpacked(self.case)

    @property
    def data(self) -> Path:
        return unpacked(self.case, "data")

    @property
    def origin(self) -> Path | None:
        is_there = packed_image(self.case, "origin").exists()
        return unpacked(self.case, "origin") if is_there else None

    def options(self) -> list[str | Path | int]:
        """Return what the command line says of it."""
        words: list[str | Path | int] = ["-p", self.metadata, "--size", self.size]
        return [*words, "--origin", self.origin] if self.origin else words


def devices(case: str) -> list[Device]:
    lines = (FIXTURES / case / "truth/thin-devices.sha256").read_text().splitlines()
    rows = [line.split() for line in lines]
    return [Device(case, int(device_id), int(size), sha256) for sha256, device_id, size in rows]


ALL = [device for case in [*CASES, "c01-lvm-thin-one-pv/pool-b"] for device in devices(case)]
SMALL = [device for device in ALL if device.case.startswith("a")]
