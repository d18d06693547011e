"""The journals of all recorded volumes are clean, and so nothing is replayed."""

import pytest

import thinmeta
from tests.cases import unpacked
from tests.files.recorded import recorded_files
from thinmeta.files.opened_files import open_file_system
from thinmeta.files.reading import VolumeSource

CASES = ["docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k"]


@pytest.mark.parametrize(
    ("case", "device_id"),
    [(case, device_id) for case in CASES for device_id in sorted(recorded_files(case))],
)
def test_what_is_read_is_what_is_on_disk(case: str, device_id: int) -> None:
    with (
        thinmeta.open_pool(unpacked(case)) as pool,
        pool.device(device_id).open(unpacked(case, "data")) as volume,
    ):
        source = VolumeSource(volume)
        files = open_file_system(source)

    assert files.source is source
    assert (files.nr_transactions, files.fault) == (0, None)
