"""A device's contents through the library are what the kernel read."""

import hashlib
from pathlib import Path

import pytest

from tests.cases import FIXTURES, unpacked
from thinmeta.errors import NotThereError
from thinmeta.model.pool import open_pool

CASE = "a08-snapshots-of-snapshots"


@pytest.fixture
def data() -> Path:
    return unpacked(CASE, "data")


def test_a_volume_is_what_the_kernel_read(data: Path) -> None:
    truth = (FIXTURES / CASE / "truth/thin-devices.sha256").read_text().split()
    sha256, device_id, size = truth[:3]

    with (
        open_pool(unpacked(CASE)) as pool,
        pool.open_volume(int(device_id), data, size=int(size)) as volume,
    ):
        assert hashlib.sha256(volume.read()).hexdigest() == sha256
        assert volume.seek(512) == 512
        assert len(volume.read(100)) == 100


def test_there_must_be_such_a_device(data: Path) -> None:
    with open_pool(unpacked(CASE)) as pool, pytest.raises(NotThereError, match="no device 99"):
        pool.open_volume(99, data)
