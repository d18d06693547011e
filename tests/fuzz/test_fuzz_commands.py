"""Whatever a command is given, it keeps its promises: in time, in little memory, in plain words.

A pair of a command and its inputs is a number. One that fails is run again, alone, by
what its failure prints:

    THINMETA_FUZZ_SEED=1234 THINMETA_FUZZ_PAIRS=1 pytest tests/fuzz/test_fuzz_commands.py

THINMETA_FUZZ_SEED is the number of the first pair, THINMETA_FUZZ_PAIRS how many there
are; commands take turns. `python -m tests.fuzz.pairs 1234 FOLDER` writes the inputs.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.forking import Forking
from tests.fuzz.pairs import COMMANDS, OWN, make
from tests.fuzz.promises import (
    assert_ended,
    assert_nothing_is_lost_in_silence,
    assert_outputs,
    assert_well_formed,
    fingerprint,
)

pytestmark = pytest.mark.fuzz

FIRST_SEED = int(os.environ.get("THINMETA_FUZZ_SEED", "0"))
NR_PAIRS = int(os.environ.get("THINMETA_FUZZ_PAIRS", "200"))
PAIRS_IN_A_BATCH = 20


def test_every_command_is_tried() -> None:
    assert {*OWN, "restore"} == {*COMMANDS}


@pytest.fixture(scope="session")
def forking() -> Iterator[Forking]:
    with Forking() as started:
        yield started


def check(seed: int, folder: Path, forking: Forking) -> None:
    """Make a pair in a new folder, run it and hold it against each promise."""
    folder.mkdir()
    pair = make(seed, folder)
    before = fingerprint(folder / "in")
    ended = forking.run(folder, pair.args)
    try:
        assert_ended(pair, ended)
        assert fingerprint(folder / "in") == before, "an input was written to"
        assert_outputs(pair, ended)
        assert_well_formed(pair, ended)
        assert_nothing_is_lost_in_silence(pair, ended)
    except BaseException as error:
        error.add_note(f"{pair}\nexit code {ended.exit_code}, {ended.seconds:.1f} s of CPU")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("first", range(0, NR_PAIRS, PAIRS_IN_A_BATCH))
def test_every_command_keeps_its_promises(first: int, tmp_path: Path, forking: Forking) -> None:
    for place in range(first, min(first + PAIRS_IN_A_BATCH, NR_PAIRS)):
        seed = FIRST_SEED + place
        try:
            check(seed, tmp_path / str(seed), forking)
        except BaseException as error:
            again = f"THINMETA_FUZZ_SEED={seed} THINMETA_FUZZ_PAIRS=1 pytest {Path(__file__).name}"
            error.add_note(f"seed {seed}; run this pair alone, in tests/fuzz: {again}")
            raise
