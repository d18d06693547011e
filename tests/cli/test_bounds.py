"""What commands take for small files that stand for very much: memory, and nodes read again."""

from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.hostile_pools import chain, ranges, same_empty_leaf
from tests.made_images import written
from tests.peak_memory import MOST, measured
from thinmeta.model.pool import open_pool
from thinmeta.model.salvage import losses_of_pool

COMMANDS = [
    ("ls",),
    ("ls", "--salvage"),
    ("check",),
    ("rmap", "--region", "0..100000000", "--salvage"),
    ("diff", "1", "2", "--salvage", "-p"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_key_ranges_that_multiply_take_little_memory(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """As places of its own for each key range the leaves alone would take 400 MiB."""
    path = written(tmp_path / "meta.bin", ranges(nr_devices=100, nr_shared=252))

    ran = measured(*command, path)

    assert ran.exit_code in {0, 5, 6}
    assert ran.peak < MOST // 2


@pytest.mark.parametrize("command", [("ls",), ("dump",), ("rmap", "--region", "0..9")])
def test_devices_in_a_chain_of_nodes_are_told_of_once_each(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    path = written(tmp_path / "meta.bin", chain(height=600, nr_devices=600))

    ran = measured(*command, "--salvage", path)

    assert ran.exit_code == 6
    lost = [line for line in ran.stderr.splitlines() if "origin blocks" in line]
    assert len(lost) == len(set(lost)) > 500


def test_a_leaf_that_is_everywhere_is_read_once_a_piece(tmp_path: Path) -> None:
    path = written(tmp_path / "meta.bin", same_empty_leaf(nr_devices=300, nr_children=252))
    with open_pool(path) as pool:
        asked = 0
        read = pool.source.device.read

        def counted(blocks: np.ndarray):  # type: ignore[no-untyped-def]  # noqa: ANN202
            nonlocal asked
            asked += len(blocks)
            return read(blocks)

        pool.source.device.read = counted  # type: ignore[method-assign]
        losses = losses_of_pool(pool)

    assert losses.is_complete
    assert asked < 100
