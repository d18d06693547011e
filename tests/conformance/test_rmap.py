"""Our reverse map of every fixture: all that thin_rmap prints, and what it leaves out.

thin_rmap visits a node that devices share once, so it shows what is mapped below for
one device only. Where devices share nothing our lines are thin_rmap's, byte for byte.
"""

import re

import pytest

from tests.analyse.shared_pools import golden_pool
from tests.cases import Recorded, recorded
from tests.conftest import Thinmeta
from tests.golden import dumped_images

RUNS = recorded("thin_rmap")

_LINE = re.compile(rb"data (\d+)\.\.(\d+) -> thin\((\d+)\) (\d+)\.\.(\d+)\n")


def mappings_in(text: bytes) -> set[tuple[int, int, int]]:
    """Return data block, device and origin block of each mapping in thin_rmap's lines."""
    lines = list(map(re.Match.groups, _LINE.finditer(text)))
    assert len(lines) == text.count(b"\n")
    found = set()
    for line in lines:
        data_begin, data_end, device_id, origin_begin, origin_end = map(int, line)
        assert data_end - data_begin == origin_end - origin_begin
        for further in range(data_end - data_begin):
            mapping = data_begin + further, device_id, origin_begin + further
            assert mapping not in found
            found.add(mapping)
    return found


def ours(run: Recorded, thinmeta: Thinmeta) -> bytes:
    image = str(run.image_path())
    result = thinmeta("rmap", *(image if arg == "{image}" else arg for arg in run.args))
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes


def test_the_corpus_has_not_shrunk() -> None:
    assert len(RUNS) >= 64
    assert len(dumped_images()) >= 32


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_rmap_has_all_that_thin_rmap_has(run: Recorded, thinmeta: Thinmeta) -> None:
    text = ours(run, thinmeta)

    complete, theirs = mappings_in(text), mappings_in(run.stdout())

    assert theirs <= complete
    # 0.9.0 has another order.
    if theirs == complete and run.version == "1.1.0":
        assert text == run.stdout()


def test_most_fixtures_are_equal(thinmeta: Thinmeta) -> None:
    equal = [run for run in RUNS if run.version == "1.1.0" and ours(run, thinmeta) == run.stdout()]

    assert len(equal) >= 20


@pytest.mark.parametrize("run", [run for run in RUNS if run.version == "1.1.0"], ids=str)
def test_rmap_has_all_that_thin_dump_has(run: Recorded, thinmeta: Thinmeta) -> None:
    pool = golden_pool(run.case, run.image)

    assert mappings_in(ours(run, thinmeta)) == {
        (data, device_id, origin)
        for device_id, device in pool.items()
        for origin, (data, _) in device.mapped.items()
    }
