"""A pool with one device, and what a test puts there."""

from pathlib import Path

from tests.cases import unpacked


class SmallVolume:
    """A pool with one device, on which is what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool = unpacked("a08-snapshots-of-snapshots")

    def words(self, content: bytes, size: int = 1 << 20) -> list[object]:
        """Return the options that read a device with `content` from a data device of `size`."""
        data = self.folder / "data"
        data.write_bytes(content.ljust(size, b"\0")[:size])
        return ["-p", self.pool, "--data", data]
