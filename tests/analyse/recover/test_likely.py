"""What is likely is told apart from what is proven, is right nearly always, and hides no loss."""

import json
import random
from pathlib import Path

import pytest

import thinmeta
from tests.analyse.recover.lost_nodes_of import LikelyOutcome, LosingPool
from tests.cases import image_names
from tests.cli.invocations import MINIMAL, has_option
from tests.damage import DamagedImage
from tests.in_process import invoked
from tests.needs import IS_THOROUGH
from thinmeta.analyse.recover.assignment import Item, SumLimit, takers_in_all_ways
from thinmeta.analyse.recover.best_ways import Weights, best_by_takers

DELETES = "a09-discards-and-deletes"
FRESH = "a15-data-full"
SNAPSHOTS = "a08-snapshots-of-snapshots"
DOCKER = "docker-loop-lvm-xfs-64k"
SHARED = "d02-shared-subtrees"

PAIR = (38, 84)
"""Nodes of devices 5 and 1, and of 7, of `DELETES`: of 609 mappings it is open whose they are."""


def _spans(losses: thinmeta.Losses, device_id: int, origin: str) -> list[tuple[int, int]]:
    return [
        (each.first_key, each.last_key)
        for each in losses.rebuilt
        if each.device_id == device_id and each.origin == origin
    ]


def _runs(device: thinmeta.Device) -> set[tuple[int, int, int]]:
    return {
        (run.origin_begin + at, run.data_begin + at, run.time)
        for run in device.runs().read()
        for at in range(run.length)
    }


@pytest.mark.parametrize(
    ("case", "size", "nr_leaves", "most", "least"),
    [
        (DELETES, 2, 0, 1, 1.0),
        (SNAPSHOTS, 2, 0, 66 if IS_THOROUGH else 8, 0.97),
        (SNAPSHOTS, 3, 0, 30 if IS_THOROUGH else 3, 0.95),
        (SNAPSHOTS, 2, 1, 30 if IS_THOROUGH else 3, 0.95),
        (DOCKER, 2, 0, 91 if IS_THOROUGH else 2, 0.997),
        (DOCKER, 2, 1, 30 if IS_THOROUGH else 2, 1.0),
        pytest.param(SHARED, 2, 0, 40, 0.99, marks=pytest.mark.thorough),
    ],
)
def test_what_is_likely_is_right_nearly_always(
    case: str, size: int, nr_leaves: int, most: int, least: float
) -> None:
    pool, rng = LosingPool.of(case), random.Random(9)

    outcomes = [
        pool.likely_loses(*lost, *rng.sample(pool.leaves, nr_leaves))
        for lost in pool.flat_sets(size, most)
    ]

    total = sum(outcomes, LikelyOutcome())
    assert total.right
    assert total.proven + total.right >= least * (total.proven + total.right + total.open)
    assert total.wrong <= 0.04 * (total.right + total.wrong)


LISTS = [
    pytest.param(case, marks=[pytest.mark.thorough] if case == SHARED else [])
    for case in sorted({case for case, _ in image_names()})
]


WRONG = {"podman-direct-lvm-ext4-512k": 2}
"""How many devices are given a tree that they had not: two have as many mappings."""


@pytest.mark.parametrize("case", LISTS)
def test_the_trees_of_a_lost_list_are_likely_whose_they_are(case: str) -> None:
    pool = LosingPool.of(case)

    proven = pool.rebuilt(pool.device_list)
    found = pool.rebuilt(pool.device_list, likely=True)

    assert found.likely.device_ids == found.roots.keys() - proven.roots.keys()
    assert all(found.roots[each] == root for each, root in proven.roots.items())
    wrong = {
        device_id
        for device_id, root in found.roots.items()
        if root.block != (true := pool.device_roots[device_id])
        and (root.nr_mappings or pool.nr_mappings(true))
    }
    assert wrong <= found.likely.device_ids
    assert len(wrong) <= WRONG.get(case, 0)
    known = {root.block for root in found.roots.values()}
    for child, device_ids in found.likely.undecided:
        true_ids = {each for each, root in pool.device_roots.items() if root == child.block}
        assert child.block not in known
        assert true_ids <= {*device_ids}


@pytest.mark.parametrize("case", [DELETES, SNAPSHOTS, DOCKER])
def test_likely_ranges_were_lost_and_are_never_proven_ones(case: str) -> None:
    pool, image, rng = LosingPool.of(case), DamagedImage.of(case), random.Random(7)
    sets = [*pool.flat_sets(2, 6 if IS_THOROUGH else 2, seed=5)]
    if len(pool.inner) > 2:
        sets += [*pool.flat_sets(3, 6 if IS_THOROUGH else 1, seed=6)]
    sets += [(*sets[0], rng.choice(pool.leaves)), (pool.device_list,)]
    for lost in sets:
        image.zero(*lost)
        content = image.to_bytes()
        image.revert()
        with (
            thinmeta.open_pool(image.sound.tobytes()) as sound,
            thinmeta.open_pool(content) as damaged,
        ):
            left, likely = damaged.salvaged(), damaged.salvaged(likely=True)
            before, after = left.losses(), likely.losses()
            for device_id, device in sound.devices.items():
                given = _runs(likely.devices[device_id])
                proven = _runs(left.devices[device_id])
                spans = _spans(after, device_id, "likely")
                sure = _spans(after, device_id, "proven")
                loss = before.of(device_id)
                assert loss is not None
                told = [(each.first_key, each.last_key) for each in loss.ranges]
                assert proven <= given
                assert proven <= _runs(device)
                for key, _, _ in given - proven:
                    assert any(first <= key <= last for first, last in spans)
                for first, last in spans:
                    assert not any(low <= last and first <= high for low, high in sure)
                    assert loss.tree.root is None or any(
                        low <= first and last <= high for low, high in told
                    )
            if after.nr_likely:
                assert not after.is_complete
            assert {each for each in before.rebuilt if each.origin == "likely"} == set()


def _damaged(tmp_path: Path, case: str = DELETES, blocks: tuple[int, ...] = PAIR) -> Path:
    image = DamagedImage.of(case)
    image.zero(*blocks)
    path = image.write_to(tmp_path / "meta.bin")
    image.revert()
    return path


def test_what_is_likely_is_told_apart_and_costs_the_exit_code(tmp_path: Path) -> None:
    path = _damaged(tmp_path)
    proven = invoked("dump", "--salvage", "-f", "json", path)
    likely = invoked("dump", "--salvage-likely", "-f", "json", path)

    assert (proven.exit_code, likely.exit_code) == (6, 6)
    origins = [
        (each["device_id"], each["first_block"], each["last_block"], each["origin"])
        for line in likely.stdout.splitlines()
        if (each := json.loads(line))["type"] == "rebuilt_range"
    ]
    assert origins[:4] == [
        (1, 0, 436, "proven"),
        (1, 437, 639, "likely"),
        (5, 0, 436, "proven"),
        (5, 437, 639, "likely"),
    ]
    assert '"likely"' not in proven.stdout
    line = "device 5: origin blocks 437 to 639: metadata block 38: the B-tree node is lost; 203 "
    assert line in likely.stderr
    assert "609 mappings are only likely" in likely.stderr.splitlines()[-1]


def test_both_options_are_the_one_that_takes_more(tmp_path: Path) -> None:
    path = _damaged(tmp_path)
    alone, *both = (
        invoked("ls", *options, path)
        for options in (
            ("--salvage-likely",),
            ("--salvage-likely", "--salvage"),
            ("--salvage", "--salvage-likely"),
        )
    )
    assert [each.output for each in both] == 2 * [alone.output]


def test_where_all_is_proven_it_changes_nothing(tmp_path: Path) -> None:
    path = _damaged(tmp_path, SNAPSHOTS, (37,))
    proven, likely = (invoked("dump", each, path) for each in ("--salvage", "--salvage-likely"))

    assert (likely.exit_code, likely.output) == (0, proven.output)
    assert "are proven" in likely.stderr


def test_a_subtree_that_may_be_of_two_is_named_and_left_out(tmp_path: Path) -> None:
    pool = LosingPool.of(FRESH)
    path = _damaged(tmp_path, FRESH, (pool.device_list,))
    result = invoked("dump", "--salvage-likely", "-f", "json", path)

    found = [
        each
        for line in result.stdout.splitlines()
        if (each := json.loads(line))["type"] == "undecided_subtree"
    ]
    assert result.exit_code == 6
    assert {each["metadata_block"] for each in found} == {*pool.device_roots.values()}
    assert all(each["device_ids"] == sorted(pool.device_roots) for each in found)
    for each in found:
        line = f"they may be of device {' or '.join(map(str, each['device_ids']))}; "
        assert f"{line}root:{each['metadata_block']} names them" in result.stderr


@pytest.mark.parametrize("command", ["dump", "repair"])
def test_a_repair_says_what_would_be_added_and_how(command: str, tmp_path: Path) -> None:
    path, new = _damaged(tmp_path), tmp_path / "new.bin"
    words = ("dump", "-r", path) if command == "dump" else ("repair", "-i", path, "-o", new)
    result = invoked(*words)

    line = f"`thinmeta dump --repair --salvage-likely -p {path}"
    line += "` takes" if command == "dump" else " | thinmeta restore -i - -o NEW` takes"
    assert result.exit_code == 6
    assert "609 mappings are there of which it is likely, not proven" in result.stderr
    assert line in result.stderr
    more = invoked("dump", "--repair", "--salvage-likely", "-p", path)
    assert more.exit_code == 6
    assert "609 mappings are only likely" in more.stderr
    assert more.stdout == invoked("dump", "--salvage-likely", path).stdout


def test_a_lookup_that_may_be_wrong_is_no_success(tmp_path: Path) -> None:
    path = _damaged(tmp_path)
    proven, likely = (
        invoked("lookup", 5, 500, "-p", path, each) for each in ("--salvage", "--salvage-likely")
    )
    assert (proven.exit_code, likely.exit_code) == (6, 6)
    assert "device 5, block 500: data block 1140\n" in likely.stdout
    assert "not all answers are proven" in likely.stderr


@pytest.mark.parametrize("command", sorted(MINIMAL))
def test_every_command_that_salvages_has_it(command: str) -> None:
    assert has_option(command, "--salvage") == has_option(command, "--salvage-likely")


def test_the_library_takes_what_is_likely_in_every_state(tmp_path: Path) -> None:
    with thinmeta.open_pool(_damaged(tmp_path)) as pool:
        left, likely = pool.salvaged(), pool.salvaged(likely=True)
        device = likely.device(5)

        assert likely.salvaged(likely=True) is likely
        assert likely.salvaged().losses() == left.losses() == pool.losses()
        assert left.salvaged(likely=True).losses() == likely.losses()
        assert (left.losses().nr_likely, likely.losses().nr_likely) == (0, 609)
        assert (device.losses().nr_likely, device.losses().is_complete) == (203, False)
        assert likely.in_state(thinmeta.State.LIVE) is not None
        assert len(_runs(device)) == 640


@pytest.mark.parametrize("seed", range(30))
def test_the_best_way_is_one_of_all_ways(seed: int) -> None:
    rng = random.Random(seed)
    nr_nodes = rng.choice((2, 3))
    items, key = [], 0
    for _ in range(rng.randint(1, 7)):
        key += rng.randint(0, 2)
        takers = tuple(sorted(rng.sample(range(nr_nodes), rng.randint(1, nr_nodes))))
        size = rng.randint(1, 5)
        items.append(Item(key, key + rng.randint(0, 3), size, rng.randint(1, len(takers)), takers))
    limits = [SumLimit(frozenset({each}), 0, rng.randint(5, 30)) for each in range(nr_nodes)]
    weights = [{each: rng.randint(0, 3) for each in item.takers} for item in items]

    ways = takers_in_all_ways(items, nr_nodes, limits)
    best = best_by_takers(items, nr_nodes, limits, Weights(weights), may_be_nobodys=False)

    assert best is not None
    assert [set(each) for each in best] == ways
    assert len({max(each.values()) for each in best if each}) <= 1
