import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cases import image_bytes, unpacked
from tests.conftest import OwnImage, Thinmeta
from tests.damage import DamagedImage
from tests.golden import thin_dump
from thinmeta.cli.thin_tools.tools import TOOLS

A08 = "a08-snapshots-of-snapshots"
NEEDS_CHECK = "a11-needs-check-flag"
HELD = "a13-metadata-snapshot-held"

FLAGS = pytest.mark.parametrize("flag", ["--clear-needs-check-flag", "--auto-repair"])
QUIET = pytest.mark.parametrize("quiet", [(), ("-q",)])


@pytest.mark.parametrize("name", TOOLS)
def test_version_is_the_bare_number_that_clients_compare(name: str, thinmeta: Thinmeta) -> None:
    assert thinmeta("as", name, "-V").stdout == "1.1.0\n"
    assert thinmeta("as", "--compat", "0.9", name, "--version").stdout == "0.9.0\n"


def test_the_environment_says_which_release_it_is(
    thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINMETA_COMPAT", "0.9")

    assert thinmeta("as", "thin_dump", "-V").stdout == "0.9.0\n"


@pytest.mark.parametrize("name", TOOLS)
def test_help_names_each_option(name: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("as", name, "--help")

    assert result.exit_code == 0
    for option in TOOLS[name].options:
        assert option.names[-1] in result.stdout


@pytest.mark.parametrize(
    ("compat", "usage", "other"), [("1.1", 2, 64), ("0.9", 1, 1)], ids=["1.1", "0.9"]
)
def test_exit_codes_are_the_tools(
    compat: str, usage: int, other: int, own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    image = own_image(A08)
    damaged = DamagedImage.of(A08)
    damaged.zero(0)
    wiped = damaged.write_to(image.with_name("wiped.bin"))

    def code(*words: object) -> int:
        return thinmeta("as", "--compat", compat, *words).exit_code

    assert code("thin_ls", image) == 0
    assert code("thin_ls", "--nonsense", image) == usage
    assert code("thin_ls", image.with_name("missing")) == other
    assert code("thin_dump", "-m", image) == other
    assert code("thin_dump", wiped) == other
    assert code("thin_delta", "--thin1", "1", "--thin2", "99", image) == other


def test_a_file_that_is_missing_is_no_place_in_another(
    own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    result = thinmeta("as", "thin_dump", f"{own_image(A08)}@0")

    assert result.exit_code == 64
    assert "no such file or directory" in result.stderr


@pytest.mark.parametrize("how", [">&-", ">/dev/full"])
@pytest.mark.parametrize("tool", ["thin_dump -V", "thin_ls --help", "thin_check", "thin_rmap"])
def test_output_that_goes_nowhere_is_no_usage_error(tool: str, how: str) -> None:
    words: dict[str, list[str | Path]] = {
        "thin_check": [unpacked(A08)],
        "thin_rmap": ["--region", "0..9", unpacked(A08)],
    }

    assert shell_code(how, *tool.split(), *words.get(tool, [])) == 64


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("words", "code"),
    [("thin_dump --nonsense x", 2), ("thin_delta --snap1 1 x", 64), ("thin_dump /missing", 64)],
)
def test_what_cannot_be_said_changes_no_exit_code(words: str, code: int, how: str) -> None:
    assert shell_code(how, *words.split()) == code


def shell_code(how: str, *words: str | Path) -> int:
    command = ["sh", "-c", f'exec "$@" {how}', "sh", sys.executable, "-m", "thinmeta", "as"]
    return subprocess.run([*command, *words], capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    "words", [["thin_ls"], ["thin_delta", "--snap1", "1", "--snap2", "2"]], ids=["ls", "delta"]
)
def test_who_names_devices_elsewhere_changes_nothing(
    words: list[str], own_image: OwnImage, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = own_image(A08)
    usual = thinmeta("as", *words, image)
    monkeypatch.setenv("THINMETA_DOCKER_ROOT", "/missing")

    result = thinmeta("as", *words, image)

    assert usual.exit_code == 0
    assert (result.exit_code, result.output) == (0, usual.output)
    assert os.environ["THINMETA_DOCKER_ROOT"] == "/missing"


def test_a_dash_is_a_file(
    own_image: OwnImage, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = own_image(A08)
    monkeypatch.chdir(image.parent)

    result = thinmeta("as", "thin_dump", "-o", "-", image.name)

    assert (result.exit_code, result.output) == (0, "")
    assert Path("./-").read_bytes() == thin_dump(A08, "meta", "thin_dump", "1.1.0")


def test_quiet_says_nothing_of_damage(own_image: OwnImage, thinmeta: Thinmeta) -> None:
    image = own_image(A08)
    image.write_bytes(bytes(4096) + image_bytes(A08)[4096:])

    for tool in ("thin_dump", "thin_check"):
        result = thinmeta("as", tool, "-q", image)

        assert (result.exit_code, result.output) == (64, "")


@pytest.mark.parametrize("field", ["data_mapping_root", "device_details_root"])
@pytest.mark.parametrize("block", [2048, 2**64 - 1])
def test_a_root_beyond_the_metadata_goes_back_to_an_older_state(
    field: str, block: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    damaged = DamagedImage.of(A08)
    damaged.superblock()[field] = block
    damaged.restamp(0)

    result = thinmeta("as", "thin_dump", "-r", damaged.write_to(tmp_path / "meta.bin"))

    assert result.exit_code == 64
    assert result.stdout.endswith("</superblock>")
    assert "of an older state" in result.stderr or "a newer state is lost" in result.stderr


@FLAGS
@QUIET
def test_what_thin_check_would_write_is_said_and_not_written(
    flag: str, quiet: tuple[str, ...], own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    image = own_image(NEEDS_CHECK)

    result = thinmeta("as", "thin_check", *quiet, flag, image)

    assert result.exit_code == 64
    assert "would now clear the needs_check flag; nothing was written" in result.stderr
    assert image.read_bytes() == image_bytes(NEEDS_CHECK)
    if quiet:
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1


@FLAGS
def test_where_nothing_would_be_written_the_check_decides(
    flag: str, own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    result = thinmeta("as", "thin_check", "-q", flag, own_image(A08))

    assert (result.exit_code, result.output) == (0, "")


@FLAGS
def test_damage_is_not_mended_so_nothing_is_said_of_writing(
    flag: str, own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    image = own_image(NEEDS_CHECK)
    content = bytearray(image_bytes(NEEDS_CHECK))
    content[:4096] = bytes(4096)
    image.write_bytes(content)

    result = thinmeta("as", "thin_check", "-q", flag, image)

    assert (result.exit_code, result.output) == (64, "")


def test_0_9_wants_the_snapshot_where_it_is(own_image: OwnImage, thinmeta: Thinmeta) -> None:
    image = own_image(HELD)
    held_root = thinmeta("info", "-f", "json", image).stdout
    block = held_root.partition('"held_root":')[2].partition(",")[0].strip()

    right = thinmeta("as", "--compat", "0.9", "thin_dump", f"-m{block}", image)
    wrong = thinmeta("as", "--compat", "0.9", "thin_dump", "-m28", image)

    assert right.exit_code == 0
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert f"is at block {block}, not 28" in wrong.stderr


@pytest.mark.parametrize("tool", ["thin_repair", "thin_restore"])
def test_a_repair_makes_no_file(tool: str, own_image: OwnImage, thinmeta: Thinmeta) -> None:
    image = own_image(A08)
    new = image.with_name("new.bin")

    result = thinmeta("as", tool, "-i", image, "-o", new)

    assert result.exit_code == 64
    assert not new.exists()


def test_restore_keeps_the_higher_transaction_id(own_image: OwnImage, thinmeta: Thinmeta) -> None:
    image = own_image(A08)
    xml, new = image.with_name("pool.xml"), image.with_name("new.bin")
    thinmeta("dump", image, "-o", xml)
    new.write_bytes(bytes(8 << 20))

    result = thinmeta("as", "thin_restore", "-i", xml, "-o", new, "--transaction-id", "3")

    assert (result.exit_code, result.output) == (0, "")
    assert thinmeta("dump", new).stdout.partition("\n")[0] == xml.read_text().partition("\n")[0]


@pytest.mark.parametrize("name", ["thin_trim", "thin_shrink", "thin_migrate"])
def test_what_writes_to_data_only_refuses(name: str, thinmeta: Thinmeta, tmp_path: Path) -> None:
    result = thinmeta("as", name, "--anything", tmp_path)

    assert (result.exit_code, result.stdout) == (64, "")
    assert "thinmeta never does" in result.stderr
