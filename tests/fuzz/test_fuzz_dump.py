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

from tests.anatomy import FORMATS, SoundDump
from tests.conftest import Thinmeta
from tests.damage import ImageFile
from tests.fuzz.chance import pick
from tests.fuzz.damages import DAMAGES, Target
from thinmeta.errors import DamagedMetadataError, ExitCode, NoSuperblockError, ThinmetaError
from thinmeta.formats.style import DumpHeader, dump
from thinmeta.formats.styles import style_for
from thinmeta.model.listing import Listing
from thinmeta.model.pool import open_pool
from thinmeta.model.state import State

pytestmark = pytest.mark.fuzz

FIRST_SEED = int(os.environ.get("THINMETA_FUZZ_SEED", "0"))
NR_CASES = int(os.environ.get("THINMETA_FUZZ_CASES", "500"))
CASES_IN_A_BATCH = 125
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


class DumpTarget(Target):
    """The same with the file that the image is in, and the dumps of the sound image."""

    def __init__(self, directory: Path, case: str, image: str, *, snapshot: bool) -> None:
        super().__init__(case, image, snapshot=snapshot)
        self.file = ImageFile(directory / f"{case}-{image}-{snapshot}.bin", self.image)
        self.dumps = {form: SoundDump.of(case, image, form, snapshot=snapshot) for form in DUMPS}


_TICKETS = [damage for damage, share in DAMAGES for _ in range(share)]


@dataclass(frozen=True)
class Case:
    """What one number means.

    Attributes:
        restamped: checksums were made right again, so that only contents tell.
    """

    target: DumpTarget
    form: str
    restamped: bool


def case_of(seed: int, targets: Callable[[int], DumpTarget]) -> Case:
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
            header = DumpHeader(
                superblock,
                superblock.transaction_id,
                superblock.data_block_sectors,
                space_map.nr_blocks,
            )
            parts += map(bytes, dump(header, Listing(pool, sharing=sharing).parts(), style))
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
        known = str(error)
        if isinstance(error, NoSuperblockError):  # the command looks at later blocks, too
            known = known.partition(";")[0]
        assert known in result.stderr.splitlines()[-1]
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


def check(seed: int, targets: Callable[[int], DumpTarget], thinmeta: Thinmeta) -> None:
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
def targets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], DumpTarget]:
    directory = tmp_path_factory.mktemp("fuzz")

    @cache
    def target(place: int) -> DumpTarget:
        case, image, snapshot = IMAGES[place]
        return DumpTarget(directory, case, image, snapshot=snapshot)

    return target


@pytest.mark.parametrize("first", range(0, NR_CASES, CASES_IN_A_BATCH))
def test_damage_ends_in_our_errors_and_in_time(
    first: int, targets: Callable[[int], DumpTarget], thinmeta: Thinmeta
) -> None:
    for place in range(first, min(first + CASES_IN_A_BATCH, NR_CASES)):
        seed = FIRST_SEED + place
        try:
            check(seed, targets, thinmeta)
        except BaseException as error:
            again = f"THINMETA_FUZZ_SEED={seed} THINMETA_FUZZ_CASES=1 pytest tests/fuzz"
            error.add_note(f"seed {seed}; run this case alone: {again}")
            raise
