"""The command lines of the tools' clients and manuals, run by the tools themselves and by us.

Exit code, standard output, and what the file that is written dumps as are the same.
"""

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cases import unpacked
from tests.conformance.reference_tools import FOLDER
from tests.conftest import Thinmeta

pytestmark = pytest.mark.live

IMAGES = {
    "a08": "a08-snapshots-of-snapshots",
    "a09": "a09-discards-and-deletes",
    "a11": "a11-needs-check-flag",
    "a13": "a13-metadata-snapshot-held",
}

LINES = """
thin_dump -V
thin_dump --version
thin_dump a08
thin_dump -f xml a08
thin_dump -f=xml a08
thin_dump --format=xml a08
thin_dump -fxml a08
thin_dump --format human_readable a08
thin_dump -o OUT a08
thin_dump a08 -o OUT
thin_dump -o EXISTS a08
thin_dump -r a08
thin_dump -q a08
thin_dump -q -q a08
thin_dump -qr a08
thin_dump -mq a13
thin_dump -m a13
thin_dump -m=28 a13
thin_dump -m28 a13
thin_dump -m= a13
thin_dump -m 28 a13
thin_dump --metadata-snap=28 a13
thin_dump --metadata-snap=x a13
thin_dump --metadata-snap 28 a13
thin_dump --format xml a13 --metadata-snap 28
thin_dump -f xml a13 -m 28
thin_dump -m a08
thin_dump --dev-id 1 a08
thin_dump --dev-id=1 a08
thin_dump --dev-id 999 a08
thin_dump --dev-id 4294967296 a08
thin_dump --dev-id 1 --dev-id 3 a08
thin_dump --skip-mappings a08
thin_dump --skip-mappings --dev-id 1 a08
thin_dump --transaction-id 99 a08
thin_dump --transaction-id +99 a08
thin_dump --transaction-id 18446744073709551616 a08
thin_dump --data-block-size 129 a08
thin_dump --data-block-size 0 a08
thin_dump --nr-data-blocks 99999 a08
thin_dump --io-engine sync a08
thin_dump -vvv a08
thin_dump -f wrong a08
thin_dump -f XML a08
thin_dump --dev-id wrong a08
thin_dump nosuch
thin_dump -q nosuch
thin_dump ''
thin_dump '' a08
thin_dump a08 a08
thin_dump -- a08
thin_dump
thin_dump /tmp
thin_delta -V
thin_delta --snap1 1 --snap2 2 a08
thin_delta --thin1=1 --thin2=2 a08
thin_delta --thin2=2 --thin1=1 a08
thin_delta -m --snap1 1 --snap2 2 a13
thin_delta -m 28 --snap1 1 --snap2 2 a13
thin_delta --root1 205 --root2 206 a08
thin_delta --thin1 1 --root2 205 a08
thin_delta --thin1 1 --root1 205 --thin2 2 a08
thin_delta --root1 999999 --root2 205 a08
thin_delta --thin1 1 a08
thin_delta --thin1 1 --thin2 99 a08
thin_delta --thin1 1 --snap1 1 --thin2 2 a08
thin_delta a08
thin_delta -q --thin1 1 --thin2 2 a08
thin_ls -V
thin_ls a08
thin_ls --no-headers a08
thin_ls -m a13
thin_ls -m a08
thin_ls --no-headers -m -o DEV,EXCLUSIVE_BYTES a13
thin_ls --format=DEV,MAPPED a08
thin_ls -o DEV,DEV a08
thin_ls -o dev a08
thin_ls -o DEV,,MAPPED a08
thin_ls -o NAME a08
thin_ls -o DEV -o MAPPED a08
thin_ls -q a08
thin_rmap -V
thin_rmap --region 0..100 nosuch
thin_rmap --region 0..0 a09
thin_rmap a09 --region 0...1
thin_rmap --region 0..18446744073709551616 a09
thin_rmap a09
thin_rmap -m --region 0..10 a09
thin_check -V
thin_check -q a08
thin_check -q --clear-needs-check-flag a08
thin_check -q --auto-repair a08
thin_check -q --skip-mappings a08
thin_check -q -m a13
thin_check -q -m a08
thin_check --auto-repair --skip-mappings a08
thin_check --auto-repair --ignore-non-fatal-errors a08
thin_check --auto-repair -m a13
thin_check -m --clear-needs-check-flag a13
thin_check -q --override-mapping-root 205 a08
thin_check --override-mapping-root 205 --auto-repair a08
thin_check -q nosuch
thin_check
thin_repair -V
thin_repair -i a08
thin_repair -i a08 -o NONE
thin_repair -i nosuch -o EXISTS
thin_restore -V
thin_restore -i XML
thin_restore -i XML -o NONE
thin_restore -i nosuch -o EXISTS
"""

ONLY_1_1 = """
thin_check a08
thin_check --skip-mappings a08
thin_check --super-block-only --skip-mappings --ignore-non-fatal-errors a08
thin_check --override-details-root 213 a08
thin_rmap --region 0..-1 a09
thin_delta --thin1 -1 --thin2 2 a08
thin_repair -i a08 -o ZEROS
thin_repair '' -i a08 -o ZEROS
thin_repair x y -i a08 -o ZEROS
thin_repair -q -i a08 -o EXISTS --transaction-id 99
thin_repair -i a08 -o ZEROS --data-block-size 129
thin_restore -i XML -o ZEROS
thin_restore -q -i XML -o EXISTS
thin_restore -i XML -o SMALL
thin_restore -i a08 -o EXISTS
thin_restore '' -i XML -o ZEROS
thin_restore -i XML -o ZEROS --transaction-id 7 --data-block-size 256 --nr-data-blocks 100000
thin_metadata_pack -V
thin_metadata_pack -i a08 -o NONE
thin_metadata_pack --input a08 --output NONE
thin_metadata_pack -f -i a08 -o EXISTS
thin_metadata_pack -i a08 -o EXISTS
thin_metadata_pack -i a08
thin_metadata_unpack -i PACK -o NONE
thin_metadata_unpack -f -i PACK -o EXISTS
thin_metadata_unpack -i PACK -o EXISTS
thin_metadata_unpack -i a08 -o NONE
thin_metadata_size -V
"""

SIZES = [
    "-b 128 -s 2097152 -m 1",
    "-b 64k -s 1t -m 1000 -n",
    "-b 64k -s 1t -m 1000 -n=short -u M",
    "-b 64k -s 1t -m 1000 -n=long -u g",
    *(f"-b 64k -s 1t -m 1000 -u {unit}" for unit in "bskKmMgGtTpPeE"),
    *(f"-b 64k -s 1g -m {devices} -u M" for devices in (1, 4000, 249868, 249869)),
    *(f"-b 128 -s {sectors} -m 1" for sectors in (127, 128, 129, 16128, 16255, 16256)),
    *("-b 65 -s 1t -m 1", "-b 1g -s 1t -m 1", "-b 2g -s 4t -m 1", "-b 64k -s 1t"),
    *("-b 64kB -s 1t -m 1", "-b 64KiB -s 1TiB -m 1", "-b 64kib -s 1t -m 1", "-b +128 -s 1t -m 1"),
    *("-b 64k -s 1t -m 10k", "-b 64k -s 1t -m 1 -u x", "-b 64k -s 1e -m 4294967296"),
]
"""Where 0.9.0 knows less, or more, it is said in docs/thin-tools.md."""

SIZES_0_9 = [
    *(f"-b 64k -s 1t -m 1000 -u {unit}" for unit in "bskKmMgGtTpPeE"),
    *("-b64k -s1t -m1000 -n", "-b64k -s1t -m1000 -nshort -um"),
    *("-b 128 -s 128 -m 1", "-b 64k -s 1t", "-b 64k -s 1g -m 0", "-b 64k -s 33g -m 100 -n"),
]


class Ended(NamedTuple):
    """How a tool ended, what it printed, and what it left in the file that it wrote."""

    code: int
    stdout: bytes
    written: str


class Stage:
    """A folder in which each word of a command line stands for a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._dump = FOLDER / "1.1.0/thin_dump"
        self._unpack = FOLDER / "1.1.0/thin_metadata_unpack"
        a08 = unpacked(IMAGES["a08"])
        subprocess.run([self._dump, a08, "-o", folder / "xml"], check=True)
        pack = FOLDER / "1.1.0/thin_metadata_pack"
        subprocess.run([pack, "-i", a08, "-o", folder / "pack"], check=True)

    def _word(self, word: str) -> str:
        out = self.folder / "out"
        match word:
            case "OUT" | "NONE":
                return str(out)
            case "EXISTS":
                shutil.copyfile(unpacked(IMAGES["a09"]), out)
                return str(out)
            case "ZEROS" | "SMALL":
                out.write_bytes(bytes(8 << 20 if word == "ZEROS" else 4096))
                return str(out)
            case "XML" | "PACK":
                return str(self.folder / word.lower())
        return str(unpacked(IMAGES[word])) if word in IMAGES else word

    def run(self, line: str, command: Callable[[list[str]], tuple[int, bytes]]) -> Ended:
        out = self.folder / "out"
        out.unlink(missing_ok=True)
        words = [self._word(word) for word in shlex.split(line)]
        code, stdout = command(words)
        return Ended(code, stdout, self._written(words[0], out))

    def _written(self, name: str, out: Path) -> str:
        """Say what is in `out`: a pack file and metadata are what they stand for."""
        if not out.exists():
            return "nothing"
        if name == "thin_metadata_pack":
            image = self.folder / "unpacked"
            image.unlink(missing_ok=True)
            command: list[str | Path] = [self._unpack, "-i", out, "-o", image]
            code = subprocess.run(command, check=False, capture_output=True).returncode
            return f"{code} {_digest(image.read_bytes()) if image.exists() else ''}"
        if name == "thin_dump":
            return _digest(out.read_bytes())
        dumped = subprocess.run([self._dump, out], check=False, capture_output=True)
        return f"{out.stat().st_size} {_digest(dumped.stdout)}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("tools"))


def theirs(release: str) -> Callable[[list[str]], tuple[int, bytes]]:
    def run(words: list[str]) -> tuple[int, bytes]:
        command = [str(FOLDER / f"{release}.0" / words[0]), *words[1:]]
        ran = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
        return ran.returncode, ran.stdout

    return run


def ours(release: str, thinmeta: Thinmeta) -> Callable[[list[str]], tuple[int, bytes]]:
    def run(words: list[str]) -> tuple[int, bytes]:
        result = thinmeta("as", "--compat", release, *words)
        return result.exit_code, result.stdout_bytes

    return run


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


NEW = [("1.1", line) for line in lines(LINES + ONLY_1_1)]
NEW += [("1.1", f"thin_metadata_size {words}") for words in SIZES]
OLD = [("0.9", line) for line in lines(LINES)]
OLD += [("0.9", f"thin_metadata_size {words}") for words in SIZES_0_9]


@pytest.mark.parametrize(("release", "line"), NEW + OLD, ids=str)
def test_it_does_what_the_tool_does(
    release: str, line: str, stage: Stage, thinmeta: Thinmeta
) -> None:
    expected = stage.run(line, theirs(release))

    assert stage.run(line, ours(release, thinmeta)) == expected
