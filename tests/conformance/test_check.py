"""The verdicts of `check` are thin_check's, or `docs/check.md` says why not."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.cases import FIXTURES, Recorded, image_names, recorded, unpacked
from tests.conformance import reference_tools
from tests.conftest import Thinmeta
from tests.damage import DamagedImage, ImageFile
from tests.single_damages import SingleDamage, single_damages

THIN_CHECK = reference_tools.FOLDER / "1.1.0/thin_check"

# thin_check waits half a second each time, whatever there is to do.
ENVIRONMENT = dict(os.environ)
THREADS = 16

RUNS = [run for run in recorded("thin_check") if run.version == "1.1.0"]
IMAGES = image_names()

# Pools, and which damages to try on each: the beginnings of their names. Together they
# are each field of each structure; with THINMETA_CORPUS=all all are tried on each pool.
CORPUS = {
    ("a08-snapshots-of-snapshots", "meta"): (
        *("details", "top level", "shared", "data ref counts", "metadata ref counts"),
        *("metadata index", "metadata bitmap"),
    ),
    ("a13-metadata-snapshot-held", "meta"): (
        *("superblock", "held superblock", "mapping root leaf: value"),
        "metadata ref counts leaf: flags",
    ),
    ("docker-loop-lvm-xfs-64k", "meta-live-msnap"): (
        *("data index", "mapping internal node", "mapping leaf", "data bitmap"),
    ),
    ("a03-one-thin-sequential-64k", "meta"): (
        *("mapping leaf: value", "mapping leaf: max_entries", "metadata ref counts leaf: max"),
    ),
    ("a09-discards-and-deletes", "meta"): ("shared leaf: value", "mapping leaf: key"),
    ("a02-empty-pool-min-metadata", "meta"): ("superblock: data_space_map_root", "details"),
}
EVERYTHING = os.environ.get("THINMETA_CORPUS") == "all"

VERDICTS = {0: "healthy", 3: "unusable", 5: "damage", 7: "not fatal"}


def test_the_recorded_runs_have_not_shrunk() -> None:
    assert len(RUNS) >= 32


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_real_pool_is_as_thin_check_says(run: Recorded, thinmeta: Thinmeta) -> None:
    result = thinmeta("check", run.image_path())

    assert run.exit_code == 0
    assert result.exit_code == 0, result.stdout
    assert result.stdout_bytes.startswith(run.stdout())
    assert result.stdout.count("\n") == run.stdout().count(b"\n") + 1


@pytest.mark.parametrize("image", IMAGES, ids="/".join)
def test_quiet_is_quiet(image: tuple[str, str], thinmeta: Thinmeta) -> None:
    result = thinmeta("check", "-q", unpacked(*image))

    assert (result.exit_code, result.output) == (0, "")


@dataclass(frozen=True)
class Disagreement:
    """A row of the table in the document."""

    patterns: tuple[str, ...]
    theirs: str
    ours: str

    def explains(self, damage: str, theirs: str, ours: str) -> bool:
        return (theirs, ours) == (self.theirs, self.ours) and any(
            fnmatchcase(damage, pattern) for pattern in self.patterns
        )


def disagreements() -> Iterator[Disagreement]:
    page = (FIXTURES.parent / "docs/check.md").read_text()
    section = page.partition("\n## Where thin_check says otherwise\n")[2]
    for line in re.findall(r"^\| (`.*) \|$", section, re.MULTILINE):
        damages, theirs, ours, _ = line.split(" | ")
        yield Disagreement(tuple(re.findall(r"`([^`]+)`", damages)), theirs, ours)


def chosen(pool: tuple[str, str]) -> list[SingleDamage]:
    damages = single_damages(DamagedImage.of(*pool))
    return [each for each in damages if EVERYTHING or str(each).startswith(CORPUS[pool])]


def test_the_corpus_has_not_shrunk() -> None:
    names = {str(damage) for pool in CORPUS for damage in chosen(pool)}

    assert sum(len(chosen(pool)) for pool in CORPUS) >= 400
    assert len(names) >= 400


class Judges:
    """Runs thin_check on damaged images, each thread on a file of its own."""

    def __init__(self, directory: Path, pool: tuple[str, str]) -> None:
        self._directory = directory
        self._pool = pool
        self._local = threading.local()

    def verdict(self, damage: SingleDamage) -> str:
        if not hasattr(self._local, "file"):
            image = DamagedImage.of(*self._pool)
            path = self._directory / f"{self._pool[0]}-{threading.get_ident()}.bin"
            self._local.file = ImageFile(path, image)
        file: ImageFile = self._local.file
        damage.apply(file.image)
        with file.damaged() as path:
            if not self._run(path):
                return "healthy"
            return "damage" if self._run("--ignore-non-fatal-errors", path) else "not fatal"

    def _run(self, *args: str | Path) -> int:
        # Our own command, which runs at the same time, changes this process's environment.
        return subprocess.run(
            [THIN_CHECK, "-q", *args],
            check=False,
            stdout=subprocess.DEVNULL,
            timeout=60,
            env=ENVIRONMENT,
        ).returncode


def our_verdicts(
    damages: list[SingleDamage], file: ImageFile, thinmeta: Thinmeta
) -> Iterator[tuple[str, str]]:
    for damage in damages:
        damage.apply(file.image)
        with file.damaged() as path:
            result = thinmeta("check", "-q", path)
        assert result.output == "", damage
        yield str(damage), VERDICTS[result.exit_code]


def verdicts(
    pool: tuple[str, str], directory: Path, thinmeta: Thinmeta
) -> list[tuple[str, str, str]]:
    """Return each damage's name, thin_check's verdict and ours."""
    damages = chosen(pool)
    judges = Judges(directory, pool)
    with ThreadPoolExecutor(THREADS) as threads:
        theirs = threads.map(judges.verdict, damages)
        file = ImageFile(directory / f"{pool[0]}.bin", DamagedImage.of(*pool))
        ours = list(our_verdicts(damages, file, thinmeta))
        return [(name, their, our) for (name, our), their in zip(ours, theirs, strict=True)]


@pytest.mark.thorough
@pytest.mark.live
def test_verdicts_on_single_damages_agree_or_are_explained(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    table = list(disagreements())
    used: set[Disagreement] = set()
    unexplained = []
    for pool in CORPUS:
        for name, theirs, ours in verdicts(pool, tmp_path, thinmeta):
            if theirs == ours:
                continue
            rows = [row for row in table if row.explains(name, theirs, ours)]
            used.update(rows)
            if not rows:
                unexplained.append((pool, name, theirs, ours))

    assert unexplained == []
    assert [row for row in table if row not in used] == []
