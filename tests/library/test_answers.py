"""What an open pool answers is what the commands print, in columns of one length."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thinmeta
from tests.cases import FIXTURES, image_bytes, packed_image
from tests.conftest import Thinmeta
from thinmeta import open_pool
from thinmeta.walk.changes import Change

CASES = ["a09-discards-and-deletes", "a08-snapshots-of-snapshots", "d02-shared-subtrees"]
CASE = CASES[0]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pool(case: str) -> Iterator[thinmeta.OpenPool]:
    with thinmeta.open_pool(packed_image(case)) as opened:
        yield opened


def printed(thinmeta: Thinmeta, *args: object) -> list[list[str]]:
    result = thinmeta(*args, "-f", "csv")
    assert (result.exit_code, result.stderr) == (0, "")
    return list(csv.reader(io.StringIO(result.stdout)))[1:]


def test_usage_is_that_of_ls(case: str, pool: thinmeta.OpenPool, thinmeta: Thinmeta) -> None:
    fields = "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS,HIGHEST_BLOCK,NEW,RUNS"
    rows = printed(thinmeta, "ls", packed_image(case), "-o", fields)

    usage = pool.usage()
    columns = [usage.device_id, usage.mapped, usage.exclusive, usage.shared]
    columns += [usage.highest, usage.new, usage.runs]
    shown = [[int(each) if each.isdigit() else -1 for each in row] for row in rows]
    for row in shown:
        row[4] = row[4] if row[1] else -1  # whoever maps nothing has no highest block
    assert np.stack(columns, axis=1).tolist() == shown
    assert usage.is_complete.all()
    assert usage.is_exact.all()


def test_a_difference_is_that_of_diff(
    case: str, pool: thinmeta.OpenPool, thinmeta: Thinmeta
) -> None:
    left, right, *_ = pool.devices
    kinds = "added,changed,removed,same"
    rows = printed(thinmeta, "diff", left, right, "-p", packed_image(case), "--only", kinds)

    found = pool.diff(left, right, with_same=True)
    table = found.read()
    shown = [
        [change.name.lower(), *("" if number == -1 else str(number) for number in numbers)]
        for change, *numbers in zip(
            map(pool_change, table.change.tolist()),
            table.origin_begin.tolist(),
            table.left_data_begin.tolist(),
            table.right_data_begin.tolist(),
            table.length.tolist(),
            strict=True,
        )
    ]
    assert shown == rows
    summary = found.summary()
    added = table.length[table.change == pool_change(2)].sum()
    assert summary.added == added


def pool_change(code: int) -> thinmeta.Change:
    return thinmeta.Change(code)


def test_sharers_are_those_of_rmap(case: str, pool: thinmeta.OpenPool, thinmeta: Thinmeta) -> None:
    result = thinmeta("rmap", packed_image(case), "--region", "0..100", "-f", "csv")
    header, *rows = csv.reader(io.StringIO(result.stdout))

    columns = pool.rmap(0, 100).columns()

    assert {*columns} <= {*header}
    for name, column in columns.items():
        assert column.tolist() == [int(row[header.index(name)]) for row in rows]


def test_free_ranges_are_those_of_the_space_map(pool: thinmeta.OpenPool) -> None:
    free = pool.free_ranges().read()

    counts = pool.data_ref_counts.read(0, len(pool.data_ref_counts))
    expanded = np.concatenate(
        [
            np.arange(begin, begin + length)
            for begin, length in zip(free.data_begin.tolist(), free.length.tolist(), strict=True)
        ]
    )
    assert np.array_equal(expanded, np.flatnonzero(counts == 0))
    assert (free.data_begin[1:] > (free.data_begin + free.length)[:-1]).all()


def test_blocks_are_runs_expanded(pool: thinmeta.OpenPool) -> None:
    for device in pool.devices.values():
        runs = device.runs().read()
        blocks = runs.blocks()
        expanded = [
            (run.origin_begin + inside, run.data_begin + inside, run.time)
            for run in runs
            for inside in range(run.length)
        ]
        columns = (blocks.origin_block, blocks.data_block, blocks.time)
        assert list(zip(*(each.tolist() for each in columns), strict=True)) == expanded


def test_numbers_are_signed_and_columns_equally_long(pool: thinmeta.OpenPool) -> None:
    left, right, *_ = pool.devices
    tables: list[Any] = [
        pool.usage(),
        pool.device(left).runs(),
        pool.device(left).runs().read().blocks(),
        pool.diff(left, right),
        pool.rmap(0, 100),
        pool.free_ranges(),
    ]
    for table in tables:
        columns = table.columns()
        assert len({len(column) for column in columns.values()}) == 1
        assert {column.dtype for column in columns.values()} <= {np.dtype("i8"), np.dtype("?")}


FOLDER = FIXTURES / "docker-direct-lvm-ext4-512k"


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[Any, int]]:
    """All results of a pool that is damaged, by question, and how many rows each has."""
    content = bytearray(image_bytes(FOLDER.name))
    content[85 * 4096 : 86 * 4096] = bytes(4096)
    names = thinmeta.NameSources(docker_root=FOLDER / "docker-state")
    with thinmeta.open_pool(bytes(content), names=names, on_damage=lambda _: None) as pool:
        check, states, layers, losses = pool.check(), pool.states(), pool.layers(), pool.losses()
        disagreements, usage = pool.disagreements(), pool.usage()
        runs = pool.device(1).runs().read()
        return {
            "usage": (usage.columns(), len(usage)),
            "runs": (runs.columns(), len(runs)),
            "check": (check.columns(), len(check.findings)),
            "states": (states.columns(), len(states)),
            "layers": (layers.columns(), len(layers)),
            "losses": (losses.columns(), len(losses.devices)),
            "lost ranges": (losses.range_columns(), 1),
            "disagreements": (disagreements.columns(), len(disagreements)),
        }


QUESTIONS = ["usage", "runs", "check", "states", "layers", "losses", "lost ranges", "disagreements"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_all_columns_have_a_row_each(question: str, results: dict[str, tuple[Any, int]]) -> None:
    columns, nr_rows = results[question]

    assert {column.shape for column in columns.values()} == {(nr_rows,)}
    kinds = {column.dtype for column in columns.values()}
    assert kinds <= {np.dtype("i8"), np.dtype("?"), np.dtype("O"), np.dtype("U1")}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("library", "maker"),
    [("pandas", "DataFrame"), ("polars", "from_dict"), ("pyarrow", "table")],
)
def test_frames_are_made_of_columns(
    library: str, maker: str, question: str, results: dict[str, tuple[Any, int]]
) -> None:
    frames = pytest.importorskip(library)
    columns, nr_rows = results[question]

    assert getattr(frames, maker)(columns).shape == (nr_rows, len(columns))


def test_columns_are_what_the_values_say() -> None:
    names = thinmeta.NameSources(docker_root=FOLDER / "docker-state")
    with thinmeta.open_pool(packed_image(FOLDER.name), names=names) as pool:
        layers, states = pool.layers(), pool.states()

    columns = layers.columns()
    assert columns["name"].tolist() == [each.docker.name for each in layers]
    assert columns["added"].tolist() == [
        -1 if each.written is None else each.written.added for each in layers
    ]
    assert states.columns()["details_root"].tolist() == [
        -1 if each.details_root is None else each.details_root for each in states
    ]


def test_findings_are_those_that_check_prints(thinmeta: Thinmeta, tmp_path: Path) -> None:
    content = bytearray(image_bytes(FOLDER.name))
    content[85 * 4096 : 86 * 4096] = bytes(4096)
    path = tmp_path / "meta.bin"
    path.write_bytes(content)
    lines = thinmeta("check", path, "-f", "json").stdout.splitlines()
    printed = [each for each in map(json.loads, lines) if each["type"] == "finding"]

    with open_pool(path) as pool:
        columns = pool.check().columns()

    assert columns["what"].tolist() == [each["what"] for each in printed]
    assert columns["severity"].tolist() == [each["severity"] for each in printed]
    shown = [",".join(map(str, each["device_ids"])) for each in printed]
    assert columns["device_ids"].tolist() == shown


def test_the_other_questions_are_answered() -> None:
    with thinmeta.open_pool(packed_image(CASE)) as pool:
        best = pool.states()[0]
        assert (pool.check().worst, best.is_live, pool.losses().is_complete) == (None, True, True)


def test_what_is_lost_is_said_of_usage() -> None:
    content = bytearray(image_bytes("docker-direct-lvm-ext4-512k"))
    content[85 * 4096 : 86 * 4096] = bytes(4096)
    told: list[thinmeta.Damage] = []

    with thinmeta.open_pool(bytes(content), on_damage=told.append) as pool:
        usage = pool.usage()

    assert usage.device_id[~usage.is_complete].tolist() == [2]
    assert not usage.is_exact.any()


def test_what_is_the_same_is_not_taken_from_details_where_something_is_lost() -> None:
    content = bytearray(image_bytes("docker-direct-lvm-ext4-512k"))
    content[85 * 4096 : 86 * 4096] = bytes(4096)
    told: list[thinmeta.Damage] = []

    with thinmeta.open_pool(bytes(content), on_damage=told.append) as pool:
        summary = pool.diff(2, 2).summary()
        ranges = pool.diff(2, 2, with_same=True).read()
        details = pool.device(2).mapped_blocks

    assert summary.same == int(ranges.length[ranges.change == Change.SAME].sum())
    assert (summary.same < (details or 0), summary.relation) == (True, None)
