"""`rmap` against a slow model of plain dicts, on made pools and on real ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analyse.shared_pools import (
    ModelDevice,
    ModelPool,
    golden_pool,
    image_of,
    model_pools,
    pool_over,
)
from tests.cases import unpacked
from tests.golden import dumped_images
from tests.properties import examples
from thinmeta.analyse import rmap as module
from thinmeta.analyse import run_window
from thinmeta.analyse.rmap import Region, rmap
from thinmeta.errors import DamagedMetadataError
from thinmeta.model.pool import Pool, open_pool

Run = tuple[int, int, int, int]
"""Data begin, data end, device and origin begin."""

ALL = Region(0, 1 << 40)


def expected(pool: ModelPool, regions: list[Region]) -> list[Run]:
    """Turn the mappings round, one by one, and join neighbours."""
    runs: list[Run] = []
    for device_id, device in sorted(pool.items()):
        own: list[Run] = []
        for block, (data, _) in sorted(device.mapped.items()):
            if not any(region.begin <= data < region.end for region in regions):
                continue
            if own and own[-1][1] == data and own[-1][3] + own[-1][1] - own[-1][0] == block:
                own[-1] = (own[-1][0], data + 1, device_id, own[-1][3])
            else:
                own.append((data, data + 1, device_id, block))
        runs += own
    return sorted(runs)


def found(pool: Pool, regions: list[Region]) -> list[Run]:
    return [
        (data, data + length, device_id, origin)
        for runs in rmap(pool, regions)
        for data, length, device_id, origin in zip(
            *(
                column.tolist()
                for column in (runs.data_begin, runs.length, runs.device_id, runs.origin_begin)
            ),
            strict=True,
        )
    ]


@pytest.mark.parametrize(("case", "image"), dumped_images())
def test_real_pools(case: str, image: str) -> None:
    model = golden_pool(case, image)
    with open_pool(unpacked(case, image)) as pool:
        for regions in ([ALL], [Region(0, 100)], [Region(40, 50), Region(700, 5000)]):
            assert found(pool, regions) == expected(model, regions)


_regions = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 50)).map(lambda pair: Region(pair[0], sum(pair))),
    min_size=1,
    max_size=3,
)


@given(model=model_pools(), regions=st.one_of(_regions, st.just([ALL])))
@examples(300)
def test_made_pools(model: ModelPool, regions: list[Region]) -> None:
    with pool_over(image_of(model)) as pool:
        assert found(pool, regions) == expected(model, regions)


@given(model=model_pools(), regions=st.one_of(_regions, st.just([ALL])))
@examples(100)
def test_runs_go_on_from_piece_to_piece(model: ModelPool, regions: list[Region]) -> None:
    with pytest.MonkeyPatch.context() as patch, pool_over(image_of(model)) as pool:
        patch.setattr(module, "NODES_AT_ONCE", 1)
        patch.setattr(module, "RUNS_AT_ONCE", 2)
        assert found(pool, regions) == expected(model, regions)


def test_damage_comes_before_any_run() -> None:
    image = bytearray(image_of({1: ModelDevice(mapped={0: (5, 0), 300: (6, 0)})}))
    image[2 * 4096 + 100] ^= 1  # the second leaf
    lost = r"block 2, device 1, origin blocks 300\.\."
    with pool_over(bytes(image)) as pool, pytest.raises(DamagedMetadataError, match=lost):
        next(rmap(pool, [ALL]))


def runs_of_windows(
    model: ModelPool, regions: list[Region], patch: pytest.MonkeyPatch, kept: int, first: int
) -> list[Run]:
    patch.setattr(run_window, "RUNS_KEPT", kept)
    patch.setattr(run_window, "_FIRST_RUNS", first)
    with pool_over(image_of(model)) as pool:
        return found(pool, regions)


@given(
    model=model_pools(),
    regions=st.one_of(_regions, st.just([ALL])),
    kept=st.integers(1, 40),
    first=st.sampled_from([1, 7, 1000]),
)
@examples(200)
def test_windows_of_any_size_say_the_same(
    model: ModelPool, regions: list[Region], kept: int, first: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert runs_of_windows(model, regions, patch, kept, first) == expected(model, regions)


@pytest.mark.parametrize("kept", [1, 2, 3, 100])
def test_a_run_that_crosses_windows_and_leaves_is_one_line(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five leaves hold one run; another device maps single blocks in the middle of it."""
    long = ModelDevice(mapped={block: (1000 + block, 0) for block in range(20, 480)})
    single = ModelDevice(mapped={2 * block: (1200 + block, 0) for block in range(40)})
    model = {1: long, 2: single, 3: long}

    runs = runs_of_windows(model, [ALL], monkeypatch, kept, first=1)

    assert runs == expected(model, [ALL])
    assert runs[:2] == [(1020, 1480, 1, 20), (1020, 1480, 3, 20)]
    assert len(runs) == 42


@pytest.mark.parametrize("kept", [1, 2, 5, 1000])
def test_one_data_block_that_is_mapped_more_often_than_a_window_has_room(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = ModelDevice(mapped={3 * block: (7, 0) for block in range(30)})
    model = dict.fromkeys((1, 4, 9), device)

    runs = runs_of_windows(model, [ALL], monkeypatch, kept, first=1)

    assert runs == [(7, 8, device_id, 3 * block) for device_id in (1, 4, 9) for block in range(30)]
