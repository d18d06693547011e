"""A device's contents through the library are what the kernel read."""

import hashlib
from pathlib import Path

import pytest

from tests.cases import FIXTURES, unpacked
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.pool import open_pool
from thinmeta.model.volumes import volume_of
from thinmeta.volume.sources import Sources, open_source

CASE = "a08-snapshots-of-snapshots"


@pytest.fixture
def data() -> Path:
    return unpacked(CASE, "data")


def test_a_volume_is_what_the_kernel_read(data: Path) -> None:
    truth = (FIXTURES / CASE / "truth/thin-devices.sha256").read_text().split()
    sha256, device_id, size = truth[:3]

    with (
        open_pool(unpacked(CASE)) as pool,
        volume_of(
            ChosenDevice.of(pool, pool.devices[int(device_id)]),
            Sources(open_source(data), pool.data_block_bytes()),
            size=int(size),
        ) as volume,
    ):
        assert hashlib.sha256(volume.read()).hexdigest() == sha256
        assert volume.seek(512) == 512
        assert len(volume.read(100)) == 100
