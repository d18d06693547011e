"""The generator of hostile metadata: small images with right checksums, that can be read."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Thinmeta
from tests.damage import BLOCK, kind_of
from tests.fuzz import hostile_pools
from tests.made_images import written
from thinmeta.errors import ExitCode

LARGEST = 16 << 20


@pytest.mark.parametrize("kind", hostile_pools.KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_images_are_small_and_every_checksum_is_right(kind: str, seed: int) -> None:
    image = hostile_pools.KINDS[kind](np.random.default_rng(seed))

    assert 0 < len(image) <= LARGEST
    rows = np.frombuffer(image, dtype=np.uint8).reshape(-1, BLOCK)
    assert all(kind_of(row) is not None for row in rows[:: max(1, len(rows) // 50)])
    assert image == hostile_pools.KINDS[kind](np.random.default_rng(seed))


def test_what_is_sound_is_read_whole(tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = written(tmp_path / "meta.bin", hostile_pools.one_tree_for_all(3, 300))

    result = thinmeta("ls", "-f", "json", "-o", "DEV,MAPPED_BLOCKS,SHARED_BLOCKS,RUNS", path)

    assert result.exit_code == ExitCode.DONE, result.stderr
    size = 300 * hostile_pools.CHILDREN
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [list(row.values())[-4:] for row in rows] == [[n, size, size, size] for n in (1, 2, 3)]


def test_one_is_written_by_the_command_line() -> None:
    command = [sys.executable, "-m", "tests.fuzz.hostile_pools", "chain", "5", "2"]
    ran = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[2])

    assert ran.stdout == hostile_pools.chain(5, 2)
