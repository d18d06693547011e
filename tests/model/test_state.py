"""States as they are typed, and pools in them."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.damage import BlockKind, DamagedImage
from tests.properties import examples
from tests.salvage.remains import Remains
from thinmeta.errors import InputError, NotThereError
from thinmeta.model.device_spec import DeviceSpec, choose_device
from thinmeta.model.pool import Pool, open_pool
from thinmeta.model.state import Roots, State, parse_state
from thinmeta.units import MetadataBlock

CASE = "a13-metadata-snapshot-held"


def roots(mapping_root: int, details_root: int | None = None) -> Roots:
    details = None if details_root is None else MetadataBlock(details_root)
    return Roots(MetadataBlock(mapping_root), details)


def held() -> Roots:
    anatomy = Anatomy.of(CASE, snapshot=True)
    return roots(anatomy.devices[0].block, anatomy.details[0].block)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("live", State.LIVE),
        ("snap", State.SNAP),
        ("5", roots(5)),
        ("5:7", roots(5, 7)),
        ("0:0", roots(0, 0)),
    ],
)
def test_states_are_parsed_and_written(text: str, state: State | Roots) -> None:
    assert parse_state(text) == state
    assert str(state) == text


@given(st.integers(0, 2**70), st.none() | st.integers(0, 2**70))
@examples(100)
def test_roots_are_written_as_they_are_parsed(mapping: int, details: int | None) -> None:
    assert parse_state(str(roots(mapping, details))) == roots(mapping, details)


@given(st.text())
@examples(200)
def test_any_text_is_a_state_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert str(parse_state(text)).isascii()


def ids_of(pool: Pool) -> list[int]:
    return list(pool.devices)


def test_one_pool_is_read_in_several_states() -> None:
    with open_pool(unpacked(CASE)) as pool:
        past, snapshot = pool.in_state(held()), pool.in_state(State.SNAP)
        then = [each.device_id for each in Remains(CASE, snapshot=True).devices]
        now = [each.device_id for each in Remains(CASE).devices]
        assert ids_of(past) == ids_of(snapshot) == then
        assert ids_of(pool) == ids_of(past.in_state(State.LIVE)) == now
        assert pool.in_state(State.LIVE) is pool
        assert past.superblock.transaction_id == pool.superblock.transaction_id
        assert len(past.data_ref_counts) == len(pool.data_ref_counts)
        past.verify_unchanged()


def test_a_state_without_details_has_trees_only() -> None:
    with open_pool(unpacked(CASE), state=roots(held().mapping_root)) as pool:
        trees = {each.device_id: each.root for each in Remains(CASE, snapshot=True).devices}
        assert not pool.knows_details
        assert pool.device_table.without_details == trees
        assert len(pool.device_table.devices) == 0
        chosen = choose_device(pool, DeviceSpec.parse("2"))
        assert (chosen.mapping_root, chosen.device) == (trees[2], None)


@pytest.mark.parametrize("state", [roots(2048), roots(1, 2048), roots(2**64)])
def test_roots_past_the_end_are_not_there(state: Roots) -> None:
    with pytest.raises(NotThereError, match="the metadata has only 2048 blocks"):
        open_pool(unpacked(CASE), state=state)
    with open_pool(unpacked(CASE)) as pool, pytest.raises(NotThereError):
        pool.in_state(state)


def test_without_a_superblock_the_latest_sound_copy_tells_the_sizes(tmp_path: Path) -> None:
    image = DamagedImage.of(CASE)
    held_root = Anatomy.of(CASE).held_root
    older, newer = image.free_blocks(2)
    for block, transaction, sectors in ((older, 1, 256), (newer, 9, 512)):
        image.copy(held_root, block)
        image.superblock(block)["trans_id"] = transaction
        image.superblock(block)["data_block_size"] = sectors
        image.superblock(block)["blocknr"] = block
        image.restamp(block, kind=BlockKind.SUPERBLOCK)
    image.zero(0)
    path = image.write_to(tmp_path / "meta.bin")

    with open_pool(path, state=held()) as pool:
        assert pool.superblock_damage is not None
        assert pool.superblock.transaction_id == 9
        assert pool.data_block_bytes() == 512 * 512
        assert pool.source.nr_blocks == image.nr_blocks
        assert ids_of(pool) == [1, 2, 3]


def test_the_data_block_size_is_an_error_where_nobody_knows_it(tmp_path: Path) -> None:
    image = DamagedImage.of(CASE)
    image.zero(0, Anatomy.of(CASE).held_root)
    path = image.write_to(tmp_path / "meta.bin")

    with open_pool(path, state=held()) as pool:
        with pytest.raises(InputError, match="--data-block-size"):
            pool.data_block_bytes()
        with pytest.raises(InputError, match="--data-block-size"):
            pool.in_state(roots(held().mapping_root)).data_block_bytes()
    with open_pool(path, state=held(), data_block_sectors=128) as pool:
        assert pool.data_block_bytes() == 65536
