"""Torn copies, pools that change while they are read, and what damage must not touch.

Torn copies are what `dd` makes of a live metadata device: blocks of two states of one
pool. They are made here from images of one pool taken at different times. The first
tests are of the tools themselves that do the damage.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.anatomy import FORMATS, Anatomy, SoundDump
from tests.cases import image_names
from tests.conftest import Thinmeta
from tests.damage import BLOCK, BlockKind, DamagedImage, ImageFile, kind_of
from tests.golden import DumpedPool, dumped_images, mappings_of, parsed_xml
from tests.needs import IS_THOROUGH
from thinmeta.errors import DamagedMetadataError, InputError, NotThereError
from thinmeta.model.listing import Listing
from thinmeta.model.pool import Pool, open_pool
from thinmeta.model.state import State
from thinmeta.schemas.columns import DEVICE_DETAILS

SNAPSHOTS = "a08-snapshots-of-snapshots"
HELD = "a13-metadata-snapshot-held"
DOCKER = "docker-loop-lvm-xfs-64k"

# What does the damage.


@pytest.mark.parametrize(("case", "image"), image_names())
def test_every_block_of_a_real_image_is_of_the_kind_that_its_place_says(
    case: str, image: str
) -> None:
    anatomy, rows = Anatomy.of(case, image), DamagedImage.of(case, image).sound

    assert kind_of(rows[0]) is BlockKind.SUPERBLOCK
    assert {kind_of(rows[block]) for block in anatomy.nodes()} == {BlockKind.NODE}
    for kind, blocks in anatomy.space_map_blocks().items():
        assert {kind_of(rows[block]) for block in blocks} == {kind}


def test_restamping_gives_back_the_checksum_that_the_kernel_wrote() -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    some = [blocks[0] for blocks in anatomy.space_map_blocks().values()]
    for block in [0, anatomy.nodes()[0], *some]:
        image.block(block)[:4] = 0
        image.restamp(block)
    assert image.edited
    assert image.different() == set()


def test_a_damaged_file_is_sound_again_afterwards(tmp_path: Path) -> None:
    image = DamagedImage.of(SNAPSHOTS)
    file = ImageFile(tmp_path / "meta.bin", image)
    image.zero(3)
    image.swap(4, 5)
    image.truncate(100 * BLOCK + 7)
    with file.damaged() as path:
        damaged = path.read_bytes()

    assert len(damaged) == 100 * BLOCK + 7
    assert damaged[3 * BLOCK : 4 * BLOCK] == bytes(BLOCK)
    assert damaged[4 * BLOCK : 5 * BLOCK] == image.sound[5].tobytes()
    assert file.path.read_bytes() == image.sound.tobytes() == image.to_bytes()


@pytest.mark.parametrize(
    ("case", "image"),
    [each for each in dumped_images() if each[0] != "d02-shared-subtrees"],  # millions, one by one
)
def test_the_anatomy_has_the_mappings_that_thin_dump_printed(case: str, image: str) -> None:
    anatomy = Anatomy.of(case, image)
    dump = parsed_xml(SoundDump.of(case, image, "xml-0.9").whole)

    for device in dump.devices:
        leaves = anatomy.leaves(device.device_id)
        mappings = [mapping for leaf in leaves for mapping in anatomy.mappings(leaf.block)]
        assert mappings == list(mappings_of(device.runs))
        assert anatomy.mapped_blocks(device.device_id) == device.mapped_blocks == len(mappings)


# Torn copies.

Rng = np.random.Generator
States = tuple[str, str, str]

# A case, and two states of its pool: the earlier and the later.
STATES: list[States] = [
    (HELD, "meta-live-at-reserve", "meta-live-after-changes"),
    (HELD, "meta-live-at-reserve", "meta-released"),
    (HELD, "meta-live-after-changes", "meta-released"),
    ("a11-needs-check-flag", "meta-before", "meta"),
    ("a16-metadata-and-data-resized", "meta-before", "meta"),
    ("docker-direct-lvm-ext4-512k", "meta-live-raw", "meta"),
    (DOCKER, "meta-live-raw", "meta"),
    (DOCKER, "meta-live-msnap", "meta"),
    (SNAPSHOTS, "meta", "aged"),
    ("a09-discards-and-deletes", "meta", "aged"),
    ("a18-large-device-ids", "meta", "aged"),
]


def state(case: str, name: str) -> DamagedImage:
    return DamagedImage(aged(case)) if name == "aged" else DamagedImage.of(case, name)


@cache
def aged(case: str) -> bytes:
    """Return a pool as it may be after some commits: its blocks are in use again.

    The recorded states are so near each other that hardly a block was freed and used
    for something else in between, and only that makes a tear which no checksum shows.
    Here leaves have changed places, and mappings are gone.
    """
    image, anatomy, rng = DamagedImage.of(case), Anatomy.of(case), np.random.default_rng(5)
    leaves = sorted({place.block for place in anatomy.mapping_places() if place.is_leaf})
    moved_to = dict(zip(leaves, rng.permutation(leaves).tolist(), strict=True))
    for old, new in moved_to.items():
        image.block(new)[:] = image.sound[old]
        for _ in range(int(rng.integers(3))):
            if image.header(new)["nr_entries"]:
                image.remove_entry(new, int(rng.integers(image.header(new)["nr_entries"])))
    parents = {place.block for place in anatomy.mapping_places() if not place.is_leaf}
    for block in [*parents, anatomy.devices[0].block]:
        children = image.children(block)
        children[:] = [moved_to.get(child, child) for child in children.tolist()]
    image.readdress(*leaves)
    image.restamp(*image.edited)
    later = Anatomy(DamagedImage(image.to_bytes()))
    image.values(anatomy.details[0].block, DEVICE_DETAILS)["mapped_blocks"] = [
        sum(len(later.mappings(leaf.block)) for leaf in later.leaves(device_id))
        for device_id in later.device_ids
    ]
    image.restamp(anatomy.details[0].block)
    return image.to_bytes()


def torn(states: States, rng: Rng) -> DamagedImage:
    """Return one state with some blocks of the other."""
    case, one, other = states if rng.integers(2) else (states[0], states[2], states[1])
    image, more = state(case, one), state(case, other)
    both = min(image.nr_blocks, more.nr_blocks)
    unlike = np.flatnonzero((image.sound[:both] != more.sound[:both]).any(axis=1))
    share = rng.choice([0.05, 0.5, 0.95])
    image.put_back(more, *unlike[rng.random(len(unlike)) < share].tolist())
    return image


def mappings_in(image: DamagedImage) -> set[tuple[int, int, int]]:
    anatomy = Anatomy(image)
    leaves = {place.block for place in anatomy.mapping_places() if place.is_leaf}
    return {mapping for leaf in leaves for mapping in anatomy.mappings(leaf)}


def parsed_part(xml: bytes) -> DumpedPool:
    """Parse a dump of 0.9 that may have been cut short."""
    return parsed_xml(xml) if xml else DumpedPool({}, [])


def warned(stderr: str) -> set[int]:
    """Return the devices that a warning says have another number of mappings."""
    lines = re.findall(r"^Warning: .*device (\d+): has \d+ mappings, but .*$", stderr, re.MULTILINE)
    assert len(lines) == len(set(lines))
    return set(map(int, lines))


def miscounted(dump: DumpedPool) -> set[int]:
    return {
        device.device_id
        for device in dump.devices
        if sum(run.length for run in device.runs) != device.mapped_blocks
    }


every_pair = pytest.mark.parametrize("states", STATES, ids="-".join)


@every_pair
def test_a_torn_copy_has_no_mapping_that_neither_state_has(
    states: States, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case, one, other = states
    known = mappings_in(state(case, one)) | mappings_in(state(case, other))
    for seed in range(16 if IS_THOROUGH else 5):
        path = torn(states, np.random.default_rng(seed)).write_to(tmp_path / "meta.bin")

        result = thinmeta("dump", "--compat", "0.9", path)

        assert result.exit_code in (0, 5), result.stderr
        assert (result.exit_code == 0) == result.stdout.endswith("</superblock>\n")
        devices = parsed_part(result.stdout_bytes).devices
        assert {each for device in devices for each in mappings_of(device.runs)} <= known


@every_pair
def test_a_torn_copy_whose_counts_do_not_add_up_is_warned_of(
    states: States, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    warnings = whole = 0
    for seed in range(16):
        path = torn(states, np.random.default_rng(1000 + seed)).write_to(tmp_path / "meta.bin")

        in_full = thinmeta("dump", "--compat", "0.9", path)
        if in_full.exit_code == 0:
            for form in ("xml-0.9", "xml-1.1", "json"):
                result = thinmeta("dump", *FORMATS[form], path)
                assert result.exit_code == 0
                assert warned(result.stderr) == miscounted(parsed_xml(in_full.stdout_bytes))
            warnings += bool(in_full.stderr)
            whole += 1

    assert whole
    assert warnings or "aged" not in states


@every_pair
def test_a_copy_with_all_blocks_of_the_other_state_is_that_state(
    states: States, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case, one, other = states
    image, more = state(case, other), state(case, one)
    image.put_back(more, *range(more.nr_blocks))

    result = thinmeta("dump", image.write_to(tmp_path / "meta.bin"))

    assert result.stdout_bytes == SoundDump.of(case, one, "xml-1.1").whole
    assert (result.exit_code, result.stderr) == (0, "")


# A pool that changes while it is read.


def opened(path: Path, state: State = State.LIVE) -> Pool:
    return open_pool(path, state=state)


@pytest.mark.parametrize(
    ("field", "value"), [("held_root", 0), ("held_root", 36), ("trans_id", 99)]
)
def test_a_metadata_snapshot_that_the_pool_moves_away_under_is_an_error(
    field: str, value: int, tmp_path: Path
) -> None:
    image = DamagedImage.of(HELD)
    path = image.write_to(tmp_path / "meta.bin")
    with opened(path, state=State.SNAP) as pool:
        image.superblock()[field] = value
        image.restamp(0)
        path.write_bytes(image.to_bytes())
        with pytest.raises((InputError, NotThereError), match=r"changed|released"):
            list(Listing(pool).parts())


def test_a_file_that_shrinks_while_it_is_read_is_damage(tmp_path: Path) -> None:
    path = DamagedImage.of(SNAPSHOTS).write_to(tmp_path / "meta.bin")
    with opened(path) as pool:
        with path.open("r+b") as file:
            file.truncate(BLOCK)
        with pytest.raises(DamagedMetadataError, match=r"truncated"):
            list(Listing(pool).parts())


# What a dump must leave alone.


def digest(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), status.st_size, status.st_mtime_ns


OPTIONS: list[tuple[str, ...]] = [
    *FORMATS.values(),
    ("-m",),
    ("--dev-id", "1"),
    ("--skip-mappings",),
    ("--quiet",),
    ("--ignore-unsupported",),
    ("--transaction-id", "9", "--data-block-size", "256", "--nr-data-blocks", "99999"),
    ("-o", "{directory}/out.xml"),
    ("-o", "{directory}/meta.bin"),
]


@pytest.mark.parametrize("damage", ["none", "superblock", "node", "short"])
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_the_input_is_left_as_it_is(
    options: tuple[str, ...], damage: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage.of(HELD)
    if damage == "superblock":
        image.flip_bit(0, 500)
    elif damage == "node":
        image.zero(Anatomy.of(HELD).mapping_places()[0].block)
    elif damage == "short":
        image.truncate(40 * BLOCK)
    path = image.write_to(tmp_path / "meta.bin")
    before = digest(path)

    result = thinmeta("dump", *(each.format(directory=tmp_path) for each in options), path)

    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert digest(path) == before


def test_no_file_appears_when_damage_ends_the_dump(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(SNAPSHOTS)
    image.zero(Anatomy.of(SNAPSHOTS).leaves(0)[1].block)
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("dump", "-o", tmp_path / "out.xml", path)

    assert (result.exit_code, result.stdout) == (5, "")
    assert [each.name for each in tmp_path.iterdir()] == ["meta.bin"]


def test_a_file_keeps_what_it_had_when_damage_ends_the_dump(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage.of(SNAPSHOTS)
    image.remove_entry(Anatomy.of(SNAPSHOTS).details[0].block, 3)
    image.restamp(Anatomy.of(SNAPSHOTS).details[0].block)
    path = image.write_to(tmp_path / "meta.bin")
    out = tmp_path / "out.xml"
    out.write_text("an earlier dump")

    result = thinmeta("dump", "-o", out, path)

    assert result.exit_code == 5
    assert out.read_text() == "an earlier dump"
