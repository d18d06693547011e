"""The ref counts that a space map stores are the references that there are."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import image_bytes, image_names, unpacked
from tests.model.references import Walked
from tests.properties import examples
from thinmeta.errors import Damage
from thinmeta.model.pool import open_pool
from thinmeta.model.ref_counts import RefCounts
from thinmeta.model.state import State
from thinmeta.units import LAST_KEY
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

# Of this one's 167,772,160 data blocks the first 242,625 are in use.
LARGE = ("d02-shared-subtrees", "meta")
LARGE_PART = 300_000

IMAGES = image_names()
IMAGE_IDS = ["/".join(image) for image in IMAGES]


def all_of(counts: RefCounts) -> np.ndarray:
    return np.concatenate([np.empty(0, np.uint32), *(part for _, part in counts.chunks())])


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_data_ref_counts_are_the_references_from_leaves(case: str, image: str) -> None:
    walked = Walked(image_bytes(case, image)).walk()

    with open_pool(unpacked(case, image)) as pool:
        counts = pool.data_ref_counts
        part = LARGE_PART if (case, image) == LARGE else len(counts)
        found = counts.read(0, part)

    assert found.dtype == np.uint32
    assert (found == walked.data_ref_counts(part)).all()
    assert np.count_nonzero(found) == counts.root.nr_allocated


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_metadata_ref_counts_are_the_references_between_blocks(case: str, image: str) -> None:
    walked = Walked(image_bytes(case, image)).walk()

    with open_pool(unpacked(case, image)) as pool:
        counts = pool.metadata_ref_counts
        found = all_of(counts)

    assert found.tolist() == walked.metadata_ref_counts(len(counts))
    assert np.count_nonzero(found) == counts.root.nr_allocated


def test_a_metadata_snapshot_counts_as_the_live_pool_does() -> None:
    path = unpacked("a13-metadata-snapshot-held")

    with open_pool(path) as live, open_pool(path, state=State.SNAP) as held:
        assert held.superblock.data_space_map.nr_blocks == 0
        assert len(held.data_ref_counts) == len(live.data_ref_counts) == 4096
        assert all_of(held.data_ref_counts).tolist() == all_of(live.data_ref_counts).tolist()


@pytest.fixture(scope="module")
def three_bitmaps() -> Iterator[RefCounts]:
    """Return the data ref counts of a pool of 32768 data blocks."""
    with open_pool(unpacked("docker-loop-lvm-xfs-64k")) as pool:
        yield pool.data_ref_counts


ANYWHERE = st.integers(0, 32768)
BORDERS = st.sampled_from([0, 1, 16319, 16320, 16321, 32639, 32640, 32641, 32767, 32768])


@examples(60)
@given(bounds=st.tuples(ANYWHERE | BORDERS, ANYWHERE | BORDERS).map(sorted))
def test_a_range_is_a_slice_of_all(three_bitmaps: RefCounts, bounds: list[int]) -> None:
    begin, end = bounds

    assert three_bitmaps.read(begin, end).tolist() == all_of(three_bitmaps)[begin:end].tolist()


def test_chunks_are_bounded_and_follow_each_other() -> None:
    with open_pool(unpacked(*LARGE)) as pool:
        chunks = list(islice(pool.data_ref_counts.chunks(), 3))

    size = len(chunks[0][1])
    assert 0 < size <= BLOCKS_AT_ONCE
    assert [(begin, len(part)) for begin, part in chunks] == [
        (size * place, size) for place in range(3)
    ]


def test_a_range_over_two_chunks_is_whole() -> None:
    begin, end = BLOCKS_AT_ONCE - 5, BLOCKS_AT_ONCE + 5
    with open_pool(unpacked(*LARGE)) as pool:
        assert pool.data_ref_counts.read(begin, end).tolist() == [0] * 10


@pytest.mark.parametrize(("begin", "end"), [(-1, 0), (5, 4), (0, 1025), (2**64, 2**64)])
def test_what_is_out_of_range_is_an_index_error(begin: int, end: int) -> None:
    with open_pool(unpacked("a01-empty-pool")) as pool, pytest.raises(IndexError):
        pool.data_ref_counts.read(begin, end)


def test_an_empty_range_is_no_counts() -> None:
    with open_pool(unpacked("a01-empty-pool")) as pool:
        for at in (0, 5, 1024):
            assert pool.data_ref_counts.read(at, at).tolist() == []


@pytest.mark.parametrize(
    "case", ["a08-snapshots-of-snapshots", "a23-long-runs-and-holes", "docker-loop-lvm-xfs-64k"]
)
def test_shared_blocks_are_those_with_a_count_above_1(case: str) -> None:
    with open_pool(unpacked(case)) as pool:
        for counts in (pool.data_ref_counts, pool.metadata_ref_counts):
            assert counts.nr_shared() == np.count_nonzero(all_of(counts) > 1)


@pytest.mark.parametrize("is_metadata", [True, False])
def test_a_space_map_that_claims_more_than_there_can_be_is_damage(is_metadata: bool) -> None:
    with open_pool(unpacked("a01-empty-pool")) as pool:
        found: list[Damage] = []
        root = pool.superblock.data_space_map._replace(nr_blocks=LAST_KEY)
        counts = RefCounts(pool.source, root, found.append, is_metadata=is_metadata)
        begin, _ = next(counts.chunks())

    assert begin == 0
    assert "space map claims 18446744073709551615 blocks" in str(found[0])
