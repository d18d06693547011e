"""Whatever is done to an image, a dump ends in time: in full, or in one of our errors.

A case is a number. From it come the image, the damage and the format, so a case that
fails is run again, alone, by what its failure prints:

    THINMETA_FUZZ_SEED=1234 THINMETA_FUZZ_CASES=1 pytest tests/fuzz

THINMETA_FUZZ_SEED is the number of the first case, THINMETA_FUZZ_CASES how many there
are. The seed may be any number: other ones try what nobody tried before.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from tests.anatomy import FORMATS, Anatomy, SoundDump
from tests.conftest import Thinmeta
from tests.damage import BLOCK, BlockKind, DamagedImage, ImageFile, kind_of
from thinmeta import DamagedMetadataError, ThinmetaError, open_pool
from thinmeta.errors import ExitCode
from thinmeta.formats.style import Header, dump
from thinmeta.formats.styles import style_for
from thinmeta.model.listing import Listing
from thinmeta.model.state import State
from thinmeta.schemas.columns import NODE_HEADER

FIRST_SEED = int(os.environ.get("THINMETA_FUZZ_SEED", "0"))
NR_CASES = int(os.environ.get("THINMETA_FUZZ_CASES", "10000"))
CASES_IN_A_BATCH = 250
SECONDS = 5.0
EVERY_SO_MANY_BY_COMMAND = 25
EVERY_SO_MANY_IN_ALL_FORMATS = 8

# Name of the case, of the image, and whether its metadata snapshot is read.
IMAGES = (
    ("a08-snapshots-of-snapshots", "meta", False),
    ("a09-discards-and-deletes", "meta", False),
    ("a13-metadata-snapshot-held", "meta", False),
    ("a13-metadata-snapshot-held", "meta", True),
    ("a18-large-device-ids", "meta", False),
    ("docker-direct-lvm-ext4-512k", "meta-live-msnap", False),
    ("docker-direct-lvm-ext4-512k", "meta-live-msnap", True),
    ("docker-loop-lvm-xfs-64k", "meta", False),
)
DUMPS = {"xml-1.1": ("xml", "1.1"), "xml-0.9": ("xml", "0.9"), "json": ("json", "1.1")}

Rng = np.random.Generator


class TooSlow(BaseException):
    """A case took too long; no `except Exception` may take it for anything else."""


@contextmanager
def time_bound() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Target:
    """An image, the file it is in, and what in it is worth hitting."""

    def __init__(self, directory: Path, case: str, image: str, *, snapshot: bool) -> None:
        self.snapshot = snapshot
        self.image = DamagedImage.of(case, image)
        self.file = ImageFile(directory / f"{case}-{image}-{snapshot}.bin", self.image)
        held_root = Anatomy(self.image).held_root
        anatomy = Anatomy(self.image, held_root if snapshot else 0)
        self.superblocks = [0, held_root] if snapshot else [0]
        self.nodes = anatomy.nodes()
        internal = [place.block for place in anatomy.mapping_places() if not place.is_leaf]
        self.pointing = sorted({*internal, *(place.block for place in anatomy.devices)})
        self.above_leaves = sorted({*self.pointing, *(place.block for place in anatomy.details)})
        self.space_maps = [block for some in anatomy.space_map_blocks().values() for block in some]
        self.in_use = sorted({*self.superblocks, *self.nodes, *self.space_maps})
        self.dumps = {form: SoundDump.of(case, image, form, snapshot=snapshot) for form in DUMPS}

    def any_block(self, rng: Rng) -> int:
        """Return a block: mostly one that a dump reads, seldom one that it does not."""
        match int(rng.integers(20)):
            case 0 | 1:
                return pick(rng, self.superblocks)
            case 2:
                return pick(rng, self.space_maps)
            case 3:
                return int(rng.integers(self.image.nr_blocks))
            case roll if roll < 10:
                return pick(rng, self.above_leaves)
            case _:
                return pick(rng, self.nodes)

    def number(self, rng: Rng, old: int) -> int:
        """Return a number to put in the place of `old`: one that may confuse."""
        match int(rng.integers(8)):
            case 0:
                return old + int(rng.integers(-2, 3))
            case 1:
                return pick(rng, self.in_use)
            case 2:
                return int(rng.integers(self.image.nr_blocks + 2))
            case 3:
                return old ^ (1 << int(rng.integers(64)))
            case 4:
                return int(rng.integers(2**64, dtype=np.uint64))
            case _:
                return pick(rng, ODD_NUMBERS)


ODD_NUMBERS = [
    *(0, 1, 2, 3, 4, 24, 125, 126, 127, 251, 252, 253, 255, 256, 336, 508, 509, 4096),
    *(2**power + more for power in (16, 24, 31, 32, 40, 63) for more in (-1, 0, 1)),
    2**64 - 2,
    2**64 - 1,
]


def pick(rng: Rng, numbers: list[int]) -> int:
    return numbers[int(rng.integers(len(numbers)))]


def put_number(target: Target, rng: Rng, block: int, offset: int, size: int) -> None:
    row = target.image.block(block)
    old = int.from_bytes(row[offset : offset + size].tobytes(), "little")
    new = target.number(rng, old) % (1 << 8 * size)
    target.image.overwrite(block, offset, new.to_bytes(size, "little"))


def hit_field(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a field of the block's header with an odd number."""
    layout = (kind_of(target.image.sound[block]) or BlockKind.NODE).header
    names = list(layout.names or ())
    field, offset = layout.fields[names[int(rng.integers(len(names)))]][:2]  # type: ignore[index]
    at = offset + 8 * int(rng.integers(max(1, field.itemsize // 8)))
    put_number(target, rng, block, at, min(8, field.itemsize))


def hit_entry(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a key or a value that is in use."""
    header = target.image.header(block)
    count, room, size = (int(header[name]) for name in ("nr_entries", "max_entries", "value_size"))
    if kind_of(target.image.sound[block]) is not BlockKind.NODE or not 0 < count <= room <= 508:
        return hit_field(target, rng, block)
    entry = int(rng.integers(count))
    at = 32 + 8 * entry if rng.integers(2) else 32 + 8 * room + size * entry
    return put_number(target, rng, block, min(at, BLOCK - 8), 8)


def hit_pointer(target: Target, rng: Rng, block: int) -> None:
    """Let a pointer above the leaves lead to another node that is in use."""
    pointing = pick(rng, target.pointing)
    header = target.image.sound[pointing][: NODE_HEADER.itemsize].view(NODE_HEADER)[0]
    entry = int(rng.integers(max(1, int(header["nr_entries"]))))
    at = NODE_HEADER.itemsize + 8 * (int(header["max_entries"]) + entry)
    target.image.overwrite(pointing, at, pick(rng, target.nodes).to_bytes(8, "little"))


def hit_bytes(target: Target, rng: Rng, block: int) -> None:
    size = int(rng.integers(1, 65))
    at = int(rng.integers(BLOCK - size))
    target.image.overwrite(block, at, rng.bytes(size))


def hit_bit(target: Target, rng: Rng, block: int) -> None:
    target.image.flip_bit(block, int(rng.integers(8 * BLOCK)))


def hit_block(target: Target, rng: Rng, block: int) -> None:
    """Overwrite it as a whole: nothing, ones, noise, or another block."""
    match int(rng.integers(5)):
        case 0:
            target.image.zero(block)
        case 1:
            target.image.block(block)[:] = 0xFF
        case 2:
            target.image.overwrite(block, 0, rng.bytes(BLOCK))
        case 3:
            target.image.copy(target.any_block(rng), block)
        case _:
            target.image.swap(target.any_block(rng), block)


def cut_off(target: Target, rng: Rng, block: int) -> None:
    """Let the file end somewhere, often at or in the block."""
    anywhere = int(rng.integers(target.image.sound.size))
    near = block * BLOCK + int(rng.integers(2)) * int(rng.integers(BLOCK))
    target.image.truncate(anywhere if rng.integers(4) == 0 else near)


DAMAGES: tuple[tuple[Callable[[Target, Rng, int], None], int], ...] = (
    (hit_field, 26),
    (hit_entry, 26),
    (hit_pointer, 8),
    (hit_bytes, 12),
    (hit_bit, 8),
    (hit_block, 15),
    (cut_off, 5),
)
_TICKETS = [damage for damage, share in DAMAGES for _ in range(share)]


@dataclass(frozen=True)
class Case:
    """What one number means.

    Attributes:
        restamped: checksums were made right again, so that only contents tell.
    """

    target: Target
    form: str
    restamped: bool


def case_of(seed: int, targets: Callable[[int], Target]) -> Case:
    """Damage an image as `seed` says."""
    rng = np.random.default_rng(seed)
    target = targets(int(rng.integers(len(IMAGES))))
    form = list(DUMPS)[int(rng.integers(len(DUMPS)))]
    for _ in range(pick(rng, [1, 1, 1, 1, 1, 2, 2, 3, 8])):
        hit = _TICKETS[int(rng.integers(len(_TICKETS)))]
        hit(target, rng, target.any_block(rng))
    restamped = bool(rng.integers(2))
    if restamped:
        if rng.integers(2):
            target.image.readdress(*target.image.edited)
        target.image.restamp(*target.image.edited)
    return Case(target, form, restamped)


def dumped(path: Path, case: Case) -> tuple[bytes, ThinmetaError | None]:
    """Return what the library makes of a file, and the error that it ends in."""
    parts: list[bytes] = []
    style, sharing = style_for(*DUMPS[case.form])
    try:
        with open_pool(path, state=State.SNAP if case.target.snapshot else State.LIVE) as pool:
            superblock = pool.superblock
            space_map = (pool.live_superblock if case.form == "json" else superblock).data_space_map
            header = Header(
                superblock,
                superblock.transaction_id,
                superblock.data_block_sectors,
                space_map.nr_blocks,
            )
            parts += map(bytes, dump(header, Listing(pool, sharing=sharing).rows(), style))
    except ThinmetaError as error:
        return b"".join(parts), error
    return b"".join(parts), None


def assert_lines_before_the_damage(case: Case, stdout: bytes, error: ThinmetaError | None) -> None:
    """Assert that damage that checksums show costs only what comes after it."""
    image = case.target.image
    read = {*case.target.superblocks, *case.target.nodes}
    bad = {block for block in image.different() if block in read}
    assert stdout == case.target.dumps[case.form].before(bad)
    assert (error is not None) == bool(bad)


def assert_command_agrees(
    thinmeta: Thinmeta, path: Path, case: Case, stdout: bytes, error: ThinmetaError | None
) -> None:
    snapshot = ["-m"] * case.target.snapshot
    result = thinmeta("dump", *FORMATS[case.form], *snapshot, path)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    if error is not None:
        assert result.stdout_bytes == stdout
        assert result.exit_code == error.exit_code
        assert result.stderr.splitlines()[-1].startswith("Error: ")
        assert result.stderr.endswith(f"{error}\n")
    elif result.exit_code == ExitCode.DAMAGE:  # a device that only one of two trees knows
        assert stdout.startswith(result.stdout_bytes)
        assert stdout.removeprefix(result.stdout_bytes).count(b"\n") <= 1
        assert " only the " in result.stderr.splitlines()[-1]
    else:
        assert (result.stdout_bytes, result.exit_code) == (stdout, ExitCode.DONE)


def assert_formats_agree(path: Path, case: Case, error: ThinmetaError | None) -> None:
    """Assert that no format overlooks what another one stops at."""
    for form in DUMPS:
        _, other = dumped(path, replace(case, form=form))
        assert (other is None) == (error is None), f"{case.form}: {error}; {form}: {other}"


def check(seed: int, targets: Callable[[int], Target], thinmeta: Thinmeta) -> None:
    case = case_of(seed, targets)
    with case.target.file.damaged() as path, time_bound():
        stdout, error = dumped(path, case)
        if not case.restamped:
            assert_lines_before_the_damage(case, stdout, error)
        elif seed % EVERY_SO_MANY_IN_ALL_FORMATS == 0:
            assert_formats_agree(path, case, error)
        if isinstance(error, DamagedMetadataError):
            assert error.damage.block is not None
        if seed % EVERY_SO_MANY_BY_COMMAND == 0:
            assert_command_agrees(thinmeta, path, case, stdout, error)


@pytest.fixture(scope="session")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Target]:
    directory = tmp_path_factory.mktemp("fuzz")

    @cache
    def target(place: int) -> Target:
        case, image, snapshot = IMAGES[place]
        return Target(directory, case, image, snapshot=snapshot)

    return target


@pytest.mark.parametrize("first", range(0, NR_CASES, CASES_IN_A_BATCH))
def test_damage_ends_in_our_errors_and_in_time(
    first: int, targets: Callable[[int], Target], thinmeta: Thinmeta
) -> None:
    for place in range(first, min(first + CASES_IN_A_BATCH, NR_CASES)):
        seed = FIRST_SEED + place
        try:
            check(seed, targets, thinmeta)
        except BaseException as error:
            again = f"THINMETA_FUZZ_SEED={seed} THINMETA_FUZZ_CASES=1 pytest tests/fuzz"
            error.add_note(f"seed {seed}; run this case alone: {again}")
            raise
