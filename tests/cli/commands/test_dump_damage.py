"""A dump of a damaged image ends before the first line that is lost, and says where."""

import errno
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import Result

from tests.anatomy import FORMATS, SHARING, Anatomy, Place, SoundDump
from tests.conftest import Thinmeta
from tests.damage import BLOCK, LAST_KEY, BlockKind, DamagedImage, ImageFile
from tests.golden import thin_dump
from tests.made_images import Image, written
from thinmeta.schemas.columns import DEVICE_DETAILS

SNAPSHOTS = "a08-snapshots-of-snapshots"
DELETES = "a09-discards-and-deletes"
DOCKER = "docker-loop-lvm-xfs-64k"
UNSHARED = "a18-large-device-ids"
LONG = "a23-long-runs-and-holes"
HELD = "a13-metadata-snapshot-held"

WRONG_CHECKSUM = "has a wrong checksum"

every_form = pytest.mark.parametrize("form", FORMATS)
main_forms = pytest.mark.parametrize("form", ["xml-1.1", "xml-0.9", "json"])


def each_in_turn(blocks: Sequence[int], form: str) -> Sequence[int]:
    """Return the blocks to damage in this form: every fifth; all forms together have all."""
    return blocks[list(FORMATS).index(form) :: len(FORMATS)]


Edit = Callable[[DamagedImage, int], None]


class Dump:
    """Runs `thinmeta dump` on an image as it is at the moment."""

    def __init__(self, directory: Path, thinmeta: Thinmeta) -> None:
        self.path = directory / "meta.bin"
        self.thinmeta = thinmeta

    def __call__(self, image: DamagedImage, form: str = "xml-1.1", *options: object) -> Result:
        image.write_to(self.path)
        return self.of_file(self.path, form, *options)

    def of_file(self, path: Path, form: str, *options: object) -> Result:
        result = self.thinmeta("dump", *FORMATS[form], *options, path)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result


@pytest.fixture
def dump(tmp_path: Path, thinmeta: Thinmeta) -> Dump:
    return Dump(tmp_path, thinmeta)


def opened(case: str, form: str) -> tuple[DamagedImage, Anatomy, SoundDump]:
    """Return an image to damage, what stands where in it, and the dump of the sound one."""
    return DamagedImage.of(case), Anatomy.of(case), SoundDump.of(case, "meta", form)


def where(anatomy: Anatomy, block: int) -> str:
    """Return how damage to a node is named: by its first place."""
    places = anatomy.details + anatomy.devices + anatomy.mapping_places()
    return named(next(place for place in places if place.block == block))


def named(place: Place, block: int | None = None) -> str:
    keys = f"{place.low}..{'end' if place.last == LAST_KEY else place.last}"
    at = f"metadata block {place.block if block is None else block}"
    if place.device_id is None:
        return f"{at}, device ids {keys}"
    return f"{at}, device {place.device_id}, origin blocks {keys}"


def assert_damage(result: Result, stdout: bytes, at: str, what: str) -> None:
    """Assert that a dump ended after `stdout`, and said where, and what is wrong there."""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert last.endswith(f"meta.bin: {at}: the B-tree node {what}; what it held is lost")
    assert result.exit_code == 5
    assert result.stdout_bytes == stdout


# Blocks whose checksum gives them away.


def zeroed(image: DamagedImage, block: int) -> None:
    image.zero(block)


def one_bit_flipped(image: DamagedImage, block: int) -> None:
    image.flip_bit(block, 7919 * block % (8 * BLOCK))


@every_form
@pytest.mark.parametrize(
    ("case", "spoil"),
    [
        (SNAPSHOTS, zeroed),
        (DELETES, zeroed),
        ("a11-needs-check-flag", zeroed),
        (DOCKER, zeroed),
        (SNAPSHOTS, one_bit_flipped),
        (DOCKER, one_bit_flipped),
        (HELD, zeroed),
    ],
)
def test_a_bad_node_ends_the_dump_before_what_it_held(
    case: str, spoil: Edit, form: str, tmp_path: Path, dump: Dump
) -> None:
    snapshot = case == HELD
    image, anatomy = DamagedImage.of(case), Anatomy.of(case, snapshot=snapshot)
    sound = SoundDump.of(case, "meta", form, snapshot=snapshot)
    file = ImageFile(tmp_path / "meta.bin", image)
    for block in each_in_turn(anatomy.nodes(), form):
        spoil(image, block)
        with file.damaged() as path:
            result = dump.of_file(path, form, *["-m"] * snapshot)
        assert_damage(result, sound.before({block}), where(anatomy, block), WRONG_CHECKSUM)


@every_form
@pytest.mark.parametrize("case", [SNAPSHOTS, DOCKER])
def test_of_several_bad_nodes_the_first_in_the_output_ends_it(
    case: str, form: str, tmp_path: Path, dump: Dump
) -> None:
    image, anatomy, sound = opened(case, form)
    file = ImageFile(tmp_path / "meta.bin", image)
    rng = np.random.default_rng(11)
    leaves = sorted({place.block for place in anatomy.mapping_places() if place.is_leaf})
    for _ in range(20):
        bad = set(rng.choice(leaves, size=3, replace=False).tolist())
        image.zero(*bad)
        with file.damaged() as path:
            result = dump.of_file(path, form)
        assert result.stdout_bytes == sound.before(bad)
        assert result.exit_code == 5


@every_form
@pytest.mark.parametrize("case", [DELETES, LONG])
def test_a_device_whose_leaves_are_all_bad_may_be_taller_and_hides_what_is_shared(
    case: str, form: str, tmp_path: Path, dump: Dump
) -> None:
    image, anatomy, sound = opened(case, form)
    file = ImageFile(tmp_path / "meta.bin", image)
    for device_id in anatomy.device_ids:
        leaves = [place.block for place in anatomy.leaves(device_id)]
        image.zero(*leaves)
        with file.damaged() as path:
            result = dump.of_file(path, form)
        assert result.stdout_bytes == sound.before(set(leaves))
        assert result.exit_code == 5
        named_block = re.search(r"metadata block (\d+), device ", result.stderr.splitlines()[-1])
        assert named_block is not None
        assert int(named_block[1]) in leaves


def test_bad_leaves_that_many_devices_share_are_not_read_for_each_of_them(
    tmp_path: Path, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Image()
    leaves = [made.add(lambda _: bytes(BLOCK)) for _ in range(100)]
    roots = {device_id: made.internal(list(enumerate(leaves))) for device_id in range(120)}
    path = written(tmp_path / "meta.bin", made.pool(roots, dict.fromkeys(roots, 1)))
    read: list[int] = []
    preadv = os.preadv

    def counted(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        read.append(sum(buffer.nbytes for buffer in buffers) // BLOCK)
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    result = dump.of_file(path, "xml-1.1")

    assert result.exit_code == 5
    assert sum(read) < 10 * len(made.blocks)


@every_form
def test_two_nodes_in_each_others_place_were_written_for_another_block(
    form: str, dump: Dump
) -> None:
    image, anatomy, sound = opened(SNAPSHOTS, form)
    one, other = (leaf.block for leaf in anatomy.leaves(anatomy.device_ids[0])[:2])
    image.swap(one, other)

    result = dump(image, form)

    before = sound.before({one, other})
    assert result.stdout_bytes == before
    assert result.exit_code == 5
    assert "the B-tree node was written for another block" in result.stderr


@every_form
def test_damage_to_what_a_dump_does_not_read_costs_nothing(form: str, dump: Dump) -> None:
    image, anatomy, sound = opened(SNAPSHOTS, form)
    read = {0, *anatomy.nodes()}
    for block in range(image.nr_blocks):
        if block not in read:
            image.block(block)[:] = 0xA5

    result = dump(image, form)

    assert result.stdout_bytes == sound.whole
    assert (result.exit_code, result.stderr) == (0, "")


def test_without_mappings_damage_to_mapping_trees_costs_nothing(dump: Dump) -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    image.zero(*(place.block for place in anatomy.mapping_places()))

    result = dump(image, "xml-1.1", "--skip-mappings")

    assert result.stdout_bytes == thin_dump(SNAPSHOTS, "meta", "thin_dump-skip", "1.1.0")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("version", ["1.1.0", "0.9.0"])
@pytest.mark.parametrize("case", [SNAPSHOTS, DOCKER, LONG])
def test_a_selected_device_is_whole_when_all_others_are_lost(
    case: str, version: str, dump: Dump
) -> None:
    image, anatomy = DamagedImage.of(case), Anatomy.of(case)
    device_id = anatomy.device_ids[1]
    needed = {place.block for place in anatomy.mapping_tree(device_id)}
    image.zero(*({place.block for place in anatomy.mapping_places()} - needed))

    result = dump(image, f"xml-{version[:3]}", "--dev-id", device_id)

    assert result.stdout_bytes == thin_dump(case, "meta", f"thin_dump-dev-{device_id}", version)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("tree", ["details", "devices"])
def test_a_selected_device_is_whole_when_others_are_lost_from_the_trees_of_devices(
    tree: str, dump: Dump
) -> None:
    image = DamagedImage.of(SNAPSHOTS)
    lost = image.push_down(getattr(Anatomy.of(SNAPSHOTS), tree)[0].block, 4)[1:]
    image.zero(*lost)

    known = dump(image, "xml-1.1", "--dev-id", 1)
    perhaps = dump(image, "xml-1.1", "--dev-id", 14)

    golden = thin_dump(SNAPSHOTS, "meta", "thin_dump-dev-1", "1.1.0")
    assert (known.stdout_bytes, known.exit_code, known.stderr) == (golden, 0, "")
    assert perhaps.exit_code == 5


# Contents that are wrong although the checksum is right.


def field(name: str, value: int) -> Edit:
    def edit(image: DamagedImage, block: int) -> None:
        image.header(block)[name] = value

    return edit


def swapped_keys(image: DamagedImage, block: int) -> None:
    keys = image.keys(block)
    keys[1:3] = keys[[2, 1]]


def repeated_key(image: DamagedImage, block: int) -> None:
    keys = image.keys(block)
    keys[2] = keys[1]


def first_key_last(image: DamagedImage, block: int) -> None:
    keys = image.keys(block)
    keys[-1] = keys[0]


ANY_NODE: dict[str, tuple[Edit, str]] = {
    "flags of nothing": (field("flags", 0), "is neither an internal node nor a leaf"),
    "flags of both": (field("flags", 3), "is neither an internal node nor a leaf"),
    "another block number": (field("blocknr", 3), "was written for another block"),
    "block number too large": (field("blocknr", 2**63), "was written for another block"),
    "entries without room": (field("nr_entries", 2**32 - 1), "has more entries than room for them"),
    "room no multiple of 3": (
        field("max_entries", 124),
        "has room for a number of entries that is no multiple of 3",
    ),
    "no room": (field("max_entries", 0), "has more entries than room for them"),
    "room past the block": (
        field("max_entries", 255),
        "has room for more entries than a block holds",
    ),
    "room without end": (
        field("max_entries", 2**32 - 1),
        "has room for more entries than a block holds",
    ),
    "values of nothing": (field("value_size", 0), "has values of another size"),
    "values too large": (field("value_size", 2**32 - 1), "has values of another size"),
    "values of a space map": (field("value_size", 4), "has values of another size"),
    "keys swapped": (swapped_keys, "has keys out of order"),
    "key twice": (repeated_key, "has keys out of order"),
    "first key last": (first_key_last, "has keys out of order"),
}
NO_ENTRIES = {"no entries": (field("nr_entries", 0), "is an internal node without entries")}
NO_LEAF = (field("flags", 1), "is an internal node where a leaf belongs")
A_LEAF = (field("flags", 2), "is a leaf where an internal node belongs")
OTHER_VALUES = "has values of another size"


class Kind(NamedTuple):
    """A kind of node: the image it is in, its place there, and what may be wrong with it."""

    case: str
    place: Callable[[Anatomy], Place]
    wrong: dict[str, tuple[Edit, str]]
    is_taller: bool = False


KINDS = {
    "leaf": Kind(
        LONG,
        lambda anatomy: anatomy.leaves(anatomy.device_ids[0])[1],
        ANY_NODE | {"flags of an internal node": NO_LEAF},
    ),
    "root": Kind(
        LONG,
        lambda anatomy: anatomy.mapping_tree(anatomy.device_ids[1])[0],
        ANY_NODE | NO_ENTRIES,
    ),
    "between root and leaves": Kind(
        LONG,
        lambda anatomy: second_child(anatomy, anatomy.device_ids[0]),
        ANY_NODE | NO_ENTRIES | {"flags of a leaf": A_LEAF},
        is_taller=True,
    ),
    "details": Kind(
        SNAPSHOTS,
        lambda anatomy: anatomy.details[0],
        ANY_NODE
        | {
            "flags of an internal node": (field("flags", 1), OTHER_VALUES),
            "values of mappings": (field("value_size", 8), OTHER_VALUES),
        },
    ),
    "tree of devices": Kind(SNAPSHOTS, lambda anatomy: anatomy.devices[0], ANY_NODE),
}


def second_child(anatomy: Anatomy, device_id: int) -> Place:
    root, *below = anatomy.mapping_tree(device_id)
    block = anatomy.entries(root.block)[1][1]
    return next(place for place in below if place.block == block)


@pytest.mark.parametrize(
    ("kind", "wrong"), [(name, wrong) for name, kind in KINDS.items() for wrong in kind.wrong]
)
@main_forms
def test_a_node_with_wrong_contents_is_refused(
    kind: str, wrong: str, form: str, dump: Dump
) -> None:
    case, place, wrongs, is_taller = KINDS[kind]
    image, anatomy, sound = (taller if is_taller else opened)(case, form)
    block = place(anatomy).block
    edit, what = wrongs[wrong]
    edit(image, block)
    image.restamp(block, kind=BlockKind.NODE)

    result = dump(image, form)

    assert_damage(result, sound.before({block}), where(anatomy, block), what)


@pytest.mark.parametrize("end", ["low", "high"])
@every_form
def test_a_leaf_with_a_key_that_belongs_to_its_neighbour_is_refused(
    end: str, form: str, dump: Dump
) -> None:
    image, anatomy, sound = opened(LONG, form)
    leaf = anatomy.leaves(anatomy.device_ids[0])[1]
    if end == "low":
        image.keys(leaf.block)[0] = leaf.low - 1
    else:
        image.keys(leaf.block)[-1] = leaf.last + 1
    image.restamp(leaf.block)

    result = dump(image, form)

    before = sound.before({leaf.block})
    assert_damage(result, before, named(leaf), "has keys outside its parent's range")


# Pointers that lead elsewhere.


def own_root(anatomy: Anatomy, leaf: Place) -> int:
    return anatomy.mapping_tree(leaf.device_id or 0)[0].block


def leaf_of_the_last_device(anatomy: Anatomy, leaf: Place) -> int:
    own = [each.block for each in anatomy.leaves(leaf.device_id or 0)]
    others = anatomy.leaves(anatomy.device_ids[-1])
    return next(each.block for each in others[::-1] if each.block not in own)


POINTERS: dict[str, tuple[Callable[[Anatomy, Place], int], str]] = {
    "to the node itself": (own_root, "is an internal node where a leaf belongs"),
    "past the end": (lambda *_: 4096, "is past the end of the metadata"),
    "to the last number": (lambda *_: LAST_KEY, "is past the end of the metadata"),
    "to the superblock": (lambda *_: 0, WRONG_CHECKSUM),
    "to a bitmap": (lambda a, _: a.space_map_blocks()[BlockKind.BITMAP][0], WRONG_CHECKSUM),
    "to the index of bitmaps": (
        lambda a, _: a.space_map_blocks()[BlockKind.INDEX][0],
        WRONG_CHECKSUM,
    ),
    "to nothing": (lambda *_: 4095, WRONG_CHECKSUM),
    "to a space map's tree": (
        lambda a, _: a.space_map_blocks()[BlockKind.NODE][0],
        "has values of another size",
    ),
    "to the details": (lambda a, _: a.details[0].block, "has values of another size"),
    "to the tree of devices": (
        lambda a, _: a.devices[0].block,
        "has keys outside its parent's range",
    ),
    "to another device's leaf": (leaf_of_the_last_device, "has keys outside its parent's range"),
    "to the leaf before": (
        lambda a, leaf: a.leaves(leaf.device_id or 0)[0].block,
        "is reached twice in the same tree",
    ),
}


@pytest.mark.parametrize("to", POINTERS)
@every_form
def test_a_pointer_that_leads_elsewhere_is_not_followed(to: str, form: str, dump: Dump) -> None:
    image, anatomy, sound = opened(LONG, form)
    root = anatomy.mapping_tree(anatomy.device_ids[0])[0]
    leaf = anatomy.leaves(anatomy.device_ids[0])[1]
    find, what = POINTERS[to]
    target = find(anatomy, leaf)
    image.children(root.block)[1] = target
    image.restamp(root.block)

    result = dump(image, form)

    if form in SHARING:  # which leaves are shared is what the pointers say
        assert result.exit_code == 5
        assert f": {named(leaf, target)}: " in result.stderr
    else:
        before = sound.before({leaf.block})
        assert_damage(result, before, named(leaf, target), what)


@every_form
def test_a_shared_leaf_is_held_against_the_key_range_of_each_tree(form: str, dump: Dump) -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    shared = {block for block, times in anatomy.occurrences.items() if times > 1}
    for device_id in anatomy.device_ids[1:]:
        root, leaves = anatomy.mapping_tree(device_id)[0], anatomy.leaves(device_id)
        first = anatomy.leaves(anatomy.device_ids[0])[0]
        if root.block not in shared and first.block in shared and leaves[-1].block in shared:
            break
    image.children(root.block)[-1] = first.block
    image.restamp(root.block)

    result = dump(image, form)

    assert result.exit_code == 5, result.stderr
    owner = next(each for each in anatomy.device_ids if anatomy.device_roots[each] == root.block)
    place = replace(leaves[-1], device_id=owner)
    assert f": {named(place, first.block)}: " in result.stderr.splitlines()[-1]


@every_form
@pytest.mark.parametrize("child", [0, 1, -1])
@pytest.mark.parametrize("up", [1, 2])
def test_a_loop_is_damage(child: int, up: int, form: str, dump: Dump) -> None:
    image, anatomy, _ = taller(LONG, form)
    root = anatomy.mapping_tree(anatomy.device_ids[0])[0].block
    middle = int(image.children(root)[0])
    image.children(middle if up == 2 else root)[child] = root
    image.restamp(root, middle, kind=BlockKind.NODE)

    result = dump(image, form)

    assert result.exit_code == 5
    assert "meta.bin: metadata block " in result.stderr.splitlines()[-1]


@main_forms
@pytest.mark.parametrize("name", ["data_mapping_root", "device_details_root"])
@pytest.mark.parametrize(
    ("to", "what"),
    [
        (0, WRONG_CHECKSUM),
        (2048, "is past the end of the metadata"),
        (LAST_KEY, "is past the end of the metadata"),
        (2047, WRONG_CHECKSUM),
    ],
)
def test_a_superblock_that_points_elsewhere_costs_all_devices(
    name: str, to: int, what: str, form: str, dump: Dump
) -> None:
    image = DamagedImage.of(SNAPSHOTS)
    image.superblock()[name] = to
    image.restamp(0)

    result = dump(image, form)

    first_line = SoundDump.of(SNAPSHOTS, "meta", form).whole.splitlines(keepends=True)[0]
    assert_damage(result, first_line, f"metadata block {to}, device ids 0..end", what)


@every_form
def test_a_device_whose_tree_is_past_the_end_is_damage(form: str, dump: Dump) -> None:
    image, anatomy, sound = opened(UNSHARED, form)
    place = anatomy.mapping_tree(anatomy.device_ids[2])[0]
    image.children(anatomy.devices[0].block)[2] = 5000
    image.restamp(anatomy.devices[0].block)

    result = dump(image, form)

    before = sound.before({place.block})
    assert_damage(result, before, named(place, 5000), "is past the end of the metadata")


# Taller trees than the images have.


def taller(case: str, form: str, levels: int = 1) -> tuple[DamagedImage, Anatomy, SoundDump]:
    """Return an image whose trees all have more levels, and the dump that it must have.

    Dumps without sharing do not show it. With sharing they do in a device whose root is
    a leaf, so a case must not have one.
    """
    image, anatomy = DamagedImage.of(case), Anatomy.of(case)
    for root in {anatomy.mapping_tree(device_id)[0].block for device_id in anatomy.device_ids}:
        for _ in range(levels):
            image.push_down(root, 2)
    image = DamagedImage(image.to_bytes())
    anatomy = Anatomy(image)
    whole = SoundDump.of(case, "meta", form).whole
    return image, anatomy, SoundDump(whole, anatomy, sharing=form in SHARING)


@every_form
@pytest.mark.parametrize("levels", [1, 2])
def test_each_node_of_taller_trees_costs_what_it_held(
    levels: int, form: str, tmp_path: Path, dump: Dump
) -> None:
    image, anatomy, sound = taller(SNAPSHOTS, form, levels)
    file = ImageFile(tmp_path / "meta.bin", image)
    assert dump.of_file(file.path, form).stdout_bytes == sound.whole
    for block in each_in_turn(anatomy.nodes()[::levels], form):
        image.zero(block)
        with file.damaged() as path:
            result = dump.of_file(path, form)
        assert_damage(result, sound.before({block}), where(anatomy, block), WRONG_CHECKSUM)


@every_form
@pytest.mark.parametrize("tree", ["details", "devices"])
def test_a_part_of_the_devices_is_lost_with_a_node_of_their_trees(
    tree: str, form: str, tmp_path: Path, dump: Dump
) -> None:
    image = DamagedImage.of(SNAPSHOTS)
    image.push_down(getattr(Anatomy.of(SNAPSHOTS), tree)[0].block, 4)
    image = DamagedImage(image.to_bytes())
    anatomy = Anatomy(image)
    whole = SoundDump.of(SNAPSHOTS, "meta", form).whole
    sound = SoundDump(whole, anatomy, sharing=form in SHARING)
    file = ImageFile(tmp_path / "meta.bin", image)
    assert dump.of_file(file.path, form).stdout_bytes == whole
    for place in getattr(anatomy, tree):
        image.zero(place.block)
        with file.damaged() as path:
            result = dump.of_file(path, form)
        assert_damage(result, sound.before({place.block}), named(place), WRONG_CHECKSUM)


# Two trees that do not know the same devices.


class OneTree(NamedTuple):
    """What a device costs that only the other tree knows.

    Attributes:
        tree: the one that has lost it.
        printed: what is printed all the same.
        has_root: whether the metadata block of its root is named.
        said: what else is said of it.
    """

    tree: str
    printed: Callable[[SoundDump, int], bytes]
    has_root: bool
    said: str


ONE_TREE = {
    "left out without details": OneTree(
        "details", SoundDump.without_device, has_root=True, said="only the mapping tree"
    ),
    "printed without mappings": OneTree(
        "devices", SoundDump.without_runs, has_root=False, said="only the device details tree"
    ),
}


@every_form
@pytest.mark.parametrize("place", [0, 4, 8])
@pytest.mark.parametrize("what", ONE_TREE)
def test_a_device_that_only_one_tree_has_is_reported(
    what: str, place: int, form: str, dump: Dump
) -> None:
    image, anatomy, sound = opened(UNSHARED, form)
    tree, printed, has_root, said = ONE_TREE[what]
    [node] = getattr(anatomy, tree)
    image.remove_entry(node.block, place)
    image.restamp(node.block)
    device_id = anatomy.device_ids[place]

    result = dump(image, form)

    assert (result.stdout_bytes, result.exit_code) == (printed(sound, device_id), 5)
    root = f"metadata block {anatomy.device_roots[device_id]}, " if has_root else ""
    assert f"meta.bin: {root}device {device_id}: {said}" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("tree", ["details", "devices"])
def test_what_other_devices_lack_does_not_matter_to_the_selected(tree: str, dump: Dump) -> None:
    image, anatomy = DamagedImage.of(UNSHARED), Anatomy.of(UNSHARED)
    block = getattr(anatomy, tree)[0].block
    image.remove_entry(block, 4)
    image.restamp(block)
    device_id = anatomy.device_ids[1]

    result = dump(image, "xml-1.1", "--dev-id", device_id)

    golden = thin_dump(UNSHARED, "meta", f"thin_dump-dev-{device_id}", "1.1.0")
    assert (result.stdout_bytes, result.exit_code, result.stderr) == (golden, 0, "")


def test_each_device_that_only_one_tree_knows_is_named(dump: Dump) -> None:
    image, anatomy = DamagedImage.of(UNSHARED), Anatomy.of(UNSHARED)
    for tree, place in (("details", 6), ("details", 2), ("devices", 4)):
        image.remove_entry(getattr(anatomy, tree)[0].block, place)
    image.restamp(anatomy.details[0].block, anatomy.devices[0].block)

    result = dump(image)

    assert result.exit_code == 5
    for place in (2, 4, 6):
        assert result.stderr.count(f"device {anatomy.device_ids[place]}: only the ") == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")


# Counts that do not add up.


@every_form
def test_a_wrong_count_of_mappings_is_a_warning(form: str, dump: Dump) -> None:
    image, anatomy, sound = opened(SNAPSHOTS, form)
    details = image.values(anatomy.details[0].block, DEVICE_DETAILS)
    expected = sound.whole
    warnings = []
    for place, device_id in enumerate(anatomy.device_ids):
        count = int(details["mapped_blocks"][place])
        details["mapped_blocks"][place] = 10**9 + place
        for before, after in (
            (b'dev_id="%d" mapped_blocks="%d"', b'dev_id="%d" mapped_blocks="%d"'),
            (b"device: %d\nmapped_blocks: %d\n", b"device: %d\nmapped_blocks: %d\n"),
            (b'"device_id": %d, "mapped_blocks": %d,', b'"device_id": %d, "mapped_blocks": %d,'),
        ):
            new = after % (device_id, 10**9 + place)
            expected = expected.replace(before % (device_id, count), new)
        warnings.append(
            f"Warning: device {device_id}: has {count} mappings,"
            f" but its details say {10**9 + place}"
        )
    image.restamp(anatomy.details[0].block)

    result = dump(image, form)

    assert result.stdout_bytes == expected
    assert result.stderr.splitlines() == warnings
    assert result.exit_code == 0


def test_a_wrong_count_is_not_told_to_who_wants_it_quiet_or_no_mappings(dump: Dump) -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    image.values(anatomy.details[0].block, DEVICE_DETAILS)["mapped_blocks"] += 1
    image.restamp(anatomy.details[0].block)

    for option in ("--quiet", "--skip-mappings"):
        result = dump(image, "xml-1.1", option)
        assert (result.exit_code, result.stderr) == (0, "")


@every_form
def test_a_device_cut_short_by_damage_gets_no_warning(form: str, dump: Dump) -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    image.zero(anatomy.leaves(anatomy.device_ids[0])[1].block)

    result = dump(image, form)

    assert "Warning" not in result.stderr


# The superblock.


def with_superblock(case: str, **fields: Any) -> DamagedImage:
    image = DamagedImage.of(case)
    for name, value in fields.items():
        image.superblock()[name] = value
    image.restamp(0)
    return image


def with_bit_flipped(offset: int) -> DamagedImage:
    image = DamagedImage.of(DELETES)
    image.flip_bit(0, 8 * offset)
    return image


def with_zeros() -> DamagedImage:
    image = DamagedImage.of(DELETES)
    image.zero(0)
    return image


WRONG_SUPERBLOCK = "metadata block 0: the superblock's checksum is wrong"
NO_SUPERBLOCK = "has no thin-pool superblock in its first block"
ELSEWHERE = "metadata block 0: the superblock was written for block 7"


@main_forms
@pytest.mark.parametrize(
    ("image", "exit_code", "what"),
    [
        *(
            pytest.param(with_bit_flipped(offset), 5, WRONG_SUPERBLOCK, id=f"bit of {offset}")
            for offset in (0, 5, 8, 40, 70, 320, 345, 2000, 4095)
        ),
        *(
            pytest.param(with_superblock(DELETES, magic=magic), 3, NO_SUPERBLOCK, id=f"{magic:#x}")
            for magic in (0, 1, 27022011, 2**64 - 1)
        ),
        pytest.param(with_zeros(), 3, NO_SUPERBLOCK, id="zeros"),
        pytest.param(with_superblock(DELETES, blocknr=7), 5, ELSEWHERE, id="another block's"),
    ],
)
def test_a_superblock_that_is_none_prints_nothing(
    image: DamagedImage, exit_code: int, what: str, form: str, dump: Dump
) -> None:
    result = dump(image, form)

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert what in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("field_name", "value", "what"),
    [
        *(("version", version, f"version {version}") for version in (0, 3, 2**32 - 1)),
        *(("incompat_flags", flags, f"{flags:#x}") for flags in (1, 1 << 30, 1 << 31)),
    ],
)
def test_what_is_newer_is_read_only_on_request(
    field_name: str, value: int, what: str, dump: Dump
) -> None:
    image = with_superblock(DELETES, **{field_name: value})

    refused = dump(image)
    forced = dump(image, "xml-1.1", "--ignore-unsupported")

    assert (refused.exit_code, refused.stdout) == (3, "")
    assert what in refused.stderr
    assert "--ignore-unsupported" in refused.stderr
    golden = SoundDump.of(DELETES, "meta", "xml-1.1").whole
    if field_name == "version":
        golden = golden.replace(b'version="2"', b'version="%d"' % value)
    assert forced.stdout_bytes == golden
    assert forced.exit_code == 0


@every_form
def test_version_1_is_read_like_version_2(form: str, dump: Dump) -> None:
    result = dump(with_superblock(DELETES, version=1), form)

    lines = SoundDump.of(DELETES, "meta", form).whole.splitlines(keepends=True)
    for before, after in ((b'ion="2"', b'ion="1"'), (b'ion": 2', b'ion": 1'), (b", 2,", b", 1,")):
        lines[0] = lines[0].replace(before, after)
    assert result.stdout_bytes == b"".join(lines)
    assert (result.exit_code, result.stderr) == (0, "")


@every_form
@pytest.mark.parametrize(
    "fields",
    [
        {"compat_flags": 2**32 - 1, "compat_ro_flags": 2**32 - 1},
        {"metadata_nr_blocks": 0},
        {"metadata_nr_blocks": 2**64 - 1},
        {"metadata_block_size": 0},
        {"uuid": b"\xff" * 16},
        {"held_root": 0},
    ],
    ids=str,
)
def test_a_field_that_a_dump_does_not_need_may_hold_anything(
    fields: dict[str, Any], form: str, dump: Dump
) -> None:
    result = dump(with_superblock(DELETES, **fields), form)

    assert result.stdout_bytes == SoundDump.of(DELETES, "meta", form).whole
    assert (result.exit_code, result.stderr) == (0, "")


@every_form
@pytest.mark.parametrize("nr_blocks", [2**63, 2**64 - 1])
def test_a_huge_number_of_metadata_blocks_costs_nothing(
    nr_blocks: int, form: str, dump: Dump
) -> None:
    image = DamagedImage.of(DELETES)
    image.superblock()["metadata_space_map_root"]["nr_blocks"] = nr_blocks
    image.restamp(0)

    result = dump(image, form)

    assert result.stdout_bytes == SoundDump.of(DELETES, "meta", form).whole
    assert (result.exit_code, result.stderr) == (0, "")


@every_form
def test_blocks_that_the_space_map_does_not_count_are_not_read(form: str, dump: Dump) -> None:
    anatomy = Anatomy.of(DELETES)
    for nr_blocks in (0, 1, *(block + 1 for block in each_in_turn(anatomy.nodes(), form))):
        image = DamagedImage.of(DELETES)
        image.superblock()["metadata_space_map_root"]["nr_blocks"] = nr_blocks
        image.restamp(0)
        lost = {block for block in anatomy.nodes() if block >= nr_blocks}

        result = dump(image, form)

        assert result.stdout_bytes == SoundDump.of(DELETES, "meta", form).before(lost)
        assert result.exit_code == (5 if lost else 0)
        assert not lost or "is past the end of the metadata" in result.stderr


@pytest.mark.parametrize("beginning", [b"<", b" <", b"\n<", b"\x1f\x8b"], ids=repr)
def test_a_checksum_that_looks_like_another_kind_of_file_is_a_checksum(
    beginning: bytes, dump: Dump
) -> None:
    image = DamagedImage.of(DELETES)
    uuid = 0
    while not image.block(0).tobytes().startswith(beginning):
        uuid += 1
        image.superblock()["uuid"] = uuid.to_bytes(16, "little")
        image.restamp(0)

    result = dump(image)

    assert result.stdout_bytes == SoundDump.of(DELETES, "meta", "xml-1.1").whole
    assert (result.exit_code, result.stderr) == (0, "")


# The metadata snapshot.


@pytest.mark.parametrize(
    ("held_root", "what"),
    [
        (2048, "the superblock is past the end of the file"),
        (2**64 - 1, "the superblock is past the end of the file"),
        (1, "the superblock's checksum is wrong"),
        (2047, "the superblock's checksum is wrong"),
    ],
)
def test_a_held_root_that_is_none_is_damage(held_root: int, what: str, dump: Dump) -> None:
    image = with_superblock(HELD, held_root=held_root)

    result = dump(image, "xml-1.1", "-m")

    assert (result.exit_code, result.stdout) == (5, "")
    assert f"metadata block {held_root}: {what}" in result.stderr.splitlines()[-1]


def test_a_held_superblock_that_was_copied_elsewhere_is_damage(dump: Dump) -> None:
    held_root = Anatomy.of(HELD).held_root
    image = with_superblock(HELD, held_root=2047)
    image.copy(held_root, 2047)

    result = dump(image, "xml-1.1", "-m")

    assert (result.exit_code, result.stdout) == (5, "")
    assert f"block 2047: the superblock was written for block {held_root}" in result.stderr


def test_a_damaged_live_state_costs_the_metadata_snapshot_nothing(dump: Dump) -> None:
    live, held = Anatomy.of(HELD), Anatomy.of(HELD, snapshot=True)
    image = DamagedImage.of(HELD)
    image.zero(*(set(live.nodes()) - set(held.nodes())))

    result = dump(image, "xml-1.1", "-m")

    assert result.stdout_bytes == SoundDump.of(HELD, "meta", "xml-1.1", snapshot=True).whole
    assert (result.exit_code, result.stderr) == (0, "")


# Files that are too short, and disks with bad sectors.


@main_forms
@pytest.mark.parametrize(("case", "more"), [(DELETES, 0), (UNSHARED, 1), (UNSHARED, BLOCK - 1)])
def test_a_truncated_file_is_damage_from_its_end_on(
    case: str, more: int, form: str, tmp_path: Path, dump: Dump
) -> None:
    image, anatomy, sound = opened(case, form)
    file = ImageFile(tmp_path / "meta.bin", image)
    for nr_blocks in each_in_turn(range(1, max(anatomy.nodes()) + 3), form):
        image.truncate(nr_blocks * BLOCK + more)
        lost = {block for block in anatomy.nodes() if block >= nr_blocks}
        with file.damaged() as path:
            result = dump.of_file(path, form)
        assert result.stdout_bytes == sound.before(lost)
        assert result.exit_code == (5 if lost else 0)
        assert not lost or "is past the end of the file, which is truncated" in result.stderr


@pytest.mark.parametrize(
    ("size", "what"), [(0, "is empty"), (1, "has only 1 bytes"), (4095, "has only 4095 bytes")]
)
def test_a_file_without_a_whole_superblock_cannot_be_used(size: int, what: str, dump: Dump) -> None:
    image = DamagedImage.of(DELETES)
    image.block(0)[0] |= np.uint8(1)  # it shall not begin like XML
    image.truncate(size)

    result = dump(image)

    assert (result.exit_code, result.stdout) == (3, "")
    assert what in result.stderr


class BadSectors:
    """Makes reads of some blocks of every file fail, as a dying disk does.

    Attributes:
        gives_what_precedes: return the sound blocks that precede a bad one, as Linux does.
    """

    def __init__(self, bad: set[int], *, gives_what_precedes: bool) -> None:
        self.bad = bad
        self.gives_what_precedes = gives_what_precedes
        self._pread, self._preadv = os.pread, os.preadv

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return self._pread(fd, self._readable(size, offset), offset)

    def preadv(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        rest = self._readable(sum(buffer.nbytes for buffer in buffers), offset)
        wanted = []
        for buffer in buffers:
            wanted.append(
                buffer.cast("B", (buffer.nbytes,))[:rest] if rest < buffer.nbytes else buffer
            )
            rest -= min(rest, buffer.nbytes)
        return self._preadv(fd, wanted, offset)

    def _readable(self, size: int, offset: int) -> int:
        blocks = range(offset // BLOCK, -(-(offset + size) // BLOCK))
        hit = min(self.bad.intersection(blocks), default=None)
        if hit is None:
            return size
        if hit * BLOCK <= offset or not self.gives_what_precedes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return hit * BLOCK - offset

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(os, "pread", self.pread)
        patch.setattr(os, "preadv", self.preadv)


@every_form
@pytest.mark.parametrize("gives_what_precedes", [False, True])
@pytest.mark.parametrize("case", [DELETES, DOCKER])
def test_a_block_that_cannot_be_read_is_damage(
    case: str, gives_what_precedes: bool, form: str, tmp_path: Path, dump: Dump
) -> None:
    anatomy, sound = Anatomy.of(case), SoundDump.of(case, "meta", form)
    path = DamagedImage.of(case).write_to(tmp_path / "meta.bin")
    for block in each_in_turn(anatomy.nodes(), form):
        with pytest.MonkeyPatch.context() as patch:
            BadSectors({block}, gives_what_precedes=gives_what_precedes).install(patch)
            result = dump.of_file(path, form)
        assert_damage(result, sound.before({block}), where(anatomy, block), "cannot be read")


@main_forms
@pytest.mark.parametrize("seed", range(10))
def test_blocks_that_can_be_read_are_not_lost_with_their_neighbours(
    seed: int, form: str, tmp_path: Path, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    image, anatomy, sound = taller(SNAPSHOTS, form)
    file = ImageFile(tmp_path / "meta.bin", image)
    bad = set((1 + rng.choice(image.nr_blocks - 1, 1500, replace=False)).tolist())
    spared = set(rng.permutation(anatomy.nodes())[4 * (seed % 2) :].tolist())
    BadSectors(bad - spared, gives_what_precedes=bool(seed % 3)).install(monkeypatch)

    result = dump.of_file(file.path, form)

    lost = (bad - spared) & set(anatomy.nodes())
    assert result.stdout_bytes == sound.before(lost)
    assert result.exit_code == (5 if lost else 0)


@every_form
def test_a_superblock_that_cannot_be_read_is_damage(
    form: str, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = DamagedImage.of(DELETES)
    image.write_to(dump.path)
    BadSectors({0}, gives_what_precedes=True).install(monkeypatch)

    result = dump.of_file(dump.path, form)

    assert (result.exit_code, result.stdout) == (5, "")
    last = result.stderr.splitlines()[-1]
    assert "metadata block 0: the superblock cannot be read" in last
