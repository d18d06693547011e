"""The books of the metadata close on whatever a kernel wrote; else they say what is missing."""

import numpy as np
import pytest

from tests.anatomy import Anatomy
from tests.cases import image_names, unpacked
from tests.damage import DamagedImage
from tests.made_images import device_over
from thinmeta.analyse.recover.books import Books, balance, referrers
from thinmeta.analyse.recover.survey import survey
from thinmeta.analyse.recover.trees import Trees, find_trees
from thinmeta.model.pool import Pool, open_pool

A08 = "a08-snapshots-of-snapshots"


def books_of(pool: Pool) -> tuple[Trees, Books]:
    trees = find_trees(survey(pool.source.device, lambda *_: None))
    return trees, balance(pool, trees)


def books_of_image(image: DamagedImage) -> tuple[Trees, Books]:
    with device_over(image.to_bytes()) as device:
        return books_of(open_pool(device))


@pytest.mark.parametrize(("case", "image"), image_names())
def test_books_close_on_what_a_kernel_wrote(case: str, image: str) -> None:
    with open_pool(unpacked(case, image)) as pool:
        _, books = books_of(pool)

    assert books.are_closed
    assert np.count_nonzero(books.counted) == books.nr_allocated


@pytest.mark.parametrize("case", [A08, "docker-loop-lvm-xfs-64k"])
def test_a_lost_node_leaves_its_references_missing(case: str) -> None:
    anatomy = Anatomy.of(case)
    image = DamagedImage.of(case)
    inner = sorted({place.block for place in anatomy.mapping_places() if not place.is_leaf})
    for block in inner[:4]:
        image.zero(block)
        _, books = books_of_image(image)
        blocks, times = books.missing()

        assert books.are_whole
        assert not books.are_closed
        assert blocks.tolist() == sorted(child for _, child in anatomy.entries(block))
        assert set(times.tolist()) == {1}
        image.revert()


def test_who_refers_to_a_block_is_known() -> None:
    anatomy = Anatomy.of(A08)
    trees, books = books_of_image(DamagedImage.of(A08))
    shared = np.flatnonzero(books.counted > 1).tolist()
    block = next(each for each in shared if each in anatomy.occurrences)

    nodes, entries = referrers(trees, books, block)

    assert len(nodes) == books.counted[block]
    parents = trees.nodes.blocks[nodes].tolist()
    for parent, key in zip(parents, trees.keys[entries].tolist(), strict=True):
        assert (key, block) in anatomy.entries(parent)


def test_books_of_a_map_that_is_lost_are_not_whole() -> None:
    image = DamagedImage.of(A08)
    image.zero(int(image.superblock()["metadata_space_map_root"]["bitmap_root"]))

    _, books = books_of_image(image)

    assert not books.are_whole
    assert books.damages


def test_a_count_that_is_too_low_is_seen() -> None:
    anatomy = Anatomy.of(A08)
    image = DamagedImage.of(A08)
    node, other = sorted(place.block for place in anatomy.mapping_places() if not place.is_leaf)[:2]
    image.children(node)[0] = image.children(other)[0]
    image.restamp(node)

    _, books = books_of_image(image)

    assert not books.are_whole
