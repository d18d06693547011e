"""`thinmeta files` and `cat`: what is in the volumes of real pools, as mounts showed it."""

import base64
import hashlib
import json
import re
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cases import FIXTURES, unpacked
from tests.cli.invocations import process
from tests.conftest import OwnImage, Thinmeta
from tests.files.recorded import RecordedFiles, recorded_by_name, recorded_files
from tests.files.small_ext2 import HELLO, small_ext2
from tests.files.small_volume import SmallVolume
from tests.lvm.lvm_images import with_mbr
from tests.volume.data_images import devices
from thinmeta.errors import ExitCode
from thinmeta.files.file_system import FileSystem

DOCKER = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")
DEVICES = [device for case in DOCKER for device in devices(case)]
FIND_LINE = re.compile(rb"(.) (\d+) (\d+):(\d+) (\d+) (-?\d+)\.(\d{9})0 \.(.*) -> (.*)", re.DOTALL)
KINDS = {
    "f": ("file", stat.S_IFREG),
    "d": ("directory", stat.S_IFDIR),
    "l": ("link", stat.S_IFLNK),
    "c": ("character device", stat.S_IFCHR),
    "b": ("block device", stat.S_IFBLK),
    "p": ("pipe", stat.S_IFIFO),
    "s": ("socket", stat.S_IFSOCK),
}
LONG_LINE = re.compile(
    rb"(.{10}) +(\d+) +(\d+) +(\d+) +(\d+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (.*?)(?: -> (.*))?"
)


@pytest.fixture
def small(tmp_path: Path) -> SmallVolume:
    return SmallVolume(tmp_path)


def words(case: str) -> list[object]:
    return ["-p", unpacked(case), "--data", unpacked(case, "data")]


def recorded(files: RecordedFiles) -> list[dict[str, Any]]:
    """Return what find said of each file but the root, in the order of paths."""
    rest = [line for line in files.lines if line == b"lines -> "]  # of a name, and sorted away
    found = []
    for line in files.lines:
        if line in rest:
            continue
        match = FIND_LINE.fullmatch(line if b" -> " in line else line + b"\n" + rest[0])
        assert match is not None
        kind, mode, uid, gid, size, seconds, ns, path, target = match.groups()
        if not path:
            continue
        found.append(
            {
                "path": path,
                "kind": kind.decode(),
                "mode": int(mode, 8),
                "owner": (int(uid), int(gid)),
                "size": int(size),
                "mtime": int(seconds) * 10**9 + int(ns),
                "target": target or None,
            }
        )
    return sorted(found, key=lambda each: each["path"].split(b"/"))


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_long_lines_say_what_find_said(device: Any, thinmeta: Thinmeta) -> None:
    result = thinmeta(
        "files", device.device_id, "--all", "-R", "-l", *words(device.case), "--size", device.size
    )

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    matches = [LONG_LINE.fullmatch(line) for line in result.stdout_bytes.splitlines()]
    expected = recorded(recorded_files(device.case)[device.device_id])
    assert len(matches) == len(expected)
    for match, file in zip(matches, expected, strict=True):
        assert match is not None
        mode, _, uid, gid, size, mtime, path, target = match.groups()
        assert mode.decode() == stat.filemode(KINDS[file["kind"]][1] | file["mode"])
        assert (int(uid), int(gid)) == file["owner"]
        assert (path, target, int(size)) == (file["path"], file["target"], file["size"])
        assert utc(mtime.decode()) == file["mtime"] // 10**9


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def assert_listed(stdout: str, files: RecordedFiles) -> None:
    """Hold JSON lines against what find said."""
    found = [json.loads(line) for line in stdout.splitlines()]
    expected = recorded(files)
    assert [
        (
            raw(each, "name"),
            each["kind"],
            int(each["mode"], 8),
            (each["uid"], each["gid"]),
            each["size"],
            utc(f"{each['mtime'][:19]}Z") * 10**9 + int(each["mtime"][20:-1]),
            raw(each, "target"),
        )
        for each in found
    ] == [
        (
            each["path"],
            KINDS[each["kind"]][0],
            each["mode"],
            each["owner"],
            each["size"],
            each["mtime"],
            each["target"],
        )
        for each in expected
    ]
    assert all(each["mtime"].endswith("Z") and len(each["mtime"]) == 30 for each in found)


def raw(file: dict[str, Any], field: str) -> bytes | None:
    """Return the bytes of a name in a JSON object."""
    if field not in file:
        return None
    if f"{field}_raw" in file:
        return base64.b64decode(file[f"{field}_raw"])
    name: str = file[field]
    return name.encode()


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_json_says_it_to_the_nanosecond(device: Any, thinmeta: Thinmeta) -> None:
    """Also where nobody says how large the device is."""
    result = thinmeta("files", device.device_id, "--all", "-R", "-f", "json", *words(device.case))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert_listed(result.stdout, recorded_files(device.case)[device.device_id])


FILES_OF_ALL_KINDS = "docker-files-direct-lvm-ext4-64k"


@pytest.mark.parametrize("device_id", recorded_files(FILES_OF_ALL_KINDS))
def test_files_of_every_kind_and_name(device_id: int, thinmeta: Thinmeta) -> None:
    line = ("files", device_id, "--all", "-R", *words(FILES_OF_ALL_KINDS))
    files = recorded_files(FILES_OF_ALL_KINDS)[device_id]

    result = thinmeta(*line, "-f", "json")

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert_listed(result.stdout, files)
    names = thinmeta(*line, "-0").stdout_bytes.split(b"\0")
    assert names == [*(each["path"] for each in recorded(files)), b""]


@pytest.mark.parametrize("device_id", [1, 2])
def test_after_a_power_cut_the_journal_is_replayed(device_id: int, thinmeta: Thinmeta) -> None:
    """The truth is what the kernel made of a copy."""
    case = "power-cut-ext4-xfs-64k"
    files = recorded_files(case)[device_id]
    line = ("files", device_id, "-R", "-f", "json", *words(case))

    result, quiet, without = thinmeta(*line), thinmeta(*line, "-q"), thinmeta(*line, "--no-replay")

    assert result.exit_code == ExitCode.DONE
    assert re.fullmatch(
        rf"Warning: \S*{case}-meta.bin: device {device_id}: the journal was replayed: "
        r"(1 transaction|(?!1 )\d+ transactions)\n",
        result.stderr,
    )
    assert_listed(result.stdout, files)
    for path, expected in files.sha256.items():
        content = thinmeta("cat", device_id, path[1:].decode(), *words(case)).stdout_bytes
        assert hashlib.sha256(content).hexdigest() == expected
    assert (quiet.stdout, quiet.stderr) == (result.stdout, "")
    assert without.stdout != result.stdout
    assert "replayed" not in without.stderr


@pytest.mark.parametrize("device_id", [1, 2])
def test_what_is_to_be_known_of_a_device_is_said_once(device_id: int, thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "--files", device_id, device_id, *words("power-cut-ext4-xfs-64k"))

    assert (result.exit_code, result.stdout) == (ExitCode.DONE, "")
    assert result.stderr.count("\n") == result.stderr.count("the journal was replayed") == 1


MACHINES = "c04-lvm-virtual-machines"
INSIDE = {
    "gpt-p1": (1, "--partition", 1),
    "gpt-p2": (1, "--partition", 2),
    "gpt-inside-root": (1, "--inside", "vggpt/root"),
    "mbr-p1": (2, "--partition", 1),
    "mbr-p5": (2, "--partition", 5),
    "whole-inside-root": (3, "--inside", "/dev/mapper/vgwhole-root"),
    "xfsroot-p2": (4, "--partition", 2),
}


def test_all_file_systems_of_virtual_machines_are_tried() -> None:
    assert recorded_by_name(MACHINES).keys() == INSIDE.keys()


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_in_partitions_and_inside_them(name: str, thinmeta: Thinmeta) -> None:
    files = recorded_by_name(MACHINES)[name]
    line = (*INSIDE[name], *words(MACHINES))

    listed = thinmeta("files", *line, "-R", "-f", "json")

    assert (listed.exit_code, listed.stderr) == (ExitCode.DONE, "")
    assert_listed(listed.stdout, files)
    for path, expected in files.sha256.items():
        content = thinmeta("cat", *line, path[1:].decode()).stdout_bytes
        assert hashlib.sha256(content).hexdigest() == expected


def test_a_logical_volume_inside_a_partition_that_is_named(thinmeta: Thinmeta) -> None:
    line = ("cat", 1, "/etc/hostname", *words(MACHINES), "--inside", "vggpt/root")

    assert thinmeta(*line, "--partition", 3).stdout == "inside-gpt\n"
    result = thinmeta(*line, "--partition", 1)
    assert result.exit_code == ExitCode.INPUT
    assert "partition 1: there is no LVM on it" in result.stderr


@pytest.mark.parametrize(
    ("device", "options", "said"),
    [
        (1, (), "(GPT); say which with --partition N: 1 (32 MiB, Linux), 2 (64 MiB, Linux), 3"),
        (2, (), "(MBR); say which with --partition N: 1 (16 MiB, Linux), 5 (16 MiB, Linux)"),
        (3, (), "--inside VG/LV reads a volume in it; there are: vgwhole/root, vgwhole/swap"),
        (3, ("--inside", "vgwhole/swap"), "vgwhole/swap: is swap space, which has no files"),
        (1, ("--partition", "3"), "there are: vggpt/root, vggpt/swap"),
    ],
)
def test_what_there_is_to_choose_from_is_listed(
    device: int, options: tuple[str, ...], said: str, thinmeta: Thinmeta
) -> None:
    result = thinmeta("files", device, *options, *words(MACHINES))

    assert (result.exit_code, result.stdout) == (ExitCode.INPUT, "")
    assert said in result.stderr


@pytest.mark.parametrize("name", ["", "root", "root/", "-"])
def test_what_names_no_logical_volume_is_a_usage_error(name: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("files", 3, "--inside", name, *words(MACHINES))

    assert result.exit_code == ExitCode.USAGE
    assert "names no logical volume: say VG/LV" in result.stderr


def test_a_name_that_is_not_inside_is_not_there(thinmeta: Thinmeta) -> None:
    result = thinmeta("files", 3, "--inside", "vg/root", *words(MACHINES))

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, "")
    assert result.stderr.endswith(
        "there is no logical volume vg/root inside; there are: vgwhole/root, vgwhole/swap\n"
    )


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_contents_are_those_of_the_mount(device: Any, thinmeta: Thinmeta) -> None:
    sums = recorded_files(device.case)[device.device_id].sha256

    for path, expected in sums.items():
        result = thinmeta("cat", device.device_id, path[1:].decode(), "--all", *words(device.case))
        assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
        assert hashlib.sha256(result.stdout_bytes).hexdigest() == expected


@pytest.mark.parametrize("case", DOCKER)
def test_the_layers_of_an_image_show_one_file_more_each(case: str, thinmeta: Thinmeta) -> None:
    """By the names of its devices, each of which has all that the image has up to there."""
    names = {
        line.split()[0]: line.split()[2]
        for line in (FIXTURES / case / "truth/ids.txt").read_text().splitlines()
    }
    state = FIXTURES / case / "docker-state"
    for device, shown in (("2", ""), ("4", "1"), ("6", "12"), ("8", "123")):
        result = thinmeta("files", names[device], "/tmp", *words(case), "--docker-root", state)

        assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
        assert result.stdout == "".join(f"{number}.txt\n" for number in shown)
    for number in "123":
        result = thinmeta("cat", names["8"], f"/tmp/{number}.txt", *words(case))
        assert result.exit_code == ExitCode.USAGE  # nobody says who that is
        result = thinmeta("cat", 8, f"/tmp/{number}.txt", *words(case))
        assert result.stdout == f"{number * 3}\n"


def test_of_a_docker_device_paths_begin_at_rootfs(thinmeta: Thinmeta) -> None:
    more = words(DOCKER[0])

    assert thinmeta("files", 8, *more, "--all").stdout == "id\nlost+found\nrootfs\n"
    assert thinmeta("files", 8, *more, "--all", "/rootfs/tmp").stdout.startswith("1.txt\n")
    assert thinmeta("files", 8, *more).stdout.splitlines()[:2] == ["bin", "dev"]
    assert thinmeta("files", 1, *more).stdout == "lost+found\n"
    assert thinmeta("cat", 8, "/id", *more).exit_code == ExitCode.NOT_THERE


def test_cat_follows_links_and_files_does_not(thinmeta: Thinmeta) -> None:
    more = words(DOCKER[0])

    listed = thinmeta("files", 8, "/bin/cat", "-l", *more)
    assert listed.stdout.endswith(" /bin/cat -> busybox\n")
    contents = [
        thinmeta("cat", 8, f"/bin/{name}", *more).stdout_bytes for name in ("cat", "busybox")
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 1982256


def test_what_is_not_there_is_named_and_the_rest_is_written(thinmeta: Thinmeta) -> None:
    paths = ("/tmp/1.txt", "/tmp", "/none/of/these", "/tmp/2.txt")

    result = thinmeta("cat", 8, *paths, *words(DOCKER[0]))

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, "111\n222\n")
    assert result.stderr == (
        "Warning: /none: is not there\n"
        "Error: /tmp: is a directory, not a file with contents; thinmeta files lists it\n"
    )


def test_of_what_is_not_there_and_what_is_lost_both_are_told(
    small: SmallVolume, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    more = small.words(small_ext2(), 8 * 1024 + 5)

    result = thinmeta("cat", 1, "/hello", "/none", *more, "-o", tmp_path / "out")

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, "")
    assert result.stderr.startswith("Warning: /hello: is left out: bytes 5..12 of the file: ")
    assert result.stderr.endswith("\nError: /none: is not there\n")
    assert not (tmp_path / "out").exists()


def test_a_file_is_written_whole_or_not_at_all(thinmeta: Thinmeta, tmp_path: Path) -> None:
    out = tmp_path / "out"

    result = thinmeta("cat", 8, "/tmp/1.txt", "/tmp/2.txt", *words(DOCKER[1]), "-o", out)

    assert (result.exit_code, result.output) == (ExitCode.DONE, "")
    assert out.read_text() == "111\n222\n"


def named(name: bytes) -> bytes:
    """Return a small file system whose file has this name of five bytes."""
    return small_ext2().replace(b"hello\0", name + b"\0", 1)


def test_names_are_shown_as_a_terminal_can_take_them(small: SmallVolume) -> None:
    more = [str(word) for word in small.words(named(b"\x1b[\xff\n\xe9"))]

    assert process("files", "1", *more).stdout == b"\\x1b[\\xff\\x0a\\xe9\n"
    assert process("files", "1", "-R", *more).stdout == b"/\\x1b[\\xff\\x0a\\xe9\n"
    assert process("files", "1", "-0", *more).stdout == b"\x1b[\xff\n\xe9\0"
    assert process("files", "1", "-R0", *more).stdout == b"/\x1b[\xff\n\xe9\0"
    found = json.loads(process("files", "1", "-f", "json", *more).stdout)
    assert base64.b64decode(found["name_raw"]) == b"\x1b[\xff\n\xe9"
    assert found["name"] == "\x1b[\ufffd\n\ufffd"
    assert process("cat", "1", b"/\x1b[\xff\n\xe9", *more).stdout == HELLO


def test_a_name_that_is_text_has_no_raw_one(small: SmallVolume, thinmeta: Thinmeta) -> None:
    more = small.words(named("héll".encode()))

    found = json.loads(thinmeta("files", 1, "-f", "json", *more).stdout)

    assert found["name"] == "héll"
    assert "name_raw" not in found


def test_a_name_that_leads_elsewhere_is_left_out(small: SmallVolume, thinmeta: Thinmeta) -> None:
    result = thinmeta("files", 1, "-R", *small.words(named(b"../..")))

    assert (result.exit_code, result.stdout) == (ExitCode.SALVAGED, "")
    assert result.stderr == "Error: /../..: is no name of a file\n"


def test_a_device_without_files_is_named(small: SmallVolume, thinmeta: Thinmeta) -> None:
    result = thinmeta("files", 1, *small.words(b""))

    assert (result.exit_code, result.stdout) == (ExitCode.INPUT, "")
    assert result.stderr == (
        f"Error: {small.pool}: device 1: has no file system: its first 65608 bytes are zeros\n"
    )


def test_null_goes_with_names_alone(thinmeta: Thinmeta) -> None:
    for option in ("-l", "-fjson"):
        result = thinmeta("files", 8, "-0", option, *words(DOCKER[0]))
        assert result.exit_code == ExitCode.USAGE


def test_a_file_of_which_a_part_is_lost_is_left_out(small: SmallVolume, thinmeta: Thinmeta) -> None:
    more = small.words(small_ext2(), 8 * 1024 + 5)

    assert thinmeta("files", 1, *more).stdout == "hello\n"
    result = thinmeta("cat", 1, "/hello", *more)

    assert (result.exit_code, result.stdout) == (ExitCode.SALVAGED, "")
    assert result.stderr == (
        f"Error: /hello: is left out: bytes 5..12 of the file: {small.folder}/data: data block 0, "
        "byte 8197: is past the end of the data device; bytes 8197..8204 of the volume "
        "(block 0); --salvage writes zeros in their place\n"
    )


def test_with_salvage_what_is_lost_is_zeros(small: SmallVolume, thinmeta: Thinmeta) -> None:
    more = small.words(small_ext2(), 8 * 1024 + 5)

    result = thinmeta("cat", 1, "/hello", "--salvage", *more)

    assert (result.exit_code, result.stdout_bytes) == (ExitCode.SALVAGED, b"hello" + bytes(8))
    assert result.stderr.startswith("Error: /hello: bytes 5..12 of the file: ")
    assert result.stderr.endswith("; they are zeros in the output\n")


def test_a_device_whose_mappings_are_lost_is_not_called_empty(
    own_image: OwnImage, thinmeta: Thinmeta
) -> None:
    metadata = own_image(DOCKER[0])
    with metadata.open("r+b") as file:
        file.seek(85 * 4096)  # the mappings of device 2
        file.write(bytes(4096))
    line = ("files", 2, "-p", metadata, "--data", unpacked(DOCKER[0], "data"))

    assert thinmeta(*line).exit_code == ExitCode.DAMAGE
    result = thinmeta(*line, "--salvage")
    assert (result.exit_code, result.stdout) == (ExitCode.INPUT, "")
    assert "device 2: nobody can tell what is on it: " in result.stderr
    assert result.stderr.endswith("the metadata that says where it is is damaged\n")


@pytest.mark.parametrize("spec", [("8", "-m"), ("8@snap",)])
def test_a_metadata_snapshot_has_files_too(spec: tuple[str, ...], thinmeta: Thinmeta) -> None:
    metadata = unpacked(DOCKER[1], "meta-live-msnap")

    result = thinmeta("files", *spec, "/tmp", "-p", metadata, "--data", unpacked(DOCKER[1], "data"))

    assert (result.exit_code, result.stdout) == (ExitCode.DONE, "1.txt\n2.txt\n3.txt\n")


def test_a_past_state_has_files_too(thinmeta: Thinmeta) -> None:
    result = thinmeta("files", "8@1058:1061", "/tmp", *words(DOCKER[0]))

    assert (result.exit_code, result.stdout) == (ExitCode.DONE, "1.txt\n2.txt\n3.txt\n")


def test_a_directory_that_is_lost_is_told(small: SmallVolume, thinmeta: Thinmeta) -> None:
    more = small.words(small_ext2(), 7 * 1024)

    result = thinmeta("files", 1, "-R", "--all", *more)

    assert (result.exit_code, result.stdout) == (ExitCode.SALVAGED, "")
    assert result.stderr.startswith("Error: /: ")
    assert "is past the end of the data device" in result.stderr


def test_where_nobody_knows_where_paths_begin_it_is_said(
    small: SmallVolume, thinmeta: Thinmeta
) -> None:
    result = thinmeta("files", 1, *small.words(small_ext2(), 7 * 1024))

    assert (result.exit_code, result.stdout) == (ExitCode.SALVAGED, "")
    assert result.stderr.startswith("Warning: /: ")
    assert "Error: nobody can tell whether it is a device of Docker's: " in result.stderr


def test_a_partition_is_read_by_its_number(small: SmallVolume, thinmeta: Thinmeta) -> None:
    more = small.words(with_mbr(small_ext2().ljust(32 << 10, b"\0"), 20))

    assert thinmeta("cat", 1, "/hello", "--partition", 2, *more).stdout_bytes == HELLO
    for option, code in ((), ExitCode.INPUT), (("--partition", 7), ExitCode.NOT_THERE):
        result = thinmeta("files", 1, *option, *more)
        assert (result.exit_code, result.stdout) == (code, "")
        assert "1 (2048 bytes, Linux), 2 (32768 bytes, Linux LVM)" in result.stderr


@pytest.mark.parametrize("device", [each for each in DEVICES if each.device_id % 8 == 0], ids=str)
def test_of_a_clean_journal_nothing_is_replayed(device: Any, thinmeta: Thinmeta) -> None:
    line = ("files", device.device_id, "--all", "-R", "-f", "json", *words(device.case))

    with_journal, without = thinmeta(*line), thinmeta(*line, "--no-replay")

    assert with_journal.stdout == without.stdout
    assert (with_journal.stderr, without.stderr) == ("", "")


def test_what_is_to_be_known_of_a_file_system_is_said(
    thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileSystem, "remark", "it is marked as damaged")

    result = thinmeta("files", 1, *words(DOCKER[1]))

    assert result.exit_code == ExitCode.DONE
    metadata = unpacked(DOCKER[1])
    assert result.stderr == f"Warning: {metadata}: device 1: it is marked as damaged\n"
