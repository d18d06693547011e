"""`-o FILE`: whole or not at all, never over the input; what is no file is written in place."""

import io
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cases import image_bytes, unpacked
from tests.cli.invocations import GOOD, READERS, arguments, has_option, process
from tests.cli.test_contract import as_nobody
from tests.conftest import OwnImage, Thinmeta
from tests.made_images import BLOCK, Image, mappings, one_device, written
from thinmeta.cli.output import Writer
from thinmeta.errors import ExitCode

WRITING = [command for command in READERS if has_option(command, "--output")]
each_command = pytest.mark.parametrize("command", WRITING)

LARGE = unpacked("d02-shared-subtrees")


def test_there_are_commands_with_output() -> None:
    assert "dump" in WRITING


@pytest.fixture
def good(own_image: OwnImage) -> Path:
    return own_image(GOOD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that holds nothing but what is written."""
    made = tmp_path / "out"
    made.mkdir()
    return made


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@each_command
def test_a_file_gets_what_would_be_printed(
    command: str, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    printed = thinmeta(*arguments(command, good))

    result = thinmeta(*arguments(command, good), "--output", folder / "dump")

    assert (result.exit_code, result.output) == (ExitCode.DONE, "")
    assert (folder / "dump").read_bytes() == printed.stdout_bytes
    assert names_in(folder) == ["dump"]


@each_command
def test_a_dash_is_standard_output(command: str, good: Path, thinmeta: Thinmeta) -> None:
    plain, dashed = (thinmeta(*arguments(command, good), *more) for more in ((), ("--output", "-")))

    assert dashed.exit_code == ExitCode.DONE
    assert dashed.stdout_bytes == plain.stdout_bytes


@each_command
def test_a_file_that_is_there_is_replaced_and_keeps_its_mode(
    command: str, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    target = written(folder / "dump", b"before")
    target.chmod(0o640)

    result = thinmeta(*arguments(command, good), "--output", target)

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert target.read_bytes() != b"before"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names_in(folder) == ["dump"]


@each_command
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_gets_the_mode_of_a_new_file(
    command: str, mask: int, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    before = os.umask(mask)
    try:
        thinmeta(*arguments(command, good), "--output", folder / "dump")
    finally:
        now = os.umask(before)

    assert now == mask
    assert stat.S_IMODE((folder / "dump").stat().st_mode) == 0o666 & ~mask


@each_command
def test_a_link_stays_and_its_target_is_written(
    command: str, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    target = written(folder / "target", b"before")
    (folder / "link").symlink_to("target")

    result = thinmeta(*arguments(command, good), "--output", folder / "link")

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert (folder / "link").is_symlink()
    assert target.read_bytes() != b"before"
    assert names_in(folder) == ["link", "target"]


@each_command
def test_a_link_to_nothing_makes_its_target(
    command: str, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    (folder / "link").symlink_to("target")

    result = thinmeta(*arguments(command, good), "--output", folder / "link")

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert (folder / "link").is_symlink()
    assert (folder / "target").stat().st_size > 0


@each_command
def test_a_name_as_long_as_can_be(
    command: str, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta(*arguments(command, good), "--output", folder / ("x" * 255))

    assert result.exit_code == ExitCode.DONE, result.stderr


def damaged(path: Path) -> Path:
    """Write a pool whose second leaf is damaged, so that a part can be printed."""
    image = Image()
    leaves = [image.leaf(mappings(100 * leaf, [7])) for leaf in range(3)]
    root = image.internal([(100 * leaf, block) for leaf, block in enumerate(leaves)])
    contents = bytearray(image.pool({1: root}, {1: 3}))
    contents[leaves[1] * BLOCK + 60] ^= 1
    return written(path, bytes(contents))


def test_what_is_printed_before_damage_is_no_file(
    tmp_path: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    image = damaged(tmp_path / "meta.bin")
    old = written(folder / "old", b"before")

    printed = thinmeta("dump", image)
    over_old = thinmeta("dump", image, "-o", old)
    new = thinmeta("dump", image, "-o", folder / "new")

    assert b'data_block="7"' in printed.stdout_bytes
    assert [each.exit_code for each in (printed, over_old, new)] == [ExitCode.DAMAGE] * 3
    assert old.read_bytes() == b"before"
    assert names_in(folder) == ["old"]


@pytest.mark.parametrize(("roots", "details"), [([1], [1, 2]), ([1, 2], [1])])
def test_a_dump_that_misses_a_device_is_no_file(
    roots: list[int], details: list[int], tmp_path: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    image = Image()
    leaf = image.leaf(mappings(0, [7]))
    path = written(
        tmp_path / "meta.bin", image.pool(dict.fromkeys(roots, leaf), dict.fromkeys(details, 1))
    )
    old = written(folder / "old", b"before")

    printed = thinmeta("dump", path)
    result = thinmeta("dump", path, "-o", old)

    assert b'dev_id="1"' in printed.stdout_bytes
    assert not printed.stdout_bytes.endswith(b"</superblock>")
    assert [printed.exit_code, result.exit_code] == [ExitCode.DAMAGE] * 2
    assert old.read_bytes() == b"before"
    assert names_in(folder) == ["old"]


@each_command
def test_refused_input_leaves_what_is_there(
    command: str, tmp_path: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    old = written(folder / "old", b"before")

    result = thinmeta(*arguments(command, tmp_path / "missing"), "--output", old)

    assert result.exit_code == ExitCode.INPUT
    assert old.read_bytes() == b"before"
    assert names_in(folder) == ["old"]


@each_command
@pytest.mark.parametrize("way", ["itself", "link", "hard link", "linked folder", "relative"])
def test_the_input_is_never_written_over(
    command: str, way: str, folder: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_bytes(GOOD)
    source = written(folder / "meta.bin", image)
    (folder / "link").symlink_to("meta.bin")
    (folder / "hard").hardlink_to(source)
    (folder / "here").symlink_to(".")
    monkeypatch.chdir(folder)
    target = {
        "itself": source,
        "link": folder / "link",
        "hard link": folder / "hard",
        "linked folder": folder / "here" / "meta.bin",
        "relative": Path("../out/meta.bin"),
    }[way]
    before = names_in(folder)

    result = thinmeta(*arguments(command, source), "--output", target)

    assert result.exit_code == ExitCode.OTHER
    assert "is the input itself, which is never written to" in result.stderr
    assert source.read_bytes() == image
    assert names_in(folder) == before


@each_command
def test_a_packed_input_is_not_written_over_either(
    command: str, good: Path, thinmeta: Thinmeta
) -> None:
    before = good.read_bytes()

    result = thinmeta(*arguments(command, good), "--output", good)

    assert result.exit_code == ExitCode.OTHER
    assert good.read_bytes() == before


@each_command
def test_a_folder_that_is_missing(
    command: str, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    target = folder / "missing" / "dump"

    result = thinmeta(*arguments(command, good), "--output", target)

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr == f"Error: {target}: cannot be written: No such file or directory\n"


@each_command
def test_a_folder_is_no_file(command: str, good: Path, folder: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta(*arguments(command, good), "--output", folder)

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr == f"Error: {folder}: cannot be written: Is a directory\n"
    assert names_in(folder) == []


@each_command
def test_a_folder_that_may_not_be_written(
    command: str, good: Path, tmp_path: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    folder.chmod(0o555)
    thinmeta(*arguments(command, good), "--output", tmp_path / "first")  # loads what it needs
    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        parent.chmod(parent.stat().st_mode | 0o055)

    with as_nobody():
        result = thinmeta(*arguments(command, good), "--output", folder / "dump")

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr == f"Error: {folder / 'dump'}: cannot be written: Permission denied\n"


@each_command
def test_a_full_disk_is_told(command: str, good: Path, thinmeta: Thinmeta) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")

    result = thinmeta(*arguments(command, good), "--output", "/dev/full")

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr == "Error: /dev/full: cannot be written: No space left on device\n"


@each_command
def test_a_fifo_is_written_in_place(
    command: str, good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    fifo = folder / "fifo"
    os.mkfifo(fifo)

    with (
        (folder / "read").open("wb") as read,
        subprocess.Popen(["timeout", "60", "cat", fifo], stdout=read) as cat,
    ):
        result = thinmeta(*arguments(command, good), "--output", fifo)
        if result.exit_code:
            cat.kill()

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert (folder / "read").read_bytes() == thinmeta(*arguments(command, good)).stdout_bytes
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert names_in(folder) == ["fifo", "read"]


@each_command
def test_dev_null_is_written_in_place(command: str, good: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta(*arguments(command, good), "--output", "/dev/null")

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_by_name_is_a_pipe_like_any_other(
    name: str, good: Path, thinmeta: Thinmeta
) -> None:
    ran = process(*arguments("dump", good), "--output", name)

    assert (ran.returncode, ran.stderr) == (ExitCode.DONE, b"")
    assert ran.stdout == thinmeta(*arguments("dump", good)).stdout_bytes


def test_standard_output_by_name_goes_on_where_a_file_ends(
    good: Path, folder: Path, thinmeta: Thinmeta
) -> None:
    with (folder / "log").open("wb") as log:
        log.write(b"before\n")
        log.flush()
        ran = process(*arguments("dump", good), "--output", "/dev/stdout", stdout=log)

    assert (ran.returncode, ran.stderr) == (ExitCode.DONE, b"")
    assert (folder / "log").read_bytes() == (
        b"before\n" + thinmeta(*arguments("dump", good)).stdout_bytes
    )


# More than is written before a thread takes over


def test_a_large_dump_to_a_file_is_the_printed_one(folder: Path, thinmeta: Thinmeta) -> None:
    printed = thinmeta("dump", LARGE)

    result = thinmeta("dump", LARGE, "-o", folder / "dump")

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert len(printed.stdout_bytes) > 5 * 2**20
    assert (folder / "dump").read_bytes() == printed.stdout_bytes


def test_a_large_dump_into_a_closed_pipe_ends_silently() -> None:
    words: list[str | Path] = [sys.executable, "-m", "thinmeta", "dump", LARGE]

    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        got = len(running.stdout.read(5 * 2**20))
        running.stdout.close()
        said = running.stderr.read()

    assert got == 5 * 2**20
    assert (running.returncode, said) == (ExitCode.OTHER, b"")


def test_a_large_dump_onto_a_full_disk_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")

    with Path("/dev/full").open("wb") as full:
        ran = process("dump", LARGE, stdout=full)

    assert ran.returncode == ExitCode.OTHER
    assert ran.stderr == b"Error: standard output: cannot be written: No space left on device\n"


class Refusing(io.BytesIO):
    """Takes what the command's own thread writes, and fails in another."""

    def write(self, text: bytes) -> int:  # type: ignore[override]
        if threading.current_thread().name != "command":
            raise ValueError("not here")
        return len(bytes(text))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_the_writing_thread_is_told() -> None:
    told: list[BaseException] = []

    def command() -> None:
        writer = Writer(Refusing())
        try:
            for _ in range(20):
                writer.write(bytes(2**20))
            writer.finish()
        except ValueError as error:
            told.append(error)

    thread = threading.Thread(target=command, name="command", daemon=True)
    thread.start()
    thread.join(timeout=60)

    assert not thread.is_alive()
    assert [str(error) for error in told] == ["not here"]


def test_what_precedes_damage_is_printed_before_the_damage_is_told(tmp_path: Path) -> None:
    image = damaged(tmp_path / "meta.bin")

    ran = process("dump", image, stdout=subprocess.PIPE)
    both = subprocess.run(
        [sys.executable, "-m", "thinmeta", "dump", image],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )

    assert ran.returncode == both.returncode == ExitCode.DAMAGE
    assert both.stdout == ran.stdout + ran.stderr
    assert ran.stdout.endswith(b"\n")


def test_a_warning_comes_before_the_end_and_quiet_drops_it(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = Image()
    leaf = image.leaf(mappings(0, [7, 8, 9]))
    path = written(tmp_path / "meta.bin", image.pool({1: leaf}, {1: 5}))

    loud, quiet = thinmeta("dump", path), thinmeta("dump", "-q", path)

    assert loud.exit_code == quiet.exit_code == ExitCode.DONE
    assert loud.stderr == "Warning: device 1: has 3 mappings, but its details say 5\n"
    assert quiet.stderr == ""
    assert loud.stdout_bytes == quiet.stdout_bytes


def test_quiet_does_not_drop_an_error(tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = damaged(tmp_path / "meta.bin")

    loud, quiet = thinmeta("dump", path), thinmeta("dump", "-q", path)

    assert loud.stderr == quiet.stderr
    assert quiet.exit_code == ExitCode.DAMAGE


def test_a_device_that_is_not_there(tmp_path: Path, folder: Path, thinmeta: Thinmeta) -> None:
    path = written(tmp_path / "meta.bin", one_device())

    result = thinmeta("dump", path, "--dev-id", 7, "-o", folder / "dump")

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, "")
    assert result.stderr == f"Error: {path}: there is no device 7\n"
    assert names_in(folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_part_of_a_file(number: signal.Signals, tmp_path: Path) -> None:
    """A reader that never comes to an end, so that the signal meets it in the middle."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from thinmeta.cli.output import open_output\n"
        "from thinmeta.device.inputs import Inputs\n"
        "with open_output(Path(sys.argv[1]), Inputs()) as writer:\n"
        "    writer.write(b'begun')\n"
        "    os.kill(os.getpid(), int(sys.argv[2]))\n"
        "    signal.pause()\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "out", str(int(number))], check=False, timeout=120
    )

    assert ran.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_is_not_named_as_a_part_of_another(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """From then on it, and not that part, would be what the name stands for."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(4096))
    output = f"{disk}@4096"

    result = thinmeta("dump", unpacked("a09-discards-and-deletes"), "-o", output)

    assert result.exit_code == ExitCode.OTHER
    assert f"names a part of {disk}, and parts of files are only read" in result.stderr
    assert not Path(output).exists()
