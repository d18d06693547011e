"""`repair` writes sound metadata out of what is left, and leaves the rest alone."""

import json
import lzma
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.conformance import reference_tools
from tests.conftest import Thinmeta
from tests.damage import BLOCK, BlockKind, DamagedImage
from tests.golden import thin_dump
from tests.in_process import invoked
from thinmeta.device.compressed import unpack
from thinmeta.schemas.btree_node import LEAF_NODE
from thinmeta.schemas.columns import BLOCK_TIME, DEVICE_DETAILS
from thinmeta.schemas.decode import pack_counts, unpack_counts

CASES = ["a08-snapshots-of-snapshots", "a09-discards-and-deletes", "docker-loop-lvm-xfs-64k"]


@pytest.fixture(params=CASES)
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return an image of which a leaf and a node above leaves, or another leaf, are bad."""
    case = request.param
    image = DamagedImage.of(case)
    anatomy = Anatomy.of(case)
    places = anatomy.mapping_places()
    for place in (places[0], places[-1]):
        image.block(place.block)[100] ^= 1
    path = tmp_path / "damaged.bin"
    image.write_to(path)
    return path


def assert_sound(path: Path, thinmeta: Thinmeta) -> None:
    assert thinmeta("check", path).exit_code == 0
    if reference_tools.ARE_THERE:
        for version in reference_tools.VERSIONS:
            check = reference_tools.FOLDER / version / "thin_check"
            ran = subprocess.run([check, path], capture_output=True, check=False)
            assert ran.returncode == 0, ran.stderr


def test_what_is_left_is_what_dump_repair_prints(
    damaged: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    output = tmp_path / "new.bin"
    before = damaged.read_bytes()

    result = thinmeta("repair", "-i", damaged, "-o", output)

    assert result.exit_code == 6
    assert "are lost" in result.stderr
    assert str(output) in result.stdout
    assert damaged.read_bytes() == before
    assert output.stat().st_size == len(before)
    assert_sound(output, thinmeta)
    left = thinmeta("dump", "--repair", "--compat", "0.9", damaged)
    assert thinmeta("dump", "--compat", "0.9", output).stdout_bytes == left.stdout_bytes


@pytest.mark.parametrize("case", CASES)
def test_a_node_that_is_taken_for_a_leaf_is_lost(
    case: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """Its values would be many mappings to data block 0, and its checksum is right."""
    image, anatomy = DamagedImage.of(case), Anatomy.of(case)
    trees = ((each, anatomy.mapping_tree(each)) for each in anatomy.device_ids)
    device_id, root = next((each, tree[0]) for each, tree in trees if not tree[0].is_leaf)
    image.header(root.block)["flags"] = LEAF_NODE
    image.restamp(root.block)
    damaged, output = image.write_to(tmp_path / "damaged.bin"), tmp_path / "new.bin"

    result = thinmeta("repair", "-i", damaged, "-o", output)

    assert result.exit_code == 6
    assert f"metadata block {root.block}: the B-tree node maps a data block" in result.stderr
    assert thinmeta("dump", "--salvage", damaged).exit_code == 6
    looked_up = thinmeta("lookup", device_id, root.low, "--salvage", "-p", damaged)
    assert looked_up.exit_code == 6
    assert_sound(output, thinmeta)


def test_leaves_that_contradict_each_other_are_told(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """Each is sound by itself; which one is right nobody knows."""
    image, anatomy = DamagedImage.of(CASES[0]), Anatomy.of(CASES[0])
    one, other, *_ = (leaf.block for leaf in anatomy.leaves(1))
    image.values(other, BLOCK_TIME)[0] = image.values(one, BLOCK_TIME)[0]
    image.restamp(other)
    damaged, output = image.write_to(tmp_path / "damaged.bin"), tmp_path / "new.bin"

    result = thinmeta("repair", "-i", damaged, "-o", output)

    assert result.exit_code == 6
    assert f"Warning: {output}: fatal: mappings: device" in result.stderr
    assert "mapped more than once by the same device" in result.stderr
    assert result.stderr.endswith("contradicts itself; `thinmeta check` lists all of it\n")
    assert thinmeta("check", output).exit_code == 5
    plain, dumped = (thinmeta("dump", *more, damaged) for more in ((), ("--repair",)))
    assert (dumped.exit_code, dumped.stdout) == (6, plain.stdout)
    assert f"Warning: {damaged}: fatal: mappings: device" in dumped.stderr
    assert "mapped more than once by the same device" in dumped.stderr
    assert dumped.stderr.endswith("contradicts itself; `thinmeta check` lists all of it\n")


@pytest.mark.parametrize("number", [0, 1, 5_000])
def test_a_number_of_data_blocks_is_taken_where_none_is_known(
    number: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """What is mapped is counted in any case."""
    image = DamagedImage.of(CASES[0])
    image.superblock()["data_space_map_root"]["nr_blocks"] = 0
    image.restamp(0)
    image.write_to(tmp_path / "damaged.bin")
    output = tmp_path / "new.bin"

    result = thinmeta(
        "repair", "-i", tmp_path / "damaged.bin", "-o", output, "--nr-data-blocks", str(number)
    )

    assert result.exit_code == 0
    runs = [json.loads(line) for line in thinmeta("dump", "-f", "json", output).stdout.splitlines()]
    highest = max(run["data_begin"] + run["length"] - 1 for run in runs if run["type"] == "run")
    assert runs[0]["nr_data_blocks"] == max(number, highest + 1)
    assert_sound(output, thinmeta)


@pytest.mark.parametrize("case", CASES)
def test_a_sound_pool_stays_what_it_was(case: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    output = tmp_path / "new.bin"

    result = thinmeta("repair", "-p", unpacked(case), "-o", output, "-f", "json")

    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["type"] == "repaired"
    assert report["nr_devices"] == len(Anatomy.of(case).device_ids)
    assert_sound(output, thinmeta)
    whole = thinmeta("dump", "--compat", "0.9", unpacked(case))
    assert thinmeta("dump", "--compat", "0.9", output).stdout_bytes == whole.stdout_bytes


def test_without_a_superblock(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of("a08-snapshots-of-snapshots")
    image.block(0)[:] = 0
    broken, output = tmp_path / "broken.bin", tmp_path / "new.bin"
    image.write_to(broken)

    result = thinmeta("repair", "-i", broken, "-o", output)
    assert result.exit_code == 3
    assert "--data-block-size" in result.stderr
    assert not output.exists()

    result = thinmeta("repair", "-i", broken, "-o", output, "--data-block-size", 128)
    assert result.exit_code == 0
    assert "going on with state 205:213" in result.stderr
    assert_sound(output, thinmeta)


@pytest.mark.parametrize("how", ["damaged", "wiped"])
def test_a_compressed_image_is_unpacked_once(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = DamagedImage.of("a08-snapshots-of-snapshots")
    if how == "wiped":
        image.zero(0)
    else:
        image.flip_bit(0, 8000)
    broken, output = tmp_path / "broken.bin.xz", tmp_path / "new.bin"
    broken.write_bytes(lzma.compress(image.to_bytes(), preset=0))
    times = []

    def counted(*args: Any) -> Any:
        times.append(args)
        return unpack(*args)

    monkeypatch.setattr("thinmeta.device.opening.unpack", counted)
    result = invoked("repair", "-i", broken, "-o", output, "--data-block-size", 128)

    assert (result.exit_code, len(times)) == (0, 1), result.stderr


def test_metadata_is_written_over_by_force_only(damaged: Path, thinmeta: Thinmeta) -> None:
    output = damaged.with_name("new.bin")
    DamagedImage.of("a01-empty-pool").write_to(output)

    result = thinmeta("repair", "-i", damaged, "-o", output)
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert thinmeta("repair", "-i", damaged, "-o", output, "--force").exit_code == 6


def test_the_input_is_not_written_over(damaged: Path, thinmeta: Thinmeta) -> None:
    before = damaged.read_bytes()

    assert thinmeta("repair", "-i", damaged, "-o", damaged, "--force").exit_code == 1
    assert damaged.read_bytes() == before


def test_where_nothing_is_left_nothing_is_written(tmp_path: Path, thinmeta: Thinmeta) -> None:
    zeros, output = tmp_path / "zeros.bin", tmp_path / "new.bin"
    zeros.write_bytes(bytes(64 * BLOCK))

    assert thinmeta("repair", "-i", zeros, "-o", output, "--data-block-size", 128).exit_code == 5
    assert not output.exists()


@pytest.mark.parametrize("command", ["repair", "dump"])
def test_a_block_size_that_no_pool_can_have_is_refused(
    command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, output = DamagedImage.of("a08-snapshots-of-snapshots"), tmp_path / "new.bin"
    image.superblock()["data_block_size"] = 129
    image.restamp(0)
    sound = image.write_to(tmp_path / "sound.bin")
    image.zero(Anatomy.of("a08-snapshots-of-snapshots").details[0].block)
    lost = image.write_to(tmp_path / "lost.bin")
    is_repair = command == "repair"

    for path in (sound, lost):
        args = ["repair", "-o", output, "-i", path] if is_repair else ["dump", "-r", path]
        result = thinmeta(*args)
        if path is sound and not is_repair:  # as thin_dump
            assert result.exit_code == 0
            continue
        assert result.exit_code == 3
        assert "a data block of 129 sectors cannot be" in result.stderr.splitlines()[-1]
        assert "--data-block-size gives another" in result.stderr.splitlines()[-1]
        assert not output.exists()
        assert thinmeta(*args, "--data-block-size", 256).exit_code in (0, 6)
        output.unlink(missing_ok=True)
    assert thinmeta("dump", "-r", lost, "--data-block-size", 129).exit_code == 2


@pytest.mark.parametrize(
    "command", [["repair", "-o", "new.bin", "-i"], ["dump", "-r"], ["dump", "--salvage"],
                ["ls", "--salvage"], ["rmap", "--salvage", "--region", "0..900"]]
)  # fmt: skip
def test_mappings_that_are_missing_in_sound_nodes_are_a_loss(
    command: list[str], tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, anatomy = DamagedImage.of(CASES[0]), Anatomy.of(CASES[0])
    leaf = anatomy.leaves(anatomy.device_ids[0])[1].block
    left = int(image.header(leaf)["nr_entries"]) - 1
    image.header(leaf)["nr_entries"] = left
    image.restamp(leaf)
    monkeypatch.chdir(tmp_path)

    result = thinmeta(*command, image.write_to(tmp_path / "meta.bin"))

    assert "1 of the 531 mappings in its details are missing" in result.stderr
    assert result.exit_code == 6
    assert "mappings are missing; all that is sound was read" in result.stderr.splitlines()[-1]


def test_a_lost_root_of_a_device_without_mappings_loses_nothing(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a20-transaction-ids"
    anatomy = Anatomy.of(case)
    image = DamagedImage.of(case)
    empty = next(each for each in anatomy.device_ids if not anatomy.mapped_blocks(each))
    root = anatomy.device_roots[empty]
    others = [each for each in anatomy.device_ids if anatomy.device_roots[each] == root]
    assert not any(anatomy.mapped_blocks(each) for each in others)
    image.zero(root)
    path, output = image.write_to(tmp_path / "meta.bin"), tmp_path / "new.bin"

    result = thinmeta("repair", "-i", path, "-o", output)

    assert result.exit_code == 0
    assert (
        f"Warning: device {empty}: its mapping tree is damaged, but by its details it has no "
        "mappings"
    ) in result.stderr.splitlines()
    sound = thinmeta("dump", "--compat", "0.9", unpacked(case)).stdout
    assert thinmeta("dump", "--compat", "0.9", output).stdout == sound
    assert thinmeta("dump", "-r", path).exit_code == 0


def test_the_time_is_not_below_the_times_that_are_made_up(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    xml, made = tmp_path / "pool.xml", tmp_path / "made.bin"
    thinmeta("dump", unpacked("a10-external-origin"), "-o", xml)
    thinmeta("restore", "-i", xml, "-o", made)
    image = DamagedImage(made.read_bytes())
    anatomy = Anatomy(image)
    newest = max(
        time
        for place in anatomy.mapping_places()
        if place.is_leaf
        for _, _, time in anatomy.mappings(place.block)
    )
    image.superblock()["time"] = newest
    image.restamp(0)
    image.zero(anatomy.details[0].block)
    path, output = image.write_to(tmp_path / "meta.bin"), tmp_path / "new.bin"

    assert thinmeta("repair", "-i", path, "-o", output).exit_code == 6
    assert_sound(output, thinmeta)
    for printed in (thinmeta("dump", "-r", path), thinmeta("dump", output)):
        assert f' time="{newest + 1}" ' in printed.stdout.splitlines()[0]
        assert f' snap_time="{newest + 1}"' in printed.stdout


def without(case: str, *blocks: int) -> DamagedImage:
    image = DamagedImage.of(case)
    image.zero(*blocks)
    return image


@pytest.mark.parametrize("case", [*CASES, "c01-lvm-thin-one-pv", "a16-metadata-and-data-resized"])
def test_history_is_no_loss_where_only_the_superblock_is(
    case: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = without(case, 0).write_to(tmp_path / "meta.bin")

    result = thinmeta("repair", "-i", path, "-o", tmp_path / "new.bin", "--data-block-size", 128)

    assert result.exit_code == 0
    assert "passed over" not in result.stderr
    told = [line for line in result.stderr.splitlines() if "going on with state" in line]
    assert len(told) == 1
    assert "`thinmeta scan` lists others" in told[0]


@dataclass(frozen=True)
class Costly:
    """Damage without which another, newer state would have been chosen."""

    case: str
    blocks: Callable[[Anatomy], list[int]]
    chosen: str
    passed_over: str | None
    why: str
    lacks: tuple[int, int]
    """Device and how many mappings the state had that was passed over."""

    @property
    def nr_blocks(self) -> int:
        return len(self.blocks(Anatomy.of(self.case)))


COSTLY = [
    Costly(
        "a09-discards-and-deletes",
        lambda anatomy: [0, anatomy.details[0].block],
        "100:101",
        "122",
        "its details are lost",
        (8, 192),
    ),
    # Its times are those of the chosen state, too: only the number of mappings is another.
    Costly(
        "a03-one-thin-sequential-64k",
        lambda anatomy: [0, anatomy.devices[0].block],
        "19:25",
        None,
        "only the device details at metadata block 37 are left",
        (1, 1536),
    ),
    Costly(  # discards have left fewer mappings than the chosen state has
        "a09-discards-and-deletes",
        lambda anatomy: [0, anatomy.devices[0].block],
        "100:101",
        None,
        "only the device details at metadata block 124 are left",
        (8, 192),
    ),
    Costly(
        "c01-lvm-thin-one-pv",
        lambda anatomy: [0, anatomy.devices[0].block],
        "1055:1057",
        None,
        "only the device details at metadata block 1064 are left",
        (1, 148),
    ),
]


@pytest.mark.parametrize(
    "costly", COSTLY, ids=lambda each: f"{each.case[:3]} {each.nr_blocks} {each.passed_over}"
)
@pytest.mark.parametrize("command", ["repair", "dump"])
def test_a_newer_state_that_was_passed_over_is_a_loss(
    costly: Costly, command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    anatomy = Anatomy.of(costly.case)
    device_id, nr_mappings = costly.lacks
    assert anatomy.mapped_blocks(device_id) == nr_mappings
    path = without(costly.case, *costly.blocks(anatomy)).write_to(tmp_path / "meta.bin")
    args = ["-i", path, "-o", tmp_path / "new.bin"] if command == "repair" else ["-r", path]

    result = thinmeta(command, *args, "--data-block-size", 128)

    assert result.exit_code == 6
    assert f"going on with state {costly.chosen}" in result.stderr
    (line,) = [each for each in result.stderr.splitlines() if each.startswith("Warning: ")
               and "passed over" in each]  # fmt: skip
    assert costly.why in line
    assert f"device {device_id} with {nr_mappings} mappings" in line
    if costly.passed_over is None:
        return
    assert f"state {costly.passed_over} was passed over" in line
    assert (
        f"state {costly.passed_over}, which may be newer, was passed over"
        in (result.stderr.splitlines()[-1])
    )
    typed = shlex.split(line.split("`")[1])
    assert typed[0] == "thinmeta"
    shown = thinmeta(*typed[1:])
    assert shown.exit_code == 6  # for what it lost itself
    assert "<device " in shown.stdout


@pytest.mark.parametrize(
    ("case", "device_id", "state", "nr_mappings"),
    [
        ("a09-discards-and-deletes", 8, "122:124", 192),
        ("c01-lvm-thin-one-pv", 1, "1062:1064", 148),
    ],
)
@pytest.mark.parametrize("command", ["repair", "dump"])
def test_the_newest_state_is_gone_on_with_though_a_device_of_it_is_lost(  # noqa: PLR0917
    case: str,
    device_id: int,
    state: str,
    nr_mappings: int,
    command: str,
    tmp_path: Path,
    thinmeta: Thinmeta,
) -> None:
    """It has no mappings of the newest time any more, and an older state has."""
    root = Anatomy.of(case).device_roots[device_id]
    path = without(case, 0, root).write_to(tmp_path / "meta.bin")
    args = ["-i", path, "-o", tmp_path / "new.bin"] if command == "repair" else ["-r", path]

    result = thinmeta(command, *args, "--data-block-size", 128)

    assert result.exit_code == 6
    assert f"going on with state {state}" in result.stderr
    told = f"device {device_id}: {nr_mappings} of the {nr_mappings} mappings in its details are"
    assert told in result.stderr
    assert "passed over" not in result.stderr


def test_a_list_of_devices_with_later_mappings_comes_before_an_older_state(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a09-discards-and-deletes"
    anatomy = Anatomy.of(case)
    image = without(case, 0, anatomy.details[0].block)
    leaf = anatomy.device_roots[8]
    image.values(leaf, BLOCK_TIME)[:] += 1  # later than anything in another state
    image.restamp(leaf)

    result = thinmeta("dump", "-r", "--data-block-size", 128, image.write_to(tmp_path / "meta.bin"))

    assert result.exit_code == 6
    assert "going on with state 122:" in result.stderr
    assert result.stderr.endswith("the details of 5 devices are lost; all that is sound was read\n")
    assert 'dev_id="8" mapped_blocks="192"' in result.stdout


def test_a_state_of_which_only_the_superblock_knows_is_a_loss(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a09-discards-and-deletes"
    anatomy = Anatomy.of(case)
    image = without(case, anatomy.devices[0].block, anatomy.details[0].block)

    result = thinmeta("dump", "-r", image.write_to(tmp_path / "meta.bin"))

    assert result.exit_code == 6
    assert "Warning: the superblock's state was passed over: nothing is left of its mappings" in (
        result.stderr.splitlines()
    )


@pytest.mark.parametrize("command", ["repair", "dump"])
def test_a_list_of_devices_that_is_proven_comes_before_older_states(
    command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a09-discards-and-deletes"
    path = without(case, Anatomy.of(case).devices[0].block).write_to(tmp_path / "meta.bin")
    new = tmp_path / "new.bin"
    args = ["-i", path, "-o", new] if command == "repair" else ["-r", path, "--compat", "0.9"]

    result = thinmeta(command, *args)

    assert result.exit_code == 0
    assert "577 mappings that hung below it are proven" in result.stderr
    assert "going on with state" not in result.stderr
    xml = result.stdout if command == "dump" else thinmeta("dump", new, "--compat", "0.9").stdout
    assert xml.encode() == thin_dump(case, "meta", "thin_dump", "0.9.0")


@pytest.mark.parametrize("count", [0, 100])
@pytest.mark.parametrize("command", ["repair", "dump"])
def test_a_count_of_metadata_blocks_that_is_too_small_costs_nothing(
    command: str, count: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """The trees of devices are past it; the device goes further."""
    case = "a09-discards-and-deletes"
    image = DamagedImage.of(case)
    image.superblock()["metadata_space_map_root"]["nr_blocks"] = count
    image.restamp(0)
    path, new = image.write_to(tmp_path / "meta.bin"), tmp_path / "new.bin"
    args = ["-i", path, "-o", new] if command == "repair" else ["-r", path, "--compat", "0.9"]

    result = thinmeta(command, *args)

    assert result.exit_code == 0, result.stderr
    xml = result.stdout if command == "dump" else thinmeta("dump", new, "--compat", "0.9").stdout
    assert xml.encode() == thin_dump(case, "meta", "thin_dump", "0.9.0")


def test_details_of_an_older_state_are_a_loss(tmp_path: Path, thinmeta: Thinmeta) -> None:
    case = "a26-deleted-volumes"
    lost = Anatomy.of(case).details[0].block

    result = thinmeta("dump", "-r", without(case, lost).write_to(tmp_path / "meta.bin"))

    assert result.exit_code == 6
    told = f"the device details at metadata block {lost} are lost; those at "
    assert f"Warning: {told}" in result.stderr
    assert told in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("blocks", [(), (37,)], ids=["a root", "and the details"])
def test_an_older_state_is_gone_on_with_where_nothing_is_left_of_the_newest(
    blocks: tuple[int, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a03-one-thin-sequential-64k"
    image = without_root_of(1, case)
    image.zero(*blocks)
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("dump", "-r", "--compat", "0.9", path)

    assert result.exit_code == 6
    assert "Warning: going on with state 19:25: " in result.stderr
    older = thinmeta("dump", "--compat", "0.9", "--state", "19:25", unpacked(case)).stdout
    assert result.stdout.splitlines()[1:] == older.splitlines()[1:]


def test_more_of_an_older_state_is_preferred_to_a_list_that_is_proven_in_part(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """Two devices have as many mappings, so nothing tells whose tree is which."""
    case = "a05-block-128k"
    path = without(case, Anatomy.of(case).devices[0].block).write_to(tmp_path / "meta.bin")

    chosen, live, *_ = choices_of(thinmeta, path)

    assert chosen == ("45:46", 6, 240, 86)
    assert live == ("live", 4, 188, 138)
    result = thinmeta("dump", "-r", path)
    assert result.exit_code == 6
    assert "Warning: a newer state was passed over, of which only the device details" in (
        result.stderr
    )


def without_root_of(device_id: int, case: str = "a08-snapshots-of-snapshots") -> DamagedImage:
    """Return an image whose list leads to the data space map instead of a mapping tree."""
    image, anatomy = DamagedImage.of(case), Anatomy.of(case)
    top = anatomy.devices[0].block
    image.children(top)[anatomy.device_ids.index(device_id)] = image.superblock()[
        "data_space_map_root"
    ]["bitmap_root"]
    image.restamp(top)
    return image


@pytest.mark.parametrize("command", ["repair", "dump"])
def test_an_older_states_tree_stands_in_for_a_lost_one(
    command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a08-snapshots-of-snapshots"
    path, new = without_root_of(5).write_to(tmp_path / "meta.bin"), tmp_path / "new.bin"
    args = ["-i", path, "-o", new] if command == "repair" else ["-r", path, "--compat", "0.9"]

    result = thinmeta(command, *args)

    assert result.exit_code == 0
    told, head, *table = result.stderr.splitlines()
    assert told == (
        "Warning: device 5: its mapping tree is lost; that of an older state, 200:201, stands in "
        "for it: its details are the same, and its 552 mappings are all counted in the data space "
        "map"
    )
    assert head == "What each choice keeps; > is gone on with:"
    assert table[:4] == [
        "   STATE    TIME  DEVICES  MAPPINGS  MISSING",
        "   live       14       14      7625      552",
        ">  live       14       15      8177        0  with what is proven",
        "   200:201    14       15      8158       19",
    ]
    xml = result.stdout if command == "dump" else thinmeta("dump", new, "--compat", "0.9").stdout
    assert xml.encode() == thin_dump(case, "meta", "thin_dump", "0.9.0")


def choices_of(thinmeta: Thinmeta, path: Path, *args: object) -> list[tuple[object, ...]]:
    """Return the state, devices, mappings and what is missing of each choice, the chosen first."""
    output = path.with_name("new.bin")
    result = thinmeta("repair", "-i", path, "-o", output, "--force", "-f", "json", *args)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    choices = sorted(
        (row for row in rows if row["type"] == "choice"), key=lambda row: not row["chosen"]
    )
    return [
        (row["state"], row["nr_devices"], row["nr_mappings"], row["nr_missing"]) for row in choices
    ]


def test_what_each_choice_keeps_is_weighed_against_the_newest_details(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a09-discards-and-deletes"
    anatomy = Anatomy.of(case)
    root = anatomy.device_roots[8]
    path = without(case, 0, root).write_to(tmp_path / "meta.bin")

    choices = choices_of(thinmeta, path, "--data-block-size", 128)

    # Device 8 of 192 mappings is lost; the older state has 640 of device 5, 575 of 1, none of 8.
    sound = {each: anatomy.mapped_blocks(each) for each in anatomy.device_ids}
    assert choices[0] == ("122:124", 4, sum(sound.values()) - sound[8], sound[8])
    dump = thinmeta("dump", "--state", "100:101", "--skip-mappings", unpacked(case)).stdout
    older = {
        int(device): int(mapped)
        for device, mapped in re.findall(r'dev_id="(\d+)" mapped_blocks="(\d+)"', dump)
    }
    missing = sum(max(0, number - older.get(each, 0)) for each, number in sound.items())
    assert choices[1] == ("100:101", len(older), sum(older.values()), missing)


@pytest.mark.parametrize("command", ["repair", "dump"])
@pytest.mark.parametrize(("state", "missing"), [("200:201", 19), ("live", 552), ("205:213", 552)])
def test_a_state_that_is_asked_for_is_gone_on_with(
    state: str, missing: int, command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a08-snapshots-of-snapshots"
    path, new = without_root_of(5).write_to(tmp_path / "meta.bin"), tmp_path / "new.bin"
    args = ["-i", path, "-o", new] if command == "repair" else ["-r", path, "--compat", "0.9"]

    result = thinmeta(command, "--state", state, *args)

    assert result.exit_code == 6
    (chosen,) = [line for line in result.stderr.splitlines() if line.startswith(">")]
    assert chosen.split()[1] == state
    assert int(chosen.split()[5]) == missing
    assert "stands in" not in result.stderr
    xml = result.stdout if command == "dump" else thinmeta("dump", new, "--compat", "0.9").stdout
    if state == "200:201":
        told = "state 205:213 was passed over, since another was asked for"
        assert f"Warning: {told}" in result.stderr
        wanted = thinmeta("dump", "--state", state, "--compat", "0.9", unpacked(case)).stdout
        assert xml.splitlines()[1:] == wanted.splitlines()[1:]
    else:
        assert 'dev_id="5" mapped_blocks="0"' in xml


def test_a_sound_pool_in_an_older_state_is_a_loss(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """What is asked for is written, and what the pool has now is not."""
    path = unpacked("a09-discards-and-deletes")

    result = thinmeta("repair", "-i", path, "-o", tmp_path / "new.bin", "--state", "100:101")

    assert result.exit_code == 6
    assert "7 devices with 3698 mappings" in result.stdout
    assert "has or had what this one has not: device 8 with 192 mappings" in result.stderr


@pytest.mark.parametrize(("state", "exit_code"), [("snap", 4), ("3:4", 5), ("9999999:4", 4)])
def test_a_state_that_is_not_there_is_not_gone_on_with(
    state: str, exit_code: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = unpacked("a09-discards-and-deletes")

    result = thinmeta("repair", "-i", path, "-o", tmp_path / "new.bin", "--state", state)

    assert result.exit_code == exit_code
    assert not (tmp_path / "new.bin").exists()


def test_devices_that_only_older_states_have_are_no_loss(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a09-discards-and-deletes"
    path = without(case, Anatomy.of(case).devices[0].block).write_to(tmp_path / "a meta.bin")

    result = thinmeta("repair", "-i", path, "-o", tmp_path / "new.bin")

    assert result.exit_code == 0
    (line,) = [each for each in result.stderr.splitlines() if "older states have" in each]
    typed = shlex.split(line.split("`")[1])
    listed = thinmeta(*typed[1:], "-f", "json", "--salvage").stdout.splitlines()
    nr_deleted = sum(json.loads(each)["type"] == "deleted" for each in listed)
    assert f"older states have {nr_deleted} devices that this one has not" in line


def _details_differ(image: DamagedImage, anatomy: Anatomy) -> None:
    leaf = anatomy.details[0].block
    image.values(leaf, DEVICE_DETAILS)["snapshotted_time"][anatomy.device_ids.index(5)] += 1
    image.restamp(leaf)


def _a_block_is_free(image: DamagedImage, anatomy: Anatomy) -> None:
    """Take a data block that only device 5 maps for free."""
    own = {data for leaf in anatomy.leaves(5) for _, data, _ in anatomy.mappings(leaf.block)}
    for each in anatomy.device_ids:
        if each != 5:
            for leaf in anatomy.leaves(each):
                own -= {data for _, data, _ in anatomy.mappings(leaf.block)}
    bitmap = anatomy.space_map_blocks()[BlockKind.BITMAP][0]
    counts = unpack_counts(image.sound[bitmap][np.newaxis, 16:])
    assert counts[0, min(own)] == 1
    counts[0, min(own)] = 0
    image.block(bitmap)[16:] = pack_counts(counts)[0]
    image.restamp(bitmap)


@pytest.mark.parametrize("change", [_details_differ, _a_block_is_free])
def test_nothing_stands_in_where_anything_speaks_against_it(
    change: Callable[[DamagedImage, Anatomy], None], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = "a08-snapshots-of-snapshots"
    image = without_root_of(5)
    change(image, Anatomy.of(case))
    path = image.write_to(tmp_path / "a file.bin")

    result = thinmeta("repair", "-i", path, "-o", tmp_path / "new.bin")

    assert result.exit_code == 6
    assert "stands in" not in result.stderr
    assert "552 of the 552 mappings in its details are missing" in result.stderr
    (line,) = [each for each in result.stderr.splitlines() if "has it whole" in each]
    assert line.startswith("Warning: device 5: an older state, 200:201, has it whole: `thinmeta ")
    typed = shlex.split(line.split("`")[1])
    assert typed[1:6] == ["dump", "--state", "200:201", "--dev-id", "5"]
    now = thinmeta("dump", "--compat", "0.9", "--dev-id", 5, unpacked(case)).stdout
    assert thinmeta(*typed[1:], "--compat", "0.9").stdout == now


def test_another_device_with_the_same_id_is_not_named(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """Of three ids that were given several times, one has a state of its present device."""
    case = "a19-device-id-reuse"
    anatomy, image = Anatomy.of(case), DamagedImage.of(case)
    for device_id in anatomy.device_ids:
        image.zero(anatomy.device_roots[device_id])

    def birth(*state: str) -> list[str]:
        options = ["--no-headers", "-o", "TRANSACTION,CREATE_TIME"]
        return thinmeta("ls", *options, *state, unpacked(case)).stdout.splitlines()[:1]

    result = thinmeta("dump", "-r", image.write_to(tmp_path / "meta.bin"))

    named = [line for line in result.stderr.splitlines() if "has it whole" in line]
    assert [line.partition(", has")[0] for line in named] == [
        "Warning: device 1: an older state, 171:173"
    ]
    assert birth("--state", "171:173") == birth()
    assert birth("--state", "141:143") != birth()  # another device 1, with more mappings
