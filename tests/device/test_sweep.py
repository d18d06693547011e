"""Every block in order."""

from pathlib import Path

import numpy as np
import pytest

from thinmeta.device.blocks import BlockDevice
from thinmeta.device.opening import open_to_read
from thinmeta.device.sweep import sweep

BLOCK = 4096
NR_BLOCKS = 2500


@pytest.fixture
def device(tmp_path: Path) -> BlockDevice:
    """Blocks that begin with their number."""
    rows = np.zeros((NR_BLOCKS, BLOCK), dtype=np.uint8)
    rows.view("<u8")[:, 0] = np.arange(NR_BLOCKS)
    path = tmp_path / "numbered"
    path.write_bytes(rows.tobytes())
    return BlockDevice(open_to_read(path, direct=False), str(path))


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("nr_blocks", [0, 1, 1024, 1025, NR_BLOCKS])
def test_each_block_comes_once_and_is_told_of_after_that(
    device: BlockDevice, nr_blocks: int, *, ahead: bool
) -> None:
    told: list[tuple[int, int]] = []
    seen: list[int] = []

    for blocks, batch in sweep(device, nr_blocks, lambda *each: told.append(each), ahead=ahead):
        assert sum(done for done, _ in told) == len(seen)
        assert batch.rows.view("<u8")[:, 0].tolist() == blocks.tolist()
        seen += blocks.tolist()
    device.close()

    assert seen == [*range(nr_blocks)]
    assert sum(done for done, _ in told) == nr_blocks
    assert {total for _, total in told} <= {nr_blocks}
