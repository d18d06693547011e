"""`thinmeta restore`: options, messages, exit codes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builder.test_xml_document import DEVICE, END, GOOD, HEAD, SINGLE
from tests.conftest import Thinmeta
from tests.made_images import one_device
from thinmeta.errors import ExitCode
from thinmeta.model.pool import open_pool
from thinmeta.model.superblock import Superblock

RESTORE = [sys.executable, "-m", "thinmeta", "restore"]


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    path = tmp_path / "pool.xml"
    path.write_text(GOOD)
    return path


def superblock_of(path: Path) -> Superblock:
    with open_pool(path) as pool:
        return pool.superblock


def test_it_is_silent(xml: Path, thinmeta: Thinmeta) -> None:
    output = xml.with_suffix(".bin")

    result = thinmeta("restore", "-i", xml, "-o", output)

    assert (result.exit_code, result.output) == (ExitCode.DONE, "")
    assert thinmeta("check", output).exit_code == ExitCode.DONE


def test_standard_input(xml: Path) -> None:
    output = xml.with_suffix(".bin")

    ran = subprocess.run(
        [*RESTORE, "-i", "-", "-o", output], input=GOOD, text=True, capture_output=True, check=True
    )

    assert (ran.stdout, ran.stderr) == ("", "")
    assert superblock_of(output).transaction_id == 9


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], (9, 128, 1000)),
        (["--nr-data-blocks", "999"], (9, 128, 1000)),
        (["--transaction-id", "10", "--nr-data-blocks", "1001"], (10, 128, 1001)),
        (["--data-block-size", "2048"], (9, 2048, 1000)),
    ],
)
def test_overrides_are_those_of_thin_restore(
    options: list[str], expected: tuple[int, int, int], xml: Path, thinmeta: Thinmeta
) -> None:
    output = xml.with_suffix(".bin")

    thinmeta("restore", "-i", xml, "-o", output, *options)

    superblock = superblock_of(output)
    found = superblock.transaction_id, superblock.data_block_sectors
    assert (*found, superblock.data_space_map.nr_blocks) == expected


@pytest.mark.parametrize("number", [0, 8])
def test_a_lower_transaction_id_is_written_and_told(
    number: int, xml: Path, thinmeta: Thinmeta
) -> None:
    output = xml.with_suffix(".bin")
    told = thinmeta("restore", "-i", xml, "-o", output, "--transaction-id", number)
    assert told.exit_code == 0
    assert f"the XML says transaction 9; {number} was written" in told.stderr
    assert superblock_of(output).transaction_id == number


def test_a_number_of_data_blocks_that_nobody_knows(xml: Path, thinmeta: Thinmeta) -> None:
    xml.write_text(GOOD.replace('nr_data_blocks="1000"', 'nr_data_blocks="0"'))
    output = xml.with_suffix(".bin")

    result = thinmeta("restore", "-i", xml, "-o", output)

    assert result.stderr == (
        "Warning: nr_data_blocks is 0; 11 was written, one more than the highest block in use\n"
    )
    assert superblock_of(output).data_space_map.nr_blocks == 11
    assert thinmeta("check", output).exit_code == ExitCode.DONE


def test_a_wrong_number_of_mappings_is_put_right(xml: Path, thinmeta: Thinmeta) -> None:
    xml.write_text(GOOD.replace('mapped_blocks="4"', 'mapped_blocks="2"'))
    output = xml.with_suffix(".bin")

    result = thinmeta("restore", "-i", xml, "-o", output)
    quiet = thinmeta("restore", "-i", xml, "-o", output, "--force", "-q")

    assert result.stderr == (
        "Warning: device 1 has 4 mappings, but its mapped_blocks is 2; 4 was written\n"
    )
    assert (quiet.exit_code, quiet.output) == (ExitCode.DONE, "")
    assert thinmeta("check", output).exit_code == ExitCode.DONE


def test_a_device_id_that_no_kernel_takes_is_said(xml: Path, thinmeta: Thinmeta) -> None:
    """As the kernel's MAX_DEV_ID says; thin_restore and thin_check 1.1.0 are silent."""
    output, again = xml.with_suffix(".bin"), xml.with_suffix(".again")
    highest = GOOD.replace('dev_id="1"', 'dev_id="16777215"')
    xml.write_text(highest)
    fits = thinmeta("restore", "-i", xml, "-o", output)
    sound = thinmeta("check", output)
    xml.write_text(highest.replace("16777215", "16777216"))

    made = thinmeta("restore", "-i", xml, "-o", output, "--force")
    check = thinmeta("check", output)
    repaired = thinmeta("repair", "-i", output, "-o", again)

    assert (fits.exit_code, fits.output, sound.exit_code) == (0, "", 0)
    assert (made.exit_code, check.exit_code, repaired.exit_code) == (0, 7, 0)
    for told in (made.stderr, repaired.stderr):
        assert "Warning: device 16777216: the kernel activates no device with an id" in told
    assert "not fatal: device details: device 16777216: the kernel activates no" in check.stdout


def test_the_size_of_a_new_file(xml: Path, thinmeta: Thinmeta) -> None:
    output = xml.with_suffix(".bin")

    thinmeta("restore", "-i", xml, "-o", output, "--metadata-size", "8M")

    assert output.stat().st_size == 8 << 20


def test_errors_and_their_exit_codes(xml: Path, thinmeta: Thinmeta) -> None:
    output = xml.with_suffix(".bin")

    missing = thinmeta("restore", "-i", xml.with_name("none"), "-o", output)
    folder = thinmeta("restore", "-i", xml.parent, "-o", output)
    small = thinmeta("restore", "-i", xml, "-o", output, "--metadata-size", "3")
    usage = thinmeta("restore", "-i", xml)
    output.write_bytes(one_device())
    existing = thinmeta("restore", "-i", xml, "-o", output)
    binary = thinmeta("restore", "-i", output, "-o", xml.with_name("other"))

    assert (missing.exit_code, missing.stderr) == (
        ExitCode.INPUT,
        f"Error: {xml.with_name('none')}: no such file or directory\n",
    )
    assert (folder.exit_code, folder.stderr) == (
        ExitCode.INPUT,
        f"Error: {xml.parent}: is a directory, not a file of XML\n",
    )
    assert (small.exit_code, small.stderr) == (
        ExitCode.OTHER,
        f"Error: {output}: has room for 3 metadata blocks, but 10 are needed: 40960 bytes\n",
    )
    assert usage.exit_code == ExitCode.USAGE
    assert (existing.exit_code, existing.stderr) == (
        ExitCode.OTHER,
        f"Error: {output}: has metadata of a pool already; --force writes over it\n",
    )
    assert binary.exit_code == ExitCode.INPUT
    assert binary.stderr.startswith(f"Error: {output}: line 1: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_ended_leaves_no_half_file(
    number: signal.Signals, tmp_path: Path
) -> None:
    output = tmp_path / "pool.bin"
    many = "".join(SINGLE.replace('"4"', f'"{place}"') for place in range(40_000))
    process = subprocess.Popen(
        [*RESTORE, "-i", "-", "-o", output], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write((HEAD + DEVICE + many).encode())
    process.stdin.flush()
    while not any(each.stat().st_size for each in tmp_path.iterdir()):
        assert process.poll() is None

    process.send_signal(number)
    code = process.wait()
    process.stdin.close()

    assert code != 0
    names = [each.name for each in tmp_path.iterdir()]
    assert output.name not in names
    assert names == [] or number == signal.SIGKILL


def test_what_was_there_stays_where_the_xml_ends_early(tmp_path: Path, thinmeta: Thinmeta) -> None:
    output, xml = tmp_path / "pool.bin", tmp_path / "pool.xml"
    output.write_bytes(b"?" * 4096 * 20)
    xml.write_text((HEAD + DEVICE + SINGLE + END)[:-5])

    result = thinmeta("restore", "-i", xml, "-o", output)

    assert result.exit_code == ExitCode.INPUT
    assert output.read_bytes() == b"?" * 4096 * 20
    assert {each.name for each in tmp_path.iterdir()} == {"pool.bin", "pool.xml"}
