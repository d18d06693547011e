from pathlib import Path

import pytest

from tests.cases import image_bytes
from tests.conftest import OwnImage, Thinmeta
from tests.damage import DamagedImage
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


def test_quiet_says_nothing_of_damage(own_image: OwnImage, thinmeta: Thinmeta) -> None:
    image = own_image(A08)
    image.write_bytes(bytes(4096) + image_bytes(A08)[4096:])

    for tool in ("thin_dump", "thin_check"):
        result = thinmeta("as", tool, "-q", image)

        assert (result.exit_code, result.output) == (64, "")


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
