"""`losses_of_pool` against the slow model, and what it makes of made pools."""

from pathlib import Path

import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.damage import BLOCK, LAST_KEY, DamagedImage, ImageFile
from tests.made_images import Image, mappings, written
from tests.salvage.corpus import CASES, DELETES, LONG, destroyed, edited
from tests.salvage.remains import Remains
from thinmeta.errors import Damage, raise_damage
from thinmeta.model.device_loss import ExaminedTree
from thinmeta.model.losses import Losses, losses_of_pool, losses_of_trees
from thinmeta.model.pool import open_pool
from thinmeta.model.what_is_left import salvaged
from thinmeta.units import MetadataBlock

Told = list[tuple[int | None, int, int, list[tuple[int, int, int]]]]


def told(losses: Losses) -> Told:
    return [
        (
            loss.tree.device_id,
            loss.found,
            loss.beyond,
            [(lost.first_key, lost.last_key, lost.nr_nodes) for lost in loss.ranges],
        )
        for loss in losses.devices
    ]


def expected(remains: Remains) -> Told:
    return [
        (
            each.device_id,
            len(each.mapped),
            each.beyond,
            [(lost.first, lost.last, len(lost.blocks)) for lost in each.lost],
        )
        for each in remains.devices
    ]


@pytest.mark.parametrize("case", [*CASES, LONG])
def test_losses_are_those_of_the_model(case: str, tmp_path: Path) -> None:
    image, anatomy = DamagedImage.of(case), Anatomy.of(case)
    file = ImageFile(tmp_path / "meta.bin", image)
    for damage in [*destroyed(anatomy), *edited(anatomy)][::5]:
        damage.apply(image)
        with file.damaged() as path, open_pool(path) as pool:
            losses = losses_of_pool(pool)
        assert told(losses) == expected(Remains(case, damage.is_bad)), str(damage)
        # Only the root of a device without mappings is nothing that is lost.
        hit = [loss for loss in losses.devices if loss.ranges or loss.missing or loss.beyond]
        assert losses.is_complete == all(loss.tree.stored == 0 for loss in hit)


@pytest.mark.parametrize("case", CASES)
def test_of_a_sound_pool_nothing_is_lost(case: str) -> None:
    with open_pool(unpacked(case)) as pool:
        losses = losses_of_pool(pool)
        assert losses.is_complete
        assert losses.agree
        assert told(losses) == expected(Remains(case))
        left = salvaged(pool, losses, raise_damage)
        assert left.device_table.devices == pool.device_table.devices
        assert left.superblock == pool.superblock


def test_only_what_is_selected_is_looked_at(tmp_path: Path) -> None:
    image, anatomy = DamagedImage.of(DELETES), Anatomy.of(DELETES)
    image.zero(anatomy.leaves(1)[0].block)
    with open_pool(image.write_to(tmp_path / "meta.bin")) as pool:
        spared, hit = (losses_of_pool(pool, frozenset({each})) for each in (5, 7))
    assert spared.is_complete
    assert [loss.tree.device_id for loss in hit.devices] == [7]
    assert not hit.is_complete
    assert not Losses.joined([spared, hit]).is_complete
    assert hit.of(7) is hit.devices[0]
    assert hit.of(5) is None


def test_progress_counts_every_leaf() -> None:
    steps: list[tuple[int, int]] = []
    with open_pool(unpacked(LONG)) as pool:
        losses_of_pool(pool, on_progress=lambda done, total: steps.append((done, total)))
    (total,) = {total for _, total in steps}
    assert sum(done for done, _ in steps) == total > 0


def test_a_leaf_that_two_trees_give_other_ranges_is_no_agreement(tmp_path: Path) -> None:
    made = Image()
    low, high = made.leaf(mappings(0, range(5))), made.leaf(mappings(10, range(20, 25)))
    right = made.internal([(0, low), (10, high)])
    wrong = made.internal([(0, high), (10, low)])
    path = written(tmp_path / "meta.bin", made.pool({1: right, 2: wrong}, {1: 10, 2: 10}))

    with open_pool(path) as pool:
        losses = losses_of_pool(pool)

    assert not losses.agree
    assert told(losses) == [(1, 10, 0, []), (2, 0, 0, [(0, LAST_KEY, 2)])]


def test_of_a_leaf_that_a_tree_has_twice_the_right_place_is_kept(tmp_path: Path) -> None:
    made = Image()
    leaf = made.leaf(mappings(10, range(20, 25)))
    root = made.internal([(0, leaf), (10, leaf), (20, leaf)])
    path = written(tmp_path / "meta.bin", made.pool({1: root}, {1: 5}))

    with open_pool(path) as pool:
        losses = losses_of_pool(pool)

    assert told(losses) == [(1, 5, 0, [(0, 9, 1), (20, LAST_KEY, 1)])]


def test_a_leaf_whose_mappings_are_all_past_the_end_is_emptied(tmp_path: Path) -> None:
    made = Image()
    some, none = made.leaf(mappings(0, [1, 2000])), made.leaf(mappings(10, [1024, 1025]))
    root = made.internal([(0, some), (10, none)])
    path = written(tmp_path / "meta.bin", made.pool({1: root, 2: root}, {1: 4, 2: 4}))

    with open_pool(path) as pool:
        losses = losses_of_pool(pool)

    assert losses.emptied == {none}
    assert [(loss.found, loss.beyond, loss.missing) for loss in losses.devices] == [(1, 3, 3)] * 2


def test_how_much_can_be_missing_follows_the_details_or_the_ranges(tmp_path: Path) -> None:
    made = Image()
    sound, bad = made.leaf(mappings(0, [7])), made.add(lambda _: bytes(BLOCK))
    root = made.internal([(0, sound), (10, bad), (30, sound)])
    path = written(tmp_path / "meta.bin", made.pool({1: root, 2: root}, {1: 9}))

    with open_pool(path) as pool:
        known, unknown = losses_of_pool(pool).devices

    assert (known.missing, known.at_most_missing) == (8, 8)
    # Nothing bounds the last leaf, which is a wrong one.
    assert (unknown.missing, unknown.at_most_missing) == (None, LAST_KEY - 10 + 1)


def test_a_bare_root_is_looked_at_without_details(tmp_path: Path) -> None:
    made = Image()
    root = made.leaf(mappings(0, [7, 8]))
    path = written(tmp_path / "meta.bin", made.pool({}, {}))

    with open_pool(path) as pool:
        (loss,) = losses_of_trees(pool, [ExaminedTree(None, MetadataBlock(root), None)]).devices

    assert (loss.found, loss.missing, loss.is_complete) == (2, None, True)


def test_what_is_told_names_each_device_of_a_shared_leaf(tmp_path: Path) -> None:
    image, anatomy = DamagedImage.of(DELETES), Anatomy.of(DELETES)
    leaf = anatomy.leaves(1)[0].block
    image.zero(leaf)
    with open_pool(image.write_to(tmp_path / "meta.bin")) as pool:
        losses = losses_of_pool(pool)

    damages = {
        loss.tree.device_id: [lost.damage for lost in loss.ranges]
        for loss in losses.devices
        if loss.ranges
    }
    assert damages.keys() == {1, 7}
    for device_id, (damage,) in damages.items():
        assert isinstance(damage, Damage)
        assert (damage.block, damage.device_id) == (leaf, device_id)
