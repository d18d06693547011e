"""Every root that thin_dump --repair finds in the images is found by a scan, and paired alike."""

import re
import subprocess

import pytest

from tests.cases import image_bytes, image_names, unpacked
from tests.conformance import reference_tools
from tests.made_images import device_over
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.scan import scan

pytestmark = pytest.mark.live

_MAPPINGS = re.compile(
    r"^b=(\d+), nr_devices=(\d+), nr_mappings=(\d+), highest_mapped=(\d+), age=(\d+)", re.MULTILINE
)
_DETAILS = re.compile(
    r"^b=(\d+), nr_devices=(\d+), nr_mappings=(\d+), max_tid=(\d+), age=(\d+)$", re.MULTILINE
)
_PAIR = re.compile(r"^\((\d+), (\d+)\)$", re.MULTILINE)

# Where thin_dump finds none: it takes no leaf for one of mappings whose values could be blocks.
NO_ROOTS = {("a01-empty-pool", "meta")}


@pytest.mark.parametrize(
    ("case", "image"), image_names(), ids=["/".join(each) for each in image_names()]
)
def test_all_roots_are_found(case: str, image: str) -> None:
    content = image_bytes(case, image)
    ran = subprocess.run(
        [reference_tools.FOLDER / "1.1.0/thin_dump", "-r", "-v", "-v", unpacked(case, image)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode != 0) == ((case, image) in NO_ROOTS)

    with device_over(content) as device:
        candidates = scan(device).candidates

    of_mappings = {
        (
            each.mapping_root,
            each.nr_devices,
            each.nr_mappings,
            each.highest_data_block or 0,
            each.mapping_time,
        )
        for each in candidates
    }
    for row in _MAPPINGS.findall(ran.stderr):
        assert tuple(map(int, row)) in of_mappings
    found: dict[int | None, Candidate] = {each.details_root: each for each in candidates}
    for row in _DETAILS.findall(ran.stderr):
        block, nr_devices, nr_mappings, transaction_id, _ = map(int, row)
        assert block in found
        assert found[block].nr_devices == nr_devices
        assert found[block].mapped_blocks == nr_mappings
        assert found[block].transaction_id == transaction_id
    pairs = {(int(mappings), int(details)) for mappings, details in _PAIR.findall(ran.stderr)}
    paired = {mappings for mappings, _ in pairs}
    ours = {(each.mapping_root, each.details_root) for each in candidates}
    assert {pair for pair in ours if pair[0] in paired} <= pairs
    assert paired <= {mappings for mappings, _ in ours}
