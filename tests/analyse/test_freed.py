"""What is free once devices are gone, against plain sets, on made pools and on real ones."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import thinmeta
from tests.analyse.shared_pools import ModelDevice, ModelPool, image_of, model_pools, pool_over
from tests.analyse.shared_pools import golden_pool as golden
from tests.cases import unpacked
from tests.golden import dumped_images
from tests.properties import examples
from thinmeta.analyse import freed as freed_module
from thinmeta.analyse.branches import Branches
from thinmeta.analyse.freed import freed, freed_together
from thinmeta.analyse.seen_blocks import SeenBlocks
from thinmeta.model.pool import Pool, open_pool
from thinmeta.model.state import State
from thinmeta.units import DeviceId

HELD = "a13-metadata-snapshot-held"


def owners_of(pool: ModelPool) -> dict[int, set[int]]:
    """Return which devices map each data block, mapping by mapping."""
    owners: dict[int, set[int]] = defaultdict(set)
    for device_id, device in pool.items():
        for data, _ in device.mapped.values():
            owners[data].add(device_id)
    return owners


def only_of(pool: ModelPool, group: Iterable[int]) -> int:
    return sum(owners <= set(group) for owners in owners_of(pool).values())


def below(parent_of: Mapping[int, int | None], top: int) -> set[int]:
    found = {top}
    for _ in parent_of:
        found |= {each for each, parent in parent_of.items() if parent in found}
    return found


def branches_are_right(pool: Pool, model: ModelPool, parent_of: Mapping[int, int | None]) -> None:
    ids = {DeviceId(each): None if up is None else DeviceId(up) for each, up in parent_of.items()}
    branches = Branches.of_parents(ids)
    counts = freed(pool, branches).blocks
    for device_id, place in branches.places.items():
        assert counts[place] == only_of(model, below(parent_of, device_id))


def groups_are_right(pool: Pool, model: ModelPool, groups: Sequence[Sequence[int]]) -> None:
    typed = [[DeviceId(each) for each in group] for group in groups]
    for found, group in zip(freed_together(pool, typed), groups, strict=True):
        assert (found.device_ids, found.blocks) == (tuple(group), only_of(model, group))
        assert found.is_exact


@pytest.mark.parametrize(("case", "image"), dumped_images())
def test_real_pools(case: str, image: str) -> None:
    model = golden(case, image)
    ids = sorted(model)
    with open_pool(unpacked(case, image)) as pool:
        groups_are_right(pool, model, [ids, ids[::2], ids[:2]])
        branches_are_right(pool, model, dict(zip(ids, [None, *ids], strict=False)))
        if not ids:
            return
        branches_are_right(
            pool, model, dict.fromkeys(ids, ids[1]) | {ids[1]: None} if ids[1:] else {}
        )


@given(model=model_pools(), data=st.data())
@examples(200)
def test_made_pools(model: ModelPool, data: st.DataObject) -> None:
    ids = sorted(model)
    parent_of = {
        each: data.draw(st.sampled_from([None, *ids[:place]])) for place, each in enumerate(ids)
    }
    groups = data.draw(st.lists(st.lists(st.sampled_from(ids), unique=True))) if ids else []
    with pool_over(image_of(model, shared=data.draw(st.booleans()))) as pool:
        branches_are_right(pool, model, parent_of)
        groups_are_right(pool, model, groups)


def test_few_blocks_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_module, "_BLOCKS_AT_ONCE", 7)
    case = ("a08-snapshots-of-snapshots", "meta")
    model = golden(*case)
    with open_pool(unpacked(*case)) as pool:
        branches_are_right(pool, model, {each: each - 1 if each else None for each in model})


def test_a_metadata_snapshot_keeps_what_it_maps() -> None:
    def blocks_of(pool: thinmeta.OpenPool) -> dict[int, set[int]]:
        return {
            each.device_id or 0: set(each.runs().read().blocks().data_block.tolist())
            for each in pool.devices.values()
        }

    with thinmeta.open_pool(unpacked(HELD)) as pool:
        live, held = blocks_of(pool), blocks_of(pool.in_state(State.SNAP))
        for device_id, blocks in live.items():
            others = [each for other, each in live.items() if other != device_id]
            only = blocks.difference(*others)
            found = pool.freed([device_id])
            assert (found.blocks, found.kept) == (
                len(only),
                len(only & set().union(*held.values())),
            )
        assert pool.in_state(State.SNAP).freed([1]).kept == 0
        assert pool.freed(live).kept > 0


def test_devices_without_details_count_as_others() -> None:
    model = {number: ModelDevice(mapped={0: (7, 0), 1: (number, 0)}) for number in (1, 2)}
    with pool_over(image_of(model)) as pool:
        assert freed(pool, Branches.of_groups([[DeviceId(1)]])).blocks.tolist() == [1]


def test_the_library_refuses_devices_of_other_states() -> None:
    with thinmeta.open_pool(unpacked(HELD)) as pool:
        for spec in ("1@snap", f"root:{pool.device(1).mapping_root}"):
            with pytest.raises(ValueError, match="no device of the state"):
                pool.freed([spec])


def test_many_generations() -> None:
    model = {
        number: ModelDevice(mapped={0: (0, 0), 1: (number + 1, 0)}, creation_time=number)
        for number in range(100)
    }
    with pool_over(image_of(model)) as pool:
        branches = Branches.of_parents(
            {DeviceId(each): DeviceId(each - 1) if each else None for each in model}
        )
        counts = freed(pool, branches).blocks
    assert counts.tolist() == [len(model) + 1, *range(len(model) - 1, 0, -1)]


@given(st.lists(st.integers(0, 500)), st.integers(0, 3))
def test_repeated_blocks_are_numbered(blocks: list[int], window: int) -> None:
    seen = SeenBlocks(window)
    values = (np.array(blocks, dtype=np.uint64) + np.uint64(window << 28)) << np.uint64(24)
    seen.add(values)
    repeated = sorted({each for each in blocks if blocks.count(each) > 1})
    numbering = seen.numbering()
    assert numbering.total == len(repeated)
    numbers = numbering.of(values[seen.more_than_once(values)])
    assert numbers.tolist() == [repeated.index(each) for each in blocks if each in repeated]
