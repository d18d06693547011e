"""What commands take for small files that stand for very much: memory, and nodes read again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cli.invocations import COMMANDS as NAMES
from tests.cli.invocations import DATA, DOCKER, MINIMAL, has_option, with_roots
from tests.fuzz.forking import NR_MIB, Forking
from tests.fuzz.hostile_pools import (
    HostileImage,
    chain,
    many_devices,
    one_tree_for_all,
    packed,
    ranges,
    same_child,
    same_empty_leaf,
    space_map_root,
)
from tests.made_images import written
from tests.peak_memory import MOST, measured
from thinmeta.errors import ExitCode
from thinmeta.model.losses import losses_of_pool
from thinmeta.model.pool import open_pool
from thinmeta.schemas.columns import DEVICE_DETAILS

COMMANDS = [
    ("ls",),
    ("ls", "--salvage"),
    ("check",),
    ("rmap", "--region", "0..100000000", "--salvage"),
    ("diff", "1", "2", "--salvage", "-p"),
    ("dump", "--compat", "0.9", "--salvage"),
]


@pytest.mark.thorough
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_key_ranges_that_multiply_take_little_memory(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """As places of its own for each key range the leaves alone would take 400 MiB."""
    path = written(tmp_path / "meta.bin", ranges(nr_devices=100, nr_shared=252))

    ran = measured(*command, path)

    assert ran.exit_code in {0, 5, 6}
    assert ran.peak < MOST // 2


@pytest.mark.parametrize(
    "command", [("ls",), ("dump",), ("dump", "--compat", "0.9"), ("rmap", "--region", "0..9")]
)
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


KINDS = {
    "ranges": lambda: ranges(nr_devices=100, nr_shared=252),
    "chain": lambda: chain(height=2000, nr_devices=2000),
    "same_child": lambda: same_child(height=3),
    "one_tree_for_all": lambda: one_tree_for_all(nr_devices=500, nr_leaves=252),
}
ARGUMENTS = MINIMAL | {
    "commit": ("dead1", "a", "--data", DATA.name, "--docker-root", DOCKER.name),
    "diff --files": ("1", "2", "--files", "--data", DATA.name),
    "extract": (*MINIMAL["extract"], "-o", "out"),
    "info": ("--histograms",),
    "lookup --file": ("1", "--file", "/hello", "--data", DATA.name),
    "repair": ("-o", "out"),
    "rmap --files": ("--region", "0..100", "--files", "--data", DATA.name),
    "save": ("demo:latest", "--data", DATA.name, "--docker-root", DOCKER.name),
    "undelete": ("1@ROOTS", "-o", "out"),
}
READING_NO_METADATA = {"as", "install-names", "lvm", "restore", "size", "unpack"}
RUNS = [
    (command, salvage)
    for command in sorted({*NAMES, *ARGUMENTS})
    if command not in READING_NO_METADATA
    for salvage in (False, True)
    if not salvage or has_option(command.split()[0], "--salvage")
]
MOST_SECONDS = 30
"""Of CPU; each takes 3 at most where nothing else runs."""


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    with Forking() as started:
        yield started


@pytest.fixture(scope="module", params=KINDS)
def small_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bounds") / "meta.bin"
    path.write_bytes(KINDS[request.param]())
    assert path.stat().st_size < 16 << 20
    return path


@pytest.mark.thorough
@pytest.mark.parametrize(("command", "salvage"), RUNS)
def test_every_command_is_bounded(
    command: str, salvage: bool, small_file: Path, forking: Forking, tmp_path: Path
) -> None:
    """In memory (its process may have no more), and in time, with and without --salvage."""
    name, given = command.split(maxsplit=1)[0], with_roots(ARGUMENTS[command], small_file)
    args = [name, *given, "--pool", str(small_file)]

    ended = forking.run(tmp_path, [*args, *(["--salvage"] if salvage else [])])

    assert not ended.why, ended.why
    assert ended.exit_code in {int(code) for code in ExitCode}, ended.stderr[-500:]
    assert b"Traceback" not in ended.stderr
    assert ended.seconds < MOST_SECONDS
    assert ended.nr_mib < NR_MIB


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("million") / "meta.bin", many_devices(1_000_000))


@pytest.mark.parametrize("options", [(), ("-f", "json"), ("-f", "csv")], ids=" ".join)
def test_a_million_devices_are_listed(
    options: tuple[str, ...], million: Path, tmp_path: Path, forking: Forking
) -> None:
    """As objects they would take 700 MiB and 20 seconds."""
    args = ["ls", *options, "--pool", str(million), "--output", "out"]

    ended = forking.run(tmp_path, args)

    assert ended.exit_code == 0, ended.stderr
    with (tmp_path / "out").open("rb") as file:
        assert sum(1 for _ in file) == 1_000_000 + ("json" not in options)
    assert ended.nr_mib < 120
    assert ended.seconds < 10


def random_pool(nr_live: int, nr_past: int) -> tuple[bytes, str, int]:
    """Return a pool that maps blocks in no order, a past device, and how many of its blocks.

    The pool's only device has mapped these since; the others it does not map.
    """
    image = HostileImage()
    rng = np.random.default_rng(1)
    then, now = (rng.permutation(2 * nr_live)[:number] for number in (nr_past, nr_live))
    mapping_root = image.tree([2], [image.tree(range(nr_past), packed(then))])
    details_root = image.tree([2], [(nr_past, 0, 0, 0)], DEVICE_DETAILS)
    live = image.tree(range(nr_live), packed(now, 1))
    space = space_map_root(2 * nr_live)
    made = image.finished({1: live}, nr_live, data_space_map_root=space)
    return made, f"2@{mapping_root}:{details_root}", len(np.intersect1d(then, now))


@pytest.mark.thorough
def test_fate_holds_a_few_bytes_a_block(tmp_path: Path, forking: Forking) -> None:
    image, device, taken = random_pool(nr_live=2_000_000, nr_past=1_000_000)
    path = written(tmp_path / "meta.bin", image)

    # The pool has no bitmaps, which takes --salvage to go past.
    ended = forking.run(tmp_path, ["fate", device, "--salvage", "--pool", str(path)])

    assert ended.exit_code == ExitCode.SALVAGED, ended.stderr
    rows = [line.split()[:2] for line in ended.stdout.decode().splitlines() if line]
    assert ["taken", str(taken)] in rows
    assert ended.nr_mib < 45
