"""What of a file is stored, and who need not read the rest."""

from pathlib import Path

import numpy as np
import pytest

from tests.cases import image_bytes
from thinmeta.analyse.recover.scan import scan
from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks
from thinmeta.device.holes import Holes
from thinmeta.device.opening import open_blocks
from thinmeta.device.signatures import refuse_other_formats
from thinmeta.device.sweep import sweep

BLOCK = 4096
MIB = 1 << 20


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """Return a file of 64 MiB with a block of ones after 8, and one after 40 MiB."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        for place in (8 * MIB, 40 * MIB + 5 * BLOCK):
            file.seek(place)
            file.write(b"\1" * BLOCK)
    return path


def test_only_what_is_stored_is_told(sparse: Path) -> None:
    with sparse.open("rb") as file:
        holes = Holes(file.fileno())
        stored = [holes.stored(place, place + MIB) for place in range(0, 64 * MIB, MIB)]
    with_data = [place for place, ranges in enumerate(stored) if ranges]
    assert with_data == [8, 40]
    assert all(
        place * MIB <= begin < end <= (place + 1) * MIB
        for place in with_data
        for begin, end in stored[place]
    )


class Counting(BlockDevice):
    """A device that counts how many blocks are read."""

    nr_read = 0

    def read(self, blocks: Blocks) -> BlockBatch:
        self.nr_read += len(blocks)
        return super().read(blocks)


def test_a_sweep_passes_over_holes_and_tells_of_all(sparse: Path) -> None:
    with sparse.open("rb") as file:
        device = Counting(file.fileno(), "sparse")
        told: list[int] = []
        nr_blocks = device.nr_blocks
        every = [
            int(blocks[0])
            for blocks, batch in sweep(device, nr_blocks, lambda done, _: told.append(done))
            if batch.rows.any()
        ]
        nr_read, device.nr_read = device.nr_read, 0
        found = [
            int(blocks[0])
            for blocks, batch in sweep(
                device, nr_blocks, lambda done, _: told.append(done), only_stored=True
            )
            if batch.rows.any()
        ]
    assert every == found
    assert nr_read == nr_blocks > device.nr_read > 0
    assert sum(told) == 2 * nr_blocks


def test_holes_are_zeros_to_a_scan(tmp_path: Path) -> None:
    """And what is in between is found as in a file without holes."""
    image = image_bytes("a08-snapshots-of-snapshots")
    dense, sparse = tmp_path / "dense", tmp_path / "sparse"
    dense.write_bytes(image + bytes(32 * MIB))
    with sparse.open("wb") as file:
        file.truncate(len(image) + 32 * MIB)
        for place in range(0, len(image), BLOCK):
            part = image[place : place + BLOCK]
            if part.strip(b"\0"):
                file.seek(place)
                file.write(part)
    found = []
    for path in (dense, sparse):
        device = open_blocks(path, inspect=refuse_other_formats)
        found.append(scan(device))
        device.close()
    assert np.array_equal(found[0].classes, found[1].classes)
    assert found[0].candidates == found[1].candidates
