"""`thinmeta extract`: what it writes is what the kernel read, whole or not at all."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.anatomy import Anatomy
from tests.cases import image_bytes, packed_image
from tests.cli.invocations import process
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.device.test_loop_device import attach, detach
from tests.volume.data_images import ALL, SMALL, Device, devices
from thinmeta.device.rescue_map import RescueMap, Status
from thinmeta.errors import ExitCode

DEVICE = next(each for each in SMALL if each.case == "a19-device-id-reuse")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def words(device: Device = DEVICE) -> list[object]:
    return ["extract", device.device_id, *device.options(), "--data", device.data]


def taken(device: Device) -> object:
    """Return the parameter of a test; of the many large devices, most take long."""
    takes_long = device not in SMALL and device.device_id % 4
    marks = [pytest.mark.thorough] if takes_long else []
    return pytest.param(device, id=str(device), marks=marks)


@pytest.mark.parametrize("device", [taken(device) for device in ALL])
def test_it_is_what_the_kernel_read(device: Device, tmp_path: Path, thinmeta: Thinmeta) -> None:
    out = tmp_path / "out"

    result = thinmeta(*words(device), "-o", out)

    assert (result.exit_code, result.output) == (ExitCode.DONE, "")
    assert out.stat().st_size == device.size
    assert sha256_of(out) == device.sha256
    out.unlink()


@pytest.mark.parametrize("device", devices("a19-device-id-reuse"), ids=str)
@pytest.mark.parametrize("output", [(), ("-o", "-"), ("-o", "/dev/stdout")])
def test_a_stream_is_the_same(device: Device, output: tuple[str, ...]) -> None:
    ran = process(*(str(each) for each in words(device)), *output)

    assert (ran.returncode, ran.stderr) == (ExitCode.DONE, b"")
    assert hashlib.sha256(ran.stdout).hexdigest() == device.sha256


def test_what_is_not_mapped_is_a_hole(tmp_path: Path, thinmeta: Thinmeta) -> None:
    device = next(each for each in SMALL if each.case == "a18-large-device-ids")
    thinmeta(
        "extract",
        1,
        "-p",
        device.metadata,
        "--data",
        device.data,
        "--size",
        "1T",
        "-o",
        tmp_path / "out",
    )

    assert (tmp_path / "out").stat().st_size == 2**40
    assert (tmp_path / "out").stat().st_blocks * 512 <= device.data.stat().st_blocks * 512


def test_without_a_size_it_ends_with_the_last_mapped_block(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta(
        "extract", 1, "-p", DEVICE.metadata, "--data", DEVICE.data, "-o", tmp_path / "out"
    )
    mapped = thinmeta("dump", "-f", "json", DEVICE.metadata, "--dev-id", 1).stdout.splitlines()
    last = [run for run in map(json.loads, mapped) if run["type"] == "run"][-1]
    size = (last["origin_begin"] + last["length"]) * 65536

    assert result.exit_code == ExitCode.DONE
    assert f"ends at {size} bytes" in result.stderr
    assert (tmp_path / "out").stat().st_size == size


@pytest.mark.parametrize(
    ("size", "expected"), [("2M", 2 << 20), ("3s", 1536), ("1000", 1000), (0, 0)]
)
def test_the_size_is_in_bytes_or_has_a_unit(
    size: str | int, expected: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    thinmeta(
        "extract",
        1,
        "-p",
        DEVICE.metadata,
        "--data",
        DEVICE.data,
        "--size",
        size,
        "-o",
        tmp_path / "out",
    )
    whole = tmp_path / "whole"
    thinmeta(*words(), "-o", whole)

    assert (tmp_path / "out").read_bytes() == whole.read_bytes()[:expected]


# What it does not write to


@pytest.mark.parametrize("way", ["itself", "link", "hard link"])
@pytest.mark.parametrize("salvage", [(), ("--salvage",)])
@pytest.mark.parametrize("what", ["data", "origin"])
def test_the_sources_are_never_written_over(
    way: str, salvage: tuple[str, ...], what: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(1 << 20))
    (tmp_path / "link").symlink_to("source")
    (tmp_path / "hard").hardlink_to(source)
    target = {"itself": source, "link": tmp_path / "link", "hard link": tmp_path / "hard"}[way]
    sources = ["--data", source] if what == "data" else ["--data", DEVICE.data, "--origin", source]

    result = thinmeta(
        "extract", 1, "-p", DEVICE.metadata, *sources, "--size", "1M", "-o", target, *salvage
    )

    named = {"data": "data device", "origin": "external origin"}[what]
    assert result.exit_code == ExitCode.OTHER
    assert result.stderr == f"Error: {target}: is the {named} itself, which is never written to\n"
    assert source.read_bytes() == bytes(1 << 20)


def test_a_packed_image_is_not_taken_for_data(thinmeta: Thinmeta) -> None:
    packed = packed_image(DEVICE.case, "data")

    result = thinmeta("extract", 1, "-p", DEVICE.metadata, "--data", packed, "--size", "1M")

    assert result.exit_code == ExitCode.INPUT
    assert result.stderr == f"Error: {packed}: is compressed; unpack it first\n"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/nonexistent", "no such file or directory"),
        ("/", "is neither"),
        ("/dev/null", "is neither"),
    ],
)
def test_data_that_cannot_be_used_is_named(path: str, what: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("extract", 1, "-p", DEVICE.metadata, "--data", path, "--size", "1M")

    assert result.exit_code == ExitCode.INPUT
    assert result.stderr.startswith(f"Error: {path}: {what}")


@pytest.mark.loop_device
def test_a_block_device_gets_zeros_where_nothing_is_mapped(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    backing = tmp_path / "disk"
    backing.write_bytes(b"\xff" * (DEVICE.size + (1 << 20)))
    loop = attach(backing)
    try:
        result = thinmeta(*words(), "-o", loop)
        small = thinmeta(
            "extract", 1, "-p", DEVICE.metadata, "--data", DEVICE.data, "--size", "1T", "-o", loop
        )
        itself = thinmeta(
            "extract", 1, "-p", DEVICE.metadata, "--data", backing, "--size", "1M", "-o", loop
        )
    finally:
        detach(loop)

    assert result.exit_code == ExitCode.DONE, result.stderr
    content = backing.read_bytes()
    assert hashlib.sha256(content[: DEVICE.size]).hexdigest() == DEVICE.sha256
    assert content[DEVICE.size :] == b"\xff" * (1 << 20)
    assert (small.exit_code, itself.exit_code) == (ExitCode.OTHER, ExitCode.OTHER)
    assert "more than the device" in small.stderr
    assert "is the data device itself" in itself.stderr


@pytest.mark.loop_device
def test_a_rescue_onto_a_block_device_goes_on_there_only(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """Its map is where somebody says: beside it, in /dev, nothing outlives a reboot."""
    backings = [tmp_path / "disk", tmp_path / "other"]
    loops = []
    try:
        for backing in backings:
            backing.write_bytes(bytes(DEVICE.size))
            loops.append(attach(backing))
        unsaid = thinmeta(*words(), "-o", loops[0], "--salvage")
        rescue = (*words(), "--salvage", "--map", tmp_path / "map", "-o")
        first, again, other = (thinmeta(*rescue, loops[number]) for number in (0, 0, 1))
    finally:
        for loop in loops:
            detach(loop)

    assert unsaid.exit_code == ExitCode.OTHER
    assert "name a file for it with --map FILE" in unsaid.stderr
    assert (first.exit_code, again.exit_code) == (ExitCode.DONE, ExitCode.DONE), first.stderr
    assert sha256_of(backings[0]) == DEVICE.sha256
    assert other.exit_code == ExitCode.OTHER
    assert "is not in the output: that is another one" in other.stderr
    assert not any(backings[1].read_bytes())


def test_a_map_is_that_of_a_rescue(tmp_path: Path, thinmeta: Thinmeta) -> None:
    out, place = tmp_path / "out", tmp_path / "somewhere"

    without = thinmeta(*words(), "-o", out, "--map", place)
    rescued = thinmeta(*words(), "-o", out, "--map", place, "--salvage")

    assert (without.exit_code, rescued.exit_code) == (ExitCode.USAGE, ExitCode.DONE)
    assert RescueMap.parse((place.read_text()).splitlines()).size == DEVICE.size
    assert not (tmp_path / "out.map").exists()


@pytest.mark.parametrize(
    ("place", "what"),
    [("nodir/map", "No such file or directory"), ("data/map", "Not a directory")],
)
def test_a_map_that_cannot_be_is_named_and_not_the_output(
    place: str, what: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    (tmp_path / "data").touch()
    out = tmp_path / "out"

    result = thinmeta(*words(), "-o", out, "--salvage", "--map", tmp_path / place)

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr.splitlines()[-1] == f"Error: {tmp_path / place}: cannot be written: {what}"
    assert not out.exists()


def test_a_map_is_no_stream(
    tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = thinmeta(*words(), "-o", "out", "--salvage", "--map", "-")

    assert result.exit_code == ExitCode.USAGE
    assert "--map: a map is a file" in result.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.loop_device
def test_a_data_device_is_read_past_the_page_cache(tmp_path: Path, thinmeta: Thinmeta) -> None:
    loop = attach(DEVICE.data)
    try:
        result = thinmeta("extract", 1, *DEVICE.options(), "--data", loop, "-o", tmp_path / "out")
    finally:
        detach(loop)

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert sha256_of(tmp_path / "out") == DEVICE.sha256


# Damage and salvage


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """Return a data device that ends in the middle."""
    path = tmp_path / "short"
    path.write_bytes(DEVICE.data.read_bytes()[: (8 << 20) + 4096])
    return path


def short_words(short: Path) -> list[object]:
    return ["extract", 1, "-p", DEVICE.metadata, "--size", DEVICE.size, "--data", short]


def test_data_that_is_too_short_is_an_error(
    short: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta(*short_words(short), "-o", tmp_path / "out")

    assert result.exit_code == ExitCode.INPUT
    assert result.stderr.startswith(f"Error: {short}: data block ")
    assert "is past the end of the data device; bytes " in result.stderr
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["short"]


def test_salvage_leaves_holes_and_maps_them(
    short: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    out = tmp_path / "out"
    result = thinmeta(*short_words(short), "-o", out, "--salvage", "-f", "json")
    thinmeta(*words(), "-o", tmp_path / "whole")

    *lines, last = result.stderr.splitlines()
    lost = [json.loads(line) for line in lines]
    expected = bytearray((tmp_path / "whole").read_bytes())
    for each in lost:
        assert each["type"] == "unreadable"
        assert each["byte"] >= short.stat().st_size
        expected[each["begin"] : each["begin"] + each["length"]] = bytes(each["length"])
    assert result.exit_code == ExitCode.SALVAGED
    assert last.startswith(f"Error: {out}: {sum(each['length'] for each in lost)} bytes could not")
    assert out.read_bytes() == expected
    rescue_map = RescueMap.parse(((tmp_path / "out.map").read_text()).splitlines())
    assert rescue_map.bytes_of(Status.BAD) == sum(each["length"] for each in lost)


def test_a_rescue_does_not_go_on_with_other_data(
    short: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    out = tmp_path / "out"
    thinmeta(*short_words(short), "-o", out, "--salvage")
    before, map_before = out.read_bytes(), (tmp_path / "out.map").read_text()

    again = thinmeta(*words(), "-o", out, "--salvage")

    assert again.exit_code == ExitCode.OTHER
    assert f"{out}.map: is the map of something else: other data: " in again.stderr
    assert again.stderr.endswith("or choose another name\n")
    assert (out.read_bytes(), (tmp_path / "out.map").read_text()) == (before, map_before)


@pytest.fixture
def begun(tmp_path: Path, thinmeta: Thinmeta) -> list[object]:
    """Return the command that goes on with a rescue, with copies of what it reads."""
    for name, source in (("meta", DEVICE.metadata), ("data", DEVICE.data)):
        (tmp_path / name).write_bytes(source.read_bytes())
    with (tmp_path / "origin").open("wb") as file:
        file.truncate(4 << 20)
    line: list[object] = ["extract", 1, "-p", tmp_path / "meta", "--size", DEVICE.size]
    line += ["--data", tmp_path / "data", "--origin", tmp_path / "origin"]
    line += ["-o", tmp_path / "out", "--salvage"]
    assert thinmeta(*line).exit_code == ExitCode.DONE
    return line


def change(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("data", 5),
        ("data", (1 << 20) - 1),
        ("data", -1),
        ("data", -(1 << 20)),
        ("origin", 0),
        ("origin", -1),
    ],
)
def test_a_rescue_does_not_go_on_with_changed_sources(
    name: str, at: int, begun: list[object], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    before = (tmp_path / "out").read_bytes(), (tmp_path / "out.map").read_text()
    assert thinmeta(*begun).exit_code == ExitCode.DONE
    path = tmp_path / name
    change(path, at % path.stat().st_size)

    again = thinmeta(*begun)

    what = {"data": "other data: ", "origin": "another external origin: "}[name]
    assert again.exit_code == ExitCode.OTHER
    assert f"out.map: is the map of something else: {what}" in again.stderr
    assert ((tmp_path / "out").read_bytes(), (tmp_path / "out.map").read_text()) == before


def test_a_rescue_does_not_go_on_with_other_metadata(
    begun: list[object], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """The same transaction and time, and the same trees: only the superblock is another one."""
    image = DamagedImage.of(DEVICE.case)
    image.superblock()["version"] = 1
    image.restamp(0)
    image.write_to(tmp_path / "meta")

    again = thinmeta(*begun)

    assert again.exit_code == ExitCode.OTHER
    assert "is the map of something else: other metadata: superblock checksum " in again.stderr


def test_a_rescue_without_its_origin_is_another(begun: list[object], thinmeta: Thinmeta) -> None:
    place = begun.index("--origin")

    again = thinmeta(*begun[:place], *begun[place + 2 :])

    assert again.exit_code == ExitCode.OTHER
    assert "something else: a volume with an external origin; to begin anew" in again.stderr


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_a_map_is_a_regular_file(kind: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = tmp_path / "out.map"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero")

    result = thinmeta(*words(), "-o", tmp_path / "out", "--salvage")

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr == f"Error: {path}: is no regular file, so no map of a rescue\n"
    assert not (tmp_path / "out").exists()


def test_a_map_that_cannot_be_written_leaves_no_image(
    tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    result = thinmeta(*words(), "-o", tmp_path / "out", "--salvage")

    assert result.exit_code == ExitCode.OTHER
    assert result.stderr.endswith("out: cannot be written: No space left on device\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("salvage", [(), ("--salvage",)])
def test_a_size_that_leaves_mapped_blocks_out(
    salvage: tuple[str, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    out = tmp_path / "out"
    line = ["extract", 1, "-p", DEVICE.metadata, "--data", DEVICE.data, "-o", out, *salvage]
    mapped = thinmeta("dump", "-f", "json", DEVICE.metadata, "--dev-id", 1).stdout.splitlines()
    runs = [run for run in map(json.loads, mapped) if run["type"] == "run"]
    blocks = [run["origin_begin"] + at for run in runs for at in range(run["length"])]
    end = (max(blocks) + 1) * 65536

    whole = thinmeta(*line, "--size", end)
    out.unlink()
    (tmp_path / "out.map").unlink(missing_ok=True)
    cut = thinmeta(*line, "--size", 1 << 20)

    assert (whole.exit_code, whole.stderr) == (ExitCode.DONE, "")
    assert (cut.exit_code, cut.stderr) == (
        ExitCode.DONE,
        f"Warning: device 1: {sum(block >= 16 for block in blocks)} of its mapped blocks are past "
        "the size of 1048576 bytes and are left out\n",
    )


def test_metadata_is_written_over_by_force_only(tmp_path: Path, thinmeta: Thinmeta) -> None:
    out = tmp_path / "out"
    out.write_bytes(image_bytes("a01-empty-pool"))
    before = out.read_bytes()

    plain = thinmeta(*words(), "-o", out)
    left = out.read_bytes()
    forced = thinmeta(*words(), "-o", out, "--force")

    assert plain.exit_code == ExitCode.OTHER
    assert plain.stderr == (
        f"Error: {out}: has metadata of a pool already; --force writes over it\n"
    )
    assert left == before
    assert (forced.exit_code, forced.stderr) == (ExitCode.DONE, "")
    assert sha256_of(out) == DEVICE.sha256


def test_damaged_metadata(tmp_path: Path, thinmeta: Thinmeta) -> None:
    device = next(each for each in SMALL if each.case == "a08-snapshots-of-snapshots")
    image = DamagedImage.of(device.case)
    leaf = json.loads(
        thinmeta("lookup", 1, 0, "--path", "-f", "json", "-p", device.metadata).stdout
    )["path"][-1]
    image.zero(leaf["metadata_block"])
    path = image.write_to(tmp_path / "meta.bin")
    words = ["extract", 1, "-p", path, "--size", device.size, "--data", device.data]
    size = next(each.size for each in SMALL if (each.case, each.device_id) == (device.case, 1))
    words[words.index(device.size)] = size

    plain = thinmeta(*words, "-o", tmp_path / "plain")
    saved = thinmeta(*words, "-o", tmp_path / "saved", "--salvage")
    streamed = process(*(str(each) for each in words), "--salvage")
    thinmeta(
        "extract",
        1,
        "-p",
        device.metadata,
        "--size",
        size,
        "--data",
        device.data,
        "-o",
        tmp_path / "whole",
    )

    assert plain.exit_code == ExitCode.DAMAGE
    assert not (tmp_path / "plain").exists()
    assert saved.exit_code == streamed.returncode == ExitCode.SALVAGED
    assert f"metadata block {leaf['metadata_block']}" in saved.stderr
    end = (leaf["last_key"] + 1) * 65536 if leaf["last_key"] < 2**40 else size
    whole = (tmp_path / "whole").read_bytes()
    assert (tmp_path / "saved").read_bytes() == bytes(min(end, size)) + whole[end:]
    assert streamed.stdout == (tmp_path / "saved").read_bytes()
    bad = RescueMap.parse(((tmp_path / "saved.map").read_text()).splitlines()).unfinished()
    assert bad == [(0, min(end, size))]


STOPPING = """
import sys, time
from thinmeta.volume import extract
extract._WINDOW = 1 << 18
plain = extract._Copier._copy_part
parts = iter(range(40))
def stopping(self, *args):
    if next(parts, None) is None:
        print("in the middle", flush=True)
        time.sleep(3600)
    plain(self, *args)
extract._Copier._copy_part = stopping
from thinmeta.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("salvage", [(), ("--salvage",)])
def test_a_run_that_is_cut_short(
    number: signal.Signals, salvage: tuple[str, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """Without --salvage nothing stays; with it a second run goes on."""
    folder = tmp_path / "out"
    folder.mkdir()
    line = [*map(str, words()), "-o", str(folder / "image"), *salvage]
    command = [sys.executable, "-c", STOPPING, *line]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"in the middle\n"
        running.send_signal(number)

    assert running.returncode not in (None, ExitCode.DONE)
    if not salvage:
        assert list(folder.iterdir()) == []
        return
    assert sorted(path.name for path in folder.iterdir()) == ["image", "image.map"]
    before = RescueMap.parse(((folder / "image.map").read_text()).splitlines())
    assert before.bytes_of(Status.FINISHED)
    assert before.bytes_of(Status.NON_TRIED)

    again = thinmeta(*line)

    assert (again.exit_code, again.stderr) == (ExitCode.DONE, "")
    assert sha256_of(folder / "image") == DEVICE.sha256


def test_a_disk_that_fills_up_keeps_what_was_rescued(tmp_path: Path, thinmeta: Thinmeta) -> None:
    limit = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from thinmeta.volume import extract\n"
        "extract._WINDOW = 1 << 16\n"
        "from thinmeta.volume.copy_target import FileTarget\n"
        "plain = FileTarget.__init__\n"
        "def init(self, fd, size):\n"
        "    plain(self, fd, size)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))\n"
        "FileTarget.__init__ = init\n"
        "from thinmeta.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    out = tmp_path / "image"
    line = [*map(str, words()), "-o", str(out), "--salvage"]

    ran = subprocess.run(
        [sys.executable, "-c", limit, *line], capture_output=True, text=True, check=False
    )

    assert ran.returncode == ExitCode.OTHER
    assert ran.stderr == f"Error: {out}: cannot be written: File too large\n"
    assert RescueMap.parse(((tmp_path / "image.map").read_text()).splitlines()).bytes_of(
        Status.FINISHED
    )
    assert thinmeta(*line).exit_code == ExitCode.DONE
    assert sha256_of(out) == DEVICE.sha256


@pytest.mark.parametrize("is_repaired", [False, True])
def test_a_volume_that_maps_nothing_is_warned_of(
    is_repaired: bool, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    anatomy = Anatomy.of(DEVICE.case)
    image = DamagedImage.of(DEVICE.case)
    image.zero(anatomy.device_roots[1])
    broken, new = image.write_to(tmp_path / "broken.bin"), tmp_path / "new.bin"
    assert thinmeta("repair", "-i", broken, "-o", new).exit_code == ExitCode.SALVAGED
    metadata = new if is_repaired else DEVICE.metadata

    result = thinmeta(
        "extract", 1, "-p", metadata, "--data", DEVICE.data, "--size", "1M", "-o", tmp_path / "out"
    )

    assert result.exit_code == ExitCode.DONE
    warning = "Warning: device 1: maps no blocks, so all of it will be zeros"
    assert (warning in result.stderr) == is_repaired
    assert any((tmp_path / "out").read_bytes()) != is_repaired


def test_a_volume_of_which_all_is_left_out_maps_something(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    words = ("-p", DEVICE.metadata, "--data", DEVICE.data, "--size", 0)

    result = thinmeta("extract", 1, *words, "-o", tmp_path / "out")

    assert result.exit_code == ExitCode.DONE
    assert "of its mapped blocks are past the size of 0 bytes and are left out" in result.stderr
    assert "maps no blocks" not in result.stderr
