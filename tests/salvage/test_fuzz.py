"""Whatever is done to an image, every command with `--salvage` ends well, and formats agree.

A case is a number, as in `tests.fuzz`: THINMETA_FUZZ_SEED is the first one to run,
THINMETA_SALVAGE_CASES how many there are.
"""

import csv
import io
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result

from tests.conftest import Thinmeta
from tests.fuzz.test_fuzz_dump import IMAGES, DumpTarget, case_of, time_bound
from tests.needs import IS_THOROUGH
from tests.salvage.remains import expanded, mappings_by_device
from thinmeta.errors import ExitCode

FIRST_SEED = int(os.environ.get("THINMETA_FUZZ_SEED", "0"))
NR_CASES = int(os.environ.get("THINMETA_SALVAGE_CASES", "160" if IS_THOROUGH else "52"))
CASES_IN_A_BATCH = 26

RUNS: list[tuple[str, ...]] = [
    ("dump", "-f", "json"),
    ("dump", "-f", "human_readable"),
    ("ls", "-f", "json", "-o", "DEV,MAPPED_BLOCKS,EXCLUSIVE,HIGHEST_BLOCK,NEW,RUNS"),
    ("ls",),
    ("ls", "--tree"),
    ("ls", "--tree", "-f", "json"),
    ("rmap", "--region", "0..3000", "-f", "json"),
    ("info", "--histograms", "-f", "json"),
    ("diff", "1", "2", "-f", "json"),
    ("diff", "1", "4", "-f", "xml"),
    ("diff", "2", "4", "-f", "csv"),
    ("lookup", "1", "0", "70", "600", "-f", "json"),
    ("lookup", "2", "300", "--all-sharers", "-f", "csv"),
]

# An image without a superblock is no metadata; a device may be lost with the trees of devices.
ENDINGS = {ExitCode.DONE, ExitCode.INPUT, ExitCode.NOT_THERE, ExitCode.DAMAGE, ExitCode.SALVAGED}


def ran(thinmeta: Thinmeta, *args: object) -> Result:
    result = thinmeta(*args)
    assert result.exception is None or isinstance(result.exception, SystemExit), args
    assert result.exit_code in ENDINGS, (args, result.stderr)
    assert (result.exit_code == 0) == ("Error: " not in result.stderr), args
    return result


def assert_well_formed(text: str, args: tuple[str, ...]) -> None:
    if "json" in args:
        assert all("type" in json.loads(line) for line in text.splitlines())
    elif "csv" in args:
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) <= 1
    elif "xml" in args and text:
        ElementTree.fromstring(text)


def check(seed: int, targets: Callable[[int], DumpTarget], thinmeta: Thinmeta) -> None:
    case = case_of(seed, targets)
    run = RUNS[seed % len(RUNS)]
    snapshot = ["-m"] * case.target.snapshot
    with case.target.file.damaged() as path, time_bound():
        result = ran(thinmeta, *run, "--salvage", *snapshot, "-p", path)
        assert_well_formed(result.stdout, run)
        strict = ran(thinmeta, *run, *snapshot, "-p", path)
        if result.exit_code == strict.exit_code == ExitCode.DONE and not result.stderr:
            assert result.stdout == strict.stdout
        old = ran(thinmeta, "dump", "--compat", "0.9", "--salvage", *snapshot, path)
        new = ran(thinmeta, "dump", "--salvage", *snapshot, path)
        assert new.exit_code == old.exit_code
        if old.stdout:
            assert old.exit_code in (ExitCode.DONE, ExitCode.SALVAGED)
            ElementTree.fromstring(new.stdout)
            of_old = mappings_by_device(old.stdout_bytes)
            assert mappings_by_device(expanded(new.stdout_bytes)) == of_old
            assert all(numbers[1] == len(mapped) for numbers, mapped in of_old)


@pytest.fixture(scope="session")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], DumpTarget]:
    directory: Path = tmp_path_factory.mktemp("salvage")

    @cache
    def target(place: int) -> DumpTarget:
        case, image, snapshot = IMAGES[place]
        return DumpTarget(directory, case, image, snapshot=snapshot)

    return target


@pytest.mark.parametrize("first", range(0, NR_CASES, CASES_IN_A_BATCH))
def test_all_commands_salvage_what_damage_leaves(
    first: int, targets: Callable[[int], DumpTarget], thinmeta: Thinmeta
) -> None:
    for place in range(first, min(first + CASES_IN_A_BATCH, NR_CASES)):
        seed = FIRST_SEED + place
        try:
            check(seed, targets, thinmeta)
        except BaseException as error:
            error.add_note(f"THINMETA_FUZZ_SEED={seed} THINMETA_SALVAGE_CASES=1 pytest {__file__}")
            raise
